package plan

import (
	"cmp"
	"fmt"
	"strings"

	"belay.dev/belay/api/v1alpha1"
)

// endsConflict says what ends the conflict about the routes with a field manager: for a tool
// that is known by its name, where it is told to leave a route's rules alone, as docs/gitops.md
// has it.
func (f *facts) endsConflict(manager string) string {
	const between = "apply it when no run is in progress"
	switch {
	case strings.HasPrefix(manager, "argocd"):
		return "in its Application set spec.ignoreDifferences: [" + f.perRoute("{group: gateway.networking.k8s.io, kind: %s, name: %s, jsonPointers: [/spec/rules]}") +
			"] and spec.syncPolicy.syncOptions: [RespectIgnoreDifferences=true, ApplyOutOfSyncOnly=true]"
	case manager == "kustomize-controller":
		return "in its Kustomization set spec.ignore: [" + f.perRoute("{paths: [/spec/rules], target: {kind: %s, name: %s}}") + "] (Flux 2.9 or newer)"
	case manager == "helm-controller":
		return "in its HelmRelease set spec.driftDetection.ignore: [" + f.perRoute("{paths: [/spec/rules], target: {kind: %s, name: %s}}") + "], and upgrade when no run is in progress"
	case strings.HasPrefix(manager, "kubectl"), manager == "helm":
		return between
	default:
		return "let it ignore spec.rules of this route, or " + between
	}
}

// perRoute is an entry for each route that is split, two at most: most Rollouts have one.
func (f *facts) perRoute(entry string) string {
	var out []string
	for i, r := range f.traffic.Routes {
		if i == 2 {
			out = append(out, fmt.Sprintf("and so for %d more", len(f.traffic.Routes)-i))
			break
		}
		out = append(out, fmt.Sprintf(entry, cmp.Or(r.Kind, v1alpha1.KindHTTPRoute), r.Name))
	}
	return strings.Join(out, ", ")
}
