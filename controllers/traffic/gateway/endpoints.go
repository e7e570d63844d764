package gateway

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
)

// namedPort is a port number of the Service that a route names.
type namedPort struct {
	route  traffic.Route
	number int32
}

// portFaults are errors for the ports in routes that the user's Service does not have.
func portFaults(user *corev1.Service, ports []namedPort) []error {
	if user == nil {
		return nil
	}
	var out []error
	for i, port := range ports {
		if portOf(user, port.number) == nil && slices.Index(ports, port) == i {
			out = append(out, fmt.Errorf("%w: %s refers to port %d, which Service %q does not have: correct the backendRef, or add the port", traffic.ErrUnusable, port.route, port.number, user.Name))
		}
	}
	return out
}

// portOf is a Service's TCP port by its number. With HTTP/3 a UDP port may have the same
// number.
func portOf(service *corev1.Service, number int32) *corev1.ServicePort {
	for i := range service.Spec.Ports {
		if p := &service.Spec.Ports[i]; p.Port == number && (p.Protocol == corev1.ProtocolTCP || p.Protocol == "") {
			return p
		}
	}
	return nil
}

// backing is the pods behind one Service: those that are ready and have every port that
// the routes refer to, those that are ready and lack one, and all in its EndpointSlices.
type backing struct {
	usable, portless, known map[string]bool
	// lacking is a port that portless pods do not have.
	lacking *namedPort
}

func (r *Router) observeEndpoints(ctx context.Context, t traffic.Target, found services, ports []namedPort, o *traffic.Observation) error {
	var pair [2]backing
	for i, s := range sides(t) {
		if s.hash == "" {
			continue
		}
		var err error
		if pair[i], err = r.backingOf(ctx, t, found.pair[i], client.MatchingLabels{labelHash: s.hash}, ports); err != nil {
			return err
		}
		if o.NoPort == "" {
			o.NoPort = noPort(found, s, pair[i])
		}
	}
	behind, err := r.backingOf(ctx, t, found.user, nil, ports)
	if err != nil {
		return err
	}
	o.Stable, o.Canary, o.Service = count(pair[0].usable), count(pair[1].usable), count(behind.usable)
	for pod := range behind.usable {
		if pair[0].known[pod] {
			o.ServiceStable++
		}
		if pair[1].known[pod] {
			o.ServiceCanary++
		}
	}
	return nil
}

func count(pods map[string]bool) int32 { return int32(len(pods)) }

// backingOf reads the EndpointSlices of a Service that have these labels.
func (r *Router) backingOf(ctx context.Context, t traffic.Target, service *corev1.Service, having client.MatchingLabels, ports []namedPort) (backing, error) {
	b := backing{usable: map[string]bool{}, portless: map[string]bool{}, known: map[string]bool{}}
	if service == nil {
		return b, nil
	}
	list := &discoveryv1.EndpointSliceList{}
	err := r.client.List(ctx, list, client.InNamespace(t.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: service.Name}, having)
	if err != nil {
		return backing{}, fmt.Errorf("list the endpoints of Service %q: %w", service.Name, err)
	}
	for i := range list.Items {
		slice := &list.Items[i]
		lacking := lackingPort(service, slice.Ports, ports)
		for _, e := range slice.Endpoints {
			if e.TargetRef == nil {
				continue
			}
			b.known[e.TargetRef.Name] = true
			if e.Conditions.Ready != nil && !*e.Conditions.Ready {
				continue
			}
			if lacking == nil {
				b.usable[e.TargetRef.Name] = true
				continue
			}
			b.portless[e.TargetRef.Name], b.lacking = true, lacking
		}
	}
	// A pod with addresses of two families is in two slices.
	for pod := range b.usable {
		delete(b.portless, pod)
	}
	return b, nil
}

// lackingPort is the first port in routes that the Service has and a slice does not: its
// pods have no such port, and a gateway responds with 503 for them. A port that the
// Service itself does not have is reported elsewhere.
func lackingPort(service *corev1.Service, has []discoveryv1.EndpointPort, named []namedPort) *namedPort {
	for i := range named {
		port := portOf(service, named[i].number)
		if port != nil && !slices.ContainsFunc(has, func(p discoveryv1.EndpointPort) bool { return p.Port != nil && or(p.Name, "") == port.Name }) {
			return &named[i]
		}
	}
	return nil
}

// noPort is the message about a port that a side's pods do not have; empty when they have
// all.
func noPort(found services, s side, b backing) string {
	if len(b.portless) == 0 || found.user == nil {
		return ""
	}
	pods, verb := "pods", "are"
	if len(b.portless) == 1 {
		pods, verb = "pod", "is"
	}
	wanted := fmt.Sprintf("a port for port %d of Service %q", b.lacking.number, found.user.Name)
	if port := portOf(found.user, b.lacking.number); port != nil && port.TargetPort.Type == intstr.String {
		wanted = fmt.Sprintf("a port named %s, which port %d of Service %q needs", quoted(port.TargetPort.StrVal), port.Port, found.user.Name)
	}
	return fmt.Sprintf("%d %s of %s %s ready, but without %s: requests through %s would fail with %s; name the container's port so, or change the Service's targetPort",
		len(b.portless), pods, s.words, verb, wanted, b.lacking.route, refusalOf(b.lacking.route))
}

// refusalOf is the error that callers get from a gateway that has no pod for a request.
func refusalOf(route traffic.Route) string {
	if route.Kind == v1alpha1.KindGRPCRoute {
		return "the gRPC status UNAVAILABLE"
	}
	return "status 503"
}
