package controllers

import (
	"slices"
	"testing"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
)

// TestTheTargetNamesRoutesByKind: an empty kind is the default.
func TestTheTargetNamesRoutesByKind(t *testing.T) {
	rollout := &v1alpha1.Rollout{}
	rollout.Spec.Traffic.Routes = []v1alpha1.RouteRef{{Name: "web"}, {Kind: "GRPCRoute", Name: "web"}}
	want := []traffic.Route{{Kind: "HTTPRoute", Name: "web"}, {Kind: "GRPCRoute", Name: "web"}}
	if got := targetOf(rollout).Routes; !slices.Equal(got, want) {
		t.Errorf("the routes are %v, want %v", got, want)
	}
}

// TestACommandIsCarriedOutOnce: also when an older one's token comes back, as with
// an old copy of the manifest.
func TestACommandIsCarriedOutOnce(t *testing.T) {
	rollout := &v1alpha1.Rollout{}
	give := func(token string) {
		rollout.Annotations = map[string]string{v1alpha1.AnnotationAction: "Abort", v1alpha1.AnnotationActionToken: token, v1alpha1.AnnotationActionBy: "ann"}
	}
	for _, token := range []string{"1", "2"} {
		give(token)
		a := pendingAction(rollout)
		if a == nil || a.Token != token || a.By != "ann" {
			t.Fatalf("command %s is read as %+v", token, a)
		}
		rollout.Status.Remember(v1alpha1.HandledAction{Action: a.Action, Token: a.Token})
	}
	give("1")
	if a := pendingAction(rollout); a != nil {
		t.Errorf("command 1 would be carried out again: %+v", a)
	}
}
