package analysis

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// twoPods are the ledgers of a canary of two pods scraped every 15 s, at seconds
// 5 and 10 of each interval, and of one stable pod at 8; polls come at 0, 15, …
// The counts given are what every pod serves in each of the intervals.
func twoPods(canary, stable []Counts) []Ledger {
	l := Ledger{}.Advance(Poll{EvaluatedAt: at(0), Canary: []PodCounter{pod("a", -10, 0, 0), pod("b", -5, 0, 0)}, Stable: []PodCounter{pod("s", -7, 1e6, 1e3)}}, start)
	out := []Ledger{l}
	a, s := Counts{}, Counts{1e6, 1e3}
	for i, c := range canary {
		a, s = a.Add(c), s.Add(stable[i])
		second := 15 * i
		l = l.Advance(Poll{
			EvaluatedAt: at(second + 15),
			Canary:      []PodCounter{pod("a", second+5, a.Total, a.Bad), pod("b", second+10, a.Total, a.Bad)},
			Stable:      []PodCounter{pod("s", second+8, s.Total, s.Bad)},
		}, start)
		out = append(out, l)
	}
	return out
}

// firedAfter is the first poll at which the default judge fails, 0 for none,
// with that verdict or the last one.
func firedAfter(c Combined, all []Ledger) (int, Verdict) {
	var s CombinedState
	var v Verdict
	for i, l := range all {
		s = c.Observe(s, l)
		if v = c.Judge(s, l); v.Outcome() == Fail {
			return i, v
		}
	}
	return 0, v
}

func TestDefaultJudges(t *testing.T) {
	quiet := repeat(Counts{1000, 1}, 40)
	burst := append([]Counts{{40, 30}}, repeat(Counts{40, 0}, 39)...)
	early := append(repeat(Counts{40, 20}, 4), repeat(Counts{40, 0}, 36)...)
	cases := map[string]struct {
		canary, stable []Counts
		wantAfter      int
		wantReason     Reason
		wantMessage    string
	}{
		"an outage is found with the second scrape": {
			repeat(Counts{40, 20}, 40), quiet, 2, RegressionFound, "burn is above 36x in both windows; chance of this in a healthy release",
		},
		"a small regression is found as one": {
			repeat(Counts{400, 4}, 40), quiet, 4, RegressionFound, "chance of this in a healthy release",
		},
		"one burst on both pods is no outage": {
			burst, quiet, 0, Healthy, "",
		},
		"an incident both versions suffer is not the candidate's": {
			repeat(Counts{40, 20}, 40), repeat(Counts{1000, 500}, 40), 0, EnvironmentIncident, "not shown to be worse than stable",
		},
		"an incident that both versions have left behind is forgotten": {
			early, append(repeat(Counts{1000, 500}, 4), quiet[4:]...), 0, Healthy, "",
		},
		"healthy": {repeat(Counts{400, 0}, 40), quiet, 0, Healthy, "canary 0.0 % errors (0/32000"},
		"without stable's traffic a burning budget decides after the short window": {
			repeat(Counts{40, 20}, 40), repeat(Counts{}, 40), 4, BurnRateExceeded, "stable serves no requests to compare with",
		},
		"nothing served": {repeat(Counts{}, 4), quiet, 0, NoTraffic, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			judge := Default(0.001, 1, 100)
			judge.Given(Quality{ScrapeInterval: 15 * time.Second, ReadyPods: 2, Weight: 10}, 0, "")
			after, got := firedAfter(judge, twoPods(c.canary, c.stable))
			if after != c.wantAfter || got.Reason != c.wantReason || !strings.Contains(got.Message, c.wantMessage) {
				t.Errorf("fired after %d polls: %s %q; want %d, %s saying %q", after, got.Reason, got.Message, c.wantAfter, c.wantReason, c.wantMessage)
			}
			if len(got.Message) > 512 {
				t.Errorf("a message of %d bytes, want at most 512: %s", len(got.Message), got.Message)
			}
		})
	}
}

// A candidate that fails may suffer what stable suffers, so it is not convicted
// while nothing is known of stable.
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
			}, true, BurnRateExceeded,
		},
		"not to serve any more": {100, func(int) []PodCounter { return nil }, true, BurnRateExceeded},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			quality := Quality{ScrapeInterval: 15 * time.Second, ReadyPods: 1, Weight: c.weight}
			judge := Default(0.001, 1, 100)
			judge.Given(quality, 7*24*time.Hour, "")
			l := Ledger{}.Advance(Poll{EvaluatedAt: at(0), Stable: []PodCounter{pod("s", -1, 1e6, 1e3), pod("s2", -1, 7, 0)}}, start)
			var s CombinedState
			var got Verdict
			for i := 1; i <= 30 && got.Outcome() != Fail; i++ {
				p := canary(15*i, pod("c", 15*i-1, float64(100*i), float64(5*i)))
				p.Stable = c.stable(15*i - 1)
				l = l.Advance(p, start)
				s = judge.Observe(s, l)
				got = judge.Judge(s, l)
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

// Triggers share the alpha, so each needs more evidence.
func TestDefaultSharesAlphaAmongTriggers(t *testing.T) {
	all := twoPods(repeat(Counts{100, 1}, 40), repeat(Counts{1000, 1}, 40))
	one, _ := firedAfter(Default(0.001, 1, 0), all)
	many, _ := firedAfter(Default(0.001, 1000, 0), all)
	if one == 0 || many <= one {
		t.Errorf("fired after %d polls alone and %d with a thousand triggers, want later", one, many)
	}
}

func TestDefaultContinuesWhereItWasStored(t *testing.T) {
	d := Default(0.001, 1, 0)
	all := twoPods(repeat(Counts{40, 3}, 40), repeat(Counts{1000, 1}, 40))
	var want, got CombinedState
	for _, l := range all {
		want = d.Observe(want, l)
		stored, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if len(stored) > 2560 {
			t.Errorf("a state of %d bytes, want at most 2560", len(stored))
		}
		got = CombinedState{}
		if err := json.Unmarshal(stored, &got); err != nil {
			t.Fatal(err)
		}
		got = d.Observe(d.Observe(got, l), l)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored and observed twice (-want +got):\n%s", diff)
	}
}

func TestDefaultCostsMoreAfterLosingStates(t *testing.T) {
	d := Default(0.001, 1, 0)
	all := twoPods(repeat(Counts{40, 4}, 40), repeat(Counts{1000, 1}, 40))
	fresh, _ := firedAfter(d, all)
	s := AfterLosing(40)
	for _, l := range all[:fresh+1] {
		s = d.Observe(s, l)
	}
	if s.Restarts() != 40 {
		t.Errorf("%d restarts, want 40", s.Restarts())
	}
	if got := d.Judge(s, all[fresh]); got.Outcome() == Fail {
		t.Errorf("convicted as soon after losing 40 states as after none: %s", got.Message)
	}
}

func TestAdjustKeepsThePromiseOfAllTriggersAndLives(t *testing.T) {
	d := Default(0.001, 3, 0)
	for _, falseAlarm := range []float64{0.000001, 0.01, 0.1} {
		d.Adjust(3, 4, falseAlarm)
		for name, r := range map[string]Regression{"outage": d.Outage.Evidence, "regression": d.Regression} {
			if r.Worse != 3 || r.Allowed != 4 || !r.sound() {
				t.Errorf("%s: worse %v, allowed %v", name, r.Worse, r.Allowed)
			}
			lost := EProcess{Restarts: 1}
			first, later := math.Exp(-r.threshold()), 2*math.Exp(-r.threshold()-lost.restartCost())
			if got := 3 * (first + later); got > falseAlarm*(1+1e-9) {
				t.Errorf("%s: three triggers spend %v, promised are %v", name, got, falseAlarm)
			}
		}
		if d.Regression.Alpha > d.Outage.Evidence.Alpha {
			t.Error("a regression convicts where an outage's bets have not won: the bound of one is none of both")
		}
	}
	d.Adjust(1.5, 2, 0.01)
	if diff := cmp.Diff(Default(0.001, 3, 0), d); diff != "" {
		t.Errorf("the API's defaults are not the judge's:\n%s", diff)
	}
}

// min(ℓ, clip) ≤ ℓ: what the patient judge has won, the quick one's bets have.
func TestNoClippedWealthIsGreater(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		d, s := Default(0.001, 1, 0), CombinedState{}
		c, stable := Counts{}, Counts{}
		for range 60 {
			c = c.Add(Counts{100, float64(rng.IntN(3) * rng.IntN(4))})
			if rng.IntN(5) > 0 {
				stable = stable.Add(Counts{1000, float64(rng.IntN(4))})
			}
			s = d.Observe(s, Ledger{EvaluatedAt: start, Canary: c, Stable: stable})
			quick, patient := s.Outage.Evidence, s.Regression
			if patient.Relative.LogE() > quick.Relative.LogE()+1e-9 || patient.Absolute.LogE() > quick.Absolute.LogE()+1e-9 || patient.LogPeak > quick.LogPeak+1e-9 {
				t.Fatalf("clipped %+v\nis above %+v", patient, quick)
			}
		}
	}
}

func TestDefaultRefusesWhatItCannotJudge(t *testing.T) {
	all := twoPods(repeat(Counts{40, 20}, 2), repeat(Counts{1000, 1}, 2))
	for _, budget := range []float64{0, 1, -1, math.NaN(), math.Inf(1)} {
		if _, got := firedAfter(Default(budget, 1, 0), all); got.Outcome() != Error {
			t.Errorf("budget %v: %s, want an error", budget, got.Reason)
		}
	}
	l := all[2]
	l.Stable.Bad = math.NaN()
	d := Default(0.001, 1, 0)
	if got := d.Judge(d.Observe(CombinedState{}, l), l); got.Outcome() != Error {
		t.Errorf("counts that are no numbers: %s, want an error", got.Reason)
	}
}

func TestMoments(t *testing.T) {
	scrape := func(from, to int64, bad float64) Scrape {
		return Scrape{From: from * 1000, To: to * 1000, Counts: Counts{100, bad}}
	}
	cases := map[string]struct {
		known []int64
		fresh []Scrape
		want  []int64
	}{
		"one scrape":                     {nil, []Scrape{scrape(0, 5, 9)}, []int64{5000}},
		"one burst seen by three pods":   {nil, []Scrape{scrape(0, 5, 9), scrape(0, 9, 9), scrape(0, 12, 9)}, []int64{5000}},
		"in two polls":                   {[]int64{5000}, []Scrape{scrape(3, 18, 9)}, []int64{5000}},
		"two scrapes of one pod":         {[]int64{5000}, []Scrape{scrape(5, 20, 9)}, []int64{5000, 20000}},
		"whatever the order":             {nil, []Scrape{scrape(20, 35, 9), scrape(5, 20, 9), scrape(0, 5, 9)}, []int64{5000, 20000, 35000}},
		"the same poll again":            {[]int64{5000, 20000}, []Scrape{scrape(5, 20, 9)}, []int64{5000, 20000}},
		"few bad requests are no moment": {nil, []Scrape{scrape(0, 5, 2)}, nil},
		"what is old is forgotten":       {[]int64{-1000, 5000}, nil, []int64{5000}},
	}
	for name, c := range cases {
		if got := moments(c.known, c.fresh, 0.02, time.UnixMilli(0)); !cmp.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	var many []Scrape
	for i := range int64(100) {
		many = append(many, scrape(i, i+1, 9))
	}
	if got := moments(nil, many, 0.02, time.UnixMilli(0)); len(got) != maxMoments || got[len(got)-1] != 100000 {
		t.Errorf("kept %v, want the newest %d", got, maxMoments)
	}
}
