package prometheus

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"belay.dev/belay/api/v1alpha1"
)

// Pods selects the pods of ReplicaSets, or of a StatefulSet, in one namespace.
type Pods struct {
	Namespace   string
	ReplicaSets []string
	// StatefulSet is named in place of ReplicaSets. A pod of it has the name of the one that
	// it replaced, so that names do not tell its versions apart.
	StatefulSet string
	// Members are the names of a StatefulSet's pods by version, where something is asked about
	// each version; without them all of its pods are one.
	Members [][]string
	// Services are those whose requests count in place of the pods' when an indicator counts
	// by Service.
	Services []string
	// Labels are the source's names of the labels for namespace and pod; empty ones mean
	// namespace and pod.
	Labels v1alpha1.MetricSourceLabels
}

func (p Pods) labels() labelNames { return labelsOf(p.Labels) }

// ordered reports whether the pods are those of a StatefulSet.
func (p Pods) ordered() bool { return p.StatefulSet != "" }

// Versions are the names that tell a run's versions apart in the series of an indicator:
// those of ReplicaSets, or of Services. A StatefulSet has one name for all.
func (p Pods) Versions(i v1alpha1.Indicator) []string {
	switch {
	case i.By == v1alpha1.CountedByService:
		return p.Services
	case p.ordered():
		return []string{p.StatefulSet}
	default:
		return p.ReplicaSets
	}
}

// ByVersion are the pods of each version.
func (p Pods) ByVersion(i v1alpha1.Indicator) []Pods {
	if p.ordered() && len(p.Members) == 0 {
		return []Pods{p}
	}
	var out []Pods
	one := func(of Pods) { out = append(out, of) }
	switch {
	case i.By == v1alpha1.CountedByService:
		for n := range p.Services {
			of := p
			of.Services = p.Services[n : n+1]
			one(of)
		}
	case p.ordered():
		for n := range p.Members {
			of := p
			of.Members = p.Members[n : n+1]
			one(of)
		}
	default:
		for n := range p.ReplicaSets {
			of := p
			of.ReplicaSets = p.ReplicaSets[n : n+1]
			one(of)
		}
	}
	return out
}

// has reports whether a pod's name is that of one of the pods.
func (p Pods) has(pod string) bool {
	if !p.ordered() {
		return slices.ContainsFunc(p.ReplicaSets, func(set string) bool { return BelongsTo(pod, set) })
	}
	ordinal, ok := strings.CutPrefix(pod, p.StatefulSet+"-")
	isMember := func(of []string) bool { return slices.Contains(of, pod) }
	return ok && ordinal != "" && strings.Trim(ordinal, "0123456789") == "" &&
		(len(p.Members) == 0 || slices.ContainsFunc(p.Members, isMember))
}

func (p Pods) check() error {
	if p.Namespace == "" || len(p.ReplicaSets) == 0 && !p.ordered() {
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

// maxPodPrefix is how many characters of a ReplicaSet's name and a hyphen are kept in
// a pod's generated name, before five random characters
// (k8s.io/apiserver/pkg/storage/names.MaxGeneratedNameLength).
const maxPodPrefix = 58

func podPrefix(replicaSet string) string {
	if len(replicaSet) >= maxPodPrefix {
		return replicaSet[:maxPodPrefix]
	}
	return replicaSet + "-"
}

// podPattern matches the names of pods, all of ReplicaSets or all of StatefulSets. PromQL
// anchors it. Its first group is the beginning of the names of a ReplicaSet's pods, or the
// whole name of a StatefulSet's pod.
func podPattern(group []Pods) string {
	var names []string
	for _, p := range group {
		names = append(names, p.patterns()...)
	}
	if len(group) > 1 {
		slices.Sort(names)
		names = slices.Compact(names)
	}
	if group[0].ordered() {
		return "(" + strings.Join(names, "|") + ")"
	}
	return "(" + strings.Join(names, "|") + ")[a-z0-9]+"
}

func (p Pods) patterns() []string {
	switch {
	case !p.ordered():
		out := make([]string, len(p.ReplicaSets))
		for i, set := range p.ReplicaSets {
			out[i] = regexp.QuoteMeta(podPrefix(set))
		}
		return out
	case len(p.Members) == 1:
		return quotedMeta(p.Members[0])
	default:
		return []string{regexp.QuoteMeta(p.StatefulSet) + "-[0-9]+"}
	}
}

// BelongsTo reports whether a pod's name is one that the ReplicaSet would generate.
func BelongsTo(pod, replicaSet string) bool {
	kept := min(len(replicaSet), maxPodPrefix)
	suffix, ok := strings.CutPrefix(pod, replicaSet[:kept])
	if kept < maxPodPrefix && ok {
		suffix, ok = strings.CutPrefix(suffix, "-")
	}
	return ok && replicaSet != "" && suffix != "" && !strings.Contains(suffix, "-")
}

var (
	// ErrNoServices is the error of an indicator by Service for a Rollout without spec.traffic.
	ErrNoServices = errors.New("the indicator counts by Service, and the Rollout has no spec.traffic, so it has no stable and canary Service: set spec.traffic, or count by Pod")
	// ErrByPodAlone is the error of an indicator by Service or Workload for a StatefulSet.
	ErrByPodAlone = errors.New("the indicator counts by Service or Workload, and both versions of a StatefulSet are behind the same Service and have the same workload's name: count by Pod")
)

// NotRouted returns the one of these two errors that is the cause; nil for others.
func NotRouted(err error) error {
	for _, known := range []error{ErrNoServices, ErrByPodAlone} {
		if errors.Is(err, known) {
			return known
		}
	}
	return nil
}
