// Package gatewaytest is an application behind a Gateway, for tests of what routes
// its requests. It plays the EndpointSlice controller and the Gateway's, on a fake
// client or a real API server.
package gatewaytest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/gateway"
)

// The application's names, and the hash of each version's pods.
const (
	App     = "shop"
	Manager = "belay"
	Stable  = "6c77698f9a"
	Canary  = "9fd21c3b07"
)

// Pod is a pod with its named ports.
type Pod struct {
	Name    string
	Labels  map[string]string
	Ports   map[string]int32
	Unready bool
}

// World is an application of its own namespace: Service shop, whose port 80 needs
// the pods' port "http", and a route shop of one kind.
type World struct {
	// Client is everybody else's.
	Client client.WithWatch
	// Pods are what the Services may select.
	Pods []Pod

	t         *testing.T
	kind      string
	namespace string
	router    *gateway.Router
	writes    int
	race      bool
}

// New makes the application, with an HTTPRoute. Belay writes through belay,
// everybody else through c.
func New(t *testing.T, c, belay client.WithWatch, namespace string) *World {
	t.Helper()
	return NewOf(t, v1alpha1.KindHTTPRoute, c, belay, namespace)
}

// NewOf is New with a route of the kind.
func NewOf(t *testing.T, kind string, c, belay client.WithWatch, namespace string) *World {
	t.Helper()
	w := &World{Client: c, t: t, kind: kind, namespace: namespace}
	w.router = gateway.New(w.counted(belay), Manager)
	w.Create(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: App, Labels: map[string]string{"app": App}},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": App},
			Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString("http")}}},
	})
	if kind == v1alpha1.KindGRPCRoute {
		w.Create(NewGRPCRoute(App, Reference(App).BackendRef))
	} else {
		w.Create(NewRoute(App, Reference(App)))
	}
	w.Run(2, 0)
	return w
}

// Reference is a backendRef to port 80 of a Service.
func Reference(service string) gatewayv1.HTTPBackendRef {
	port, weight := gatewayv1.PortNumber(80), int32(1)
	ref := gatewayv1.HTTPBackendRef{}
	ref.Name, ref.Port, ref.Weight = gatewayv1.ObjectName(service), &port, &weight
	return ref
}

// NewGRPCRoute has one rule.
func NewGRPCRoute(name string, refs ...gatewayv1.BackendRef) *gatewayv1.GRPCRoute {
	route := &gatewayv1.GRPCRoute{ObjectMeta: metav1.ObjectMeta{Name: name}}
	route.Generation = 1
	route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "gateway"}}
	rule := gatewayv1.GRPCRouteRule{}
	for _, ref := range refs {
		rule.BackendRefs = append(rule.BackendRefs, gatewayv1.GRPCBackendRef{BackendRef: ref})
	}
	route.Spec.Rules = []gatewayv1.GRPCRouteRule{rule}
	return route
}

// NewRoute has one rule.
func NewRoute(name string, refs ...gatewayv1.HTTPBackendRef) *gatewayv1.HTTPRoute {
	route := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Name: name}}
	route.Generation = 1
	route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "gateway"}}
	route.Spec.Rules = []gatewayv1.HTTPRouteRule{{BackendRefs: refs}}
	return route
}

// counted counts writes, and lets somebody else win a race.
func (w *World) counted(c client.WithWatch) client.WithWatch {
	return interceptor.NewClient(c, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			w.writes++
			return c.Create(ctx, o, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			w.writes++
			return c.Delete(ctx, o, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
			if asks := (&client.PatchOptions{}).ApplyOptions(opts); len(asks.DryRun) == 0 {
				w.writes++
			}
			if w.race {
				w.race = false
				w.touch(ctx, o)
			}
			return c.Patch(ctx, o, patch, opts...)
		},
	})
}

func (w *World) touch(ctx context.Context, o client.Object) {
	now := o.DeepCopyObject().(client.Object)
	w.must(w.Client.Get(ctx, client.ObjectKeyFromObject(o), now))
	touched := maps.Clone(now.GetLabels())
	if touched == nil {
		touched = map[string]string{}
	}
	touched["touched"] += "x"
	now.SetLabels(touched)
	w.must(w.Client.Update(ctx, now))
}

func (w *World) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// Create makes an object of the namespace.
func (w *World) Create(o client.Object) {
	w.t.Helper()
	o.SetNamespace(w.namespace)
	w.must(w.Client.Create(w.t.Context(), o, client.FieldOwner("user")))
}

// Update changes an object by a full write, as its user.
func Update[T client.Object](w *World, name string, o T, change func(T)) {
	w.t.Helper()
	Get(w, name, o)
	change(o)
	w.must(w.Client.Update(w.t.Context(), o, client.FieldOwner("user")))
}

// Get reads an object of the namespace.
func Get[T client.Object](w *World, name string, o T) T {
	w.t.Helper()
	w.must(w.Client.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, o))
	return o
}

// Router is the router over the world's client.
func (w *World) Router() traffic.Router { return w.router }

// Target names the application's route and Service.
func (w *World) Target() traffic.Target {
	return traffic.Target{
		Namespace: w.namespace, Owner: App, Routes: []traffic.Route{{Kind: w.kind, Name: App}}, Service: App,
		Selector: map[string]string{"app": App}, StableHash: Stable, CanaryHash: Canary, Epoch: 1,
	}
}

// Writes counts the router's writes.
func (w *World) Writes() int { return w.writes }

// Race makes somebody else change the object of the next patch first.
func (w *World) Race() { w.race = true }

// LoseService deletes the user's Service.
func (w *World) LoseService() {
	w.t.Helper()
	w.must(w.Client.Delete(w.t.Context(), Get(w, App, &corev1.Service{})))
}

// LoseRoute deletes the route.
func (w *World) LoseRoute() {
	w.t.Helper()
	w.must(w.Client.Delete(w.t.Context(), Get(w, App, gateway.Route(w.kind))))
}

// Run replaces all pods.
func (w *World) Run(stable, canary int) {
	w.Pods = nil
	for hash, n := range map[string]int{Stable: stable, Canary: canary} {
		for i := range n {
			w.Pods = append(w.Pods, Pod{Name: fmt.Sprintf("%s-%s-%d", App, hash, i),
				Labels: map[string]string{"app": App, "pod-template-hash": hash}, Ports: map[string]int32{"http": 8080}})
		}
	}
}

// Follow brings endpoints up to date, and acknowledges every route.
func (w *World) Follow() {
	w.t.Helper()
	ctx := w.t.Context()
	w.must(w.Client.DeleteAllOf(ctx, &discoveryv1.EndpointSlice{}, client.InNamespace(w.namespace)))
	all := &corev1.ServiceList{}
	w.must(w.Client.List(ctx, all, client.InNamespace(w.namespace)))
	for i := range all.Items {
		w.publish(&all.Items[i])
	}
	https, grpcs := &gatewayv1.HTTPRouteList{}, &gatewayv1.GRPCRouteList{}
	w.must(w.Client.List(ctx, https, client.InNamespace(w.namespace)))
	for i := range https.Items {
		route := &https.Items[i]
		w.acknowledge(route, route.Spec.ParentRefs, &route.Status.RouteStatus)
	}
	w.must(w.Client.List(ctx, grpcs, client.InNamespace(w.namespace)))
	for i := range grpcs.Items {
		route := &grpcs.Items[i]
		w.acknowledge(route, route.Spec.ParentRefs, &route.Status.RouteStatus)
	}
}

// acknowledge writes what a gateway says that serves the route as it is. status is
// the route's own.
func (w *World) acknowledge(route client.Object, parents []gatewayv1.ParentReference, status *gatewayv1.RouteStatus) {
	w.t.Helper()
	status.Parents = nil
	for _, parent := range parents {
		status.Parents = append(status.Parents, Accepted(parent, "example.org/gateway", route.GetGeneration()))
	}
	w.must(w.Client.Status().Update(w.t.Context(), route))
}

// Accepted is what a controller says of a parent that serves a generation.
func Accepted(parent gatewayv1.ParentReference, controller gatewayv1.GatewayController, generation int64) gatewayv1.RouteParentStatus {
	entry := gatewayv1.RouteParentStatus{ParentRef: parent, ControllerName: controller}
	for _, kind := range []gatewayv1.RouteConditionType{gatewayv1.RouteConditionAccepted, gatewayv1.RouteConditionResolvedRefs} {
		entry.Conditions = append(entry.Conditions, metav1.Condition{Type: string(kind), Status: metav1.ConditionTrue, Reason: string(kind), ObservedGeneration: generation, LastTransitionTime: metav1.Unix(1, 0)})
	}
	return entry
}

// publish writes a Service's slices as the EndpointSlice controller does: one for
// each set of ports that its pods have, with the Service's labels.
func (w *World) publish(service *corev1.Service) {
	w.t.Helper()
	grouped := map[string]*discoveryv1.EndpointSlice{}
	for i, pod := range w.Pods {
		if len(service.Spec.Selector) == 0 || !labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(pod.Labels)) {
			continue
		}
		ports := portsOf(service, pod)
		key := fmt.Sprint(len(ports), ports)
		if grouped[key] == nil {
			grouped[key] = &discoveryv1.EndpointSlice{
				ObjectMeta:  metav1.ObjectMeta{GenerateName: service.Name + "-", Namespace: w.namespace, Labels: maps.Clone(service.Labels)},
				AddressType: discoveryv1.AddressTypeIPv4, Ports: ports}
			if grouped[key].Labels == nil {
				grouped[key].Labels = map[string]string{}
			}
			grouped[key].Labels[discoveryv1.LabelServiceName] = service.Name
		}
		ready := !pod.Unready
		grouped[key].Endpoints = append(grouped[key].Endpoints, discoveryv1.Endpoint{
			Addresses: []string{fmt.Sprintf("10.0.0.%d", i+1)}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: w.namespace, Name: pod.Name}})
	}
	for _, key := range slices.Sorted(maps.Keys(grouped)) {
		err := w.Client.Create(w.t.Context(), grouped[key])
		if !apierrors.IsAlreadyExists(err) {
			w.must(err)
		}
	}
}

// portsOf leaves out those that the pod does not have.
func portsOf(service *corev1.Service, pod Pod) []discoveryv1.EndpointPort {
	var out []discoveryv1.EndpointPort
	for _, p := range service.Spec.Ports {
		number, ok := p.TargetPort.IntVal, true
		if p.TargetPort.Type == intstr.String {
			number, ok = pod.Ports[p.TargetPort.StrVal]
		}
		if ok {
			name, protocol := p.Name, p.Protocol
			out = append(out, discoveryv1.EndpointPort{Name: &name, Port: &number, Protocol: &protocol, AppProtocol: p.AppProtocol})
		}
	}
	return out
}
