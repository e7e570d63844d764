package main

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/controllers/view"
)

// warnOfOwner says that a GitOps tool, where there is one, will write the workload again.
func (a *app) warnOfOwner(object *unstructured.Unstructured, then string) {
	if owner := gitOpsOwner(object); owner != "" {
		fmt.Fprintf(a.streams.ErrOut, "Warning: %s manages %s: %s\n", owner, withKind(object), then)
	}
}

// gitOpsOwner names the tool that applies an object from elsewhere, by the marks that the
// tools leave; empty when there is none.
func gitOpsOwner(object *unstructured.Unstructured) string {
	labels, annotations := object.GetLabels(), object.GetAnnotations()
	named := func(tool, name string) string {
		if name == "" {
			return tool
		}
		return tool + " " + view.Text(name, 100)
	}
	if id, ok := annotations["argocd.argoproj.io/tracking-id"]; ok {
		app, _, _ := strings.Cut(id, ":")
		return named("the Argo CD application", app)
	}
	for _, mark := range []struct{ tool, label string }{
		{"the Argo CD application", "argocd.argoproj.io/instance"},
		{"the Flux Kustomization", "kustomize.toolkit.fluxcd.io/name"},
		{"the Flux HelmRelease", "helm.toolkit.fluxcd.io/name"},
	} {
		if name, ok := labels[mark.label]; ok {
			return named(mark.tool, name)
		}
	}
	for _, field := range object.GetManagedFields() {
		switch field.Manager {
		case "argocd-controller", "argocd-application-controller":
			return "Argo CD"
		case "kustomize-controller", "helm-controller":
			return "Flux (" + field.Manager + ")"
		}
	}
	if labels["app.kubernetes.io/managed-by"] == "Helm" {
		return named("the Helm release", annotations["meta.helm.sh/release-name"])
	}
	return ""
}
