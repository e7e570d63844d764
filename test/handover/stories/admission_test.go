package stories

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// injections are changes that an admission policy makes to a canary's ReplicaSet,
// as JSON patches, and what the record calls them.
var injections = map[string]struct{ patch, says string }{
	"a label": {`JSONPatch{op: "add", path: "/spec/template/metadata/labels/checked", value: "yes"}`, "metadata.labels.checked"},
	"a toleration": {`JSONPatch{op: "add", path: "/spec/template/spec/tolerations", value: [Object.spec.template.spec.tolerations{key: "batch", operator: "Exists"}]}`,
		"spec.tolerations"},
}

// inject puts a policy in force that changes every canary's ReplicaSet of the
// namespace when it is created, and none of the Deployment controller's.
func (s *shop) inject(patch string) {
	s.T.Helper()
	name := "inject-" + s.Namespace
	policy := object(s.T, fmt.Sprintf(`{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingAdmissionPolicy, metadata: {name: %s}, spec: {
		failurePolicy: Fail, reinvocationPolicy: Never,
		matchConstraints: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}, objectSelector: {matchLabels: {belay.dev/role: canary}},
			resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [replicasets]}]},
		mutations: [{patchType: JSONPatch, jsonPatch: {expression: '[%s]'}}]}}`, name, s.Namespace, patch))
	binding := object(s.T, fmt.Sprintf(`{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingAdmissionPolicyBinding, metadata: {name: %[1]s}, spec: {policyName: %[1]s}}`, name))
	for _, o := range []*unstructured.Unstructured{policy, binding} {
		s.Must(admin.Create(s.T.Context(), o))
		s.T.Cleanup(func() {
			if err := admin.Delete(context.Background(), o); err != nil {
				s.T.Errorf("delete %s: %v", o.GetKind(), err)
			}
		})
	}
	s.Eventually("the policy is in force", func(g Gomega) {
		set := s.Set("v1")
		probe := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "probe", Namespace: s.Namespace, Labels: map[string]string{v1alpha1.LabelRole: v1alpha1.RoleCanary}}, Spec: *set.Spec.DeepCopy()}
		g.Expect(admin.Create(s.T.Context(), probe, client.DryRunAll)).To(Succeed())
		g.Expect(probe.Spec.Template).NotTo(Equal(set.Spec.Template))
	})
}

// TestAChangedCanaryIsPromoted natively, whatever was changed: the Deployment
// controller would not take such a set over.
func TestAChangedCanaryIsPromoted(t *testing.T) {
	t.Parallel()
	for name, injection := range injections {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, 4, nil)
			s.inject(injection.patch)
			s.Push("v2")
			s.promoted("v2", 4)
			s.Served()
			if why := s.decisions(); !strings.Contains(why, "promoting by the Deployment's own strategy: an admission webhook or policy changed the canary's template") || !strings.Contains(why, injection.says) {
				t.Errorf("the record does not say what happened:\n%s", why)
			}
		})
	}
}

// TestAChangedCanaryIsRolledBack: it is known by its owner, not by its template. The
// difference costs neither looks nor writes while the step holds.
func TestAChangedCanaryIsRolledBack(t *testing.T) {
	t.Parallel()
	for name, injection := range injections {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, 4, nil)
			s.inject(injection.patch)
			s.verdict(always(v1alpha1.VerdictInconclusive))
			s.Push("v2")
			s.atStep()
			s.until("it holds", func(g Gomega, r *v1alpha1.Rollout) {
				g.Expect(r.Status.Message).To(ContainSubstring("staying at 50 %"))
			})
			canary := s.Set("v2").UID
			looks, writes := s.belay.looks.Load(), s.belay.writes.Load()
			// A conflict is looked at again after 50 ms: 100 times in this time. What is left
			// are the watchdog's looks, and the last pods' and verdicts' events.
			s.Stays("no loop", 5*time.Second, func(g Gomega) {
				g.Expect(s.belay.looks.Load()-looks).To(BeNumerically("<=", 40), "looks")
				g.Expect(s.belay.writes.Load()-writes).To(BeNumerically("<=", 15), "writes")
				g.Expect(s.Set("v2").UID).To(Equal(canary), "the canary is made once")
			})
			t.Logf("%d looks and %d writes", s.belay.looks.Load()-looks, s.belay.writes.Load()-writes)
			if s.belay.looks.Load() == looks {
				t.Error("no look was counted at all")
			}
			s.verdict(always(v1alpha1.VerdictFail))
			s.rolledBack(4)
			s.Served()
			s.made(map[string]int{"v1": 4, "v2": 2})
		})
	}
}
