package analysis

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// vectors has the settings of the vectors: α = 0.001, ρ = 1.5, p0 = 0.002.
var vectors = Regression{Budget: 0.001, Worse: 1.5, Allowed: 2, Alpha: 0.001}

// ledgers are one ledger per interval of 10 s, after a baseline.
func ledgers(parts ...interval) []Ledger {
	l := Ledger{}.Advance(both(0, pod("c", 0, 0, 0), pod("s", 0, 1e6, 1e3)), start)
	out := []Ledger{l}
	c, s := Counts{}, Counts{1e6, 1e3}
	for i, p := range parts {
		c, s = c.Add(p.canary), s.Add(p.stable)
		second := 10 * (i + 1)
		l = l.Advance(both(second, pod("c", second, c.Total, c.Bad), pod("s", second, s.Total, s.Bad)), start)
		out = append(out, l)
	}
	return out
}

func (r Regression) observeAll(s RegressionState, all []Ledger) RegressionState {
	for _, l := range all {
		s = r.Observe(s, l)
	}
	return s
}

func repeated(i interval, n int) []interval {
	out := make([]interval, n)
	for k := range out {
		out[k] = i
	}
	return out
}

func TestRegressionGathersTheVectors(t *testing.T) {
	cases := map[string]struct {
		parts                      []interval
		wantRelative, wantAbsolute float64
	}{
		"regression":      {regressed, 8.382517, 8.195071},
		"shared incident": {incident, -1.383630, 5.893024},
		"healthy":         {healthy, -0.963429, -1.173321},
	}
	for name, c := range cases {
		got := vectors.observeAll(RegressionState{}, ledgers(c.parts...))
		if !near(got.Relative.LogE(), c.wantRelative, 1e-5) || !near(got.Absolute.LogE(), c.wantAbsolute, 1e-5) {
			t.Errorf("%s: ln E = %.6f and %.6f, want %.6f and %.6f", name, got.Relative.LogE(), got.Absolute.LogE(), c.wantRelative, c.wantAbsolute)
		}
	}
}

func TestRegressionJudges(t *testing.T) {
	shared, strict := vectors, vectors
	shared.Triggers = 4
	strict.MinimumSamples = 1000
	cases := map[string]struct {
		judge       Regression
		parts       []interval
		wantReason  Reason
		wantMessage string
	}{
		"not convicted by three intervals": {vectors, regressed[:3], Pending, "some evidence of a regression"},
		"convicted by the fourth":          {vectors, regressed, RegressionFound, "at most 1 in 3623, if requests fail independently"},
		"a longer regression convicts four triggers as well": {
			shared, append(regressed, regressed...), RegressionFound, "healthy release",
		},
		"an incident of both versions convicts nobody and promotes nobody": {
			vectors, append(incident, incident...), EnvironmentIncident, "not shown to be worse than stable",
		},
		"an incident that is over does not hold the candidate for ever": {
			vectors, append(append([]interval{}, append(incident, incident...)...), repeated(served(200, 0, 800, 0), 30)...), Healthy, "",
		},
		"healthy":              {vectors, healthy, Healthy, "canary 0.1 % errors (1/800, 95 % interval"},
		"worse, but in budget": {vectors, repeated(served(2000, 3, 8000, 0), 30), Healthy, "burn 1.5x"},
		"two bad requests prove nothing": {
			vectors, []interval{served(1, 1, 1e6, 0), served(1, 1, 1e6, 0), served(0, 0, 0, 0)}, Pending, "",
		},
		"nothing served":  {vectors, []interval{served(0, 0, 800, 0)}, NoTraffic, "no request"},
		"too few to pass": {strict, healthy, BelowMinSamples, "800 of 1000 requests"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			all := ledgers(c.parts...)
			got := c.judge.Judge(c.judge.observeAll(RegressionState{}, all), all[len(all)-1])
			if got.Reason != c.wantReason || !strings.Contains(got.Message, c.wantMessage) {
				t.Errorf("Judge() = %s %q, want %s saying %q", got.Reason, got.Message, c.wantReason, c.wantMessage)
			}
		})
	}
}

// First a trifle: a third of the budget, where stable has no errors at all, wins
// the relative bet. Then an incident that both suffer wins the absolute one.
func TestBetsWonAtDifferentTimesConvictNobody(t *testing.T) {
	parts := append(repeated(served(3000, 1, 12000, 0), 60), repeated(served(3000, 150, 12000, 600), 8)...)
	parts = append(parts, repeated(served(3000, 1, 12000, 0), 12)...)
	all := ledgers(parts...)
	patient, quick := vectors, Default(0.001, 1, 100)
	patient.Alpha = 0.005
	var s RegressionState
	var c CombinedState
	for i, l := range all {
		s, c = patient.Observe(s, l), quick.Observe(c, l)
		for name, v := range map[string]Verdict{"patient": patient.Judge(s, l), "default": quick.Judge(c, l)} {
			if v.Outcome() == Fail {
				t.Fatalf("%s, interval %d: %s", name, i, v.Message)
			}
		}
	}
	if !patient.wonOnce(s.Relative) || !patient.wonOnce(s.Absolute) {
		t.Errorf("peaks %v and %v, want both above %v: this test must be able to fail", s.Relative.LogPeak, s.Absolute.LogPeak, patient.threshold())
	}
}

// A relative bet that was won before stable went missing says nothing of the
// incident that came while it was.
func TestABetThatIsNotSettledConvictsNobody(t *testing.T) {
	parts := append(repeated(served(3000, 1, 12000, 0), 200), repeated(served(3000, 1500, 0, 0), 20)...)
	all := ledgers(parts...)
	patient, quick := vectors, Default(0.001, 1, 100)
	patient.Alpha = 0.005
	quick.Given(Quality{ScrapeInterval: 10 * time.Second, ReadyPods: 1, Weight: 20}, 0, "")
	s, c := patient.observeAll(RegressionState{}, all), CombinedState{}
	for _, l := range all {
		c = quick.Observe(c, l)
	}
	l := all[len(all)-1]
	if v := patient.Judge(s, l); v.Outcome() == Fail || !patient.holds(s.Relative) {
		t.Errorf("patient: %s, relative at %v", v.Message, s.Relative.LogE())
	}
	l.Pods = map[string]lastCounter{}
	if v := quick.Judge(c, l); v.Reason != BaselineMissing {
		t.Errorf("default: %s %s", v.Reason, v.Message)
	}
}

func TestRegressionSaysItsNumbers(t *testing.T) {
	all := ledgers(regressed...)
	got := vectors.Judge(vectors.observeAll(RegressionState{}, all), all[len(all)-1])
	// 39 bad where 800·4/3200 = 1 was to be expected, of a budget of 100 requests
	// a second over 30 days: 38/(0.001·259200000).
	want := "canary 4.9 % errors (39/800, 95 % interval 2.6–8.1 %), stable 0.1 % errors (4/3200, 95 % interval 0.008–0.5 %); " +
		"burn 48.8x; this run has spent 0.015 % of the 30-day error budget; " +
		"chance of this in a healthy release: at most 1 in 3623, if requests fail independently of each other"
	weekly := vectors
	weekly.Period = 7 * 24 * time.Hour
	if got := weekly.Judge(RegressionState{}, all[len(all)-1]); !strings.Contains(got.Message, "spent 0.063 % of the 7-day error budget") {
		t.Errorf("message %q, want the cost of a week's budget", got.Message)
	}
	if got.Message != want {
		t.Errorf("message:\n%s\nwant:\n%s", got.Message, want)
	}
	for _, s := range got.Statistics {
		if math.IsNaN(s.Value) || math.IsInf(s.Value, 0) {
			t.Errorf("statistic %s = %v, want a number", s.Name, s.Value)
		}
	}
}

func TestRegressionRefusesSettingsItCannotJudge(t *testing.T) {
	all := ledgers(regressed...)
	broken := map[string]func(*Regression){
		"no budget":                  func(r *Regression) { r.Budget = 0 },
		"all of it":                  func(r *Regression) { r.Budget = 1 },
		"a budget that is no number": func(r *Regression) { r.Budget = math.NaN() },
		"a limit above any ratio":    func(r *Regression) { r.Allowed = 900 },
		"better than stable":         func(r *Regression) { r.Worse = 0.5 },
		"infinitely worse":           func(r *Regression) { r.Worse = math.Inf(1) },
		"no alpha":                   func(r *Regression) { r.Alpha = 0 },
		"a clip below nothing":       func(r *Regression) { r.Clip = -1 },
		"a clip that is no number":   func(r *Regression) { r.Clip = math.NaN() },
		"an alpha of one":            func(r *Regression) { r.Alpha = 1 },
	}
	for name, change := range broken {
		r := vectors
		change(&r)
		s := r.observeAll(RegressionState{}, all)
		if got := r.Judge(s, all[len(all)-1]); got.Reason != BadQuery || !cmp.Equal(s, RegressionState{}) {
			t.Errorf("%s: %s, state %+v; want BadQuery and no state", name, got.Reason, s)
		}
	}
	l := all[len(all)-1]
	l.Canary.Bad = math.NaN()
	if got := vectors.Judge(vectors.Observe(RegressionState{}, l), l); got.Reason != Malformed {
		t.Errorf("counts that are no numbers: %s, want Malformed", got.Reason)
	}
}

func TestRegressionPollsRepeatedStoredOrLostChangeNothing(t *testing.T) {
	all := ledgers(regressed...)
	want := vectors.observeAll(RegressionState{}, all)
	var s RegressionState
	for _, l := range all {
		stored, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var restored RegressionState
		if err := json.Unmarshal(stored, &restored); err != nil {
			t.Fatal(err)
		}
		s = vectors.Observe(vectors.Observe(restored, l), l)
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("stored and observed twice (-want +got):\n%s", diff)
	}
	lost := vectors.observeAll(RegressionState{}, []Ledger{all[0], all[1], all[4]})
	joined := vectors.observeAll(RegressionState{}, ledgers(regressed[0], served(600, 29, 2400, 3)))
	if diff := cmp.Diff(joined, lost); diff != "" {
		t.Errorf("two polls lost (-as one interval +got):\n%s", diff)
	}
}

// K triggers of one rollout need ln(K/α) each, and say what holds for them all.
func TestRegressionSharesAlphaAmongTriggers(t *testing.T) {
	all := ledgers(regressed...)
	s := vectors.observeAll(RegressionState{}, all) // the weaker bet stands at 8.195
	cases := map[int]struct {
		wantReason  Reason
		wantMessage string
	}{
		0: {RegressionFound, "1 in 3623,"},
		1: {RegressionFound, "1 in 3623,"},
		3: {RegressionFound, "1 in 1207,"}, // ln 3000 = 8.006
		4: {Pending, "some evidence"},      // ln 4000 = 8.294
	}
	for triggers, c := range cases {
		r := vectors
		r.Triggers = triggers
		got := r.Judge(s, all[len(all)-1])
		if got.Reason != c.wantReason || !strings.Contains(got.Message, c.wantMessage) {
			t.Errorf("%d triggers: %s %q, want %s saying %q", triggers, got.Reason, got.Message, c.wantReason, c.wantMessage)
		}
	}
}

// A state that was lost is worth half the alpha each time, in both bets.
func TestRegressionRestartsCostEvidence(t *testing.T) {
	all := ledgers(regressed...)
	s := vectors.observeAll(RegressionState{Relative: EProcess{Restarts: 2}, Absolute: EProcess{Restarts: 2}}, all)
	if got := vectors.Judge(s, all[len(all)-1]); got.Reason != Pending {
		t.Errorf("evidence of 1 in 3623 after two restarts: %s, want Pending", got.Reason)
	}
}

func TestRegressionStateStaysSmall(t *testing.T) {
	all := ledgers(append(regressed, regressed...)...)
	stored, err := json.Marshal(vectors.observeAll(RegressionState{}, all))
	if err != nil || len(stored) > 1024 {
		t.Errorf("%d bytes, %v; want at most 1024", len(stored), err)
	}
}
