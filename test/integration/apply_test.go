package integration

import (
	"fmt"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
)

// applyOwns makes the shop's own objects those of the field manager "gitops", as if
// it had applied them from the start.
func (s *shop) applyOwns() {
	s.t.Helper()
	for _, object := range []client.Object{&appsv1.Deployment{}, &corev1.Service{}, &gatewayv1.HTTPRoute{}} {
		s.must(admin.Get(s.t.Context(), s.key(), object))
		creators := sets.New[string]()
		for _, entry := range object.GetManagedFields() {
			if entry.Subresource == "" && entry.Manager != v1alpha1.FieldManager {
				creators.Insert(entry.Manager)
			}
		}
		patch, err := csaupgrade.UpgradeManagedFieldsPatch(object, creators, "gitops")
		s.must(err)
		s.must(admin.Patch(s.t.Context(), object, client.RawPatch(types.JSONPatchType, patch)))
	}
}

// deploymentOf is the manifest of a version; field is one more of its spec.
func deploymentOf(image, field string) string {
	return fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: shop, labels: {version: %q}}, spec: {replicas: 2, %s selector: {matchLabels: {app: shop}},
		template: {metadata: {labels: {app: shop}}, spec: {containers: [{name: shop, image: %[3]q}]}}}}`, image[len("registry.example/shop:"):], field, image)
}

// apply pushes a version by an unforced server-side apply, which must be held.
func (s *shop) apply(image, field string) {
	s.t.Helper()
	s.failing, s.fails = false, nil
	if err := applied(s.t, s.namespace, deploymentOf(image, field)); err != nil {
		s.t.Fatalf("the Deployment's next apply, of %s: %v", image, err)
	}
	if d := s.deployment(); !d.Spec.Paused || d.Spec.Template.Spec.Containers[0].Image != image {
		s.t.Fatalf("an applied version was not held: paused %v, %s", d.Spec.Paused, d.Spec.Template.Spec.Containers[0].Image)
	}
}

// next is a version after another one was promoted or rolled back.
const next = "registry.example/shop:v3"

// TestAnApplyAfterARunMeetsNoConflict: whatever a run has written, the user's next
// server-side apply of the Deployment, the route and the Service changes each of
// them, without force.
func TestAnApplyAfterARunMeetsNoConflict(t *testing.T) {
	for name, fails := range map[string]func(*v1alpha1.Rollout) bool{
		"promoted": nil, "rolled back from a step": atWeight, "rolled back from a bake": inPhase(v1alpha1.PhaseBaking),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := open(t)
			r := s.rollout()
			// So that the Service is written too.
			r.Spec.Traffic.DirectCallers = v1alpha1.DirectCallersStable
			s.must(admin.Update(t.Context(), r))
			s.applyOwns()
			s.apply(better, "")
			s.fails = fails
			wrote := map[string]bool{}
			s.until("ended", func(r *v1alpha1.Rollout) bool {
				for _, object := range []client.Object{&corev1.Service{}, &gatewayv1.HTTPRoute{}} {
					s.must(admin.Get(t.Context(), s.key(), object))
					for _, entry := range object.GetManagedFields() {
						wrote[fmt.Sprintf("%T", object)] = wrote[fmt.Sprintf("%T", object)] || entry.Manager == v1alpha1.FieldManager
					}
				}
				return ended(better)(r)
			})
			s.settle(better, good)
			g.Expect(wrote).To(Equal(map[string]bool{"*v1.Service": true, "*v1.HTTPRoute": true}), "what the run wrote")

			route, service := &gatewayv1.HTTPRoute{}, &corev1.Service{}
			g.Expect(admin.Get(t.Context(), s.key(), route)).To(Succeed())
			g.Expect(admin.Get(t.Context(), s.key(), service)).To(Succeed())
			ownsNothing(g, route)
			ownsNothing(g, service)
			g.Expect(applied(t, s.namespace, changedRoute)).To(Succeed(), "the route's next apply")
			g.Expect(applied(t, s.namespace, `{apiVersion: v1, kind: Service, metadata: {name: shop}, spec: {selector: {app: shop, tier: web}, ports: [{port: 8080}]}}`)).To(Succeed(), "the Service's next apply")
			g.Expect(admin.Get(t.Context(), s.key(), service)).To(Succeed())
			g.Expect(service.Spec.Selector).To(Equal(map[string]string{"app": "shop", "tier": "web"}))
			s.apply(next, "")
		})
	}
}

// TestAnApplyThatDeclaresPaused goes through as any other while Belay was the last
// one to unpause the Deployment, and the guard the last one to pause it.
func TestAnApplyThatDeclaresPaused(t *testing.T) {
	s := open(t)
	s.applyOwns()
	const unpaused = "paused: false,"
	s.apply(better, unpaused)
	s.until("promoted", ended(better))
	s.settle(better, good)
	s.apply(next, unpaused)
	s.fails = atWeight
	s.until("rolled back", ended(next))
	s.settle(next, better)
	const last = "registry.example/shop:v4"
	s.apply(last, unpaused)
	s.until("promoted", ended(last))
	expect(t, s.settle(last, better), append(isServed, "phase Stable, stable CANDIDATE", "paused false")...)
	if d := s.deployment(); slices.ContainsFunc(d.Spec.Template.Spec.Containers, func(c corev1.Container) bool { return c.Image != last }) {
		t.Errorf("%+v", d.Spec.Template.Spec.Containers)
	}
}
