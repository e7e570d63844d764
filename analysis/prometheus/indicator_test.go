package prometheus

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

func latency(threshold time.Duration, matchers ...v1alpha1.Matcher) v1alpha1.Indicator {
	l := &v1alpha1.LatencyIndicator{Histogram: "request_duration_seconds", Matchers: matchers}
	l.Threshold.Duration = threshold
	return v1alpha1.Indicator{Latency: l}
}

func TestIndicatorQuery(t *testing.T) {
	const s = `namespace="shop",pod=~"(shop-6c7-|shop-9fd-)[a-z0-9]+"`
	pods := Pods{Namespace: "shop", ReplicaSets: []string{"shop-6c7", "shop-9fd"}}
	tests := map[string]struct {
		indicator v1alpha1.Indicator
		want      string
	}{
		"requests": {
			v1alpha1.Indicator{Requests: &v1alpha1.RequestsIndicator{Total: v1alpha1.Series{Metric: "a"}, Bad: v1alpha1.Series{Metric: "b"}}},
			`label_replace(sum by (namespace, pod, instance) (a{S}),"k","total","","") or label_replace(sum by (namespace, pod, instance) (b{S}),"k","bad","","") or label_replace(min by (namespace, pod, instance) (timestamp(a{S})),"k","ts","","")`,
		},
		"latency": {
			latency(300*time.Millisecond, v1alpha1.Matcher{Name: "path", Value: "/"}),
			`label_replace(sum by (namespace, pod, instance) (request_duration_seconds_count{S,path="/"}),"k","count","","") or ` +
				`label_replace(sum by (namespace, pod, instance) (request_duration_seconds_bucket{S,le=~"0\\.30*",path="/"}),"k","within","","") or ` +
				`label_replace(min by (namespace, pod, instance) (timestamp(request_duration_seconds_count{S,path="/"})),"k","ts","","")`,
		},
		"promQL": {
			v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: `a + on(pod) b`, Bad: `c{x="1"}`}},
			`label_replace(sum by (pod) (a{S} + on (pod) b{S}),"k","total","","") or label_replace(sum by (pod) (c{S,x="1"}),"k","bad","","") or ` +
				`label_replace(min by (pod) (label_replace(min by (pod) (timestamp(a{S})),"k","0","","") or ` +
				`label_replace(min by (pod) (timestamp(b{S})),"k","1","","")),"k","ts","","")`,
		},
		"promQL that keeps dead pods": {
			v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: `max_over_time(a[1h]) + 0 * a`, Bad: `b`}},
			`label_replace(sum by (pod) (max_over_time(a{S}[1h]) + 0 * a{S}),"k","total","","") or label_replace(sum by (pod) (b{S}),"k","bad","","") or ` +
				`label_replace(min by (pod) (timestamp(a{S})),"k","ts","","")`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := IndicatorQuery(tc.indicator, pods)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.ReplaceAll(tc.want, "S", s), got); diff != "" {
				t.Errorf("query (-want +got):\n%s", diff)
			}
			if _, err := promQL().ParseExpr(got); err != nil {
				t.Errorf("the source would refuse it: %v", err)
			}
		})
	}
}

func TestIndicatorQueryRefuses(t *testing.T) {
	pods := Pods{Namespace: "shop", ReplicaSets: []string{"shop-6c7"}}
	tests := map[string]struct {
		indicator v1alpha1.Indicator
		want      string
	}{
		"nothing":                 {v1alpha1.Indicator{}, "set requests, latency or promQL"},
		"a bound of the user's":   {latency(time.Second, v1alpha1.Matcher{Name: "le", Value: "1"}), "the label le is set by Belay"},
		"a tenant of Mimir's":     {latency(time.Second, v1alpha1.Matcher{Name: "__tenant_id__", Value: "x"}), "a label by which sources select tenants"},
		"a tenant of VM's":        {latency(time.Second, v1alpha1.Matcher{Name: "vm_account_id", Value: "1"}), "a label by which sources select tenants"},
		"a project of VM's":       {latency(time.Second, v1alpha1.Matcher{Name: "vm_project_id", Value: "1"}), "a label by which sources select tenants"},
		"a pod of the user's":     {latency(time.Second, v1alpha1.Matcher{Name: "pod", Value: "x"}), "the label pod is set by Belay"},
		"promQL without a metric": {v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: "time()", Bad: "a"}}, "promQL.total: the expression has the type scalar"},
		"promQL of another pod":   {v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: "a", Bad: `a{pod="x"}`}}, "promQL.bad: a selector has a matcher on the label pod"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := IndicatorQuery(tc.indicator, pods); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestBoundPattern: the bounds as exporters of several ages write them.
func TestBoundPattern(t *testing.T) {
	anchored := func(pattern string) *regexp.Regexp { return regexp.MustCompile("^(?:" + pattern + ")$") }
	for seconds, texts := range map[float64][]string{0.3: {"0.3", "0.300"}, 1: {"1", "1.0"}, 10: {"10", "10.0"}, 2.5: {"2.5"}, 0.00001: {"1e-05", "0.00001"}} {
		for _, text := range texts {
			if !anchored(boundPattern(seconds)).MatchString(text) {
				t.Errorf("%s does not match %q", boundPattern(seconds), text)
			}
		}
		for _, other := range []string{"0.35", "3", "11", "100", "+Inf", "0x3", "0.03"} {
			if anchored(boundPattern(seconds)).MatchString(other) {
				t.Errorf("%s matches %q", boundPattern(seconds), other)
			}
		}
	}
}

func TestLatencyAnswers(t *testing.T) {
	answer := func(counts map[string]float64) string {
		var rows []string
		for k, v := range counts {
			rows = append(rows, rowOf("shop-6c7-abcde", k, fmt.Sprint(v)))
		}
		return vector(rows...)
	}
	ts := float64(evaluated.Unix())
	tests := map[string]struct {
		rows map[string]float64
		bad  float64
		want analysis.Reason
		odd  string
	}{
		"some are slow":     {map[string]float64{"count": 100, "within": 93, "ts": ts}, 7, "", ""},
		"none is slow":      {map[string]float64{"count": 100, "within": 100, "ts": ts}, 0, "", ""},
		"no such bucket":    {map[string]float64{"count": 100, "ts": ts}, 0, analysis.BadQuery, ""},
		"two scrapes mixed": {map[string]float64{"count": 100, "within": 101, "ts": ts}, -1, "", `pod "shop-6c7-abcde" reports 101 observations in the bucket of the threshold, more than the 100 in total`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ask(t, connect(t, defaults(serve(t, say(http.StatusOK, answer(tc.rows))))))
			pods := got.Counters
			if reasonOf(err) != tc.want {
				t.Fatalf("error %v, want reason %q", err, tc.want)
			}
			if tc.want == "" && (len(pods) != 1 || pods[0].Total != 100 || pods[0].Bad != tc.bad || pods[0].Unusable != tc.odd) {
				t.Errorf("read %+v, want %v bad of 100", pods, tc.bad)
			}
		})
	}
}
