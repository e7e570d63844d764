package handover

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/controllers/workload"
	"belay.dev/belay/test/handover/cluster"
)

// TestHandoverReplacesNoPod: the whole sequence, under traffic, by every strategy
// and at several sizes.
func TestHandoverReplacesNoPod(t *testing.T) {
	recreate := func(d *appsv1.Deployment) {
		d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	}
	for _, tc := range []struct {
		name     string
		replicas int32
		change   func(*appsv1.Deployment)
	}{
		{"1 replica", 1, nil},
		{"4 replicas", 4, nil},
		{"60 replicas", 60, nil},
		{"Recreate", 4, recreate},
		{"minReadySeconds", 2, func(d *appsv1.Deployment) { d.Spec.MinReadySeconds = 2 }},
		{"no history", 2, func(d *appsv1.Deployment) { none := int32(0); d.Spec.RevisionHistoryLimit = &none }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t, tc.replicas, tc.change)
			n := int(tc.replicas)
			s.hold("v2")
			s.canary("v2", tc.replicas)
			s.split("v1", "v2", 50)
			s.split100()
			s.give("v2", s.lock())
			s.recognised("v2")
			s.Eventually("the old set is scaled to 0", func(g Gomega) { g.Expect(s.Sizes()["v1"]).To(BeZero()) })
			s.release()
			s.unpause()
			s.Settled("v2", tc.replicas)
			s.Stays("nothing rolls", during, func(g Gomega) { g.Expect(s.Made()).To(Equal(map[string]int{"v1": n, "v2": n})) })
			if tc.name == "no history" {
				s.Eventually("the old set is cleaned up", func(g Gomega) { g.Expect(s.Set("v1")).To(BeNil()) })
			}
			s.Served()
		})
	}
}

// split100 gives the canary everything.
func (s *shop) split100() {
	s.T.Helper()
	s.route([2]any{"shop-stable", int32(0)}, [2]any{"shop-canary", int32(100)})
}

// TestHistoryAndUndoAfterAHandover are kubectl's own.
func TestHistoryAndUndoAfterAHandover(t *testing.T) {
	s := open(t, 2, nil)
	s.hold("v2")
	s.canary("v2", 2)
	s.handOver("v2")
	s.Settled("v2", 2)
	for version, revision := range map[string]string{"v1": "1", "v2": "2"} {
		if got := s.Set(version).Annotations[revisionAnnotation]; got != revision {
			t.Errorf("%s has revision %q, want %s", version, got, revision)
		}
	}
	history, err := s.Kubectl("rollout", "history", "deployment/"+cluster.Name)
	if lines := regexp.MustCompile(`(?m)^[12] `).FindAllString(history, -1); err != nil || len(lines) != 2 {
		t.Errorf("kubectl rollout history: %v\n%s", err, history)
	}
	if out, err := s.Kubectl("rollout", "status", "deployment/"+cluster.Name, "--timeout=10s"); err != nil || !strings.Contains(out, "successfully rolled out") {
		t.Errorf("kubectl rollout status: %v\n%s", err, out)
	}
	if out, err := s.Kubectl("rollout", "undo", "deployment/"+cluster.Name); err != nil {
		t.Fatalf("kubectl rollout undo: %v\n%s", err, out)
	}
	s.Settled("v1", 2)
	s.Push("v2")
	s.Settled("v2", 2)
	if s := len(s.Sets()); s != 2 {
		t.Errorf("%d sets: the one that was handed over was not used again", s)
	}
	s.Served()
}

// TestAnAutoscalerBetweenLockAndOwner is the one race: the set that is handed over
// is then not whole, and the paused controller shares the pods out. After a
// scaling down it stays so; after one up the new set gets its size in the end.
// Routes to the whole user's Service and unpausing end both, never below the
// strategy's minimum.
func TestAnAutoscalerBetweenLockAndOwner(t *testing.T) {
	for _, tc := range []struct {
		to int32
		// followed is whether the stable set has the new size before the owner changes.
		followed bool
	}{{5, true}, {5, false}, {10, true}, {10, false}, {20, true}, {20, false}} {
		t.Run(fmt.Sprintf("from 8 to %d, stable has followed %v", tc.to, tc.followed), func(t *testing.T) {
			s := open(t, 8, nil)
			s.hold("v2")
			s.canary("v2", 8)
			s.split("v1", "v2", 50)
			s.split100()
			locked := s.lock()
			s.Scale(tc.to)
			if tc.followed {
				s.available("v1", tc.to)
			}
			s.give("v2", locked)
			s.recognised("v2")
			if tc.to < 8 {
				s.staysShared(tc.to)
			}
			s.release()
			s.unpause()
			s.Settled("v2", tc.to)
			s.Served()
			t.Logf("pods ever made: %v", s.Made())
		})
	}
}

// staysShared: both sets have pods, spec.replicas and surge in all, for as long as
// the Deployment is paused.
func (s *shop) staysShared(replicas int32) {
	s.T.Helper()
	s.Eventually("the sets share the size out", func(g Gomega) {
		sizes := s.Sizes()
		g.Expect(sizes["v1"] + sizes["v2"]).To(Equal(replicas + s.surge()))
		g.Expect(sizes["v2"]).To(BeNumerically("<", replicas))
	})
	shared := s.Sizes()
	s.T.Logf("paused, the sizes are %v", shared)
	s.Stays("it stays so while paused", during, func(g Gomega) { g.Expect(s.Sizes()).To(Equal(shared)) })
}

// TestRecreateWithAnotherSizeIsStuck while paused and, with a stale annotation,
// after it: every sync is a scaling that does nothing. Size and annotations
// rewritten together let it go on.
func TestRecreateWithAnotherSizeIsStuck(t *testing.T) {
	s := open(t, 4, func(d *appsv1.Deployment) {
		d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	})
	s.hold("v2")
	s.canary("v2", 4)
	locked := s.lock()
	s.Scale(6)
	s.available("v1", 6)
	s.give("v2", locked)
	s.recognised("v2")
	stuck := map[string]int32{"v1": 6, "v2": 4}
	s.Stays("nothing happens while paused", during, func(g Gomega) { g.Expect(s.Sizes()).To(Equal(stuck)) })
	s.unpause()
	s.observed()
	s.Stays("nothing happens after it either", during, func(g Gomega) { g.Expect(s.Sizes()).To(Equal(stuck)) })
	s.resize("v2")
	s.Settled("v2", 6)
	s.made(map[string]int{"v1": 6, "v2": 6})
	s.Served()
}

// TestAStaleAnnotationIsNoSaturation: the set has the right size, and the
// controller scales all the same when the annotations beside it are wrong.
func TestAStaleAnnotationIsNoSaturation(t *testing.T) {
	for _, tc := range []struct {
		name        string
		annotations map[string]string
	}{
		{"none: it becomes larger than it should first", map[string]string{}},
		{"too large: it becomes smaller, and stays so", map[string]string{desiredAnnotation: "8", maxAnnotation: "10"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t, 4, nil)
			s.hold("v2")
			s.canary("v2", 4)
			s.lock()
			s.giveAs(s.Set("v2"), tc.annotations)
			s.recognised("v2")
			if len(tc.annotations) > 0 {
				s.staysShared(4)
			}
			s.unpause()
			s.Settled("v2", 4)
			s.Eventually("a pod was made that need not be", func(g Gomega) { g.Expect(s.Made()["v2"]).To(BeNumerically(">", 4)) })
			s.Served()
		})
	}
}

// TestAChangedCanaryIsNotRecognised: an admission plugin has changed its
// template. The Deployment rolls by its own strategy behind the user's Service.
func TestAChangedCanaryIsNotRecognised(t *testing.T) {
	s := open(t, 4, nil)
	s.hold("v2")
	s.makeRun("v2")
	set, err := workload.Canary(s.run, s.deployment(), 4)
	s.Must(err)
	s.Must(unstructured.SetNestedField(set.Object, "system-cluster-critical", "spec", "template", "spec", "priorityClassName"))
	s.Must(admin.Create(t.Context(), set))
	s.available("v2", 4)
	s.give("v2", s.lock())
	s.Stays("not recognised", during, func(g Gomega) {
		for _, set := range s.Sets() {
			if set.Spec.Template.Spec.PriorityClassName != "" {
				g.Expect(set.Annotations).NotTo(HaveKey(revisionAnnotation))
			}
		}
	})
	s.unpause()
	s.Eventually("a set of its own", func(g Gomega) { g.Expect(s.Deployment().Status.UpdatedReplicas).To(Equal(int32(4))) })
	s.Eventually("the others are empty", func(g Gomega) {
		for _, set := range s.Sets() {
			if set.Annotations[revisionAnnotation] != "2" {
				g.Expect(*set.Spec.Replicas).To(BeZero())
			}
		}
	})
	s.Served()
}

// TestTheOldestEqualSetIsChosen, not the one that was handed over last.
func TestTheOldestEqualSetIsChosen(t *testing.T) {
	s := open(t, 2, nil)
	s.Push("v2")
	s.Settled("v2", 2)
	older := s.Set("v1").Name
	s.later()
	s.hold("v1")
	s.makeRun("v1")
	made, err := workload.Canary(s.run, s.deployment(), 2)
	s.Must(err)
	s.Must(admin.Create(t.Context(), made))
	set := &appsv1.ReplicaSet{}
	s.Eventually("the canary is available", func(g Gomega) {
		g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(made), set)).To(Succeed())
		g.Expect(set.Status.AvailableReplicas).To(Equal(int32(2)))
	})
	s.lock()
	s.giveAs(set, map[string]string{desiredAnnotation: "2", maxAnnotation: "3"})
	s.unpause()
	s.Eventually("the older one serves", func(g Gomega) {
		for _, set := range s.Sets() {
			want := int32(0)
			if set.Name == older {
				want = 2
			}
			g.Expect(*set.Spec.Replicas).To(Equal(want), set.Name)
		}
	})
	if s.Made()["v1"] != 6 {
		t.Errorf("pods ever made %v: with an older equal set the pods are made again", s.Made())
	}
}

// TestBorrowAndReturn: a run takes an idle set of the Deployment's own, scales it,
// and gives it back empty; then the Deployment has its history as before.
func TestBorrowAndReturn(t *testing.T) {
	s := open(t, 2, nil)
	s.Push("v2")
	s.Settled("v2", 2)
	s.hold("v1")
	s.Eventually("the idle set is recognised", func(g Gomega) { g.Expect(s.Set("v1").Annotations).To(HaveKeyWithValue(revisionAnnotation, "3")) })
	s.makeRun("v1")
	s.take("v1")
	s.scaleSet("v1", 2)
	s.available("v1", 2)
	s.Stays("the Deployment leaves it alone", during, func(g Gomega) {
		g.Expect(s.Sizes()).To(Equal(map[string]int32{"v1": 2, "v2": 2}))
		g.Expect(s.Deployment().Status.Replicas).To(Equal(int32(2)))
	})
	s.scaleSet("v1", 0)
	s.Eventually("it is empty", func(g Gomega) { g.Expect(s.Set("v1").Status.Replicas).To(BeZero()) })
	s.returned("v1")
	s.Stays("it stays empty", during, func(g Gomega) { g.Expect(s.Sizes()).To(Equal(map[string]int32{"v1": 0, "v2": 2})) })
	s.unpause()
	s.Settled("v1", 2)
	s.Served()
}

// take gives a run control of a set of the Deployment's own.
func (s *shop) take(version string) {
	s.T.Helper()
	s.patch(s.set(version), func(set *unstructured.Unstructured) ([]byte, error) {
		return workload.TakeOwner(set, s.deployment(), s.run)
	})
}

// returned gives the Deployment control again.
func (s *shop) returned(version string) {
	s.T.Helper()
	s.patch(s.set(version), func(set *unstructured.Unstructured) ([]byte, error) { return workload.Return(set, s.deployment()) })
}

// TestABorrowedSetIsHandedOver: a revert to a version that the Deployment still
// has a set for makes its pods once too.
func TestABorrowedSetIsHandedOver(t *testing.T) {
	s := open(t, 3, nil)
	s.Push("v2")
	s.Settled("v2", 3)
	before := s.Made()
	s.hold("v1")
	s.makeRun("v1")
	s.take("v1")
	s.scaleSet("v1", 3)
	s.available("v1", 3)
	s.split("v2", "v1", 50)
	s.split100()
	s.give("v1", s.lock())
	s.Eventually("the other set is scaled to 0", func(g Gomega) { g.Expect(s.Sizes()["v2"]).To(BeZero()) })
	s.release()
	s.unpause()
	s.Settled("v1", 3)
	s.made(map[string]int{"v1": before["v1"] + 3, "v2": before["v2"]})
	s.Served()
}

// TestUnreadyPodsAreNoSaturation: a set that was handed over while a pod of it was
// not available is not whole either.
func TestUnreadyPodsAreNoSaturation(t *testing.T) {
	s := open(t, 4, nil)
	s.hold("v2")
	s.canary("v2", 4)
	blip := s.podOf("v2")
	s.Must(kube.Nodes.Behave(t.Context(), s.Namespace, func(p *corev1.Pod) cluster.Behaviour {
		return cluster.Behaviour{End: cluster.Grace, Unready: p.Name == blip}
	}))
	s.Eventually("a pod is not ready", func(g Gomega) { g.Expect(s.Set("v2").Status.ReadyReplicas).To(Equal(int32(3))) })
	s.give("v2", s.lock())
	s.recognised("v2")
	s.Eventually("the stable set goes on serving", func(g Gomega) { g.Expect(s.Sizes()["v1"] + s.Sizes()["v2"]).To(Equal(int32(5))) })
	s.Must(kube.Nodes.Behave(t.Context(), s.Namespace, func(*corev1.Pod) cluster.Behaviour { return cluster.Behaviour{End: cluster.Grace} }))
	s.unpause()
	s.Settled("v2", 4)
	s.Served()
}

// podOf names a pod of a version.
func (s *shop) podOf(version string) string {
	for _, p := range kube.Nodes.Made(s.Namespace) {
		if p.Image == cluster.Image(version) {
			return p.Name
		}
	}
	s.T.Fatalf("no pod of %s", version)
	return ""
}
