package gateway_test

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic/contract"
	"belay.dev/belay/controllers/traffic/gateway"
	"belay.dev/belay/controllers/traffic/gateway/gatewaytest"
)

var scheme = runtime.NewScheme()

func init() {
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(gatewayv1.Install(scheme))
}

// open makes an application with an HTTPRoute on a fake client.
func open(t *testing.T) *gatewaytest.World {
	t.Helper()
	return openWith(t, v1alpha1.KindHTTPRoute)
}

// openWith makes one with a route of the kind.
func openWith(t *testing.T, kind string) *gatewaytest.World {
	t.Helper()
	c := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&gatewayv1.HTTPRoute{}, &gatewayv1.GRPCRoute{}).WithReturnManagedFields().Build()
	c = gatewaytest.DryRuns(interceptor.NewClient(c, interceptor.Funcs{Patch: countGenerations}), nil)
	return gatewaytest.NewOf(t, kind, c, c, "shop")
}

// countGenerations does what the fake client leaves out: a changed route has a
// new generation.
func countGenerations(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
	route, ok := o.(*unstructured.Unstructured)
	if !ok {
		return c.Patch(ctx, o, patch, opts...)
	}
	before := route.DeepCopy()
	if err := c.Patch(ctx, o, patch, opts...); err != nil {
		return err
	}
	if equality.Semantic.DeepEqual(before.Object["spec"], route.Object["spec"]) {
		return nil
	}
	route.SetGeneration(route.GetGeneration() + 1)
	return c.Update(ctx, route, client.FieldOwner(gatewaytest.Manager))
}

func TestContract(t *testing.T) {
	for _, kind := range gateway.Kinds() {
		t.Run(kind, func(t *testing.T) {
			contract.Run(t, contract.Capabilities{Shares: true, Mirrors: kind == v1alpha1.KindHTTPRoute, Pair: true, Narrows: true}, func(t *testing.T) contract.World { return openWith(t, kind) })
		})
	}
}
