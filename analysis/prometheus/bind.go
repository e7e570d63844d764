package prometheus

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Caps bound what a custom query may ask of a source. What is zero allows none.
type Caps struct {
	// Bytes of the expression. It bounds the time to parse too, which grows faster
	// than an expression's nesting.
	Bytes int
	// Depth of the expression's tree: a selector alone has 1.
	Depth int
	// Selectors in the expression.
	Selectors int
	// Range that one evaluation looks back, the ranges of enclosing subqueries
	// included.
	Range time.Duration
	// Steps that subqueries make of one evaluation, nested ones multiplied.
	Steps int
}

// DefaultCaps leave room for a burn rate over an hour written out in full.
func DefaultCaps() Caps {
	return Caps{Bytes: 2048, Depth: 24, Selectors: 16, Range: time.Hour, Steps: 240}
}

// Bind returns a custom PromQL expression with the matchers added to each of
// its selectors, so that it speaks of nothing else. It refuses an expression
// that could get around them or that costs more than the caps, with an error
// that says what to do and quotes at most 256 bytes of the expression.
func Bind(expression string, matchers []*labels.Matcher, caps Caps) (string, error) {
	switch {
	case len(matchers) == 0:
		return "", errors.New("there is nothing to bind the expression to")
	case len(expression) > caps.Bytes:
		return "", fmt.Errorf("the expression has %d bytes, %d are allowed: shorten it, or record a part of it by a rule", len(expression), caps.Bytes)
	case !utf8.ValidString(expression):
		return "", errors.New("the expression is not UTF-8: write it as text")
	}
	parsed, err := promQL().ParseExpr(expression)
	if err != nil {
		return "", fmt.Errorf("the expression does not parse, correct it: %s", quote(err.Error()))
	}
	if t := parsed.Type(); t != parser.ValueTypeVector {
		return "", fmt.Errorf("the expression gives a %s: write one that gives an instant vector", t)
	}
	b := binder{matchers: matchers, caps: caps}
	if err := parser.Walk(&b, parsed, nil); err != nil {
		return "", err
	}
	if b.selectors == 0 {
		return "", errors.New("the expression has no selector, so it says nothing about any pod: name a metric")
	}
	bound := parsed.String()
	if len(bound) > maxQuery {
		return "", fmt.Errorf("the query has %d bytes with its matchers, %d are allowed: use fewer selectors", len(bound), maxQuery)
	}
	return bound, checkBound(bound, matchers, b.selectors)
}

// promQL is a parser without experimental functions, which sources do not share.
func promQL() parser.Parser { return parser.NewParser(parser.Options{}) }

// checkBound parses the printed query as the source will. The text is what
// keeps tenants apart, so it does not rest on the printer alone.
func checkBound(query string, matchers []*labels.Matcher, selectors int) error {
	parsed, err := promQL().ParseExpr(query)
	if err != nil {
		return fmt.Errorf("the expression cannot be written with its matchers, write it another way: %s", quote(err.Error()))
	}
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok && hasAll(s.LabelMatchers, matchers) {
			selectors--
		}
		return nil
	})
	if selectors != 0 {
		return errors.New("the expression cannot be written with its matchers: write it another way")
	}
	return nil
}

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
		return nil, fmt.Errorf("the expression nests more than %d deep: simplify it, or record a part of it by a rule", b.caps.Depth)
	}
	switch n := n.(type) {
	case *parser.VectorSelector:
		return b, b.bind(n)
	case *parser.MatrixSelector:
		return b, b.checkRange(n.Range, n.RangeExpr, path)
	case *parser.SubqueryExpr:
		return b, b.checkSubquery(n, path)
	case *parser.Call:
		if n.Func.Name == "label_replace" || n.Func.Name == "label_join" {
			return b, b.checkLabel(n.Args[1], n.Func.Name)
		}
	case *parser.AggregateExpr:
		if n.Op == parser.COUNT_VALUES {
			return b, b.checkLabel(n.Param, "count_values")
		}
	}
	return b, nil
}

func (b *binder) bind(s *parser.VectorSelector) error {
	b.selectors++
	if b.selectors > b.caps.Selectors {
		return fmt.Errorf("the expression has more than %d selectors: use fewer, or record a part of it by a rule", b.caps.Selectors)
	}
	if s.OriginalOffset != 0 || s.OriginalOffsetExpr != nil || s.Timestamp != nil || s.StartOrEnd != 0 {
		return errShifted
	}
	for _, m := range s.LabelMatchers {
		if b.isReserved(m.Name) {
			return fmt.Errorf("a selector names the label %s, which Belay sets: remove this matcher", m.Name)
		}
	}
	s.LabelMatchers = append(s.LabelMatchers, b.matchers...)
	return nil
}

var errShifted = errors.New("offset and @ look at another time than the one that is judged: remove them")

func (b *binder) isReserved(label string) bool {
	return slices.ContainsFunc(b.matchers, func(m *labels.Matcher) bool { return m.Name == label })
}

// checkLabel refuses to let a query write the labels that tell whose a result is.
func (b *binder) checkLabel(label parser.Expr, function string) error {
	name, ok := unwrapped(label).(*parser.StringLiteral)
	if !ok || b.isReserved(name.Val) {
		return fmt.Errorf("%s writes a label that Belay sets: write to another one", function)
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

func (b *binder) checkSubquery(s *parser.SubqueryExpr, path []parser.Node) error {
	if s.OriginalOffset != 0 || s.OriginalOffsetExpr != nil || s.Timestamp != nil || s.StartOrEnd != 0 {
		return errShifted
	}
	if s.StepExpr != nil || s.Step <= 0 {
		return errors.New("a subquery has no step of its own: write one as a number, such as [10m:1m]")
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
		return errors.New("a range is computed: write it as a number, such as [5m]")
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
