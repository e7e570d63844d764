package stories

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
	"belay.dev/belay/test/handover/cluster"
)

// TestNativePromotion rolls by the Deployment's own strategy from the last step.
func TestNativePromotion(t *testing.T) {
	t.Parallel()
	s := open(t, 4, nil, natively)
	s.Push("v2")
	s.promoted("v2", 4)
	s.Served()
}

func natively(spec map[string]any) {
	spec["promotion"] = map[string]any{"mode": "Native", "bake": "0s"}
}

// injectIntoCanaries lets admission change the template of every canary's
// ReplicaSet, as a plugin does that was meant for pods.
func (s *shop) injectIntoCanaries() {
	s.T.Helper()
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
		probe := &appsv1.ReplicaSet{}
		probe.Name, probe.Namespace, probe.Labels, probe.Spec = "probe", s.Namespace, map[string]string{v1alpha1.LabelRole: v1alpha1.RoleCanary}, set.Spec
		g.Expect(admin.Create(s.T.Context(), probe, client.DryRunAll)).To(Succeed())
		g.Expect(probe.Spec.Template.Annotations).To(HaveKey("injected"))
	})
}

// TestAdmissionChangesTheCanary: the Deployment controller would not take such a
// set over. The Deployment rolls by its own strategy instead, which is said, and
// ends with one ReplicaSet that has pods: its own.
func TestAdmissionChangesTheCanary(t *testing.T) {
	t.Parallel()
	s := open(t, 4, nil)
	s.injectIntoCanaries()
	s.verdict(undecidedIn(v1alpha1.PhaseStepping))
	s.Push("v2")
	s.until("the message says in the first step how the run will end", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseStepping))
		g.Expect(r.Status.Message).To(And(ContainSubstring("the promotion will be by the Deployment's own strategy"), ContainSubstring("injected")))
	})
	bakes := s.says("BakeStarts")
	s.verdict(nil)
	s.promoted("v2", 4)
	s.Served()
	if bakes.Load() {
		t.Error("pods were baked that the Deployment replaces")
	}
	if why := s.decisions(); !strings.Contains(why, "changed the canary's template") || !strings.Contains(why, "injected") {
		t.Errorf("the record does not say what happened:\n%s", why)
	}
	if h := s.rollout().Status.History[0]; h.Outcome != v1alpha1.OutcomePromoted || !strings.Contains(h.Message, "changed the canary's template") {
		t.Errorf("the run ended %s: %s", h.Outcome, h.Message)
	}
	active := 0
	for _, set := range s.Sets() {
		if *set.Spec.Replicas > 0 {
			active++
		}
		if _, injected := set.Spec.Template.Annotations["injected"]; injected {
			t.Errorf("ReplicaSet %s is still there, which admission changed", set.Name)
		}
	}
	if active != 1 {
		t.Errorf("%d ReplicaSets have a size, want 1", active)
	}
}

// TestAnInjectedCanaryIsRolledBack: nothing is left of a canary that admission
// changed, and the Deployment makes no set of its own.
func TestAnInjectedCanaryIsRolledBack(t *testing.T) {
	t.Parallel()
	s := open(t, 4, nil)
	s.injectIntoCanaries()
	s.verdict(inStep(v1alpha1.VerdictFail))
	s.Push("v2")
	s.rolledBack(4)
	s.Served()
	s.made(map[string]int{"v1": 4, "v2": 2})
	if sets := s.Sets(); len(sets) != 1 {
		t.Errorf("%d ReplicaSets are left, want stable's alone", len(sets))
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

// inTheMiddle lets a native promotion of v2 come to where the Deployment runs both
// versions and goes no further: what it adds to the canary's pods gets not ready.
func (s *shop) inTheMiddle() {
	s.T.Helper()
	s.verdict(always(v1alpha1.VerdictInconclusive))
	s.Push("v2")
	s.atStep()
	judged := map[string]bool{}
	for _, p := range kube.Nodes.Made(s.Namespace) {
		judged[p.Name] = true
	}
	s.Must(kube.Nodes.Behave(s.T.Context(), s.Namespace, func(p *corev1.Pod) cluster.Behaviour {
		return cluster.Behaviour{End: cluster.Grace, Unready: p.Spec.Containers[0].Image == image("v2") && !judged[p.Name]}
	}))
	s.verdict(nil)
	s.until("the Deployment is in the middle of its roll", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseHandingOver))
		g.Expect(r.Status.Promotion.Mode).To(Equal(v1alpha1.TakeOverNative))
		d, sizes := s.Deployment(), s.Sizes()
		g.Expect(d.Spec.Paused).To(BeFalse())
		g.Expect(d.Labels).NotTo(HaveKey(v1alpha1.LabelHandover))
		g.Expect(sizes["v1"]).To(BeNumerically(">", 0))
		g.Expect(sizes["v2"]).To(BeNumerically(">", 2))
	})
}

// TestUndoInANativePromotion: kubectl's own way back pauses the Deployment, as any
// push; Belay lets it roll back to what was stable, and the run ends cancelled.
func TestUndoInANativePromotion(t *testing.T) {
	t.Parallel()
	s := open(t, 4, nil, natively)
	s.inTheMiddle()
	s.kubectl("rollout", "undo", deployment)
	s.promoted("v1", 4)
	s.Served()
	if h := s.rollout().Status.History; len(h) != 1 || h[0].Outcome != v1alpha1.OutcomeCancelled || h[0].Image != image("v2") {
		t.Errorf("the history is %+v", h)
	}
	if made := s.Made()["v2"]; made != 4 {
		t.Errorf("%d pods of v2 were made, want 4", made)
	}
}

// TestABypassInANativePromotion: a hotfix goes out at once although the Deployment
// is in the middle of a roll; the run ends superseded, and the hotfix is a run of
// its own.
func TestABypassInANativePromotion(t *testing.T) {
	t.Parallel()
	s := open(t, 4, nil, natively)
	s.inTheMiddle()
	s.PatchDeployment(types.StrategicMergePatchType, fmt.Sprintf(`{"metadata":{"annotations":{%q:"%d: outage"}},"spec":{"paused":false,"template":{"spec":{"containers":[{"name":%q,"image":%q}]}}}}`,
		v1alpha1.AnnotationBypassReason, s.Deployment().Generation, cluster.Name, image("v3")))
	if s.Deployment().Spec.Paused {
		t.Error("the hotfix is held")
	}
	s.promoted("v3", 4)
	s.Served()
	h := s.rollout().Status.History
	if len(h) != 2 || h[0].Outcome != v1alpha1.OutcomeBypassed || h[0].Image != image("v3") || h[1].Outcome != v1alpha1.OutcomeSuperseded || h[1].Image != image("v2") {
		t.Errorf("the history is %+v", h)
	}
}
