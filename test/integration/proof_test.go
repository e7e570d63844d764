package integration

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers"
)

// guardProbe is the identity that the probe's dry-runs run under.
const guardProbe = "system:serviceaccount:belay:guard-probe"

// proof asks for the reason of the condition Guarded, anew each time.
func proof(t *testing.T, name string) func() string {
	t.Helper()
	probe := controllers.NewGuardProbe(as(t, guardProbe), 0, 0)
	return func() string {
		deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}}
		guard, _ := probe.Check(context.WithoutCancel(t.Context()), &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{UID: types.UID(name)}}, deployment, time.Now())
		if guard.Proven != (guard.Reason == v1alpha1.ReasonGuardProven) {
			t.Errorf("proven %v for the reason %s: %s", guard.Proven, guard.Reason, guard.Message)
		}
		return guard.Reason
	}
}

// without removes an object of config for the rest of the test, and returns
// when all is in force again.
func without(t *testing.T, object client.Object, again func(Gomega)) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(object), object)).To(Succeed())
	g.Expect(admin.Delete(t.Context(), object)).To(Succeed())
	t.Cleanup(func() {
		object.SetResourceVersion("")
		object.SetUID("")
		g.Expect(admin.Create(context.WithoutCancel(t.Context()), object)).To(Succeed())
		g.Eventually(again).WithTimeout(soon).Should(Succeed())
	})
}

// TestGuardIsProvenOrNot asks for both kinds of Deployment: one that rolls and
// one that is held. A held one is paused in any case, which proves nothing.
func TestGuardIsProvenOrNot(t *testing.T) {
	g := NewWithT(t)
	guarded(t, "proof-rolls", true)
	guarded(t, "proof-held", true)
	rolls, held := proof(t, "proof-rolls"), proof(t, "proof-held")
	_, err := patch(t.Context(), admin, "proof-held", `{"spec":{"paused":true}}`)
	g.Expect(err).NotTo(HaveOccurred())
	both := func(reason string) func(Gomega) {
		return func(g Gomega) {
			g.Expect(rolls()).To(Equal(reason))
			g.Expect(held()).To(Equal(reason))
		}
	}
	proven := both(v1alpha1.ReasonGuardProven)
	g.Eventually(proven).WithTimeout(soon).Should(Succeed())

	t.Run("no binding of the pause policy", func(t *testing.T) {
		without(t, &admissionregistrationv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "belay-guard-pause"}}, proven)
		NewWithT(t).Eventually(both(v1alpha1.ReasonGuardMissing)).WithTimeout(soon).Should(Succeed())
	})
	t.Run("no binding at all", func(t *testing.T) {
		without(t, &admissionregistrationv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "belay-guard-pause"}}, proven)
		without(t, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "belay-guard-unpause"}}, func(g Gomega) {
			held := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "proof-held", Namespace: "shop"}}
			unpause := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"paused":false}}`))
			err := as(t, guardProbe).Patch(context.WithoutCancel(t.Context()), held, unpause, client.DryRunAll)
			g.Expect(err).To(MatchError(ContainSubstring("is held by Rollout")))
		})
		NewWithT(t).Eventually(both(v1alpha1.ReasonGuardMissing)).WithTimeout(soon).Should(Succeed())
	})
	t.Run("no rights", func(t *testing.T) {
		without(t, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "belay-guard-probe"}}, proven)
		NewWithT(t).Eventually(both(v1alpha1.ReasonGuardUnproven)).WithTimeout(soon).Should(Succeed())
	})
	NewWithT(t).Expect(held()).To(Equal(v1alpha1.ReasonGuardProven))
}
