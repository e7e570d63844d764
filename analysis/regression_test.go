package analysis

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// twoPods are the ledgers of a canary of two pods scraped every 15 s, at seconds
// 5 and 10 of each interval, and of one stable pod at 8; polls come at 0, 15, …
// The counts given are what every pod serves in each of the intervals.
func twoPods(canary, stable []Counts) []Ledger {
	return podsThat(canary, canary, stable)
}

// podsThat are the ledgers of twoPods, each with counts of its own.
func podsThat(a, b, stable []Counts) []Ledger {
	l := Ledger{}.Advance(Poll{EvaluatedAt: at(0), Canary: []PodCounter{pod("a", -10, 0, 0), pod("b", -5, 0, 0)}, Stable: []PodCounter{pod("s", -7, 1e6, 1e3)}}, start)
	out := []Ledger{l}
	x, y, s := Counts{}, Counts{}, Counts{1e6, 1e3}
	for i := range a {
		x, y, s = x.Add(a[i]), y.Add(b[i]), s.Add(stable[i])
		second := 15 * i
		l = l.Advance(Poll{
			EvaluatedAt: at(second + 15),
			Canary:      []PodCounter{pod("a", second+5, x.Total, x.Bad), pod("b", second+10, y.Total, y.Bad)},
			Stable:      []PodCounter{pod("s", second+8, s.Total, s.Bad)},
		}, start)
		out = append(out, l)
	}
	return out
}

// grown is the default test of pods without a warm-up, at a weight.
func grown(weight int) Regression {
	r := Default(0.001, 1, 100)
	r.WarmUp = 0
	r.Given(Quality{ScrapeInterval: 15 * time.Second, ReadyPods: 2, Weight: weight}, 0, "")
	return r
}

// firedAfter is the first poll at which a test fails, 0 for none, with that verdict or the
// last one.
func firedAfter(r Regression, all []Ledger) (int, Verdict) {
	var s RegressionState
	var v Verdict
	for i, l := range all {
		s = r.Observe(s, l)
		if v = r.Judge(s, l); v.Outcome() == Fail {
			return i, v
		}
	}
	return 0, v
}

func (r Regression) observeAll(s RegressionState, all []Ledger) RegressionState {
	for _, l := range all {
		s = r.Observe(s, l)
	}
	return s
}

func series(parts ...[]Counts) []Counts {
	var out []Counts
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func TestRegressionJudges(t *testing.T) {
	quiet := repeat(Counts{360, 0}, 40)
	good := repeat(Counts{20, 0}, 40)
	cases := map[string]struct {
		a, b, stable []Counts
		wantAfter    int
		wantReason   Reason
		wantMessage  string
	}{
		"an outage is found with each pod's second scrape": {
			repeat(Counts{20, 10}, 40), repeat(Counts{20, 10}, 40), quiet, 2, RegressionFound, "at most 1 in 10000, if requests fail independently of each other; no burst of up to 20s on one pod explains it",
		},
		"a small regression is found as one": {
			repeat(Counts{200, 2}, 40), repeat(Counts{200, 2}, 40), repeat(Counts{3600, 3}, 40), 4, RegressionFound, "",
		},
		"one burst on all pods": {
			series([]Counts{{40, 30}}, good[1:]), series([]Counts{{40, 30}}, good[1:]), quiet, 0, Healthy, "",
		},
		"one burst on one pod over two scrapes, and ordinary errors": {
			series([]Counts{{220, 200}, {220, 200}, {20, 0}, {20, 1}}, good[4:]), series([]Counts{{20, 0}, {20, 1}}, good[2:]), quiet, 0, Healthy, "",
		},
		"one pod that fails for 20 s, and ordinary errors": {
			series([]Counts{{20, 18}, {20, 18}, {20, 0}, {20, 1}}, good[4:]), series([]Counts{{20, 0}, {20, 1}}, good[2:]), quiet, 0, Healthy, "",
		},
		"a burst beyond the candidate's share over 20 s on all pods": {
			series([]Counts{{120, 100}, {120, 100}}, good[2:]), series([]Counts{{120, 100}, {120, 100}}, good[2:]), quiet, 0, Healthy, "",
		},
		"the same errors within its share": {
			series([]Counts{{20, 18}, {20, 18}}, good[2:]), series([]Counts{{20, 18}, {20, 18}}, good[2:]), quiet, 2, RegressionFound, "",
		},
		"two bursts a minute apart": {
			series([]Counts{{30, 10}}, good[:3], []Counts{{30, 10}}, good[5:]), series([]Counts{{30, 10}}, good[:3], []Counts{{30, 10}}, good[5:]), quiet, 0, Pending, "enough evidence to roll back",
		},
		"two bursts, and then 1500 good requests": {
			series([]Counts{{30, 10}}, good[:3], []Counts{{30, 10}}, good[5:]), series([]Counts{{30, 10}}, good[:3], []Counts{{30, 10}}, repeat(Counts{45, 0}, 35)), quiet, 0, Healthy, "",
		},
		"an incident both versions suffer is not the candidate's": {
			repeat(Counts{20, 10}, 40), repeat(Counts{20, 10}, 40), repeat(Counts{360, 180}, 40), 0, EnvironmentIncident, "not shown to be worse than stable",
		},
		"an incident that stable shows a scrape later": {
			series([]Counts{{200, 150}, {200, 150}, {200, 0}}, good[3:]), series([]Counts{{200, 150}, {200, 150}, {200, 0}}, good[3:]),
			series([]Counts{{3600, 1800}, {3600, 2700}, {3600, 900}}, quiet[3:]), 0, Healthy, "",
		},
		"healthy": {
			repeat(Counts{200, 0}, 40), repeat(Counts{200, 0}, 40), repeat(Counts{3600, 3}, 40), 0, Healthy, "canary 0.0 % errors (0/16000, 95 % interval 0.0–0.053 %)",
		},
		"worse, but in budget": {repeat(Counts{2000, 3}, 40), repeat(Counts{2000, 3}, 40), repeat(Counts{36000, 0}, 40), 0, Healthy, "burn 1.5x"},
		"nothing served":       {repeat(Counts{}, 4), repeat(Counts{}, 4), quiet, 0, NoTraffic, "no request"},
		"too few to pass":      {repeat(Counts{10, 0}, 4), repeat(Counts{10, 0}, 4), quiet, 0, BelowMinSamples, "60 of 100 requests"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			after, got := firedAfter(grown(10), podsThat(c.a, c.b, c.stable))
			if after != c.wantAfter || got.Reason != c.wantReason || !strings.Contains(got.Message, c.wantMessage) {
				t.Errorf("fired after %d polls: %s %q; want %d, %s saying %q", after, got.Reason, got.Message, c.wantAfter, c.wantReason, c.wantMessage)
			}
			if len(got.Message) > 512 {
				t.Errorf("a message of %d bytes, want at most 512: %s", len(got.Message), got.Message)
			}
			for _, s := range got.Statistics {
				if math.IsNaN(s.Value) || math.IsInf(s.Value, 0) {
					t.Errorf("statistic %s = %v, want a number", s.Name, s.Value)
				}
			}
		})
	}
}

// Nothing is decided while the pods are young that their cold start explains, and a person
// reads until when.
func TestYoungPods(t *testing.T) {
	quiet := repeat(Counts{3600, 3}, 40)
	cases := map[string]struct {
		counts      []Counts
		latency     bool
		wantAfter   int
		wantHeld    string
		wantAtLast  Reason
		wantMessage string
	}{
		"a cold start":                         {series(repeat(Counts{200, 10}, 2), repeat(Counts{200, 0}, 30)), false, 0, "held back until 12:01:00 UTC", Healthy, ""},
		"5 % that stays":                       {repeat(Counts{200, 10}, 30), false, 5, "held back until 12:01:00 UTC", RegressionFound, ""},
		"an outage does not wait":              {repeat(Counts{200, 190}, 30), false, 2, "", RegressionFound, ""},
		"slow requests wait for all of it":     {repeat(Counts{200, 190}, 30), true, 6, "held back until", RegressionFound, ""},
		"requests that are slow for 50 s only": {series(repeat(Counts{200, 190}, 3), repeat(Counts{200, 0}, 30)), true, 0, "held back until", Healthy, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := grown(10)
			r.WarmUp, r.SlowStart = time.Minute, c.latency
			var s RegressionState
			held, after := "", 0
			var v Verdict
			for i, l := range twoPods(c.counts, quiet) {
				s = r.Observe(s, l)
				if v = r.Judge(s, l); v.Outcome() == Fail {
					after = i
					break
				}
				if strings.Contains(v.Message, "held back until") {
					held = v.Message
				}
			}
			if after != c.wantAfter || v.Reason != c.wantAtLast || !strings.Contains(held, c.wantHeld) || (held == "") != (c.wantHeld == "") {
				t.Errorf("fired after %d polls: %s %q, held with %q; want %d, %s, held with %q", after, v.Reason, v.Message, held, c.wantAfter, c.wantAtLast, c.wantHeld)
			}
		})
	}
}

// First a trifle: a third of the budget, where stable has no errors at all, wins the
// relative bet. Then an incident that both suffer wins the absolute one.
func TestBetsWonAtDifferentTimesDoNotFail(t *testing.T) {
	canary := series(repeat(Counts{3000, 1}, 60), repeat(Counts{3000, 150}, 8), repeat(Counts{3000, 1}, 12))
	stable := series(repeat(Counts{24000, 0}, 60), repeat(Counts{24000, 1200}, 8), repeat(Counts{24000, 0}, 12))
	r := grown(20)
	var s RegressionState
	relative, absolute := false, false
	for i, l := range twoPods(canary, stable) {
		s = r.Observe(s, l)
		relative, absolute = relative || r.holds(s.Relative), absolute || r.holds(s.Absolute)
		if v := r.Judge(s, l); v.Outcome() == Fail {
			t.Fatalf("interval %d: %s", i, v.Message)
		}
	}
	if !relative || !absolute {
		t.Errorf("relative evidence was sufficient: %v, absolute: %v; this test must be able to fail", relative, absolute)
	}
}

func TestRegressionSaysItsNumbers(t *testing.T) {
	all := twoPods(repeat(Counts{100, 5}, 4), repeat(Counts{800, 1}, 4))
	r := grown(20)
	got := r.Judge(r.observeAll(RegressionState{}, all), all[4])
	// 40 bad where 800·4/3200 = 1 was to be expected, of a budget of a thousandth of the
	// requests that 30 days have at 4000 a minute: 39/(0.001·172800000).
	want := "canary 5.0 % errors (40/800, 95 % interval 2.7–8.3 %), stable 0.1 % errors (4/3200, 95 % interval 0.008–0.5 %); " +
		"burn 50.0x; this run has spent 0.023 % of the 30-day error budget; " +
		"chance of this in a healthy release: at most 1 in 10000, if requests fail independently of each other; no burst of up to 20s on one pod explains it"
	if got.Message != want {
		t.Errorf("message:\n%s\nwant:\n%s", got.Message, want)
	}
	r.Period = 7 * 24 * time.Hour
	if got := r.Judge(RegressionState{}, all[4]); !strings.Contains(got.Message, "spent 0.097 % of the 7-day error budget") {
		t.Errorf("message %q, want the cost of a week's budget", got.Message)
	}
}

// The chance that a message states is the weaker evidence's, times the triggers, and never
// better than a service can be.
func TestTheStatedChanceIsBounded(t *testing.T) {
	cases := map[string]struct {
		relative, absolute float64
		triggers           int
		want               float64
	}{
		"the weaker evidence": {math.Log(500), math.Log(2000), 1, 1.0 / 500},
		"times the triggers":  {math.Log(2000), math.Log(500), 3, 3.0 / 500},
		"never above one":     {0, 0, 3, 1},
		"never below 1/10000": {100, 200, 1, 1e-4},
	}
	for name, c := range cases {
		// With one look, ln E of a single bet is ln(1/2 + A).
		with := func(e float64) EProcess {
			return EProcess{Looks: 1, LogBets: []float64{math.Log(math.Exp(e) - 0.5)}}
		}
		j := judgement{Regression: Regression{Triggers: c.triggers}, state: RegressionState{Evidence: Evidence{with(c.relative), with(c.absolute)}}}
		if got := j.falseAlarms(); !near(got, c.want, 1e-9) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestRegressionRefusesSettingsItCannotJudge(t *testing.T) {
	all := twoPods(repeat(Counts{100, 5}, 4), repeat(Counts{800, 1}, 4))
	broken := map[string]func(*Regression){
		"no budget":                  func(r *Regression) { r.Budget = 0 },
		"all of it":                  func(r *Regression) { r.Budget = 1 },
		"a budget that is no number": func(r *Regression) { r.Budget = math.NaN() },
		"a limit above any ratio":    func(r *Regression) { r.Allowed = 900 },
		"better than stable":         func(r *Regression) { r.Worse = 0.5 },
		"infinitely worse":           func(r *Regression) { r.Worse = math.Inf(1) },
		"no alpha":                   func(r *Regression) { r.Alpha = 0 },
		"an alpha of one":            func(r *Regression) { r.Alpha = 1 },
		"excludes less than nothing": func(r *Regression) { r.Exclude = -1 },
		"with certainty":             func(r *Regression) { r.Confidence = 1 },
	}
	for name, change := range broken {
		r := grown(20)
		change(&r)
		s := r.observeAll(RegressionState{}, all)
		if got := r.Judge(s, all[4]); got.Reason != BadQuery || !cmp.Equal(s, RegressionState{}) {
			t.Errorf("%s: %s, state %+v; want BadQuery and no state", name, got.Reason, s)
		}
	}
	l, r := all[4], grown(20)
	l.Canary.Bad = math.NaN()
	if got := r.Judge(r.Observe(RegressionState{}, l), l); got.Reason != Malformed {
		t.Errorf("counts that are no numbers: %s, want Malformed", got.Reason)
	}
}

// Triggers share the alpha, so each needs more evidence.
func TestRegressionSharesAlphaAmongTriggers(t *testing.T) {
	all := twoPods(repeat(Counts{100, 1}, 40), repeat(Counts{1000, 1}, 40))
	one, _ := firedAfter(Default(0.001, 1, 0), all)
	many, _ := firedAfter(Default(0.001, 1e9, 0), all)
	if one == 0 || many <= one {
		t.Errorf("fired after %d polls alone and %d with a thousand million triggers, want later", one, many)
	}
}

func TestRegressionContinuesWhereItWasStored(t *testing.T) {
	r := Default(0.001, 1, 0)
	var want, got RegressionState
	for _, l := range twoPods(repeat(Counts{40, 3}, 40), repeat(Counts{1000, 1}, 40)) {
		want = r.Observe(want, l)
		got = restored(t, got)
		got = r.Observe(r.Observe(got, l), l)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored and observed twice (-want +got):\n%s", diff)
	}
}

func TestLosingStatesCostsEvidence(t *testing.T) {
	r := Default(0.001, 1, 0)
	all := twoPods(repeat(Counts{40, 4}, 40), repeat(Counts{1000, 1}, 40))
	fresh, _ := firedAfter(r, all)
	s := r.observeAll(AfterLosing(400), all[:fresh+1])
	if s.Restarts() != 400 {
		t.Errorf("%d restarts, want 400", s.Restarts())
	}
	if got := r.Judge(s, all[fresh]); got.Outcome() == Fail {
		t.Errorf("fails as soon after losing 400 states as after none: %s", got.Message)
	}
}

func TestAdjustKeepsThePromiseOfAllTriggersAndLives(t *testing.T) {
	r := Default(0.001, 3, 0)
	for _, falseAlarm := range []float64{0.000001, 0.01, 0.1} {
		r.Adjust(3, 4, falseAlarm)
		if r.Worse != 3 || r.Allowed != 4 || !r.sound() {
			t.Errorf("worse %v, allowed %v", r.Worse, r.Allowed)
		}
		lost := EProcess{Restarts: 1}
		first, later := math.Exp(-r.threshold()), 2*math.Exp(-r.threshold()-lost.restartCost())
		if got := 3 * (first + later); got > falseAlarm*(1+1e-9) {
			t.Errorf("three triggers spend %v, promised are %v", got, falseAlarm)
		}
	}
	r.Adjust(1.5, 2, 0.01)
	if diff := cmp.Diff(Default(0.001, 3, 0), r); diff != "" {
		t.Errorf("the API's defaults are not the test's:\n%s", diff)
	}
}

// A candidate that hangs: requests are counted when they begin, and fail 30 s later. Most
// errors then come when hardly any requests do, because the gateway has taken its pods out.
func TestLateErrorsAreEvidence(t *testing.T) {
	n := Counts{1000, 0}
	canary := series(repeat(n, 2), []Counts{{50, 1000}, {0, 1000}, {0, 50}}, repeat(Counts{}, 2))
	r := grown(20)
	var s RegressionState
	for i, l := range twoPods(canary, repeat(Counts{4000, 4}, len(canary))) {
		s = r.Observe(s, l)
		if v := r.Judge(s, l); i >= 3 && v.Outcome() == Pass {
			t.Errorf("poll %d passes: %s", i, v.Message)
		}
	}
	canary = repeat(n, 2)
	for i := range 20 {
		canary = append(canary, Counts{1000 - float64(i), 1000 - float64(i-2)})
	}
	if after, v := firedAfter(grown(20), twoPods(canary, repeat(Counts{4000, 4}, len(canary)))); after == 0 {
		t.Errorf("all requests fail late, and nothing fires: %s %s", v.Reason, v.Message)
	}
}

// A pod that waited for its first request is as cold then as one that has just begun.
func TestAColdStartAfterAPreview(t *testing.T) {
	const preview = 40
	for name, c := range map[string]struct {
		counts []Counts
		slow   bool
	}{
		"errors":  {series(repeat(Counts{}, preview), repeat(Counts{200, 10}, 2), repeat(Counts{200, 0}, 30)), false},
		"latency": {series(repeat(Counts{}, preview), repeat(Counts{200, 190}, 3), repeat(Counts{200, 0}, 30)), true},
	} {
		t.Run(name, func(t *testing.T) {
			r := grown(10)
			r.WarmUp, r.SlowStart = time.Minute, c.slow
			if after, v := firedAfter(r, twoPods(c.counts, repeat(Counts{3600, 3}, len(c.counts)))); after != 0 {
				t.Errorf("%d s after the first request: %s %s", 15*(after-preview), v.Reason, v.Message)
			}
		})
	}
}
