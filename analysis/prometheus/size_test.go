package prometheus

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
)

// TestAPromotionOfFiveThousandPods fits the limits that the API sets by default: twice as
// many pods, with names and addresses as long as they are in practice.
func TestAPromotionOfFiveThousandPods(t *testing.T) {
	var rows []string
	for i := range 10_000 {
		for _, k := range []string{"total", "bad", "ts"} {
			rows = append(rows, fmt.Sprintf(`{"metric":{"namespace":"checkout-production","pod":"checkout-service-5d4f8b7c96-%05d","instance":"10.100.200.%d:9090","k":%q},"value":[%d.123,"%d"]}`,
				i, i%256, k, evaluated.Unix(), evaluated.Unix()))
		}
	}
	spec := defaults(serve(t, say(http.StatusOK, vector(strings.Join(rows, ",")))))
	spec.Limits.Series, spec.Limits.Bytes = 12_000, 16<<20
	answer, err := connect(t, spec).Counts(t.Context(), "", "up", 10_000, stopped)
	if err != nil || len(answer.Counters) != 10_000 {
		t.Errorf("%d counters, %v; want 10000", len(answer.Counters), err)
	}
}

// TestFloatNoiseIsNoNonsense: what sources compute from counters is a little beside what
// is true, and below 0 or above the total by that.
func TestFloatNoiseIsNoNonsense(t *testing.T) {
	for name, c := range map[string]struct {
		rows       []string
		total, bad float64
	}{
		"a little less than nothing": {[]string{rowOf("a", "total", "1000"), rowOf("a", "bad", "-2.220446049250313e-16")}, 1000, 0},
		"a sum":                      {[]string{rowOf("a", "total", "1234.0000000000002"), rowOf("a", "bad", "0.9999999999999999")}, 1234, 1},
		"a bit above the total":      {[]string{rowOf("a", "count", "99999999.99999999"), rowOf("a", "within", "100000000.00000001")}, 1e8, 0},
		"a true fraction":            {[]string{rowOf("a", "total", "1000.25"), rowOf("a", "bad", "0.5")}, 1000.25, 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := ask(t, connect(t, defaults(serve(t, say(http.StatusOK, vector(c.rows...))))))
			if err != nil || len(answer.Counters) != 1 || answer.Counters[0].Total != c.total || answer.Counters[0].Bad != c.bad {
				t.Errorf("%+v, %v; want %v and %v", answer.Counters, err, c.total, c.bad)
			}
			if err == nil && math.Signbit(answer.Counters[0].Bad) {
				t.Errorf("bad is %v, which a digest shows", answer.Counters[0].Bad)
			}
		})
	}
}
