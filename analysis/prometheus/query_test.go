package prometheus

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"belay.dev/belay/api/v1alpha1"
)

var shop = Pods{Namespace: "shop", ReplicaSets: []string{"web-7f9c6d", "web-0123456789"}}

func series(metric string, matchers ...v1alpha1.Matcher) v1alpha1.Series {
	return v1alpha1.Series{Metric: metric, Matchers: matchers}
}

// countsOf is the query for an indicator of two counters.
func countsOf(total, bad v1alpha1.Series, pods ...Pods) (string, error) {
	return IndicatorQuery(v1alpha1.Indicator{Requests: &v1alpha1.RequestsIndicator{Total: total, Bad: bad}}, pods...)
}

// vectorSelectors parses a query with Prometheus' own parser.
func vectorSelectors(t *testing.T, query string) []*parser.VectorSelector {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		t.Fatalf("%s\ndoes not parse: %v", query, err)
	}
	var out []*parser.VectorSelector
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			out = append(out, v)
		}
		return nil
	})
	return out
}

func TestCountsQueryText(t *testing.T) {
	const mine = `namespace="shop",pod=~"(web-7f9c6d-|web-0123456789-)[a-z0-9]+"`
	cases := map[string]struct {
		total, bad v1alpha1.Series
		want       string
	}{
		"requests by status": {
			total: series("http_requests_total"),
			bad:   series("http_requests_total", v1alpha1.Matcher{Name: "code", Op: "=~", Value: "5.."}),
			want: `label_replace(sum by (namespace, pod, instance) (http_requests_total{` + mine + `}),"k","total","","")` +
				` or label_replace(sum by (namespace, pod, instance) (http_requests_total{` + mine + `,code=~"5.."}),"k","bad","","")` +
				` or label_replace(min by (namespace, pod, instance) (timestamp(http_requests_total{` + mine + `})),"k","ts","","")`,
		},
		"an invariant's checks and violations": {
			total: series("ledger_checks_total", v1alpha1.Matcher{Name: "kind", Value: "sum"}),
			bad:   series("ledger_violations_total", v1alpha1.Matcher{Name: "kind", Op: "!=", Value: ""}),
			want: `label_replace(sum by (namespace, pod, instance) (ledger_checks_total{` + mine + `,kind="sum"}),"k","total","","")` +
				` or label_replace(sum by (namespace, pod, instance) (ledger_violations_total{` + mine + `,kind!=""}),"k","bad","","")` +
				` or label_replace(min by (namespace, pod, instance) (timestamp(ledger_checks_total{` + mine + `,kind="sum"})),"k","ts","","")`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := countsOf(c.total, c.bad, shop)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("query (-want +got):\n%s", diff)
			}
			if n := len(vectorSelectors(t, got)); n != 3 {
				t.Errorf("the query has %d selectors, want 3", n)
			}
		})
	}
}

// TestCountsQueryQuotesHostileValues reads every query back with Prometheus' own
// parser: the value must come back as it went in, and nothing beside it.
func TestCountsQueryQuotesHostileValues(t *testing.T) {
	values := []string{
		`a"} or vector(1) #`, `"`, `\`, `\"`, `\\"`, "`", `'`, "new\nline", "tab\t", "\x00", "\x7f", "\u2028", "\u00ad", "\ufeff", "😀",
		`"},pod=~".+`, `"} or up{pod=~"`, `{{ $labels }}`, `$1`, `#`, `/* */`, `\u0022`, `\x22`, `\` + "\n", ``, strings.Repeat(`"`, 256),
	}
	for _, value := range values {
		query, err := countsOf(series("up"), series("up", v1alpha1.Matcher{Name: "a", Op: "!=", Value: value}), shop)
		if err != nil {
			t.Errorf("%q: %v", value, err)
			continue
		}
		selectors := vectorSelectors(t, query)
		if len(selectors) != 3 {
			t.Errorf("%q: %d selectors, want 3", value, len(selectors))
			continue
		}
		want := []*labels.Matcher{
			labels.MustNewMatcher(labels.MatchEqual, "namespace", "shop"),
			labels.MustNewMatcher(labels.MatchRegexp, "pod", `(web-7f9c6d-|web-0123456789-)[a-z0-9]+`),
			labels.MustNewMatcher(labels.MatchNotEqual, "a", value),
			labels.MustNewMatcher(labels.MatchEqual, "__name__", "up"),
		}
		if got := matcherTexts(selectors[1].LabelMatchers); !cmp.Equal(got, matcherTexts(want)) {
			t.Errorf("%q: matchers %q, want %q", value, got, matcherTexts(want))
		}
	}
}

func matcherTexts(matchers []*labels.Matcher) []string {
	out := make([]string, len(matchers))
	for i, m := range matchers {
		out[i] = m.String()
	}
	return out
}

func TestCountsQueryRefuses(t *testing.T) {
	match := func(name, op, value string) v1alpha1.Series {
		return series("up", v1alpha1.Matcher{Name: name, Op: v1alpha1.MatchOp(op), Value: value})
	}
	long := series("up")
	for range 10 {
		long.Matchers = append(long.Matchers, v1alpha1.Matcher{Name: "a", Value: strings.Repeat("x", 400)})
	}
	deployment := strings.Repeat("d", 60)
	cases := map[string]struct {
		bad     v1alpha1.Series
		pods    Pods
		wantErr string
	}{
		"no ReplicaSet":           {series("up"), Pods{Namespace: "shop"}, "no ReplicaSet"},
		"no namespace":            {series("up"), Pods{ReplicaSets: shop.ReplicaSets}, "no namespace"},
		"a metric with a matcher": {series(`up{pod="x"} or up`), shop, "not a metric name"},
		"a metric with a space":   {series("up "), shop, "not a metric name"},
		"no metric":               {series(""), shop, "not a metric name"},
		"an operator that closes": {match("a", `="x"} or up{a=`, ""), shop, "is not an operator of matchers"},
		"an unknown operator":     {match("a", "==", ""), shop, "use =, !=, =~ or !~"},
		"a label that closes":     {match(`a="b"} or up{c`, "=", ""), shop, "not a label name"},
		"a label quoted":          {match(`"pod"`, "=", ""), shop, "not a label name"},
		"the pod":                 {match("pod", "=~", ".+"), shop, "remove this matcher"},
		"the namespace":           {match("namespace", "=~", ".+"), shop, "remove this matcher"},
		"the metric's name":       {match("__name__", "=~", ".+"), shop, "remove this matcher"},
		"a value that is no text": {match("a", "=", "\xff"), shop, "not valid UTF-8"},
		"a broken pattern":        {match("a", "=~", "("), shop, "not a valid regular expression"},
		"a pattern that escapes":  {match("a", "!~", ")|(.*"), shop, "not a valid regular expression"},
		"too long":                {long, shop, "use fewer or shorter matchers"},
		"pods that share names":   {series("up"), Pods{Namespace: "shop", ReplicaSets: []string{deployment + "-aaaaaaaaaa", deployment + "-bbbbbbbbbb"}}, "at most 46 characters"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			query, err := countsOf(series("up"), c.bad, c.pods)
			if err == nil || !strings.Contains(err.Error(), c.wantErr) {
				t.Errorf("countsOf() = %q, %v; want an error saying %q", query, err, c.wantErr)
			}
		})
	}
	if _, err := countsOf(series("up{}"), series("up"), shop); err == nil {
		t.Error("the total series is not checked")
	}
}

func TestCountsQueryBindsNamespacesAndSetsAsText(t *testing.T) {
	query, err := countsOf(series("up"), series("up"), Pods{Namespace: `a"b`, ReplicaSets: []string{`web.v1`, `x|.*`}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range vectorSelectors(t, query) {
		got := matcherTexts(s.LabelMatchers[:2])
		want := []string{`namespace="a\"b"`, `pod=~"(web\\.v1-|x\\|\\.\\*-)[a-z0-9]+"`}
		if !cmp.Equal(got, want) {
			t.Errorf("matchers = %q, want %q", got, want)
		}
	}
}

func TestBelongsToAgreesWithTheQuery(t *testing.T) {
	long := "a-deployment-with-a-very-long-name-of-fifty-letters-7f9c6d5b8c"
	cases := map[string]struct {
		pod, set string
		want     bool
	}{
		"its pod":                         {"web-7f9c6d-x2k4f", "web-7f9c6d", true},
		"another set's pod":               {"web-0000-x2k4f", "web-7f9c6d", false},
		"a set whose name begins alike":   {"web-7f9c6d-extra-x2k4f", "web-7f9c6d", false},
		"the set's own name":              {"web-7f9c6d", "web-7f9c6d", false},
		"no random part":                  {"web-7f9c6d-", "web-7f9c6d", false},
		"no set":                          {"web-x2k4f", "", false},
		"a name that Kubernetes cut":      {long[:58] + "x2k4f", long, true},
		"a long name that it did not cut": {long + "-x2k4f", long, false},
		"dots are text":                   {"webxv1-x2k4f", "web.v1", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := BelongsTo(c.pod, c.set); got != c.want {
				t.Errorf("BelongsTo(%q, %q) = %v, want %v", c.pod, c.set, got, c.want)
			}
			m := labels.MustNewMatcher(labels.MatchRegexp, "pod", podPattern([]Pods{{ReplicaSets: []string{c.set}}}))
			if got := c.set != "" && m.Matches(c.pod); got != c.want {
				t.Errorf("the query matches %q: %v, want %v", c.pod, got, c.want)
			}
		})
	}
}

// TestInvariantQueryRemembersViolations: a container that restarted since has lost
// its count, and the source has not.
func TestInvariantQueryRemembersViolations(t *testing.T) {
	const mine = `namespace="shop",pod=~"(web-7f9c6d-|web-0123456789-)[a-z0-9]+"`
	want := `label_replace(sum by (namespace, pod, instance) (checks_total{` + mine + `}),"k","total","","")` +
		` or label_replace(sum by (namespace, pod, instance) (max_over_time(violations_total{` + mine + `}[15m])),"k","bad","","")` +
		` or label_replace(min by (namespace, pod, instance) (timestamp(checks_total{` + mine + `})),"k","ts","","")`
	got, err := InvariantQuery(v1alpha1.Invariant{Checks: series("checks_total"), Violations: series("violations_total")}, shop)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	vectorSelectors(t, got)
}
