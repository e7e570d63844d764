package invariants

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// Check returns what is wrong with the state that was observed and with the decision
// on it, or nothing.
func Check(in plan.Input, d plan.Decision) []Violation {
	return append(Observed(in), Of(in, d)...)
}

// Freeze returns the result with the condition InvariantViolated, which says what
// Check has found. A result that would give the candidate more while anything is
// violated is held back: nothing is recorded or done, and the status says why.
// Everything else goes on, rollbacks above all.
func Freeze(in plan.Input, t plan.Result, violations []Violation) plan.Result {
	if len(violations) == 0 {
		plan.SetCondition(in, &t.Decision, v1alpha1.ConditionInvariantViolated, metav1.ConditionFalse, v1alpha1.ReasonSelfCheckPassed, "all self-checks pass")
		return t
	}
	first := violations[0]
	message := first.Name + ": " + first.Message
	if n := len(violations) - 1; n > 0 {
		message += fmt.Sprintf("; and %d more", n)
	}
	if increases(in, t.Decision) {
		t = hold(in, t, message)
	}
	plan.SetCondition(in, &t.Decision, v1alpha1.ConditionInvariantViolated, metav1.ConditionTrue, v1alpha1.ReasonSelfCheckFailed, message)
	return t
}

// increases reports whether a decision gives the candidate more requests or pods,
// or takes it to its next step or phase.
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
		_, hands := plan.EffectOf[plan.HandOver](d)
		e, scales := plan.EffectOf[plan.ScaleCanary](d)
		return hands || in.Spec.WorkloadRef.Ordered() && scales && e.Replicas > in.Canary.Desired
	}
	if e, ok := plan.EffectOf[plan.SetSplit](d); ok && in.Route.Split != nil {
		invites := e.Testers != nil && !equality.Semantic.DeepEqual(e.Testers, in.Route.Testers)
		invites = invites || e.Mirror > 0 && e.Mirror != in.Route.Mirror
		advances = advances || e.Weight > *in.Route.Split || invites
	}
	if e, ok := plan.EffectOf[plan.ScaleCanary](d); ok {
		advances = advances || e.Replicas > in.Canary.Desired
	}
	return advances
}

// unjudged is a version that a person or necessity lets through: nothing holds it.
func unjudged(p *v1alpha1.PromotionStatus) bool {
	return p != nil && (p.Mode == v1alpha1.TakeOverBypass || p.Mode == v1alpha1.TakeOverUnserved)
}

// hold keeps everything as it is until the next look.
func hold(in plan.Input, t plan.Result, message string) plan.Result {
	d := plan.Decision{
		Rule: t.Rule, Why: fmt.Sprintf("%s is not carried out, because a self-check fails: %s; the weight stays, and triggers still roll back", t.Rule, message),
		Status: *in.Status.DeepCopy(), Progress: plan.Stalled, Reason: v1alpha1.ReasonSelfCheckFailed, Recheck: in.Watchdog,
	}
	if a := in.Action; a != nil {
		// A command is answered once, and not carried out when the self-check passes later.
		d.Why = fmt.Sprintf("%s refused: a self-check fails: %s; give it again when that has ended", a.Action, message)
		d.Status.Remember(v1alpha1.HandledAction{Action: a.Action, Token: a.Token, By: a.By, Refused: v1alpha1.Bounded(d.Why, 512), At: metav1.NewTime(in.Now.Truncate(time.Second))})
	}
	return plan.Shown(in, d)
}
