package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/config"
)

// beforeInstall looks whether a cluster fits, and whether the person may install.
func (e *examination) beforeInstall(ctx context.Context) error {
	if err := e.server(); err != nil {
		return err
	}
	if !e.gatewayVersion(ctx) {
		e.note("Gateway API is not installed: Belay then splits traffic by the number of pods, without spec.traffic (docs/concepts.md#weights-by-the-number-of-pods).")
	}
	if err := e.olderInstall(ctx); err != nil {
		return err
	}
	if err := e.mayInstall(ctx); err != nil {
		return err
	}
	if err := e.tryManifests(ctx); err != nil {
		return err
	}
	return e.prometheusHint(ctx)
}

// olderInstall looks for what another installation has left, or is.
func (e *examination) olderInstall(ctx context.Context) error {
	all := &appsv1.DeploymentList{}
	_, _, err := e.reading("the Deployments of all namespaces", e.List(ctx, all, client.MatchingLabels{"app": controllerName}))
	if err != nil {
		return err
	}
	for i := range all.Items {
		e.found("Deployment "+all.Items[i].Namespace+"/"+all.Items[i].Name, "to upgrade it: docs/install.md#upgrade; else uninstall it first", "a controller of Belay is there already, and a cluster can have only one")
	}
	for _, folder := range []string{"crd", "guard"} {
		objects, err := config.Objects(folder)
		if err != nil {
			return err
		}
		var there []string
		for _, manifest := range objects {
			have := &unstructured.Unstructured{}
			have.SetGroupVersionKind(manifest.GroupVersionKind())
			ok, _, err := e.reading(manifest.GetKind()+"s", e.Get(ctx, client.ObjectKeyFromObject(manifest), have))
			if err != nil {
				return err
			}
			if ok && (folder == "guard" || differs(manifest, have) != "") {
				there = append(there, manifest.GetName())
			}
		}
		if len(there) == 0 || len(all.Items) > 0 {
			continue
		}
		if folder == "crd" {
			e.found("CustomResourceDefinitions", "apply those of this version over them, which keeps Rollouts and runs; Helm takes them over with --take-ownership", "those of another version are there: %s", strings.Join(there, ", "))
		} else {
			e.found("admission policies", "kubectl delete mutatingadmissionpolicybindings,validatingadmissionpolicybindings -l app.kubernetes.io/part-of=belay, unless workloads are still held (docs/runbook.md#take-belay-away-for-good)",
				"%d of a former installation are in force without a controller", len(there))
		}
	}
	return nil
}

// installerRights are what installing creates. escalate is needed for roles with rights that
// the installer does not have.
var installerRights = []struct{ group, resource, verb string }{
	{"apiextensions.k8s.io", "customresourcedefinitions", "create"}, {"apiextensions.k8s.io", "customresourcedefinitions", "patch"},
	{"admissionregistration.k8s.io", "mutatingadmissionpolicies", "create"}, {"admissionregistration.k8s.io", "mutatingadmissionpolicybindings", "create"},
	{"admissionregistration.k8s.io", "validatingadmissionpolicies", "create"}, {"admissionregistration.k8s.io", "validatingadmissionpolicybindings", "create"},
	{"rbac.authorization.k8s.io", "clusterroles", "create"}, {"rbac.authorization.k8s.io", "clusterroles", "escalate"},
	{"rbac.authorization.k8s.io", "clusterrolebindings", "create"}, {"", "namespaces", "create"},
}

func (e *examination) mayInstall(ctx context.Context) error {
	var lacks []string
	for _, r := range installerRights {
		ok, err := e.may(ctx, r.verb, r.group, r.resource, "", "")
		if err != nil {
			return err
		}
		if !ok {
			lacks = append(lacks, r.verb+" "+r.resource)
		}
	}
	if len(lacks) > 0 {
		e.found("your rights", "install as cluster-admin", "you may not %s", strings.Join(lacks, ", "))
	}
	return nil
}

// tryManifests lets the API server check the definitions and policies of this version, in a
// dry-run. One that is there already was checked when it was made.
func (e *examination) tryManifests(ctx context.Context) error {
	for _, folder := range []string{"crd", "guard"} {
		objects, err := config.Objects(folder)
		if err != nil {
			return err
		}
		for _, manifest := range objects {
			err := e.Create(ctx, manifest.DeepCopy(), client.DryRunAll)
			switch {
			case err == nil, apierrors.IsAlreadyExists(err), apierrors.IsForbidden(err), meta.IsNoMatchError(err):
				// The rights and what is served are findings of their own.
			case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
				e.found(manifest.GetKind()+" "+manifest.GetName(), "report this with the version of the cluster", "the API server refuses it: %v", err)
			default:
				return fmt.Errorf("try %s %s in a dry-run: %w", manifest.GetKind(), manifest.GetName(), err)
			}
		}
	}
	return nil
}

// metricServers are words in the names of Services that often are Prometheus, or speak its
// API, in the order of preference.
var metricServers = []string{"thanos-query", "vmselect", "vmsingle", "mimir", "prometheus-k8s", "prometheus-server", "kube-prometheus", "prometheus-operated", "prometheus"}

// prometheusHint notes Services that look like a source of metrics.
func (e *examination) prometheusHint(ctx context.Context) error {
	all := &corev1.ServiceList{}
	ok, _, err := e.reading("the Services of all namespaces", e.List(ctx, all))
	if !ok {
		return err
	}
	best, address := len(metricServers), ""
	for i := range all.Items {
		s := &all.Items[i]
		rank := slices.IndexFunc(metricServers, func(word string) bool { return strings.Contains(s.Name, word) })
		aside := slices.ContainsFunc([]string{"alertmanager", "exporter", "operator-", "pushgateway", "adapter", "kube-state"}, func(word string) bool { return strings.Contains(s.Name, word) })
		if rank < 0 || rank >= best || aside || len(s.Spec.Ports) == 0 {
			continue
		}
		best, address = rank, fmt.Sprintf("http://%s.%s:%d", s.Name, s.Namespace, s.Spec.Ports[0].Port)
	}
	if address == "" {
		e.note("No Service looks like Prometheus by its name: guardrails with slos need one, in the cluster or elsewhere.")
		return nil
	}
	e.note("%s looks like a source of metrics, by its name: a MetricSource names it as spec.address.", address)
	return nil
}
