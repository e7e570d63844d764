package indicators

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/guardrails"
	"belay.dev/belay/controllers/sources"
)

// Kinds of what has an indicator.
const (
	kindSLO        = "SLO"
	kindInvariant  = "Invariant"
	kindSaturation = "Saturation"
)

// measure is an slo, an invariant or a saturation trigger, with what it counts.
type measure struct {
	kind, name string
	of         sources.Measure
}

func measuresOf(spec v1alpha1.GuardrailSpec) (all []measure) {
	for _, slo := range spec.SLOs {
		all = append(all, measure{kindSLO, slo.Name, sources.Measure{Indicator: slo.Indicator}})
	}
	for _, invariant := range spec.Invariants {
		name := invariant.Name
		// The name does not matter to the query: guardrails share it by the series alone.
		invariant.Name = ""
		all = append(all, measure{kindInvariant, name, sources.Measure{Invariant: &invariant}})
	}
	for _, trigger := range spec.Triggers {
		if trigger.Saturation != nil {
			load := prometheus.LoadOf(*trigger.Saturation)
			all = append(all, measure{kindSaturation, trigger.Name, sources.Measure{Load: &load}})
		}
	}
	return all
}

// text is the measure in messages.
func (m measure) text() string {
	switch m.kind {
	case kindSLO:
		return "slo " + m.name
	case kindSaturation:
		return "saturation trigger " + m.name
	default:
		return "invariant " + m.name
	}
}

// counts is what the measure counts of a Rollout, in messages.
func (m measure) counts(u use) string {
	switch {
	case m.kind != kindSLO:
		return "checks of the stable pods"
	case m.of.Indicator.By == v1alpha1.CountedByService:
		return "requests to Service " + u.pods.Services[0]
	case m.of.Indicator.By == v1alpha1.CountedByWorkload:
		return "requests to ReplicaSet " + u.pods.ReplicaSets[0]
	default:
		return "requests of the stable pods"
	}
}

// countedOf are what the measure counts by in so many Rollouts, in messages.
func (m measure) countedOf(rollouts int) string {
	by := "the stable pods of "
	switch m.of.Indicator.By {
	case v1alpha1.CountedByService:
		by = "the Services of "
	case v1alpha1.CountedByWorkload:
		by = "the stable ReplicaSets of "
	}
	return by + counted(rollouts, "Rollout", "Rollouts")
}

// unrouted says why a Rollout has nothing that the measure could count by, such as Services;
// nil when it has.
func (m measure) unrouted(u use) error {
	switch {
	case m.kind != kindSLO || prometheus.CountsByPod(m.of.Indicator):
		return nil
	case u.pods.StatefulSet != "":
		return prometheus.ErrByPodAlone
	case m.of.Indicator.By == v1alpha1.CountedByService && len(u.pods.Services) == 0:
		return prometheus.ErrNoServices
	default:
		return nil
	}
}

// mistakeOf says why a spec cannot be used, and what to write; empty without a mistake.
func mistakeOf(spec v1alpha1.GuardrailSpec) string {
	if mistake := guardrails.Mistake(spec); mistake != "" {
		return mistake
	}
	for _, m := range measuresOf(spec) {
		if err := m.of.Check(); err != nil {
			return m.text() + ": " + v1alpha1.Bounded(err.Error(), 700)
		}
	}
	if spec.Preflight == nil {
		return ""
	}
	for _, r := range spec.Preflight.Recorded {
		if _, err := prometheus.RecordedQuery(r, v1alpha1.MetricSourceLabels{}, "namespace"); err != nil {
			return "preflight.recorded: " + v1alpha1.Bounded(err.Error(), 700)
		}
	}
	return ""
}

// finding is what one indicator sees of one Rollout, or of several.
type finding struct {
	// rollout that it is about; empty when all are well.
	rollout string
	verdict analysis.Verdict
	counts  analysis.Counts
	// series of total, when they were counted.
	series int
	// left says which series of a Rollout, leftIn, are left out because of their values; empty
	// for none.
	left, leftIn string
	// unanswered is set when the source gave no usable response.
	unanswered bool
}

// probe asks for all indicators and Rollouts at once: the Prober shares queries among
// Rollouts, and among guardrails with the same indicator. The worst answer counts.
func (r *Reconciler) probe(ctx context.Context, s *subject, uses uses, now time.Time) {
	stable := uses.stable
	measures := measuresOf(s.spec)
	waiting := make([][]<-chan sources.Sighting, len(measures))
	denied := map[string]string{}
	for _, u := range stable {
		source, why, err := guardrails.PermittedSource(ctx, r.Client, u.pods.Namespace, s.spec.Source)
		if err != nil {
			why = "could not check whether the source may be used, retrying"
		}
		if why != "" {
			denied[u.rollout] = why
		}
		for i, m := range measures {
			answer := make(<-chan sources.Sighting)
			if why == "" && m.unrouted(u) == nil {
				answer = r.Prober.Probe(ctx, source, m.of, u.pods)
			}
			waiting[i] = append(waiting[i], answer)
		}
	}
	s.status.Indicators = nil
	worst, said := finding{verdict: analysis.Verdict{Reason: analysis.Healthy}}, ""
	for i, m := range measures {
		f, wrong := finding{verdict: analysis.Verdict{Reason: analysis.Healthy}}, []finding(nil)
		for j, u := range stable {
			one := finding{rollout: u.rollout, verdict: analysis.Verdict{Reason: analysis.SourceMissing, Message: denied[u.rollout]}}
			switch {
			case denied[u.rollout] != "":
			case m.unrouted(u) != nil:
				one.verdict = analysis.Verdict{Reason: analysis.NotRouted, Message: m.unrouted(u).Error()}
			default:
				one = m.await(ctx, u, waiting[i][j])
				r.notePace(s, m, u, one, now)
			}
			f = worse(f, one)
			if one.rank() > 1 {
				wrong = append(wrong, one)
			}
		}
		text := m.sees(f, len(stable), s.cluster != nil || s.status.Rollouts > 1)
		s.status.Indicators = append(s.status.Indicators, v1alpha1.IndicatorStatus{Kind: m.kind, Name: m.name, Reason: string(f.verdict.Reason), Message: v1alpha1.Bounded(text, 512), WrongIn: worstOf(wrong)})
		if f.rank() > worst.rank() {
			worst, said = f, m.text()+": "+text
		}
	}
	value, reason := worst.readiness()
	if reason == v1alpha1.ReasonMeasured {
		said = fmt.Sprintf("%s of the stable version of %s", counted(len(measures), "indicator sees its series", "indicators see their series"), counted(len(stable), "Rollout", "Rollouts"))
	}
	s.set(now, value, reason, said)
	r.setExclusions(s, uses, now)
}

func (m measure) await(ctx context.Context, u use, answer <-chan sources.Sighting) finding {
	f := finding{rollout: u.rollout}
	select {
	case got := <-answer:
		if got.Err != nil {
			f.verdict, f.unanswered = analysis.Verdict{Reason: got.Err.Reason, Message: got.Err.Message}, true
			return f
		}
		sight := got.Sights[0]
		sight.Version = analysis.Stable
		f.counts = sight.Counts
		if len(sight.Scopes) > 0 {
			f.series = sight.Scopes[0].Series
		}
		f.verdict, f.left = m.judge(got, sight, u), sight.LeftOut()
	case <-ctx.Done():
		f.verdict, f.unanswered = analysis.Verdict{Reason: analysis.Timeout, Message: "no response from the source yet"}, true
	}
	return f
}

// judge says what a measure sees of the stable version. While nothing that it counts can be
// used, it sees nothing; a gauge may be no number while there is nothing to measure.
func (m measure) judge(got sources.Sighting, sight analysis.Sight, u use) analysis.Verdict {
	if v, ok := analysis.JudgeSights(got.Scopes, m.of.MissingIsZero(), sight); !ok {
		return v
	}
	left := sight.LeftOut()
	switch v, ok := analysis.AllBad(sight.Counts, m.counts(u)); {
	case left != "" && sight.Total == 0 && m.kind != kindSaturation:
		return analysis.Verdict{Reason: analysis.Malformed, Message: "nothing can be counted: " + left}
	case left == "" && !ok:
		return v
	}
	return analysis.Verdict{Reason: analysis.Healthy}
}

// worstOf are the Rollouts of the worst findings.
func worstOf(wrong []finding) (rollouts []string) {
	slices.SortStableFunc(wrong, func(a, b finding) int { return b.rank() - a.rank() })
	for _, f := range wrong[:min(len(wrong), maxKept)] {
		rollouts = append(rollouts, f.rollout)
	}
	return rollouts
}

// worse is the worse one of two, with what both have counted, and what is left out of the first.
func worse(a, b finding) finding {
	sum, left, leftIn := a.counts.Add(b.counts), a.left, a.leftIn
	if left == "" {
		left, leftIn = b.left, b.rollout
	}
	if b.rank() > a.rank() {
		a = b
	}
	a.counts, a.left, a.leftIn = sum, left, leftIn
	return a
}

// ranks order what is found: a mistake that is certain comes before what may be one, and
// that before what says nothing about the guardrail.
var ranks = map[analysis.Reason]int{analysis.NeverSeen: 2, analysis.EverythingBad: 3, analysis.NoSeries: 4, analysis.BadQuery: 5, analysis.UnknownLabel: 6, analysis.NotRouted: 7, analysis.SourceMissing: 8}

func (f finding) rank() int {
	switch n, ok := ranks[f.verdict.Reason]; {
	case f.verdict.Reason == analysis.Healthy:
		return 0
	case f.unanswered || !ok:
		return 1
	default:
		return n
	}
}

// readiness is the condition's status and reason for the worst finding.
func (f finding) readiness() (metav1.ConditionStatus, string) {
	if f.unanswered {
		return metav1.ConditionUnknown, v1alpha1.ReasonSourceUnusable
	}
	switch f.verdict.Reason {
	case analysis.Healthy:
		return metav1.ConditionTrue, v1alpha1.ReasonMeasured
	case analysis.UnknownLabel:
		return metav1.ConditionFalse, v1alpha1.ReasonUnknownLabel
	case analysis.NeverSeen:
		return metav1.ConditionFalse, v1alpha1.ReasonNeverSeen
	case analysis.NoSeries:
		return metav1.ConditionFalse, v1alpha1.ReasonNoSeries
	case analysis.EverythingBad:
		return metav1.ConditionFalse, v1alpha1.ReasonEverythingBad
	case analysis.BadQuery:
		return metav1.ConditionFalse, v1alpha1.ReasonNoBucket
	case analysis.NotRouted:
		return metav1.ConditionFalse, v1alpha1.ReasonNotRouted
	case analysis.SourceMissing:
		return metav1.ConditionFalse, v1alpha1.ReasonMetricSourceDenied
	default:
		return metav1.ConditionUnknown, v1alpha1.ReasonSourceUnusable
	}
}

// sees says what an indicator sees, or what is wrong with it.
func (m measure) sees(f finding, rollouts int, several bool) string {
	text := m.found(f, rollouts, several)
	switch {
	case f.left == "" || f.verdict.Reason != analysis.Healthy:
		return text
	case several:
		return fmt.Sprintf("%s; Rollout %s: %s", text, f.leftIn, f.left)
	default:
		return text + "; " + f.left
	}
}

func (m measure) found(f finding, rollouts int, several bool) string {
	pods := m.countedOf(rollouts)
	switch {
	case f.verdict.Reason == analysis.Healthy && m.kind == kindSaturation:
		return "its series exist on " + pods
	case f.verdict.Reason == analysis.Healthy && f.counts.Total == 0:
		return "its series exist; nothing has been counted on " + pods
	case f.verdict.Reason == analysis.Healthy && m.kind == kindInvariant:
		return fmt.Sprintf("%.0f checks and %.0f violations since %s started", f.counts.Total, f.counts.Bad, pods)
	case f.verdict.Reason == analysis.Healthy && !prometheus.CountsByPod(m.of.Indicator):
		return fmt.Sprintf("%.0f requests to %s, %.0f of them bad, since their counters began", f.counts.Total, pods, f.counts.Bad)
	case f.verdict.Reason == analysis.Healthy:
		return fmt.Sprintf("%.0f requests, %.0f of them bad, since %s started", f.counts.Total, f.counts.Bad, pods)
	case several:
		return fmt.Sprintf("Rollout %s: %s", f.rollout, f.verdict.Message)
	default:
		return f.verdict.Message
	}
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
