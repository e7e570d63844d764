package workload

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"belay.dev/belay/api/v1alpha1"
)

// Annotations of the Deployment controller on ReplicaSets
// (pkg/controller/deployment/util/deployment_util.go).
const (
	annotationRevision        = "deployment.kubernetes.io/revision"
	annotationDesiredReplicas = "deployment.kubernetes.io/desired-replicas"
	annotationMaxReplicas     = "deployment.kubernetes.io/max-replicas"
)

// Sets is an empty list to read ReplicaSets into, including fields that Belay's types do
// not know.
func Sets() *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ReplicaSetList"))
	return list
}

// NewSet is an empty ReplicaSet to read into.
func NewSet() *unstructured.Unstructured { return empty("ReplicaSet") }

// NewDeployment is an empty Deployment to read into.
func NewDeployment() *unstructured.Unstructured { return empty("Deployment") }

func empty(kind string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(kind))
	return u
}

// Set is the part of a ReplicaSet that Belay uses.
type Set struct {
	Name string
	UID  types.UID
	// Revision of its template, and Hash, the value of pod-template-hash that its
	// pods carry.
	Revision, Hash string
	// Image of its first container, as Describe gives it.
	Image string
	// The controller owner; empty when there is none.
	ControllerKind, ControllerName string
	ControllerUID                  types.UID
	// Desired is spec.replicas. Pods, Ready and Available are what the status
	// reports.
	Desired, Pods, Ready, Available int32
	// ScaledFor is the Deployment's size when the Deployment controller last scaled this
	// set (its annotation desired-replicas); nil when it has none.
	ScaledFor *int32
	// Number is the Deployment controller's revision number (its annotation revision), 0
	// when it has none: see Recognised.
	Number int64
	// Borrowed is set for a set of the Deployment that a run has taken.
	Borrowed bool
	// Rollout is the label belay.dev/rollout, and Run the label belay.dev/run:
	// v1alpha1.RunLabel of the run that it was created or borrowed for.
	Rollout, Run string
	// Deleting is set while it is being deleted.
	Deleting bool
	// Failure is why its pods cannot be created, as the ReplicaSet controller reports:
	// quota, pod security, admission. It is bounded and quoted; empty without a failure.
	Failure string
	Created time.Time
}

// ReadSet reads a ReplicaSet. It fails when its template cannot be read.
func ReadSet(rs *unstructured.Unstructured) (Set, error) {
	revision, err := RevisionOf(Template(rs))
	if err != nil {
		return Set{}, fmt.Errorf("ReplicaSet %s: %w", token(rs.GetName(), 253), err)
	}
	hash, _, _ := unstructured.NestedString(rs.Object, "spec", "template", "metadata", "labels", appsv1.DefaultDeploymentUniqueLabelKey)
	set := Set{
		Name: rs.GetName(), UID: rs.GetUID(), Revision: revision, Hash: hash, Image: firstImage(Template(rs)),
		Desired:   size(rs),
		Pods:      count(rs, "status", "replicas"),
		Ready:     count(rs, "status", "readyReplicas"),
		Available: count(rs, "status", "availableReplicas"),
		Rollout:   rs.GetLabels()[v1alpha1.LabelRollout],
		Run:       rs.GetLabels()[v1alpha1.LabelRun],
		Deleting:  rs.GetDeletionTimestamp() != nil,
		Failure:   failure(rs),
		Created:   rs.GetCreationTimestamp().Time,
	}
	_, set.Borrowed = rs.GetLabels()[v1alpha1.LabelBorrowed]
	if owner := metav1.GetControllerOfNoCopy(rs); owner != nil {
		set.ControllerKind, set.ControllerName, set.ControllerUID = owner.Kind, owner.Name, owner.UID
	}
	annotations := rs.GetAnnotations()
	if n, err := strconv.ParseInt(annotations[annotationRevision], 10, 64); err == nil {
		set.Number = n
	}
	if n, err := strconv.ParseInt(annotations[annotationDesiredReplicas], 10, 32); err == nil {
		scaledFor := int32(n)
		set.ScaledFor = &scaledFor
	}
	return set, nil
}

// failure is the ReplicaSet's condition ReplicaFailure, which says why pods
// cannot be created or deleted.
func failure(rs *unstructured.Unstructured) string {
	conditions, _, _ := unstructured.NestedSlice(rs.Object, "status", "conditions")
	for _, c := range conditions {
		condition, _ := c.(map[string]any)
		if condition["type"] != string(appsv1.ReplicaSetReplicaFailure) || condition["status"] != "True" {
			continue
		}
		reason, _ := condition["reason"].(string)
		message, _ := condition["message"].(string)
		return fmt.Sprintf("%s: %s", token(reason, 64), quoted(message, 240))
	}
	return ""
}

// ControlledBy returns the sets that the owner controls.
func ControlledBy(sets []Set, owner types.UID) []Set {
	return filter(sets, func(s Set) bool { return s.ControllerUID == owner && owner != "" })
}

// Active returns the sets that the Deployment controls and that should have pods, oldest
// first. With more than one, a paused Deployment does not converge.
func Active(sets []Set, deployment types.UID) []Set {
	return oldestFirst(filter(ControlledBy(sets, deployment), Set.active))
}

// Stable finds the Deployment's set that runs a revision: among several with the same
// template the one with the most pods, then the oldest. It is found by its template and
// not by a recorded name or hash, because both change when the set is created again.
func Stable(sets []Set, deployment types.UID, revision string) (Set, bool) {
	equal := oldestFirst(filter(ControlledBy(sets, deployment), func(s Set) bool { return s.Revision == revision }))
	slices.SortStableFunc(equal, func(a, b Set) int { return int(b.Desired) - int(a.Desired) })
	return first(equal)
}

// NewReplicaSet is the one of these sets that the Deployment controller would take for the
// declared template: the oldest with an equal template, then the first by name
// (FindNewReplicaSet in deployment_util.go).
func NewReplicaSet(sets []Set, declared string) (Set, bool) {
	return first(oldestFirst(filter(sets, func(s Set) bool { return s.Revision == declared })))
}

// Chosen is the set that the Deployment controller would take for the declared template if
// the Deployment owned the canary. A handover is safe only when that is the canary.
func Chosen(sets []Set, deployment types.UID, canary Set, declared string) (Set, bool) {
	own := filter(ControlledBy(sets, deployment), func(s Set) bool { return s.UID != canary.UID })
	return NewReplicaSet(append(own, canary), declared)
}

// scaledWhilePaused is the set that the Deployment controller keeps at spec.replicas while
// the Deployment is paused: the only active one; when none is active, the one with the
// declared template, even if Belay has not judged it, or else the newest. There is none
// when the Deployment has no sets, or when several are active: those it leaves alone or
// scales in proportion (FindActiveOrLatest in deployment_util.go).
func scaledWhilePaused(sets []Set, deployment types.UID, declared string) (Set, bool) {
	own := oldestFirst(ControlledBy(sets, deployment))
	active := filter(own, Set.active)
	switch {
	case len(active) == 1:
		return active[0], true
	case len(active) > 1 || len(own) == 0:
		return Set{}, false
	}
	if declaredSet, ok := NewReplicaSet(own, declared); ok {
		return declaredSet, true
	}
	return own[len(own)-1], true
}

// Recognised reports whether the Deployment controller treats a set as its newest: it
// numbers its sets, and the newest has the highest number. A set that was created for a
// run has no number before; a borrowed one has a lower number.
func Recognised(set Set, sets []Set, deployment types.UID) bool {
	if set.Number == 0 || set.ControllerUID != deployment {
		return false
	}
	for _, other := range ControlledBy(sets, deployment) {
		if other.UID != set.UID && other.Number >= set.Number {
			return false
		}
	}
	return true
}

// saturated reports whether the Deployment controller treats a set as complete for this
// size of the Deployment, and therefore scales the other sets to 0 (IsSaturated in
// deployment_util.go).
func (s Set) saturated(replicas int32) bool {
	return s.Desired == replicas && s.ScaledFor != nil && *s.ScaledFor == replicas && s.Available == replicas
}

func (s Set) active() bool { return s.Desired > 0 }

func filter(sets []Set, keep func(Set) bool) []Set {
	var kept []Set
	for _, set := range sets {
		if keep(set) {
			kept = append(kept, set)
		}
	}
	return kept
}

// oldestFirst sorts in place as ReplicaSetsByCreationTimestamp in
// pkg/controller/controller_utils.go does.
func oldestFirst(sets []Set) []Set {
	slices.SortFunc(sets, func(a, b Set) int {
		if order := a.Created.Compare(b.Created); order != 0 {
			return order
		}
		return strings.Compare(a.Name, b.Name)
	})
	return sets
}

func first(sets []Set) (Set, bool) {
	if len(sets) == 0 {
		return Set{}, false
	}
	return sets[0], true
}
