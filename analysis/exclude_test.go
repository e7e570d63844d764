package analysis

import (
	"strings"
	"testing"
	"time"
)

func TestAPassSaysWhatItExcludes(t *testing.T) {
	// The interval of 0/1000 ends at 0.006998, that of 0/100 at 0.057029.
	all := twoPods(repeat(Counts{100, 0}, 5), repeat(Counts{1000, 1}, 5))
	r := grown(20)
	v := r.Judge(r.observeAll(RegressionState{}, all), all[5])
	if v.Reason != Healthy || !strings.HasSuffix(v.Message, "; excludes more than 0.7 % errors with 95 % confidence") {
		t.Errorf("%s %q", v.Reason, v.Message)
	}
	r.WarmUp, r.BadName = time.Minute, "slower than 300ms"
	all[5].Matured = []matured{{WarmUp: 60000, Canary: Counts{100, 0}}}
	if v = r.Judge(r.observeAll(RegressionState{}, all), all[5]); !strings.HasSuffix(v.Message, "; excludes more than 5.7 % slower than 300ms with 95 % confidence") {
		t.Errorf("of what the pods served after their warm-up: %q", v.Message)
	}
	all[5].Matured = nil
	if v = r.Judge(r.observeAll(RegressionState{}, all), all[5]); strings.Contains(v.Message, "excludes") {
		t.Errorf("nothing is excluded while all pods are young: %q", v.Message)
	}
}

func TestExcludeHoldsAStep(t *testing.T) {
	cases := map[string]struct {
		canary      Counts
		exclude     float64
		confidence  float64
		wantReason  Reason
		wantMessage string
	}{
		"excluded":                    {Counts{100, 0}, 8, 0, Healthy, ""},
		"not yet":                     {Counts{100, 0}, 4, 0, NotExcludedYet, "up to 0.7 % errors are possible (95 % confidence), and a pass must exclude 0.4 %: about 832 more requests, about 2m at the present rate"},
		"at 99 % it takes more":       {Counts{100, 0}, 8, 0.99, NotExcludedYet, "(99 % confidence)"},
		"more requests will not help": {Counts{1000, 1}, 1, 0, NotExcludedYet, "more requests do not exclude it while so many are bad"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			all := twoPods(repeat(c.canary, 5), repeat(Counts{1000, 1}, 5))
			r := grown(20)
			r.Exclude, r.Confidence = c.exclude, c.confidence
			v := r.Judge(r.observeAll(RegressionState{}, all), all[5])
			if v.Reason != c.wantReason || !strings.Contains(v.Message, c.wantMessage) {
				t.Errorf("%s %q, want %s saying %q", v.Reason, v.Message, c.wantReason, c.wantMessage)
			}
		})
	}
}

// What is said to be missing is enough, and not much too much.
func TestMoreToExclude(t *testing.T) {
	for _, c := range []struct {
		counts Counts
		target float64
	}{{Counts{200, 0}, 0.01}, {Counts{1000, 0}, 0.004}, {Counts{50000, 50}, 0.0012}, {Counts{}, 0.05}} {
		more, ok := moreToExclude(c.counts, c.counts.Ratio(), c.target, 0.05)
		if !ok {
			t.Errorf("%v: never excludes %v", c.counts, c.target)
			continue
		}
		high := func(n float64) float64 {
			_, h := Interval(c.counts.Add(Counts{n, n * c.counts.Ratio()}), 0.05)
			return h
		}
		if high(more) >= c.target || high(0.95*more-2) < c.target {
			t.Errorf("%v: %v more requests exclude %v, 5 %% less %v; want %v", c.counts, more, high(more), high(0.95*more-2), c.target)
		}
	}
	if _, ok := moreToExclude(Counts{1000, 10}, 0.01, 0.01, 0.05); ok {
		t.Error("1 % of bad requests exclude 1 %")
	}
}
