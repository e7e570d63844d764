package rollout

import (
	"slices"
	"testing"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
)

// TestTheTargetNamesRoutesByKind: an empty kind is the default.
func TestTheTargetNamesRoutesByKind(t *testing.T) {
	rollout := &v1alpha1.Rollout{}
	rollout.Spec.Traffic = &v1alpha1.Traffic{Routes: []v1alpha1.RouteRef{{Name: "web"}, {Kind: "GRPCRoute", Name: "web"}}}
	want := []traffic.Route{{Kind: "HTTPRoute", Name: "web"}, {Kind: "GRPCRoute", Name: "web"}}
	if got := targetOf(rollout).Routes; !slices.Equal(got, want) {
		t.Errorf("the routes are %v, want %v", got, want)
	}
}

// stubRouter is asked for nothing: it is told from another one.
type stubRouter struct {
	traffic.Router
	shares string
}

// TestARolloutWithoutTrafficSharesByPods: nothing of a route is in its target, and its
// own router is asked. A run in progress decides by the traffic that it has pinned.
func TestARolloutWithoutTrafficSharesByPods(t *testing.T) {
	rollout := &v1alpha1.Rollout{}
	if got := targetOf(rollout); got.Service != "" || got.Routes != nil {
		t.Errorf("the target is %+v", got)
	}
	routes, pods := &stubRouter{shares: "routes"}, &stubRouter{shares: "pods"}
	r := &Reconciler{Router: routes, ByPods: pods}
	l := &look{rollout: rollout}
	if r.router(l) != traffic.Router(pods) {
		t.Error("a Rollout without traffic is asked for its routes")
	}
	run := &v1alpha1.RolloutRun{}
	run.Spec.Traffic = &v1alpha1.Traffic{Service: "shop"}
	rollout.Status.Phase = v1alpha1.PhaseStepping
	l.takeRun(run)
	if r.router(l) != traffic.Router(routes) || l.target.Service != "shop" {
		t.Errorf("the run's own traffic is not taken: %+v", l.target)
	}
}
