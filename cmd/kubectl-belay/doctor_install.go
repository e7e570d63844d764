package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/config"
	"belay.dev/belay/controllers/view"
)

// applyRelease is what mends an installation that is not whole.
const applyRelease = "kubectl apply --server-side -f dist/install.yaml, or helm upgrade (docs/install.md)"

const controllerName = "belay-controller"

// installation looks at all that Belay consists of.
func (e *examination) installation(ctx context.Context) error {
	if err := e.server(); err != nil {
		return err
	}
	controller, err := e.controller(ctx)
	if err != nil {
		return err
	}
	var in *installed
	if controller != nil {
		in = installedBy(controller)
		if err := e.lease(ctx, controller); err != nil {
			return err
		}
	}
	if err := e.manifests(ctx, in); err != nil {
		return err
	}
	if err := e.sources(ctx); err != nil {
		return err
	}
	return e.routesServed(ctx)
}

// server looks at the API server's version, its clock, and whether it serves what the guard
// is made of.
func (e *examination) server() error {
	info, err := e.discovery.ServerVersion()
	if err != nil {
		return fmt.Errorf("ask the API server for its version: %w", err)
	}
	if v, err := utilversion.ParseGeneric(info.GitVersion); err != nil || v.LessThan(utilversion.MustParseGeneric(v1alpha1.OldestKubernetes)) {
		e.found("API server", "upgrade the cluster", "it is Kubernetes %s, and Belay needs %s or newer: an older one cannot hold a version back", info.GitVersion, v1alpha1.OldestKubernetes)
	} else {
		e.note("Kubernetes %s.", info.GitVersion)
	}
	if ahead := e.clock.ahead; ahead.Abs() > tolerableSkew {
		e.found("clock", "set the clock of this machine by NTP", "this machine's clock differs by %s from the API server's: times on screens, and --since and --timeout, are off by that", ahead.Abs().Round(time.Second))
	}
	const group = "admissionregistration.k8s.io/v1"
	for _, resource := range []string{"mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "validatingadmissionpolicies", "validatingadmissionpolicybindings"} {
		served, err := e.serves(group, resource)
		if err != nil {
			return err
		}
		if !served {
			e.found("API server", "start it without --feature-gates=MutatingAdmissionPolicy=false, and without a --runtime-config that turns "+group+" off",
				"it does not serve %s of %s: the guard cannot hold a version back", resource, group)
		}
	}
	return nil
}

// tolerableSkew is more than the time that a response takes, and its date's whole seconds.
const tolerableSkew = 10 * time.Second

// serves reports whether the API server serves a resource.
func (e *examination) serves(groupVersion, resource string) (bool, error) {
	list, err := e.discovery.ServerResourcesForGroupVersion(groupVersion)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask the API server what it serves of %s: %w", groupVersion, err)
	}
	return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == resource }), nil
}

// controller finds the controller's Deployment; nil when there is not exactly one.
func (e *examination) controller(ctx context.Context) (*appsv1.Deployment, error) {
	all := &appsv1.DeploymentList{}
	ok, _, err := e.reading("the Deployments of all namespaces, and so the controller", e.List(ctx, all, client.MatchingLabels{"app": controllerName}))
	if !ok {
		return nil, err
	}
	var names []string
	for i := range all.Items {
		names = append(names, all.Items[i].Namespace+"/"+all.Items[i].Name)
	}
	switch len(all.Items) {
	case 0:
		e.found("controller", applyRelease, "no Deployment has the label app=%s: new versions are held and nothing judges them", controllerName)
		return nil, nil
	case 1:
	default:
		e.found("controller", "uninstall all but one (docs/install.md): one Belay serves a cluster", "%d Deployments have the label app=%s: %s", len(names), controllerName, strings.Join(names[:min(len(names), listedNames)], ", "))
		return nil, nil
	}
	d := &all.Items[0]
	wanted := int32(1)
	if d.Spec.Replicas != nil {
		wanted = *d.Spec.Replicas
	}
	place := "Deployment " + names[0]
	logs := fmt.Sprintf("kubectl -n %s describe pods -l app=%s; kubectl -n %s logs deployment/%s", d.Namespace, controllerName, d.Namespace, d.Name)
	switch {
	case d.Status.ReadyReplicas == 0:
		e.found(place, logs, "the controller has no ready pod (%d wanted): no step, no verdict and no rollback until it has", wanted)
	case d.Status.ReadyReplicas < wanted:
		e.found(place, logs, "%d of %d pods are ready", d.Status.ReadyReplicas, wanted)
	default:
		e.note("The controller %s has %d of %d pods ready, image %s.", names[0], d.Status.ReadyReplicas, wanted, imageOf(d))
	}
	return d, nil
}

// sameVersion compares the controller's version with this program's. The leader says its own in its
// lease; one that does not yet is known by its image's tag, unless the image is named by digest.
func (e *examination) sameVersion(controller *appsv1.Deployment, lease *coordinationv1.Lease) {
	image := imageOf(controller)
	theirs, from := lease.Labels[v1alpha1.LabelVersion], "as the leader says"
	if theirs == "" {
		theirs, from = tagOf(image), "by the tag of its image"
	}
	switch {
	case theirs == "":
		e.note("Which version the controller has is not known: neither the label %s of its lease nor the tag of its image %s says it. What is installed was compared with version %s, that of this program.", v1alpha1.LabelVersion, image, version)
	case strings.TrimPrefix(theirs, "v") == strings.TrimPrefix(version, "v"):
		e.note("The controller has version %s, %s, as this program has.", theirs, from)
	case version == "development":
		e.note("The controller has version %s, %s. This program is a development build: what it compares with may be of another version.", theirs, from)
	default:
		e.found("Deployment "+controller.Namespace+"/"+controller.Name, "use the same version of both: docs/install.md", "the controller has version %s, %s, and this program %s: what it compares with may be of another version", theirs, from, version)
	}
}

// imageOf is the image of a controller's first container; empty without one.
func imageOf(controller *appsv1.Deployment) string {
	if containers := controller.Spec.Template.Spec.Containers; len(containers) > 0 {
		return containers[0].Image
	}
	return ""
}

// tagOf is the tag of an image when it is a version; empty otherwise, and for a digest alone.
func tagOf(image string) string {
	image, _, _ = strings.Cut(image, "@")
	i := strings.LastIndexByte(image, ':')
	if i < 0 || strings.Contains(image[i:], "/") {
		return ""
	}
	if _, err := utilversion.ParseSemantic(image[i+1:]); err != nil {
		return ""
	}
	return image[i+1:]
}

// lease looks at who leads, and since when it has not been heard of.
func (e *examination) lease(ctx context.Context, controller *appsv1.Deployment) error {
	l := &coordinationv1.Lease{}
	ok, missing, err := e.reading("Leases in namespace "+controller.Namespace, e.Get(ctx, client.ObjectKey{Namespace: controller.Namespace, Name: controllerName}, l))
	place := "Lease " + controller.Namespace + "/" + controllerName
	logs := fmt.Sprintf("kubectl -n %s logs deployment/%s", controller.Namespace, controller.Name)
	switch {
	case missing:
		e.found(place, logs, "no pod of the controller has ever led: nothing acts")
	case !ok:
	case l.Spec.HolderIdentity == nil || *l.Spec.HolderIdentity == "":
		e.found(place, logs, "no pod of the controller leads: nothing acts")
	case l.Spec.RenewTime != nil && l.Spec.LeaseDurationSeconds != nil:
		if old := e.clock.there().Sub(l.Spec.RenewTime.Time); old > time.Duration(*l.Spec.LeaseDurationSeconds)*time.Second+tolerableSkew {
			e.found(place, logs, "the leader %s has not renewed its lease for %s (it lasts %d s): nothing acts", *l.Spec.HolderIdentity, view.Short(old), *l.Spec.LeaseDurationSeconds)
		}
	}
	if err == nil {
		e.sameVersion(controller, l)
	}
	return err
}

// compare finds what an object lacks of its manifest. Without an identity any may be exempt.
func (e *examination) compare(ctx context.Context, manifest *unstructured.Unstructured, identity string) error {
	have := &unstructured.Unstructured{}
	have.SetGroupVersionKind(manifest.GroupVersionKind())
	ok, missing, err := e.reading(manifest.GetKind()+"s", e.Get(ctx, client.ObjectKeyFromObject(manifest), have))
	place := placeOf(manifest)
	if identity == "" {
		identity = identityIn(have)
	}
	switch {
	case missing:
		e.found(place, applyRelease, "it is missing: %s", without(manifest.GetKind()))
	case !ok:
	case have.GetDeletionTimestamp() != nil:
		e.found(place, applyRelease, "it is being deleted, and then missing: %s", without(manifest.GetKind()))
	case differs(renamed(manifest, identity), have) == "":
		e.established(place, have)
	case identity != config.Identity && differs(manifest, have) == "":
		e.found(place, applyRelease, "it exempts %s, and the controller is %s: the controller's own writes are refused", config.Identity, identity)
	default:
		e.found(place, applyRelease, "it differs from that of version %s at %s: %s", version, differs(renamed(manifest, identity), have), without(manifest.GetKind()))
	}
	return err
}

// established looks whether the API server serves a definition.
func (e *examination) established(place string, object *unstructured.Unstructured) {
	if object.GetKind() != "CustomResourceDefinition" {
		return
	}
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, raw := range conditions {
		c, _ := raw.(map[string]any)
		if c["type"] == "Established" && c["status"] != "True" || c["type"] == "NamesAccepted" && c["status"] != "True" {
			e.found(place, "kubectl describe crd "+object.GetName(), "the API server does not serve it: %v", c["message"])
		}
	}
}

// without is what does not work without an object of a kind, or with another version of it.
func without(kind string) string {
	switch kind {
	case "CustomResourceDefinition":
		return "fields of this version are refused, or lost without a word"
	case "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding":
		return "the controller or people lack rights that this version needs"
	default:
		return "a pushed version may roll out unjudged, or records may be forged"
	}
}

// sources looks whether the MetricSources answer.
func (e *examination) sources(ctx context.Context) error {
	all := &v1alpha1.MetricSourceList{}
	ok, _, err := e.reading("MetricSources", e.List(ctx, all))
	if !ok {
		return err
	}
	for i := range all.Items {
		source := &all.Items[i]
		place, do := "MetricSource "+source.Name, "kubectl describe metricsources.belay.dev "+source.Name+"; docs/runbook.md#a-metrics-source-is-out"
		reachable := meta.FindStatusCondition(source.Status.Conditions, v1alpha1.ConditionReachable)
		switch {
		case reachable == nil:
			e.found(place, do, "the controller has not asked it yet")
		case reachable.Status != metav1.ConditionTrue:
			e.found(place, do, "not Reachable (%s): %s", reachable.Reason, reachable.Message)
		}
		if outage := meta.FindStatusCondition(source.Status.Conditions, v1alpha1.ConditionOutage); outage != nil && outage.Status == metav1.ConditionTrue {
			e.found(place, do, "Outage (%s): %s", outage.Reason, outage.Message)
		}
	}
	if len(all.Items) == 0 {
		e.note("There is no MetricSource: guardrails with slos need one (docs/reference/metricsource.md).")
	}
	return nil
}

// routesServed looks whether the API server serves the kinds of routes that Rollouts name.
func (e *examination) routesServed(ctx context.Context) error {
	e.gatewayVersion(ctx)
	all := &v1alpha1.RolloutList{}
	ok, _, err := e.reading("Rollouts of all namespaces", e.List(ctx, all))
	if !ok {
		return err
	}
	wanted := map[string]string{}
	for i := range all.Items {
		r := &all.Items[i]
		if r.Spec.Traffic == nil {
			continue
		}
		for _, route := range r.Spec.Traffic.Routes {
			wanted[routeResource(route.Kind)] = r.Namespace + "/" + r.Name
		}
	}
	for _, resource := range []string{"httproutes", "grpcroutes"} {
		if wanted[resource] == "" {
			continue
		}
		served, err := e.serves(gatewayGroup+"/v1", resource)
		if err != nil {
			return err
		}
		if !served {
			e.found("Gateway API", "install its CustomResourceDefinitions, 1.1 or newer: https://gateway-api.sigs.k8s.io", "the API server does not serve %s of %s/v1, which Rollout %s names", resource, gatewayGroup, wanted[resource])
		}
	}
	return nil
}

const gatewayGroup = "gateway.networking.k8s.io"

func routeResource(kind string) string {
	if kind == v1alpha1.KindGRPCRoute {
		return "grpcroutes"
	}
	return "httproutes"
}

// gatewayVersion notes which Gateway API is installed, and reports whether one is.
func (e *examination) gatewayVersion(ctx context.Context) bool {
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	if err := e.Get(ctx, client.ObjectKey{Name: "httproutes." + gatewayGroup}, crd); err != nil {
		return false
	}
	annotations := crd.GetAnnotations()
	e.note("Gateway API %s (%s).", orDash(annotations[gatewayGroup+"/bundle-version"]), orDash(annotations[gatewayGroup+"/channel"]))
	return true
}
