package cluster

import (
	"context"
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

// Gateway follows HTTPRoutes some time after they change, says so in their
// status, and sends requests where they point.
type Gateway struct {
	admin client.Client
	cache cache.Cache
	nodes *Nodes
	clock clock.WithTicker
	queue workqueue.TypedDelayingInterface[types.NamespacedName]

	mu sync.Mutex
	// followed are the routes as the gateway acts on them.
	followed map[types.NamespacedName]*gatewayv1.HTTPRoute
	changed  map[types.NamespacedName]seen
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
	g := &Gateway{admin: admin, cache: c, nodes: nodes, clock: clk, followed: map[types.NamespacedName]*gatewayv1.HTTPRoute{}, changed: map[types.NamespacedName]seen{},
		slices: map[types.NamespacedName]map[string]*discoveryv1.EndpointSlice{}, ready: map[types.NamespacedName][]string{}, manners: map[string]Manners{}, traffic: map[string]*Traffic{},
		queue: workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[types.NamespacedName]{Clock: clk})}
	routes, err := c.GetInformer(ctx, &gatewayv1.HTTPRoute{})
	if err != nil {
		return nil, err
	}
	if _, err := routes.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { g.queue.Add(client.ObjectKeyFromObject(o.(client.Object))) },
		UpdateFunc: func(_, o any) { g.queue.Add(client.ObjectKeyFromObject(o.(client.Object))) },
	}); err != nil {
		return nil, err
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
	routes := &gatewayv1.HTTPRouteList{}
	if err := g.cache.List(ctx, routes, client.InNamespace(namespace)); err != nil {
		return err
	}
	for i := range routes.Items {
		g.queue.Add(client.ObjectKeyFromObject(&routes.Items[i]))
	}
	return nil
}

// Follows is the route as the gateway acts on it; nil before it follows it.
func (g *Gateway) Follows(key types.NamespacedName) *gatewayv1.HTTPRoute {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.followed[key]
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
func (g *Gateway) follow(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	route := &gatewayv1.HTTPRoute{}
	if err := g.cache.Get(ctx, key, route); err != nil {
		return 0, client.IgnoreNotFound(err)
	}
	if left, due := g.due(key, route); !due || left > 0 {
		return left, nil
	}
	g.mu.Lock()
	g.followed[key] = route.DeepCopy()
	g.mu.Unlock()
	status := gatewayv1.HTTPRouteStatus{}
	for _, parent := range route.Spec.ParentRefs {
		entry := gatewayv1.RouteParentStatus{ParentRef: parent, ControllerName: "belay.dev/handover-test"}
		for _, kind := range []gatewayv1.RouteConditionType{gatewayv1.RouteConditionAccepted, gatewayv1.RouteConditionResolvedRefs} {
			entry.Conditions = append(entry.Conditions, metav1.Condition{Type: string(kind), Status: metav1.ConditionTrue, Reason: string(kind),
				ObservedGeneration: route.Generation, LastTransitionTime: metav1.NewTime(g.clock.Now())})
		}
		status.Parents = append(status.Parents, entry)
	}
	route.Status = status
	err := g.admin.Status().Update(ctx, route)
	if apierrors.IsConflict(err) {
		return 0, nil
	}
	return 0, client.IgnoreNotFound(err)
}

// due is how long the gateway still takes to follow a route; false when it
// follows it already, or is silent.
func (g *Gateway) due(key types.NamespacedName, route *gatewayv1.HTTPRoute) (time.Duration, bool) {
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
		if route := g.followed[types.NamespacedName{Namespace: namespace, Name: traffic.route}]; route != nil {
			g.sendThrough(route, traffic)
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
