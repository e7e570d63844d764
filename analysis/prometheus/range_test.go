package prometheus

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// overTimes sends a range query for three times to a source with this response.
func overTimes(t *testing.T, body string) (answers []Response, asked http.Request, err error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		asked = *r
		_, _ = fmt.Fprint(w, body)
	}))
	defer server.Close()
	spec := v1alpha1.MetricSourceSpec{Address: server.URL, Limits: v1alpha1.MetricSourceLimits{Series: 10, Bytes: 1 << 20, InFlight: 1}}
	spec.ScrapeInterval.Duration, spec.Limits.Timeout.Duration = 15*time.Second, 5*time.Second
	c, err := NewClient(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	answers, err = c.CountsOver(t.Context(), "shop", "q", Times{From: time.Unix(1_700_000_000, 0), Step: 45 * time.Second, Count: 3})
	return answers, asked, err
}

func matrix(rows string) string {
	return `{"status":"success","data":{"resultType":"matrix","result":[` + rows + `]}}`
}

// A series of Prometheus: the pod is not in the first response, and a day is between the
// clock and the response.
const recordedMatrix = `
{"metric":{"k":"total","namespace":"shop","pod":"shop-1-a"},"values":[[1700000045,"120"],[1700000090,"180.00000000000003"]]},
{"metric":{"k":"bad","namespace":"shop","pod":"shop-1-a"},"values":[[1700000045,"1"],[1700000090,"3"]]},
{"metric":{"k":"ts","namespace":"shop","pod":"shop-1-a"},"values":[[1700000045,"1700000039.25"],[1700000090,"1700000084.25"]]}`

func TestARangeQueryIsOneResponseForEachTime(t *testing.T) {
	answers, asked, err := overTimes(t, matrix(recordedMatrix))
	if err != nil || len(answers) != 3 {
		t.Fatalf("%d responses, %v", len(answers), err)
	}
	for name, want := range map[string]string{"start": "1700000000", "end": "1700000090", "step": "45", "lookback_delta": "45s", "nocache": "1"} {
		if got := asked.Form.Get(name); got != want {
			t.Errorf("%s=%q was sent, want %q", name, got, want)
		}
	}
	if asked.URL.Path != "/api/v1/query_range" {
		t.Errorf("sent to %s", asked.URL.Path)
	}
	if len(answers[0].Counters) != 0 {
		t.Errorf("the first time has %v", answers[0].Counters)
	}
	want := Counter{Namespace: "shop", Pod: "shop-1-a", Counts: analysis.Counts{Total: 180, Bad: 3}, SampledAt: time.UnixMilli(1_700_000_084_250)}
	if last := answers[2]; len(last.Counters) != 1 || last.Counters[0] != want || last.At.Unix() != 1_700_000_090 {
		t.Errorf("the last time is %s with %+v, want %+v", last.At, last.Counters, want)
	}
}

func TestAHostileRangeResponseIsAnError(t *testing.T) {
	one := func(values string) string {
		return matrix(`{"metric":{"k":"total","pod":"shop-1-a"},` + values + `}`)
	}
	for name, c := range map[string]struct {
		body string
		want analysis.Reason
	}{
		"a vector":                {`{"status":"success","data":{"resultType":"vector","result":[]}}`, analysis.WrongType},
		"a time between":          {one(`"values":[[1700000001,"1"]]`), analysis.ClockSkew},
		"a time before":           {one(`"values":[[1699999955,"1"]]`), analysis.ClockSkew},
		"a time after":            {one(`"values":[[1700000135,"1"]]`), analysis.ClockSkew},
		"a time that is no time":  {one(`"values":[[1700000000,"1"],["x","1"]]`), analysis.ClockSkew},
		"too many values":         {one(`"values":[[1700000000,"1"],[1700000045,"1"],[1700000090,"1"],[1700000090,"1"]]`), analysis.Malformed},
		"native histograms":       {one(`"histograms":[[1700000000,{}]]`), analysis.WrongType},
		"a warning":               {`{"status":"success","warnings":["partial"],"data":{"resultType":"matrix","result":[]}}`, analysis.Warning},
		"a response that was cut": {matrix(recordedMatrix)[:200], analysis.Truncated},
	} {
		answers, _, err := overTimes(t, c.body)
		var known *QueryError
		if !errors.As(err, &known) || known.Reason != c.want || answers != nil {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// TestTimesCloserThanTheLookback are those of range queries whose steps are as long as it.
func TestTimesCloserThanTheLookback(t *testing.T) {
	from := time.Unix(1_700_000_000, 0)
	for step, want := range map[time.Duration][]Times{
		15 * time.Second: {{from, 45 * time.Second, 3}, {from.Add(15 * time.Second), 45 * time.Second, 3}, {from.Add(30 * time.Second), 45 * time.Second, 2}},
		20 * time.Second: {{from, 40 * time.Second, 4}, {from.Add(20 * time.Second), 40 * time.Second, 4}},
		time.Minute:      {{from, time.Minute, 8}},
		time.Second:      {{from, 8 * time.Second, 1}, {from.Add(time.Second), 8 * time.Second, 1}},
	} {
		got := Times{from, step, 8}.Parts(15 * time.Second)
		if step == time.Second {
			// As many as there are times, at most.
			if len(got) != 8 {
				t.Errorf("8 times are read in %d parts", len(got))
			}
			got = got[:2]
		}
		if !slices.Equal(got, want) {
			t.Errorf("step %s: %v, want %v", step, got, want)
		}
	}
}
