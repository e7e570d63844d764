package judge

import (
	"context"
	"slices"
	"strconv"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/analysis/triggers"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources"
)

// query is one query of a poll: for an indicator or an invariant of a guardrail.
type query struct {
	key     string
	source  string
	measure sources.Measure
	// hash of the guardrail.
	hash string
	// warmUps of the triggers that need it.
	warmUps []time.Duration
	// looksBack is how far before its newest samples a response about a StatefulSet reaches.
	looksBack time.Duration
}

// result of a query.
type result struct {
	sources.Result
	// text is the query as PromQL.
	text string
	// counted is what the ledger counts; poll is what verdicts are based on.
	counted  analysis.Poll
	poll     analysis.Poll
	interval time.Duration
	// ofDestination is set when counters are not of pods: a gateway may drop those of stable
	// when nothing is sent to it any more.
	ofDestination bool
	// late is set while the response has not arrived.
	late bool
}

// judge sends every query of a run for one evaluation time and applies every trigger
// to the results.
func (r *Reconciler) judge(ctx context.Context, t *evaluation) *v1alpha1.AnalysisStatus {
	results := r.query(ctx, t)
	r.reportSources(t, results)
	for key, result := range results {
		// A load adds up to nothing: it has no ledger.
		if !result.late && result.Err == nil && !result.counted.EvaluatedAt.IsZero() {
			t.state.Ledgers[key] = t.state.Ledgers[key].Advance(result.counted, t.stageFrom)
		}
	}
	r.probeAll(ctx, t, results)
	status := &v1alpha1.AnalysisStatus{EvaluatedAt: microTime(t.now)}
	var all []analysis.Outcome
	for _, g := range t.guardrails {
		for _, trigger := range g.Spec.Triggers {
			if !trigger.Measured() {
				continue
			}
			entry := t.apply(g, trigger, results)
			status.Triggers = append(status.Triggers, entry)
			if entry.Mode != v1alpha1.ModeObserve {
				all = append(all, analysis.Outcome(entry.Outcome))
			}
		}
	}
	status.Triggers = v1alpha1.WorstFirst(status.Triggers, func(t v1alpha1.TriggerAnalysis) v1alpha1.VerdictOutcome { return t.Mode.Decisive(t.Outcome) })
	if len(all) > 0 {
		status.Verdict = v1alpha1.VerdictOutcome(analysis.Worst(all...))
	}
	return status
}

// reportSources tells the breaker whether the sources gave the run usable responses.
func (r *Reconciler) reportSources(t *evaluation, results map[string]result) {
	blind := map[string]bool{}
	for _, g := range t.guardrails {
		for _, q := range queriesOf(g) {
			if report := t.reportOf(results[q.key], t.state.Ledgers[q.key]); report != noReport {
				blind[q.source] = blind[q.source] || report == sourceBlind
			}
		}
	}
	for source, isBlind := range blind {
		r.Breaker.Note(source, t.run.UID, isBlind, t.now)
	}
}

// sourceReport is what a run's query tells about its source.
type sourceReport int

const (
	// noReport: nothing, because the query is late, or the run's own query or series are the
	// cause of an error.
	noReport sourceReport = iota
	sourceWorks
	sourceBlind
)

// reportOf tells a source that does not respond from an app that it does not scrape: a
// response without data counts against the source only when it had samples of the stable
// pods earlier in the run, and some are left: a promoted StatefulSet has none.
func (t *evaluation) reportOf(r result, before analysis.Ledger) sourceReport {
	isLeft := t.stablePods > 0 || !t.run.Spec.Ordered()
	switch {
	case r.late || r.Own:
		return noReport
	case r.Err != nil:
		return sourceBlind
	case len(r.poll.Stable) == 0 && before.Stable.Total > 0 && !r.ofDestination && isLeft:
		return sourceBlind
	default:
		return sourceWorks
	}
}

// isBlind reports whether a trigger has no verdict because there is no usable response.
func isBlind(t *v1alpha1.TriggerAnalysis) bool {
	return t.Outcome == v1alpha1.VerdictError || t.Reason == string(analysis.Stale) || t.Reason == string(analysis.PartialCoverage)
}

// queriesOf lists the queries that a guardrail's triggers need, each once.
func queriesOf(g v1alpha1.PinnedGuardrail) []query {
	var out []query
	for _, trigger := range g.Spec.Triggers {
		key := queryKey(g, trigger)
		if key == "" || slices.ContainsFunc(out, func(q query) bool { return q.key == key }) {
			continue
		}
		if s := trigger.Saturation; s != nil {
			load := prometheus.LoadOf(*s)
			out = append(out, query{key: key, source: g.Spec.Source, measure: sources.Measure{Load: &load}, hash: g.Hash})
		}
		for _, slo := range g.Spec.SLOs {
			if trigger.SLO == slo.Name {
				out = append(out, query{key: key, source: g.Spec.Source, measure: sources.Measure{Indicator: slo.Indicator}, hash: g.Hash, warmUps: triggers.WarmUps(g.Spec, slo.Name)})
			}
		}
		for _, invariant := range g.Spec.Invariants {
			if trigger.Invariant == invariant.Name {
				// The name does not matter to the query: runs share it by the series alone.
				invariant.Name = ""
				out = append(out, query{key: key, source: g.Spec.Source, measure: sources.Measure{Invariant: &invariant}, hash: g.Hash})
			}
		}
	}
	return out
}

func queryKey(g v1alpha1.PinnedGuardrail, t v1alpha1.Trigger) string {
	switch {
	case t.SLO != "":
		return g.Kind + "/" + g.Name + "/slo/" + t.SLO
	case t.Invariant != "":
		return g.Kind + "/" + g.Name + "/invariant/" + t.Invariant
	case t.Saturation != nil:
		return g.Kind + "/" + g.Name + "/saturation/" + t.Name
	default:
		return ""
	}
}

// query sends all queries at once and waits for the responses for half of a poll's
// interval. A response that has not arrived by then delays no other verdict: the next
// poll takes it, without sending the query again. A late response from before the
// present stage is dropped, because it says nothing about this stage.
func (r *Reconciler) query(ctx context.Context, t *evaluation) map[string]result {
	waiting := map[string]sent{}
	for _, g := range t.guardrails {
		for _, q := range queriesOf(g) {
			p, isSent := t.waiting[q.key]
			if !isSent {
				p = r.send(ctx, t, q)
				p.query = q
				if t.run.Spec.Ordered() {
					p.query.looksBack = q.measure.LooksBack(p.interval)
				}
			}
			waiting[q.key] = p
		}
	}
	deadline, cancel := context.WithTimeout(ctx, t.every/2)
	defer cancel()
	results, late := make(map[string]result, len(waiting)), map[string]sent{}
	for key, p := range waiting {
		results[key] = p.await(deadline)
	}
	t.lookAgain(ctx, r)
	for key, out := range results {
		p := waiting[key]
		switch {
		case out.late:
			p.late = true
			late[key] = p
		case out.At.Before(t.stageFrom) && out.Err == nil:
			out.late = true
		case out.Err == nil && p.query.measure.Load != nil:
			_, out.poll = t.split(p.query, out.Pods, out.At)
		case out.Err == nil:
			out.ofDestination = !prometheus.CountsByPod(p.query.measure.Indicator)
			out.counted, out.poll = t.split(p.query, out.Pods, out.At)
			out.counted.ScrapeInterval, out.counted.WarmUps = out.interval, p.query.warmUps
		}
		results[key] = out
	}
	t.waiting = late
	return results
}

// sent is a query without a response so far. response is nil when the query could not
// be sent, and result says why.
type sent struct {
	result
	query    query
	response <-chan sources.Result
}

func (r *Reconciler) send(ctx context.Context, t *evaluation, q query) sent {
	source, denied := allowedSource(ctx, r.Client, t.run.Namespace, q.source)
	if denied != nil {
		return sent{result: result{Result: sources.Result{Err: denied, Own: true}}}
	}
	p := sent{result: result{Result: sources.Result{At: t.now}, interval: source.Interval()}}
	known, err := t.queryOf(q, source)
	switch {
	case prometheus.NotRouted(err) != nil:
		p.Own, p.Err = true, &prometheus.QueryError{Reason: analysis.NotRouted, Message: prometheus.NotRouted(err).Error()}
		return p
	case err != nil:
		p.Own, p.Err = true, &prometheus.QueryError{Reason: analysis.BadQuery, Message: v1alpha1.Bounded(err.Error(), 400)}
		return p
	}
	p.text, p.response = known.Text, r.Querier.Query(ctx, source, known, t.podCount)
	return p
}

// cachedQuery is a query that an earlier poll made.
type cachedQuery struct {
	sources.Query
	hash     string
	interval time.Duration
}

// queryOf makes a query again only when the guardrail, the run's ReplicaSets or Services, or the
// source's labels or scrape interval have changed.
func (t *evaluation) queryOf(q query, source *v1alpha1.MetricSource) (sources.Query, error) {
	known, ok := t.queries[q.key]
	versions, interval := t.versions(), source.Interval()
	if ok && known.hash == q.hash && known.interval == interval && known.Pods.Labels == source.Spec.Labels && slices.Equal(known.Pods.ReplicaSets, versions.ReplicaSets) && slices.Equal(known.Pods.Services, versions.Services) {
		return known.Query, nil
	}
	made, err := sources.NewQuery(source, q.measure, versions)
	if err == nil && t.queries != nil {
		t.queries[q.key] = cachedQuery{made, q.hash, interval}
	}
	return made, err
}

func (p sent) await(ctx context.Context) result {
	if p.response == nil {
		return p.result
	}
	var got result
	select {
	case got.Result = <-p.response:
	default:
		// A response that has arrived is taken even when the deadline has passed. A
		// query that was late before is not waited for again.
		got = result{Result: sources.Result{At: p.At}, late: true}
		if !p.late {
			select {
			case got.Result = <-p.response:
				got.late = false
			case <-ctx.Done():
			}
		}
	}
	got.text, got.interval = p.text, p.interval
	return got
}

// apply judges one trigger and returns the entry that is recorded in the run.
func (t *evaluation) apply(g v1alpha1.PinnedGuardrail, trigger v1alpha1.Trigger, results map[string]result) v1alpha1.TriggerAnalysis {
	key := queryKey(g, trigger)
	result := results[key]
	at := t.now
	if !result.At.IsZero() {
		at = result.At
	}
	entry := v1alpha1.TriggerAnalysis{
		Kind: g.Kind, Guardrail: g.Name, Name: trigger.Name, Query: result.text, EvaluatedAt: microTime(at),
	}
	before := t.before.Trigger(g.Kind, g.Name, trigger.Name)
	if g.Spec.Observes(trigger) {
		entry.Mode = v1alpha1.ModeObserve
	}
	if before != nil && (result.late || before.Outcome == v1alpha1.VerdictFail) {
		// A fail is final for a run and stays as it was recorded. Any other verdict
		// stays, and gets older, until there is a response.
		stays := *before
		stays.Mode = entry.Mode
		return stays
	}
	v := analysis.Verdict{Reason: analysis.Pending, Message: "no response from the source yet"}
	if !result.late {
		v = t.verdict(g, trigger, result)
	}
	if !result.late && result.Err == nil {
		entry.SamplesSHA256 = prometheus.Digest(result.Pods)
	}
	entry.Outcome, entry.Reason, entry.Message = v1alpha1.VerdictOutcome(v.Outcome()), string(v.Reason), v1alpha1.Bounded(v.Message, 512)
	entry.Statistics = make([]v1alpha1.Statistic, 0, len(v.Statistics))
	for _, s := range v.Statistics {
		entry.Statistics = append(entry.Statistics, v1alpha1.Statistic{Name: s.Name, Value: strconv.FormatFloat(s.Value, 'g', 12, 64)})
	}
	if ledger, ok := t.state.Ledgers[key]; ok && trigger.SLO != "" {
		entry.Canary = &v1alpha1.ArmCounts{Total: int64(ledger.Canary.Total), Bad: int64(ledger.Canary.Bad)}
		entry.Stable = &v1alpha1.ArmCounts{Total: int64(ledger.Stable.Total), Bad: int64(ledger.Stable.Bad)}
	}
	if !t.stageFrom.IsZero() {
		entry.SamplesFrom = microTime(t.stageFrom)
	}
	noteHistory(&entry, before)
	return entry
}

// maxChanges bounds a trigger's history to the API's own limit.
const maxChanges = 20

// noteHistory copies the history of earlier evaluations and adds this one when its
// outcome or reason changed.
func noteHistory(entry *v1alpha1.TriggerAnalysis, before *v1alpha1.TriggerAnalysis) {
	if before != nil {
		entry.History, entry.BlindSince = before.History, before.BlindSince
	}
	switch {
	case !isBlind(entry):
		entry.BlindSince = nil
	case entry.BlindSince == nil:
		entry.BlindSince = entry.EvaluatedAt
	}
	if entry.Outcome == v1alpha1.VerdictFail {
		entry.FirstFailAt = entry.EvaluatedAt
	}
	if before != nil && before.Outcome == entry.Outcome && before.Reason == entry.Reason {
		return
	}
	change := v1alpha1.VerdictChange{At: *entry.EvaluatedAt, Outcome: entry.Outcome, Reason: entry.Reason, Message: v1alpha1.Bounded(entry.Message, 256)}
	entry.History = append(append([]v1alpha1.VerdictChange{}, entry.History...), change)
	if len(entry.History) > maxChanges {
		entry.History = entry.History[len(entry.History)-maxChanges:]
	}
}
