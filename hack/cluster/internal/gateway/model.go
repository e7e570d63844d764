// Package gateway is the local cluster's Gateway: it turns Gateway API objects
// and EndpointSlices into Caddy routes and reports honestly what is in force.
// It is a fixture: one HTTP listener, no TLS, and only the parts of the API
// listed in hack/cluster/README.md; what it cannot do it refuses in the
// route's status.
package gateway

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// ControllerName is what a GatewayClass names to be served here.
const ControllerName gatewayv1.GatewayController = "belay.dev/local-gateway"

// World is everything a translation looks at.
type World struct {
	Classes    []*gatewayv1.GatewayClass
	Gateways   []*gatewayv1.Gateway
	HTTPRoutes []*gatewayv1.HTTPRoute
	GRPCRoutes []*gatewayv1.GRPCRoute
	Services   map[string]*corev1.Service // by namespace/name
	Slices     []*discoveryv1.EndpointSlice
	Grants     []Grant
	Port       int32 // the one port that is really listened on
}

// Grant says that routes of one namespace may use Services of another.
type Grant struct {
	From, To, ToName string
	Kind             string
}

// verdict is a condition without its bookkeeping.
type verdict struct {
	kind, reason, message string
	ok                    bool
}

func (v verdict) condition(generation int64) metav1.Condition {
	status := metav1.ConditionFalse
	if v.ok {
		status = metav1.ConditionTrue
	}
	return metav1.Condition{Type: v.kind, Status: status, Reason: v.reason, Message: v.message, ObservedGeneration: generation}
}

// parentVerdict is what one parentRef of a route gets told.
type parentVerdict struct {
	ref      gatewayv1.ParentReference
	verdicts []verdict
	gateway  string // namespace/name, when attached
	listener []gatewayv1.SectionName
}

// route is the part HTTPRoute and GRPCRoute share.
type route struct {
	kind      gatewayv1.Kind
	meta      metav1.ObjectMeta
	parents   []gatewayv1.ParentReference
	hostnames []gatewayv1.Hostname
	rules     []rule
}

// rule is one rule with its matches already in Caddy's language.
type rule struct {
	matches  []match
	filters  []filter
	mirrors  []mirror
	backends []backend
	refused  string // why it cannot be served here
	grpc     bool
}

type match struct {
	caddy map[string]any
	rank  rank
}

// filter changes headers; the only filters that are served.
type filter struct {
	response bool
	modifier *gatewayv1.HTTPHeaderFilter
}

type backend struct {
	ref     gatewayv1.BackendRef
	filters []filter
}
