package plan

import (
	"fmt"
	"strings"

	"belay.dev/belay/api/v1alpha1"
)

// How messages name the workload, and the commands for it.

// kind is the workload's.
func (f *facts) kind() string {
	if f.ordered() {
		return v1alpha1.KindStatefulSet
	}
	return v1alpha1.KindDeployment
}

// workload is what messages call it.
func (f *facts) workload() string { return "the " + f.kind() }

// resource is the workload as kubectl takes it.
func (f *facts) resource() string {
	return strings.ToLower(f.kind()) + "/" + f.in.Spec.WorkloadRef.Name
}

// letRoll is the command that lets the workload roll to what it declares.
func (f *facts) letRoll() string {
	if f.ordered() {
		return fmt.Sprintf(`%s patch %s --type=merge -p '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}'`, f.kubectl(), f.resource())
	}
	return fmt.Sprintf("%s rollout resume %s", f.kubectl(), f.resource())
}

// stopped is what keeps the workload at another version than it declares.
func (f *facts) stopped() string {
	if f.ordered() {
		return "held"
	}
	return "paused"
}

// let is the opposite of stopped.
func (f *facts) let() string {
	if f.ordered() {
		return "released"
	}
	return "resumed"
}

// unpausing is the write that lets the workload roll.
func (f *facts) unpausing(what string) string {
	if f.ordered() {
		return fmt.Sprintf("lowering the partition of %s to 0", what)
	}
	return "unpausing " + what
}

// handedOver is why weights do not lead back any more.
func (f *facts) handedOver() string {
	if f.ordered() {
		return "the StatefulSet runs it on all pods"
	}
	return "the Deployment owns the canary's ReplicaSet"
}
