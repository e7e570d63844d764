package analysis

import (
	"fmt"
	"strconv"
	"strings"
)

// Scope is the series of one metric on a service's pods, in which an indicator's matchers
// need labels.
type Scope struct {
	Metric string
	// Labels that matchers need: without one of them the matcher selects nothing.
	Labels []string
	// Bound is set for the buckets of a histogram with this upper bound.
	Bound string
	// OfBad is set for a metric that only the bad requests or the violations have.
	OfBad bool
	// OfDestination is set for series that name the destination of requests, not a pod.
	OfDestination bool
}

// Sight is what the pods of one version have of an indicator's series.
type Sight struct {
	// Version is stable or candidate, for messages.
	Version string
	// Counts since the pods started.
	Counts
	// Scopes are in the order of the scopes that were probed.
	Scopes []ScopeSight
}

// ScopeSight is how many series a scope has, and how many of them have each label.
type ScopeSight struct {
	Series int
	With   []int
	// Names of the labels of one series, when a label is missing.
	Names []string
}

// Missing is the index of the first label that none of the series has; -1 without one, and
// without series.
func (s ScopeSight) Missing() int {
	for i, n := range s.With {
		if s.Series > 0 && n == 0 {
			return i
		}
	}
	return -1
}

// JudgeSights checks that an indicator's selectors can match. ok is false when it is known
// that one cannot, and the verdict then says which one and what to write: counts of 0 from
// such a selector say nothing. missingIsZero is set when a metric that was never seen
// means that nothing was counted.
func JudgeSights(scopes []Scope, missingIsZero bool, versions ...Sight) (v Verdict, ok bool) {
	ofBad, unseen := []string{}, true
	for i, scope := range scopes {
		series := 0
		for _, version := range versions {
			if i >= len(version.Scopes) {
				return Verdict{Reason: Malformed, Message: "the response does not say what series there are"}, false
			}
			seen := version.Scopes[i]
			series += seen.Series
			if at := seen.Missing(); at >= 0 {
				return Verdict{Reason: UnknownLabel, Message: unknownLabel(scope, scope.of(version.Version), scope.Labels[at], seen.Names)}, false
			}
		}
		switch {
		case scope.OfBad:
			ofBad, unseen = append(ofBad, scope.Metric), unseen && series == 0
		case series == 0 && scope.Bound != "":
			return Verdict{Reason: BadQuery, Message: fmt.Sprintf("the histogram has no bucket %s whose upper bound is the threshold %s: choose a threshold that is a bucket bound (label le), or add the bucket", quoted(scope.Metric), scope.Bound)}, false
		case series == 0 && scope.OfDestination:
			return Verdict{Reason: PartialCoverage, Message: fmt.Sprintf("the source has no series %s of requests to the service: check its name, the labels of destination, and that the gateway is scraped and has served requests", quoted(scope.Metric))}, false
		case series == 0:
			return Verdict{Reason: PartialCoverage, Message: fmt.Sprintf("the source has no series %s for any pod of the service: check its name, that the pods are scraped, and that spec.labels of the MetricSource are the labels that name them", quoted(scope.Metric))}, false
		}
	}
	if len(ofBad) > 0 && unseen && !missingIsZero {
		return Verdict{Reason: NeverSeen, Message: fmt.Sprintf(
			"no pod of the service has ever had a series %s, so its 0 may be a misspelt name: correct it, or, if it is created with its first increment, set missingBad (of an invariant missingViolations) to Zero",
			strings.Join(quotedAll(ofBad), ", "))}, false
	}
	return Verdict{}, true
}

// maxNames bounds how many label names a message has.
const maxNames = 12

// of is what has the series of a version, in messages.
func (s Scope) of(version string) string {
	if s.OfDestination {
		return "requests to " + version
	}
	return "the " + version + " pods"
}

func unknownLabel(scope Scope, version, label string, names []string) string {
	has := ""
	if n := len(names); n > 0 {
		has = ": " + strings.Join(quotedAll(names[:min(n, maxNames)]), ", ")
		if n > maxNames {
			has += fmt.Sprintf(" and %d more", n-maxNames)
		}
	}
	return fmt.Sprintf("no series %s of %s has the label %s, so its matcher selects nothing; write one of its labels%s", quoted(scope.Metric), version, quoted(label), has)
}

func quotedAll(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = quoted(name)
	}
	return out
}

// quoted bounds and quotes a name that may come from outside.
func quoted(name string) string { return strconv.QuoteToASCII(name[:min(len(name), 64)]) }
