package stories

import (
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
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
	s.Push("v2")
	s.until("the message names the quota", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Message).To(ContainSubstring("exceeded quota"))
	})
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
