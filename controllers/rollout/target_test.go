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

// TestStepsToComeAreLookedAt: before a run those of all steps, in a step those that are left,
// and none once nobody needs them: a rollback must not wait for what does not fit.
func TestStepsToComeAreLookedAt(t *testing.T) {
	steps := []v1alpha1.Step{{Name: "a"}, {Name: "b"}}
	for name, c := range map[string]struct {
		status v1alpha1.RolloutStatus
		want   string
	}{
		"before a run":  {v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseGating}, "ab"},
		"in a step":     {v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStepping, Step: &v1alpha1.StepStatus{Index: 1}}, "b"},
		"past the last": {v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStepping, Step: &v1alpha1.StepStatus{Index: 7}}, ""},
		"rolling back":  {v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseRollingBack, Step: &v1alpha1.StepStatus{}}, ""},
		"in the bake":   {v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseBaking, Step: &v1alpha1.StepStatus{}}, ""},
		"at rest":       {v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStable}, ""},
	} {
		got := ""
		for _, step := range stepsToCome(c.status, steps) {
			got += step.Name
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
