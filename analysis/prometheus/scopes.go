package prometheus

import (
	"fmt"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// matchersOf are a series' matchers. The query for the counts has checked them.
func matchersOf(s v1alpha1.Series) []*labels.Matcher {
	var all []*labels.Matcher
	for _, m := range s.Matchers {
		kind := map[v1alpha1.MatchOp]labels.MatchType{"!=": labels.MatchNotEqual, "=~": labels.MatchRegexp, "!~": labels.MatchNotRegexp}[m.Op]
		if match, err := labels.NewMatcher(kind, m.Name, m.Value); err == nil {
			all = append(all, match)
		}
	}
	return all
}

// neededBy are the labels of the matchers that select nothing without their label.
func neededBy(matchers []*labels.Matcher) (names []string) {
	for _, m := range matchers {
		if !m.Matches("") && isLabel(m) && !slices.Contains(names, m.Name) {
			names = append(names, m.Name)
		}
	}
	return names
}

func isLabel(m *labels.Matcher) bool {
	return m.Name != model.MetricNameLabel && otelLabelName.MatchString(m.Name)
}

// asksForPresence reports whether a matcher selects what has a label, or all values but some:
// an error's label, which may come with the first error.
func asksForPresence(m *labels.Matcher) bool {
	switch m.Type {
	case labels.MatchNotEqual, labels.MatchNotRegexp:
		return !m.Matches("")
	case labels.MatchRegexp:
		return m.Value == ".+" || m.Value == "..*"
	default:
		return false
	}
}

// narrowing are the matchers of bad that total lacks, sorted by what they need: a label that
// exists from the beginning, or one that may come with the first bad request. loose are the
// labels of all of them when none needs its label: without any of the labels, bad selects what
// total does.
func narrowing(bad []*labels.Matcher, total ...[]*labels.Matcher) (needed, present, loose []string) {
	var others []*labels.Matcher
	all := true
	for _, m := range bad {
		inTotal := slices.ContainsFunc(total, func(of []*labels.Matcher) bool {
			return slices.ContainsFunc(of, func(t *labels.Matcher) bool { return t.Name == m.Name && t.Type == m.Type && t.Value == m.Value })
		})
		if inTotal || !isLabel(m) {
			continue
		}
		all = all && m.Matches("")
		if asksForPresence(m) {
			present = append(present, m.Name)
			continue
		}
		others = append(others, m)
		if !slices.Contains(loose, m.Name) {
			loose = append(loose, m.Name)
		}
	}
	if !all {
		loose = nil
	}
	return neededBy(others), slices.Compact(present), loose
}

// scopesOfBad are what the matchers of bad need. from are the series that total selects, when
// bad has the metric of total; without them its metric is only bad's.
func scopesOfBad(metric string, bad []*labels.Matcher, from string, nativeToo bool, mine []string, total ...[]*labels.Matcher) (scopes []scope) {
	needed, present, loose := narrowing(bad, total...)
	switch {
	case from == "":
		other := scopeOf(metric, needed, nativeToo, mine)
		other.OfBad = true
		scopes = append(scopes, other)
	case len(needed) > 0:
		scopes = append(scopes, scope{analysis.Scope{Metric: metric, Labels: needed, Narrows: true}, from})
	case len(loose) > 0:
		scopes = append(scopes, scope{analysis.Scope{Metric: metric, Labels: loose, Narrows: true, Any: true}, from})
	}
	for _, name := range present {
		has := scopeOf(metric, nil, nativeToo, append(slices.Clone(mine), quotedName(name)+`!=""`))
		has.Has = name
		scopes = append(scopes, has)
	}
	return scopes
}

// expressionScopes are those of every selector of an expression. There are none for one with
// alternatives, of which one is enough.
func expressionScopes(q v1alpha1.PromQLIndicator, mine []string) (scopes []scope, err error) {
	selected := map[string][][]*labels.Matcher{}
	for i, expression := range []string{q.Total, q.Bad} {
		parsed, err := promQL().ParseExpr(expression)
		if err != nil {
			return nil, fmt.Errorf("the expression is not valid PromQL: %s", quote(err.Error()))
		}
		if hasAlternatives(parsed) {
			continue
		}
		for _, matchers := range parser.ExtractSelectors(parsed) {
			metric := metricIn(matchers)
			if i == 0 {
				scopes = merge(scopes, scopeOf(metric, neededBy(matchers), false, mine))
				selected[metric] = append(selected[metric], matchers)
				continue
			}
			from := ""
			if len(selected[metric]) > 0 {
				from = scopeOf(metric, nil, false, mine).series
			}
			scopes = merge(scopes, scopesOfBad(metric, matchers, from, false, mine, selected[metric]...)...)
		}
	}
	return scopes, nil
}

func metricIn(matchers []*labels.Matcher) string {
	for _, m := range matchers {
		if m.Name == model.MetricNameLabel {
			return m.Value
		}
	}
	return ""
}

// merge adds scopes to those of the same kind and series, so that each is counted once.
func merge(scopes []scope, more ...scope) []scope {
	for _, s := range more {
		at := slices.IndexFunc(scopes, func(known scope) bool {
			return known.series == s.series && known.OfBad == s.OfBad && known.Narrows == s.Narrows && !known.Any && !s.Any && known.Has == s.Has
		})
		if at < 0 {
			scopes = append(scopes, s)
			continue
		}
		for _, name := range s.Labels {
			if !slices.Contains(scopes[at].Labels, name) {
				scopes[at].Labels = append(scopes[at].Labels, name)
			}
		}
	}
	return scopes
}

// hasAlternatives reports whether an expression has a set operator: or, and, unless.
func hasAlternatives(of parser.Expr) bool {
	found := false
	parser.Inspect(of, func(node parser.Node, _ []parser.Node) error {
		binary, ok := node.(*parser.BinaryExpr)
		found = found || ok && binary.Op.IsSetOperator()
		return nil
	})
	return found
}
