package prometheus

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Caps limit what a custom query may cost. A limit of zero allows none.
type Caps struct {
	// Bytes of the expression. This also limits the stack and the time that parsing
	// takes, which grow faster than the nesting.
	Bytes int
	// Depth of the expression's tree: a selector alone has 1.
	Depth int
	// Selectors in the expression.
	Selectors int
	// Range is how far one evaluation looks back, including the ranges of enclosing
	// subqueries.
	Range time.Duration
	// Steps that subqueries evaluate in all; nested ones multiply.
	Steps int
}

// DefaultCaps are enough for a burn rate over one hour, written out in full. The API
// has the same limit of bytes.
func DefaultCaps() Caps {
	return Caps{Bytes: 1024, Depth: 24, Selectors: 16, Range: time.Hour, Steps: 240}
}

// CustomQuery restricts a user's own expression to the pods. It returns an error,
// which says what to change, when the expression cannot be restricted.
func CustomQuery(expression string, pods Pods) (string, error) {
	matchers, err := pods.Matchers()
	if err != nil {
		return "", err
	}
	return Bind(expression, matchers, DefaultCaps())
}

// Bind returns a custom PromQL expression with the matchers added to each of its
// selectors, so that it selects nothing else. It returns an error for an expression
// that could evade them or that costs more than the caps; the error says what to
// change and quotes at most 256 bytes of the expression. The expression can drop
// the matchers' labels from its result, but not write them.
func Bind(expression string, matchers []*labels.Matcher, caps Caps) (string, error) {
	switch {
	case len(matchers) == 0:
		return "", errors.New("there are no labels to restrict the expression by")
	case len(expression) > caps.Bytes:
		return "", fmt.Errorf("the expression has %d bytes, %d are allowed: shorten it, or move a part of it into a recording rule", len(expression), caps.Bytes)
	case !utf8.ValidString(expression):
		return "", errors.New("the expression is not valid UTF-8")
	}
	parsed, err := promQL().ParseExpr(expression)
	if err != nil {
		return "", fmt.Errorf("the expression is not valid PromQL: %s", quote(err.Error()))
	}
	if t := parsed.Type(); t != parser.ValueTypeVector {
		return "", fmt.Errorf("the expression has the type %s: write one of type instant vector", t)
	}
	selectors, err := bindAll(parsed, matchers, caps)
	if err != nil {
		return "", err
	}
	bound := parsed.String()
	if len(bound) > maxQuery {
		return "", fmt.Errorf("the query has %d bytes with its matchers, %d are allowed: use fewer selectors", len(bound), maxQuery)
	}
	if err := checkBound(bound, matchers, selectors); err != nil {
		return "", err
	}
	return bound, nil
}

// promQL is a parser without experimental functions, which sources do not share.
func promQL() parser.Parser { return parser.NewParser(parser.Options{}) }

// bindAll adds the matchers to the tree's selectors and returns their number.
func bindAll(tree parser.Expr, matchers []*labels.Matcher, caps Caps) (int, error) {
	b := binder{matchers: matchers, caps: caps}
	if err := parser.Walk(&b, tree, nil); err != nil {
		return 0, err
	}
	if b.selectors == 0 {
		return 0, errors.New("the expression has no selector, so it cannot be restricted to the candidate's pods: name a metric")
	}
	return b.selectors, nil
}

// checkBound parses the printed query as the source will: every selector in it must
// have the matchers, and the number of selectors must be the same. The matchers
// separate tenants, so this does not rely on the printer alone.
func checkBound(query string, matchers []*labels.Matcher, selectors int) error {
	parsed, err := promQL().ParseExpr(query)
	if err != nil {
		return fmt.Errorf("the expression cannot be combined with Belay's matchers, rewrite it: %s", quote(err.Error()))
	}
	for _, s := range parser.ExtractSelectors(parsed) {
		if !hasAll(s, matchers) {
			return errUnbound
		}
		selectors--
	}
	if selectors != 0 {
		return errUnbound
	}
	return nil
}

var errUnbound = errors.New("the expression cannot be combined with Belay's matchers: rewrite it")

func hasAll(all, wanted []*labels.Matcher) bool {
	for _, w := range wanted {
		same := func(m *labels.Matcher) bool { return m.Type == w.Type && m.Name == w.Name && m.Value == w.Value }
		if !slices.ContainsFunc(all, same) {
			return false
		}
	}
	return true
}

// binder visits an expression's tree, checks each node and binds each selector.
type binder struct {
	matchers  []*labels.Matcher
	caps      Caps
	selectors int
}

// Visit implements parser.Visitor.
func (b *binder) Visit(n parser.Node, path []parser.Node) (parser.Visitor, error) {
	if n == nil {
		return b, nil
	}
	if len(path) >= b.caps.Depth {
		return nil, fmt.Errorf("the expression is nested more than %d levels deep: simplify it, or move a part of it into a recording rule", b.caps.Depth)
	}
	switch n := n.(type) {
	case *parser.VectorSelector:
		return b, b.bind(n)
	case *parser.MatrixSelector:
		return b, b.checkRange(n.Range, n.RangeExpr, path)
	case *parser.SubqueryExpr:
		return b, b.checkSubquery(n, path)
	case *parser.Call:
		return b, b.checkCall(n)
	case *parser.AggregateExpr:
		return b, b.checkAggregate(n)
	case *parser.BinaryExpr:
		return b, b.checkMatching(n.VectorMatching)
	case *parser.ParenExpr, *parser.UnaryExpr, *parser.NumberLiteral, *parser.StringLiteral:
		return b, nil
	default:
		return nil, fmt.Errorf("the expression has a %T, which Belay does not support: rewrite it", n)
	}
}

func (b *binder) bind(s *parser.VectorSelector) error {
	b.selectors++
	switch {
	case b.selectors > b.caps.Selectors:
		return fmt.Errorf("the expression has more than %d selectors: use fewer, or move a part of it into a recording rule", b.caps.Selectors)
	case s.OriginalOffset != 0 || s.OriginalOffsetExpr != nil || s.Timestamp != nil || s.StartOrEnd != 0:
		return errShifted
	case s.Anchored || s.Smoothed:
		return errors.New("anchored and smoothed read samples outside of the range, and few sources support them: remove them")
	case !slices.ContainsFunc(s.LabelMatchers, namesMetric):
		return errors.New("a selector has no metric name, so it would select all of a pod's series: add one")
	}
	for _, m := range s.LabelMatchers {
		if err := b.checkMatcher(m); err != nil {
			return err
		}
	}
	s.LabelMatchers = append(s.LabelMatchers, b.matchers...)
	return nil
}

var errShifted = errors.New("offset and @ change the time that is evaluated: remove them")

func namesMetric(m *labels.Matcher) bool {
	return m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual && m.Value != ""
}

// checkMatcher lets users match the labels that exporters and scrapes set, not those by
// which sources select tenants.
func (b *binder) checkMatcher(m *labels.Matcher) error {
	switch {
	case b.isReserved(m.Name):
		return fmt.Errorf("a selector has a matcher on the label %s, which Belay sets: remove this matcher", m.Name)
	case m.Name == model.MetricNameLabel && !namesMetric(m):
		return errors.New("a selector matches the metric name by another operator than =: name one metric, and combine several with or")
	case m.Name == model.MetricNameLabel:
		return nil
	case selectsTenant(m.Name):
		return fmt.Errorf("a selector has a matcher on %s, a label by which sources select tenants or storage: remove this matcher", quote(m.Name))
	default:
		return nil
	}
}

func (b *binder) isReserved(label string) bool {
	return slices.ContainsFunc(b.matchers, func(m *labels.Matcher) bool { return m.Name == label })
}

// checkCall lets functions compute from the selected series. They may not make up
// series, or relabel them as those of another pod.
func (b *binder) checkCall(c *parser.Call) error {
	switch c.Func.Name {
	case "label_replace", "label_join":
		return b.checkLabel(c.Args[1], c.Func.Name)
	case "absent", "absent_over_time":
		return fmt.Errorf("%s hides missing data, which Belay has to see: remove it", c.Func.Name)
	case "info":
		return errors.New("the function info() adds labels of series that the selector does not match: remove it")
	}
	given := false
	for _, a := range c.Args {
		switch a.Type() {
		case parser.ValueTypeVector, parser.ValueTypeMatrix:
			given = true
		case parser.ValueTypeString:
			// In every function of PromQL a string argument is the name of a label.
			return fmt.Errorf("%s takes a string, which could name a label that Belay sets: remove it", c.Func.Name)
		}
	}
	if !given && c.Type() == parser.ValueTypeVector {
		return fmt.Errorf("%s returns a series that belongs to no pod: give it a selector, or remove it", c.Func.Name)
	}
	return nil
}

func (b *binder) checkAggregate(a *parser.AggregateExpr) error {
	if a.Op == parser.COUNT_VALUES {
		return b.checkLabel(a.Param, "count_values")
	}
	return nil
}

// checkLabel refuses a query that writes the labels which tell pods apart.
func (b *binder) checkLabel(label parser.Expr, function string) error {
	name, ok := unwrapped(label).(*parser.StringLiteral)
	if !ok || b.isReserved(name.Val) {
		return fmt.Errorf("%s would overwrite a label by which Belay tells versions apart: write to another one", function)
	}
	return nil
}

func unwrapped(e parser.Expr) parser.Expr {
	for {
		paren, ok := e.(*parser.ParenExpr)
		if !ok {
			return e
		}
		e = paren.Expr
	}
}

// checkMatching refuses group_left and group_right that copy a label by which Belay
// tells pods apart: one pod's numbers would count as another's. Matching on labels,
// or ignoring some, only drops labels.
func (b *binder) checkMatching(m *parser.VectorMatching) error {
	switch {
	case m == nil:
		return nil
	case slices.ContainsFunc(m.Include, b.isReserved):
		return errors.New("group_left or group_right copies a label that Belay sets: remove it from the list")
	case m.FillValues.LHS != nil || m.FillValues.RHS != nil:
		return errors.New("fill hides missing data, which Belay has to see: remove it")
	default:
		return nil
	}
}

func (b *binder) checkSubquery(s *parser.SubqueryExpr, path []parser.Node) error {
	if s.OriginalOffset != 0 || s.OriginalOffsetExpr != nil || s.Timestamp != nil || s.StartOrEnd != 0 {
		return errShifted
	}
	if s.StepExpr != nil || s.Step <= 0 {
		return errors.New("a subquery has no fixed step: write one, such as [10m:1m]")
	}
	if err := b.checkRange(s.Range, s.RangeExpr, path); err != nil {
		return err
	}
	steps := int64(1)
	for _, n := range append(slices.Clone(path), s) {
		if sub, ok := n.(*parser.SubqueryExpr); ok {
			steps *= int64(sub.Range/sub.Step) + 1
		}
		if steps > int64(b.caps.Steps) {
			return fmt.Errorf("the expression's subqueries make more than %d steps: use a longer step or a shorter range", b.caps.Steps)
		}
	}
	return nil
}

func (b *binder) checkRange(own time.Duration, computed *parser.DurationExpr, path []parser.Node) error {
	if computed != nil {
		return errors.New("a range is an expression: write a fixed one, such as [5m]")
	}
	left := b.caps.Range - own
	for _, n := range path {
		if sub, ok := n.(*parser.SubqueryExpr); ok {
			left -= sub.Range
		}
	}
	if left < 0 {
		return fmt.Errorf("the expression looks back more than %s: use shorter ranges", b.caps.Range)
	}
	return nil
}
