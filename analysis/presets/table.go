package presets

import "belay.dev/belay/api/v1alpha1"

// Servers write the codes of gRPC and its types as their language does: DeadlineExceeded,
// DEADLINE_EXCEEDED.
const (
	failedCalls = "(?i)unknown|deadline_?exceeded|unimplemented|internal|unavailable|data_?loss"
	unary       = "(?i)unary"
)

// All presets, in the order of docs/metrics.md. By which codes of gRPC count as bad:
// OpenTelemetry's semantic conventions for RPC metrics, error codes of a server.
var All = []Preset{
	http("otel-http", "OpenTelemetry HTTP semantic conventions, names with underscores", "https://opentelemetry.io/docs/specs/semconv/http/http-metrics/",
		"http_server_request_duration_seconds_count", "http_response_status_code", "http_server_request_duration_seconds",
		"an OTLP receiver or exporter that escapes names, as Prometheus does by default"),
	http("otel-http-utf8", "OpenTelemetry HTTP semantic conventions, names as they are", "https://prometheus.io/docs/guides/opentelemetry/",
		"http.server.request.duration_count", "http.response.status_code", "http.server.request.duration",
		"translation strategy `NoTranslation`; `NoUTF8EscapingWithSuffixes` adds `_seconds` to the names: write them in the indicator"),
	{
		Name: "grpc-server", About: "gRPC servers in Go, and others with these names of metrics", Link: "https://pkg.go.dev/github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus",
		Total: v1alpha1.Series{Metric: "grpc_server_handled_total"},
		Bad: v1alpha1.Series{Metric: "grpc_server_handled_total", Matchers: []v1alpha1.Matcher{
			{Name: "grpc_code", Op: "=~", Value: failedCalls}}},
		Histogram: "grpc_server_handling_seconds", Slow: []v1alpha1.Matcher{{Name: "grpc_type", Op: "=~", Value: unary}},
		Notes: "the histogram needs `WithServerHandlingTimeHistogram`; latency of unary calls only, because a stream lasts as long as its client wants",
	},
	{
		Name: "grpc-java", About: "gRPC servers in Java (java-grpc-prometheus)", Link: "https://github.com/grpc-ecosystem/java-grpc-prometheus",
		Total: v1alpha1.Series{Metric: "grpc_server_handled_total"},
		Bad: v1alpha1.Series{Metric: "grpc_server_handled_total", Matchers: []v1alpha1.Matcher{
			{Name: "grpc_code", Op: "=~", Value: failedCalls}}},
		Histogram: "grpc_server_handled_latency_seconds", Slow: []v1alpha1.Matcher{{Name: "grpc_type", Op: "=~", Value: unary}},
		Notes: "the histogram needs `Configuration.allMetrics()`; latency of unary calls only",
	},
	{
		Name: "spring-boot", About: "Spring Boot 2.3 and later (Micrometer)", Link: "https://docs.spring.io/spring-boot/reference/actuator/metrics.html",
		Total:     v1alpha1.Series{Metric: "http_server_requests_seconds_count"},
		Bad:       v1alpha1.Series{Metric: "http_server_requests_seconds_count", Matchers: []v1alpha1.Matcher{{Name: "outcome", Op: "=", Value: "SERVER_ERROR"}}},
		Histogram: "http_server_requests_seconds",
		Notes:     "buckets need `management.metrics.distribution.slo.http.server.requests=300ms` with the threshold; those of `percentiles-histogram` are at no whole microsecond, so that none can be a threshold",
	},
	http("aspnet", "ASP.NET Core 8 and later, by its built-in meters", "https://learn.microsoft.com/aspnet/core/log-mon/metrics/built-in",
		"http_server_request_duration_seconds_count", "http_response_status_code", "http_server_request_duration_seconds",
		"exported by OpenTelemetry"),
	http("prometheus-net", "ASP.NET with prometheus-net", "https://github.com/prometheus-net/prometheus-net",
		"http_requests_received_total", "code", "http_request_duration_seconds",
		"`app.UseHttpMetrics()`; its buckets are powers of two from 1ms on: `256ms`, `512ms`"),
	http("go", "Go servers with the names of client_golang's example of promhttp", "https://github.com/prometheus/client_golang/tree/main/examples/middleware",
		"http_requests_total", "code", "http_request_duration_seconds",
		"promhttp itself has no names: others are written in the indicator"),
	http("fastapi", "FastAPI with prometheus-fastapi-instrumentator", "https://github.com/trallnag/prometheus-fastapi-instrumentator",
		"http_requests_total", "status", "http_request_duration_highr_seconds",
		"the histogram has no labels"),
	http("starlette", "Starlette and FastAPI with starlette_exporter", "https://pypi.org/project/starlette-exporter/",
		"starlette_requests_total", "status_code", "starlette_request_duration_seconds", ""),
	http("flask", "Flask with prometheus_flask_exporter", "https://pypi.org/project/prometheus-flask-exporter/",
		"flask_http_request_total", "status", "flask_http_request_duration_seconds", ""),
	http("django", "Django with django-prometheus", "https://github.com/django-commons/django-prometheus",
		"django_http_responses_total_by_status_total", "status", "django_http_requests_latency_including_middlewares_seconds",
		"the histogram has no labels"),
	istio("istio", "Istio's gateways and sidecars", "source", "what the sender's proxy counts (`reporter=\"source\"`)"),
	istio("istio-ambient", "Istio in ambient mode", "waypoint", "a waypoint for the Services"),
	{
		Name: "linkerd", About: "Linkerd's proxies of the callers", Link: "https://linkerd.io/2/reference/proxy-metrics/",
		Total:     v1alpha1.Series{Metric: "outbound_http_route_backend_response_statuses_total"},
		Bad:       v1alpha1.Series{Metric: "outbound_http_route_backend_response_statuses_total", Matchers: []v1alpha1.Matcher{{Name: "http_status", Op: "=~", Value: "5..|"}}},
		Histogram: "outbound_http_route_backend_response_duration_seconds",
		By:        v1alpha1.CountedByService, Destination: v1alpha1.Destination{Label: "backend_name", Value: "$(service)", NamespaceLabel: "backend_namespace"},
		Notes: "an HTTPRoute that Linkerd knows; requests without a status (`error`) are bad",
	},
	{
		Name: "traefik", About: "Traefik 3 as a Gateway", Link: "https://doc.traefik.io/traefik/observability/metrics/overview/",
		Total:     v1alpha1.Series{Metric: "traefik_service_requests_total"},
		Bad:       v1alpha1.Series{Metric: "traefik_service_requests_total", Matchers: []v1alpha1.Matcher{{Name: "code", Op: "=~", Value: "5.."}}},
		Histogram: "traefik_service_request_duration_seconds",
		By:        v1alpha1.CountedByService, Destination: v1alpha1.Destination{Label: "service", Value: "$(namespace)-$(service)-http-*@kubernetesgateway"},
		Notes: "with a ServiceMonitor the label is `exported_service`: write `by` and `destination`; its default buckets are 100ms, 300ms, 1.2s and 5s",
	},
	{
		Name: v1alpha1.PresetComparer, About: "Belay's own comparer of answers", Link: "comparing.md",
		Total: v1alpha1.Series{Metric: "belay_comparer_requests_total"},
		Bad:   v1alpha1.Series{Metric: "belay_comparer_different_total"},
		By:    v1alpha1.CountedByService, Destination: v1alpha1.Destination{Label: "compared_service", Value: "$(service)", NamespaceLabel: "compared_namespace"},
		Notes: "a different answer is a bad one; requests alone",
	},
}

// istio is a preset of what one kind of Istio's proxies reports.
func istio(name v1alpha1.Preset, about, reporter, notes string) Preset {
	own := v1alpha1.Matcher{Name: "reporter", Op: "=", Value: reporter}
	return Preset{
		Name: name, About: about, Link: "https://istio.io/latest/docs/reference/config/metrics/",
		Total:     v1alpha1.Series{Metric: "istio_requests_total", Matchers: []v1alpha1.Matcher{own}},
		Bad:       v1alpha1.Series{Metric: "istio_requests_total", Matchers: []v1alpha1.Matcher{own, {Name: "response_code", Op: "=~", Value: "5.."}}},
		Histogram: "istio_request_duration_milliseconds", Slow: []v1alpha1.Matcher{own}, Unit: v1alpha1.UnitMilliseconds,
		By: v1alpha1.CountedByService, Destination: v1alpha1.Destination{Label: "destination_service_name", Value: "$(service)", NamespaceLabel: "destination_service_namespace"},
		Notes: notes,
	}
}

// http is a preset of a server that counts by status code: those that a server is the cause
// of are bad.
func http(name v1alpha1.Preset, about, link, counter, status, histogram, notes string) Preset {
	bad := v1alpha1.Series{Metric: counter, Matchers: []v1alpha1.Matcher{{Name: status, Op: "=~", Value: "5.."}}}
	return Preset{Name: name, About: about, Link: link, Total: v1alpha1.Series{Metric: counter}, Bad: bad, Histogram: histogram, Notes: notes}
}
