package rollout

import (
	"slices"
	"testing"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/gateway"
	"belay.dev/belay/controllers/traffic/replicas"
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

// TestARolloutWithoutTrafficSharesByPods: nothing of a route is in its target, and its
// own router is asked. A run in progress decides by the traffic that it has pinned.
func TestARolloutWithoutTrafficSharesByPods(t *testing.T) {
	rollout := &v1alpha1.Rollout{}
	if got := targetOf(rollout); got.Service != "" || got.Routes != nil {
		t.Errorf("the target is %+v", got)
	}
	routes, pods := gateway.New(nil, ""), replicas.New(nil)
	r := &Reconciler{Router: routes, Replicas: pods}
	w := &world{rollout: rollout}
	if r.router(w) != traffic.Router(pods) {
		t.Error("a Rollout without traffic is asked for its routes")
	}
	run := &v1alpha1.RolloutRun{}
	run.Spec.Traffic = &v1alpha1.Traffic{Service: "shop"}
	rollout.Status.Phase = v1alpha1.PhaseStepping
	w.takeRun(run)
	if r.router(w) != traffic.Router(routes) || w.target.Service != "shop" {
		t.Errorf("the run's own traffic is not taken: %+v", w.target)
	}
}
