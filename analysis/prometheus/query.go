// Package prometheus queries Prometheus-compatible sources for counters: it turns
// typed indicators into PromQL that selects the pods of ReplicaSets or of a
// StatefulSet, sends one instant query for an explicit time through a client that limits the cost of a
// response, and returns counts per pod. It judges nothing.
package prometheus

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"belay.dev/belay/api/v1alpha1"
)

// maxQuery is the longest query that is sent, in bytes.
const maxQuery = 4096

// InvariantQuery returns the query for checks as total and violations as bad. The
// violations are the maximum of the last 15 minutes, so that one which a container
// counted before it restarted is still found; but not of a StatefulSet, where a pod's series
// may have those of the pod that had its name before.
func InvariantQuery(i v1alpha1.Invariant, pods ...Pods) (string, error) {
	mine, err := restrictedTo(v1alpha1.Indicator{}, pods)
	if err != nil {
		return "", err
	}
	checks, err := selector(i.Checks, mine.matchers)
	if err != nil {
		return "", err
	}
	violations, err := selector(i.Violations, mine.matchers)
	if err != nil {
		return "", err
	}
	if !mine.ordered {
		violations = "max_over_time(" + violations + "[15m])"
	}
	return mine.countRows(checks, violations, mine.oldest("timestamp("+checks+")", "timestamp("+violations+")"), 1)
}

func (mine restriction) countsQuery(total, bad v1alpha1.Series, nativeToo bool) (string, error) {
	totalSelector, err := countOf(total, mine.matchers, nativeToo)
	if err != nil {
		return "", err
	}
	badSelector, err := countOf(bad, mine.matchers, nativeToo)
	if err != nil {
		return "", err
	}
	times, err := mine.sampledAt(total, bad, nativeToo)
	if err != nil {
		return "", err
	}
	return mine.countRows(totalSelector, badSelector, times, forms(nativeToo))
}

// countRows sums two expressions by target, with the times of the samples.
func (mine restriction) countRows(total, bad, times string, forms int) (string, error) {
	by := mine.names.byTarget()
	return rows(mine.runs*mine.parts(forms),
		row("total", "sum "+by+"("+total+")"),
		row("bad", "sum "+by+"("+bad+")"),
		row("ts", "min "+by+"("+times+")"))
}

// sampledAt are the times of a counter's samples, and of those of the part of it that is bad, or
// within the threshold.
func (mine restriction) sampledAt(total, part v1alpha1.Series, nativeToo bool) (string, error) {
	ofTotal, err := sampledAt(total, mine.matchers, nativeToo)
	if err != nil {
		return "", err
	}
	ofPart, err := sampledAt(part, mine.matchers, nativeToo)
	return mine.oldest(ofTotal, ofPart), err
}

// oldest are the times of the total's samples; of a StatefulSet's pods also those of its part,
// which may have ended with the pod that had the name before, and still be in the response. The
// label k keeps both: otherwise "or" would drop those with the labels of the total.
func (mine restriction) oldest(ofTotal, ofPart string) string {
	if !mine.ordered || ofTotal == ofPart {
		return ofTotal
	}
	return ofTotal + " or " + row("part", ofPart)
}

// parts is how many parts as long as a plain query's a query has, for so many forms of a
// histogram: one of a StatefulSet names the series of bad once more.
func (mine restriction) parts(forms int) int {
	if mine.ordered {
		return 2 * forms
	}
	return forms
}

// rows joins the parts of a query, which is as long as this number of plain ones: each run
// adds its pods' names to every selector, and a histogram has two forms.
func rows(times int, of ...string) (string, error) {
	query := strings.Join(of, " or ")
	if limit := maxQuery * max(1, times); len(query) > limit {
		return "", fmt.Errorf("the query has %d bytes, %d are allowed: use fewer or shorter matchers", len(query), limit)
	}
	return query, nil
}

func row(k, expression string) string {
	return `label_replace(` + expression + `,"k","` + k + `","","")`
}

// Names are those of Prometheus, and those of OpenTelemetry, which sources keep as they are
// (Prometheus documentation, "UTF-8 in Prometheus"). The latter are quoted in a selector.
var (
	metricName     = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	labelName      = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	otelMetricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:./-]*$`)
	otelLabelName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_./-]*$`)
)

// selector writes the selector of a series: Belay's own matchers first, then the
// user's, every value quoted as a PromQL string. It repeats the checks of the API
// server, because the text becomes a part of the query.
func selector(s v1alpha1.Series, mine []string) (string, error) {
	if !otelMetricName.MatchString(s.Metric) {
		return "", fmt.Errorf("%s is not a metric name", quote(s.Metric))
	}
	matchers := slices.Clone(mine)
	for _, m := range s.Matchers {
		if m.Op == "" {
			m.Op = "="
		}
		switch {
		case !otelLabelName.MatchString(m.Name):
			return "", fmt.Errorf("%s is not a label name", quote(m.Name))
		case slices.Contains(reserved, m.Name) || slices.ContainsFunc(mine, func(own string) bool { return strings.HasPrefix(own, quotedName(m.Name)+"=") }):
			return "", fmt.Errorf("the label %s is set by Belay: remove this matcher", m.Name)
		case selectsTenant(m.Name):
			return "", fmt.Errorf("a selector has a matcher on %s, a label by which sources select tenants or storage: remove this matcher", quote(m.Name))
		case m.Op != "=" && m.Op != "!=" && m.Op != "=~" && m.Op != "!~":
			return "", fmt.Errorf("%s is not an operator of matchers: use =, !=, =~ or !~", quote(string(m.Op)))
		case !utf8.ValidString(m.Value):
			return "", fmt.Errorf("the value of label %s is not valid UTF-8", m.Name)
		}
		if _, err := syntax.Parse(m.Value, syntax.Perl); err != nil && strings.HasSuffix(string(m.Op), "~") {
			return "", fmt.Errorf("the value of label %s is not a valid regular expression: %s", m.Name, quote(err.Error()))
		}
		matchers = append(matchers, quotedName(m.Name)+string(m.Op)+strconv.Quote(m.Value))
	}
	if !metricName.MatchString(s.Metric) {
		return "{" + strconv.Quote(s.Metric) + "," + strings.Join(matchers, ",") + "}", nil
	}
	return s.Metric + "{" + strings.Join(matchers, ",") + "}", nil
}

// selectsTenant reports whether a source takes the label for a choice of tenant or storage:
// labels that begin with __ (__tenant_id__ of Mimir, __graphite__ of VictoriaMetrics) and
// those of VictoriaMetrics' tenants.
func selectsTenant(label string) bool {
	return strings.HasPrefix(label, "__") || label == "vm_account_id" || label == "vm_project_id"
}

// reserved labels select whose series are queried: only Belay sets them.
var reserved = []string{"namespace", "pod", "__name__"}
