package handover

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/handover/cluster"
)

// What Kubernetes' own controller makes of a StatefulSet's partition. Nothing of Belay's is
// in force here.

// opened is a StatefulSet of v1, whose tests play what Belay and its guard would write.
type opened struct{ *cluster.Ordered }

func openSet(t *testing.T, replicas int32, change func(*appsv1.StatefulSet)) *opened {
	t.Helper()
	t.Parallel()
	return &opened{kube.OpenOrdered(t, replicas, change)}
}

// declare pushes a version at a partition.
func (o *opened) declare(version string, partition int32) {
	o.T.Helper()
	o.PatchSet(admin, fmt.Sprintf(`{"spec":{"updateStrategy":{"rollingUpdate":{"partition":%d}},"template":{"spec":{"containers":[{"name":%q,"image":%q}]}}}}`,
		partition, cluster.Name, cluster.Image(version)))
}

func (o *opened) partition(partition int32) {
	o.T.Helper()
	o.PatchSet(admin, fmt.Sprintf(`{"spec":{"updateStrategy":{"rollingUpdate":{"partition":%d}}}}`, partition))
}

func (o *opened) scale(replicas int32) {
	o.T.Helper()
	o.PatchSet(admin, fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas))
}

// keeps holds the versions against what the controller does for a while.
func (o *opened) keeps(versions ...string) {
	o.T.Helper()
	o.Runs(versions...)
	o.Stays(fmt.Sprintf("the pods run %v", versions), during, func(g Gomega) { g.Expect(o.Versions()).To(Equal(versions)) })
}

// TestTheHighestPartitionHolds: lost pods and added ones run the former version, with
// either policy and however many versions are pushed meanwhile.
func TestTheHighestPartitionHolds(t *testing.T) {
	for _, policy := range []appsv1.PodManagementPolicyType{appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement} {
		t.Run(string(policy), func(t *testing.T) {
			o := openSet(t, 3, func(s *appsv1.StatefulSet) {
				s.Spec.PodManagementPolicy, s.Spec.RevisionHistoryLimit = policy, ptr.To[int32](0)
			})
			o.declare("v2", v1alpha1.PartitionHold)
			o.keeps("v1", "v1", "v1")
			o.declare("v3", v1alpha1.PartitionHold)
			o.scale(5)
			o.Lose(1)
			o.Runs("v1", "v1", "v1", "v1", "v1")
			o.Lose(0, 1, 2, 3, 4)
			o.keeps("v1", "v1", "v1", "v1", "v1")
			o.scale(2)
			o.keeps("v1", "v1")
		})
	}
}

// TestAPartitionOfTheReplicasLeaks: the partition that people set by hand to hold all pods
// holds those that are there.
func TestAPartitionOfTheReplicasLeaks(t *testing.T) {
	o := openSet(t, 3, nil)
	o.declare("v2", 3)
	o.keeps("v1", "v1", "v1")
	o.scale(5)
	o.keeps("v1", "v1", "v1", "v2", "v2")
}

// TestRaisingThePartitionRevertsNoPod: whoever raises it has to delete them.
func TestRaisingThePartitionRevertsNoPod(t *testing.T) {
	o := openSet(t, 4, nil)
	o.declare("v2", 2)
	o.Runs("v1", "v1", "v2", "v2")
	o.partition(v1alpha1.PartitionHold)
	o.keeps("v1", "v1", "v2", "v2")
	o.Lose(3)
	o.Runs("v1", "v1", "v2", "v1")
	o.Lose(2)
	o.keeps("v1", "v1", "v1", "v1")
}

// TestOnceAllPodsAreNewThePartitionBringsNoneBack: when every pod runs the new version and
// is ready, the controller forgets the former one. A version can be taken back by the
// partition as long as one pod runs the former one.
func TestOnceAllPodsAreNewThePartitionBringsNoneBack(t *testing.T) {
	for name, c := range map[string]struct {
		partition int32
		grown     []string
		back      string
	}{
		"one pod is left": {1, []string{"v1", "v2", "v2"}, "v1"},
		"none is left":    {0, []string{"v2", "v2", "v2"}, "v2"},
	} {
		t.Run(name, func(t *testing.T) {
			o := openSet(t, 3, nil)
			o.declare("v2", c.partition)
			o.Runs(c.grown...)
			o.Eventually("the controller has seen it", func(g Gomega) {
				s := o.StatefulSet()
				g.Expect(s.Status.UpdatedReplicas).To(Equal(3 - c.partition))
				g.Expect(s.Status.CurrentRevision == s.Status.UpdateRevision).To(Equal(c.partition == 0))
			})
			o.partition(v1alpha1.PartitionHold)
			o.Lose(2)
			o.Lose(1)
			o.keeps(c.grown[0], c.back, c.back)
		})
	}
}

// TestFromZeroTheDeclaredVersionComesUp: at 0 replicas the controller takes the declared
// version for the one that runs. What a StatefulSet promises is weaker here.
func TestFromZeroTheDeclaredVersionComesUp(t *testing.T) {
	o := openSet(t, 2, nil)
	o.declare("v2", v1alpha1.PartitionHold)
	o.scale(0)
	o.Runs()
	o.Eventually("the controller has seen it", func(g Gomega) {
		s := o.StatefulSet()
		g.Expect(s.Status.CurrentRevision).To(Equal(s.Status.UpdateRevision))
	})
	o.scale(2)
	o.keeps("v2", "v2")
}

// TestOnDeleteDoesNotHold: a lost pod comes back in the declared version.
func TestOnDeleteDoesNotHold(t *testing.T) {
	o := openSet(t, 2, func(s *appsv1.StatefulSet) {
		s.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
	})
	o.PatchSet(admin, fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":%q,"image":%q}]}}}}`, cluster.Name, cluster.Image("v2")))
	o.keeps("v1", "v1")
	o.Lose(0)
	o.keeps("v2", "v1")
}

// TestThePartitionCountsFromTheFirstOrdinal: it is the number of pods that keep the former
// version, whatever their ordinals begin with.
func TestThePartitionCountsFromTheFirstOrdinal(t *testing.T) {
	o := openSet(t, 3, func(s *appsv1.StatefulSet) { s.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 5} })
	o.declare("v2", v1alpha1.PartitionHold)
	o.Lose(5)
	o.scale(4)
	o.keeps("v1", "v1", "v1", "v1")
	o.partition(3)
	o.keeps("v1", "v1", "v1", "v2")
	o.Lose(7, 8)
	o.keeps("v1", "v1", "v1", "v2")
	o.partition(1)
	o.keeps("v1", "v2", "v2", "v2")
}

// TestOrderedReadyWaitsForABrokenPod: also after its version is taken back, until somebody
// deletes it.
func TestOrderedReadyWaitsForABrokenPod(t *testing.T) {
	o := openSet(t, 3, nil)
	o.Must(kube.Nodes.Behave(t.Context(), o.Namespace, func(p *corev1.Pod) cluster.Behaviour {
		return cluster.Behaviour{Unready: p.Spec.Containers[0].Image == cluster.Image("v2")}
	}))
	o.declare("v2", 1)
	o.Runs("v1", "v1", "v2?")
	o.declare("v1", 0)
	o.keeps("v1", "v1", "v2?")
	o.Lose(2)
	o.keeps("v1", "v1", "v1")
}
