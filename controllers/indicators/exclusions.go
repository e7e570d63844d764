package indicators

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/triggers"
	"belay.dev/belay/api/v1alpha1"
)

// maxExclusions is the API's own bound.
const maxExclusions = 16

// shortfalls order what is wrong, and have the API's word for it.
var shortfalls = []struct {
	of     analysis.Shortfall
	reason string
}{
	{analysis.StableTooBad, v1alpha1.ReasonStableTooBad},
	{analysis.NoRequests, v1alpha1.ReasonNoRequests},
	{analysis.DeadlineTooShort, v1alpha1.ReasonDeadlineTooShort},
	{analysis.HoldTooShort, v1alpha1.ReasonHoldTooShort},
}

// excluding are the triggers that demand that something is excluded.
func excluding(spec v1alpha1.GuardrailSpec) (demanding []v1alpha1.Trigger) {
	for _, t := range spec.Triggers {
		if t.Regression != nil && t.Regression.Exclude != "" {
			demanding = append(demanding, t)
		}
	}
	return demanding
}

// notePace keeps what a probe has counted, for slos of which something must be excluded.
func (r *Reconciler) notePace(s *subject, m measure, u use, f finding, now time.Time) {
	isExcluded := slices.ContainsFunc(excluding(s.spec), func(t v1alpha1.Trigger) bool { return t.SLO == m.name })
	if m.kind == kindSLO && isExcluded && f.verdict.Reason == analysis.Healthy {
		r.paces.note(s.kind, nameIn(s.object), u.rollout, m.name, probed{now, u.counters(m.of.Indicator), f.series, f.counts}, r.Every/2)
	}
}

// setExclusions warns of Rollouts whose steps are too short. Those that were not looked at
// now, or whose rate is not known yet, keep their warning.
func (r *Reconciler) setExclusions(s *subject, u uses, now time.Time) {
	demanding := excluding(s.spec)
	if len(demanding) == 0 {
		s.withoutExclusions()
		return
	}
	before := meta.FindStatusCondition(s.status.Conditions, v1alpha1.ConditionExclusionReachable)
	if before != nil && before.ObservedGeneration != s.object.GetGeneration() {
		s.withoutExclusions()
		before = nil
	}
	r.paces.keep(s.kind, nameIn(s.object), u.names)
	all := slices.DeleteFunc(s.status.Exclusions, func(e v1alpha1.ExclusionStatus) bool {
		_, bound := slices.BinarySearch(u.names, e.Rollout)
		return !bound
	})
	known := 0
	for _, one := range u.stable {
		for _, t := range demanding {
			pace, ok := r.paces.of(s.kind, nameIn(s.object), one.rollout, t.SLO)
			if !ok {
				continue
			}
			known++
			all = slices.DeleteFunc(all, func(e v1alpha1.ExclusionStatus) bool { return e.Rollout == one.rollout && e.Trigger == t.Name })
			if short, message := triggers.PowerOf(s.spec, t, one.spec, pace.rate, pace.ratio).Judge(); short != "" {
				all = append(all, v1alpha1.ExclusionStatus{Rollout: one.rollout, Trigger: t.Name, Reason: reasonOf(short), Message: v1alpha1.Bounded(message, 512)})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b v1alpha1.ExclusionStatus) int { return severity(a) - severity(b) })
	more := len(all) - min(len(all), maxExclusions)
	s.status.Exclusions = all[:len(all)-more]
	s.setExclusionReachable(before, known, now)
}

func (s *subject) setExclusionReachable(before *metav1.Condition, known int, now time.Time) {
	c := metav1.Condition{Type: v1alpha1.ConditionExclusionReachable, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonHoldsSuffice,
		Message:            "the steps of the Rollouts that were looked at are long enough, at their present rates of requests, for what regression.exclude demands",
		ObservedGeneration: s.object.GetGeneration(), LastTransitionTime: metav1.NewTime(now)}
	switch {
	case len(s.status.Exclusions) > 0:
		worst := s.status.Exclusions[0]
		c.Status, c.Reason = metav1.ConditionFalse, worst.Reason
		c.Message = fmt.Sprintf("trigger %s: Rollout %s: %s", worst.Trigger, worst.Rollout, worst.Message)
		if n := len(s.status.Exclusions); n > 1 {
			c.Message += fmt.Sprintf("; status.exclusions has %d", n)
		}
	case known == 0 && before != nil && before.Status != metav1.ConditionFalse:
		return
	case known == 0:
		c.Status, c.Reason, c.Message = metav1.ConditionUnknown, v1alpha1.ReasonRateUnknown, "the rate of requests is not known yet: it takes two probes of a Rollout"
	}
	meta.SetStatusCondition(&s.status.Conditions, c)
}

func (s *subject) withoutExclusions() {
	s.status.Exclusions = nil
	meta.RemoveStatusCondition(&s.status.Conditions, v1alpha1.ConditionExclusionReachable)
}

func severity(e v1alpha1.ExclusionStatus) int {
	for i, s := range shortfalls {
		if s.reason == e.Reason {
			return i
		}
	}
	return len(shortfalls)
}

func reasonOf(short analysis.Shortfall) string {
	for _, s := range shortfalls {
		if s.of == short {
			return s.reason
		}
	}
	return v1alpha1.ReasonHoldTooShort
}
