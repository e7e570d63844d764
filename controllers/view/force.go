package view

import "belay.dev/belay/api/v1alpha1"

// What stands in an offered command for what a person has to give.
const (
	AnyImage     = "IMAGE"
	AnyContainer = "CONTAINER"
)

// force is the bypass that helps where a version waits for what may not come, and its effect;
// empty elsewhere: a candidate on its way has kubectl belay promote, which keeps the bake.
func force(in Input, state State) (name, effect string) {
	s, push := &in.Rollout.Status, unseen(in)
	then := " goes to all pods" + wordsOf(in.Rollout).pace + ", unjudged"
	switch {
	case s.Phase == v1alpha1.PhaseRolledBack || s.Phase == v1alpha1.PhaseRollingBack:
		// What is declared was rejected. A fix is another version.
		return "bypass --image " + container(in) + "=" + AnyImage, "a fix" + then
	case push != nil:
		return "bypass", plainTag(push) + then
	case s.Phase != v1alpha1.PhaseGating && !s.Phase.Armed() && !firedNative(s):
		return "", ""
	case state == StateWaiting || state == StateHolding || state == StateStalled || state == StateUnjudged:
		return "bypass", plainTag(s.Candidate) + then
	default:
		return "", ""
	}
}

// firedNative is whether a trigger stopped a native promotion, which nothing but a person ends.
func firedNative(s *v1alpha1.RolloutStatus) bool {
	c := condition(s, v1alpha1.ConditionStalled)
	return s.Phase == v1alpha1.PhaseHandingOver && c != nil && c.Reason == v1alpha1.ReasonTriggerFired
}

// container is the name of the workload's first one, or what stands for it.
func container(in Input) string {
	if d := declared(in); d != nil && len(d.Images) > 0 && d.Images[0].Container != "" {
		return Text(d.Images[0].Container, 63)
	}
	return AnyContainer
}
