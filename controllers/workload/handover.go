package workload

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"belay.dev/belay/api/v1alpha1"
)

// The writes of a handover, as JSON patches (types.JSONPatchType) to send to the API
// server. Each tests the state that it was decided on, and is refused when that has
// changed: then read and decide again. A nil patch without an error means that the object
// already is as wanted.

// Lock sets the label belay.dev/handover on the Deployment: from then on the guard
// refuses changes of its template. The rest of the handover must use the object that
// this write returns. It fails while the Deployment has the lock of another run.
func Lock(deployment *unstructured.Unstructured, run string) ([]byte, error) {
	wanted := v1alpha1.RunLabel(run)
	if present, ok := deployment.GetLabels()[v1alpha1.LabelHandover]; ok {
		if present == wanted {
			return nil, nil
		}
		return nil, fmt.Errorf("the Deployment %s is locked for the handover of run %s, until that ends", deployment.GetName(), token(present, 63))
	}
	var p jsonPatch
	p.testUnchanged(deployment)
	p.entries(deployment, "labels", map[string]string{v1alpha1.LabelHandover: wanted})
	return p.Encode()
}

// Unlock removes the lock that was read, of whatever run.
func Unlock(deployment *unstructured.Unstructured) ([]byte, error) {
	var p jsonPatch
	p.RemoveLabels(deployment.GetLabels(), v1alpha1.LabelHandover)
	return p.Encode()
}

// Unpause lets the Deployment roll, and in the same write unlocks it and removes the
// labels that are named. It tests the uid and the whole template, because the guard
// does not check Belay's own writes. It does not test the resource version, because
// status and size change all the time. It
// fails when the template that was read is not the given revision.
func Unpause(deployment *unstructured.Unstructured, revision string, labels ...string) ([]byte, error) {
	template := Template(deployment)
	declared, err := RevisionOf(template)
	if err != nil {
		return nil, err
	}
	if declared != revision {
		return nil, fmt.Errorf("the Deployment %s declares revision %s, not %s: it stays paused", deployment.GetName(), declared, token(revision, 63))
	}
	_, locked := deployment.GetLabels()[v1alpha1.LabelHandover]
	if !Paused(deployment) && !locked {
		return nil, nil
	}
	var p jsonPatch
	p.Test(string(deployment.GetUID()), "metadata", "uid")
	p.Test(template, "spec", "template")
	p.RemoveLabels(deployment.GetLabels(), append(labels, v1alpha1.LabelHandover)...)
	p.Add(false, "spec", "paused")
	return p.Encode()
}

// Pause pauses the Deployment, if its template is still the one that was read.
func Pause(deployment *unstructured.Unstructured) ([]byte, error) {
	if Paused(deployment) {
		return nil, nil
	}
	var p jsonPatch
	p.Test(string(deployment.GetUID()), "metadata", "uid")
	p.Test(Template(deployment), "spec", "template")
	p.Add(true, "spec", "paused")
	return p.Encode()
}

// GiveOwner makes the Deployment the owner of a set that a run controls, and adds the
// size annotations that the Deployment controller would write. deployment must be the
// object that Lock returned. It tests the owner, the size and the resource version of the
// set. It fails for a set that neither a run nor the Deployment controls. It also sets the
// label belay.dev/run: once the owner has changed, only that tells whose set it is.
func GiveOwner(set, deployment *unstructured.Unstructured) ([]byte, error) {
	if isControlledBy(set, deployment.GetUID()) {
		return nil, nil
	}
	if err := requireRun(set); err != nil {
		return nil, err
	}
	maxReplicas, err := MaxReplicas(deployment)
	if err != nil {
		return nil, err
	}
	var p jsonPatch
	p.testUnchanged(set)
	p.Test(size(set), "spec", "replicas")
	if err := p.own(set, deploymentReference(deployment)); err != nil {
		return nil, err
	}
	p.entries(set, "annotations", sizeAnnotations(Replicas(deployment), maxReplicas))
	_, run := controllerOf(set)
	p.entries(set, "labels", map[string]string{v1alpha1.LabelRole: v1alpha1.RoleStable, v1alpha1.LabelRun: v1alpha1.RunLabel(run.Name)})
	p.RemoveLabels(set.GetLabels(), v1alpha1.LabelBorrowed)
	return p.Encode()
}

// TakeOwner borrows one of the Deployment's idle sets for a run, which then controls it.
// It tests the owner, the size and the resource version. It fails for a set that has pods
// or should have some, or that the Deployment does not control.
func TakeOwner(set, deployment *unstructured.Unstructured, run *v1alpha1.RolloutRun) ([]byte, error) {
	if isControlledBy(set, run.UID) {
		return nil, nil
	}
	if !isControlledBy(set, deployment.GetUID()) {
		return nil, fmt.Errorf("the ReplicaSet %s cannot be borrowed: the Deployment %s does not control it", set.GetName(), deployment.GetName())
	}
	if err := requireIdle(set, "borrowed"); err != nil {
		return nil, err
	}
	var p jsonPatch
	p.testUnchanged(set)
	p.Test(size(set), "spec", "replicas")
	if err := p.own(set, runReference(run)); err != nil {
		return nil, err
	}
	p.entries(set, "labels", map[string]string{
		v1alpha1.LabelBorrowed: "true",
		v1alpha1.LabelRollout:  run.Spec.Rollout.Name,
		v1alpha1.LabelRole:     v1alpha1.RoleCanary,
		v1alpha1.LabelRun:      v1alpha1.RunLabel(run.Name),
	})
	return p.Encode()
}

// TakeBack makes the run the owner of its set again, of any size, after the Deployment has
// adopted it or while it has no controller. It tests the owner and the resource version.
// It fails for a set that belongs to another run, or that is controlled by something else
// than the Deployment.
func TakeBack(set, deployment *unstructured.Unstructured, run *v1alpha1.RolloutRun) ([]byte, error) {
	if isControlledBy(set, run.UID) {
		return nil, nil
	}
	if made := set.GetLabels()[v1alpha1.LabelRun]; made != v1alpha1.RunLabel(run.Name) {
		return nil, fmt.Errorf("the ReplicaSet %s belongs to run %q, not to %s, and is not changed", set.GetName(), token(made, 63), run.Name)
	}
	var p jsonPatch
	p.testUnchanged(set)
	if i, owner := controllerOf(set); i < 0 {
		p.Add(append(set.GetOwnerReferences(), runReference(run)), "metadata", "ownerReferences")
	} else if owner.UID != deployment.GetUID() {
		return nil, fmt.Errorf("the ReplicaSet %s is controlled by %s %s, and is not changed", set.GetName(), token(owner.Kind, 63), token(owner.Name, 253))
	} else if err := p.own(set, runReference(run)); err != nil {
		return nil, err
	}
	p.entries(set, "labels", map[string]string{v1alpha1.LabelRole: v1alpha1.RoleCanary})
	return p.Encode()
}

// Return gives a borrowed set back to the Deployment. It fails while the set has pods or
// should have some, because the Deployment controller would count them as its own, and
// for a set that was not borrowed.
func Return(set, deployment *unstructured.Unstructured) ([]byte, error) {
	if isControlledBy(set, deployment.GetUID()) {
		return nil, nil
	}
	if _, borrowed := set.GetLabels()[v1alpha1.LabelBorrowed]; !borrowed {
		return nil, fmt.Errorf("the ReplicaSet %s was not borrowed from the Deployment %s: delete it instead", set.GetName(), deployment.GetName())
	}
	if err := requireRun(set); err != nil {
		return nil, err
	}
	if err := requireIdle(set, "given back"); err != nil {
		return nil, err
	}
	var p jsonPatch
	p.testUnchanged(set)
	p.Test(size(set), "spec", "replicas")
	if err := p.own(set, deploymentReference(deployment)); err != nil {
		return nil, err
	}
	p.RemoveLabels(set.GetLabels(), v1alpha1.LabelBorrowed, v1alpha1.LabelRole, v1alpha1.LabelRun)
	return p.Encode()
}

// Resize sets the number of a set's pods. It tests the set's owner and the size that was
// read. It does not test the resource version, because the status changes with every pod.
func Resize(set *unstructured.Unstructured, replicas int32) ([]byte, error) {
	if size(set) == replicas {
		return nil, nil
	}
	var p jsonPatch
	p.testOwnerAndSize(set)
	p.Replace(replicas, "spec", "replicas")
	return p.Encode()
}

// ResizeWith gives one of the Deployment's sets the Deployment's own size, and the two
// size annotations for it. Without the annotations every sync of the Deployment
// controller is a scaling event that returns early, and a paused Deployment with strategy
// Recreate never continues.
func ResizeWith(set, deployment *unstructured.Unstructured) ([]byte, error) {
	replicas := Replicas(deployment)
	maxReplicas, err := MaxReplicas(deployment)
	if err != nil {
		return nil, err
	}
	wanted, present := sizeAnnotations(replicas, maxReplicas), set.GetAnnotations()
	current := size(set) == replicas
	for key, value := range wanted {
		current = current && present[key] == value
	}
	if current {
		return nil, nil
	}
	var p jsonPatch
	p.testOwnerAndSize(set)
	p.Replace(replicas, "spec", "replicas")
	p.entries(set, "annotations", wanted)
	return p.Encode()
}

func (p *jsonPatch) testOwnerAndSize(set *unstructured.Unstructured) {
	p.Test(string(set.GetUID()), "metadata", "uid")
	if i, owner := controllerOf(set); i >= 0 {
		p.Test(string(owner.UID), "metadata", "ownerReferences", fmt.Sprint(i), "uid")
	}
	p.Test(size(set), "spec", "replicas")
}

func requireRun(set *unstructured.Unstructured) error {
	_, owner := controllerOf(set)
	if !isRun(owner) {
		return fmt.Errorf("the ReplicaSet %s is controlled by %s %s, not by a RolloutRun, and is not changed",
			set.GetName(), token(owner.Kind, 63), token(owner.Name, 253))
	}
	return nil
}

func isRun(owner metav1.OwnerReference) bool {
	version, err := schema.ParseGroupVersion(owner.APIVersion)
	return err == nil && version.Group == v1alpha1.GroupVersion.Group && owner.Kind == "RolloutRun"
}

func requireIdle(set *unstructured.Unstructured, what string) error {
	if wanted, pods := size(set), count(set, "status", "replicas"); wanted != 0 || pods != 0 {
		return fmt.Errorf("the ReplicaSet %s cannot be %s: it has %d pods and spec.replicas %d; both must be 0 first", set.GetName(), what, pods, wanted)
	}
	return nil
}
