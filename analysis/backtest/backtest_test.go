package backtest

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// from is 5 % errors that begin after a time.
func from(onset time.Duration) func(time.Duration) float64 {
	return func(since time.Duration) float64 {
		if since >= onset {
			return 0.05
		}
		return healthy(since)
	}
}

// The candidate has 5 % errors from 12:10 on. Of releases from 12:00 for 10 minutes, from
// 12:05 for 10 and from 12:00 for 30, the first ends before, and both others find it.
func TestAFaultIsFoundWhenItBegins(t *testing.T) {
	onset := 10 * time.Minute
	p := newPast(t, pods(from(onset))...)
	spec := releases(Window{noon.Add(5 * time.Minute), 10 * time.Minute}, Window{noon, 10 * time.Minute}, Window{noon, 30 * time.Minute})
	spec.Onset = noon.Add(onset)
	var last Progress
	got, err := Run(t.Context(), p.client(t), spec, func(p Progress) { last = p })
	if err != nil {
		t.Fatal(err)
	}
	if got.Releases != 3 || got.Fired != 2 || got.Unjudged != 0 || len(got.Fires) != 2 || len(got.Triggers) != 1 {
		t.Fatalf("%s", got.Text(10))
	}
	for _, f := range got.Fires {
		// Four bad scrapes of one pod, beyond a burst of 20 s, are enough.
		if f.Reason != string(analysis.RegressionFound) || f.At.Sub(spec.Onset) < 30*time.Second || f.At.Sub(spec.Onset) > 2*time.Minute {
			t.Errorf("fired at %s: %s %s", f.At, f.Reason, f.Message)
		}
	}
	trigger := got.Triggers[0]
	if trigger.Fired != 2 || trigger.BeforeOnset != 0 || trigger.FromOnset == nil || trigger.After.Most-trigger.FromOnset.Most != 600 ||
		trigger.After.Least-trigger.FromOnset.Least != 300 || got.To != noon.Add(30*time.Minute) {
		t.Errorf("%+v, %+v, %+v", trigger, trigger.After, trigger.FromOnset)
	}
	if last.Judged != 121 || last.Of != 121 || last.Queries != 3 || p.queries != 3 {
		t.Errorf("%+v, %d queries were sent: want three for the 121 times of 30 minutes, with steps of 45 s", last, p.queries)
	}
	if raw, err := json.Marshal(got); err != nil || !strings.Contains(string(raw), `"fired":2`) {
		t.Errorf("%s %v", raw, err)
	}
	if text := got.Text(1); !strings.Contains(text, "2 of 3 releases would have been rolled back") || !strings.Contains(text, "and 1 more") {
		t.Error(text)
	}
}

// What fires before the onset is told from what finds the fault, and what is not listed counts.
func TestAFireBeforeTheOnsetDoesNotFindTheFault(t *testing.T) {
	p := newPast(t, pods(from(0))...)
	spec := releases(Window{noon, 30 * time.Minute}, Window{noon.Add(time.Hour), 30 * time.Minute})
	spec.Onset, spec.Limits.Fires = noon.Add(time.Hour), 1
	got, err := Run(t.Context(), p.client(t), spec, nil)
	if err != nil || got.Triggers[0].BeforeOnset != 1 || got.Triggers[0].FromOnset.Most > 300 || got.Fired != 2 || len(got.Fires) != 1 || got.Omitted != 1 {
		t.Errorf("%v\n%s", err, got.Text(10))
	}
}

// A version that is compared with itself is never rolled back, and each split compares
// other pods.
func TestAVersionIsNotWorseThanItself(t *testing.T) {
	p := newPast(t, pods(healthy)...)
	windows, err := Sliding(noon, noon.Add(2*time.Hour), 20*time.Minute, 10*time.Minute, 100)
	if err != nil || len(windows) != 11 {
		t.Fatalf("%d windows, %v", len(windows), err)
	}
	spec := releases(windows...)
	spec.Arms, spec.Stages = Arms{Split: []string{"shop-new", "shop-old"}, Seeds: []uint64{1, 2, 3, 4}}, nil
	got, err := Run(t.Context(), p.client(t), spec, nil)
	if err != nil || got.Releases != 44 || got.Fired != 0 || got.Unjudged != 0 || got.Triggers[0].After != nil {
		t.Fatalf("%v\n%s", err, got.Text(10))
	}
	// With a bad pod each split finds it in the candidate, or not at all: stable is worse then.
	p = newPast(t, pods(from(0))...)
	got, err = Run(t.Context(), p.client(t), spec, nil)
	if err != nil || got.Fired == 0 || got.Fired == 44 || got.Fired%11 != 0 || len(got.Fires) != got.Fired {
		t.Fatalf("%v\n%s", err, got.Text(10))
	}
	for _, f := range got.Fires {
		if s := (split{arms: &spec.Arms, seed: *f.Seed}); f.Seed == nil || s.of("shop-new-aaaaa") == neither {
			t.Errorf("%+v", f)
		}
	}
}

func TestASplitTakesItsShareOfThePods(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(40) {
		s := split{arms: &Arms{Split: []string{"x"}, Share: 25}, seed: seed}
		var counters []prometheus.Counter
		for _, p := range pods(healthy) {
			counters = append(counters, prometheus.Counter{Pod: p.name, Instance: "a"}, prometheus.Counter{Pod: p.name, Instance: "b"})
		}
		s.begin(counters)
		n := 0
		for _, p := range pods(healthy) {
			if s.of(p.name) == candidate {
				n, seen[p.name] = n+1, true
			}
		}
		bar := s.bar
		s.begin(append(counters[:2:2], prometheus.Counter{Pod: "shop-old-ddddd"}))
		if s.bar != bar {
			t.Errorf("seed %d: pods change sides when others come and go", seed)
		}
		if n != 1 || s.weight != 25 {
			t.Errorf("seed %d: %d of 4 pods with a weight of %d", seed, n, s.weight)
		}
	}
	if len(seen) != 4 {
		t.Errorf("only %v are ever the candidate", seen)
	}
}

// Other triggers of the guardrail are judged too, each by the query that it needs.
func TestEveryTriggerOfASourceIsJudged(t *testing.T) {
	p := newPast(t, pods(from(10*time.Minute))...)
	spec := releases(Window{noon, 30 * time.Minute})
	spec.Guardrail.Invariants = []v1alpha1.Invariant{{Name: "oversold", Checks: v1alpha1.Series{Metric: "checks"}, Violations: v1alpha1.Series{Metric: "oversold"}}}
	spec.Guardrail.Triggers = []v1alpha1.Trigger{
		{Name: "burn", SLO: "availability", Burn: &v1alpha1.BurnTrigger{Rate: "14.4"}}, {Name: "oversold", Invariant: "oversold"},
		{Name: "pods", Pods: &v1alpha1.PodsTrigger{}},
	}
	spec.Guardrail.Triggers[0].Burn.Long.Duration, spec.Guardrail.Triggers[0].Burn.Short.Duration = 5*time.Minute, time.Minute
	got, err := Run(t.Context(), p.client(t), spec, nil)
	if err != nil || len(got.Triggers) != 2 || got.Queries != 6 {
		t.Fatalf("%v\n%s", err, got.Text(10))
	}
	// The pods counted violations before noon: an invariant fails at once.
	burn, invariant := got.Triggers[0], got.Triggers[1]
	if burn.Fired != 1 || burn.After.Least < 660 || burn.After.Least > 900 || invariant.Fired != 1 || invariant.After.Least != 0 || got.Fired != 1 {
		t.Error(got.Text(10))
	}
}

// A source that refuses long queries is asked in parts, with the same result.
func TestALargeQueryIsHalved(t *testing.T) {
	p := newPast(t, pods(from(10*time.Minute))...)
	spec := releases(Window{noon, 30 * time.Minute})
	whole, err := Run(t.Context(), p.client(t), spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.most, p.queries = 20, 0
	parts, err := Run(t.Context(), p.client(t), spec, nil)
	if err != nil || parts.Queries != p.queries || p.queries < 7 || p.queries > 15 {
		t.Fatalf("%d queries, %d reported, %v", p.queries, parts.Queries, err)
	}
	parts.Queries = whole.Queries
	if a, b := whole.Text(10), parts.Text(10); a != b || whole.Fired != 1 {
		t.Errorf("%s\n%s", a, b)
	}
	p.most = 0
	var known *prometheus.QueryError
	if _, err = Run(t.Context(), p.client(t), spec, nil); !errors.As(err, &known) || known.Reason != analysis.Overload {
		t.Errorf("a source that answers no time at all: %v", err)
	}
}

func TestLimitsAreNamed(t *testing.T) {
	p := newPast(t, pods(healthy)...)
	c := p.client(t)
	for want, change := range map[string]func(*Spec){
		"the limit Queries of 2": func(s *Spec) { s.Limits.Queries, s.Limits.Times = 2, 10 },
		"the limit Releases is 1": func(s *Spec) {
			s.Limits.Releases, s.Windows = 1, append(s.Windows, Window{noon.Add(time.Hour), time.Minute})
		},
		"the limit Active is 1": func(s *Spec) { s.Limits.Active, s.Windows = 1, append(s.Windows, s.Windows[0]) },
		"no window":             func(s *Spec) { s.Windows = nil },
		"shorter than the time": func(s *Spec) { s.Windows[0].Duration = time.Second },
		"name ReplicaSets":      func(s *Spec) { s.Arms.Stable = nil },
		"only a split has any":  func(s *Spec) { s.Arms.Seeds = []uint64{1} },
		"a split has none":      func(s *Spec) { s.Stages = nil },
		"from 1 to 100":         func(s *Spec) { s.Stages[0].Weight = 101 },
		"at least 1s":           func(s *Spec) { s.ScrapeInterval = 0 },
		"counts by Service: count by Pod": func(s *Spec) {
			i := &s.Guardrail.SLOs[0].Indicator
			i.By, i.Destination = v1alpha1.CountedByService, &v1alpha1.Destination{Label: "to", Value: "$(service)", NamespaceLabel: "namespace"}
		},
		"no trigger of an slo": func(s *Spec) {
			s.Guardrail.Triggers = []v1alpha1.Trigger{{Name: "pods", Pods: &v1alpha1.PodsTrigger{}}}
		},
	} {
		spec := releases(Window{noon, 30 * time.Minute})
		change(&spec)
		if _, err := Run(t.Context(), c, spec, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := Sliding(noon, noon.Add(time.Hour), time.Minute, time.Minute, 3); err == nil || !strings.Contains(err.Error(), "more than 3 windows") {
		t.Error(err)
	}
	spec := releases(Window{noon, 2 * time.Hour})
	spec.Limits.Times = 10
	ctx, cancel := context.WithCancel(t.Context())
	queries := 0
	_, err := Run(ctx, c, spec, func(p Progress) { queries = p.Queries; cancel() })
	if !errors.Is(err, context.Canceled) || queries != 3 {
		t.Errorf("after a cancellation: %d queries, %v", queries, err)
	}
}

// A pod whose series are not those that were queried leaves a run without a verdict, and a release
// too.
func TestAFaultOfASeriesIsSaid(t *testing.T) {
	twice := pods(from(10 * time.Minute))
	p := newPast(t, append(twice, twice[3])...)
	got, err := Run(t.Context(), p.client(t), releases(Window{noon, 30 * time.Minute}), nil)
	if err != nil || got.UnusablePolls != 121 || got.IncompletePolls != 0 || got.Unjudged != 1 || got.Fired != 0 ||
		!strings.Contains(got.Text(1), `121 polls could not be used: Malformed: the response has two series for pod "shop-old-ccccc" where one is expected.`) {
		t.Errorf("%v\n%s", err, got.Text(1))
	}
}

// A pod of stable's whose counters are no numbers is left out like one that was not scraped, and
// the report says so. The regression of the candidate is found all the same.
func TestAValueThatIsNoNumberIsSaid(t *testing.T) {
	bad := pods(from(10 * time.Minute))
	bad[3].errors = func(time.Duration) float64 { return math.NaN() }
	p := newPast(t, bad...)
	spec := releases(Window{noon, 30 * time.Minute})
	got, err := Run(t.Context(), p.client(t), spec, nil)
	if err != nil || got.UnusablePolls != 0 || got.Unjudged != 0 || got.Fired != 1 || got.IncompletePolls != 121 ||
		!strings.Contains(got.Text(1), `121 polls lack pods, whose samples cannot be used: pod "shop-old-ccccc" reports the value NaN for errors_total: it must be finite and not negative.`) {
		t.Errorf("%v\n%s", err, got.Text(1))
	}
}

// What has no samples of one of the arms is said to be unjudged, not healthy.
func TestSilenceIsNoPass(t *testing.T) {
	p := newPast(t, pods(healthy)[1:]...)
	got, err := Run(t.Context(), p.client(t), releases(Window{noon, 30 * time.Minute}), nil)
	if err != nil || got.Unjudged != 1 || !strings.Contains(got.Text(1), "1 of them have no samples") {
		t.Errorf("%v\n%s", err, got.Text(1))
	}
}
