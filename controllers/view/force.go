package view

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/workload"
)

// What stands in an offered command for what a person has to give.
const (
	AnyImage     = "IMAGE"
	AnyContainer = "CONTAINER"
)

// force is the bypass that helps where a version waits for what may not come, and its effect;
// empty elsewhere: a candidate on its way has kubectl belay promote, which keeps the bake.
func force(in Input, state State) (name, effect string) {
	s := &in.Rollout.Status
	const then = " goes to all pods at once, unjudged"
	switch {
	case s.Phase == v1alpha1.PhaseRolledBack || s.Phase == v1alpha1.PhaseRollingBack:
		// What is declared was rejected. A fix is another version.
		return "bypass --image " + container(in.Deployment) + "=" + AnyImage, "a fix" + then
	case unseen(in) != "":
		return "bypass", plainTag(declared(in)) + then
	case s.Phase != v1alpha1.PhaseGating && !s.Phase.Armed() && !firedNative(s):
		return "", ""
	case state == StateWaiting || state == StateHolding || state == StateStalled || silence(in) > 0:
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

// container is the name of the Deployment's first one, or what stands for it.
func container(deployment *unstructured.Unstructured) string {
	if deployment != nil {
		containers, _, _ := unstructured.NestedSlice(workload.Template(deployment), "spec", "containers")
		if len(containers) > 0 {
			first, _ := containers[0].(map[string]any)
			if name, _ := first["name"].(string); name != "" {
				return Text(name, 63)
			}
		}
	}
	return AnyContainer
}
