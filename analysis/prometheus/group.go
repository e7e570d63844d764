package prometheus

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"belay.dev/belay/api/v1alpha1"
)

// binding is how the labels of the pods of one or several runs are matched.
type binding struct {
	// namespace is a regular expression when many is true.
	namespace string
	many      bool
	pod       string
}

// bindingOf returns an error when pods cannot be assigned to a workload by their
// names. For several runs a binding matches every combination of their namespaces
// and names: the reader of the response still has to assign each series to a run.
func bindingOf(group []Pods) (binding, error) {
	if len(group) == 0 {
		return binding{}, errNobody
	}
	namespaces := make([]string, 0, len(group))
	for _, p := range group {
		if err := p.check(); err != nil {
			return binding{}, err
		}
		if p.ordered() != group[0].ordered() {
			return binding{}, errMixed
		}
		namespaces = append(namespaces, p.Namespace)
	}
	slices.Sort(namespaces)
	namespaces = slices.Compact(namespaces)
	b := binding{namespace: namespaces[0], many: len(namespaces) > 1, pod: podPattern(group)}
	if b.many {
		for i, n := range namespaces {
			namespaces[i] = regexp.QuoteMeta(n)
		}
		b.namespace = strings.Join(namespaces, "|")
	}
	return b, nil
}

var (
	errNobody = errors.New("no namespace or no ReplicaSet to query")
	errMixed  = errors.New("pods of ReplicaSets and of StatefulSets cannot share a query")
)

// Matchers restrict a selector to the pods.
func (p Pods) Matchers() ([]*labels.Matcher, error) {
	b, err := bindingOf([]Pods{p})
	if err != nil {
		return nil, err
	}
	pod, err := labels.NewMatcher(labels.MatchRegexp, p.labels().podName(), b.pod)
	if err != nil {
		return nil, fmt.Errorf("match the pods: %w", err)
	}
	return []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, p.labels().namespaceName(), b.namespace), pod}, nil
}

// bound is the matchers as text. It is called for thousands of runs, so it compiles no
// regular expression.
func bound(group []Pods) ([]string, error) {
	b, err := bindingOf(group)
	if err != nil {
		return nil, err
	}
	names, is := group[0].labels(), "="
	if b.many {
		is = "=~"
	}
	return []string{quotedName(names.namespaceName()) + is + strconv.Quote(b.namespace), quotedName(names.podName()) + "=~" + strconv.Quote(b.pod)}, nil
}

// restriction is what restricts the selectors of an indicator to the versions of one or several
// runs, and the labels that tell those apart.
type restriction struct {
	matchers []string
	names    labelNames
	runs     int
	// ordered is set when the pods are those of StatefulSets.
	ordered bool
}

// restrictedTo returns an error, which says what to change, when the versions cannot be told
// apart.
func restrictedTo(i v1alpha1.Indicator, group []Pods) (restriction, error) {
	if CountsByPod(i) {
		matchers, err := bound(group)
		if err != nil {
			return restriction{}, err
		}
		return restriction{matchers, group[0].labels(), len(group), group[0].ordered()}, nil
	}
	d, err := destinationOf(i)
	if err != nil {
		return restriction{}, err
	}
	var namespaces, versions []string
	for _, p := range group {
		names := p.Versions(i)
		switch {
		case p.ordered():
			return restriction{}, ErrByPodAlone
		case p.Namespace == "":
			return restriction{}, errNobody
		case len(names) == 0 && i.By == v1alpha1.CountedByService:
			return restriction{}, ErrNoServices
		case len(names) == 0:
			return restriction{}, errNobody
		}
		namespaces, versions = append(namespaces, p.Namespace), append(versions, quotedMeta(names)...)
	}
	if len(namespaces) == 0 {
		return restriction{}, errNobody
	}
	if slices.Sort(namespaces); len(group) > 1 {
		slices.Sort(versions)
	}
	return restriction{d.matchers(slices.Compact(namespaces), slices.Compact(versions)), d.names, len(group), false}, nil
}
