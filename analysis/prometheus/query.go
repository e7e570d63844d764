// Package prometheus asks Prometheus-compatible sources for counters: it turns
// typed indicators into PromQL bound to the pods of ReplicaSets, sends one
// instant query at an explicit time through a client that bounds what an answer
// may cost, and returns counts per pod. It judges nothing.
package prometheus

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"belay.dev/belay/api/v1alpha1"
)

// Pods picks the pods of ReplicaSets in one namespace.
type Pods struct {
	Namespace   string
	ReplicaSets []string
}

// maxQuery is the longest query that is sent, in bytes.
const maxQuery = 4096

// CountsQuery asks for the cumulative total and bad counters of every pod and
// for the time of their samples, in one answer: each row carries the label k
// with total, bad or ts. A bad series that was never born is absent, and counts
// as 0.
func CountsQuery(total, bad v1alpha1.Series, pods Pods) (string, error) {
	if len(pods.ReplicaSets) == 0 {
		return "", fmt.Errorf("no ReplicaSet to ask about")
	}
	query := strings.Join([]string{
		row("total", "sum by (pod) ("+selector(total, pods)+")"),
		row("bad", "sum by (pod) ("+selector(bad, pods)+")"),
		row("ts", "min by (pod) (timestamp("+selector(total, pods)+"))"),
	}, " or ")
	if len(query) > maxQuery {
		return "", fmt.Errorf("the query has %d bytes, %d are allowed: use fewer or shorter matchers", len(query), maxQuery)
	}
	return query, nil
}

func row(k, expression string) string {
	return `label_replace(` + expression + `,"k","` + k + `","","")`
}

// selector binds a series to the pods: Belay's own matchers first, then the
// user's, every value quoted as a PromQL string.
func selector(s v1alpha1.Series, pods Pods) string {
	matchers := []string{
		"namespace=" + strconv.Quote(pods.Namespace),
		"pod=~" + strconv.Quote(podPattern(pods.ReplicaSets)),
	}
	for _, m := range s.Matchers {
		op := m.Op
		if op == "" {
			op = "="
		}
		matchers = append(matchers, m.Name+string(op)+strconv.Quote(m.Value))
	}
	return s.Metric + "{" + strings.Join(matchers, ",") + "}"
}

// podPattern matches the names a ReplicaSet gives its pods. PromQL anchors it.
func podPattern(sets []string) string {
	quoted := make([]string, len(sets))
	for i, s := range sets {
		quoted[i] = regexp.QuoteMeta(s)
	}
	return "(" + strings.Join(quoted, "|") + ")-[a-z0-9]+"
}

// BelongsTo reports whether a pod has a name that the ReplicaSet gives.
func BelongsTo(pod, replicaSet string) bool {
	suffix, ok := strings.CutPrefix(pod, replicaSet+"-")
	return ok && suffix != "" && !strings.Contains(suffix, "-")
}
