package prometheus_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/analysis/prometheus/enginetest"
	"belay.dev/belay/api/v1alpha1"
)

var web = prometheus.Pods{Namespace: "shop", StatefulSet: "web"}

// TestQueriesOfAStatefulSet select its pods by their ordinals, and nobody else's.
func TestQueriesOfAStatefulSet(t *testing.T) {
	e := enginetest.New(scraped)
	for _, pod := range []string{"web-0", "web-12", "web-0-1", "web-", "web-x2k4f", "web-5d4f8b7c96-x2k4f", "website-0", "db-3"} {
		e.Scrape(t, `requests_total{code="200"} 90`+"\n"+`requests_total{code="500"} 10`+"\n", map[string]string{"namespace": "shop", "pod": pod, "instance": pod})
	}
	for name, group := range map[string][]prometheus.Pods{"alone": {web}, "shared": {web, {Namespace: "shop", StatefulSet: "db"}, {Namespace: "bank", StatefulSet: "web"}}} {
		query, err := prometheus.IndicatorQuery(byCode, group...)
		if err != nil {
			t.Fatal(err)
		}
		got, err := clientOf(t, e).Reading(byCode).Counts(t.Context(), "shop", query, 3, now)
		if err != nil {
			t.Fatal(err)
		}
		own := ""
		for _, c := range got.Counters {
			if _, mine := prometheus.OwnedBy(byCode).By(web, c); mine {
				own += c.Pod + " "
			} else if c.Pod != "db-3" {
				t.Errorf("%s: the query selects pod %q", name, c.Pod)
			}
		}
		if own != "web-0 web-12 " && own != "web-12 web-0 " {
			t.Errorf("%s: its own are %q", name, own)
		}
	}
	if _, err := prometheus.IndicatorQuery(byCode, web, shop); err == nil {
		t.Error("pods of a StatefulSet and of ReplicaSets share a query: those of a probe could not be told apart")
	}
	if query, err := prometheus.SharesQuery(byCode, web, "web", 30*24*time.Hour); err != nil || !strings.Contains(query, `pod=~"(web-[0-9]+)"`) {
		t.Errorf("the pre-flight asks %s (%v)", query, err)
	}
}

// TestProbesOfAStatefulSet tell its versions apart by the pods that are named.
func TestProbesOfAStatefulSet(t *testing.T) {
	e := enginetest.New(scraped)
	for pod, text := range map[string]string{
		"web-0": `requests_total{code="200"} 90` + "\n", "web-1": `requests_total{code="500"} 3` + "\n", "web-2": `requests_total{status="200"} 7` + "\n",
	} {
		e.Scrape(t, text, map[string]string{"namespace": "shop", "pod": pod, "instance": pod})
	}
	of := web
	of.Members = [][]string{{"web-2"}, {"web-0", "web-1"}, {}}
	c := clientOf(t, e).Reading(byCode)
	probe, found := probed(t, c, byCode, of)
	versions := of.ByVersion(byCode)
	if len(versions) != 3 {
		t.Fatalf("%d versions", len(versions))
	}
	var missing []int
	var counts []analysis.Counts
	for _, version := range versions {
		sight := found.Of(probe, version)
		missing, counts = append(missing, probe.Scopes[1].Missing(sight.Scopes[1])), append(counts, sight.Counts)
	}
	if want := [3]int{0, -1, -1}; [3]int(missing) != want {
		t.Errorf("the label code is missing in %v, want %v", missing, want)
	}
	if want := [3]analysis.Counts{{Total: 7}, {Total: 93, Bad: 3}, {}}; [3]analysis.Counts(counts) != want {
		t.Errorf("counted %v, want %v", counts, want)
	}
	if all := found.Of(probe, web); all.Counts != (analysis.Counts{Total: 100, Bad: 3}) {
		t.Errorf("all pods have %v", all.Counts)
	}
	alone, _ := probed(t, c, byCode, versions[0])
	if names, err := c.LabelNames(t.Context(), "shop", alone, 1, now); err != nil || strings.Join(names, " ") != "instance namespace pod status" {
		t.Errorf("the labels of web-2 are %v (%v)", names, err)
	}
}

// TestAnInvariantOfAStatefulSet is not violated by what the pod has counted that had the name
// before, in the same series.
func TestAnInvariantOfAStatefulSet(t *testing.T) {
	e := enginetest.New(scraped)
	restarted := func(before, since float64) func(time.Time) float64 {
		return func(at time.Time) float64 {
			if scraped.Sub(at) > time.Minute {
				return before
			}
			return since
		}
	}
	for _, pod := range []string{"web-0", "shop-1-aaaaa"} {
		of := map[string]string{"namespace": "shop", "pod": pod, "instance": pod}
		e.Series("checks", of, 60, 15*time.Second, restarted(900, 10))
		e.Series("violations", of, 60, 15*time.Second, restarted(2, 0))
	}
	invariant := v1alpha1.Invariant{Name: "i", Checks: v1alpha1.Series{Metric: "checks"}, Violations: v1alpha1.Series{Metric: "violations"}}
	for want, pods := range map[float64]prometheus.Pods{0: web, 2: shop} {
		query, err := prometheus.InvariantQuery(invariant, pods)
		if err != nil {
			t.Fatal(err)
		}
		got, err := clientOf(t, e).ReadingInvariant(invariant).Counts(t.Context(), "shop", query, 1, now)
		if err != nil || len(got.Counters) != 1 || got.Counters[0].Counts != (analysis.Counts{Total: 10, Bad: want}) {
			t.Errorf("%+v (%v), want %v violations", got.Counters, err, want)
		}
	}
}

// TestSamplesThatAPodBeforeHasLeft are in the response until they have expired: what counts as
// bad may be of the pod that had the name before while the total is not.
func TestSamplesThatAPodBeforeHasLeft(t *testing.T) {
	e := enginetest.New(scraped)
	left := scraped.Add(-2 * time.Minute)
	add := func(metric string, at time.Time, more ...string) {
		of := map[string]string{"namespace": "shop", "pod": "web-0", "instance": "web-0"}
		for i := 0; i < len(more); i += 2 {
			of[more[i]] = more[i+1]
		}
		e.Samples(metric, of, []time.Time{at}, func(time.Time) float64 { return 7 })
	}
	add("total", scraped)
	add("bad", left)
	add("request_duration_seconds_count", scraped)
	add("request_duration_seconds_bucket", left, "le", "0.3")
	total, bad := v1alpha1.Series{Metric: "total"}, v1alpha1.Series{Metric: "bad"}
	slow := &v1alpha1.LatencyIndicator{Histogram: "request_duration_seconds"}
	slow.Threshold.Duration = 300 * time.Millisecond
	indicators := map[string]v1alpha1.Indicator{
		"requests": {Requests: &v1alpha1.RequestsIndicator{Total: total, Bad: bad}},
		"latency":  {Latency: slow},
		"promQL":   {PromQL: &v1alpha1.PromQLIndicator{Total: "total", Bad: "bad"}},
	}
	invariant := v1alpha1.Invariant{Name: "i", Checks: total, Violations: bad}
	for name, indicator := range indicators {
		query, err := prometheus.IndicatorQuery(indicator, web)
		if err != nil {
			t.Fatal(err)
		}
		wantSampled(t, name, clientOf(t, e).Reading(indicator), query, left)
	}
	query, err := prometheus.InvariantQuery(invariant, web)
	if err != nil {
		t.Fatal(err)
	}
	wantSampled(t, "invariant", clientOf(t, e).ReadingInvariant(invariant), query, left)
	load := prometheus.Load{Value: total, Per: &bad}
	if query, err = prometheus.LoadQuery(load, web); err != nil {
		t.Fatal(err)
	}
	wantSampled(t, "load", clientOf(t, e).ReadingLoad(load), query, left)
}

func wantSampled(t *testing.T, name string, c *prometheus.Client, query string, want time.Time) {
	t.Helper()
	got, err := c.Counts(t.Context(), "shop", query, 1, now)
	if err != nil || len(got.Counters) != 1 || !got.Counters[0].SampledAt.Equal(want) {
		t.Errorf("%s: %+v (%v), want samples of %s", name, got.Counters, err, want)
	}
}

func TestVersionsOfAStatefulSetHaveNoDestinations(t *testing.T) {
	for by, value := range map[v1alpha1.CountedBy]string{v1alpha1.CountedByService: "$(service)", v1alpha1.CountedByWorkload: "$(replicaSet)"} {
		of := v1alpha1.Indicator{By: by, Destination: &v1alpha1.Destination{Label: "to", Value: value, NamespaceLabel: "ns"}, Requests: byCode.Requests}
		_, query := prometheus.IndicatorQuery(of, web)
		_, probe := prometheus.IndicatorProbe(of, web)
		_, shares := prometheus.SharesQuery(of, web, "web", 30*24*time.Hour)
		for _, err := range []error{query, probe, shares} {
			if !errors.Is(err, prometheus.ErrByPodAlone) || !errors.Is(prometheus.NotRouted(err), prometheus.ErrByPodAlone) {
				t.Errorf("by %s: %v", by, err)
			}
		}
	}
}

func TestLooksBack(t *testing.T) {
	for want, promQL := range map[time.Duration]*v1alpha1.PromQLIndicator{
		0:                 nil,
		1:                 {Total: "not promQL (", Bad: "errors"},
		5 * time.Minute:   {Total: "requests", Bad: "max_over_time(errors[5m])"},
		10 * time.Minute:  {Total: "last_over_time(requests[10m])", Bad: "errors"},
		105 * time.Second: {Total: "max_over_time(max_over_time(requests[45s])[1m:15s])", Bad: "errors"},
	} {
		if got := prometheus.LooksBack(v1alpha1.Indicator{PromQL: promQL}); got != want.Truncate(time.Second) {
			t.Errorf("%+v looks back %s, want %s", promQL, got, want)
		}
	}
}

func TestNamesOfTargetsInLedgers(t *testing.T) {
	target := prometheus.Counter{Pod: "web.v1-3", Instance: "10.0.0.3:8080"}
	other := prometheus.Counter{Pod: "web.v1-3", Instance: "10.0.0.4:8080"}
	pushed := prometheus.Counter{Pod: "web.v1-3"}
	all := []string{target.OfTarget().Pod, other.OfTarget().Pod, pushed.OfTarget().Pod}
	seen := map[string]bool{}
	for _, of := range all {
		for _, uid := range []string{"a", "b"} {
			name := prometheus.Borne(of, uid)
			if seen[name] {
				t.Errorf("%s stands for two", name)
			}
			seen[name] = true
			if pod, _, ok := strings.Cut(name, prometheus.TargetMark); !ok || pod != "web.v1-3" {
				t.Errorf("the pod of %s cannot be read", name)
			}
			for _, target := range all {
				if got := prometheus.Bears(name, target); got != (target == of) {
					t.Errorf("%s bears %s: %v", name, target, got)
				}
			}
		}
		if prometheus.Bears(of, of) {
			t.Errorf("%s is a ReplicaSet's, and bears a name", of)
		}
	}
}
