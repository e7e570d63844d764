package integration

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
)

// move is how another controller serves the shop, as docs/migrating-from-*.md show it.
type move struct {
	// pods are the labels of the pods that serve, whose owner is the other controller.
	pods map[string]string
	// own is the selector of the Service shop, which does not exist where it is nil.
	own map[string]string
	// services are those that the route names, and selectors theirs. The first gets all requests.
	services  [2]string
	selectors [2]map[string]string
	// reason is why Belay, which has adopted the Deployment, releases nothing yet.
	reason string
	// names is whether Belay needs one of the two names.
	names bool
}

var moves = map[string]move{
	"Argo Rollouts": {
		pods:      map[string]string{"app": "shop", "rollouts-pod-template-hash": "6c77698f9a"},
		services:  [2]string{"shop-active", "shop-next"},
		selectors: [2]map[string]string{{"app": "shop", "rollouts-pod-template-hash": "6c77698f9a"}, {"app": "shop", "rollouts-pod-template-hash": "6c77698f9a"}},
		reason:    v1alpha1.ReasonRouteNotFound,
	},
	"Argo Rollouts with Services of Belay's names": {
		pods:      map[string]string{"app": "shop", "rollouts-pod-template-hash": "6c77698f9a"},
		services:  [2]string{"shop-stable", "shop-canary"},
		selectors: [2]map[string]string{{"app": "shop", "rollouts-pod-template-hash": "6c77698f9a"}, {"app": "shop", "rollouts-pod-template-hash": "6c77698f9a"}},
		reason:    v1alpha1.ReasonServiceUnusable,
		names:     true,
	},
	"Flagger": {
		pods:      map[string]string{"app": "shop-primary"},
		own:       map[string]string{"app": "shop-primary"},
		services:  [2]string{"shop-primary", "shop-canary"},
		selectors: [2]map[string]string{{"app": "shop-primary"}, {"app": "shop"}},
		reason:    v1alpha1.ReasonRouteNotFound,
		names:     true,
	},
}

// TestAServiceThatMovesIsHeldFromTheStart is Belay's part of docs/migrating-from-*.md, with the
// objects that Argo Rollouts and Flagger leave, and without their controllers: Belay adopts the
// Deployment while the route leads to the other controller's pods, holds what is pushed, starts
// no run and leaves the route alone; once Service and route are the user's own and the other
// pods are gone, the next version is released. At each moment some pod can answer.
func TestAServiceThatMovesIsHeldFromTheStart(t *testing.T) {
	for name, from := range moves {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			before := s.rollout()
			s.leave()
			s.servedBy(from)

			create(t, &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: s.namespace}, Spec: before.Spec})
			s.until("adopted, guarded and stalled", s.guardedAnd(from.reason))
			route := s.route()
			s.release(better)
			s.until("seen to wait", func(r *v1alpha1.Rollout) bool {
				return r.Status.Candidate != nil && r.Status.Candidate.Image == better && s.guardedAnd(from.reason)(r)
			})
			for range 5 {
				if err := s.look(); err != nil {
					t.Fatal(err)
				}
			}
			if r := s.rollout(); r.Status.Runs != 0 || r.Status.Phase != v1alpha1.PhaseGating || !s.deployment().Spec.Paused {
				t.Errorf("a push before the move is in phase %s after %d runs, paused %t", r.Status.Phase, r.Status.Runs, s.deployment().Spec.Paused)
			}
			if after := s.route(); !equality.Semantic.DeepEqual(route, after) {
				t.Errorf("the route was changed from %+v to %+v", route, after)
			}
			s.release(good)
			s.until("taken back", func(r *v1alpha1.Rollout) bool { return r.Status.Candidate == nil && !s.deployment().Spec.Paused })

			if from.own != nil {
				// The Service of Flagger's canary selects the Deployment: first the weights.
				s.lead(from.services[1], from.services[0])
			}
			s.serve("shop", map[string]string{"app": "shop"})
			s.lead("shop")
			if from.names {
				s.until("waiting for its names", func(r *v1alpha1.Rollout) bool {
					return s.guardedAnd(v1alpha1.ReasonServiceUnusable)(r) && strings.Contains(r.Status.Message, `Service "shop-canary" exists and was not created by Belay`)
				})
			}
			s.leftBy(from)
			s.until("ready", func(r *v1alpha1.Rollout) bool {
				return meta.IsStatusConditionTrue(r.Status.Conditions, v1alpha1.ConditionReady)
			})
			s.release(better)
			if r := s.until("ended", ended(better)); r.Status.History[0].Outcome != v1alpha1.OutcomePromoted {
				t.Errorf("the first release after the move ended as %+v", r.Status.History[0])
			}
		})
	}
}

// TestARouteWithServicesOfBelaysNamesIsTakenBack: a route that names both is one that a former
// run left, so Belay points it at the user's Service by itself once that has a ready pod.
func TestARouteWithServicesOfBelaysNamesIsTakenBack(t *testing.T) {
	s := open(t)
	before := s.rollout()
	s.leave()
	from := moves["Argo Rollouts with Services of Belay's names"]
	from.own = map[string]string{"app": "shop"}
	s.servedBy(from)
	create(t, &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: s.namespace}, Spec: before.Spec})
	s.until("waiting for its names", s.guardedAnd(v1alpha1.ReasonServiceUnusable))
	if refs := s.route().Spec.Rules[0].BackendRefs; len(refs) != 1 || refs[0].Name != "shop" {
		t.Errorf("the route leads to %+v, want the Service shop alone", refs)
	}

	// The way back: without the Rollout nothing takes the route again, and their Services stay.
	s.leave()
	s.lead(from.services[:]...)
	if _, labelled := s.deployment().Labels[v1alpha1.LabelRollout]; labelled || s.deployment().Spec.Paused {
		t.Errorf("the Deployment is left paused %t with labels %v", s.deployment().Spec.Paused, s.deployment().Labels)
	}
	for i, name := range from.services {
		left := &corev1.Service{}
		if err := admin.Get(t.Context(), types.NamespacedName{Namespace: s.namespace, Name: name}, left); err != nil || !maps.Equal(left.Spec.Selector, from.selectors[i]) {
			t.Errorf("Service %s is left with selector %v, %v", name, left.Spec.Selector, err)
		}
	}
}

// guardedAnd is true of a Rollout that holds what is pushed, and cannot release it for a reason.
func (s *shop) guardedAnd(reason string) func(*v1alpha1.Rollout) bool {
	return func(r *v1alpha1.Rollout) bool {
		stalled := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionStalled)
		return r.Status.Stable != nil && meta.IsStatusConditionTrue(r.Status.Conditions, v1alpha1.ConditionGuarded) && stalled != nil && stalled.Reason == reason
	}
}

// leave deletes the Rollout, which gives everything back.
func (s *shop) leave() {
	s.t.Helper()
	if err := admin.Delete(s.t.Context(), s.rollout()); err != nil {
		s.t.Fatal(err)
	}
	s.until("released", func(r *v1alpha1.Rollout) bool { return r.UID == "" })
}

// servedBy makes another controller's pods and Services, and leads the route to them.
func (s *shop) servedBy(from move) {
	s.t.Helper()
	replicas, owned := int32(2), true
	create(s.t, &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: "theirs", Namespace: s.namespace, Labels: from.pods,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "example.com/v1", Kind: "Theirs", Name: "shop", UID: "7d9f6b5c-0000-4000-8000-000000000000", Controller: &owned}}},
		Spec: appsv1.ReplicaSetSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: from.pods},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: from.pods}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "shop", Image: good}}}}}})
	for range 4 {
		s.cluster.tick()
	}
	for i, name := range from.services {
		s.serve(name, from.selectors[i])
	}
	s.lead(from.services[:]...)
	if from.own != nil {
		s.serve("shop", from.own)
		return
	}
	s.gone(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: s.namespace}})
}

// leftBy takes away what servedBy made, but for the Service shop.
func (s *shop) leftBy(from move) {
	s.t.Helper()
	s.gone(&appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "theirs", Namespace: s.namespace}})
	for _, name := range from.services {
		s.gone(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.namespace}})
	}
	s.cluster.tick()
}

func (s *shop) gone(o client.Object) {
	s.t.Helper()
	if err := admin.Delete(s.t.Context(), o); err != nil {
		s.t.Fatal(err)
	}
}

// serve makes a Service, or gives one another selector.
func (s *shop) serve(name string, selector map[string]string) {
	s.t.Helper()
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.namespace},
		Spec: corev1.ServiceSpec{Selector: selector, Ports: []corev1.ServicePort{{Port: 80}}}}
	create(s.t, service.DeepCopy())
	present := &corev1.Service{}
	if err := admin.Get(s.t.Context(), client.ObjectKeyFromObject(service), present); err != nil {
		s.t.Fatal(err)
	}
	present.Spec.Selector = selector
	if err := admin.Update(s.t.Context(), present); err != nil {
		s.t.Fatal(err)
	}
	s.cluster.tick()
}

// lead makes the route lead to Services, the first of which gets all requests.
func (s *shop) lead(services ...string) {
	s.t.Helper()
	var refs []string
	for i, service := range services {
		refs = append(refs, fmt.Sprintf(`{"name":%q,"port":80,"weight":%d}`, service, []int{100, 0}[i]))
	}
	route := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: s.namespace}}
	document := fmt.Sprintf(`{"spec":{"rules":[{"backendRefs":[%s]}]}}`, strings.Join(refs, ","))
	if err := admin.Patch(s.t.Context(), route, client.RawPatch(types.MergePatchType, []byte(document))); err != nil {
		s.t.Fatal(err)
	}
	s.cluster.tick()
}

// route is what requests follow, and what marks it.
func (s *shop) route() *gatewayv1.HTTPRoute {
	s.t.Helper()
	route := &gatewayv1.HTTPRoute{}
	if err := admin.Get(s.t.Context(), s.key(), route); err != nil {
		s.t.Fatal(err)
	}
	return &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Annotations: route.Annotations, Labels: route.Labels}, Spec: route.Spec}
}
