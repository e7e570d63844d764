package prometheus

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// Matchers bind a selector to the pods of one run or of many. Of many they match
// every combination of a namespace and a name: who reads the answer still has to
// tell whose a row is. It returns an error when the pods' names do not tell that.
func Matchers(group ...Pods) ([]*labels.Matcher, error) {
	if len(group) == 0 {
		return nil, fmt.Errorf("no namespace or no ReplicaSet to ask about")
	}
	var namespaces, sets []string
	for _, p := range group {
		if err := p.check(); err != nil {
			return nil, err
		}
		namespaces = append(namespaces, p.Namespace)
		sets = append(sets, p.ReplicaSets...)
	}
	slices.Sort(namespaces)
	namespaces = slices.Compact(namespaces)
	if len(group) > 1 {
		slices.Sort(sets)
		sets = slices.Compact(sets)
	}
	namespace := labels.MustNewMatcher(labels.MatchEqual, "namespace", namespaces[0])
	if len(namespaces) > 1 {
		for i, n := range namespaces {
			namespaces[i] = regexp.QuoteMeta(n)
		}
		var err error
		if namespace, err = labels.NewMatcher(labels.MatchRegexp, "namespace", strings.Join(namespaces, "|")); err != nil {
			return nil, fmt.Errorf("match %d namespaces: %w", len(namespaces), err)
		}
	}
	pod, err := labels.NewMatcher(labels.MatchRegexp, "pod", podPattern(sets))
	if err != nil {
		return nil, fmt.Errorf("match the pods of %d ReplicaSets: %w", len(sets), err)
	}
	return []*labels.Matcher{namespace, pod}, nil
}

func (p Pods) check() error {
	if p.Namespace == "" || len(p.ReplicaSets) == 0 {
		return fmt.Errorf("no namespace or no ReplicaSet to ask about")
	}
	sets := map[string]string{}
	for _, set := range p.ReplicaSets {
		if other, taken := sets[podPrefix(set)]; taken && other != set {
			return fmt.Errorf("the pods of ReplicaSets %s and %s cannot be told apart by their names: give the Deployment a name of at most %d characters",
				quote(other), quote(set), maxPodPrefix-len("-0123456789-"))
		}
		sets[podPrefix(set)] = set
	}
	return nil
}

// bound is the matchers as text.
func bound(group []Pods) ([]string, error) {
	matchers, err := Matchers(group...)
	if err != nil {
		return nil, err
	}
	mine := make([]string, len(matchers))
	for i, m := range matchers {
		mine[i] = m.String()
	}
	return mine, nil
}

// Matchers bind a selector to the pods.
func (p Pods) Matchers() ([]*labels.Matcher, error) { return Matchers(p) }
