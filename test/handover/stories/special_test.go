package stories

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
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

// TestAdmissionChangesTheCanary: the Deployment controller would not take such a
// set over. The Deployment rolls by its own strategy instead, and that is said.
func TestAdmissionChangesTheCanary(t *testing.T) {
	t.Parallel()
	s := open(t, 4, nil)
	name := "inject-" + s.Namespace
	s.create(fmt.Sprintf(`{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingAdmissionPolicy, metadata: {name: %s}, spec: {
		failurePolicy: Fail, reinvocationPolicy: Never,
		matchConstraints: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}, objectSelector: {matchLabels: {belay.dev/role: canary}},
			resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [replicasets]}]},
		mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: 'Object{spec: Object.spec{template: Object.spec.template{metadata: Object.spec.template.metadata{annotations: {"injected": "yes"}}}}}'}}]}}`,
		name, s.Namespace))
	s.create(fmt.Sprintf(`{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingAdmissionPolicyBinding, metadata: {name: %[1]s}, spec: {policyName: %[1]s}}`, name))
	s.Eventually("the policy is in force", func(g Gomega) {
		set := s.Set("v1")
		probe := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "probe", Namespace: s.Namespace, Labels: map[string]string{v1alpha1.LabelRole: v1alpha1.RoleCanary}}, Spec: set.Spec}
		g.Expect(admin.Create(t.Context(), probe, client.DryRunAll)).To(Succeed())
		g.Expect(probe.Spec.Template.Annotations).To(HaveKey("injected"))
	})
	s.Push("v2")
	s.promoted("v2", 4)
	s.Served()
	if why := s.decisions(); !strings.Contains(why, "admission changed the canary's template") || !strings.Contains(why, "injected") {
		t.Errorf("the record does not say what happened:\n%s", why)
	}
}

// decisions of the last run, one a line.
func (s *shop) decisions() string {
	s.T.Helper()
	run := &v1alpha1.RolloutRun{}
	rollout := s.rollout()
	run.Name, run.Namespace = rollout.Status.Run, s.Namespace
	s.Must(admin.Get(s.T.Context(), client.ObjectKeyFromObject(run), run))
	var out strings.Builder
	for _, d := range evidence.With(run.Status.Decisions, run.Name, rollout.Status.Record.Pending) {
		fmt.Fprintf(&out, "%s: %s\n", d.Rule, d.Why)
	}
	return out.String()
}

// TestNativePromotion rolls by the Deployment's own strategy from the last step.
func TestNativePromotion(t *testing.T) {
	t.Parallel()
	s := open(t, 4, nil, func(spec map[string]any) { spec["promotion"] = map[string]any{"mode": "Native", "bake": "0s"} })
	s.Push("v2")
	s.promoted("v2", 4)
	s.Served()
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
