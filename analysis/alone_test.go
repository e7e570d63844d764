package analysis

import (
	"strings"
	"testing"
	"time"
)

func TestAlone(t *testing.T) {
	silence := repeat(Counts{}, 40)
	steps := repeat(Counts{1000, 1}, 8)
	cases := map[string]struct {
		canary, stable []Counts
		weight         int
		wantAfter      int
		wantReason     Reason
		wantMessage    string
	}{
		"2 % at weight 100": {
			series(repeat(Counts{100, 0}, 8), repeat(Counts{1000, 20}, 32)), series(steps, silence[8:]), 100, 13, RegressionWithoutBaseline,
			"stable serves no requests to compare with, so the limit is 1.0 %: stable had at most 0.3 % before (95 %), and the objective's budget is 0.1 %",
		},
		"0.5 % at weight 100": {
			series(repeat(Counts{100, 0}, 8), repeat(Counts{1000, 5}, 32)), series(steps, silence[8:]), 100, 0, Pending,
			"a rollback needs more than 1.0 % for longer than 45s",
		},
		"5 % for 30 s, as everything may have": {
			series(repeat(Counts{100, 0}, 8), repeat(Counts{1000, 50}, 2), repeat(Counts{1000, 0}, 30)), series(steps, silence[8:]), 100, 0, Healthy, "",
		},
		"2 % where stable had 2 %": {
			series(repeat(Counts{100, 2}, 8), repeat(Counts{1000, 20}, 32)), series(repeat(Counts{1000, 20}, 8), silence[8:]), 100, 0, Pending, "",
		},
		"stable has served nothing in the whole run": {
			repeat(Counts{1000, 100}, 40), silence, 100, 5, RegressionWithoutBaseline, "the limit is 3.6 %: stable has served none in this run",
		},
		"a few requests of stable's at weight 100": {
			series(repeat(Counts{100, 0}, 8), repeat(Counts{1000, 20}, 32)), series(steps, repeat(Counts{2, 0}, 32)), 100, 13, RegressionWithoutBaseline, "",
		},
		"idle stable pods at a lower weight": {
			series(repeat(Counts{100, 0}, 8), repeat(Counts{1000, 50}, 32)), series(steps, silence[8:]), 50, 13, RegressionWithoutBaseline, "",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			all := twoPods(c.canary, c.stable)
			if c.weight == 100 && c.stable[0].Total > 0 {
				for i := range all[9:] {
					all[9+i].StageFrom = at(8 * 15)
				}
			}
			var s RegressionState
			var v Verdict
			after := 0
			for i, l := range all {
				weight := c.weight
				if i <= 8 && c.stable[0].Total > 0 {
					weight = 10
				}
				r := grown(weight)
				s = r.Observe(s, l)
				if v = r.Judge(s, l); v.Outcome() == Fail {
					after = i
					break
				}
				if v.Reason == EnvironmentIncident && i > 9 && c.weight == 100 {
					t.Errorf("poll %d: an incident of both, while stable serves nothing", i)
				}
			}
			if after != c.wantAfter || v.Reason != c.wantReason || !strings.Contains(v.Message, c.wantMessage) {
				t.Errorf("fired after %d polls: %s %q; want %d, %s saying %q", after, v.Reason, v.Message, c.wantAfter, c.wantReason, c.wantMessage)
			}
			if len(v.Message) > 512 {
				t.Errorf("a message of %d bytes, want at most 512: %s", len(v.Message), v.Message)
			}
		})
	}
}

// A candidate that fails may suffer what stable suffers, so it does not fail alone while
// nothing is known of stable.
func TestOnlyAStableVersionKnownToServeNothingLeavesTheCandidateAlone(t *testing.T) {
	cases := map[string]struct {
		weight    int
		stable    func(second int) []PodCounter
		wantFail  bool
		wantCause Reason
	}{
		"missing from the answers": {5, func(int) []PodCounter { return nil }, false, BaselineMissing},
		"half of its pods missing": {5, func(second int) []PodCounter { return []PodCounter{pod("s2", second, 7, 0)} }, false, BaselineMissing},
		"in every answer, without requests": {
			5, func(second int) []PodCounter {
				return []PodCounter{pod("s", second, 1e6, 1e3), pod("s2", second, 7, 0)}
			}, true, RegressionWithoutBaseline,
		},
		"not to serve any more": {100, func(int) []PodCounter { return nil }, true, RegressionWithoutBaseline},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			quality := Quality{ScrapeInterval: 15 * time.Second, ReadyPods: 1, Weight: c.weight}
			r := grown(c.weight)
			r.Given(quality, 7*24*time.Hour, "")
			l := Ledger{}.Advance(Poll{EvaluatedAt: at(0), Stable: []PodCounter{pod("s", -1, 1e6, 1e3), pod("s2", -1, 7, 0)}}, start)
			var s RegressionState
			var got Verdict
			for i := 1; i <= 30 && got.Outcome() != Fail; i++ {
				p := canary(15*i, pod("c", 15*i-1, float64(100*i), float64(7*i)))
				p.Stable = c.stable(15*i - 1)
				l = l.Advance(p, start)
				s = r.Observe(s, l)
				got = r.Judge(s, l)
			}
			if (got.Outcome() == Fail) != c.wantFail || got.Reason != c.wantCause {
				t.Errorf("%s %q, want %s", got.Reason, got.Message, c.wantCause)
			}
			spent := BudgetSpent{Budget: 0.001, Period: 30 * 24 * time.Hour, Limit: 0.001, Quality: quality}.Judge(l)
			if want := c.weight == 100; (spent.Outcome() == Fail) != want || !want && spent.Reason != BaselineMissing {
				t.Errorf("budget: %s %q", spent.Reason, spent.Message)
			}
		})
	}
}

func TestAloneLimit(t *testing.T) {
	cases := map[string]struct {
		budget float64
		stable Counts
		want   float64
	}{
		"ten times the budget":                {0.001, Counts{100000, 50}, 0.01},
		"more than what stable had":           {0.001, Counts{1000000, 21000}, 0.032478},
		"stable is bad":                       {0.001, Counts{3000, 126}, 0.086116},
		"stable had one request":              {0.001, Counts{1, 0}, 0.036},
		"stable had one, and it was bad":      {0.001, Counts{1, 1}, 0.036},
		"nothing is known":                    {0.001, Counts{}, 0.036},
		"an objective with room for few more": {0.1, Counts{1e6, 0}, 0.5},
	}
	for name, c := range cases {
		if got := Default(c.budget, 1, 0).aloneLimit(c.stable); !near(got, c.want, 1e-5) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// A few requests of stable's do not make a lone candidate safer than none do.
func TestFewRequestsOfStable(t *testing.T) {
	for _, few := range []float64{0, 1, 3, 5, 10, 20} {
		stable := series([]Counts{{few, 0}}, repeat(Counts{}, 40))
		canary := series([]Counts{{0, 0}}, repeat(Counts{1000, 900}, 40))
		if after, v := firedAfter(grown(100), twoPods(canary, stable)); after == 0 {
			t.Errorf("stable had %v requests before: 90 %% errors for 10 minutes are %s: %s", few, v.Reason, v.Message)
		}
	}
}

// Callers that bypass the routes reach stable's pods at weight 100 too. Its counts then show
// an incident of both.
func TestAnIncidentOfBothAtWeight100(t *testing.T) {
	both := series(repeat(Counts{1000, 1}, 20), repeat(Counts{1000, 200}, 12))
	all := twoPods(both, both)
	for i := range all[9:] {
		all[9+i].StageFrom = at(8 * 15)
	}
	var s RegressionState
	for i, l := range all {
		r := grown(100)
		if i <= 8 {
			r = grown(50)
		}
		s = r.Observe(s, l)
		if v := r.Judge(s, l); v.Outcome() == Fail {
			t.Fatalf("poll %d: %s %s", i, v.Reason, v.Message)
		}
	}
}
