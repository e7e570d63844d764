package analysis

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Scope is the series of one metric on a service's pods, in which an indicator's matchers
// need labels.
type Scope struct {
	Metric string
	// Labels that matchers need: without one of them the matcher selects nothing.
	Labels []string
	// Any is set when one of Labels is enough: the matchers of bad are all such that a series
	// without their labels matches. Without any of them every request is bad.
	Any bool
	// Has is set for the series that have this label: bad has a matcher that selects every
	// value of it, so the label may come with the first bad request.
	Has string
	// Bound is set for the buckets of a histogram with this upper bound.
	Bound string
	// OfBad is set for a metric that only the bad requests or the violations have, and
	// Narrows for labels by which bad selects some of the series of total. The series of total
	// are counted without either.
	OfBad, Narrows bool
	// OfDestination is set for series that name the destination of requests, not a pod.
	OfDestination bool
}

// Stable and Candidate are the versions in messages.
const (
	Stable    = "stable"
	Candidate = "candidate"
)

// Sight is what the pods of one version have of an indicator's series.
type Sight struct {
	// Version is Stable or Candidate.
	Version string
	// Counts since the pods started, without those that are Unusable.
	Counts
	// Unusable is how many series have a value that no counter has, such as NaN; Example is one
	// of them, its pod, metric and value. It may be empty.
	Unusable int
	Example  string
	// Scopes are in the order of the scopes that were probed.
	Scopes []ScopeSight
}

// ScopeSight is how many series a scope has, and how many of them have each label.
type ScopeSight struct {
	Series int
	With   []int
	// Names of the labels of one series, when a label is missing; of buckets, the bounds nearest
	// to the one that is missing, as thresholds.
	Names []string
}

// Missing is the index of the first label that is needed and that none of the series has; -1
// without one, and without series.
func (s Scope) Missing(seen ScopeSight) int {
	missing := slices.Index(seen.With, 0)
	if seen.Series == 0 || s.Any && slices.ContainsFunc(seen.With, func(n int) bool { return n > 0 }) {
		return -1
	}
	return missing
}

// LeftOut says how many series cannot be used because of their values, and names one; empty for
// none.
func (v Sight) LeftOut() string {
	if v.Unusable == 0 {
		return ""
	}
	note := fmt.Sprintf("series left out: %d", v.Unusable)
	if v.Example != "" {
		note += " (" + v.Example + ")"
	}
	return note
}

// LacksBucket reports whether a scope is the buckets of a threshold, and the version has a
// histogram without them. The scope before it is the histogram's count.
func (v Sight) LacksBucket(scopes []Scope, i int) bool {
	return scopes[i].Bound != "" && i > 0 && v.Scopes[i].Series == 0 && v.Scopes[i-1].Series > 0
}

// broughtBy reports whether the candidate has a label of bad that stable lacks: a new version
// may bring it.
func (s Scope) broughtBy(i int, versions []Sight) bool {
	brought := false
	for _, v := range versions {
		if v.Version == Candidate && i < len(v.Scopes) {
			brought = brought || v.Scopes[i].Series > 0 && s.Missing(v.Scopes[i]) < 0
		}
	}
	return brought && (s.OfBad || s.Narrows)
}

// Incomparable says why stable's bad requests are not known although the candidate's are: the
// candidate has brought the label that they are told by. It is empty when they are known.
func Incomparable(scopes []Scope, versions ...Sight) string {
	for i, scope := range scopes {
		for _, v := range versions {
			if v.Version != Stable || i >= len(v.Scopes) {
				continue
			}
			if at := scope.Missing(v.Scopes[i]); at >= 0 && scope.broughtBy(i, versions) {
				return fmt.Sprintf("its series %s lack the label %s", quoted(scope.Metric), quoted(scope.Labels[at]))
			}
		}
	}
	return ""
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
			if version.LacksBucket(scopes, i) {
				return Verdict{Reason: BadQuery, Message: noBucket(scope, version.Version, seen.Names)}, false
			}
			if at := scope.Missing(seen); at >= 0 && (version.Version != Stable || !scope.broughtBy(i, versions)) {
				return Verdict{Reason: UnknownLabel, Message: unknownLabel(scope, version.Version, scope.Labels[at], seen.Names)}, false
			}
		}
		switch {
		case scope.Has != "" && series == 0 && !missingIsZero:
			return neverSeen(fmt.Sprintf("%s with the label %s", quoted(scope.Metric), quoted(scope.Has))), false
		case scope.Has != "":
		case scope.OfBad:
			ofBad, unseen = append(ofBad, scope.Metric), unseen && series == 0
		case scope.Bound != "":
		case series == 0 && scope.OfDestination:
			return Verdict{Reason: NoSeries, Message: fmt.Sprintf("the source has no series %s of requests to the service: check its name, the labels of destination, and that the gateway is scraped and has served requests", quoted(scope.Metric))}, false
		case series == 0:
			return Verdict{Reason: NoSeries, Message: fmt.Sprintf("the source has no series %s for any pod of the service: check its name, that the pods are scraped, and that spec.labels of the MetricSource are the labels that name them", quoted(scope.Metric))}, false
		}
	}
	if len(ofBad) > 0 && unseen && !missingIsZero {
		return neverSeen(strings.Join(quotedAll(ofBad), ", ")), false
	}
	return Verdict{}, true
}

func noBucket(scope Scope, version string, bounds []string) string {
	instead := "choose a threshold that is a bucket bound (label le)"
	if len(bounds) > 0 {
		instead = "buckets exist for " + strings.Join(bounds, ", ") + "; set threshold to one of them"
	}
	return fmt.Sprintf("the histogram of %s has no bucket %s whose upper bound is the threshold %s: %s, or add the bucket", scope.of(version), quoted(scope.Metric), scope.Bound, instead)
}

func neverSeen(series string) Verdict {
	return Verdict{Reason: NeverSeen, Message: fmt.Sprintf(
		"no pod of the service has ever had a series %s, so its 0 may be a misspelt name: correct it, or, if it is created with its first increment, set missingBad (of an invariant missingViolations) to Zero", series)}
}

// leastBad is how many requests must all be bad before the indicator is doubted.
const leastBad = 100

// AllBad doubts an indicator by which every request of stable's is bad since its pods started:
// it counts the wrong ones. ok is true when it has no doubt. counted is what c is of, such as
// requests of the stable pods.
func AllBad(c Counts, counted string) (v Verdict, ok bool) {
	if c.Total < leastBad || c.Bad < c.Total {
		return Verdict{}, true
	}
	return Verdict{Reason: EverythingBad, Message: fmt.Sprintf(
		"all %.0f %s are counted as bad, so nothing can be told apart: correct what bad selects, or the threshold and its unit", c.Total, counted)}, false
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
	does := "its matcher selects nothing"
	if scope.Any {
		does = "the matchers of bad select every request"
	}
	return fmt.Sprintf("no series %s of %s has the label %s, so %s; write one of its labels%s", quoted(scope.Metric), scope.of(version), quoted(label), does, has)
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
