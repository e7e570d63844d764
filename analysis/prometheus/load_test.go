package prometheus

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

var ofContainers = v1alpha1.Matcher{Name: "container", Op: "!="}

func TestLoadQuery(t *testing.T) {
	const s = `namespace="shop",pod=~"(web-7f9c6d-|web-0123456789-)[a-z0-9]+"`
	memory, limit := series("memory_bytes", ofContainers), series("limit_bytes", ofContainers)
	throttled, periods := series("throttled_total"), series("periods_total")
	own := shop
	own.Labels = v1alpha1.MetricSourceLabels{Namespace: "exported_namespace", Pod: "k8s.pod.name"}
	for name, tc := range map[string]struct {
		trigger  v1alpha1.SaturationTrigger
		interval time.Duration
		pods     Pods
		want     string
	}{
		"a gauge": {v1alpha1.SaturationTrigger{Gauge: &memory}, time.Minute, shop,
			`label_replace((sum by (namespace, pod) (memory_bytes{S,container!=""} > -Inf) or sum by (namespace, pod) (memory_bytes{S,container!=""})),"k","value","","") or label_replace(min by (namespace, pod) (timestamp(memory_bytes{S,container!=""}) and memory_bytes{S,container!=""} > -Inf),"k","ts","","")`},
		"a gauge per another": {v1alpha1.SaturationTrigger{Gauge: &memory, Per: &limit}, time.Minute, shop,
			`label_replace((sum by (namespace, pod) (memory_bytes{S,container!=""} > -Inf) or sum by (namespace, pod) (memory_bytes{S,container!=""})),"k","value","","") or label_replace((sum by (namespace, pod) (limit_bytes{S,container!=""} > -Inf) or sum by (namespace, pod) (limit_bytes{S,container!=""})),"k","per","","") or ` +
				`label_replace(min by (namespace, pod) (timestamp(memory_bytes{S,container!=""}) and memory_bytes{S,container!=""} > -Inf),"k","ts","","")`},
		"a rate": {v1alpha1.SaturationTrigger{Rate: &throttled}, 15 * time.Second, shop,
			`label_replace((sum by (namespace, pod) (rate(throttled_total{S}[1m]) > -Inf) or sum by (namespace, pod) (rate(throttled_total{S}[1m]))),"k","value","","") or label_replace(min by (namespace, pod) (timestamp(throttled_total{S}) and rate(throttled_total{S}[1m]) > -Inf),"k","ts","","")`},
		"a rate per another, seldom scraped": {v1alpha1.SaturationTrigger{Rate: &throttled, Per: &periods}, 22500 * time.Millisecond, shop,
			`label_replace((sum by (namespace, pod) (rate(throttled_total{S}[1m30s]) > -Inf) or sum by (namespace, pod) (rate(throttled_total{S}[1m30s]))),"k","value","","") or label_replace((sum by (namespace, pod) (rate(periods_total{S}[1m30s]) > -Inf) or sum by (namespace, pod) (rate(periods_total{S}[1m30s]))),"k","per","","") or ` +
				`label_replace(min by (namespace, pod) (timestamp(throttled_total{S}) and rate(throttled_total{S}[1m30s]) > -Inf),"k","ts","","")`},
		"a source's own labels": {v1alpha1.SaturationTrigger{Gauge: &throttled}, time.Minute, own,
			strings.ReplaceAll(`label_replace((sum by (exported_namespace, "k8s.pod.name") (throttled_total{O} > -Inf) or sum by (exported_namespace, "k8s.pod.name") (throttled_total{O})),"k","value","","") or label_replace(min by (exported_namespace, "k8s.pod.name") (timestamp(throttled_total{O}) and throttled_total{O} > -Inf),"k","ts","","")`,
				"{O}", `{exported_namespace="shop","k8s.pod.name"=~"(web-7f9c6d-|web-0123456789-)[a-z0-9]+"}`)},
	} {
		got, err := LoadQuery(LoadOf(tc.trigger).ScrapedEvery(tc.interval), tc.pods)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(strings.ReplaceAll(tc.want, "S", s), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if tc.pods.Labels == (v1alpha1.MetricSourceLabels{}) {
			mustHoldAll(t, got, len(vectorSelectors(t, got)))
		}
	}
}

func TestLoadQueryRefuses(t *testing.T) {
	good, bad := series("a"), series("a", v1alpha1.Matcher{Name: "pod", Value: "other"})
	for name, l := range map[string]Load{"value": {Value: bad}, "per": {Value: good, Per: &bad}, "no series": LoadOf(v1alpha1.SaturationTrigger{})} {
		if got, err := LoadQuery(l, shop); err == nil {
			t.Errorf("%s: %s", name, got)
		}
		if got, err := LoadProbe(l, shop); err == nil {
			t.Errorf("%s: %s", name, got.Query)
		}
	}
}

func TestLoadProbe(t *testing.T) {
	const s = `namespace="shop",pod=~"(web-7f9c6d-|web-0123456789-)[a-z0-9]+"`
	per := series("limit", v1alpha1.Matcher{Name: "resource", Value: "memory"}, v1alpha1.Matcher{Name: "unit", Op: "!=", Value: "core"})
	probe, err := LoadProbe(Load{Value: series("memory", ofContainers), Per: &per}, shop)
	if err != nil {
		t.Fatal(err)
	}
	want := []analysis.Scope{{Metric: "memory", Labels: []string{"container"}}, {Metric: "limit", Labels: []string{"resource"}}}
	if diff := cmp.Diff(want, probe.Scopes) + cmp.Diff([]string{"memory{" + s + "}", "limit{" + s + "}"}, probe.selectors); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	mustHoldAll(t, probe.Query, 5)
}

func TestLoadAnswers(t *testing.T) {
	ts := fmt.Sprint(evaluated.Unix())
	for name, tc := range map[string]struct {
		rows  string
		value analysis.Counts
		want  analysis.Reason
		odd   string
	}{
		"a gauge":              {vector(rowOf("a", "value", "1.5e9"), rowOf("a", "ts", ts)), analysis.Counts{Total: 1.5e9}, "", ""},
		"a gauge by its limit": {vector(rowOf("a", "value", "0.75"), rowOf("a", "per", "3"), rowOf("a", "ts", ts)), analysis.Counts{Total: 0.75, Bad: 3}, "", ""},
		"infinite":             {vector(rowOf("a", "value", "+Inf"), rowOf("a", "ts", ts)), analysis.Counts{Total: math.Inf(1)}, "", "the value +Inf for lag"},
		"an infinite limit":    {vector(rowOf("a", "value", "1"), rowOf("a", "per", "+Inf"), rowOf("a", "ts", ts)), analysis.Counts{Total: 1, Bad: math.Inf(1)}, "", "the value +Inf for lag (per)"},
		"negative":             {vector(rowOf("a", "value", "-1"), rowOf("a", "ts", ts)), analysis.Counts{Total: -1}, "", "the value -1 for lag"},
		"the same twice":       {vector(rowOf("a", "value", "1"), rowOf("a", "value", "1"), rowOf("a", "ts", ts)), analysis.Counts{}, analysis.Malformed, ""},
		"a histogram":          {vector(fmt.Sprintf(`{"metric":{"pod":"a","k":"value"},"histogram":[%s,{"count":"5","sum":"1","buckets":[]}]}`, ts)), analysis.Counts{}, analysis.WrongType, ""},
	} {
		of := series("lag")
		got, err := ask(t, connect(t, defaults(serve(t, say(http.StatusOK, tc.rows)))).ReadingLoad(Load{Value: of, Per: &of}))
		if tc.odd != "" {
			tc.odd = `pod "a" reports ` + tc.odd + ": it must be finite and not negative"
		}
		if reasonOf(err) != tc.want || tc.want == "" && (len(got.Counters) != 1 || got.Counters[0].Unusable != tc.odd || got.Counters[0].Counts != tc.value || !got.Counters[0].SampledAt.Equal(evaluated.Truncate(time.Second))) {
			t.Errorf("%s: %+v, %v, want %+v %q", name, got.Counters, err, tc.value, tc.want)
		}
	}
}
