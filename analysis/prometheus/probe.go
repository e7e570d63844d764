package prometheus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// Probe is a query for what an indicator's selectors find on pods: requests, and the
// series with the labels that matchers need. Its response has a few rows for each
// ReplicaSet, whatever the number of pods. It is for one time, not for every poll.
type Probe struct {
	Query string
	// Scopes are what the query looks for labels in.
	Scopes []analysis.Scope
	// selectors of the scopes.
	selectors []string
}

// scope is a Scope and the series that it is about.
type scope struct {
	analysis.Scope
	series string
}

// IndicatorProbe returns the probe for an slo's indicator, for one Rollout or several;
// promQL is for one, because an expression may drop the namespace.
func IndicatorProbe(i v1alpha1.Indicator, pods ...Pods) (Probe, error) {
	mine, err := bound(pods)
	if err != nil {
		return Probe{}, err
	}
	// The query for the counts has the checks of the indicator.
	if _, err := IndicatorQuery(i, pods...); err != nil {
		return Probe{}, err
	}
	switch {
	case i.Requests != nil:
		return seriesProbe(i.Requests.Total, i.Requests.Bad, mayBeNative(i), mine, pods)
	case i.Latency != nil:
		return latencyProbe(*i.Latency, mayBeNative(i), mine, pods)
	default:
		return promQLProbe(*i.PromQL, mine, pods)
	}
}

// InvariantProbe returns the probe for an invariant, with checks as total and violations
// as bad.
func InvariantProbe(i v1alpha1.Invariant, pods ...Pods) (Probe, error) {
	mine, err := bound(pods)
	if err != nil {
		return Probe{}, err
	}
	return seriesProbe(i.Checks, i.Violations, false, mine, pods)
}

// seriesProbe looks for the labels of total in its metric, and for those of bad in the
// series that total selects, or in the metric of bad when that is another one.
func seriesProbe(total, bad v1alpha1.Series, nativeToo bool, mine []string, pods []Pods) (Probe, error) {
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
	return newProbe(scopes, kindOf("total", all)+" or "+kindOf("bad", some), pods)
}

// latencyProbe looks for the labels in the count of observations, and for the bucket of the
// threshold.
func latencyProbe(l v1alpha1.LatencyIndicator, nativeToo bool, mine []string, pods []Pods) (Probe, error) {
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
	return newProbe([]scope{
		scopeOf(count.Metric, neededBy(matchersOf(count)), nativeToo, mine), {analysis.Scope{Metric: l.Histogram + "_bucket", Bound: l.Threshold.Duration.String()}, exists},
	}, kindOf("total", all)+" or "+kindOf("bad", all)+" or "+kindOf("within", within), pods)
}

// promQLProbe looks for the labels of every selector in its metric. It looks for none in an
// expression of alternatives, of which one is enough: then only the counts are known.
func promQLProbe(q v1alpha1.PromQLIndicator, mine []string, pods []Pods) (Probe, error) {
	scopes, err := expressionScopes(q, mine)
	if err != nil {
		return Probe{}, err
	}
	total, err := CustomQuery(q.Total, pods[0])
	if err != nil {
		return Probe{}, err
	}
	bad, err := CustomQuery(q.Bad, pods[0])
	if err != nil {
		return Probe{}, err
	}
	return newProbe(scopes, kindOf("total", total)+" or "+kindOf("bad", bad), pods)
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

// newProbe writes the query. Each series gets a label with the number of its scope and, for
// each label that is needed, whether it has it. They are counted by that and by their
// pod's ReplicaSet, which the response has as pod. requests are added up as well.
func newProbe(scopes []scope, requests string, pods []Pods) (Probe, error) {
	var p Probe
	counted := make([]string, len(scopes))
	for i, s := range scopes {
		p.Scopes, p.selectors = append(p.Scopes, s.Scope), append(p.selectors, s.series)
		of := `label_replace(` + s.series + `,"` + probeScope + `","` + strconv.Itoa(i) + `","","")`
		joined := `"` + probeScope + `"`
		for j, name := range s.Labels {
			mark := `"` + probeLabel + strconv.Itoa(j) + `"`
			of = `label_replace(` + of + `,` + mark + `,"1",` + strconv.Quote(name) + `,".+")`
			joined += "," + mark
		}
		counted[i] = `label_join(` + of + `,"` + probeKind + `",",",` + joined + `)`
	}
	query := bySet("sum", requests, pods)
	if len(counted) > 0 {
		query = bySet("count", strings.Join(counted, " or "), pods) + " or " + query
	}
	// As for other queries, the limit grows with the Rollouts.
	if limit := 4 * maxQuery * max(1, len(pods)); len(query) > limit {
		return Probe{}, fmt.Errorf("the query has %d bytes, %d are allowed: use fewer or shorter matchers", len(query), limit)
	}
	p.Query = query
	return p, nil
}

func kindOf(k, expression string) string {
	return `label_replace(` + expression + `,"` + probeKind + `","` + k + `","","")`
}

// bySet aggregates series by ReplicaSet, and gives the result the labels that responses
// are read by.
func bySet(aggregate, of string, pods []Pods) string {
	var sets []string
	for _, p := range pods {
		sets = append(sets, p.ReplicaSets...)
	}
	slices.Sort(sets)
	names := pods[0].labels()
	pod := strconv.Quote(names.podName())
	bound := aggregate + ` by (` + quotedName(names.namespaceName()) + `, ` + probeSet + `, ` + probeKind + `) (label_replace(` + of + `,"` + probeSet + `","$1",` + pod + `,` + strconv.Quote(podPattern(slices.Compact(sets))) + `))`
	return `label_replace(label_replace(` + bound + `,` + pod + `,"$1","` + probeSet + `","(.+)"),"k","$1","` + probeKind + `","(.+)")`
}

// Sights are what a probe found, by namespace and ReplicaSet.
type Sights map[sightKey]analysis.Sight

type sightKey struct{ namespace, prefix string }

// Of returns what a ReplicaSet's pods have; the zero value, with all scopes empty, when
// they have no series.
func (s Sights) Of(probe Probe, namespace, replicaSet string) analysis.Sight {
	found, ok := s[sightKey{namespace, podPrefix(replicaSet)}]
	if !ok {
		found = emptySight(probe.Scopes)
	}
	// An expression may have dropped the namespace.
	found.Counts = found.Add(s[sightKey{"", podPrefix(replicaSet)}].Counts)
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
	case r.invalid || math.IsNaN(r.value) || math.IsInf(r.value, 0) || r.value < 0:
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
	case "within":
		sight.Bad -= r.value
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
