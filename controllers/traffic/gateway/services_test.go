package gateway_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/gateway"
	"belay.dev/belay/controllers/traffic/gateway/gatewaytest"
)

func objectMeta(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }

func service(w *gatewaytest.World, name string) *corev1.Service {
	return gatewaytest.Get(w, name, &corev1.Service{})
}

// TestThePair: what the generated Services are made of. They carry none of the
// labels of the user's Service: a monitor that selects by those would count each pod
// twice.
func TestThePair(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	w := open(t)
	protocol, dual := "kubernetes.io/h2c", corev1.IPFamilyPolicyPreferDualStack
	gatewaytest.Update(w, "shop", &corev1.Service{}, func(s *corev1.Service) {
		s.Labels = map[string]string{"app": "shop", "team": "a", "app.kubernetes.io/instance": "argo", "app.kubernetes.io/managed-by": "Helm", "argocd.argoproj.io/x": "y"}
		s.Spec.Type, s.Spec.PublishNotReadyAddresses, s.Spec.IPFamilyPolicy = corev1.ServiceTypeNodePort, true, &dual
		s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}
		s.Spec.Ports[0].NodePort, s.Spec.Ports[0].AppProtocol = 30080, &protocol
		// The pair selects by the Deployment's selector, whatever the Service's is.
		s.Spec.Selector = map[string]string{"app": "shop", "tier": "web"}
	})
	target := w.Target()
	target.Selector = map[string]string{"app": "shop", "track": "main"}
	g.Expect(w.Router().Point(ctx, target)).To(Succeed())
	for name, want := range map[string][2]string{"shop-stable": {"stable", target.StableHash}, "shop-canary": {"canary", target.CanaryHash}} {
		s := service(w, name)
		g.Expect(s.Labels).To(Equal(map[string]string{"belay.dev/rollout": "shop", "belay.dev/role": want[0], "belay.dev/pod-template-hash": want[1]}))
		g.Expect(s.OwnerReferences).To(BeEmpty())
		g.Expect(s.Spec.Selector).To(Equal(map[string]string{"app": "shop", "track": "main", "pod-template-hash": want[1]}))
		g.Expect(s.Spec.Ports).To(Equal([]corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString("http"), AppProtocol: &protocol}}))
		g.Expect(s.Spec.Type).To(Equal(corev1.ServiceTypeClusterIP))
		g.Expect(s.Spec.PublishNotReadyAddresses).To(BeFalse())
		g.Expect(s.Spec.IPFamilies).To(HaveLen(2))
		g.Expect(s.Spec.IPFamilyPolicy).To(HaveValue(Equal(dual)))
	}
	g.Expect(target.Selector).To(HaveLen(2), "the target is left as it is")
}

// TestThePairIsKeptWhole: whatever somebody changes of a generated Service, or of
// the user's, is seen and mended; what others add to its labels stays.
func TestThePairIsKeptWhole(t *testing.T) {
	for name, c := range map[string]struct {
		of     string
		change func(*corev1.Service)
	}{
		"the stable selector":          {"shop-stable", func(s *corev1.Service) { delete(s.Spec.Selector, "pod-template-hash") }},
		"a selector with a key more":   {"shop-canary", func(s *corev1.Service) { s.Spec.Selector["tier"] = "web" }},
		"the canary's ports":           {"shop-canary", func(s *corev1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromInt32(8080) }},
		"the role":                     {"shop-canary", func(s *corev1.Service) { s.Labels["belay.dev/role"] = "stable" }},
		"the hash that slices inherit": {"shop-stable", func(s *corev1.Service) { delete(s.Labels, "belay.dev/pod-template-hash") }},
		"the type":                     {"shop-canary", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer }},
		"addresses that are not ready": {"shop-canary", func(s *corev1.Service) { s.Spec.PublishNotReadyAddresses = true }},
		"a port of the user's":         {"shop", func(s *corev1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromInt32(9090) }},
		"a protocol of the user's":     {"shop", func(s *corev1.Service) { p := "http"; s.Spec.Ports[0].AppProtocol = &p }},
		"an owner":                     {"shop-stable", owned},
	} {
		t.Run(name, func(t *testing.T) {
			g, ctx := NewWithT(t), t.Context()
			w := open(t)
			target := w.Target()
			g.Expect(w.Router().Point(ctx, target)).To(Succeed())
			gatewaytest.Update(w, "shop-stable", &corev1.Service{}, func(s *corev1.Service) { s.Labels["policy.example.org/checked"] = "yes" })
			g.Expect(observed(t, w, target).PairCurrent).To(BeTrue(), "a label that somebody adds is theirs")
			gatewaytest.Update(w, c.of, &corev1.Service{}, c.change)
			g.Expect(observed(t, w, target).PairCurrent).To(BeFalse())
			before := w.Writes()
			g.Expect(w.Router().Point(ctx, target)).To(Succeed())
			if c.of != "shop" {
				g.Expect(w.Writes()-before).To(Equal(1), "the other Service is whole")
			}
			g.Expect(observed(t, w, target).PairCurrent).To(BeTrue())
			g.Expect(service(w, "shop-stable").Labels).To(HaveKey("policy.example.org/checked"))
			g.Expect(service(w, "shop-canary").Spec.Ports).To(Equal(service(w, "shop").Spec.Ports))
		})
	}
}

func owned(s *corev1.Service) {
	yes := true
	s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "belay.dev/v1alpha1", Kind: "Rollout", Name: "shop", UID: "u", Controller: &yes, BlockOwnerDeletion: &yes}}
}

// TestTheFirstEditionsPairIsAdopted: its Services had the Rollout as owner, and
// selected by Belay's labels.
func TestTheFirstEditionsPairIsAdopted(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	w := open(t)
	for _, name := range []string{"shop-stable", "shop-canary"} {
		old := &corev1.Service{ObjectMeta: objectMeta(name), Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "shop", "belay.dev/role": "canary"}, Ports: []corev1.ServicePort{{Port: 1}}}}
		owned(old)
		w.Create(old)
	}
	uid := service(w, "shop-canary").UID
	g.Expect(observed(t, w, w.Target()).PairCurrent).To(BeFalse())
	g.Expect(w.Router().Point(ctx, w.Target())).To(Succeed())
	g.Expect(observed(t, w, w.Target()).PairCurrent).To(BeTrue())
	s := service(w, "shop-canary")
	g.Expect(s.OwnerReferences).To(BeEmpty())
	g.Expect(s.UID).To(Equal(uid))
	g.Expect(s.Spec.Selector).NotTo(HaveKey("belay.dev/role"))
}

// TestAServiceThatIsNotBelaysStays: it is said, never written and never deleted.
func TestAServiceThatIsNotBelaysStays(t *testing.T) {
	for name, labels := range map[string]map[string]string{"without a label": nil, "of another Rollout": {"belay.dev/rollout": "other"}} {
		t.Run(name, func(t *testing.T) {
			g, ctx := NewWithT(t), t.Context()
			w := open(t)
			theirs := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "shop-stable", Labels: labels}, Spec: corev1.ServiceSpec{Selector: map[string]string{"a": "b"}, Ports: []corev1.ServicePort{{Port: 1}}}}
			w.Create(theirs)
			const words = `Service "shop-stable" exists and was not created by Belay, which needs that name: rename it`
			o, err := w.Router().Observe(ctx, w.Target())
			g.Expect(err).To(And(MatchError(traffic.ErrUnusable), MatchError(ContainSubstring(words))))
			g.Expect(o.PairCurrent).To(BeFalse())
			g.Expect(w.Router().Point(ctx, w.Target())).To(And(MatchError(traffic.ErrUnusable), MatchError(ContainSubstring(words))))
			g.Expect(service(w, "shop-canary").Spec.Ports).To(HaveLen(1), "the other side is pointed")
			g.Expect(w.Router().Remove(ctx, w.Target())).To(Succeed())
			g.Expect(service(w, "shop-stable").ResourceVersion).To(Equal(theirs.ResourceVersion))
		})
	}
}

// TestPointNeedsPortsOnce: without the user's Service there is nothing to make the
// pair from.
func TestPointNeedsPortsOnce(t *testing.T) {
	w := open(t)
	w.LoseService()
	if err := w.Router().Point(t.Context(), w.Target()); !errors.Is(err, traffic.ErrUnusable) || !strings.Contains(err.Error(), `Service "shop" does not exist or has no ports`) {
		t.Errorf("pointing says %v", err)
	}
}

// TestEndpointsLagBehind: endpoints of an earlier selector, or whose pods have
// other ports, do not count for a side.
func TestEndpointsLagBehind(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	w := open(t)
	target := w.Target()
	target.CanaryHash = "earlier"
	g.Expect(w.Router().Point(ctx, target)).To(Succeed())
	w.Pods = append(w.Pods, gatewaytest.Pod{Name: "e", Labels: map[string]string{"app": "shop", "pod-template-hash": "earlier"}, Ports: map[string]int32{"http": 8080}})
	w.Follow()
	g.Expect(observed(t, w, target).Canary).To(BeEquivalentTo(1))
	target.CanaryHash = gatewaytest.Canary
	g.Expect(observed(t, w, target).Canary).To(BeZero(), "the Service selects the earlier pods")
	g.Expect(w.Router().Point(ctx, target)).To(Succeed())
	o := observed(t, w, target)
	g.Expect(o.PairCurrent).To(BeTrue())
	g.Expect(o.Canary).To(BeZero(), "its endpoints are still the earlier pods")
	g.Expect(o.ServiceCanary).To(BeZero())
	g.Expect(o.Stable).To(BeEquivalentTo(2))
	w.Follow()
	g.Expect(observed(t, w, target).Canary).To(BeZero())
}

// TestEndpointsThatDoNotServe: of pods that are not ready, without a pod, or in a
// slice whose port has no number.
func TestEndpointsThatDoNotServe(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	w := open(t)
	w.Run(3, 2)
	for i := range w.Pods {
		w.Pods[i].Unready = w.Pods[i].Name == "shop-"+gatewaytest.Stable+"-0" || w.Pods[i].Name == "shop-"+gatewaytest.Canary+"-0"
	}
	g.Expect(w.Router().Point(ctx, w.Target())).To(Succeed())
	w.Follow()
	slices := &discoveryv1.EndpointSliceList{}
	g.Expect(w.Client.List(ctx, slices, client.MatchingLabels{"kubernetes.io/service-name": "shop-canary"})).To(Succeed())
	extra := slices.Items[0].DeepCopy()
	extra.ObjectMeta = metav1.ObjectMeta{Name: "extra", Labels: extra.Labels}
	extra.Ports[0].Port = nil
	extra.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.8"}}, {Addresses: []string{"10.0.0.9"}, TargetRef: &corev1.ObjectReference{Name: "portless"}}}
	w.Create(extra)
	o := observed(t, w, w.Target())
	g.Expect([]int32{o.Stable, o.Canary, o.Service, o.ServiceStable, o.ServiceCanary}).To(Equal([]int32{2, 1, 3, 2, 1}))
	g.Expect(o.NoPort).To(HavePrefix("1 pod of the candidate is ready, but without a port"))
}

// TestRemoveDeletesWhatItRead, not a Service that was made again since.
func TestRemoveDeletesWhatItRead(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	w := open(t)
	g.Expect(w.Router().Point(ctx, w.Target())).To(Succeed())
	var preconditions []*metav1.Preconditions
	router := gateway.New(interceptor.NewClient(w.Client, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			defer func() { o.SetUID("u-" + types.UID(key.Name)) }()
			return c.Get(ctx, key, o, opts...)
		},
		Delete: func(_ context.Context, _ client.WithWatch, _ client.Object, opts ...client.DeleteOption) error {
			preconditions = append(preconditions, (&client.DeleteOptions{}).ApplyOptions(opts).Preconditions)
			return nil
		}}), gatewaytest.Manager)
	g.Expect(router.Remove(ctx, w.Target())).To(Succeed())
	stable, canary := types.UID("u-shop-stable"), types.UID("u-shop-canary")
	g.Expect(preconditions).To(Equal([]*metav1.Preconditions{{UID: &stable}, {UID: &canary}}))
}

// TestARenamedPort: a version whose containers do not have the port that the
// Service needs gets 503 from every gateway, however ready its pods are.
func TestARenamedPort(t *testing.T) {
	for name, c := range map[string]struct {
		change         func(w *gatewaytest.World)
		stable, canary int32
		words          string
	}{
		"the new version's": {func(w *gatewaytest.World) { rename(w, gatewaytest.Canary, "web") }, 3, 0,
			`2 pods of the candidate are ready, but without a port named "http", which port 80 of Service "shop" needs: requests through HTTPRoute "shop" would fail with status 503`},
		"one pod's": {func(w *gatewaytest.World) { w.Pods[len(w.Pods)-1].Ports = nil }, -1, -1, "1 pod of the "},
		"the Service's, before the new version's": {func(w *gatewaytest.World) {
			rename(w, gatewaytest.Canary, "web")
			gatewaytest.Update(w, "shop", &corev1.Service{}, func(s *corev1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromString("web") })
		}, 0, 2, `3 pods of the stable version are ready, but without a port named "web"`},
		"one of two ports": {func(w *gatewaytest.World) {
			gatewaytest.Update(w, "shop", &corev1.Service{}, func(s *corev1.Service) {
				s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "admin", Port: 90, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString("admin")})
			})
			gatewaytest.Update(w, "shop", &gatewayv1.HTTPRoute{}, func(r *gatewayv1.HTTPRoute) {
				admin := gatewaytest.Reference("shop")
				*admin.Port = 90
				r.Spec.Rules = append(r.Spec.Rules, gatewayv1.HTTPRouteRule{BackendRefs: []gatewayv1.HTTPBackendRef{admin}})
			})
			for i := range w.Pods {
				if w.Pods[i].Labels["pod-template-hash"] == gatewaytest.Stable {
					w.Pods[i].Ports["admin"] = 9000
				}
			}
		}, 3, 0, `2 pods of the candidate are ready, but without a port named "admin", which port 90 of Service "shop" needs`},
		"one that no route names": {func(w *gatewaytest.World) {
			gatewaytest.Update(w, "shop", &corev1.Service{}, func(s *corev1.Service) {
				s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "admin", Port: 90, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString("admin")})
			})
		}, 3, 2, ""},
		"a number": {func(w *gatewaytest.World) {
			rename(w, gatewaytest.Canary, "web")
			gatewaytest.Update(w, "shop", &corev1.Service{}, func(s *corev1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromInt32(8080) })
		}, 3, 2, ""},
	} {
		for _, shared := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				g, ctx := NewWithT(t), t.Context()
				w := open(t)
				w.Run(3, 2)
				c.change(w)
				g.Expect(w.Router().Point(ctx, w.Target())).To(Succeed())
				if shared {
					g.Expect(w.Router().Apply(ctx, w.Target(), traffic.Split{Canary: 10})).To(Succeed())
				}
				w.Follow()
				o := observed(t, w, w.Target())
				if c.stable >= 0 {
					g.Expect([]int32{o.Stable, o.Canary, o.Service, o.ServiceStable, o.ServiceCanary}).To(Equal([]int32{c.stable, c.canary, c.stable + c.canary, c.stable, c.canary}))
				} else {
					g.Expect(o.Stable + o.Canary).To(BeEquivalentTo(4))
				}
				if c.words == "" {
					g.Expect(o.NoPort).To(BeEmpty())
				}
				g.Expect(o.NoPort).To(ContainSubstring(c.words))
			})
		}
	}
}

// rename gives a version's port another name.
func rename(w *gatewaytest.World, hash, name string) {
	for i := range w.Pods {
		if w.Pods[i].Labels["pod-template-hash"] == hash {
			w.Pods[i].Ports = map[string]int32{name: 8080}
		}
	}
}

// TestNarrowRefuses what it cannot narrow, and leaves alone what others narrowed.
func TestNarrowRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*corev1.Service)
		words  string
	}{
		"a key that was there":       {func(s *corev1.Service) { s.Spec.Selector["pod-template-hash"] = "theirs" }, `selects pod-template-hash="theirs", the pods of one version only`},
		"a Service without selector": {func(s *corev1.Service) { s.Spec.Selector = nil }, "has no selector"},
		"one that is narrowed for another": {func(s *corev1.Service) {
			s.Spec.Selector["pod-template-hash"] = "theirs"
			s.Annotations = map[string]string{"belay.dev/narrowed.other": "theirs"}
		}, "another Rollout limits Service"},
	} {
		t.Run(name, func(t *testing.T) {
			g, ctx := NewWithT(t), t.Context()
			w := open(t)
			gatewaytest.Update(w, "shop", &corev1.Service{}, c.change)
			before := service(w, "shop")
			g.Expect(w.Router().Narrow(ctx, w.Target(), gatewaytest.Stable)).To(And(MatchError(traffic.ErrUnusable), MatchError(ContainSubstring(c.words))))
			g.Expect(w.Router().Narrow(ctx, w.Target(), "")).To(Succeed())
			g.Expect(service(w, "shop")).To(Equal(before))
			if o, _ := w.Router().Observe(ctx, w.Target()); o.Narrowed != "" || o.Marked {
				t.Errorf("observed %+v", o)
			}
		})
	}
}

// TestNarrowKeepsTheRest: other keys of the selector, and a hash that somebody put
// in Belay's place, stay.
func TestNarrowKeepsTheRest(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	w := open(t)
	gatewaytest.Update(w, "shop", &corev1.Service{}, func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "shop", "tier": "web"} })
	whole := maps.Clone(service(w, "shop").Spec.Selector)
	g.Expect(w.Router().Narrow(ctx, w.Target(), gatewaytest.Stable)).To(Succeed())
	g.Expect(service(w, "shop").Spec.Selector).To(Equal(map[string]string{"app": "shop", "tier": "web", "pod-template-hash": gatewaytest.Stable}))
	g.Expect(w.Router().Narrow(ctx, w.Target(), "")).To(Succeed())
	g.Expect(service(w, "shop").Spec.Selector).To(Equal(whole))

	g.Expect(w.Router().Narrow(ctx, w.Target(), gatewaytest.Stable)).To(Succeed())
	gatewaytest.Update(w, "shop", &corev1.Service{}, func(s *corev1.Service) { s.Spec.Selector["pod-template-hash"] = "theirs" })
	g.Expect(observed(t, w, w.Target()).NarrowedBy).To(Equal("user"))
	g.Expect(w.Router().Narrow(ctx, w.Target(), "")).To(Succeed())
	g.Expect(service(w, "shop").Spec.Selector).To(HaveKeyWithValue("pod-template-hash", "theirs"))
	g.Expect(service(w, "shop").Annotations).To(BeEmpty())
}

// TestServiceFault: each fault has its words, with what to change.
func TestServiceFault(t *testing.T) {
	deployment := traffic.Pods{Of: "the stable version", Labels: map[string]string{"app": "shop", "tier": "web"}}
	for name, c := range map[string]struct {
		spec        corev1.ServiceSpec
		annotations map[string]string
		own, others []traffic.Pods
		words       string
	}{
		"none":                 {spec: corev1.ServiceSpec{Selector: map[string]string{"app": "shop"}}, own: []traffic.Pods{deployment}, others: []traffic.Pods{{Of: `Deployment "cart"`, Labels: map[string]string{"app": "cart"}}}},
		"narrowed by Belay":    {spec: corev1.ServiceSpec{Selector: map[string]string{"app": "shop", "pod-template-hash": "x"}}, annotations: map[string]string{"belay.dev/narrowed.shop": "x"}, own: []traffic.Pods{deployment}},
		"no selector":          {spec: corev1.ServiceSpec{}, words: `Service "shop" has no selector: give it the labels of the Deployment's pods`},
		"headless":             {spec: corev1.ServiceSpec{ClusterIP: "None", Selector: map[string]string{"app": "shop"}}, words: "is headless (clusterIP: None)"},
		"ExternalName":         {spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName}, words: "use a Service of type ClusterIP"},
		"pinned":               {spec: corev1.ServiceSpec{Selector: map[string]string{"pod-template-hash": "x"}}, words: "remove that key"},
		"another value":        {spec: corev1.ServiceSpec{Selector: map[string]string{"app": "other"}}, own: []traffic.Pods{deployment}, words: `selects "app=other", but the pods of the stable version have "app=shop"`},
		"a label they lack":    {spec: corev1.ServiceSpec{Selector: map[string]string{"app": "shop", "zone": "a"}}, own: []traffic.Pods{deployment}, words: `selects "zone=a", but the pods of the stable version have no label "zone"`},
		"one version of two":   {spec: corev1.ServiceSpec{Selector: map[string]string{"tier": "web"}}, own: []traffic.Pods{{Of: "the new version", Labels: map[string]string{"app": "shop"}}, deployment}, words: `but the pods of the new version have no label "tier"`},
		"two Deployments":      {spec: corev1.ServiceSpec{Selector: map[string]string{"tier": "web"}}, own: []traffic.Pods{deployment}, others: []traffic.Pods{{Of: `Deployment "cart"`, Labels: map[string]string{"tier": "web"}}}, words: `also selects the pods of Deployment "cart" (by "tier=web")`},
		"many Deployments":     {spec: corev1.ServiceSpec{Selector: map[string]string{"tier": "web"}}, others: []traffic.Pods{{Of: "a", Labels: deployment.Labels}, {Of: "b", Labels: deployment.Labels}, {Of: "c", Labels: deployment.Labels}, {Of: "d", Labels: deployment.Labels}, {Of: "e", Labels: deployment.Labels}}, words: "the pods of a, b, c and 2 more (by"},
		"several, all of them": {spec: corev1.ServiceSpec{Selector: map[string]string{"app": "shop"}}, own: []traffic.Pods{deployment, {Of: "the new version", Labels: map[string]string{"app": "shop"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "shop", Annotations: c.annotations}, Spec: c.spec}
			err := gateway.ServiceFault(s, c.own, c.others)
			switch {
			case c.words == "" && err != nil:
				t.Errorf("says %v, want nothing", err)
			case c.words != "" && (!errors.Is(err, traffic.ErrUnusable) || !strings.Contains(err.Error(), c.words)):
				t.Errorf("says %v, want %q", err, c.words)
			}
		})
	}
}

// TestAFaultyServiceIsSeen and does not keep a rollback from the routes.
func TestAFaultyServiceIsSeen(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	w := open(t)
	g.Expect(w.Router().Point(ctx, w.Target())).To(Succeed())
	g.Expect(w.Router().Apply(ctx, w.Target(), traffic.Split{Canary: 50})).To(Succeed())
	gatewaytest.Update(w, "shop", &corev1.Service{}, func(s *corev1.Service) {
		s.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.org"}
	})
	_, err := w.Router().Observe(ctx, w.Target())
	g.Expect(err).To(And(MatchError(traffic.ErrUnusable), MatchError(ContainSubstring("ExternalName"))))
	target := w.Target()
	target.CanaryHash = ""
	g.Expect(w.Router().Point(ctx, target)).To(Succeed())
	g.Expect(w.Router().Apply(ctx, target, traffic.Split{})).To(Succeed())
	g.Expect(w.Router().Release(ctx, target)).To(Succeed())
}
