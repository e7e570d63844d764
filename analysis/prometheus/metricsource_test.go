package prometheus

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// TestParametersAreSent with every query, and Belay's own can be replaced and removed.
func TestParametersAreSent(t *testing.T) {
	var form url.Values
	spec := defaults(serve(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		form = r.Form
		say(http.StatusOK, vector())(w, r)
	}))
	spec.Parameters = []v1alpha1.Parameter{{Name: "partial_response", Value: "false"}, {Name: "nocache", Value: "0"}, {Name: "max_lookback"}}
	if _, err := ask(t, connect(t, spec)); err != nil {
		t.Fatal(err)
	}
	if form.Get("partial_response") != "false" || form.Get("nocache") != "0" || form.Has("max_lookback") || form.Get("query") != "up" {
		t.Errorf("sent %v", form)
	}
}

// TestSecretHeadersAndProxy: a header's value and the proxy's password come from Secrets.
func TestSecretHeadersAndProxy(t *testing.T) {
	var seen http.Header
	var target string
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen, target = r.Header, r.URL.String()
		say(http.StatusOK, vector())(w, r)
	})
	spec := defaults("http://prometheus.invalid:9090")
	spec.Headers = []v1alpha1.Header{{Name: "X-Scope-OrgID", Value: "shop"}, {Name: "X-Api-Key", ValueFrom: &v1alpha1.SecretKeyRef{Name: "keys", Key: "api"}}}
	spec.Proxy = &v1alpha1.MetricSourceProxy{URL: proxy, Basic: &v1alpha1.BasicAuth{Username: "belay", Password: v1alpha1.SecretKeyRef{Name: "keys", Key: "proxy"}}}
	secrets := map[string]string{"api": "s3cret", "proxy": "pa:ss"}
	look := func(ref v1alpha1.SecretKeyRef) (string, error) {
		if value, ok := secrets[ref.Key]; ok && ref.Name == "keys" {
			return value, nil
		}
		return "", fmt.Errorf("there is none")
	}
	c, err := NewClient(spec, look)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t, c); err != nil {
		t.Fatal(err)
	}
	if seen.Get("X-Api-Key") != "s3cret" || seen.Get("X-Scope-OrgID") != "shop" || seen.Get("Proxy-Authorization") != "Basic YmVsYXk6cGE6c3M=" || target != "http://prometheus.invalid:9090/api/v1/query" {
		t.Errorf("the proxy got %s with %v", target, seen)
	}
	for name, value := range map[string]string{"api": "two\nlines", "proxy": ""} {
		had := secrets[name]
		if secrets[name] = value; value == "" {
			delete(secrets, name)
		}
		if _, err := NewClient(spec, look); err == nil || strings.Contains(err.Error(), "lines\n") {
			t.Errorf("with %s %q the client has the error %v", name, value, err)
		}
		secrets[name] = had
	}
}

// otherLabels are those of pods that send their metrics by OpenTelemetry.
var otherLabels = v1alpha1.MetricSourceLabels{Namespace: "k8s.namespace.name", Pod: "exported_pod"}

// TestASourcesOwnLabels select the pods, group the sums, are read from the response, and
// cannot be matched by users.
func TestASourcesOwnLabels(t *testing.T) {
	pods := Pods{Namespace: "shop", ReplicaSets: []string{"web-1", "web-2"}, Labels: otherLabels}
	other := Pods{Namespace: "bank", ReplicaSets: []string{"web-3"}, Labels: otherLabels}
	requests := v1alpha1.Indicator{Requests: &v1alpha1.RequestsIndicator{Total: series("requests"), Bad: series("errors")}}
	for name, c := range map[string]struct {
		of   v1alpha1.Indicator
		pods []Pods
	}{
		"requests": {requests, []Pods{pods, other}},
		"latency":  {v1alpha1.Indicator{Latency: &v1alpha1.LatencyIndicator{Histogram: "seconds"}}, []Pods{pods}},
		"promQL":   {v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: "a + b", Bad: "c"}}, []Pods{pods}},
	} {
		query, err := IndicatorQuery(c.of, c.pods...)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range vectorSelectors(t, query) {
			text := strings.Join(matcherTexts(s.LabelMatchers), " ")
			if !strings.Contains(text, `k8s.namespace.name`) || !strings.Contains(text, `exported_pod=~"`) || strings.Contains(text, ` pod=`) {
				t.Errorf("%s: a selector of %s", name, text)
			}
		}
		if strings.Contains(query, "by (pod") || strings.Contains(query, "by (namespace") || !strings.Contains(query, "exported_pod") {
			t.Errorf("%s is grouped by other labels: %s", name, query)
		}
	}
	for _, label := range []string{"k8s.namespace.name", "exported_pod"} {
		_, err := countsOf(series("requests", v1alpha1.Matcher{Name: label, Value: "x"}), series("errors"), pods)
		if err == nil || !strings.Contains(err.Error(), "is set by Belay") {
			t.Errorf("a matcher on %s: %v", label, err)
		}
	}
	if _, err := CustomQuery(`a{exported_pod="x"}`, pods); err == nil {
		t.Error("an expression may match the label of the pod")
	}
	shares, err := SharesQuery(requests, Pods{Namespace: "shop", Labels: otherLabels}, "web", 30*24*time.Hour)
	if err != nil || !strings.Contains(shares, `"k8s.namespace.name"="shop",exported_pod=~"web-`) {
		t.Errorf("the pre-flight asks for %s, %v", shares, err)
	}
	row := func(k, value string) string {
		return fmt.Sprintf(`{"metric":{"k8s.namespace.name":"shop","exported_pod":"web-1-x","pod":"collector-0","k":%q},"value":[%d,%q]}`, k, evaluated.Unix(), value)
	}
	spec := defaults(serve(t, say(http.StatusOK, vector(row("total", "10"), row("bad", "1")))))
	spec.Labels = otherLabels
	answer, err := ask(t, connect(t, spec))
	if err != nil || len(answer.Counters) != 1 || answer.Counters[0].Pod != "web-1-x" || answer.Counters[0].Namespace != "shop" {
		t.Errorf("%+v, %v", answer.Counters, err)
	}
}

// TestNamesOfOpenTelemetry are quoted in selectors.
func TestNamesOfOpenTelemetry(t *testing.T) {
	query, err := countsOf(series("http.server.request.duration_count"),
		series("http.server.request.duration_count", v1alpha1.Matcher{Name: "http.response.status_code", Op: "=~", Value: "5.."}), shop)
	if err != nil {
		t.Fatal(err)
	}
	bad := 0
	for _, s := range vectorSelectors(t, query) {
		text := strings.Join(matcherTexts(s.LabelMatchers), " ")
		if !strings.Contains(text, `__name__="http.server.request.duration_count"`) || !strings.Contains(text, `namespace="shop"`) {
			t.Errorf("a selector of %s", text)
		}
		if strings.Contains(text, `http.response.status_code`) {
			bad++
		}
	}
	if bad != 1 {
		t.Errorf("%d selectors match the status, want that of bad: %s", bad, query)
	}
	for _, name := range []string{"", "a b", `a"} or up{"`, "a{b}", "4xx", "ä"} {
		if _, err := countsOf(series(name), series("a"), shop); err == nil {
			t.Errorf("%q is accepted as a metric name", name)
		}
	}
}
