package plan_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// TestATrafficConflictSaysWhatEndsIt: with the tool's own fields, as docs/gitops.md has them.
func TestATrafficConflictSaysWhatEndsIt(t *testing.T) {
	route := func(kind, name string) v1alpha1.RouteRef { return v1alpha1.RouteRef{Kind: kind, Name: name} }
	one := []v1alpha1.RouteRef{route("", "shop")}
	for name, c := range map[string]struct {
		manager string
		routes  []v1alpha1.RouteRef
		want    string
	}{
		"Argo CD":   {"argocd-controller", one, "in its Application set spec.ignoreDifferences: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop, jsonPointers: [/spec/rules]}] and spec.syncPolicy.syncOptions: [RespectIgnoreDifferences=true, ApplyOutOfSyncOnly=true]"},
		"Flux":      {"kustomize-controller", one, "in its Kustomization set spec.ignore: [{paths: [/spec/rules], target: {kind: HTTPRoute, name: shop}}] (Flux 2.9 or newer)"},
		"four":      {"kustomize-controller", []v1alpha1.RouteRef{route("HTTPRoute", "a"), route("GRPCRoute", "b"), route("", "c"), route("", "d")}, "in its Kustomization set spec.ignore: [{paths: [/spec/rules], target: {kind: HTTPRoute, name: a}}, {paths: [/spec/rules], target: {kind: GRPCRoute, name: b}}, and so for 2 more] (Flux 2.9 or newer)"},
		"Flux Helm": {"helm-controller", one, "in its HelmRelease set spec.driftDetection.ignore: [{paths: [/spec/rules], target: {kind: HTTPRoute, name: shop}}], and upgrade when no run is in progress"},
		"Helm":      {"helm", one, "apply it when no run is in progress"},
		"kubectl":   {"kubectl-client-side-apply", one, "apply it when no run is in progress"},
		"another":   {"terraform", one, "let it ignore spec.rules of this route, or apply it when no run is in progress"},
	} {
		in := given(stepAt(0), split(50), func(in *plan.Input) { in.Route.Owner, in.Spec.Traffic.Routes = c.manager, c.routes })
		got := meta.FindStatusCondition(plan.Transition(in).Status.Conditions, v1alpha1.ConditionTrafficConflict)
		if want := "field manager " + c.manager + " changed backendRefs during the run: " + c.want; got == nil || got.Message != want {
			t.Errorf("%s: %+v, want %q", name, got, want)
		}
	}
}
