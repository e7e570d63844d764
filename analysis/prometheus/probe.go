package prometheus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// Probe is a query for what an indicator's selectors find on pods: requests, and the
// series with the labels that matchers need. Its response has a few rows for each
// ReplicaSet, whatever the number of pods, or for each pod of a StatefulSet. It is for one
// time, not for every poll.
type Probe struct {
	Query string
	// Scopes are what the query looks for labels in.
	Scopes []analysis.Scope
	// selectors of the scopes.
	selectors []string
	// buckets selects all buckets of a latency indicator's histogram.
	buckets string
	// unusable selects what has a value that no counter has, by target.
	unusable string
	// owned tells which rows of the response are about a version.
	owned Owned
}

// scope is a Scope and the series that it is about.
type scope struct {
	analysis.Scope
	series string
}

// IndicatorProbe returns the probe for an slo's indicator, for one Rollout or several;
// promQL is for one, because an expression may drop the namespace.
func IndicatorProbe(i v1alpha1.Indicator, pods ...Pods) (Probe, error) {
	restricted, err := restrictedTo(i, pods)
	if err != nil {
		return Probe{}, err
	}
	// The query for the counts has the checks of the indicator.
	if _, err := IndicatorQuery(i, pods...); err != nil {
		return Probe{}, err
	}
	of := probed{restricted.matchers, restricted.names, pods, i}
	switch {
	case i.Requests != nil:
		return of.series(i.Requests.Total, i.Requests.Bad)
	case i.Latency != nil:
		return of.latency(*i.Latency)
	default:
		return of.promQL(*i.PromQL)
	}
}

// probed is what a probe is about: mine restricts its selectors to the versions. by is the
// indicator; the zero value is for what only pods count.
type probed struct {
	mine  []string
	names labelNames
	pods  []Pods
	by    v1alpha1.Indicator
}

// InvariantProbe returns the probe for an invariant, with checks as total and violations
// as bad.
func InvariantProbe(i v1alpha1.Invariant, pods ...Pods) (Probe, error) {
	mine, err := bound(pods)
	if err != nil {
		return Probe{}, err
	}
	return probed{mine: mine, names: pods[0].labels(), pods: pods}.series(i.Checks, i.Violations)
}

// series looks for the labels of total in its metric, and for those of bad in the
// series that total selects, or in the metric of bad when that is another one.
func (of probed) series(total, bad v1alpha1.Series) (Probe, error) {
	mine, nativeToo := of.mine, mayBeNative(of.by)
	all, err := countOf(total, mine, nativeToo)
	if err != nil {
		return Probe{}, err
	}
	some, err := countOf(bad, mine, nativeToo)
	if err != nil {
		return Probe{}, err
	}
	scopes := []scope{scopeOf(total.Metric, neededBy(matchersOf(total)), nativeToo, mine)}
	if bad.Metric == total.Metric {
		scopes = append(scopes, scopesOfBad(bad.Metric, matchersOf(bad), all, nativeToo, mine, matchersOf(total))...)
	} else {
		scopes = append(scopes, scopesOfBad(bad.Metric, matchersOf(bad), "", nativeToo, mine)...)
	}
	return of.probe(scopes, counted{kind: "total", expression: all}, counted{kind: "bad", expression: some})
}

// latency looks for the labels in the count of observations, and for the bucket of the
// threshold.
func (of probed) latency(l v1alpha1.LatencyIndicator) (Probe, error) {
	mine, nativeToo := of.mine, mayBeNative(of.by)
	count := countSeries(l)
	all, err := countOf(count, mine, nativeToo)
	if err != nil {
		return Probe{}, err
	}
	within, err := withinOf(l, mine, nativeToo)
	if err != nil {
		return Probe{}, err
	}
	ofAll := l
	ofAll.Matchers = nil
	exists, err := withinOf(ofAll, mine, nativeToo)
	if err != nil {
		return Probe{}, err
	}
	buckets, err := selector(v1alpha1.Series{Metric: l.Histogram + "_bucket"}, mine)
	if err != nil {
		return Probe{}, err
	}
	p, err := of.probe([]scope{
		scopeOf(count.Metric, neededBy(matchersOf(count)), nativeToo, mine), {analysis.Scope{Metric: l.Histogram + "_bucket", Bound: thresholdText(l.Threshold.Duration)}, exists},
	}, counted{kind: "count", expression: all}, counted{kind: "within", expression: within})
	p.buckets = buckets
	return p, err
}

// promQL looks for the labels of every selector in its metric. It looks for none in an
// expression of alternatives, of which one is enough: then only the counts are known.
func (of probed) promQL(q v1alpha1.PromQLIndicator) (Probe, error) {
	scopes, err := expressionScopes(q, of.mine)
	if err != nil {
		return Probe{}, err
	}
	total, err := CustomQuery(q.Total, of.pods[0])
	if err != nil {
		return Probe{}, err
	}
	bad, err := CustomQuery(q.Bad, of.pods[0])
	if err != nil {
		return Probe{}, err
	}
	return of.probe(scopes, counted{kind: "total", expression: total}, counted{kind: "bad", expression: bad})
}

// scopeOf is all series of a metric on the pods.
func scopeOf(metric string, needed []string, nativeToo bool, mine []string) scope {
	series := metric + "{" + strings.Join(mine, ",") + "}"
	if !metricName.MatchString(metric) {
		series = "{__name__=" + strconv.Quote(metric) + "," + strings.Join(mine, ",") + "}"
	}
	if _, native, err := bothForms(v1alpha1.Series{Metric: metric}, mine, nativeToo); err == nil && native != "" {
		series = "(" + series + " or histogram_count(" + native + "))"
	}
	return scope{analysis.Scope{Metric: metric, Labels: needed}, series}
}

// Labels that a probe adds to series. Ones that users have are not overwritten.
const (
	probeSet   = "belay_set"
	probeKind  = "belay_k"
	probeScope = "belay_s"
	probeLabel = "belay_l"
)

// probe writes the query. Each series gets a label with the number of its scope and, for
// each label that is needed, whether it has it. They are counted by that and by their
// pod's ReplicaSet, which the response has as pod, by the pod of a StatefulSet, or by their
// destination. Counters are added
// up as well, without values that no counter has: one pod's must not hide what the others
// count. Those are counted as a kind of their own, unless the query is too long for it: they are
// only for messages, and what can be queried can be probed.
func (of probed) probe(scopes []scope, counters ...counted) (Probe, error) {
	p := Probe{owned: OwnedBy(of.by)}
	existing := make([]string, len(scopes))
	var sums, left, unusable []string
	for i, s := range scopes {
		s.OfDestination = !CountsByPod(of.by)
		p.Scopes, p.selectors = append(p.Scopes, s.Scope), append(p.selectors, s.series)
		marked := `label_replace(` + s.series + `,"` + probeScope + `","` + strconv.Itoa(i) + `","","")`
		joined := `"` + probeScope + `"`
		for j, name := range s.Labels {
			mark := `"` + probeLabel + strconv.Itoa(j) + `"`
			marked = `label_replace(` + marked + `,` + mark + `,"1",` + strconv.Quote(name) + `,".+")`
			joined += "," + mark
		}
		existing[i] = `label_join(` + marked + `,"` + probeKind + `",",",` + joined + `)`
	}
	for _, c := range counters {
		sums = append(sums, kindOf(c.kind, c.usable()))
		left = append(left, kindOf(unusableKind, c.unusable()))
		unusable = append(unusable, row(c.kind, "sum "+of.names.byTarget()+"("+c.unusable()+")"))
	}
	p.unusable = strings.Join(unusable, " or ")
	query := of.counting(slices.Concat(existing, left), sums)
	// As for other queries, the limit grows with the Rollouts.
	limit := 4 * maxQuery * max(1, len(of.pods))
	if len(query) > limit {
		query = of.counting(existing, sums)
	}
	if len(query) > limit {
		return Probe{}, fmt.Errorf("the query has %d bytes, %d are allowed: use fewer or shorter matchers", len(query), limit)
	}
	p.Query = query
	return p, nil
}

func (of probed) counting(series, sums []string) string {
	return of.byVersion("count", strings.Join(series, " or ")) + " or " + of.byVersion("sum", strings.Join(sums, " or "))
}

// counted is an expression of counters, or of a gauge, by the kind that its sum has in a response.
type counted struct {
	kind, expression string
	gauge            bool
}

// ofCounter selects values that a counter can have, of those that are not negative.
var ofCounter = "<= " + strconv.Itoa(analysis.MaxCount)

// unusableKind is that of series with a value that no counter has.
const unusableKind = "unusable"

// usable selects what has a finite value that is not negative but for noise, and of counters not
// above analysis.MaxCount, and unusable all else.
func (c counted) usable() string {
	most := ofCounter
	if c.gauge {
		most = "< Inf"
	}
	return "((" + c.expression + ") > -1e-9 " + most + ")"
}

func (c counted) unusable() string { return "((" + c.expression + ") unless " + c.usable() + ")" }

func kindOf(k, expression string) string {
	return `label_replace(` + expression + `,"` + probeKind + `","` + k + `","","")`
}

// byVersion aggregates series by ReplicaSet, pod of a StatefulSet or destination, and gives the result the labels
// that responses are read by.
func (of probed) byVersion(aggregate, series string) string {
	names := of.names
	if !CountsByPod(of.by) {
		by := quotedName(names.podName()) + `, ` + probeKind
		if !names.noNamespace {
			by = quotedName(names.namespaceName()) + `, ` + by
		}
		return `label_replace(` + aggregate + ` by (` + by + `) (` + series + `),"k","$1","` + probeKind + `","(.+)")`
	}
	pod := strconv.Quote(names.podName())
	bound := aggregate + ` by (` + quotedName(names.namespaceName()) + `, ` + probeSet + `, ` + probeKind + `) (label_replace(` + series + `,"` + probeSet + `","$1",` + pod + `,` + strconv.Quote(podPattern(of.pods)) + `))`
	return `label_replace(label_replace(` + bound + `,` + pod + `,"$1","` + probeSet + `","(.+)"),"k","$1","` + probeKind + `","(.+)")`
}

// Sights are what a probe found, by namespace and the name that its rows have.
type Sights map[sightKey]analysis.Sight

// sightKey has the beginning of the names of a ReplicaSet's pods, the name of a StatefulSet's
// pod, or a destination.
type sightKey struct{ namespace, name string }

// Of returns what a version has, one of Pods.ByVersion; the zero value, with all scopes empty,
// when it has no series.
func (s Sights) Of(probe Probe, version Pods) analysis.Sight {
	if !CountsByPod(probe.owned.indicator) || version.ordered() {
		return s.sum(probe, version)
	}
	prefix := podPrefix(version.ReplicaSets[0])
	found, ok := s[sightKey{version.Namespace, prefix}]
	if !ok {
		found = emptySight(probe.Scopes)
	}
	// An expression may have dropped the namespace.
	without := s[sightKey{"", prefix}]
	found.Counts, found.Unusable = found.Add(without.Counts), found.Unusable+without.Unusable
	return found
}

func emptySight(scopes []analysis.Scope) analysis.Sight {
	sight := analysis.Sight{Scopes: make([]analysis.ScopeSight, len(scopes))}
	for i, s := range scopes {
		sight.Scopes[i].With = make([]int, len(s.Labels))
	}
	return sight
}

// Probe sends a probe. tenant is the namespace that it is for; empty when several share it.
// The error is a *QueryError.
func (c *Client) Probe(ctx context.Context, tenant string, probe Probe, clock Clock) (Sights, error) {
	done, err := c.turn(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer done()
	found, at := Sights{}, evaluationTime(clock)
	_, err = c.query(ctx, probe.Query, at, func(r *sample) *QueryError { return found.take(probe.Scopes, at, r) })
	if err != nil {
		return nil, err
	}
	return found, nil
}

// take reads one row: the requests or bad requests of a ReplicaSet, or how many series of
// a scope have certain of its labels.
func (s Sights) take(scopes []analysis.Scope, at time.Time, r *sample) *QueryError {
	switch {
	case r.histogram:
		return failed(analysis.WrongType, "the response has a native histogram where a counter is expected: use a classic histogram or a counter")
	case r.invalid || !isCount(r.value):
		return errNoValue
	case isAnotherTime(r.at, at):
		return failed(analysis.ClockSkew, "the response has another evaluation time than the query")
	case len(r.namespace) > 63 || len(r.pod) > 253:
		return failed(analysis.Malformed, "the response has a series without a valid pod label")
	}
	key := sightKey{string(r.namespace), string(r.pod)}
	sight, ok := s[key]
	if !ok {
		sight = emptySight(scopes)
	}
	switch kind := string(r.kind); kind {
	case "total":
		sight.Total += r.value
	case "bad":
		sight.Bad += r.value
	case "count":
		sight.Total, sight.Bad = sight.Total+r.value, sight.Bad+r.value
	case "within":
		sight.Bad -= r.value
	case unusableKind:
		sight.Unusable += int(r.value)
	default:
		marks := strings.Split(kind, ",")
		i, err := strconv.Atoi(marks[0])
		if err != nil || i < 0 || i >= len(scopes) || len(marks) != 1+len(scopes[i].Labels) {
			return failed(analysis.Malformed, "the response has a series with the unexpected label k=%s", quote(kind))
		}
		seen := &sight.Scopes[i]
		seen.Series += int(r.value)
		for j, mark := range marks[1:] {
			if mark != "" {
				seen.With[j] += int(r.value)
			}
		}
	}
	s[key] = sight
	return nil
}

// maxLabelNames bounds the names that are kept of one series.
const maxLabelNames = 64

// LabelNames returns the names of the labels of one series in a scope of a probe, sorted,
// at most 64 of at most 128 bytes. tenant is as for Probe. The error is a *QueryError.
func (c *Client) LabelNames(ctx context.Context, tenant string, probe Probe, scope int, clock Clock) ([]string, error) {
	if scope < 0 || scope >= len(probe.selectors) {
		return nil, errors.New("the probe has no such scope")
	}
	done, err := c.turn(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer done()
	var names []string
	rows := &vectorReader{limit: c.limits.rows(), labels: c.labels, take: func(*sample) *QueryError { return nil }, label: func(name []byte) {
		if len(names) < maxLabelNames && len(name) <= 128 && string(name) != "__name__" {
			names = append(names, string(name))
		}
	}}
	_, err = c.read(ctx, "topk(1, "+probe.selectors[scope]+")", evaluationTime(clock), rows)
	slices.Sort(names)
	return slices.Compact(names), err
}
