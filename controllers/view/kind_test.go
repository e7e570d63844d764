package view

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/workload"
)

// statefulSet of four pods with a partition, which declares 1.6.
func statefulSet(partition int64) *unstructured.Unstructured {
	s := workload.New(v1alpha1.WorkloadRef{Kind: v1alpha1.KindStatefulSet})
	s.Object["spec"] = map[string]any{"replicas": int64(4), "updateStrategy": map[string]any{"rollingUpdate": map[string]any{"partition": partition}},
		"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "app", "image": "shop:1.6"}}}}}
	return s
}

// TestAStatefulSetHasWordsOfItsOwn, where a Deployment's would be wrong.
func TestAStatefulSetHasWordsOfItsOwn(t *testing.T) {
	r := &v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{WorkloadRef: v1alpha1.WorkloadRef{Kind: v1alpha1.KindStatefulSet, Name: "shop"}, Steps: []v1alpha1.Step{{Weight: 25}}}}
	r.Status = v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseBaking, Stable: &v1alpha1.Revision{Revision: "aaaaaaaaaa", Image: "shop:1.4", ReplicaSet: "shop-a"},
		Candidate: &v1alpha1.Revision{Revision: "bbbbbbbbbb", Image: "shop:1.5", ReplicaSet: "shop-b"}, Step: &v1alpha1.StepStatus{Replicas: v1alpha1.ReplicaStatus{Desired: 3}}}
	for partition, want := range map[int64]string{int64(v1alpha1.PartitionHold): "does not roll out until Belay has looked at it", 3: "it is not held: the StatefulSet has a partition that lets pods have it"} {
		if got := Unseen(Input{Rollout: r, Workload: statefulSet(partition)}); !strings.Contains(got, "The StatefulSet declares 1.6") || !strings.Contains(got, want) {
			t.Errorf("partition %d: %q, want %q", partition, got, want)
		}
	}
	in := Input{Rollout: r, Workload: statefulSet(1), Now: time.Now()}
	screen := Rollout(in)
	if bake, last := screen.Steps[1], screen.Steps[2]; bake.Weight != 75 || last.Name != "last pod" {
		t.Errorf("steps %+v: want a bake of 3 of 4 pods, and the last pod", screen.Steps)
	}
	if screen.Effects["rollback"] != "the StatefulSet declares 1.4 again" || screen.Effects["bypass"] != "1.6 goes to all pods, unjudged" {
		t.Errorf("effects %v", screen.Effects)
	}
	r.Status.Phase = v1alpha1.PhaseStepping
	if got := Rollout(Input{Rollout: r, Workload: statefulSet(3), Now: time.Now()}).Effects["promote"]; got != "1.5 goes to all pods but one and its bake, which has to pass" {
		t.Errorf("promote: %q", got)
	}
	r.Status.Phase = v1alpha1.PhaseGating
	r.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonScaledToZero}}
	if got := RowOf(Input{Rollout: r, Workload: statefulSet(int64(v1alpha1.PartitionHold)), Now: time.Now()}, "").Next; got != "scaled up, it is not judged" {
		t.Errorf("at 0 replicas: next %q", got)
	}
	r.Status.Conditions = nil
	for phase, want := range map[v1alpha1.Phase]string{v1alpha1.PhasePromoting: "all pods but one, then bake", v1alpha1.PhaseHandingOver: "the last pod gets it", v1alpha1.PhaseRollingBack: "stable's pods again, one by one"} {
		r.Status.Phase = phase
		if got := RowOf(in, "").Next; got != want {
			t.Errorf("%s: next %q, want %q", phase, got, want)
		}
	}
}

// TestPodsOfOneNameAreTwoVersions: only their label tells which.
func TestPodsOfOneNameAreTwoVersions(t *testing.T) {
	pod := func(name, version, owner string) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"controller-revision-hash": version}, OwnerReferences: []metav1.OwnerReference{{Kind: v1alpha1.KindStatefulSet, Name: owner}}},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
	}
	r := &v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{WorkloadRef: v1alpha1.WorkloadRef{Kind: v1alpha1.KindStatefulSet, Name: "shop"}}}
	r.Status = v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStepping, Stable: &v1alpha1.Revision{Revision: "aaaaaaaaaa", ReplicaSet: "shop-a"},
		Candidate: &v1alpha1.Revision{Revision: "bbbbbbbbbb", ReplicaSet: "shop-b"}, Step: &v1alpha1.StepStatus{Replicas: v1alpha1.ReplicaStatus{Desired: 1}}}
	pods := []corev1.Pod{pod("shop-0", "shop-a", "shop"), pod("shop-1", "shop-a", "shop"), pod("shop-3", "shop-b", "shop"), pod("store-0", "shop-a", "store")}
	got := versions(Input{Rollout: r, Workload: statefulSet(3), Pods: pods, Now: time.Now()})
	if got[0].Ready != 2 || got[0].Pods != 3 || got[1].Ready != 1 || got[1].Pods != 1 {
		t.Errorf("stable %d/%d, candidate %d/%d; want 2/3 and 1/1", got[0].Ready, got[0].Pods, got[1].Ready, got[1].Pods)
	}
	// All of its pods are stable's again, once nothing else runs.
	r.Status.Phase, r.Status.Candidate = v1alpha1.PhaseStable, nil
	if got := versions(Input{Rollout: r, Workload: statefulSet(0), Pods: pods, Now: time.Now()}); got[0].Pods != 4 {
		t.Errorf("stable has %d pods, want 4", got[0].Pods)
	}
}
