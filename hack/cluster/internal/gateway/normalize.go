package gateway

import (
	"fmt"
	"regexp"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func fromHTTP(r *gatewayv1.HTTPRoute) route {
	out := route{kind: "HTTPRoute", meta: r.ObjectMeta, parents: r.Spec.ParentRefs, hostnames: r.Spec.Hostnames}
	for _, in := range r.Spec.Rules {
		made := rule{}
		for _, m := range in.Matches {
			made.matches = append(made.matches, httpMatch(m))
		}
		if len(in.Matches) == 0 {
			made.matches = []match{httpMatch(gatewayv1.HTTPRouteMatch{})}
		}
		mirrors, others := httpMirrors(in.Filters)
		made.mirrors = mirrors
		made.filters, made.refused = httpFilters(others)
		for _, b := range in.BackendRefs {
			filters, refused := httpFilters(b.Filters)
			if refused != "" {
				made.refused = refused
			}
			made.backends = append(made.backends, backend{ref: b.BackendRef, filters: filters})
		}
		out.rules = append(out.rules, made)
	}
	return out
}

func httpFilters(in []gatewayv1.HTTPRouteFilter) (out []filter, refused string) {
	for _, f := range in {
		switch f.Type {
		case gatewayv1.HTTPRouteFilterRequestHeaderModifier:
			out = append(out, filter{modifier: f.RequestHeaderModifier})
		case gatewayv1.HTTPRouteFilterResponseHeaderModifier:
			out = append(out, filter{modifier: f.ResponseHeaderModifier, response: true})
		default:
			refused = fmt.Sprintf("filter %s is not supported by the local Gateway", f.Type)
		}
	}
	return out, refused
}

// httpMatch uses regular expressions throughout: Caddy's plain path matcher
// ignores case and its header matcher reads * as a wildcard.
func httpMatch(m gatewayv1.HTTPRouteMatch) match {
	out := match{caddy: map[string]any{}}
	kind, value := gatewayv1.PathMatchPathPrefix, "/"
	if m.Path != nil {
		if m.Path.Type != nil {
			kind = *m.Path.Type
		}
		if m.Path.Value != nil {
			value = *m.Path.Value
		}
	}
	out.rank.pathLength = len(value)
	switch kind {
	case gatewayv1.PathMatchExact:
		out.rank.exact = true
		out.caddy["path_regexp"] = pattern("^" + regexp.QuoteMeta(value) + "$")
	case gatewayv1.PathMatchRegularExpression:
		out.caddy["path_regexp"] = pattern("^(?:" + value + ")$")
	default:
		if prefix := trimSlash(value); prefix != "" {
			out.caddy["path_regexp"] = pattern("^" + regexp.QuoteMeta(prefix) + "(?:/|$)")
		}
	}
	if m.Method != nil {
		out.rank.method = true
		out.caddy["method"] = []string{string(*m.Method)}
	}
	headers := map[string]any{}
	for _, h := range m.Headers {
		regex := h.Type != nil && *h.Type == gatewayv1.HeaderMatchRegularExpression
		headers[string(h.Name)] = valuePattern(regex, h.Value)
	}
	if out.rank.headers = len(headers); len(headers) > 0 {
		out.caddy["header_regexp"] = headers
	}
	out.rank.query = len(m.QueryParams)
	query, patterns := map[string][]string{}, map[string]any{}
	for _, q := range m.QueryParams {
		if q.Type != nil && *q.Type == gatewayv1.QueryParamMatchRegularExpression {
			// Caddy's query matcher has no expressions.
			patterns["{http.request.uri.query."+string(q.Name)+"}"] = valuePattern(true, q.Value)
			continue
		}
		query[string(q.Name)] = []string{q.Value}
	}
	if len(query) > 0 {
		out.caddy["query"] = query
	}
	if len(patterns) > 0 {
		out.caddy["vars_regexp"] = patterns
	}
	return out
}

func fromGRPC(r *gatewayv1.GRPCRoute) route {
	out := route{kind: "GRPCRoute", meta: r.ObjectMeta, parents: r.Spec.ParentRefs, hostnames: r.Spec.Hostnames}
	for _, in := range r.Spec.Rules {
		made := rule{grpc: true}
		for _, m := range in.Matches {
			made.matches = append(made.matches, grpcMatch(m))
		}
		if len(in.Matches) == 0 {
			made.matches = []match{grpcMatch(gatewayv1.GRPCRouteMatch{})}
		}
		made.filters, made.refused = grpcFilters(in.Filters)
		for _, b := range in.BackendRefs {
			filters, refused := grpcFilters(b.Filters)
			if refused != "" {
				made.refused = refused
			}
			made.backends = append(made.backends, backend{ref: b.BackendRef, filters: filters})
		}
		out.rules = append(out.rules, made)
	}
	return out
}

func grpcFilters(in []gatewayv1.GRPCRouteFilter) (out []filter, refused string) {
	for _, f := range in {
		switch f.Type {
		case gatewayv1.GRPCRouteFilterRequestHeaderModifier:
			out = append(out, filter{modifier: f.RequestHeaderModifier})
		case gatewayv1.GRPCRouteFilterResponseHeaderModifier:
			out = append(out, filter{modifier: f.ResponseHeaderModifier, response: true})
		default:
			refused = fmt.Sprintf("filter %s is not supported by the local Gateway", f.Type)
		}
	}
	return out, refused
}

// grpcMatch reads a gRPC method as the path it travels in.
func grpcMatch(m gatewayv1.GRPCRouteMatch) match {
	out := match{caddy: map[string]any{"method": []string{"POST"}}}
	if m.Method != nil {
		quote, service, method := regexp.QuoteMeta, "[^/]+", "[^/]+"
		if m.Method.Type != nil && *m.Method.Type == gatewayv1.GRPCMethodMatchRegularExpression {
			quote = func(s string) string { return "(?:" + s + ")" }
		}
		if m.Method.Service != nil {
			service = quote(*m.Method.Service)
			out.rank.pathLength += len(*m.Method.Service)
		}
		if m.Method.Method != nil {
			method = quote(*m.Method.Method)
			out.rank.pathLength += len(*m.Method.Method)
		}
		out.caddy["path_regexp"] = pattern("^/" + service + "/" + method + "$")
	}
	headers := map[string]any{}
	for _, h := range m.Headers {
		regex := h.Type != nil && *h.Type == gatewayv1.GRPCHeaderMatchRegularExpression
		headers[string(h.Name)] = valuePattern(regex, h.Value)
	}
	if out.rank.headers = len(headers); len(headers) > 0 {
		out.caddy["header_regexp"] = headers
	}
	return out
}

func pattern(expression string) map[string]any { return map[string]any{"pattern": expression} }

func valuePattern(regex bool, value string) map[string]any {
	if !regex {
		value = regexp.QuoteMeta(value)
	}
	return pattern("^(?:" + value + ")$")
}

func trimSlash(path string) string {
	for len(path) > 0 && path[len(path)-1] == '/' {
		path = path[:len(path)-1]
	}
	return path
}
