package prometheus

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

const boundText = `namespace="shop",pod=~"(web-7f9c6d-|web-0123456789-)[a-z0-9]+"`

func TestCustomQueryBinds(t *testing.T) {
	// $M stands for the matchers, which the printer sorts among the user's.
	cases := map[string]struct{ expression, want string }{
		"a metric":                   {`up`, `up{$M}`},
		"empty braces":               {` up { } `, `up{$M}`},
		"the user's matchers":        {`up{code=~"5..",verb!="GET"}`, `up{code=~"5..",$M,verb!="GET"}`},
		"one label twice":            {`up{a!="b",a!~"c.*"}`, `up{a!="b",a!~"c.*",$M}`},
		"a metric by its name":       {`{__name__="up"}`, `{__name__="up",$M}`},
		"a metric of UTF-8":          {`{"http.requests é","service.name"="a"}`, `{"service.name"="a",__name__="http.requests é",$M}`},
		"labels that look alike":     {`up{"pod "="a",Pod="b",pod_name="c",exported_pod="d"}`, `up{"pod "="a",Pod="b",exported_pod="d",$M,pod_name="c"}`},
		"a sum by pod":               {`sum by (pod) (nginx_requests_total)`, `sum by (pod) (nginx_requests_total{$M})`},
		"a ratio of increases":       {`increase(bad[5m])/increase(all[5m])`, `increase(bad{$M}[5m]) / increase(all{$M}[5m])`},
		"a quantile of a histogram":  {`histogram_quantile(0.99, sum by (le, pod) (rate(d_bucket[5m])))`, `histogram_quantile(0.99, sum by (le, pod) (rate(d_bucket{$M}[5m])))`},
		"a native histogram":         {`histogram_count(d) - histogram_fraction(0, 0.5, d) * histogram_count(d)`, `histogram_count(d{$M}) - histogram_fraction(0, 0.5, d{$M}) * histogram_count(d{$M})`},
		"a subquery":                 {`max_over_time(rate(up[5m])[30m:1m])`, `max_over_time(rate(up{$M}[5m])[30m:1m])`},
		"an hour":                    {`increase(up[1h])`, `increase(up{$M}[1h])`},
		"matching on labels":         {`a / on (pod, code) b`, `a{$M} / on (pod, code) b{$M}`},
		"ignoring pods":              {`a unless ignoring (pod) b`, `a{$M} unless ignoring (pod) b{$M}`},
		"many to one":                {`a * on (pod) group_left (version) b`, `a{$M} * on (pod) group_left (version) b{$M}`},
		"set operators":              {`a and b or c unless d`, `a{$M} and b{$M} or c{$M} unless d{$M}`},
		"another label written":      {`label_replace(a, "kind", "$1", "pod", "(.*)")`, `label_replace(a{$M}, "kind", "$1", "pod", "(.*)")`},
		"another label joined":       {`label_join(a, "id", "/", "namespace", "pod")`, `label_join(a{$M}, "id", "/", "namespace", "pod")`},
		"values counted":             {`count_values by (pod) ("version", a)`, `count_values by (pod) ("version", a{$M})`},
		"a parameter that selects":   {`topk(scalar(a), b)`, `topk(scalar(a{$M}), b{$M})`},
		"comparison and time":        {`a > bool (time() - 60)`, `a{$M} > bool (time() - 60)`},
		"an hour of a sample":        {`a * hour(b)`, `a{$M} * hour(b{$M})`},
		"powers keep their order":    {`-a ^ 2 ^ (b - 1)`, `-a{$M} ^ 2 ^ (b{$M} - 1)`},
		"comments and lines":         {"a # } or up{pod=~\".+\"}\n + # x\n b", `a{$M} + b{$M}`},
		"an offset of nothing":       {`a offset 0s`, `a{$M}`},
		"a value with an injection":  {`a{b="\"} or up{pod=~\".+\"} #"}`, `a{b="\"} or up{pod=~\".+\"} #",$M}`},
		"a value in back quotes":     {"a{b=`\"} or c{d=\"`}", `a{b="\"} or c{d=\"",$M}`},
		"a value of any bytes":       {`a{b="\x00\xff\u2028"}`, `a{b="\x00\xff\u2028",$M}`},
		"operators' names as labels": {`sum by (sum, by, on) (a{group_left="b"})`, `sum by (sum, by, on) (a{group_left="b",$M})`},
		"a metric called like one":   {`sum{a="b"} + offset`, `sum{a="b",$M} + offset{$M}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := CustomQuery(c.expression, shop)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.ReplaceAll(c.want, "$M", boundText), got); diff != "" {
				t.Errorf("query (-want +got):\n%s", diff)
			}
			mustHoldAll(t, got, strings.Count(c.want, "$M"))
		})
	}
}

// mustHoldAll fails unless each of the query's selectors holds the matchers of
// shop's pods, compared as text and not by the code under test.
func mustHoldAll(t *testing.T, query string, want int) {
	t.Helper()
	selectors := vectorSelectors(t, query)
	if len(selectors) != want {
		t.Errorf("%s\nhas %d selectors, want %d", query, len(selectors), want)
	}
	for _, s := range selectors {
		mine := map[string]bool{}
		for _, m := range matcherTexts(s.LabelMatchers) {
			mine[m] = true
		}
		if !mine[`namespace="shop"`] || !mine[`pod=~"(web-7f9c6d-|web-0123456789-)[a-z0-9]+"`] {
			t.Errorf("%s\nhas the selector %s, which is not bound", query, s)
		}
	}
}

func TestCustomQueryRefusesPodsThatCannotBeToldApart(t *testing.T) {
	if query, err := CustomQuery("up", Pods{Namespace: "shop"}); err == nil || query != "" {
		t.Errorf("CustomQuery() = %q, %v; want an error", query, err)
	}
}

func TestBindKeepsToItsCaps(t *testing.T) {
	roomy := Caps{Bytes: 100, Depth: 9, Selectors: 9, Range: time.Hour, Steps: 99}
	cases := map[string]struct {
		expression string
		fits       func(*Caps)
		tight      func(*Caps)
		wantErr    string
	}{
		"bytes": {`up`, func(c *Caps) { c.Bytes = 2 }, func(c *Caps) { c.Bytes = 1 }, "has 2 bytes, 1 are allowed"},
		"depth": {`abs(up)`, func(c *Caps) { c.Depth = 2 }, func(c *Caps) { c.Depth = 1 }, "more than 1 levels deep"},
		"depth of a parameter": {`topk(scalar(up), up)`, func(c *Caps) { c.Depth = 3 }, func(c *Caps) { c.Depth = 2 },
			"more than 2 levels deep"},
		"depth of a range": {`rate(up[5m])`, func(c *Caps) { c.Depth = 3 }, func(c *Caps) { c.Depth = 2 }, "more than 2 levels deep"},
		"selectors":        {`a + b`, func(c *Caps) { c.Selectors = 2 }, func(c *Caps) { c.Selectors = 1 }, "more than 1 selectors"},
		"range": {`rate(up[5m])`, func(c *Caps) { c.Range = 5 * time.Minute },
			func(c *Caps) { c.Range = 5*time.Minute - 1 }, "looks back more than"},
		"ranges that add up": {`max_over_time(max_over_time(rate(up[5m])[10m:5m])[15m:5m])`,
			func(c *Caps) { c.Range = 30 * time.Minute }, func(c *Caps) { c.Range = 30*time.Minute - 1 }, "looks back more than"},
		"ranges side by side do not": {`rate(up[5m]) + max_over_time(up[5m:1m])`,
			func(c *Caps) { c.Range = 5 * time.Minute }, func(c *Caps) { c.Range = 5*time.Minute - 1 }, "looks back more than"},
		"steps": {`max_over_time(up[5m:1m])`, func(c *Caps) { c.Steps = 6 }, func(c *Caps) { c.Steps = 5 }, "more than 5 steps"},
		"steps that multiply": {`max_over_time(max_over_time(up[5m:1m])[5m:1m])`,
			func(c *Caps) { c.Steps = 36 }, func(c *Caps) { c.Steps = 35 }, "more than 35 steps"},
	}
	matchers := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "pod", "x")}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			caps := roomy
			c.fits(&caps)
			if _, err := Bind(c.expression, matchers, caps); err != nil {
				t.Errorf("with caps that fit: %v", err)
			}
			c.tight(&caps)
			if _, err := Bind(c.expression, matchers, caps); err == nil || !strings.Contains(err.Error(), c.wantErr) {
				t.Errorf("with tight caps: %v, want an error saying %q", err, c.wantErr)
			}
		})
	}
	if _, err := Bind("up", matchers, Caps{}); err == nil {
		t.Error("no caps allow an expression")
	}
	if _, err := Bind("up", nil, roomy); err == nil {
		t.Error("an expression is bound to nothing")
	}
}

// TestBindAllRefusesWhatParsersMayAllowLater walks trees that today's options
// keep from parsing: an upgrade must not open them.
func TestBindAllRefusesWhatParsersMayAllowLater(t *testing.T) {
	matchers, err := shop.Matchers()
	if err != nil {
		t.Fatal(err)
	}
	later := parser.NewParser(parser.Options{EnableExperimentalFunctions: true, EnableBinopFillModifiers: true, EnableUnquotedUTF8Names: true})
	cases := map[string]struct{ expression, wantErr string }{
		"labels of series not selected":  {`info(up)`, "info() adds labels"},
		"labels of others, chosen":       {`info(up, {a="b"})`, "info() adds labels"},
		"a quantile's label":             {`histogram_quantiles(up, "pod", 0.5)`, "takes a string"},
		"a function that names labels":   {`sort_by_label(up, "pod")`, "takes a string"},
		"missing values filled":          {`up + fill (0) down`, "fill hides missing data"},
		"missing values filled, left":    {`up + fill_left (0) down`, "fill hides missing data"},
		"missing values filled, right":   {`up + fill_right (0) down`, "fill hides missing data"},
		"a scalar of the query's bounds": {`vector(end() - start())`, saysNoPod},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			tree, err := later.ParseExpr(c.expression)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := bindAll(tree, matchers, DefaultCaps()); err == nil || !strings.Contains(err.Error(), c.wantErr) {
				t.Errorf("bindAll() = %v, want an error saying %q", err, c.wantErr)
			}
		})
	}
	unknown := &parser.StepInvariantExpr{Expr: &parser.NumberLiteral{}}
	if _, err := bindAll(unknown, matchers, DefaultCaps()); err == nil || !strings.Contains(err.Error(), "does not support") {
		t.Errorf("a node that Belay does not support: %v", err)
	}
	if _, err := bindAll(&parser.NumberLiteral{}, matchers, DefaultCaps()); err == nil || !strings.Contains(err.Error(), "has no selector") {
		t.Errorf("a tree without a selector: %v", err)
	}
}

func TestCheckBoundReadsTheText(t *testing.T) {
	matchers, err := shop.Matchers()
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		query   string
		wantErr string
	}{
		"as printed":                  {`a{$M} + b{$M}`, ""},
		"text that does not parse":    {`a{$M} + b{$M`, "cannot be combined with"},
		"a selector lost":             {`a{$M}`, "cannot be combined with"},
		"a selector too many":         {`a{$M} + b{$M} + c{$M}`, "cannot be combined with"},
		"an unbound one beside":       {`a{$M} + b{$M} + c`, "cannot be combined with"},
		"one that lacks a matcher":    {`a{$M} + b{namespace="shop"}`, "cannot be combined with"},
		"one of another namespace":    {`a{$M} + b{namespace="bank",pod=~"(web-7f9c6d-|web-0123456789-)[a-z0-9]+"}`, "cannot be combined with"},
		"one with another operator":   {`a{$M} + b{namespace!="shop",pod=~"(web-7f9c6d-|web-0123456789-)[a-z0-9]+"}`, "cannot be combined with"},
		"the matchers in a comment":   {"a{$M} + b # {$M}", "cannot be combined with"},
		"the matchers in a text":      {`a{$M} + b{c="{namespace=\"shop\"}"}`, "cannot be combined with"},
		"the matchers and the others": {`a{$M,c="d"} + b{$M,pod!="x"}`, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := checkBound(strings.ReplaceAll(c.query, "$M", boundText), matchers, 2)
			if (err == nil) != (c.wantErr == "") || err != nil && !strings.Contains(err.Error(), c.wantErr) {
				t.Errorf("checkBound() = %v, want an error saying %q", err, c.wantErr)
			}
		})
	}
}

// FuzzBind demands of every text either a refusal that can be shown, or a query
// that says the same of the pods and of nothing else.
func FuzzBind(f *testing.F) {
	for _, c := range hostile {
		if len(c.expression) < 200 {
			f.Add(c.expression)
		}
	}
	f.Add(`sum by (pod) (rate(up{a="b"}[5m])) / on (pod) group_left (c) {"d.e"} ^ Inf`)
	f.Add(`max_over_time(-label_replace(up, "a", "$1", "pod", "(.*)")[10m:1m]) unless ignoring (b) 0x1F < c`)
	f.Fuzz(func(t *testing.T, expression string) {
		query, err := CustomQuery(expression, shop)
		if err != nil {
			if query != "" || !printable.MatchString(err.Error()) {
				t.Fatalf("CustomQuery(%q) = %q, %q; want no query and a short message of ASCII", expression, query, err)
			}
			return
		}
		if len(query) > maxQuery {
			t.Errorf("%s\nhas %d bytes", query, len(query))
		}
		selectors := len(vectorSelectors(t, expression))
		if selectors == 0 {
			t.Errorf("%q was accepted without a selector", expression)
		}
		mustHoldAll(t, query, selectors)
		if diff := cmp.Diff(text(t, text(t, expression, false), false), text(t, query, true)); diff != "" {
			t.Errorf("binding changed more than the matchers (-want +got):\n%s", diff)
		}
		if _, err := CustomQuery(query, shop); err == nil {
			t.Errorf("%s\nnames reserved labels, and was accepted", query)
		}
	})
}

// text is a query as it is printed, without the bound matchers if asked.
func text(t *testing.T, query string, unbound bool) string {
	t.Helper()
	tree, err := promQL().ParseExpr(query)
	if err != nil {
		t.Fatalf("%s\ndoes not parse: %v", query, err)
	}
	parser.Inspect(tree, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok && unbound {
			var theirs []*labels.Matcher
			for _, m := range s.LabelMatchers {
				if m.Name != "namespace" && m.Name != "pod" {
					theirs = append(theirs, m)
				}
			}
			s.LabelMatchers = theirs
		}
		return nil
	})
	return tree.String()
}
