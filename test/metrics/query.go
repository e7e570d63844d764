package metrics

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// added are labels that every series has once Prometheus has scraped it.
var added = []string{"namespace", "pod", "container", "instance", "job"}

// CheckQuery parses a query, and reports metrics in it that nothing exports and labels that
// its metrics do not have.
func CheckQuery(query string, exported map[string]Metric) error {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	var wrong []string
	known := []string{"le"}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		selector, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		m, ok := find(selector.Name, exported)
		if !ok {
			wrong = append(wrong, "nothing exports "+selector.Name)
		}
		has := slices.Concat(m.Labels, added)
		known = append(known, has...)
		for _, matcher := range selector.LabelMatchers {
			if matcher.Name != "__name__" && !slices.Contains(has, matcher.Name) {
				wrong = append(wrong, fmt.Sprintf("%s has no label %s", selector.Name, matcher.Name))
			}
		}
		return nil
	})
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if by, ok := n.(*parser.AggregateExpr); ok {
			for _, label := range by.Grouping {
				if !slices.Contains(known, label) {
					wrong = append(wrong, "no metric of it has the label "+label)
				}
			}
		}
		return nil
	})
	if len(wrong) > 0 {
		return fmt.Errorf("%s: %s", query, strings.Join(wrong, "; "))
	}
	return nil
}

// find knows the series of a histogram by its name.
func find(series string, exported map[string]Metric) (Metric, bool) {
	for _, of := range []map[string]Metric{exported, foreign} {
		if m, ok := of[series]; ok {
			return m, m.Type != "histogram"
		}
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			if name, cut := strings.CutSuffix(series, suffix); cut && of[name].Type == "histogram" {
				return of[name], true
			}
		}
	}
	return Metric{}, false
}
