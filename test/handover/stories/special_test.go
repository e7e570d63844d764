package stories

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/handover/cluster"
)

func historyLimit(n int32) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) { d.Spec.RevisionHistoryLimit = &n }
}

// TestAQuotaTooSmallForTheCanary holds the step and says why; with room the
// release goes on.
func TestAQuotaTooSmallForTheCanary(t *testing.T) {
	t.Parallel()
	s := open(t, 4, nil)
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "small", Namespace: s.Namespace}}
	quota.Spec.Hard = corev1.ResourceList{corev1.ResourcePods: resource.MustParse("5")}
	s.Must(admin.Create(t.Context(), quota))
	s.Eventually("the quota is in force", func(g Gomega) {
		g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(quota), quota)).To(Succeed())
		g.Expect(quota.Status.Used).To(HaveKey(corev1.ResourcePods))
	})
	pushed := time.Now()
	s.Push("v2")
	s.until("the message names the quota", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Message).To(ContainSubstring("exceeded quota"))
	})
	s.saidWithin(10*time.Second, pushed)
	s.Must(admin.Delete(t.Context(), quota))
	s.promoted("v2", 4)
	s.Served()
	s.made(map[string]int{"v1": 4, "v2": 4})
}

// TestDirectCallersReachStable alone, until the new version has everything.
func TestDirectCallersReachStable(t *testing.T) {
	t.Parallel()
	s := open(t, 4, nil, func(spec map[string]any) { spec["traffic"].(map[string]any)["directCallers"] = "Stable" })
	s.verdict(inStep(v1alpha1.VerdictInconclusive))
	s.Push("v2")
	s.atStep()
	if direct := s.Requests().Direct[image("v2")]; direct > 0 {
		t.Errorf("%.1f direct calls reached the version on trial", direct)
	}
	s.verdict(nil)
	s.promoted("v2", 4)
	s.Served()
	s.made(map[string]int{"v1": 4, "v2": 4})
	if s.Requests().Direct[image("v2")] == 0 {
		t.Error("no direct call ever reached the new version")
	}
}

// TestAppliesOfANarrowedService: a client-side apply of the user's manifest, which
// has no hash, merges and keeps the one that narrows; a server-side one strips it,
// and it is put back.
func TestAppliesOfANarrowedService(t *testing.T) {
	t.Parallel()
	s := open(t, 2, nil, func(spec map[string]any) { spec["traffic"].(map[string]any)["directCallers"] = "Stable" })
	s.verdict(undecidedIn(v1alpha1.PhaseStepping))
	s.Push("v2")
	s.atStep()
	hash := s.Set("v1").Labels[appsv1.DefaultDeploymentUniqueLabelKey]
	narrowed := map[string]string{"app": cluster.Name, appsv1.DefaultDeploymentUniqueLabelKey: hash}
	manifest := filepath.Join(t.TempDir(), "service.yaml")
	s.Must(os.WriteFile(manifest, fmt.Appendf(nil, `{apiVersion: v1, kind: Service, metadata: {name: shop, namespace: %s, labels: {team: a}}, spec: {selector: {app: shop}, ports: [{name: http, port: 80}]}}`, s.Namespace), 0o600))
	for range 2 {
		// The first one writes what the second compares with.
		s.kubectl("apply", "-f", manifest)
		if got := s.selector(); !maps.Equal(got, narrowed) {
			t.Errorf("after kubectl apply the selector is %v, want %v", got, narrowed)
		}
	}
	if d := s.rollout().Status.DirectCallers; d == nil || d.Mode != v1alpha1.DirectCallersStable || d.PutBack != 0 {
		t.Errorf("after client-side applies status.directCallers is %+v", d)
	}
	s.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=gitops", "-f", manifest)
	s.until("put back", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.DirectCallers.PutBack).To(Equal(int32(1)))
		g.Expect(s.selector()).To(Equal(narrowed))
	})
	s.verdict(nil)
	s.promoted("v2", 2)
	s.Served()
}

// TestABorrowedSetVanishes: the Deployment's clean-up, or anybody, deletes the
// former version's ReplicaSet while a run has it. It is made again.
func TestABorrowedSetVanishes(t *testing.T) {
	t.Parallel()
	s := open(t, 3, nil)
	s.Push("v2")
	s.promoted("v2", 3)
	s.verdict(undecidedIn(v1alpha1.PhaseStepping))
	s.Push("v1")
	s.atStep()
	borrowed := s.Set("v1")
	if _, ok := borrowed.Labels[v1alpha1.LabelBorrowed]; !ok {
		t.Errorf("the set of v1 was not borrowed: labels %v", borrowed.Labels)
	}
	s.Must(admin.Delete(t.Context(), borrowed))
	s.Eventually("another set of v1, the run's", func(g Gomega) {
		set := s.Set("v1")
		g.Expect(set).NotTo(BeNil())
		g.Expect(set.UID).NotTo(Equal(borrowed.UID))
		g.Expect(metav1.GetControllerOf(set)).To(HaveField("Kind", "RolloutRun"))
		g.Expect(set.Status.AvailableReplicas).To(Equal(int32(2)))
	})
	s.verdict(nil)
	s.promoted("v1", 3)
}

// TestPushedAtZero waits for replicas; then the version that was stable comes up
// first, and the new one is tried.
func TestPushedAtZero(t *testing.T) {
	t.Parallel()
	s := open(t, 3, nil)
	s.empty()
	s.emptied()
	s.Push("v2")
	s.until("it waits", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseGating))
		g.Expect(r.Status.Message).To(ContainSubstring("scaled to 0"))
	})
	s.fill()
	s.promoted("v2", 3)
	s.Served()
	s.made(map[string]int{"v1": 6, "v2": 3})
}

// TestStableIsMadeAgain when a held Deployment without history has lost its set at
// zero: in the middle of a run, and after a rollback.
func TestStableIsMadeAgain(t *testing.T) {
	t.Parallel()
	t.Run("in a step", func(t *testing.T) {
		t.Parallel()
		s := open(t, 3, historyLimit(0))
		s.verdict(always(v1alpha1.VerdictInconclusive))
		s.Push("v2")
		s.atStep()
		s.empty()
		s.Eventually("the stable set is gone", func(g Gomega) { g.Expect(s.Set("v1")).To(BeNil()) })
		s.fill()
		s.verdict(nil)
		s.promoted("v2", 3)
		s.Served()
	})
	t.Run("rolled back", func(t *testing.T) {
		t.Parallel()
		s := open(t, 3, historyLimit(0))
		s.verdict(inStep(v1alpha1.VerdictFail))
		s.Push("v2")
		s.rolledBack(3)
		s.empty()
		s.Eventually("the stable set is gone", func(g Gomega) { g.Expect(s.Set("v1")).To(BeNil()) })
		s.fill()
		s.rolledBack(3)
		s.Served()
		if made := s.Made()["v1"]; made != 6 {
			t.Errorf("%d pods of v1 were made, want 6", made)
		}
	})
}
