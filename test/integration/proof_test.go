package integration

import (
	"context"
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// guardProbe is the identity that the probe's dry-runs run under.
const guardProbe = "system:serviceaccount:belay:guard-probe"

// The dry-runs that prove the guard, on a Deployment that is paused or not. The
// first must come back paused, labelled and stamped; the second must be refused.
const (
	probePush   = `{"metadata":{"labels":{"belay.dev/rollout":null}},"spec":{"paused":false,"template":{"metadata":{"annotations":{"belay.dev/guard-probe":"1"}}}}}`
	probeBypass = `{"metadata":{"annotations":{"belay.dev/bypass-reason":"%d: guard-probe"}}}`
)

// proof is what a dry-run says: nothing, or the API server's refusal.
func proof(t *testing.T, name, document string) (*appsv1.Deployment, string) {
	t.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}}
	ctx := context.WithoutCancel(t.Context())
	if err := as(t, guardProbe).Patch(ctx, d, client.RawPatch(types.MergePatchType, []byte(document)), client.DryRunAll, client.FieldOwner("belay-controller")); err != nil {
		return d, err.Error()
	}
	return d, ""
}

// present is the Deployment's generation; a dry-run's answer has the next one.
func present(t *testing.T, name string) int64 {
	t.Helper()
	d := &appsv1.Deployment{}
	if err := admin.Get(context.WithoutCancel(t.Context()), types.NamespacedName{Namespace: "shop", Name: name}, d); err != nil {
		t.Fatal(err)
	}
	return d.Generation
}

// proven: both dry-runs say that the guard is in force.
func proven(t *testing.T, names ...string) func(Gomega) {
	return func(g Gomega) {
		for _, name := range names {
			d, refused := proof(t, name, probePush)
			g.Expect(refused).To(BeEmpty())
			g.Expect(d.Spec.Paused).To(BeTrue(), name)
			g.Expect(d.Labels).To(HaveKeyWithValue(v1alpha1.LabelRollout, name))
			g.Expect(d.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationPushedBy, guardProbe+" (belay-controller)"))
			_, refused = proof(t, name, fmt.Sprintf(probeBypass, present(t, name)))
			g.Expect(refused).To(ContainSubstring("needs the verb bypass on rollouts.belay.dev/" + name))
		}
	}
}

// without removes objects of config for the rest of the test, and returns when all
// is in force again.
func without(t *testing.T, again func(Gomega), objects ...client.Object) {
	t.Helper()
	g := NewWithT(t)
	for _, object := range objects {
		g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(object), object)).To(Succeed())
		g.Expect(admin.Delete(t.Context(), object)).To(Succeed())
	}
	t.Cleanup(func() {
		for _, object := range objects {
			object.SetResourceVersion("")
			object.SetUID("")
			g.Expect(admin.Create(context.WithoutCancel(t.Context()), object)).To(Succeed())
		}
		g.Eventually(again).WithTimeout(soon).Should(Succeed())
	})
}

func mutating(name string) client.Object {
	return &admissionregistrationv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "belay-guard-" + name}}
}

func validating(name string) client.Object {
	return &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "belay-guard-" + name}}
}

// TestTheGuardCanBeProven asks for both kinds of Deployment, one that rolls and one
// that is held, what the dry-runs answer while a part of the guard is missing.
func TestTheGuardCanBeProven(t *testing.T) {
	guarded(t, "proof-rolls", false)
	guarded(t, "proof-held", false)
	adopt(t, "proof-held", `{"spec":{"paused":true}}`)
	names := []string{"proof-rolls", "proof-held"}
	allowed(t, admin, guardProbe, "patch", "apps", "deployments")
	inForce := proven(t, names...)
	NewWithT(t).Eventually(inForce).WithTimeout(soon).Should(Succeed())

	const accepted = ""
	for missing, c := range map[string]struct {
		objects []client.Object
		// push and bypass are what the refusals say; paused, label and stamp what the
		// answer to an accepted push has.
		push, bypass         string
		paused, label, stamp bool
	}{
		"hold's binding": {objects: []client.Object{mutating("hold")}, push: "belay-guard-hold or its binding is not in force", bypass: "needs the verb bypass"},
		"hold itself": {objects: []client.Object{&admissionregistrationv1.MutatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "belay-guard-hold"}}},
			push: "belay-guard-hold or its binding is not in force", bypass: "needs the verb bypass"},
		"keep":             {objects: []client.Object{mutating("keep")}, push: "guards it for Rollout", bypass: "needs the verb bypass"},
		"stamp":            {objects: []client.Object{mutating("stamp")}, push: accepted, bypass: "needs the verb bypass", paused: true, label: true},
		"release":          {objects: []client.Object{validating("release")}, push: accepted, bypass: accepted, paused: true, label: true, stamp: true},
		"hold and release": {objects: []client.Object{mutating("hold"), validating("release")}, push: accepted, bypass: accepted, label: true, stamp: true},
		"all of it": {objects: []client.Object{mutating("hold"), mutating("keep"), mutating("stamp"), validating("release")},
			push: accepted, bypass: accepted},
	} {
		t.Run(missing, func(t *testing.T) {
			without(t, inForce, c.objects...)
			says := func(g Gomega, refused, want string) {
				if want == accepted {
					g.Expect(refused).To(BeEmpty())
					return
				}
				g.Expect(refused).To(And(ContainSubstring("'belay-guard-release'"), ContainSubstring(want)))
			}
			NewWithT(t).Eventually(func(g Gomega) {
				for _, name := range names {
					d, refused := proof(t, name, probePush)
					says(g, refused, c.push)
					if c.push == accepted {
						g.Expect(d.Spec.Paused).To(Equal(c.paused))
						g.Expect(d.Labels[v1alpha1.LabelRollout] != "").To(Equal(c.label))
						g.Expect(d.Annotations[v1alpha1.AnnotationPushedBy] != "").To(Equal(c.stamp))
					}
					_, refused = proof(t, name, fmt.Sprintf(probeBypass, present(t, name)))
					says(g, refused, c.bypass)
				}
			}).WithTimeout(soon).Should(Succeed())
		})
	}
}
