package sources

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources/sourcestest"
)

// probed is a source that answers probes: every ReplicaSet asked for has 3 series of
// requests, which lack the label of bad in namespaces that begin with wrong.
type probed struct {
	*httptest.Server
	now time.Time
	// most is how many namespaces one query may be about.
	most int

	mu            sync.Mutex
	probes, names []string
}

var prefixes = regexp.MustCompile(`"pod","(\([^"]*\))\[a-z0-9\]\+"`)

func (p *probed) answer(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	query, now := r.FormValue("query"), float64(p.now.UnixMilli())/1000
	var result []any
	add := func(labels map[string]string, value string) {
		result = append(result, map[string]any{"metric": labels, "value": []any{now, value}})
	}
	namespaces := sourcestest.Namespaces(query)
	switch {
	case !sourcestest.IsProbe(query):
		p.names = append(p.names, query)
		add(map[string]string{"__name__": "requests", "namespace": namespaces[0], "status": "200"}, "1")
	case len(namespaces) > p.most:
		p.probes = append(p.probes, query)
		for range 5000 {
			add(map[string]string{"namespace": namespaces[0], "pod": "shop-stable-", "k": "0"}, "3")
		}
	default:
		p.probes = append(p.probes, query)
		for _, namespace := range namespaces {
			for _, set := range strings.Split(strings.Trim(prefixes.FindStringSubmatch(query)[1], "()"), "|") {
				k := "1,1"
				if strings.HasPrefix(namespace, "wrong") {
					k = "1,"
				}
				for k, v := range map[string]string{"0": "3", k: "3", "total": "10", "bad": "1"} {
					add(map[string]string{"namespace": namespace, "pod": set, "k": k}, v)
				}
			}
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": result}})
}

// TestProbesShareQueries, and each gets what its own pods have.
func TestProbesShareQueries(t *testing.T) {
	typed := v1alpha1.Indicator{Requests: &v1alpha1.RequestsIndicator{Total: v1alpha1.Series{Metric: "requests"},
		Bad: v1alpha1.Series{Metric: "requests", Matchers: []v1alpha1.Matcher{{Name: "code", Op: "=~", Value: "5.."}}}}}
	custom := v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: `requests{a!="b"}`, Bad: `errors{code="500"}`}}
	for name, tc := range map[string]struct {
		indicator    v1alpha1.Indicator
		most, probes int
	}{
		"of one indicator":           {typed, 100, 3},
		"each alone":                 {custom, 100, 20},
		"again alone when too large": {typed, 7, 2 + 16 + 1},
	} {
		t.Run(name, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(time.Now())
			p := &probed{now: clock.Now(), most: tc.most}
			p.Server = httptest.NewServer(http.HandlerFunc(p.answer))
			defer p.Close()
			prober := NewProber(NewClients(nil, "belay", time.Hour), clock, time.Second)
			var waiting []<-chan Sighting
			for i := range 20 {
				namespace := fmt.Sprintf("team-%d", i)
				if i == 7 {
					namespace = "wrong"
				}
				waiting = append(waiting, prober.Probe(t.Context(), sourcestest.At(p.URL, 1000), Measure{Indicator: tc.indicator}, prometheus.Pods{Namespace: namespace, ReplicaSets: []string{"shop-canary", "shop-stable"}}))
			}
			clock.Step(time.Second)
			for i, w := range waiting {
				got := <-w
				if got.Err != nil || len(got.Sights) != 2 || got.Sights[0].Total != 10 || got.Sights[1].Bad != 1 || got.Sights[0].Scopes[0].Series != 3 {
					t.Fatalf("%d: %+v", i, got)
				}
				if missing := got.Scopes[1].Missing(got.Sights[0].Scopes[1]); (missing == 0) != (i == 7) {
					t.Errorf("%d: missing %d", i, missing)
				}
				if named := slices.Contains(got.Sights[0].Scopes[1].Names, "status"); named != (i == 7) {
					t.Errorf("%d: names of labels %q", i, got.Sights[0].Scopes[1].Names)
				}
			}
			if len(p.probes) != tc.probes {
				t.Errorf("%d queries, want %d", len(p.probes), tc.probes)
			}
			// Names are text of a namespace's own pods.
			for _, query := range p.names {
				if namespaces := sourcestest.Namespaces(query); !slices.Equal(namespaces, []string{"wrong"}) {
					t.Errorf("asks for the labels of %q", namespaces)
				}
			}
		})
	}
}

func TestAProbeThatCannotBeWritten(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Now())
	prober := NewProber(NewClients(nil, "belay", time.Hour), clock, time.Second)
	got := prober.Probe(t.Context(), sourcestest.At("http://127.0.0.1:1", 1000), Measure{}, prometheus.Pods{Namespace: "shop", ReplicaSets: []string{"shop"}})
	clock.Step(time.Second)
	if s := <-got; s.Err == nil || s.Err.Reason != analysis.BadQuery {
		t.Errorf("got %+v", s)
	}
}

// TestQueriesAreWrittenForTheirSource: with its labels, and rates over its scrape interval.
func TestQueriesAreWrittenForTheirSource(t *testing.T) {
	asked := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.FormValue("query"):
		default:
		}
	}))
	defer server.Close()
	source, pods := sourcestest.At(server.URL, 1000), prometheus.Pods{Namespace: "shop", ReplicaSets: []string{"shop-1"}}
	source.Spec.Labels = v1alpha1.MetricSourceLabels{Namespace: "k8s_namespace", Pod: "exported_pod"}
	source.Spec.ScrapeInterval.Duration = time.Minute
	const labels = `{k8s_namespace="shop",exported_pod=~`
	load := prometheus.LoadOf(v1alpha1.SaturationTrigger{Rate: &v1alpha1.Series{Metric: "throttled"}})
	for text, of := range map[string]Measure{"requests" + labels: {Indicator: sourcestest.Requests("errors")}, `[4m]`: {Load: &load}} {
		q, err := NewQuery(source, of, pods)
		if err != nil || !strings.Contains(q.Text, text) || q.Pods.Labels != source.Spec.Labels {
			t.Errorf("%v, %s; want %s", err, q.Text, text)
		}
	}
	clock := clocktesting.NewFakeClock(time.Now())
	got := NewProber(NewClients(nil, "belay", time.Hour), clock, time.Second).Probe(t.Context(), source, Measure{Indicator: sourcestest.Requests("errors")}, pods)
	clock.Step(time.Second)
	<-got
	if query := <-asked; !strings.Contains(query, "requests"+labels) {
		t.Errorf("the probe is %s", query)
	}
}
