package backtest

import (
	"fmt"
	"slices"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/presets"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/analysis/triggers"
	"belay.dev/belay/api/v1alpha1"
)

// measure is one query of the guardrail, and the triggers that are judged by it.
type measure struct {
	// name is slo/ or invariant/ and the name.
	name     string
	query    string
	warmUps  []time.Duration
	triggers []v1alpha1.Trigger
	// reader is the client that names the metrics in messages.
	reader func(*prometheus.Client) *prometheus.Client
}

// read is the source that answers the measure's query.
func (m measure) read(source Source) Source {
	if c, ok := source.(*prometheus.Client); ok {
		return m.reader(c)
	}
	return source
}

// measures lists the queries that the guardrail's triggers need, each once.
func (s *Spec) measures() ([]measure, error) {
	s.Guardrail.Triggers = s.Guardrail.EffectiveTriggers()
	s.Guardrail = presets.Fill(s.Guardrail)
	pods := prometheus.Pods{Namespace: s.Namespace, ReplicaSets: s.Arms.sets(), Labels: s.Labels}
	var out []measure
	add := func(name string, warmUps []time.Duration, query string, err error, reader func(*prometheus.Client) *prometheus.Client, uses func(v1alpha1.Trigger) bool) error {
		if err != nil {
			return fmt.Errorf("write the query of %s: %w", name, err)
		}
		if of := slices.DeleteFunc(slices.Clone(s.Guardrail.Triggers), func(t v1alpha1.Trigger) bool { return !uses(t) }); len(of) > 0 {
			out = append(out, measure{name, query, warmUps, of, reader})
		}
		return nil
	}
	for _, slo := range s.Guardrail.SLOs {
		query, err := prometheus.IndicatorQuery(slo.Indicator, pods)
		if !prometheus.CountsByPod(slo.Indicator) {
			err = fmt.Errorf("a backtest compares pods, and the indicator counts by %s: count by Pod, or leave this slo out", slo.Indicator.By)
		}
		reader := func(c *prometheus.Client) *prometheus.Client { return c.Reading(slo.Indicator) }
		if err := add("slo/"+slo.Name, triggers.WarmUps(s.Guardrail, slo.Name), query, err, reader, func(t v1alpha1.Trigger) bool { return t.SLO == slo.Name }); err != nil {
			return nil, err
		}
	}
	for _, invariant := range s.Guardrail.Invariants {
		query, err := prometheus.InvariantQuery(invariant, pods)
		reader := func(c *prometheus.Client) *prometheus.Client { return c.ReadingInvariant(invariant) }
		if err := add("invariant/"+invariant.Name, nil, query, err, reader, func(t v1alpha1.Trigger) bool { return t.Invariant == invariant.Name }); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// regressions is the number of triggers that share the bound on a run's false alarms.
func (s *Spec) regressions() int {
	n := 0
	for _, t := range s.Guardrail.Triggers {
		if t.Regression != nil {
			n++
		}
	}
	return n
}

// release is one that is judged by one measure.
type release struct {
	window int
	Window
	split  split
	ledger analysis.Ledger
	// states are the evidence of each of the measure's triggers, and fired is set for those
	// that have fired: that is final.
	states []analysis.RegressionState
	fired  []bool
	judged bool
}

// stage of the release at a time: the candidate's weight, and when it began.
func (r *release) stage(stages []Stage, at time.Time) (weight int, from time.Time) {
	weight, from = r.split.weight, r.Start
	for _, stage := range stages {
		if begins := r.Start.Add(stage.After); !begins.After(at) {
			weight, from = stage.Weight, begins
		}
	}
	return weight, from
}

// track judges the releases by one measure, in order of time.
type track struct {
	spec    *Spec
	measure measure
	book    *book
	ready   readiness
	// next window to begin.
	next   int
	active []*release
}

// poll judges what a response says about the releases whose windows it is in.
func (t *track) poll(answer prometheus.Response) error {
	for t.next < len(t.spec.Windows) && !t.spec.Windows[t.next].Start.After(answer.At) {
		t.begin(t.next)
		t.next++
	}
	t.active = slices.DeleteFunc(t.active, func(r *release) bool {
		if over := r.end().Before(answer.At); over {
			t.book.ended(r)
			return true
		}
		return false
	})
	if len(t.active) > t.spec.Limits.Active {
		return fmt.Errorf("at %s there are %d releases at the same time, the limit Active is %d: let windows overlap less, use fewer seeds, or raise it", stamp(answer.At), len(t.active), t.spec.Limits.Active)
	}
	if len(answer.Faults) > 0 && len(t.active) > 0 {
		// A run gets no verdict from such a response either.
		t.book.unusable(answer.Faults[0].Err)
		return nil
	}
	if len(t.active) > 0 {
		t.book.incomplete(answer.Counters)
	}
	for _, r := range t.active {
		t.judge(r, answer)
	}
	return nil
}

func (t *track) begin(window int) {
	seeds := t.spec.Arms.Seeds
	if len(seeds) == 0 {
		seeds = []uint64{0}
	}
	for _, seed := range seeds {
		n := len(t.measure.triggers)
		t.active = append(t.active, &release{
			window: window, Window: t.spec.Windows[window], split: split{arms: &t.spec.Arms, seed: seed},
			states: make([]analysis.RegressionState, n), fired: make([]bool, n),
		})
	}
}

func (t *track) judge(r *release, answer prometheus.Response) {
	counted, judged := r.split.polls(&answer, t.ready)
	counted.ScrapeInterval, counted.WarmUps = t.spec.ScrapeInterval, t.measure.warmUps
	weight, from := r.stage(t.spec.Stages, answer.At)
	r.ledger = r.ledger.Advance(counted, from)
	look := triggers.Look{
		Counted: counted, Judged: judged, Ledger: r.ledger, Regressions: t.spec.regressions(),
		Quality: analysis.Quality{
			ScrapeInterval: t.spec.ScrapeInterval, ReadyPods: ready(judged.Canary), Weight: weight,
			Background: []float64{1 / t.spec.ScrapeInterval.Seconds()},
		},
	}
	if anyUsable(judged.Canary) && anyUsable(judged.Stable) {
		r.judged = true
	}
	for i, trigger := range t.measure.triggers {
		if r.fired[i] {
			continue
		}
		v, after := triggers.Judge(t.spec.Guardrail, trigger, look, r.states[i])
		if after != nil {
			r.states[i] = *after
		}
		if v.Outcome() == analysis.Fail {
			r.fired[i] = true
			t.book.fire(r, trigger.Name, v, answer.At)
		}
	}
}

func anyUsable(pods []analysis.PodCounter) bool {
	return slices.ContainsFunc(pods, func(c analysis.PodCounter) bool { return c.Fault() == "" })
}

// finish ends the releases whose windows end with the data.
func (t *track) finish() {
	for _, r := range t.active {
		t.book.ended(r)
	}
	t.active = nil
}
