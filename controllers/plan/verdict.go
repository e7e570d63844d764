package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// ReasonJudgeSilent is the reason of an Error verdict when the analysis loop has
// written nothing for longer than it should.
const ReasonJudgeSilent = "JudgeSilent"

// ReasonPending is the reason of an Inconclusive verdict before the first one.
const ReasonPending = "Pending"

// Armed is one trigger that a run must pass, with its newest verdict.
type Armed struct {
	// Kind of the guardrail: Guardrail or ClusterGuardrail.
	Kind      string
	Guardrail string
	Trigger   string
	// Observes is set for a trigger in mode Observe, which decides nothing.
	Observes bool
	// OfRequests is set for a trigger that is judged by requests alone, in a step in which
	// no user's reach the candidate: a lack of requests is then no reason to hold.
	OfRequests bool
	// Uncompared is set for a trigger that judges a comparer's counts, while nothing is copied
	// to the comparer: a lack of requests is then no reason to hold either.
	Uncompared bool
	// Budget is the ratio of bad requests that the trigger's slo allows; 0 without one.
	Budget float64
	// Blind is what to do without a usable answer.
	Blind v1alpha1.WhenBlind
	// Verdict is nil before the first one.
	Verdict *v1alpha1.TriggerAnalysis
	// SilentAfter is how old a verdict may be before the judge counts as silent;
	// 0 for triggers that are judged in every reconcile.
	SilentAfter time.Duration
}

func (a Armed) name() string { return v1alpha1.TriggerName(a.Kind, a.Guardrail, a.Trigger) }

// Sum combines the armed triggers. Those that only observe are counted and
// referred to, and decide nothing. A pass counts only when its samples were
// taken after from, the time the gateway acknowledged the present weight; a
// fail counts whenever it was found. With no trigger that enforces the outcome
// is Pass: the step then rests on readiness and time alone.
func Sum(armed []Armed, from, now time.Time) Verdict {
	sum := Verdict{Outcome: v1alpha1.VerdictPass}
	var enforced []Armed
	for _, a := range armed {
		outcome, reason, message := a.judge(from, now)
		sum.References = append(sum.References, a.reference(outcome, reason))
		excused := a.excused(reason, from)
		if excused {
			sum.Excused = append(sum.Excused, a.name())
		}
		if a.Observes {
			sum.Observed++
			continue
		}
		if excused {
			continue
		}
		enforced = append(enforced, a)
		if outcome == v1alpha1.VerdictPass {
			sum.Passing++
		}
		if worse(outcome, sum.Outcome) {
			sum.Outcome, sum.Reason, sum.Message, sum.Trigger = outcome, reason, message, a.name()
		}
	}
	sum.Total = len(enforced)
	sum.takeBlind(enforced, from, now)
	sum.noteChanged(enforced, from, now)
	slices.SortStableFunc(sum.References, func(a, b v1alpha1.VerdictReference) int {
		return b.Mode.Decisive(b.Outcome).Severity() - a.Mode.Decisive(a.Outcome).Severity()
	})
	sum.References = sum.References[:min(len(sum.References), v1alpha1.MaxTriggers)]
	return sum
}

// ImageTrigger names in a verdict what no guardrail asks for: that the candidate is one
// image.
const ImageTrigger = "image"

// Unless returns the verdict, Inconclusive by ImageTrigger when there is a message of why
// it says nothing of one version. What rolls back goes before it.
func (v Verdict) Unless(reason, message string) Verdict {
	if message == "" {
		return v
	}
	ref := v1alpha1.VerdictReference{Trigger: ImageTrigger, Outcome: v1alpha1.VerdictInconclusive, Reason: reason}
	v.References = append([]v1alpha1.VerdictReference{ref}, v.References...)
	v.References = v.References[:min(len(v.References), v1alpha1.MaxTriggers)]
	if v.Outcome != v1alpha1.VerdictFail && !v.BlindRollback {
		v.Outcome, v.Reason, v.Trigger, v.Message = v1alpha1.VerdictInconclusive, reason, ImageTrigger, message
	}
	return v
}

func worse(a, b v1alpha1.VerdictOutcome) bool { return a.Severity() > b.Severity() }

func (a Armed) judge(from, now time.Time) (v1alpha1.VerdictOutcome, string, string) {
	v := a.Verdict
	if v == nil {
		return v1alpha1.VerdictInconclusive, ReasonPending, "not evaluated yet"
	}
	if v.Outcome == v1alpha1.VerdictFail {
		return v.Outcome, v.Reason, v.Message
	}
	if a.SilentAfter > 0 && v.EvaluatedAt != nil && v1alpha1.IsFuture(v.EvaluatedAt.Time, now) {
		return v1alpha1.VerdictError, ReasonJudgeSilent, "the newest verdict is later than the controller's clock, which was set back: waiting for a new one"
	}
	if a.SilentAfter > 0 && (v.EvaluatedAt == nil || now.Sub(v.EvaluatedAt.Time) > a.SilentAfter) {
		return v1alpha1.VerdictError, ReasonJudgeSilent, fmt.Sprintf("the analysis has written no verdict for more than %s", a.SilentAfter)
	}
	if v.Outcome == v1alpha1.VerdictPass && a.SilentAfter > 0 && (v.SamplesFrom == nil || v.SamplesFrom.Time.Before(from.Truncate(time.Second))) {
		return v1alpha1.VerdictInconclusive, ReasonPending, "not evaluated at this weight yet"
	}
	return v.Outcome, v.Reason, v.Message
}

// excused reports whether the newest verdict, from the present step, is that there were no
// requests, or not enough, where none of a user's could come. What those that came say
// otherwise counts as ever, and what they are: in a preview too few to judge by are no reason to
// go on when they are bad. What was compared has been judged where it was.
func (a Armed) excused(reason string, from time.Time) bool {
	fresh := a.Verdict != nil && a.Verdict.EvaluatedAt != nil && !a.Verdict.EvaluatedAt.Time.Before(from.Truncate(time.Second))
	return fresh && (a.Uncompared || a.OfRequests && !a.sawBad()) && slices.Contains(v1alpha1.ReasonsWithoutRequests(), reason)
}

// leastBad is how many requests must be bad: with fewer, single ones decide.
const leastBad = 3

// sawBad reports whether more of the candidate's requests in this run were bad than the slo
// allows.
func (a Armed) sawBad() bool {
	seen := a.Verdict.Canary
	return seen != nil && seen.Bad >= leastBad && float64(seen.Bad) > a.Budget*float64(seen.Total)
}

func (a Armed) reference(outcome v1alpha1.VerdictOutcome, reason string) v1alpha1.VerdictReference {
	ref := v1alpha1.VerdictReference{Trigger: a.name(), Outcome: outcome, Reason: reason}
	if a.Observes {
		ref.Mode = v1alpha1.ModeObserve
	}
	if a.Verdict != nil {
		ref.SamplesSHA256 = a.Verdict.SamplesSHA256
	}
	return ref
}

// takeBlind names the first trigger whose whenBlind says to roll back, unless one
// failed: it is the reason for what follows, however many others are unknown.
func (v *Verdict) takeBlind(armed []Armed, from, now time.Time) {
	for _, a := range armed {
		message, ok := a.blindTooLong(from, now)
		if !ok {
			continue
		}
		v.BlindRollback = true
		if v.Outcome != v1alpha1.VerdictFail {
			outcome, reason, _ := a.judge(from, now)
			v.Outcome, v.Reason, v.Trigger, v.Message = outcome, reason, a.name(), message
		}
		return
	}
}

// blindTooLong reports whether whenBlind says to roll back now, and why.
func (a Armed) blindTooLong(from, now time.Time) (message string, ok bool) {
	outcome, _, message := a.judge(from, now)
	unknown := outcome != v1alpha1.VerdictPass && outcome != v1alpha1.VerdictFail
	if !unknown || a.Blind.Then != v1alpha1.Rollback || a.Verdict == nil || a.Verdict.BlindSince == nil {
		return "", false
	}
	blind := now.Sub(a.Verdict.BlindSince.Time)
	if blind <= a.Blind.Hold.Duration {
		return "", false
	}
	return fmt.Sprintf("no usable answer for %s, whenBlind allows %s: %s", blind.Round(time.Second), a.Blind.Hold.Duration, message), true
}

// WouldRollBack returns the first trigger in mode Observe that would roll back now and
// is not noted yet; nil without one.
func WouldRollBack(armed []Armed, noted []v1alpha1.ObservedFail, from, now time.Time) *ObservedVerdict {
	if len(noted) >= v1alpha1.MaxTriggers {
		return nil
	}
	for _, a := range armed {
		if !a.Observes || isNoted(noted, a.name()) {
			continue
		}
		if outcome, _, message := a.judge(from, now); outcome == v1alpha1.VerdictFail {
			return &ObservedVerdict{Trigger: a.name(), Message: message}
		}
		if message, ok := a.blindTooLong(from, now); ok {
			return &ObservedVerdict{Trigger: a.name(), Message: message}
		}
	}
	return nil
}

// noteChanged says of a guardrail that was changed during the run and still holds it
// as it was at its start, what the changed one says and how to be rid of the first.
// Those that a run takes in have the name of the first, then `@` and a hash.
func (v *Verdict) noteChanged(armed []Armed, from, now time.Time) {
	at := slices.IndexFunc(armed, func(a Armed) bool { return a.name() == v.Trigger })
	if at < 0 || v.Outcome == v1alpha1.VerdictFail {
		return
	}
	pinned, changed, passes := armed[at], false, true
	for _, a := range armed {
		if a.Kind == pinned.Kind && strings.HasPrefix(a.Guardrail, pinned.Guardrail+"@") {
			outcome, _, _ := a.judge(from, now)
			changed, passes = true, passes && outcome == v1alpha1.VerdictPass
		}
	}
	if !changed {
		return
	}
	does := "applies too"
	if passes {
		does = "passes"
	}
	v.Message = fmt.Sprintf("%s; this is %s %s as it was when the run started, and its changed version %s: abort and retry to use that alone",
		v1alpha1.Bounded(v.Message, 600), pinned.Kind, pinned.Guardrail, does)
}
