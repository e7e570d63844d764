package integration

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/freezes"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/rollout"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/gateway"
	"belay.dev/belay/controllers/traffic/gateway/gatewaytest"
	bypods "belay.dev/belay/controllers/traffic/replicas"
	"belay.dev/belay/controllers/wake"
	"belay.dev/belay/test/build"
)

// TestKindsOfRoutes: what the API accepts in spec.traffic.routes.
func TestKindsOfRoutes(t *testing.T) {
	type refs = []any
	ref := func(kind, name string) map[string]any { return map[string]any{"kind": kind, "name": name} }
	for name, c := range map[string]struct {
		routes  refs
		refused string
	}{
		"of gRPC":            {refs{ref("GRPCRoute", "shop")}, ""},
		"mixed, of one name": {refs{ref("GRPCRoute", "shop"), map[string]any{"name": "shop"}}, ""},
		"of TCP":             {refs{ref("TCPRoute", "shop")}, `Unsupported value: "TCPRoute": supported values: "HTTPRoute", "GRPCRoute"`},
		"twice the same":     {refs{ref("GRPCRoute", "shop"), ref("GRPCRoute", "shop")}, "Duplicate value"},
		"twice by default":   {refs{ref("HTTPRoute", "shop"), map[string]any{"name": "shop"}}, "Duplicate value"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			for _, kind := range []string{"Rollout", "RolloutRun"} {
				o := object(t, valid[kind])
				apply(t, o, []change{{"spec.traffic.routes", c.routes}})
				o.SetName("kinds")
				err := author(t, kind).Create(t.Context(), o, client.DryRunAll)
				if c.refused != "" {
					g.Expect(err).To(MatchError(ContainSubstring(c.refused)), kind)
					continue
				}
				g.Expect(err).NotTo(HaveOccurred(), kind)
			}
		})
	}
}

// TestAReleasedGRPCRouteIsItsUsersAgain, as an HTTPRoute is.
func TestAReleasedGRPCRouteIsItsUsersAgain(t *testing.T) {
	const (
		route = `{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: shop}, spec: {parentRefs: [{name: gateway}], rules: [
			{name: orders, matches: [{method: {service: shop.v1.Orders}}], backendRefs: [{name: shop, port: 80}, {name: legacy, port: 80, weight: 3}]}]}}`
		changed = `{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: shop}, spec: {parentRefs: [{name: gateway}], rules: [
			{backendRefs: [{name: shop, port: 8080}]}]}}`
	)
	g, ctx := NewWithT(t), t.Context()
	namespace := newNamespace(t)
	target := targetIn(namespace)
	target.Routes = []traffic.Route{{Kind: v1alpha1.KindGRPCRoute, Name: "shop"}}
	router := gateway.New(watching(t, belayItself), "belay")
	g.Expect(applied(t, namespace, route)).To(Succeed())
	before, now := &gatewayv1.GRPCRoute{}, &gatewayv1.GRPCRoute{}
	key := client.ObjectKey{Namespace: namespace, Name: "shop"}
	g.Expect(admin.Get(ctx, key, before)).To(Succeed())
	for _, share := range []int32{10, 100} {
		g.Expect(router.Apply(ctx, target, traffic.Split{Canary: share})).To(Succeed())
	}
	g.Expect(apierrors.IsConflict(applied(t, namespace, changed))).To(BeTrue(), "in a run Belay owns the rules")
	g.Expect(admin.Get(ctx, key, now)).To(Succeed())
	g.Expect(now.Spec.Rules[0].BackendRefs).To(HaveLen(3))
	g.Expect(now.Spec.Rules[0].Matches).To(Equal(before.Spec.Rules[0].Matches))

	g.Expect(router.Release(ctx, target)).To(Succeed())
	g.Expect(admin.Get(ctx, key, now)).To(Succeed())
	ownsNothing(g, now)
	g.Expect(equality.Semantic.DeepEqual(now.Spec, before.Spec)).To(BeTrue(), "released to %+v", now.Spec)
	g.Expect(applied(t, namespace, changed)).To(Succeed())
}

// TestTheFenceOfAGRPCRoute: the API server refuses a superseded controller's late
// write, and a fence that somebody else wrote.
func TestTheFenceOfAGRPCRoute(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	namespace := newNamespace(t)
	route := gatewaytest.NewGRPCRoute("shop", gatewaytest.Reference("shop").BackendRef)
	route.Namespace = namespace
	g.Expect(admin.Create(ctx, route)).To(Succeed())
	forged := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"belay.dev/fence.shop":"99"}}}`))
	g.Expect(admin.Patch(ctx, route, forged)).To(MatchError(ContainSubstring("is written by Belay's controller only")))

	target := targetIn(namespace)
	target.Routes = []traffic.Route{{Kind: v1alpha1.KindGRPCRoute, Name: "shop"}}
	target.Epoch = 9
	router := gateway.New(watching(t, belayItself), "belay")
	g.Expect(router.Apply(ctx, target, traffic.Split{Canary: 10})).To(Succeed())
	target.Epoch = 8
	g.Expect(router.Apply(ctx, target, traffic.Split{Canary: 50})).To(MatchError(ContainSubstring("superseded controller")))
}

// TestKindsThatAreInstalledLater starts the controller in a cluster without Gateway
// API. It says what is missing, and goes on when it is installed, without a restart.
func TestKindsThatAreInstalledLater(t *testing.T) {
	t.Parallel()
	g, ctx := NewWithT(t), t.Context()
	_, to, c := ownServer(t)
	g.Expect(install(ctx, c, "guard", "rbac")).To(Succeed())
	kinds := map[string]*unstructured.Unstructured{"httproutes": nil, "grpcroutes": nil}
	for resource := range kinds {
		kinds[resource] = uninstall(g, c, resource+"."+gatewayv1.GroupName)
	}
	runningDeployment(t, c, "shop")
	createOn(t, c, object(t, `{apiVersion: belay.dev/v1alpha1, kind: Guardrail, metadata: {name: shop, namespace: shop}, spec: {triggers: [{name: pods, pods: {readyWithin: 5m}}]}}`))
	createOn(t, c, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "shop"},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "shop"}, Ports: []corev1.ServicePort{{Port: 80}}}})
	createOn(t, c, object(t, `{apiVersion: belay.dev/v1alpha1, kind: Rollout, metadata: {name: shop, namespace: shop}, spec: {workloadRef: {name: shop},
		traffic: {service: shop, routes: [{kind: GRPCRoute, name: shop}, {kind: HTTPRoute, name: shop}]}, steps: [{weight: 50}], guardrails: [{name: shop}]}}`))
	runController(t, to)

	stalled := func(words ...string) {
		t.Helper()
		g.Eventually(func(g Gomega) {
			rollout := &v1alpha1.Rollout{}
			g.Expect(c.Get(ctx, client.ObjectKey{Namespace: "shop", Name: "shop"}, rollout)).To(Succeed())
			stalled := meta.FindStatusCondition(rollout.Status.Conditions, v1alpha1.ConditionStalled)
			if len(words) == 0 {
				g.Expect(stalled).To(BeNil(), "%+v", stalled)
				g.Expect(meta.IsStatusConditionTrue(rollout.Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue(), rollout.Status.Message)
				return
			}
			g.Expect(stalled).NotTo(BeNil(), rollout.Status.Message)
			g.Expect(stalled.Reason).To(Equal(v1alpha1.ReasonRouteNotFound))
			for _, word := range words {
				g.Expect(stalled.Message).To(ContainSubstring(word))
			}
		}).WithTimeout(3 * soon).WithPolling(50 * time.Millisecond).Should(Succeed())
	}
	stalled("does not serve HTTPRoutes of gateway.networking.k8s.io/v1", "does not serve GRPCRoutes of gateway.networking.k8s.io/v1")

	// Some clusters have HTTPRoutes alone.
	createOn(t, c, kinds["httproutes"])
	g.Eventually(func() error { return c.Create(ctx, httpRoute("shop", "shop", "shop")) }).WithTimeout(soon).Should(Succeed())
	g.Eventually(func(g Gomega) {
		rollout := &v1alpha1.Rollout{}
		g.Expect(c.Get(ctx, client.ObjectKey{Namespace: "shop", Name: "shop"}, rollout)).To(Succeed())
		g.Expect(rollout.Status.Message).To(And(ContainSubstring("does not serve GRPCRoutes"), Not(ContainSubstring("HTTPRoute"))))
	}).WithTimeout(3 * soon).Should(Succeed())

	createOn(t, c, kinds["grpcroutes"])
	route := gatewaytest.NewGRPCRoute("shop", gatewaytest.Reference("shop").BackendRef)
	route.Namespace = "shop"
	g.Eventually(func() error { return c.Create(ctx, route) }).WithTimeout(soon).Should(Succeed())
	stalled()
	// A stable Rollout is not looked at again by time: these are the routes' events.
	for _, o := range []client.Object{route, httpRoute("shop", "shop", "shop")} {
		g.Expect(c.Delete(ctx, o.DeepCopyObject().(client.Object))).To(Succeed())
		stalled(fmt.Sprintf(`%T`, o)[len("*v1."):] + ` "shop": create it`)
		o.SetResourceVersion("")
		g.Expect(c.Create(ctx, o)).To(Succeed())
		stalled()
	}
}

// uninstall deletes a definition, and returns what installs it again.
func uninstall(g Gomega, c client.Client, name string) *unstructured.Unstructured {
	folder, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	g.Expect(err).NotTo(HaveOccurred())
	all, err := build.Objects(filepath.Join(strings.TrimSpace(string(folder)), "config", "crd", "standard"))
	g.Expect(err).NotTo(HaveOccurred())
	var definition *unstructured.Unstructured
	for _, o := range all {
		if o.GetKind() == "CustomResourceDefinition" && o.GetName() == name {
			definition = o
		}
	}
	g.Expect(definition).NotTo(BeNil(), name)
	g.Expect(c.Delete(context.Background(), definition.DeepCopy())).To(Succeed())
	g.Eventually(func() error {
		return c.Get(context.Background(), client.ObjectKeyFromObject(definition), definition.DeepCopy())
	}).
		WithTimeout(soon).Should(Satisfy(apierrors.IsNotFound))
	return definition
}

// runningDeployment makes a Deployment with one ready pod, as its ReplicaSet says.
func runningDeployment(t *testing.T, c client.Client, name string) {
	t.Helper()
	g, ctx := NewWithT(t), t.Context()
	d := deployment(name, good)
	g.Expect(c.Create(ctx, d)).To(Succeed())
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, UpdatedReplicas: 1}
	g.Expect(c.Status().Update(ctx, d)).To(Succeed())
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: name + "-6c77698f9a", Namespace: d.Namespace, Annotations: map[string]string{numberOfVersion: "1"},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}}}
	set.Spec = appsv1.ReplicaSetSpec{Selector: d.Spec.Selector.DeepCopy(), Template: *d.Spec.Template.DeepCopy()}
	set.Spec.Selector.MatchLabels[appsv1.DefaultDeploymentUniqueLabelKey] = "6c77698f9a"
	set.Spec.Template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = "6c77698f9a"
	set.Labels = set.Spec.Template.Labels
	g.Expect(c.Create(ctx, set)).To(Succeed())
	set.Status = appsv1.ReplicaSetStatus{ObservedGeneration: set.Generation, Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
	g.Expect(c.Status().Update(ctx, set)).To(Succeed())
}

// runController runs the Rollout loop until the test ends, under Belay's own
// identity and rights.
func runController(t *testing.T, to *rest.Config) {
	t.Helper()
	to = rest.CopyConfig(to)
	to.Impersonate = rest.ImpersonationConfig{UserName: controller}
	again := true
	mgr, err := ctrl.NewManager(to, ctrl.Options{Scheme: scheme, Client: client.Options{Cache: &client.CacheOptions{Unstructured: true}},
		Metrics: metricsserver.Options{BindAddress: "0"}, Controller: ctrlconfig.Controller{SkipNameValidation: &again}})
	if err != nil {
		t.Fatal(err)
	}
	frozen, err := freezes.NewCache(mgr, nil)
	if err != nil {
		t.Fatal(err)
	}
	tracked := rollout.TrackWrites(mgr.GetClient())
	rollouts := &rollout.Reconciler{Client: tracked, Live: mgr.GetAPIReader(), Router: gateway.New(tracked, v1alpha1.FieldManager), Routes: gateway.Routes(), ByPods: bypods.New(mgr.GetClient()), Guard: openGate{}, Freezes: frozen,
		Events: mgr.GetEventRecorder("belay"), Clock: clock.RealClock{}, Version: "test", Watchdog: time.Second, ReleaseTimeout: time.Minute, SteadyFor: time.Second, Workers: 1}
	for _, err := range []error{wake.Index(t.Context(), mgr.GetFieldIndexer()), rollouts.SetupWithManager(mgr)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the controller stopped: %v", err)
		}
	})
}

// openGate is a guard that is proven.
type openGate struct{}

func (openGate) Last(*v1alpha1.Rollout) plan.Gate {
	return plan.Gate{Name: plan.GateGuard, Outcome: plan.Open, Reason: v1alpha1.ReasonGuardProven, Message: "proven"}
}

func (openGate) Changes() source.Source {
	return source.Func(func(context.Context, workqueue.TypedRateLimitingInterface[reconcile.Request]) error { return nil })
}
