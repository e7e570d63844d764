package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
	"belay.dev/belay/controllers/workload"
)

// rolloutNamed looks at one Rollout and all that it refers to.
func (e *examination) rolloutNamed(ctx context.Context, name string) error {
	r, err := e.rollout(ctx, name)
	if err != nil {
		return err
	}
	e.conditions(r)
	object, err := e.workloadOf(ctx, r)
	if err != nil {
		return err
	}
	for _, look := range []func() error{
		func() error { return e.trafficOf(ctx, r, object) },
		func() error { return e.guardrailsOf(ctx, r) },
		func() error { return e.autoscaler(ctx, r) },
		func() error { return e.runsOf(ctx, r) },
		func() error { return e.rights(ctx, r) },
	} {
		if err := look(); err != nil {
			return err
		}
	}
	return nil
}

// waits are the reasons for which a Rollout does not go on, beside those of Stalled.
var waits = []string{v1alpha1.ReasonHolding, v1alpha1.ReasonAwaitingApproval, v1alpha1.ReasonPaused, v1alpha1.ReasonFrozen, v1alpha1.ReasonPreflight, v1alpha1.ReasonScaledToZero, v1alpha1.ReasonGuardrailUnchecked,
	v1alpha1.ReasonGuardUnproven, v1alpha1.ReasonWorkloadNotReady}

// conditions finds those that are not as they should be, with their reasons.
func (e *examination) conditions(r *v1alpha1.Rollout) {
	place := "Rollout " + r.Name
	runbook := func(reason string) string {
		return fmt.Sprintf("kubectl belay status %s -n %s; docs/runbook.md#by-reason, %s", r.Name, r.Namespace, reason)
	}
	if r.Status.ObservedGeneration != r.Generation {
		e.found(place, "kubectl belay doctor", "the controller has not looked at its present spec (generation %d, observed %d): it is down, or the Rollout is seconds old", r.Generation, r.Status.ObservedGeneration)
	}
	if r.Spec.Paused {
		e.found(place, fmt.Sprintf("kubectl -n %s patch rollouts.belay.dev %s --type=merge -p '{\"spec\":{\"paused\":false}}'", r.Namespace, r.Name), "spec.paused is true: its run does not advance, and triggers still roll back")
	}
	for _, wanted := range []struct {
		name   string
		status metav1.ConditionStatus
	}{
		{v1alpha1.ConditionStalled, metav1.ConditionFalse}, {v1alpha1.ConditionGuarded, metav1.ConditionTrue},
		{v1alpha1.ConditionTrafficConflict, metav1.ConditionFalse}, {v1alpha1.ConditionInvariantViolated, metav1.ConditionFalse},
	} {
		c := meta.FindStatusCondition(r.Status.Conditions, wanted.name)
		if c == nil || c.Status == wanted.status || wanted.status == metav1.ConditionFalse && c.Status == metav1.ConditionUnknown {
			continue
		}
		e.found(place, runbook(c.Reason), "%s is %s (%s): %s", c.Type, c.Status, c.Reason, c.Message)
	}
	if c := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionReconciling); c != nil && c.Status == metav1.ConditionTrue && slices.Contains(waits, c.Reason) && !r.Spec.Paused {
		e.found(place, runbook(c.Reason), "it waits (%s): %s", c.Reason, c.Message)
	}
}

// workloadOf looks at the Deployment or StatefulSet; nil when it cannot be read.
func (e *examination) workloadOf(ctx context.Context, r *v1alpha1.Rollout) (*unstructured.Unstructured, error) {
	d, err := e.workload(ctx, r)
	ok, missing, err := e.reading(view.KindOf(r)+"s", err)
	place := view.KindOf(r) + " " + r.Spec.WorkloadRef.Name
	switch ref := r.Spec.WorkloadRef; {
	case missing && !ref.Ordered() && e.exists(ctx, v1alpha1.WorkloadRef{Kind: v1alpha1.KindStatefulSet, Name: ref.Name}):
		e.found(place, fmt.Sprintf("kubectl -n %s delete rollouts.belay.dev %s, and apply it with spec.workloadRef.kind: StatefulSet", r.Namespace, r.Name), "it does not exist, but a StatefulSet of its name does")
	case missing:
		e.found(place, fmt.Sprintf("create it, or: kubectl -n %s delete rollouts.belay.dev %s", r.Namespace, r.Name), "it does not exist")
	}
	if !ok {
		return nil, err
	}
	marks := v1alpha1.MarksOf(d.GetLabels())
	switch {
	case marks.Rollout == "":
		e.found(place, "kubectl belay doctor, if it stays", "it has no label %s: it is not guarded, and a pushed version rolls out unjudged", v1alpha1.LabelRollout)
	case marks.Rollout != r.Name:
		e.found(place, fmt.Sprintf("kubectl -n %s get rollouts.belay.dev, and delete one of the two", r.Namespace), "Rollout %s guards it, not this one", marks.Rollout)
	}
	lever := []string{"spec", "paused"}
	if r.Spec.WorkloadRef.Ordered() {
		lever = []string{"spec", "updateStrategy", "rollingUpdate", "partition"}
		e.strategyOfStatefulSet(place, r, d, marks.Rollout != "")
	} else {
		e.strategyOfDeployment(place, r, d, marks.Rollout != "")
	}
	for _, f := range d.GetManagedFields() {
		if field := strings.Join(lever, "."); f.Operation == metav1.ManagedFieldsOperationApply && owns(f, lever...) && !strings.HasPrefix(f.Manager, v1alpha1.FieldManager) {
			e.found(place, "remove "+field+" from what "+view.Text(f.Manager, 100)+" applies: docs/gitops.md", "%s declares %s, which the guard and Belay write", f.Manager, field)
		}
	}
	return d, nil
}

func (e *examination) strategyOfDeployment(place string, r *v1alpha1.Rollout, d *unstructured.Unstructured, guarded bool) {
	if !guarded && workload.Paused(d) {
		e.found(place, fmt.Sprintf("kubectl -n %s rollout resume deployment/%s", r.Namespace, d.GetName()), "spec.paused is true, and Belay did not set it")
	}
	if strategy, _, _ := unstructured.NestedString(d.Object, "spec", "strategy", "type"); strategy == "Recreate" {
		e.found(place, "set spec.strategy.type to RollingUpdate", "its strategy is Recreate: a bypass, or promotion.mode Native, takes all pods down before new ones start")
	}
}

// strategyOfStatefulSet looks for what keeps a StatefulSet from being adopted, or a run from
// starting.
func (e *examination) strategyOfStatefulSet(place string, r *v1alpha1.Rollout, d *unstructured.Unstructured, guarded bool) {
	if p := workload.Partition(d); !guarded && p != 0 {
		e.found(place, fmt.Sprintf(`kubectl -n %s patch statefulset/%s --type=merge -p '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}'`, r.Namespace, d.GetName()),
			"its partition is %d, and Belay did not set it", p)
	}
	if strategy, _, _ := unstructured.NestedString(d.Object, "spec", "updateStrategy", "type"); strategy == string(appsv1.OnDeleteStatefulSetStrategyType) {
		e.found(place, "set spec.updateStrategy.type to RollingUpdate", "its update strategy is OnDelete, which holds nothing: a pod that is lost comes back in the new version")
	}
	if workload.Replicas(d) == 1 {
		e.found(place, fmt.Sprintf("kubectl -n %s scale statefulset/%s --replicas=2", r.Namespace, d.GetName()), "it has 1 replica: no run starts, because its one pod would take all requests at once")
	}
}

// owns reports whether a manager's fields have a path.
func owns(f metav1.ManagedFieldsEntry, path ...string) bool {
	if f.FieldsV1 == nil {
		return false
	}
	fields := map[string]any{}
	if err := json.Unmarshal(f.FieldsV1.GetRawBytes(), &fields); err != nil {
		return false
	}
	for i, key := range path {
		next, ok := fields["f:"+key].(map[string]any)
		if !ok {
			return false
		}
		if i == len(path)-1 {
			return true
		}
		fields = next
	}
	return false
}

// trafficOf looks at the Service and the routes.
func (e *examination) trafficOf(ctx context.Context, r *v1alpha1.Rollout, object *unstructured.Unstructured) error {
	t := r.Spec.Traffic
	if t == nil {
		return nil
	}
	service := &corev1.Service{}
	ok, missing, err := e.reading("Services", e.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: t.Service}, service))
	place := "Service " + t.Service
	switch {
	case missing:
		e.found(place, "create it, or change spec.traffic.service of the Rollout", "it does not exist")
	case !ok:
	case service.Spec.ClusterIP == corev1.ClusterIPNone:
		e.found(place, "use a Service with a cluster IP", "it is headless: routes cannot split its traffic")
	case len(service.Spec.Selector) == 0:
		e.found(place, "give it a selector", "it has no selector: Belay cannot tell whose pods it reaches")
	case object != nil:
		selector := labels.Set(service.Spec.Selector)
		delete(selector, appsv1.DefaultDeploymentUniqueLabelKey)
		if !labels.SelectorFromSet(selector).Matches(labels.Set(templateLabels(object))) {
			e.found(place, "make its selector match the labels of the pod template", "its selector %s does not match the pods of %s", selector, withKind(object))
		}
	}
	if err != nil {
		return err
	}
	for _, route := range t.Routes {
		if err := e.routeOf(ctx, r, route); err != nil {
			return err
		}
	}
	return nil
}

func templateLabels(object *unstructured.Unstructured) map[string]string {
	out, _, _ := unstructured.NestedStringMap(object.Object, "spec", "template", "metadata", "labels")
	return out
}

// routeOf looks at one route: what it names, whether its gateway takes it, and who else
// declares its rules.
func (e *examination) routeOf(ctx context.Context, r *v1alpha1.Rollout, ref v1alpha1.RouteRef) error {
	route := &unstructured.Unstructured{}
	route.SetGroupVersionKind(schema.GroupVersionKind{Group: gatewayGroup, Version: "v1", Kind: ref.Kind})
	ok, missing, err := e.reading(ref.Kind+"s", e.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: ref.Name}, route))
	place := ref.Kind + " " + ref.Name
	if missing {
		e.found(place, "create it, or take it out of spec.traffic.routes of the Rollout", "it does not exist, or the API server does not serve its kind")
	}
	if !ok {
		return err
	}
	names := backends(route)
	service := r.Spec.Traffic.Service
	stable, _ := v1alpha1.PairNames(r.Name)
	if !slices.Contains(names, service) && !slices.Contains(names, stable) {
		e.found(place, "name the Service in a backendRef", "no backendRef of it names Service %s", service)
	}
	parents, _, _ := unstructured.NestedSlice(route.Object, "status", "parents")
	if len(parents) == 0 {
		e.found(place, "look at its parentRefs, and whether the gateway's controller runs, or the mesh of a Service as its parent", "nobody has accepted it: its status has no parent")
	}
	for _, raw := range parents {
		parent, _ := raw.(map[string]any)
		conditions, _, _ := unstructured.NestedSlice(parent, "conditions")
		for _, raw := range conditions {
			c, _ := raw.(map[string]any)
			if (c["type"] == "Accepted" || c["type"] == "ResolvedRefs") && c["status"] != "True" {
				e.found(place, fmt.Sprintf("kubectl -n %s describe %s %s", r.Namespace, strings.ToLower(ref.Kind), ref.Name), "its gateway says %v %v (%v): %v", c["type"], c["status"], c["reason"], c["message"])
			}
		}
	}
	for _, f := range route.GetManagedFields() {
		if owns(f, "spec", "rules") && f.Operation == metav1.ManagedFieldsOperationApply && !strings.HasPrefix(f.Manager, v1alpha1.FieldManager) {
			e.note("%s: %s declares its rules, whose weights Belay writes during a run: let it ignore spec.rules (docs/gitops.md).", place, f.Manager)
		}
	}
	return nil
}

// backends are the names of the Services in a route's backendRefs.
func backends(route *unstructured.Unstructured) []string {
	var out []string
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	for _, raw := range rules {
		rule, _ := raw.(map[string]any)
		refs, _, _ := unstructured.NestedSlice(rule, "backendRefs")
		for _, raw := range refs {
			ref, _ := raw.(map[string]any)
			if name, ok := ref["name"].(string); ok {
				out = append(out, name)
			}
		}
	}
	return out
}

// guardrailsOf looks at the guardrails that the Rollout names, and their sources.
func (e *examination) guardrailsOf(ctx context.Context, r *v1alpha1.Rollout) error {
	if len(r.Spec.Guardrails) == 0 {
		e.note("The Rollout names no guardrail: unless a ClusterGuardrail applies to it, only the health of its pods is judged.")
	}
	for _, ref := range r.Spec.Guardrails {
		g := &v1alpha1.Guardrail{}
		ok, missing, err := e.reading("Guardrails", e.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: ref.Name}, g))
		place := "Guardrail " + ref.Name
		if missing {
			e.found(place, "create it, or take its name out of spec.guardrails of the Rollout", "it does not exist: no run starts")
		}
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		for _, name := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionExclusionReachable} {
			if c := meta.FindStatusCondition(g.Status.Conditions, name); c != nil && c.Status != metav1.ConditionTrue {
				e.found(place, fmt.Sprintf("kubectl -n %s describe guardrails.belay.dev %s; docs/reference/guardrail.md#status", r.Namespace, ref.Name), "%s is %s (%s): %s", c.Type, c.Status, c.Reason, c.Message)
			}
		}
		if err := e.sourceOf(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// sourceOf looks whether a guardrail's source exists. It is in no namespace, so no role of one
// reads it: where the guardrail's own status tells, that is enough.
func (e *examination) sourceOf(ctx context.Context, g *v1alpha1.Guardrail) error {
	if g.Spec.Source == "" || len(g.Spec.SLOs)+len(g.Spec.Invariants) == 0 {
		return nil
	}
	place := "Guardrail " + g.Name
	refusal := e.Get(ctx, client.ObjectKey{Name: g.Spec.Source}, &v1alpha1.MetricSource{})
	if apierrors.IsForbidden(refusal) && toldBySource(g) {
		e.unread("MetricSources", fmt.Sprintf(" The status of %s tells what Belay got from MetricSource %s.", place, g.Spec.Source), refusal)
		return nil
	}
	_, missing, err := e.reading("MetricSources", refusal)
	if missing {
		e.found(place, "create MetricSource "+g.Spec.Source+", or name another in spec.source", "its source, MetricSource %s, does not exist", g.Spec.Source)
	}
	return err
}

// toldBySource is whether the status of a guardrail is of its present spec, and says what its source
// answered, or that it needs none.
func toldBySource(g *v1alpha1.Guardrail) bool {
	c := meta.FindStatusCondition(g.Status.Conditions, v1alpha1.ConditionReady)
	return c != nil && c.ObservedGeneration == g.Generation && c.Reason != v1alpha1.ReasonNoRollouts
}

// autoscaler looks at the one that scales the workload.
func (e *examination) autoscaler(ctx context.Context, r *v1alpha1.Rollout) error {
	all := &autoscalingv2.HorizontalPodAutoscalerList{}
	ok, _, err := e.reading("HorizontalPodAutoscalers", e.List(ctx, all, client.InNamespace(r.Namespace)))
	if !ok {
		return err
	}
	for i := range all.Items {
		h := &all.Items[i]
		if h.Spec.ScaleTargetRef.Kind != view.KindOf(r) || h.Spec.ScaleTargetRef.Name != r.Spec.WorkloadRef.Name {
			continue
		}
		for _, c := range h.Status.Conditions {
			if (c.Type == autoscalingv2.ScalingActive || c.Type == autoscalingv2.AbleToScale) && c.Status == corev1.ConditionFalse && c.Reason != "ScalingDisabled" {
				e.found("HorizontalPodAutoscaler "+h.Name, fmt.Sprintf("kubectl -n %s describe hpa %s", r.Namespace, h.Name), "%s is False (%s): %s", c.Type, c.Reason, c.Message)
			}
		}
	}
	return nil
}

// runsOf looks for runs that nothing continues.
func (e *examination) runsOf(ctx context.Context, r *v1alpha1.Rollout) error {
	runs, err := e.runs(ctx, r.Name)
	ok, _, err := e.reading("RolloutRuns", err)
	if !ok {
		return err
	}
	for i := range runs {
		run := &runs[i]
		switch {
		case run.Spec.Rollout.UID != r.UID:
			e.note("RolloutRun %s is of a former Rollout %s, and stays as a record.", run.Name, r.Name)
		case run.Status.Outcome == "" && run.Name != r.Status.Run:
			e.found("RolloutRun "+run.Name, "kubectl belay doctor: the controller ends it, if it works", "it has not ended, and the Rollout's run is %s", orDash(r.Status.Run))
		}
	}
	return nil
}

// rights notes which commands the person may give, and who may give the others.
func (e *examination) rights(ctx context.Context, r *v1alpha1.Rollout) error {
	allowed, err := e.allowed(ctx, r)
	if apierrors.IsForbidden(err) {
		e.note("Which commands you may give is not known: you may not ask for your rights.")
		return nil
	}
	if unknown := unknownRight(""); errors.As(err, &unknown) {
		e.note("Which commands you may give is not known: %s.", view.Text(string(unknown), 256))
		return nil
	}
	if err != nil {
		return err
	}
	var may, mayNot []string
	var barred []view.Barred
	for _, c := range needsOf(r) {
		var missing []string
		for _, one := range c.lacks(r, allowed) {
			missing = append(missing, one.verb+" "+one.resource)
		}
		if len(missing) == 0 {
			may = append(may, c.command)
			continue
		}
		mayNot = append(mayNot, fmt.Sprintf("%s (lacks %s)", c.command, strings.Join(missing, ", ")))
		barred = append(barred, c.barred(r))
	}
	e.note("You may give: %s.", orDash(strings.Join(may, ", ")))
	if len(mayNot) > 0 {
		e.note("You may not give: %s. Roles: docs/security.md.", strings.Join(mayNot, ", "))
	}
	for _, one := range whoMayGive(barred) {
		e.note("For %s ask %s.", oneOf(one.commands), one.who)
	}
	return nil
}
