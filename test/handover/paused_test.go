package handover

import (
	"fmt"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/controllers/workload"
	"belay.dev/belay/test/handover/cluster"
)

// during is how long what must not happen is given to happen: the controllers
// act within milliseconds.
const during = 2 * time.Second

// TestAHeldDeploymentFollowsItsReplicas: paused at a version that waits, with one
// active set, it follows spec.replicas and replaces lost pods.
func TestAHeldDeploymentFollowsItsReplicas(t *testing.T) {
	s := open(t, 3, nil)
	s.hold("v2")
	for _, replicas := range []int32{5, 2} {
		s.Scale(replicas)
		s.Settled("v1", replicas)
	}
	pods := &corev1.PodList{}
	s.Must(admin.List(t.Context(), pods, client.InNamespace(s.Namespace)))
	lost := slices.IndexFunc(pods.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp == nil })
	s.Must(admin.Delete(t.Context(), &pods.Items[lost]))
	s.Eventually("the lost pod is replaced", func(g Gomega) { g.Expect(s.Made()).To(Equal(map[string]int{"v1": 6})) })
	s.Settled("v1", 2)
	if s.Set("v2") != nil {
		t.Error("a paused Deployment made a set for the version that waits")
	}
	s.Served()
}

// TestFromZeroTheDeclaredSetComesUp, when the Deployment has one: the version
// that waits, not the one that served.
func TestFromZeroTheDeclaredSetComesUp(t *testing.T) {
	s := open(t, 2, nil)
	s.Push("v2")
	s.Settled("v2", 2)
	s.hold("v1")
	s.Scale(0)
	s.Settled("v2", 0)
	s.Scale(2)
	s.Settled("v1", 2)
}

// TestFromZeroTheNewestSetComesUp when there is none for the declared version:
// that which was created last, not that which served last.
func TestFromZeroTheNewestSetComesUp(t *testing.T) {
	for _, tc := range []struct {
		name, serves, comesUp string
	}{
		{"the newest served", "v2", "v2"},
		{"an older one served", "v1", "v2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t, 2, nil)
			// Creation times have whole seconds.
			s.later()
			s.Push("v2")
			s.Settled("v2", 2)
			if tc.serves != "v2" {
				s.Push(tc.serves)
				s.Settled(tc.serves, 2)
			}
			s.hold("v3")
			s.Scale(0)
			s.Settled(tc.serves, 0)
			s.Scale(2)
			s.Settled(tc.comesUp, 2)
		})
	}
}

// later waits until what is made next is created at a later second.
func (s *shop) later() {
	s.T.Helper()
	at := time.Now().Truncate(time.Second).Add(time.Second)
	s.Eventually("the next second", func(g Gomega) { g.Expect(time.Now()).To(BeTemporally(">", at)) })
}

// TestARunsSetIsLeftAlone: a set with the Deployment's labels that a run controls
// is neither adopted nor scaled nor counted.
func TestARunsSetIsLeftAlone(t *testing.T) {
	s := open(t, 2, nil)
	s.hold("v2")
	s.canary("v2", 3)
	s.Scale(4)
	s.available("v1", 4)
	s.Stays("the run's set", during, func(g Gomega) {
		set, d := s.Set("v2"), s.Deployment()
		g.Expect(*set.Spec.Replicas).To(Equal(int32(3)))
		g.Expect(set.Annotations).NotTo(HaveKey(revisionAnnotation))
		g.Expect(metav1.GetControllerOf(set).Kind).To(Equal("RolloutRun"))
		g.Expect(d.Status.Replicas).To(Equal(int32(4)))
	})
	s.made(map[string]int{"v1": 4, "v2": 3})
}

// TestDeletionsOfTheDeploymentLeaveARunsSet, and the deletion of a run takes its
// set with it.
func TestDeletionsOfTheDeploymentLeaveARunsSet(t *testing.T) {
	for _, how := range []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan} {
		t.Run(string(how), func(t *testing.T) {
			s := open(t, 1, nil)
			s.hold("v2")
			s.canary("v2", 1)
			s.Must(admin.Delete(t.Context(), s.Deployment(), client.PropagationPolicy(how)))
			s.Eventually("the Deployment is gone", func(g Gomega) {
				g.Expect(client.IgnoreNotFound(admin.Get(t.Context(), s.Key(), &appsv1.Deployment{}))).To(Succeed())
				if how != metav1.DeletePropagationOrphan {
					g.Expect(s.Set("v1")).To(BeNil())
				}
			})
			s.Stays("the run's set", during, func(g Gomega) { g.Expect(s.Set("v2").Status.AvailableReplicas).To(Equal(int32(1))) })
			s.Must(admin.Delete(t.Context(), s.run))
			s.Eventually("the run's set goes with it", func(g Gomega) { g.Expect(s.Set("v2")).To(BeNil()) })
		})
	}
}

// TestTwoActiveSetsWhilePausedNeverConverge by themselves; scaling the older one
// to 0 lets the other one follow spec.replicas.
func TestTwoActiveSetsWhilePausedNeverConverge(t *testing.T) {
	s := open(t, 4, nil)
	s.Must(kube.Nodes.Behave(t.Context(), s.Namespace, func(p *corev1.Pod) cluster.Behaviour {
		return cluster.Behaviour{End: cluster.Grace, Unready: p.Spec.Containers[0].Image == cluster.Image("v2")}
	}))
	s.Push("v2")
	s.Eventually("a roll in the middle", func(g Gomega) { g.Expect(s.Sizes()).To(Equal(map[string]int32{"v1": 3, "v2": 2})) })
	s.hold("v3")
	s.Stays("the mix is frozen", during, func(g Gomega) { g.Expect(s.Sizes()).To(Equal(map[string]int32{"v1": 3, "v2": 2})) })
	s.Scale(8)
	s.Eventually("a scaling is shared out", func(g Gomega) {
		sizes := s.Sizes()
		g.Expect(sizes["v1"] + sizes["v2"]).To(Equal(int32(10)))
		g.Expect(sizes["v1"]).To(BeNumerically(">", 3))
		g.Expect(sizes["v2"]).To(BeNumerically(">", 2))
	})
	s.Must(kube.Nodes.Behave(t.Context(), s.Namespace, func(*corev1.Pod) cluster.Behaviour { return cluster.Behaviour{End: cluster.Grace} }))
	s.available("v2", s.Sizes()["v2"])
	s.scaleSet("v1", 0)
	s.Settled("v2", 8)
	s.Served()
}

// TestAHeldDeploymentAtZeroLosesItsStableSet when it keeps no history: a paused
// sync cleans up too. A set made anew from the template serves again.
func TestAHeldDeploymentAtZeroLosesItsStableSet(t *testing.T) {
	for _, tc := range []struct {
		limit int32
		lost  bool
	}{{0, true}, {1, false}} {
		t.Run(fmt.Sprint("revisionHistoryLimit ", tc.limit), func(t *testing.T) {
			s := open(t, 2, func(d *appsv1.Deployment) { d.Spec.RevisionHistoryLimit = &tc.limit })
			s.makeRun("v1")
			s.hold("v2")
			s.Scale(0)
			if !tc.lost {
				s.Settled("v1", 0)
				s.Stays("the stable set", during, func(g Gomega) { g.Expect(s.Set("v1")).NotTo(BeNil()) })
				s.Scale(2)
				s.Settled("v1", 2)
				return
			}
			s.Eventually("the stable set is gone", func(g Gomega) { g.Expect(s.Sets()).To(BeEmpty()) })
			s.Scale(2)
			s.observed()
			s.Stays("nothing comes up", during, func(g Gomega) { g.Expect(s.Sets()).To(BeEmpty()) })
			// With its size: the sync that scales an empty one up cleans it up in the end,
			// as it still sees the size that it had before.
			remade, err := workload.StableAgain(s.run, s.deployment(), s.run.Spec.Stable.Revision.Revision, 2)
			s.Must(err)
			s.Must(admin.Create(t.Context(), remade))
			s.Settled("v1", 2)
			s.Stays("it is kept", during, func(g Gomega) { g.Expect(s.Sizes()).To(Equal(map[string]int32{"v1": 2})) })
		})
	}
}

// TestAHeldDeploymentAtZeroWithTwoOldSets keeps the one with the highest
// revision number when it keeps one.
func TestAHeldDeploymentAtZeroWithTwoOldSets(t *testing.T) {
	one := int32(1)
	s := open(t, 2, func(d *appsv1.Deployment) { d.Spec.RevisionHistoryLimit = &one })
	s.Push("v2")
	s.Settled("v2", 2)
	s.hold("v3")
	s.Eventually("v1 is cleaned up", func(g Gomega) { g.Expect(s.Set("v1")).To(BeNil()) })
	s.Scale(0)
	s.Settled("v2", 0)
	s.Stays("the set that served last", during, func(g Gomega) { g.Expect(s.Set("v2")).NotTo(BeNil()) })
}

// TestARecognisedSetPushesTheStableOneOut: while the Deployment is held at a
// version that it has a set for, that set becomes the newest of its history; with
// the next push the stable one is the oldest, and lost at zero.
func TestARecognisedSetPushesTheStableOneOut(t *testing.T) {
	one := int32(1)
	s := open(t, 2, func(d *appsv1.Deployment) { d.Spec.RevisionHistoryLimit = &one })
	s.Push("v2")
	s.Settled("v2", 2)
	s.hold("v1")
	s.Eventually("v1 is the newest of the history", func(g Gomega) { g.Expect(s.Set("v1").Annotations).To(HaveKeyWithValue(revisionAnnotation, "3")) })
	s.hold("v3")
	s.Settled("v2", 2)
	s.Scale(0)
	s.Eventually("the stable set is lost", func(g Gomega) { g.Expect(s.Set("v2")).To(BeNil()) })
	s.Scale(2)
	s.Settled("v1", 2)
}

// TestUndoBringsAnnotationsBack of the set that it goes back to, and no labels:
// hence the lock is a label, and a reason for a bypass counts once.
func TestUndoBringsAnnotationsBack(t *testing.T) {
	s := open(t, 1, nil)
	s.PatchDeployment(types.MergePatchType, `{"metadata":{"annotations":{"belay.dev/bypass-reason":"1:old"},"labels":{"belay.dev/handover":"old"}}}`)
	s.Eventually("the annotation is copied to the set", func(g Gomega) {
		g.Expect(s.Set("v1").Annotations).To(HaveKeyWithValue("belay.dev/bypass-reason", "1:old"))
	})
	if _, copied := s.Set("v1").Labels["belay.dev/handover"]; copied {
		t.Error("a label of the Deployment was copied to its set")
	}
	s.PatchDeployment(types.MergePatchType, `{"metadata":{"annotations":{"belay.dev/bypass-reason":null},"labels":{"belay.dev/handover":null}}}`)
	s.Push("v2")
	s.Settled("v2", 1)
	if _, err := s.Kubectl("rollout", "undo", "deployment/"+cluster.Name); err != nil {
		t.Fatal(err)
	}
	s.Settled("v1", 1)
	d := s.Deployment()
	if d.Annotations["belay.dev/bypass-reason"] != "1:old" {
		t.Errorf("annotations %v after the undo: the old reason did not come back, so the guard could be simpler", d.Annotations)
	}
	if _, back := d.Labels["belay.dev/handover"]; back {
		t.Error("a label came back")
	}
}
