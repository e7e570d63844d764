package invariants

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// Freeze returns the result with the condition InvariantViolated, and what is
// violated. A result that would give the candidate more while anything is violated
// is held back: nothing is recorded or done, and the status says why. Everything
// else goes on, rollbacks above all.
func Freeze(in plan.Input, t plan.Result) (plan.Result, []Violation) {
	violations := append(Observed(in), Of(in, t.Decision)...)
	if len(violations) == 0 {
		show(in, &t, metav1.ConditionFalse, v1alpha1.ReasonSelfCheckPassed, "all self-checks pass")
		return t, nil
	}
	first := violations[0]
	message := first.Name + ": " + first.Message
	if n := len(violations) - 1; n > 0 {
		message += fmt.Sprintf("; and %d more", n)
	}
	if increases(in, t.Decision) {
		t = hold(in, t, message)
	}
	show(in, &t, metav1.ConditionTrue, v1alpha1.ReasonSelfCheckFailed, message)
	return t, violations
}

// increases reports whether a decision gives the candidate more requests or pods,
// or takes it a stage further.
func increases(in plan.Input, d plan.Decision) bool {
	from, to := in.Status.Phase, d.Status.Phase
	advances := from != to && (to == v1alpha1.PhaseStepping || to == v1alpha1.PhasePromoting || to == v1alpha1.PhaseBaking ||
		to == v1alpha1.PhaseHandingOver && from.Armed() && !unjudged(d.Status.Promotion))
	if was, is := in.Status.Step, d.Status.Step; was != nil && is != nil && is.Index > was.Index {
		advances = true
	}
	if from == v1alpha1.PhaseHandingOver {
		// Its shares and sizes follow what the candidate has already: only the change of
		// the owner gives it more.
		_, hands := d.Effect.(plan.HandOver)
		return hands
	}
	switch e := d.Effect.(type) {
	case plan.SetSplit:
		return advances || in.Route.Split != nil && e.Weight > *in.Route.Split
	case plan.ScaleCanary:
		return advances || e.Replicas > in.Canary.Desired
	default:
		return advances
	}
}

// unjudged is a version that a person or necessity lets through: nothing holds it.
func unjudged(p *v1alpha1.PromotionStatus) bool {
	return p != nil && (p.Mode == v1alpha1.TakeOverBypass || p.Mode == v1alpha1.TakeOverUnserved)
}

// hold keeps everything as it is until the next look.
func hold(in plan.Input, t plan.Result, message string) plan.Result {
	d := plan.Decision{
		Rule: t.Rule, Why: fmt.Sprintf("%s is held back, a self-check fails: %s; the weight stays, a rollback would not be held back", t.Rule, message),
		Status: *in.Status.DeepCopy(), Standing: plan.Standing{State: plan.Stuck, Reason: v1alpha1.ReasonSelfCheckFailed}, Recheck: in.Watchdog,
	}
	return plan.Shown(in, d)
}

func show(in plan.Input, t *plan.Result, value metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&t.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionInvariantViolated, Status: value, Reason: reason, Message: message[:min(len(message), 1024)],
		ObservedGeneration: in.Generation, LastTransitionTime: metav1.NewTime(in.Now.Truncate(time.Second)),
	})
}
