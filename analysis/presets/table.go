package presets

import "belay.dev/belay/api/v1alpha1"

// serverErrors are the codes of HTTP that count as bad: those that a server is the cause of.
func serverErrors(label string) v1alpha1.Matcher {
	return v1alpha1.Matcher{Name: label, Op: "=~", Value: "5.."}
}

// counted is a counter of requests and the bad ones among them.
func counted(metric string, bad ...v1alpha1.Matcher) (total, some v1alpha1.Series) {
	return v1alpha1.Series{Metric: metric}, v1alpha1.Series{Metric: metric, Matchers: bad}
}

// All presets, in the order of docs/metrics.md.
var All = []Preset{
	http("otel-http", "OpenTelemetry HTTP semantic conventions, names with underscores",
		"https://opentelemetry.io/docs/specs/semconv/http/http-metrics/", "http_server_request_duration_seconds_count", "http_server_request_duration_seconds", "http_response_status_code",
		"from an OTLP receiver or exporter that escapes names, as Prometheus does by default"),
}

// http is a preset of a server that counts by status code.
func http(name v1alpha1.Preset, about, link, counter, histogram, status, notes string) Preset {
	total, bad := counted(counter, serverErrors(status))
	return Preset{Name: name, About: about, Link: link, Total: total, Bad: bad, Histogram: histogram, Notes: notes}
}
