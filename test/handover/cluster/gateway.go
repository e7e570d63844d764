package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
)

// every is how often each Service and each backend of a route is sent a request.
const every = 5 * time.Millisecond

// Manners are how a gateway behaves in one namespace.
type Manners struct {
	// Delay is how long it takes to follow a changed route.
	Delay time.Duration
	// Silent follows no change any more.
	Silent bool
}

// routeKey is a route of one kind.
type routeKey struct {
	kind string
	types.NamespacedName
}

// Gateway follows HTTPRoutes and GRPCRoutes some time after they change, says so in their
// status, and sends requests where they point.
type Gateway struct {
	admin client.Client
	cache cache.Cache
	nodes *Nodes
	clock clock.WithTicker
	queue workqueue.TypedDelayingInterface[routeKey]

	mu sync.Mutex
	// followed are the routes as the gateway acts on them: of a GRPCRoute what it has
	// in common with an HTTPRoute.
	followed map[routeKey]*gatewayv1.HTTPRoute
	changed  map[routeKey]seen
	// slices by Service and name, and the addresses that they call ready.
	slices  map[types.NamespacedName]map[string]*discoveryv1.EndpointSlice
	ready   map[types.NamespacedName][]string
	manners map[string]Manners
	traffic map[string]*Traffic
}

// seen is since when a route has had its present generation.
type seen struct {
	generation int64
	at         time.Time
}

func startGateway(ctx context.Context, c cache.Cache, admin client.Client, nodes *Nodes, clk clock.WithTicker) (*Gateway, error) {
	g := &Gateway{admin: admin, cache: c, nodes: nodes, clock: clk, followed: map[routeKey]*gatewayv1.HTTPRoute{}, changed: map[routeKey]seen{},
		slices: map[types.NamespacedName]map[string]*discoveryv1.EndpointSlice{}, ready: map[types.NamespacedName][]string{}, manners: map[string]Manners{}, traffic: map[string]*Traffic{},
		queue: workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[routeKey]{Clock: clk})}
	for _, kind := range []client.Object{&gatewayv1.HTTPRoute{}, &gatewayv1.GRPCRoute{}} {
		routes, err := c.GetInformer(ctx, kind)
		if err != nil {
			return nil, err
		}
		if _, err := routes.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { g.queue.Add(keyOf(o.(client.Object))) },
			UpdateFunc: func(_, o any) { g.queue.Add(keyOf(o.(client.Object))) },
		}); err != nil {
			return nil, err
		}
	}
	endpoints, err := c.GetInformer(ctx, &discoveryv1.EndpointSlice{})
	if err != nil {
		return nil, err
	}
	if _, err := endpoints.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { g.learn(o, true) },
		UpdateFunc: func(_, o any) { g.learn(o, true) },
		DeleteFunc: func(o any) { g.learn(o, false) },
	}); err != nil {
		return nil, err
	}
	go func() {
		<-ctx.Done()
		g.queue.ShutDown()
	}()
	go g.work(ctx)
	go g.send(ctx)
	return g, nil
}

// Behave decides how the gateway treats a namespace's routes from now on.
// Without it, it follows a change after 30 ms.
func (g *Gateway) Behave(ctx context.Context, namespace string, how Manners) error {
	g.mu.Lock()
	g.manners[namespace] = how
	g.mu.Unlock()
	https, grpcs := &gatewayv1.HTTPRouteList{}, &gatewayv1.GRPCRouteList{}
	if err := errors.Join(g.cache.List(ctx, https, client.InNamespace(namespace)), g.cache.List(ctx, grpcs, client.InNamespace(namespace))); err != nil {
		return err
	}
	for i := range https.Items {
		g.queue.Add(keyOf(&https.Items[i]))
	}
	for i := range grpcs.Items {
		g.queue.Add(keyOf(&grpcs.Items[i]))
	}
	return nil
}

// keyOf tells routes of different kinds apart.
func keyOf(o client.Object) routeKey {
	kind := v1alpha1.KindHTTPRoute
	if _, ok := o.(*gatewayv1.GRPCRoute); ok {
		kind = v1alpha1.KindGRPCRoute
	}
	return routeKey{kind, client.ObjectKeyFromObject(o)}
}

// Follows is the HTTPRoute as the gateway acts on it; nil before it follows it.
func (g *Gateway) Follows(key types.NamespacedName) *gatewayv1.HTTPRoute {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.followed[routeKey{v1alpha1.KindHTTPRoute, key}]
}

// read is a route as it is, and what the gateway acts on of it. Its status is
// written through status.
func (g *Gateway) read(ctx context.Context, key routeKey) (route client.Object, acts *gatewayv1.HTTPRoute, status *gatewayv1.RouteStatus, err error) {
	if key.kind == v1alpha1.KindHTTPRoute {
		http := &gatewayv1.HTTPRoute{}
		err := g.cache.Get(ctx, key.NamespacedName, http)
		return http, http.DeepCopy(), &http.Status.RouteStatus, err
	}
	grpc := &gatewayv1.GRPCRoute{}
	err = g.cache.Get(ctx, key.NamespacedName, grpc)
	acts = &gatewayv1.HTTPRoute{ObjectMeta: *grpc.ObjectMeta.DeepCopy()}
	acts.Spec.CommonRouteSpec, acts.Status.RouteStatus = *grpc.Spec.CommonRouteSpec.DeepCopy(), *grpc.Status.RouteStatus.DeepCopy()
	for _, rule := range grpc.Spec.Rules {
		var refs []gatewayv1.HTTPBackendRef
		for _, ref := range rule.BackendRefs {
			refs = append(refs, gatewayv1.HTTPBackendRef{BackendRef: *ref.BackendRef.DeepCopy()})
		}
		acts.Spec.Rules = append(acts.Spec.Rules, gatewayv1.HTTPRouteRule{BackendRefs: refs})
	}
	return grpc, acts, &grpc.Status.RouteStatus, err
}

func (g *Gateway) learn(o any, present bool) {
	if last, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
		o = last.Obj
	}
	slice := o.(*discoveryv1.EndpointSlice)
	service := types.NamespacedName{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.slices[service] == nil {
		g.slices[service] = map[string]*discoveryv1.EndpointSlice{}
	}
	if present {
		g.slices[service][slice.Name] = slice
	} else {
		delete(g.slices[service], slice.Name)
	}
	g.ready[service] = readyIn(g.slices[service])
}

func (g *Gateway) work(ctx context.Context) {
	for {
		key, stopped := g.queue.Get()
		if stopped {
			return
		}
		if again, err := g.follow(ctx, key); err != nil && ctx.Err() == nil {
			g.queue.AddAfter(key, 20*time.Millisecond)
		} else if again > 0 {
			g.queue.AddAfter(key, again)
		}
		g.queue.Done(key)
	}
}

// follow takes a changed route over when its time has come, and says so.
func (g *Gateway) follow(ctx context.Context, key routeKey) (time.Duration, error) {
	route, acts, status, err := g.read(ctx, key)
	if err != nil {
		return 0, client.IgnoreNotFound(err)
	}
	if left, due := g.due(key, acts); !due || left > 0 {
		return left, nil
	}
	g.mu.Lock()
	g.followed[key] = acts
	g.mu.Unlock()
	status.Parents = nil
	for _, parent := range acts.Spec.ParentRefs {
		entry := gatewayv1.RouteParentStatus{ParentRef: parent, ControllerName: "belay.dev/handover-test"}
		for _, kind := range []gatewayv1.RouteConditionType{gatewayv1.RouteConditionAccepted, gatewayv1.RouteConditionResolvedRefs} {
			entry.Conditions = append(entry.Conditions, metav1.Condition{Type: string(kind), Status: metav1.ConditionTrue, Reason: string(kind),
				ObservedGeneration: acts.Generation, LastTransitionTime: metav1.NewTime(g.clock.Now())})
		}
		status.Parents = append(status.Parents, entry)
	}
	err = g.admin.Status().Update(ctx, route)
	if apierrors.IsConflict(err) {
		return 0, nil
	}
	return 0, client.IgnoreNotFound(err)
}

// due is how long the gateway still takes to follow a route; false when it
// follows it already, or is silent.
func (g *Gateway) due(key routeKey, route *gatewayv1.HTTPRoute) (time.Duration, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	said := len(route.Status.Parents) > 0 && route.Status.Parents[0].Conditions[0].ObservedGeneration == route.Generation
	manners, set := g.manners[key.Namespace]
	if !set {
		manners.Delay = 30 * time.Millisecond
	}
	if manners.Silent || said && g.followed[key] != nil && g.followed[key].Generation == route.Generation {
		return 0, false
	}
	if s, ok := g.changed[key]; !ok || s.generation != route.Generation {
		g.changed[key] = seen{generation: route.Generation, at: g.clock.Now()}
	}
	return manners.Delay - g.clock.Since(g.changed[key].at), true
}

// readyIn are the addresses that a Service's slices call ready. Pods without the
// Service's named port stand in a slice without ports: nobody can be sent there.
func readyIn(all map[string]*discoveryv1.EndpointSlice) []string {
	var addresses []string
	for _, slice := range all {
		if len(slice.Ports) == 0 {
			continue
		}
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				addresses = append(addresses, e.Addresses...)
			}
		}
	}
	slices.Sort(addresses)
	return slices.Compact(addresses)
}

// send makes requests for ever: through every followed route, and directly to
// the Services that are watched.
func (g *Gateway) send(ctx context.Context) {
	ticker := g.clock.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			g.sendOnce()
		}
	}
}

func (g *Gateway) sendOnce() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for namespace, traffic := range g.traffic {
		if !traffic.open {
			continue
		}
		traffic.direct.add(g.ask(types.NamespacedName{Namespace: namespace, Name: traffic.service}))
		traffic.fail(g.clock.Now(), "a direct call", traffic.direct.last)
		for _, kind := range []string{v1alpha1.KindHTTPRoute, v1alpha1.KindGRPCRoute} {
			if route := g.followed[routeKey{kind, types.NamespacedName{Namespace: namespace, Name: traffic.route}}]; route != nil {
				g.sendThrough(route, traffic)
			}
		}
	}
}

func (g *Gateway) sendThrough(route *gatewayv1.HTTPRoute, traffic *Traffic) {
	for _, rule := range route.Spec.Rules {
		total := int32(0)
		for _, ref := range rule.BackendRefs {
			total += weightOf(ref)
		}
		for _, ref := range rule.BackendRefs {
			if weightOf(ref) == 0 {
				continue
			}
			got := g.ask(types.NamespacedName{Namespace: route.Namespace, Name: string(ref.Name)})
			got.share = float64(weightOf(ref)) / float64(total)
			traffic.routed.add(got)
			traffic.fail(g.clock.Now(), fmt.Sprintf("route %s at generation %d, weight %d", route.Name, route.Generation, weightOf(ref)), got)
		}
	}
}

func weightOf(ref gatewayv1.HTTPBackendRef) int32 {
	if ref.Weight == nil {
		return 1
	}
	return *ref.Weight
}

// ask is one request to every ready endpoint of a Service.
func (g *Gateway) ask(service types.NamespacedName) answers {
	a := answers{service: service.Name, share: 1, byImage: map[string]int{}}
	for _, ip := range g.ready[service] {
		pod, _ := g.nodes.At(ip)
		if !pod.Answers {
			a.dead = append(a.dead, pod.Name)
			continue
		}
		a.byImage[pod.Image]++
		a.alive++
	}
	return a
}
