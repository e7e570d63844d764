package manifests

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/hack/release/internal/archive"
)

// clusterScoped are the resources in config/rbac that are in no namespace. Rights on
// them stay a ClusterRole when the controller watches some namespaces alone.
var clusterScoped = []string{
	"clusterguardrails", "clusterguardrails/status", "clusterfreezes", "clusterfreezes/status", "metricsources", "metricsources/status", "checkendpoints", "namespaces", "tokenreviews", "subjectaccessreviews",
}

// eventsNamespace is where the API has the events of objects in no namespace.
const eventsNamespace = "default"

// grantsEverywhere says whether an object gives the controller or the guard's probe
// rights in every namespace.
func grantsEverywhere(object *unstructured.Unstructured) bool {
	kind, name := object.GetKind(), object.GetName()
	return (kind == "ClusterRole" || kind == "ClusterRoleBinding") && (name == controllerRole || name == "belay-guard-probe")
}

// grant writes a ClusterRole or its binding as a template: as it is, or, when the chart
// is told which namespaces to watch, one Role or binding in each of them, and the
// ClusterRole with what has no namespace.
func grant(object *unstructured.Unstructured) (archive.File, error) {
	everywhere, err := textOf(object)
	if err != nil {
		return archive.File{}, err
	}
	local, rest, err := narrow(object)
	if err != nil {
		return archive.File{}, err
	}
	inEach, err := textOf(local)
	if err != nil {
		return archive.File{}, err
	}
	text := "{{- if .Values.watchNamespaces }}\n{{- range .Values.watchNamespaces }}\n---\n" + inEach + "{{- end }}\n"
	for _, other := range rest {
		one, err := textOf(other)
		if err != nil {
			return archive.File{}, err
		}
		text += "---\n" + one
	}
	text += "{{- else }}\n" + everywhere + "{{- end }}\n"
	return archive.File{Name: fileOf(object, "rbac"), Mode: 0o644, Content: []byte(text)}, nil
}

// narrow is the Role or RoleBinding for a watched namespace, and the objects beside it.
func narrow(object *unstructured.Unstructured) (local *unstructured.Unstructured, rest []*unstructured.Unstructured, err error) {
	local = object.DeepCopy()
	// The namespace of the release has a Role of the controller's name.
	local.SetName(object.GetName() + "-watched")
	local.SetNamespace(markWatched)
	if object.GetKind() == "ClusterRoleBinding" {
		local.SetKind("RoleBinding")
		local.Object["roleRef"] = map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": local.GetName()}
		if object.GetName() == controllerRole {
			rest = []*unstructured.Unstructured{object, forEvents(local)}
		}
		return local, rest, nil
	}
	local.SetKind("Role")
	rules, _, err := unstructured.NestedSlice(object.Object, "rules")
	if err != nil {
		return nil, nil, err
	}
	var inNamespaces, inCluster []any
	for _, rule := range rules {
		rule, ok := rule.(map[string]any)
		if !ok {
			return nil, nil, fmt.Errorf("ClusterRole %s has a rule that is not an object", object.GetName())
		}
		resources, _, err := unstructured.NestedStringSlice(rule, "resources")
		if err != nil {
			return nil, nil, err
		}
		split := func(cluster bool) []any {
			var kept []any
			for _, resource := range resources {
				if slices.Contains(clusterScoped, resource) == cluster {
					kept = append(kept, resource)
				}
			}
			if len(kept) == 0 {
				return nil
			}
			part := maps.Clone(rule)
			part["resources"] = kept
			return []any{part}
		}
		inNamespaces, inCluster = append(inNamespaces, split(false)...), append(inCluster, split(true)...)
	}
	local.Object["rules"] = inNamespaces
	if len(inCluster) == 0 {
		return local, nil, nil
	}
	cluster := object.DeepCopy()
	cluster.Object["rules"] = inCluster
	events := forEvents(local)
	events.Object["rules"] = []any{map[string]any{"apiGroups": []any{"events.k8s.io"}, "resources": []any{"events"}, "verbs": []any{"create", "patch"}}}
	return local, []*unstructured.Unstructured{cluster, events}, nil
}

// controllerRole is the one of the two that has rights on resources in no namespace.
const controllerRole = "belay-controller"

// forEvents is a Role or a binding like the one for a watched namespace, for the events
// of MetricSources and guardrails of the cluster.
func forEvents(local *unstructured.Unstructured) *unstructured.Unstructured {
	events := local.DeepCopy()
	events.SetName(controllerRole + "-events")
	events.SetNamespace(eventsNamespace)
	if events.GetKind() == "RoleBinding" {
		events.Object["roleRef"] = map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": events.GetName()}
	}
	return events
}
