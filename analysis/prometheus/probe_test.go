package prometheus

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

func matching(metric string, matchers ...v1alpha1.Matcher) v1alpha1.Series {
	return v1alpha1.Series{Metric: metric, Matchers: matchers}
}

var (
	notHealth = v1alpha1.Matcher{Name: "handler", Op: "!=", Value: "/healthz"}
	fives     = v1alpha1.Matcher{Name: "code", Op: "=~", Value: "5.."}
	anyPath   = v1alpha1.Matcher{Name: "path", Op: "=~", Value: ".*"}
	verb      = v1alpha1.Matcher{Name: "verb", Value: "GET"}
)

func of(total, bad v1alpha1.Series) v1alpha1.Indicator {
	return v1alpha1.Indicator{Requests: &v1alpha1.RequestsIndicator{Total: total, Bad: bad}}
}

// TestWhatAProbeLooksFor: the labels without which a matcher selects nothing, in the
// series where they would have to be.
func TestWhatAProbeLooksFor(t *testing.T) {
	const s = `namespace="shop",pod=~"(web-7f9c6d-|web-0123456789-)[a-z0-9]+"`
	for name, tc := range map[string]struct {
		indicator v1alpha1.Indicator
		scopes    []analysis.Scope
		selectors []string
	}{
		"one metric": {of(matching("a", verb, notHealth), matching("a", verb, fives)),
			[]analysis.Scope{{Metric: "a", Labels: []string{"verb"}}, {Metric: "a", Labels: []string{"code"}, Narrows: true}}, []string{`a{S}`, `a{S,verb="GET",handler!="/healthz"}`}},
		"two metrics": {of(matching("a"), matching("b", fives)),
			[]analysis.Scope{{Metric: "a"}, {Metric: "b", Labels: []string{"code"}, OfBad: true}}, []string{`a{S}`, `b{S}`}},
		"matchers that an absent label satisfies": {of(matching("a", notHealth, anyPath), matching("b", notHealth)),
			[]analysis.Scope{{Metric: "a"}, {Metric: "b", OfBad: true}}, []string{`a{S}`, `b{S}`}},
		"latency": {latency(300*time.Millisecond, verb), []analysis.Scope{{Metric: "request_duration_seconds_count", Labels: []string{"verb"}}, {Metric: "request_duration_seconds_bucket", Bound: "300ms"}},
			[]string{`request_duration_seconds_count{S}`, `request_duration_seconds_bucket{S,le=~"0\\.30*"}`}},
		"promQL": {v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: `a{code!="1"} + b{verb="GET"}`, Bad: `a{code="500"} + {"c.d",code=~"5.."} + c{x=""}`}},
			[]analysis.Scope{{Metric: "a"}, {Metric: "b", Labels: []string{"verb"}}, {Metric: "a", Labels: []string{"code"}, Narrows: true}, {Metric: "c.d", Labels: []string{"code"}, OfBad: true}, {Metric: "c", OfBad: true}},
			[]string{`a{S}`, `b{S}`, `a{S}`, `{__name__="c.d",S}`, `c{S}`}},
		"nothing that is bad needs its label": {of(matching("a"), matching("a", v1alpha1.Matcher{Name: "code", Op: "!~", Value: "2.."}, anyPath)),
			[]analysis.Scope{{Metric: "a"}, {Metric: "a", Labels: []string{"code", "path"}, Narrows: true, Any: true}}, []string{`a{S}`, `a{S}`}},
		"a code, and not a path": {of(matching("a"), matching("a", fives, notHealth)),
			[]analysis.Scope{{Metric: "a"}, {Metric: "a", Labels: []string{"code"}, Narrows: true}}, []string{`a{S}`, `a{S}`}},
		"an error's label": {of(matching("a"), matching("a", v1alpha1.Matcher{Name: "error", Op: "!="})),
			[]analysis.Scope{{Metric: "a"}, {Metric: "a", Has: "error"}}, []string{`a{S}`, `a{S,error!=""}`}},
		"an error's label, but one value": {of(matching("a"), matching("b", v1alpha1.Matcher{Name: "error", Op: "!~", Value: "|timeout"})),
			[]analysis.Scope{{Metric: "a"}, {Metric: "b", OfBad: true}, {Metric: "b", Has: "error"}}, []string{`a{S}`, `b{S}`, `b{S,error!=""}`}},
		"promQL by no label": {v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: `a{verb="GET"}`, Bad: `a{verb="GET",code!~"2.."}`}},
			[]analysis.Scope{{Metric: "a", Labels: []string{"verb"}}, {Metric: "a", Labels: []string{"code"}, Narrows: true, Any: true}}, []string{`a{S}`, `a{S}`}},
		"promQL by a difference": {v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: `a`, Bad: `a - a{code=~"2.."}`}},
			[]analysis.Scope{{Metric: "a"}, {Metric: "a", Labels: []string{"code"}, Narrows: true}}, []string{`a{S}`, `a{S}`}},
		"alternatives in bad": {v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: `a`, Bad: `sum by (pod) (a{code=~"5.."} or a{status=~"5.."})`}},
			[]analysis.Scope{{Metric: "a"}}, []string{`a{S}`}},
		"alternatives in both": {v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: `sum by (pod) (a or b)`, Bad: `a{code=~"5.."} or b{code=~"5.."}`}}, nil, nil},
	} {
		probe, err := IndicatorProbe(tc.indicator, shop)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i := range tc.selectors {
			tc.selectors[i] = strings.ReplaceAll(tc.selectors[i], "S", s)
		}
		if diff := cmp.Diff(tc.scopes, probe.Scopes) + cmp.Diff(tc.selectors, probe.selectors); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		mustHoldAll(t, probe.Query, len(vectorSelectors(t, probe.Query)))
	}
	invariant := v1alpha1.Invariant{Checks: matching("checks", verb), Violations: matching("violations", verb)}
	if probe, err := InvariantProbe(invariant, shop); err != nil || len(probe.Scopes) != 2 || !probe.Scopes[1].OfBad {
		t.Errorf("an invariant: %+v, %v", probe.Scopes, err)
	}
	if _, err := IndicatorProbe(v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: "rate(a[5m])", Bad: "b"}}, shop); err == nil {
		t.Error("a rate is probed")
	}
}

// TestProbe reads what Prometheus 3 returns for a probe of one metric, with a label that
// one version has and the other has not.
func TestProbe(t *testing.T) {
	probe, err := IndicatorProbe(of(matching("req", notHealth), matching("req", fives, verb)), shop)
	if err != nil {
		t.Fatal(err)
	}
	row := func(namespace, pod, k, value string) string {
		return fmt.Sprintf(`{"metric":{"belay_k":%[3]q,"belay_set":%[2]q,"k":%[3]q,"namespace":%[1]q,"pod":%[2]q},"value":[%[5]d,%[4]q]}`, namespace, pod, k, value, evaluated.Unix())
	}
	source := connect(t, defaults(serve(t, say(http.StatusOK, vector(
		row("shop", "web-7f9c6d-", "0", "4"), row("shop", "web-7f9c6d-", "1,1,", "2"), row("shop", "web-7f9c6d-", "1,1,1", "1"), row("shop", "web-7f9c6d-", "total", "153"),
		row("shop", "web-7f9c6d-", "bad", "30"), row("shop", "web-7f9c6d-", "within", "27"), row("bank", "web-7f9c6d-", "0", "1"), row("shop", "web-0123456789-", "1,,1", "2"),
	)))))
	got, err := source.Probe(t.Context(), "shop", probe, stopped)
	if err != nil {
		t.Fatal(err)
	}
	for set, want := range map[string]analysis.Sight{
		"web-7f9c6d":     {Counts: analysis.Counts{Total: 153, Bad: 3}, Scopes: []analysis.ScopeSight{{Series: 4, With: []int{}}, {Series: 3, With: []int{3, 1}}}},
		"web-0123456789": {Scopes: []analysis.ScopeSight{{With: []int{}}, {Series: 2, With: []int{0, 2}}}},
		"web-of-others":  {Scopes: []analysis.ScopeSight{{With: []int{}}, {With: []int{0, 0}}}},
	} {
		if diff := cmp.Diff(want, got.Of(probe, Pods{Namespace: "shop", ReplicaSets: []string{set}})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", set, diff)
		}
	}
	for name, hostile := range map[string]string{
		"another scope":     row("shop", "web-7f9c6d-", "2", "4"),
		"a negative scope":  row("shop", "web-7f9c6d-", "-1", "4"),
		"labels too many":   row("shop", "web-7f9c6d-", "0,1", "4"),
		"no scope":          row("shop", "web-7f9c6d-", "", "4"),
		"a negative number": row("shop", "web-7f9c6d-", "0", "-4"),
		"not a number":      row("shop", "web-7f9c6d-", "0", "NaN"),
		"a long namespace":  row(strings.Repeat("n", 64), "web-7f9c6d-", "0", "4"),
	} {
		source := connect(t, defaults(serve(t, say(http.StatusOK, vector(hostile)))))
		if got, err := source.Probe(t.Context(), "shop", probe, stopped); reasonOf(err) != analysis.Malformed || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestAnExpressionMayDropTheNamespace, and is then counted all the same.
func TestAnExpressionMayDropTheNamespace(t *testing.T) {
	probe, err := IndicatorProbe(v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: "sum by (pod) (a)", Bad: "b"}}, shop)
	if err != nil {
		t.Fatal(err)
	}
	seen := Sights{{"shop", "web-7f9c6d-"}: {Scopes: []analysis.ScopeSight{{Series: 2}, {}}}, {"", "web-7f9c6d-"}: {Counts: analysis.Counts{Total: 5}}}
	if got := seen.Of(probe, Pods{Namespace: "shop", ReplicaSets: []string{"web-7f9c6d"}}); got.Total != 5 || got.Scopes[0].Series != 2 {
		t.Errorf("got %+v", got)
	}
}

// TestLabelNames are those of one series, bounded: they are text of a source.
func TestLabelNames(t *testing.T) {
	probe, err := IndicatorProbe(of(matching("req"), matching("req", fives)), shop)
	if err != nil {
		t.Fatal(err)
	}
	many := ""
	for i := range 100 {
		many += fmt.Sprintf(`"l%02d":"x",`, i)
	}
	for labels, want := range map[string]int{
		`"__name__":"req","pod":"p","code":"200","namespace":"n"`: 3,
		many + `"z":"x"`:                         64,
		`"` + strings.Repeat("n", 129) + `":"x"`: 0,
	} {
		asked := ""
		source := connect(t, defaults(serve(t, func(w http.ResponseWriter, r *http.Request) {
			asked = r.FormValue("query")
			say(http.StatusOK, vector(fmt.Sprintf(`{"metric":{%s},"value":[%d,"1"]}`, labels, evaluated.Unix())))(w, r)
		})))
		got, err := source.LabelNames(t.Context(), "shop", probe, 1, stopped)
		if err != nil || len(got) != want {
			t.Errorf("%d names: %q, %v; want %d", len(got), got, err, want)
		}
		mustHoldAll(t, asked, 1)
	}
	source := connect(t, defaults(serve(t, say(http.StatusOK, vector()))))
	if _, err := source.LabelNames(t.Context(), "shop", probe, 2, stopped); err == nil {
		t.Error("a scope that the probe has not")
	}
}
