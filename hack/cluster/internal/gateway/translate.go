package gateway

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// rank orders matches as Gateway API demands: the more specific wins, then the
// older route, then the earlier rule.
type rank struct {
	hostname   int
	exact      bool
	pathLength int
	method     bool
	headers    int
	query      int
}

type entry struct {
	rank  rank
	age   int64
	name  string
	index int
	caddy json.RawMessage
}

// told is the outcome for one route.
type told struct {
	kind    gatewayv1.Kind
	name    string // namespace/name
	parents []parentVerdict
}

// Translation is a configuration and what may be said once it is in force.
type Translation struct {
	Routes []json.RawMessage
	told   []told
}

// Translate is pure: the same world gives the same bytes.
func Translate(w World) (Translation, error) {
	var out Translation
	var entries []entry
	var routes []route
	for _, r := range w.HTTPRoutes {
		routes = append(routes, fromHTTP(r))
	}
	for _, r := range w.GRPCRoutes {
		routes = append(routes, fromGRPC(r))
	}
	for _, r := range routes {
		parents := w.attach(r)
		resolved := w.resolve(r)
		attached := false
		for i := range parents {
			parents[i].verdicts = append(parents[i].verdicts, resolved)
			attached = attached || parents[i].gateway != ""
		}
		if len(parents) > 0 {
			out.told = append(out.told, told{kind: r.kind, name: r.meta.Namespace + "/" + r.meta.Name, parents: parents})
		}
		if !attached {
			continue
		}
		made, err := w.entries(r)
		if err != nil {
			return out, err
		}
		entries = append(entries, made...)
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(b.rank.compare(a.rank), cmp.Compare(a.age, b.age), cmp.Compare(a.name, b.name), cmp.Compare(a.index, b.index))
	})
	for _, e := range entries {
		out.Routes = append(out.Routes, e.caddy)
	}
	// Without a match Caddy answers 200 and nothing; Gateway API wants 404.
	out.Routes = append(out.Routes, json.RawMessage(`{"handle":[{"handler":"static_response","status_code":404}]}`))
	return out, nil
}

func (r rank) compare(o rank) int {
	truth := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(r.hostname, o.hostname), cmp.Compare(truth(r.exact), truth(o.exact)), cmp.Compare(r.pathLength, o.pathLength),
		cmp.Compare(truth(r.method), truth(o.method)), cmp.Compare(r.headers, o.headers), cmp.Compare(r.query, o.query),
	)
}

func (w World) entries(r route) ([]entry, error) {
	hostnames := r.hostnames
	if len(hostnames) == 0 {
		hostnames = []gatewayv1.Hostname{""}
	}
	var out []entry
	for index, rule := range r.rules {
		key := fmt.Sprintf("%s/%s/%s/%d", r.kind, r.meta.Namespace, r.meta.Name, index)
		handlers := headerHandlers(rule.filters)
		handlers = append(handlers, w.mirrorHandlers(key, r, rule)...)
		handlers = append(handlers, w.split(key, r, rule))
		for _, m := range rule.matches {
			for _, hostname := range hostnames {
				set := map[string]any{}
				for name, value := range m.caddy {
					set[name] = value
				}
				rank := m.rank
				if hostname != "" {
					set["host"] = []string{string(hostname)}
					rank.hostname = len(hostname)
				}
				made := map[string]any{"handle": handlers, "terminal": true}
				if len(set) > 0 {
					made["match"] = []any{set}
				}
				raw, err := json.Marshal(made)
				if err != nil {
					return nil, fmt.Errorf("encode %s: %w", key, err)
				}
				out = append(out, entry{
					rank: rank, age: r.meta.CreationTimestamp.Unix(), index: index, caddy: raw,
					name: r.meta.Namespace + "/" + r.meta.Name,
				})
			}
		}
	}
	return out, nil
}

// split is the handler that shares a rule's requests between its backends.
func (w World) split(key string, r route, rule rule) map[string]any {
	choices := []any{}
	for i, b := range rule.backends {
		weight := int64(1)
		if b.ref.Weight != nil {
			weight = int64(*b.ref.Weight)
		}
		if weight == 0 {
			continue
		}
		choice := w.choice(fmt.Sprintf("%d:%s", i, b.ref.Name), r, b, rule.grpc)
		choice["weight"] = weight
		choices = append(choices, choice)
	}
	return map[string]any{"handler": "belay_split", "key": key, "choices": choices}
}

// choice is a destination of requests.
func (w World) choice(name string, r route, b backend, grpc bool) map[string]any {
	handlers := append(headerHandlers(b.filters), w.backendHandler(r, b, grpc))
	namespace := r.meta.Namespace
	if b.ref.Namespace != nil {
		namespace = string(*b.ref.Namespace)
	}
	return map[string]any{
		"namespace": namespace, "service": string(b.ref.Name), "name": name,
		// One handler per choice, so several are wrapped into one.
		"handle": map[string]any{"handler": "subroute", "routes": []any{map[string]any{"handle": handlers}}},
	}
}

func (w World) backendHandler(r route, b backend, grpc bool) map[string]any {
	service, port, problem := w.backendService(r, b.ref)
	if problem != nil {
		return failure(500, problem.message)
	}
	endpoints := w.endpoints(service, port)
	if len(endpoints) == 0 {
		return failure(503, fmt.Sprintf("Service %s/%s has no ready endpoint", service.Namespace, service.Name))
	}
	upstreams := make([]any, 0, len(endpoints))
	for _, endpoint := range endpoints {
		upstreams = append(upstreams, map[string]any{"dial": endpoint})
	}
	transport := map[string]any{"protocol": "http", "dial_timeout": "1s", "compression": false}
	if grpc {
		transport["versions"] = []string{"h2c"}
	}
	return map[string]any{
		"handler": "reverse_proxy", "upstreams": upstreams, "transport": transport, "flush_interval": -1,
		"load_balancing": map[string]any{
			"selection_policy": map[string]any{"policy": "round_robin"},
			// A connection that was never made carried no request, so trying the
			// next endpoint is safe for every method. Any later error is not
			// hidden: the matcher below matches nothing.
			"retries": 3, "try_interval": "20ms",
			"retry_match": []any{map[string]any{"method": []string{"NEVER"}}},
		},
	}
}

func failure(status int, why string) map[string]any {
	return map[string]any{"handler": "static_response", "status_code": status, "body": why + "\n"}
}

// endpoints are the ready addresses of a Service port, sorted.
func (w World) endpoints(service *corev1.Service, port corev1.ServicePort) []string {
	var out []string
	for _, slice := range w.Slices {
		if slice.Namespace != service.Namespace || slice.Labels["kubernetes.io/service-name"] != service.Name || slice.AddressType == "FQDN" {
			continue
		}
		for _, p := range slice.Ports {
			if p.Port == nil || (p.Name != nil && *p.Name != port.Name) || (p.Name == nil && port.Name != "") {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				if endpoint.Conditions.Ready != nil && !*endpoint.Conditions.Ready {
					continue
				}
				for _, address := range endpoint.Addresses {
					out = append(out, net.JoinHostPort(address, strconv.Itoa(int(*p.Port))))
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func headerHandlers(filters []filter) []any {
	out := []any{}
	for _, f := range filters {
		ops := map[string]any{}
		for name, headers := range map[string][]gatewayv1.HTTPHeader{"set": f.modifier.Set, "add": f.modifier.Add} {
			values := map[string][]string{}
			for _, h := range headers {
				values[string(h.Name)] = append(values[string(h.Name)], h.Value)
			}
			if len(values) > 0 {
				ops[name] = values
			}
		}
		if len(f.modifier.Remove) > 0 {
			ops["delete"] = f.modifier.Remove
		}
		if f.response {
			ops["deferred"] = true // after the backend has written its own
			out = append(out, map[string]any{"handler": "headers", "response": ops})
		} else {
			out = append(out, map[string]any{"handler": "headers", "request": ops})
		}
	}
	return out
}
