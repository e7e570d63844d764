package prometheus

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/analysis"
)

// TestIntervalOfAYoungCluster: where no target is ten minutes old, one minute is enough.
func TestIntervalOfAYoungCluster(t *testing.T) {
	for samples, want := range map[string]time.Duration{"12": 5 * time.Second, "4": 15 * time.Second, "2": 30 * time.Second, "1": time.Minute} {
		spec := defaults(serve(t, func(w http.ResponseWriter, r *http.Request) {
			body := vector()
			if strings.Contains(r.FormValue("query"), "offset 1m") {
				body = vector(fmt.Sprintf(`{"metric":{},"value":[%d,%q]}`, evaluated.Unix(), samples))
			}
			say(http.StatusOK, body)(w, r)
		}))
		if got, err := connect(t, spec).Interval(t.Context(), stopped); got != want || err != nil {
			t.Errorf("%s samples in a minute: %s, %v; want %s", samples, got, err, want)
		}
	}
}

// TestIntervalIsDerivedFromSamples, and is one that people configure.
func TestIntervalIsDerivedFromSamples(t *testing.T) {
	row := func(value string) string {
		return fmt.Sprintf(`{"metric":{},"value":[%d,%q]}`, evaluated.Unix(), value)
	}
	for name, c := range map[string]struct {
		body string
		want time.Duration
		fail analysis.Reason
	}{
		"15 s":            {vector(row("40")), 15 * time.Second, ""},
		"15 s and a bit":  {vector(row("39")), 15 * time.Second, ""},
		"5 s":             {vector(row("120")), 5 * time.Second, ""},
		"30 s":            {vector(row("21")), 30 * time.Second, ""},
		"45 s":            {vector(row("13.3")), time.Minute, ""},
		"slow":            {vector(row("1")), 10 * time.Minute, ""},
		"faster than 1 s": {vector(row("6000")), time.Second, ""},
		"no such series":  {vector(), 0, ""},
		"not a number":    {vector(row("NaN")), 0, ""},
		"nonsense":        {vector(row("many")), 0, analysis.Malformed},
		"refused":         {`{"status":"error","errorType":"bad_data","error":"no"}`, 0, analysis.BadQuery},
	} {
		t.Run(name, func(t *testing.T) {
			var asked string
			spec := defaults(serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked = r.FormValue("query")
				say(http.StatusOK, c.body)(w, r)
			}))
			spec.Labels = otherLabels
			got, err := connect(t, spec).Interval(t.Context(), stopped)
			if got != c.want || reasonOf(err) != c.fail {
				t.Errorf("%s, %v; want %s", got, err, c.want)
			}
			for _, s := range vectorSelectors(t, asked) {
				if text := strings.Join(matcherTexts(s.LabelMatchers), " "); !strings.Contains(text, `exported_pod!=""`) {
					t.Errorf("it counts %s", text)
				}
			}
		})
	}
}
