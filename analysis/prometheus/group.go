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

// bindingOf returns an error when pods cannot be assigned to a ReplicaSet by their
// names. For several runs a binding matches every combination of their namespaces
// and names: the reader of the response still has to assign each series to a run.
func bindingOf(group []Pods) (binding, error) {
	if len(group) == 0 {
		return binding{}, errNobody
	}
	namespaces, sets := make([]string, 0, len(group)), make([]string, 0, 2*len(group))
	for _, p := range group {
		if err := p.check(); err != nil {
			return binding{}, err
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
	b := binding{namespace: namespaces[0], many: len(namespaces) > 1, pod: podPattern(sets)}
	if b.many {
		for i, n := range namespaces {
			namespaces[i] = regexp.QuoteMeta(n)
		}
		b.namespace = strings.Join(namespaces, "|")
	}
	return b, nil
}

var errNobody = errors.New("no namespace or no ReplicaSet to query")

// Matchers restrict a selector to the pods.
func (p Pods) Matchers() ([]*labels.Matcher, error) {
	b, err := bindingOf([]Pods{p})
	if err != nil {
		return nil, err
	}
	pod, err := labels.NewMatcher(labels.MatchRegexp, p.labels().podName(), b.pod)
	if err != nil {
		return nil, fmt.Errorf("match the pods of %d ReplicaSets: %w", len(p.ReplicaSets), err)
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
}

// restrictedTo returns an error, which says what to change, when the versions cannot be told
// apart.
func restrictedTo(i v1alpha1.Indicator, group []Pods) (restriction, error) {
	if CountsByPod(i) {
		matchers, err := bound(group)
		if err != nil {
			return restriction{}, err
		}
		return restriction{matchers, group[0].labels(), len(group)}, nil
	}
	d, err := destinationOf(i)
	if err != nil {
		return restriction{}, err
	}
	var namespaces, versions []string
	for _, p := range group {
		names := p.Versions(i)
		switch {
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
	return restriction{d.matchers(slices.Compact(namespaces), slices.Compact(versions)), d.names, len(group)}, nil
}

// ErrNoServices is the error of an indicator by Service for a Rollout without spec.traffic.
var ErrNoServices = errors.New("the indicator counts by Service, and the Rollout has no spec.traffic, so it has no stable and canary Service: set spec.traffic, or count by Pod")

func (p Pods) check() error {
	if p.Namespace == "" || len(p.ReplicaSets) == 0 {
		return errNobody
	}
	for i, set := range p.ReplicaSets {
		same := slices.IndexFunc(p.ReplicaSets[:i], func(other string) bool { return other != set && podPrefix(other) == podPrefix(set) })
		if same >= 0 {
			return fmt.Errorf("the pods of ReplicaSets %s and %s cannot be told apart by their names: give the Deployment a name of at most %d characters",
				quote(p.ReplicaSets[same]), quote(set), maxPodPrefix-len("-0123456789-"))
		}
	}
	return nil
}
