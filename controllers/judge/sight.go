package judge

import (
	"context"
	"slices"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/controllers/sources"
)

// sighting is what is known of the selectors of one query: whether they can match series
// of the run's pods. A selector that cannot match counts 0 bad requests for ever.
type sighting struct {
	// asked is when the source was last asked, about these ReplicaSets or ControllerRevisions of
	// the candidate.
	asked time.Time
	sets  []string
	// hash of the guardrail.
	hash string
	// ofCanary is set when the candidate had series then.
	ofCanary bool
	// response is nil while no answer is awaited.
	response <-chan sources.Sighting
	// late is set when it was waited for once: it delays no other verdict again.
	late bool
	// missingIsZero is the guardrail's missingBad or missingViolations.
	missingIsZero bool
	// settled is set when every selector can match the candidate's series: the source is not
	// asked again. Until then, doubt says why not; it is nil before the first answer.
	settled bool
	doubt   *analysis.Verdict
	// incomparable says why stable's bad requests are not known; empty when they are.
	incomparable string
}

// probeAgain is how often the source is asked again while a selector cannot match.
const probeAgain = 30 * time.Second

// probeSelectors asks the source about the selectors of a query, once in a run, and again
// while they cannot match or the candidate has no series yet.
func (r *Reconciler) probeSelectors(ctx context.Context, t *evaluation, q query, result result) {
	s := t.sights[q.key]
	if s == nil || s.hash != q.hash || !slices.Equal(s.sets, t.canarySets) {
		s = &sighting{sets: t.canarySets, hash: q.hash}
		t.sights[q.key] = s
	}
	ofCanary := len(result.poll.Canary) > 0
	due := s.asked.IsZero() || t.now.Sub(s.asked) >= probeAgain || ofCanary && !s.ofCanary
	if s.settled || s.response != nil || !due || len(t.canarySets) == 0 {
		return
	}
	versions, known := t.probed(q, result)
	source, denied := allowedSource(ctx, r.Client, t.run.Namespace, q.source)
	if denied != nil || !known {
		return
	}
	s.asked, s.ofCanary, s.missingIsZero = t.now, ofCanary, q.measure.MissingIsZero()
	s.response = r.Prober.Probe(ctx, source, q.measure, versions)
}

// probed are the versions to ask about, the candidate's first and stable's last. ok is false
// while the source has no series of a StatefulSet's candidate that are known to be its own.
func (t *evaluation) probed(q query, result result) (versions prometheus.Pods, ok bool) {
	versions = t.versions()
	if t.run.Spec.Ordered() {
		versions.Members = t.members(q, result)
		return versions, result.Err == nil && len(versions.Members[0]) > 0
	}
	slices.Reverse(versions.ReplicaSets)
	versions.Services = slices.Clone(versions.Services)
	slices.Reverse(versions.Services)
	return versions, true
}

// take reads the answer, if it arrives before the context ends.
func (s *sighting) take(ctx context.Context) {
	if s.response == nil {
		return
	}
	var got sources.Sighting
	select {
	case got = <-s.response:
	default:
		if s.late {
			return
		}
		select {
		case got = <-s.response:
		case <-ctx.Done():
			s.late = true
			return
		}
	}
	s.response, s.late = nil, false
	if got.Err != nil {
		s.doubt = &analysis.Verdict{Reason: got.Err.Reason, Message: got.Err.Message}
		return
	}
	for i := range got.Sights {
		got.Sights[i].Version = analysis.Candidate
	}
	got.Sights[len(got.Sights)-1].Version = analysis.Stable
	v, ok := analysis.JudgeSights(got.Scopes, s.missingIsZero, got.Sights...)
	switch {
	case !ok:
		s.doubt = &v
	case !sawAll(got):
		s.doubt = &analysis.Verdict{Reason: analysis.Pending, Message: "the candidate has no series yet in which the labels of the guardrail's matchers could be looked for"}
	default:
		s.settled, s.doubt, s.incomparable = true, nil, analysis.Incomparable(got.Scopes, got.Sights...)
	}
}

// sawAll reports whether the candidate has series of everything but what is created with
// the first bad request.
func sawAll(got sources.Sighting) bool {
	for i, scope := range got.Scopes {
		seen := scope.OfBad || scope.Has != ""
		for _, canary := range got.Sights[:len(got.Sights)-1] {
			seen = seen || canary.Scopes[i].Series > 0
		}
		if !seen {
			return false
		}
	}
	return true
}

// withSelectors returns the verdict of a trigger, or why its selectors say nothing: it is
// no pass while it is not known that they can match. That a label does not exist is also
// said in place of verdicts that ask for more requests, and of all when every request is
// counted as bad because of it. err is that of the query's response.
func (t *evaluation) withSelectors(key string, v analysis.Verdict, err *prometheus.QueryError) analysis.Verdict {
	s, counts := t.sights[key], t.state.Ledgers[key].Canary
	passes, allBad := v.Outcome() == analysis.Pass, counts.Bad > 0 && counts.Bad >= counts.Total
	switch {
	case s != nil && s.doubt != nil && s.doubt.Reason == analysis.BadQuery && err != nil && err.LacksBucket:
		return *s.doubt
	case s == nil || s.settled || v.Outcome() == analysis.Error || counts.Bad > 0 && !allBad:
		return v
	case s.doubt == nil && passes:
		v.Reason, v.Message = analysis.Pending, "the source has not said yet whether the guardrail's matchers can match the candidate's series"
	case s.doubt != nil && (passes || s.doubt.Reason == analysis.UnknownLabel && (allBad || slices.Contains(wantsMore, v.Reason))):
		v.Reason, v.Message = s.doubt.Reason, s.doubt.Message
	}
	return v
}

// wantsMore are the reasons of verdicts that only wait for requests.
var wantsMore = []analysis.Reason{analysis.NoTraffic, analysis.BelowMinSamples, analysis.PartialCoverage, analysis.Pending, analysis.InvariantNotExercised}

// probeAll asks about the selectors of the queries that got a response, and waits for the
// answers as for those of the queries.
func (r *Reconciler) probeAll(ctx context.Context, t *evaluation, results map[string]result) {
	deadline, cancel := context.WithTimeout(ctx, t.every/2)
	defer cancel()
	for _, g := range t.guardrails {
		for _, q := range queriesOf(g) {
			// What buckets there are is known from a probe alone.
			if got := results[q.key]; !got.late && (got.Err == nil || got.Err.LacksBucket) {
				r.probeSelectors(ctx, t, q, got)
			}
		}
	}
	for _, s := range t.sights {
		s.take(deadline)
	}
}
