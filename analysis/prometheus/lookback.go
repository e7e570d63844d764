package prometheus

import (
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"belay.dev/belay/api/v1alpha1"
)

// LooksBack is how far before the newest samples an indicator's counters reach: as far as the
// ranges in its expressions do. Within that time after a pod was replaced, they may have what
// the pod that had its name before has counted.
func LooksBack(i v1alpha1.Indicator) time.Duration {
	if i.PromQL == nil {
		return 0
	}
	return max(longestRange(i.PromQL.Total), longestRange(i.PromQL.Bad))
}

// longestRange is that of an expression, with those of enclosing subqueries; 0 for one that
// cannot be parsed, which is not queried.
func longestRange(expression string) (longest time.Duration) {
	parsed, err := promQL().ParseExpr(expression)
	if err != nil {
		return 0
	}
	parser.Inspect(parsed, func(n parser.Node, path []parser.Node) error {
		reach := rangeOf(n)
		for _, around := range path {
			reach += rangeOf(around)
		}
		longest = max(longest, reach)
		return nil
	})
	return longest
}

func rangeOf(n parser.Node) time.Duration {
	switch n := n.(type) {
	case *parser.MatrixSelector:
		return n.Range
	case *parser.SubqueryExpr:
		return n.Range
	default:
		return 0
	}
}
