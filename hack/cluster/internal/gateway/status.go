package gateway

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// reportRoutes writes each route's verdicts. The route objects are the very
// ones that were translated, so the generation reported is the one in force;
// a route that changed since refuses the write by its resourceVersion.
func (c *Controller) reportRoutes(ctx context.Context, w World, t Translation) error {
	verdicts := map[string][]parentVerdict{}
	for _, told := range t.told {
		verdicts[string(told.kind)+"/"+told.name] = told.parents
	}
	var failed error
	for _, r := range w.HTTPRoutes {
		parents := mergeParents(r.Status.Parents, verdicts["HTTPRoute/"+r.Namespace+"/"+r.Name], r.Generation)
		if equality.Semantic.DeepEqual(parents, r.Status.Parents) {
			continue
		}
		next := r.DeepCopy()
		next.Status.Parents = parents
		if _, err := c.client.GatewayV1().HTTPRoutes(r.Namespace).UpdateStatus(ctx, next, metav1.UpdateOptions{}); err != nil {
			failed = errors.Join(failed, fmt.Errorf("report on HTTPRoute %s/%s: %w", r.Namespace, r.Name, err))
		}
	}
	for _, r := range w.GRPCRoutes {
		parents := mergeParents(r.Status.Parents, verdicts["GRPCRoute/"+r.Namespace+"/"+r.Name], r.Generation)
		if equality.Semantic.DeepEqual(parents, r.Status.Parents) {
			continue
		}
		next := r.DeepCopy()
		next.Status.Parents = parents
		if _, err := c.client.GatewayV1().GRPCRoutes(r.Namespace).UpdateStatus(ctx, next, metav1.UpdateOptions{}); err != nil {
			failed = errors.Join(failed, fmt.Errorf("report on GRPCRoute %s/%s: %w", r.Namespace, r.Name, err))
		}
	}
	return failed
}

// mergeParents keeps other controllers' entries and replaces ours, also those
// of parentRefs that are gone.
func mergeParents(old []gatewayv1.RouteParentStatus, verdicts []parentVerdict, generation int64) []gatewayv1.RouteParentStatus {
	out := []gatewayv1.RouteParentStatus{}
	for _, parent := range old {
		if parent.ControllerName != ControllerName {
			out = append(out, parent)
		}
	}
	for _, v := range verdicts {
		next := gatewayv1.RouteParentStatus{ParentRef: v.ref, ControllerName: ControllerName}
		for _, parent := range old {
			if parent.ControllerName == ControllerName && equality.Semantic.DeepEqual(parent.ParentRef, v.ref) {
				next.Conditions = append([]metav1.Condition{}, parent.Conditions...)
			}
		}
		for _, verdict := range v.verdicts {
			meta.SetStatusCondition(&next.Conditions, verdict.condition(generation))
		}
		out = append(out, next)
	}
	return out
}

func (c *Controller) reportGateways(ctx context.Context, w World, t Translation) error {
	var failed error
	for _, class := range w.Classes {
		if class.Spec.ControllerName != ControllerName {
			continue
		}
		next := class.DeepCopy()
		v := verdict{kind: accepted, reason: string(gatewayv1.GatewayClassReasonAccepted), message: "Served by the local cluster.", ok: true}
		if !meta.SetStatusCondition(&next.Status.Conditions, v.condition(class.Generation)) {
			continue
		}
		if _, err := c.client.GatewayV1().GatewayClasses().UpdateStatus(ctx, next, metav1.UpdateOptions{}); err != nil {
			failed = errors.Join(failed, fmt.Errorf("report on GatewayClass %s: %w", class.Name, err))
		}
	}
	for _, g := range w.ours() {
		next := g.DeepCopy()
		c.gatewayStatus(next, w, t)
		if equality.Semantic.DeepEqual(next.Status, g.Status) {
			continue
		}
		if _, err := c.client.GatewayV1().Gateways(g.Namespace).UpdateStatus(ctx, next, metav1.UpdateOptions{}); err != nil {
			failed = errors.Join(failed, fmt.Errorf("report on Gateway %s/%s: %w", g.Namespace, g.Name, err))
		}
	}
	return failed
}

func (c *Controller) gatewayStatus(g *gatewayv1.Gateway, w World, t Translation) {
	ip := gatewayv1.IPAddressType
	g.Status.Addresses = []gatewayv1.GatewayStatusAddress{{Type: &ip, Value: c.address}}
	var listeners []gatewayv1.ListenerStatus
	served := false
	for _, l := range g.Spec.Listeners {
		group := gatewayv1.Group(gatewayv1.GroupName)
		status := gatewayv1.ListenerStatus{
			Name: l.Name, AttachedRoutes: t.attachedTo(g.Namespace+"/"+g.Name, l.Name),
			SupportedKinds: []gatewayv1.RouteGroupKind{{Group: &group, Kind: "HTTPRoute"}, {Group: &group, Kind: "GRPCRoute"}},
		}
		for _, old := range g.Status.Listeners {
			if old.Name == l.Name {
				status.Conditions = old.Conditions
			}
		}
		verdicts := []verdict{
			{kind: accepted, reason: "Accepted", message: "Listening.", ok: true},
			{kind: "Programmed", reason: "Programmed", message: "Listening.", ok: true},
			{kind: resolvedRefs, reason: "ResolvedRefs", message: "Nothing to resolve.", ok: true},
		}
		if problem := w.listenerProblem(l); problem != nil {
			verdicts[0] = *problem
			verdicts[1] = verdict{kind: "Programmed", reason: "Invalid", message: problem.message}
		} else {
			served = true
		}
		for _, v := range verdicts {
			meta.SetStatusCondition(&status.Conditions, v.condition(g.Generation))
		}
		listeners = append(listeners, status)
	}
	g.Status.Listeners = listeners
	verdicts := []verdict{
		{kind: accepted, reason: "Accepted", message: "Served by the local cluster.", ok: true},
		{kind: "Programmed", reason: "Programmed", message: "The configuration is loaded.", ok: true},
	}
	if !served {
		verdicts[0] = verdict{kind: accepted, reason: "ListenersNotValid", message: "No listener can be served."}
		verdicts[1] = verdict{kind: "Programmed", reason: "Invalid", message: "No listener can be served."}
	}
	for _, v := range verdicts {
		meta.SetStatusCondition(&g.Status.Conditions, v.condition(g.Generation))
	}
}

func (t Translation) attachedTo(gateway string, listener gatewayv1.SectionName) int32 {
	var count int32
	for _, told := range t.told {
		for _, parent := range told.parents {
			for _, name := range parent.listener {
				if parent.gateway == gateway && name == listener {
					count++
				}
			}
		}
	}
	return count
}
