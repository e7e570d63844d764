package judge

import (
	"context"
	"slices"
	"strconv"
	"time"

	utilstrings "k8s.io/utils/strings"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources"
)

// question is one query of a poll: an indicator or an invariant of a guardrail.
type question struct {
	key     string
	source  string
	subject sources.Subject
	// hash of the guardrail it is from.
	hash string
}

// reply is what came back.
type reply struct {
	sources.Reply
	query string
	// counted is what the ledger counts, poll what a verdict may rest on.
	counted  analysis.Poll
	poll     analysis.Poll
	interval time.Duration
	// late says that the answer has not come yet.
	late bool
}

// judge asks every question of a run at one evaluation time and applies every
// trigger to the answers.
func (r *Reconciler) judge(ctx context.Context, t *trial) *v1alpha1.AnalysisStatus {
	replies := r.ask(ctx, t)
	for key, reply := range replies {
		if !reply.late && reply.Err == nil && reply.counted.Check() == nil {
			t.state.Ledgers[key] = t.state.Ledgers[key].Advance(reply.counted, t.stageFrom)
		}
	}
	status := &v1alpha1.AnalysisStatus{EvaluatedAt: microTime(t.now)}
	var all []analysis.Outcome
	sights := blindness{}
	for _, g := range t.guardrails {
		for _, trigger := range g.Spec.Triggers {
			if trigger.Pods != nil {
				continue
			}
			entry := t.apply(g, trigger, replies)
			sights.see(g.Spec.Source, &entry)
			status.Triggers = append(status.Triggers, entry)
			all = append(all, analysis.Outcome(entry.Outcome))
		}
	}
	for source, blind := range sights {
		r.Breaker.Note(source, t.run.UID, blind, t.now)
	}
	status.Triggers = v1alpha1.WorstFirst(status.Triggers, func(t v1alpha1.TriggerAnalysis) v1alpha1.VerdictOutcome { return t.Outcome })
	if len(all) > 0 {
		status.Verdict = v1alpha1.VerdictOutcome(analysis.Worst(all...))
	}
	return status
}

// blindness is, by source, whether one of a run's triggers gets no usable answer
// from it. A source that says nothing of a run is not in it.
type blindness map[string]bool

// see leaves out what says nothing of the source: a fail, which is kept whatever
// is answered later, and a fault of the guardrail.
func (b blindness) see(source string, t *v1alpha1.TriggerAnalysis) {
	own := t.Reason == string(analysis.BadQuery) || t.Reason == string(analysis.SourceMissing)
	if t.Outcome != v1alpha1.VerdictFail && !own {
		b[source] = b[source] || isBlind(t)
	}
}

// isBlind reports whether a verdict is none for want of a usable answer.
func isBlind(t *v1alpha1.TriggerAnalysis) bool {
	return t.Outcome == v1alpha1.VerdictError || t.Reason == string(analysis.Stale) || t.Reason == string(analysis.PartialCoverage)
}

// questionsOf lists what a guardrail's triggers need to know, each once.
func questionsOf(g v1alpha1.PinnedGuardrail) []question {
	var out []question
	for _, trigger := range g.Spec.Triggers {
		key := questionKey(g, trigger)
		if key == "" || slices.ContainsFunc(out, func(q question) bool { return q.key == key }) {
			continue
		}
		for _, slo := range g.Spec.SLOs {
			if trigger.SLO == slo.Name {
				out = append(out, question{key, g.Spec.Source, sources.Subject{Indicator: slo.Indicator}, g.Hash})
			}
		}
		for _, invariant := range g.Spec.Invariants {
			if trigger.Invariant == invariant.Name {
				// Whatever it is called, runs that ask for the same share a query.
				invariant.Name = ""
				out = append(out, question{key, g.Spec.Source, sources.Subject{Invariant: &invariant}, g.Hash})
			}
		}
	}
	return out
}

func questionKey(g v1alpha1.PinnedGuardrail, t v1alpha1.Trigger) string {
	switch {
	case t.SLO != "":
		return g.Kind + "/" + g.Name + "/slo/" + t.SLO
	case t.Invariant != "":
		return g.Kind + "/" + g.Name + "/invariant/" + t.Invariant
	default:
		return ""
	}
}

// ask sends all questions at once and waits for answers for half a poll's time.
// What has not come by then holds back no other verdict: it is late, and looked
// for at the next poll, which does not ask again. A late answer from before the
// present stage says nothing of it and is dropped.
func (r *Reconciler) ask(ctx context.Context, t *trial) map[string]reply {
	waiting := map[string]pending{}
	for _, g := range t.guardrails {
		for _, q := range questionsOf(g) {
			p, asked := t.waiting[q.key]
			if !asked {
				p = r.askOne(ctx, t, q)
				p.question = q
			}
			waiting[q.key] = p
		}
	}
	patience, cancel := context.WithTimeout(ctx, t.every/2)
	defer cancel()
	replies, late := make(map[string]reply, len(waiting)), map[string]pending{}
	for key, p := range waiting {
		out := p.await(patience)
		switch {
		case out.late:
			p.late = true
			late[key] = p
		case out.At.Before(t.stageFrom) && out.Err == nil:
			out.late = true
		case out.Err == nil:
			out.counted, out.poll = t.split(p.question, out.Pods, out.At)
			out.counted.RunStart, out.counted.ScrapeInterval = t.run.Spec.StartedAt.Time, out.interval
		}
		replies[key] = out
	}
	t.waiting = late
	return replies
}

// pending is a question on its way: answer is nil when reply is all there will be.
type pending struct {
	reply
	question question
	answer   <-chan sources.Reply
}

func (r *Reconciler) askOne(ctx context.Context, t *trial, q question) pending {
	source, denied := allowedSource(ctx, r.Client, t.run.Namespace, q.source)
	if denied != nil {
		return pending{reply: reply{Reply: sources.Reply{Err: denied}}}
	}
	p := pending{reply: reply{Reply: sources.Reply{At: t.now}, interval: source.Spec.ScrapeInterval.Duration}}
	known, err := t.inquiryOf(q)
	if err != nil {
		p.Err = &prometheus.QueryError{Reason: analysis.BadQuery, Message: utilstrings.ShortenString(err.Error(), 400)}
		return p
	}
	p.query, p.answer = known.Query, r.Asker.Ask(ctx, source, known, t.podCount)
	return p
}

// posed is an inquiry as an earlier poll made it.
type posed struct {
	sources.Inquiry
	hash string
}

// inquiryOf makes an inquiry anew only when the guardrail or the run's ReplicaSets
// have changed.
func (t *trial) inquiryOf(q question) (sources.Inquiry, error) {
	known, ok := t.posed[q.key]
	sets := known.Pods.ReplicaSets
	if ok && known.hash == q.hash && sets[0] == t.stableSet && slices.Equal(sets[1:], t.canarySets) {
		return known.Inquiry, nil
	}
	made, err := sources.NewInquiry(q.subject, prometheus.Pods{Namespace: t.run.Namespace, ReplicaSets: append([]string{t.stableSet}, t.canarySets...)})
	if err == nil && t.posed != nil {
		t.posed[q.key] = posed{made, q.hash}
	}
	return made, err
}

func (p pending) await(ctx context.Context) reply {
	if p.answer == nil {
		return p.reply
	}
	var got reply
	select {
	case got.Reply = <-p.answer:
	default:
		// One that is there is taken, however little time is left. For one that was
		// late already, nobody waits again.
		got = reply{Reply: sources.Reply{At: p.At}, late: true}
		if !p.late {
			select {
			case got.Reply = <-p.answer:
				got.late = false
			case <-ctx.Done():
			}
		}
	}
	got.query, got.interval = p.query, p.interval
	return got
}

// apply judges one trigger and sets the entry that evidence keeps of it.
func (t *trial) apply(g v1alpha1.PinnedGuardrail, trigger v1alpha1.Trigger, replies map[string]reply) v1alpha1.TriggerAnalysis {
	key := questionKey(g, trigger)
	reply := replies[key]
	at := t.now
	if !reply.At.IsZero() {
		at = reply.At
	}
	entry := v1alpha1.TriggerAnalysis{
		Kind: g.Kind, Guardrail: g.Name, Name: trigger.Name, Query: reply.query, EvaluatedAt: microTime(at),
	}
	before := t.before.Trigger(g.Kind, g.Name, trigger.Name)
	if before != nil && (reply.late || before.Outcome == v1alpha1.VerdictFail) {
		// A fail is final for a run: what was found stays as it was found. So does
		// anything until there is an answer, and ages.
		return *before
	}
	v := analysis.Verdict{Reason: analysis.Pending, Message: "the source has not answered yet"}
	if !reply.late {
		v = t.verdict(g, trigger, reply)
	}
	if !reply.late && reply.Err == nil {
		entry.SamplesSHA256 = prometheus.Digest(reply.Pods)
	}
	entry.Outcome, entry.Reason, entry.Message = v1alpha1.VerdictOutcome(v.Outcome()), string(v.Reason), utilstrings.ShortenString(v.Message, 512)
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

// noteHistory carries over what earlier evaluations recorded and adds a change
// of outcome or reason.
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
	change := v1alpha1.VerdictChange{At: *entry.EvaluatedAt, Outcome: entry.Outcome, Reason: entry.Reason, Message: utilstrings.ShortenString(entry.Message, 256)}
	entry.History = append(append([]v1alpha1.VerdictChange{}, entry.History...), change)
	if len(entry.History) > maxChanges {
		entry.History = entry.History[len(entry.History)-maxChanges:]
	}
}
