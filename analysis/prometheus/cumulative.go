package prometheus

import (
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/promql/parser"
)

// growth is how the value of an expression changes while its series are scraped.
type growth int

const (
	// cumulative values only grow, except when a container restarts.
	cumulative growth = iota + 1
	// constant is a number in the text.
	constant
	// fraction is a fraction of a histogram's observations since its start.
	fraction
)

// CheckCumulative returns an error for an expression that is not a cumulative counter, by
// the functions and operators in it. The error names the part, its position in bytes from
// 1, and what to write. Belay computes the differences between polls itself, so that a
// rate would be differentiated twice, and a gauge would count every fall as a restart.
// Whether a metric is a counter cannot be seen in an expression.
func CheckCumulative(expression string) error {
	parsed, err := promQL().ParseExpr(expression)
	if err != nil {
		return fmt.Errorf("the expression is not valid PromQL: %s", quote(err.Error()))
	}
	grows, err := growthOf(parsed)
	if err == nil && grows != cumulative {
		err = refused(parsed, "is not a count: write a counter, or a sum of counters")
	}
	return err
}

func refused(n parser.Expr, why string) error {
	return fmt.Errorf("%s at position %d %s", quote(n.String()), n.PositionRange().Start+1, why)
}

func growthOf(e parser.Expr) (growth, error) {
	switch e := e.(type) {
	case *parser.NumberLiteral:
		return constant, nil
	case *parser.ParenExpr:
		return growthOf(e.Expr)
	case *parser.VectorSelector:
		return cumulative, nil
	case *parser.UnaryExpr:
		if grows, err := growthOf(e.Expr); err != nil || e.Op == parser.ADD || grows == constant {
			return grows, err
		}
		return 0, refused(e, "decreases while requests are served: remove the minus")
	case *parser.AggregateExpr:
		return growthOfAggregate(e)
	case *parser.BinaryExpr:
		return growthOfPair(e)
	case *parser.Call:
		return growthOfCall(e)
	default:
		return 0, refused(e, "is not a count: write a counter, or a sum of counters")
	}
}

func growthOfAggregate(a *parser.AggregateExpr) (growth, error) {
	switch a.Op {
	case parser.SUM, parser.MIN, parser.MAX:
		grows, err := growthOf(a.Expr)
		if err == nil && grows != cumulative {
			err = refused(a, "is not a count: write a sum of counters")
		}
		return grows, err
	case parser.QUANTILE:
		return 0, refused(a, wantsNoQuantile)
	default:
		return 0, refused(a, "is not a count: write sum by (pod) of a counter")
	}
}

const wantsNoQuantile = `is a quantile, not a count: "p99 below 300 ms" is objective "99" with an indicator latency and threshold 300ms`

func growthOfPair(b *parser.BinaryExpr) (growth, error) {
	left, err := growthOf(b.LHS)
	if err != nil {
		return 0, err
	}
	right, err := growthOf(b.RHS)
	if err != nil {
		return 0, err
	}
	both := func(g growth) bool { return left == g && right == g }
	one := func(a, b growth) bool { return left == a && right == b || left == b && right == a }
	switch {
	case both(constant):
		return constant, nil
	case b.Op.IsComparisonOperator():
		return 0, refused(b, "compares: the series would come and go with its value; write the counter alone")
	case b.Op == parser.DIV && both(cumulative):
		return 0, refused(b, "is a ratio: write the divisor in total and the rest in bad")
	case (b.Op == parser.ADD || b.Op == parser.SUB || b.Op.IsSetOperator()) && both(cumulative),
		b.Op == parser.MUL && (one(cumulative, constant) || one(cumulative, fraction) || both(cumulative) && joins(b)),
		b.Op == parser.DIV && left == cumulative && right == constant:
		return cumulative, nil
	case (b.Op == parser.ADD || b.Op == parser.SUB) && one(fraction, constant):
		return fraction, nil
	default:
		return 0, refused(b, "does not count requests: add and subtract counters, or multiply one by a number")
	}
}

// joins reports whether a product adds labels of an info metric, whose value is 1.
func joins(b *parser.BinaryExpr) bool {
	return b.VectorMatching != nil && (b.VectorMatching.Card == parser.CardManyToOne || b.VectorMatching.Card == parser.CardOneToMany)
}

// Functions by what they do to a counter.
var (
	// keepCounting are those whose argument with the series is the first.
	keepCounting = []string{"abs", "ceil", "clamp_min", "floor", "histogram_count", "label_join", "label_replace", "round"}
	// lastSeen return a counter's highest or newest value in a range: of pods that are gone.
	lastSeen  = []string{"last_over_time", "max_over_time"}
	speeds    = []string{"delta", "deriv", "idelta", "increase", "irate", "rate", "resets", "changes"}
	quantiles = []string{"histogram_avg", "histogram_quantile", "quantile_over_time"}
	forecasts = []string{"double_exponential_smoothing", "holt_winters", "predict_linear"}
)

func growthOfCall(c *parser.Call) (growth, error) {
	name := c.Func.Name
	switch {
	case slices.Contains(keepCounting, name):
		return growthOf(c.Args[0])
	case slices.Contains(lastSeen, name):
		if of, ok := c.Args[0].(*parser.MatrixSelector); ok {
			return growthOf(of.VectorSelector)
		}
		return 0, refused(c, "has a subquery: write it with a range of a counter, such as [5m]")
	case name == "histogram_fraction":
		return fraction, nil
	case slices.Contains(speeds, name):
		return 0, refused(c, "is a speed or a difference: write the counter without "+name+", Belay computes the differences itself")
	case slices.Contains(quantiles, name):
		return 0, refused(c, wantsNoQuantile)
	case slices.Contains(forecasts, name):
		return 0, refused(c, "is a forecast of a gauge: write a counter")
	default:
		return 0, refused(c, "is not a count: write the counter without "+name)
	}
}
