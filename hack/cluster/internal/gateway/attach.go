package gateway

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const (
	accepted     = string(gatewayv1.RouteConditionAccepted)
	resolvedRefs = string(gatewayv1.RouteConditionResolvedRefs)
)

// ours lists the Gateways whose class names this controller.
func (w World) ours() []*gatewayv1.Gateway {
	var out []*gatewayv1.Gateway
	for _, g := range w.Gateways {
		for _, c := range w.Classes {
			if c.Spec.ControllerName == ControllerName && string(g.Spec.GatewayClassName) == c.Name {
				out = append(out, g)
			}
		}
	}
	return out
}

// attach judges every parentRef that names one of our Gateways; others are
// other controllers' business.
func (w World) attach(r route) []parentVerdict {
	var out []parentVerdict
	for _, ref := range r.parents {
		if ref.Kind != nil && *ref.Kind != "Gateway" || ref.Group != nil && *ref.Group != gatewayv1.GroupName {
			continue
		}
		namespace := r.meta.Namespace
		if ref.Namespace != nil {
			namespace = string(*ref.Namespace)
		}
		for _, g := range w.ours() {
			if g.Namespace == namespace && g.Name == string(ref.Name) {
				out = append(out, w.attachTo(g, ref, r))
			}
		}
	}
	return out
}

func (w World) attachTo(g *gatewayv1.Gateway, ref gatewayv1.ParentReference, r route) parentVerdict {
	out := parentVerdict{ref: ref}
	refuse := func(reason gatewayv1.RouteConditionReason, message string) parentVerdict {
		out.verdicts = []verdict{{kind: accepted, reason: string(reason), message: message}}
		return out
	}
	for _, rule := range r.rules {
		if rule.refused != "" {
			return refuse(gatewayv1.RouteReasonUnsupportedValue, rule.refused)
		}
	}
	named, allowed := false, false
	for _, l := range g.Spec.Listeners {
		if ref.SectionName != nil && *ref.SectionName != l.Name || ref.Port != nil && *ref.Port != l.Port || w.listenerProblem(l) != nil {
			continue
		}
		named = true
		if !allows(l, g.Namespace, r) {
			continue
		}
		allowed = true
		out.listener = append(out.listener, l.Name)
	}
	switch {
	case !named:
		return refuse(gatewayv1.RouteReasonNoMatchingParent, fmt.Sprintf("no served listener of Gateway %s/%s matches the parentRef", g.Namespace, g.Name))
	case !allowed:
		return refuse(gatewayv1.RouteReasonNotAllowedByListeners, fmt.Sprintf("no listener allows a %s from namespace %s", r.kind, r.meta.Namespace))
	}
	out.gateway = g.Namespace + "/" + g.Name
	out.verdicts = []verdict{{kind: accepted, reason: string(gatewayv1.RouteReasonAccepted), message: "The route is in force.", ok: true}}
	return out
}

func allows(l gatewayv1.Listener, gatewayNamespace string, r route) bool {
	from := gatewayv1.NamespacesFromSame
	if l.AllowedRoutes != nil && l.AllowedRoutes.Namespaces != nil && l.AllowedRoutes.Namespaces.From != nil {
		from = *l.AllowedRoutes.Namespaces.From
	}
	// Namespace selectors are not served: such a listener allows nothing.
	if from != gatewayv1.NamespacesFromAll && (from != gatewayv1.NamespacesFromSame || r.meta.Namespace != gatewayNamespace) {
		return false
	}
	if l.AllowedRoutes == nil || len(l.AllowedRoutes.Kinds) == 0 {
		return true
	}
	for _, kind := range l.AllowedRoutes.Kinds {
		if kind.Kind == r.kind {
			return true
		}
	}
	return false
}

// listenerProblem says why a listener is not served, nil if it is.
func (w World) listenerProblem(l gatewayv1.Listener) *verdict {
	switch {
	case l.Protocol != gatewayv1.HTTPProtocolType:
		return &verdict{kind: accepted, reason: string(gatewayv1.ListenerReasonUnsupportedProtocol), message: "only HTTP is served"}
	case l.Port != w.Port:
		return &verdict{kind: accepted, reason: string(gatewayv1.ListenerReasonPortUnavailable), message: fmt.Sprintf("only port %d is served", w.Port)}
	case l.Hostname != nil && *l.Hostname != "":
		return &verdict{kind: accepted, reason: string(gatewayv1.ListenerReasonUnsupportedProtocol), message: "hostnames are served on routes, not on listeners"}
	}
	return nil
}

// resolve reports the first reference that leads nowhere.
func (w World) resolve(r route) verdict {
	for _, rule := range r.rules {
		for _, m := range rule.mirrors {
			if _, _, problem := w.backendService(r, m.ref); problem != nil {
				return *problem
			}
		}
		for _, b := range rule.backends {
			if _, _, problem := w.backendService(r, b.ref); problem != nil {
				return *problem
			}
		}
	}
	return verdict{kind: resolvedRefs, reason: string(gatewayv1.RouteReasonResolvedRefs), message: "Every backend exists.", ok: true}
}

func (w World) backendService(r route, ref gatewayv1.BackendRef) (*corev1.Service, corev1.ServicePort, *verdict) {
	refuse := func(reason gatewayv1.RouteConditionReason, format string, args ...any) (*corev1.Service, corev1.ServicePort, *verdict) {
		return nil, corev1.ServicePort{}, &verdict{kind: resolvedRefs, reason: string(reason), message: fmt.Sprintf(format, args...)}
	}
	if ref.Kind != nil && *ref.Kind != "Service" || ref.Group != nil && *ref.Group != "" {
		return refuse(gatewayv1.RouteReasonInvalidKind, "backend %s is not a Service", ref.Name)
	}
	namespace := r.meta.Namespace
	if ref.Namespace != nil && string(*ref.Namespace) != namespace {
		namespace = string(*ref.Namespace)
		if !w.granted(r, namespace, string(ref.Name)) {
			return refuse(gatewayv1.RouteReasonRefNotPermitted, "no ReferenceGrant lets this route use Service %s/%s", namespace, ref.Name)
		}
	}
	service := w.Services[namespace+"/"+string(ref.Name)]
	if service == nil {
		return refuse(gatewayv1.RouteReasonBackendNotFound, "Service %s/%s does not exist", namespace, ref.Name)
	}
	for _, port := range service.Spec.Ports {
		if ref.Port != nil && port.Port == *ref.Port {
			return service, port, nil
		}
	}
	return refuse(gatewayv1.RouteReasonBackendNotFound, "Service %s/%s has no such port", namespace, ref.Name)
}

func (w World) granted(r route, namespace, name string) bool {
	for _, g := range w.Grants {
		if g.From == r.meta.Namespace && g.Kind == string(r.kind) && g.To == namespace && (g.ToName == "" || g.ToName == name) {
			return true
		}
	}
	return false
}
