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
