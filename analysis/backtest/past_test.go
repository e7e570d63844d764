package backtest

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// noon is when the past of the tests begins.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

const scrape = 15 * time.Second

// pod of a past, which serves 12.5 requests a second.
type pod struct {
	name string
	// errors is its ratio of bad requests at a time since noon.
	errors func(since time.Duration) float64
}

func healthy(time.Duration) float64 { return 0.0004 }

// past answers range queries as a source that scraped the pods at 3, 18, 33 and 48 seconds
// of each minute, each pod a little later than the one before.
type past struct {
	*httptest.Server
	mu sync.Mutex
	// most is how many times it answers in one response.
	most    int
	queries int
	pods    []pod
	// readyFrom is when the candidate's pods become ready, after noon.
	readyFrom time.Duration
}

func newPast(t *testing.T, pods ...pod) *past {
	p := &past{pods: pods, most: 1 << 20}
	p.Server = httptest.NewServer(http.HandlerFunc(p.answer))
	t.Cleanup(p.Close)
	return p
}

func (p *past) client(t *testing.T) *prometheus.Client {
	t.Helper()
	spec := v1alpha1.MetricSourceSpec{Address: p.URL, ScrapeInterval: metav1.Duration{Duration: scrape}}
	spec.Limits = v1alpha1.MetricSourceLimits{Timeout: metav1.Duration{Duration: 20 * time.Second}, Series: 1000, Bytes: 16 << 20, InFlight: 2}
	c, err := prometheus.NewClient(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (p *past) answer(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queries++
	number := func(name string) float64 {
		v, err := strconv.ParseFloat(r.FormValue(name), 64)
		if err != nil {
			panic(err)
		}
		return v
	}
	start, end, step := number("start"), number("end"), number("step")
	if int((end-start)/step)+1 > p.most {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = fmt.Fprint(w, `{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}`)
		return
	}
	var result []any
	for n, pod := range p.pods {
		values := map[string][]any{}
		for at := start; at <= end; at += step {
			sample := pod.sample(at, n)
			if strings.Contains(r.FormValue("query"), "kube_pod_status_ready") {
				sample = p.readiness(pod, at)
			}
			for k, v := range sample {
				values[k] = append(values[k], []any{at, strconv.FormatFloat(v, 'f', -1, 64)})
			}
		}
		for k, v := range values {
			result = append(result, map[string]any{"metric": map[string]string{"namespace": "shop", "pod": pod.name, "instance": "10.0.0.1:80", "k": k}, "values": v})
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "matrix", "result": result}})
}

// readiness is what kube-state-metrics says, scraped at each time.
func (p *past) readiness(of pod, at float64) map[string]float64 {
	ready := 1.0
	if strings.HasPrefix(of.name, "shop-new") && at < float64(noon.Add(p.readyFrom).Unix()) {
		ready = 0
	}
	return map[string]float64{"value": ready, "ts": at}
}

// sample is the newest one of a pod at a time. It has run since an hour before noon.
func (p pod) sample(at float64, n int) map[string]float64 {
	offset := 3 + float64(n)
	scraped := math.Floor((at-offset)/scrape.Seconds())*scrape.Seconds() + offset
	begin := float64(noon.Add(-time.Hour).Unix())
	total, bad := 0.0, 0.0
	for second := begin; second < scraped; second++ {
		total += 12.5
		bad += 12.5 * p.errors(time.Duration((second-float64(noon.Unix()))*1e9))
	}
	return map[string]float64{"total": math.Floor(total), "bad": math.Floor(bad), "ts": scraped}
}

// of is the guardrail of the tests: 99.9 % of the requests.
func guardrail() v1alpha1.GuardrailSpec {
	return v1alpha1.GuardrailSpec{Source: "default", MinimumSamples: 100, SLOs: []v1alpha1.SLO{{
		Name: "availability", Objective: "99.9", Period: "30d",
		Indicator: v1alpha1.Indicator{Requests: &v1alpha1.RequestsIndicator{Total: v1alpha1.Series{Metric: "requests_total"}, Bad: v1alpha1.Series{Metric: "errors_total"}}},
	}}}
}

// releases is a spec of a candidate with one of four pods.
func releases(windows ...Window) Spec {
	return Spec{
		Guardrail: guardrail(), Namespace: "shop", ScrapeInterval: scrape, Windows: windows,
		Arms: Arms{Candidate: []string{"shop-new"}, Stable: []string{"shop-old"}}, Stages: []Stage{{Weight: 25}},
	}
}

func pods(candidate func(time.Duration) float64) []pod {
	return []pod{{"shop-new-aaaaa", candidate}, {"shop-old-aaaaa", healthy}, {"shop-old-bbbbb", healthy}, {"shop-old-ccccc", healthy}}
}
