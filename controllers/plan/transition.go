package plan

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// Result is everything that follows from an Input: the status to record, the
// record of the decision, what to tell people, and the effects.
type Result struct {
	Decision
	// Record of the decision, without its place in the run's record; nil when the
	// decision repeats the last one, and outside of a run.
	Record *v1alpha1.DecisionRecord
	// News means that the decision differs from the last one.
	News bool
	// Event for people; nil for none.
	Event *Event
	// GoesOn means that the decision is carried out although the run's record
	// cannot be written: it takes requests or pods away from the candidate.
	GoesOn bool
}

// Event is what people are told of a decision.
type Event struct {
	// Warning means that somebody should look.
	Warning bool
	// Reason is the rule, Message why it matched; the message has at most 1000 bytes.
	Reason, Message string
}

// Transition makes the whole decision, and nothing else: the same Input always
// gives the same Result.
func Transition(in Input) Result {
	d := Decide(in)
	s := &d.Status
	s.ObservedGeneration = in.Generation
	if s.Phase.InRun() && in.Verdict.Shown != nil {
		s.Verdicts = in.Verdict.Shown
	}
	showCandidate(in, s)
	showPreview(in, s)
	number, news := numberOf(in, d)
	if news {
		s.Decision = &v1alpha1.DecisionSummary{
			Seq: number, Rule: d.Rule, Key: v1alpha1.Bounded(d.Key, 128), Why: v1alpha1.Bounded(d.Why, 1024),
			At: metav1.NewTime(in.Now.Truncate(time.Second)), Weight: d.Weight, Actor: v1alpha1.Bounded(d.Actor, 256),
		}
	}
	setConditions(in, &d)
	if left := quietFor(in, d); left > 0 {
		return quiet(in, d, left)
	}
	r := Result{Decision: d, News: news, GoesOn: goesOn(in, d)}
	if news {
		r.Event = eventOf(in, d)
	}
	if news && number > 0 {
		r.Record = recordOf(in, d)
	}
	return r
}

// Shown is a decision that is shown in the status and not recorded.
func Shown(in Input, d Decision) Result {
	d.Status.ObservedGeneration = in.Generation
	d.Status.Message = v1alpha1.Bounded(d.Why, 1024)
	setConditions(in, &d)
	return Result{Decision: d}
}

// showCandidate keeps what the candidate's pods report: the digests of its images
// and the name and hash of their ReplicaSet.
func showCandidate(in Input, s *v1alpha1.RolloutStatus) {
	if s.Candidate == nil || !s.Phase.InRun() || in.Canary.Images == nil {
		return
	}
	c := *s.Candidate
	c.Images, c.ReplicaSet, c.PodTemplateHash = in.Canary.Images, in.Canary.Name, in.Canary.Hash
	s.Candidate = &c
}

// numberOf returns a decision's number in its run, from 1 and 0 outside of a run,
// and whether it is another one than the last: of another rule, with another key,
// or the first of a run.
func numberOf(in Input, d Decision) (int32, bool) {
	last, started := in.Status.Decision, d.Status.Run != in.Status.Run
	switch {
	case d.Repeats:
		return 0, false
	case last == nil && d.Progress == Ready:
		return 0, false
	case last != nil && last.Rule == d.Rule && last.Key == v1alpha1.Bounded(d.Key, 128) && !started:
		return 0, false
	case !d.Status.Phase.InRun() && !in.Status.Phase.InRun():
		return 0, true
	case last == nil || started:
		return 1, true
	default:
		return last.Seq + 1, true
	}
}

func recordOf(in Input, d Decision) *v1alpha1.DecisionRecord {
	last := d.Status.Decision
	r := &v1alpha1.DecisionRecord{
		At: last.At, Rule: last.Rule, Why: last.Why, Phase: d.Status.Phase, Weight: last.Weight, Actor: last.Actor,
		Verdicts: in.Verdict.References,
	}
	if s := d.Status.Step; s != nil {
		index := s.Index
		r.Step = &index
	}
	r.Effect = v1alpha1.Bounded(d.Does(), 256)
	return r
}

// eventOf tells people of starts, steps, weights, holds with a new reason, commands,
// the acknowledgement that a rollback has taken everything back, and outcomes. What
// Belay does in between is in the run's record.
func eventOf(in Input, d Decision) *Event {
	was, is := in.Status, d.Status
	starts := was.Phase.InRun() != is.Phase.InRun() || was.Run != is.Run
	_, weighs := EffectOf[SetSplit](d)
	moves := was.Phase != is.Phase || weighs || stepIndex(was.Step) != stepIndex(is.Step)
	says := d.Progress == Stalled || d.Reason != readyReason(was.Conditions) || d.Reason == v1alpha1.ReasonHolding || d.Actor != ""
	if was, is := was.Rollback, is.Rollback; is != nil && is.ZeroAt != nil && (was == nil || was.ZeroAt == nil) {
		says = true
	}
	if _, last := EffectOf[Leave](d); last || d.WouldRollBack != nil {
		says = true
	}
	if !starts && !moves && !says && d.Finished == nil {
		return nil
	}
	back := is.Phase == v1alpha1.PhaseRollingBack && was.Phase != v1alpha1.PhaseRollingBack
	return &Event{Warning: back || d.Progress == Stalled || d.WouldRollBack != nil, Reason: d.Rule, Message: v1alpha1.Bounded(d.Why, 1000)}
}

func stepIndex(s *v1alpha1.StepStatus) int32 {
	if s == nil {
		return -1
	}
	return s.Index
}

func readyReason(conditions []metav1.Condition) string {
	for i := range conditions {
		if conditions[i].Type == v1alpha1.ConditionReady {
			return conditions[i].Reason
		}
	}
	return ""
}

// goesOn holds for every decision but those that give the candidate more, and the
// one that lets a deleted Rollout go: after that nobody completes the record.
func goesOn(in Input, d Decision) bool {
	if in.Deleting != nil {
		_, last := EffectOf[Leave](d)
		return !last || in.ReleaseOverdue()
	}
	if _, replaces := EffectOf[ReplacePods](d); replaces {
		return true
	}
	switch d.Status.Phase {
	case v1alpha1.PhaseStepping, v1alpha1.PhasePromoting, v1alpha1.PhaseBaking:
		to, sets := EffectOf[SetSplit](d)
		now := extra{in.Route.Testers, in.Route.Mirror}
		takesExtra := sets && to.extra().none() && !now.none() && d.Weight.To <= d.Weight.From
		return takesExtra || d.Weight != nil && d.Weight.To < d.Weight.From
	case v1alpha1.PhaseHandingOver:
		_, hands := EffectOf[HandOver](d)
		return !hands && (d.Weight == nil || d.Weight.To < d.Weight.From)
	default:
		return true
	}
}
