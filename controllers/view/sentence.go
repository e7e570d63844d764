package view

import (
	"fmt"
	"strings"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// why is the planner's sentence, but where requests are all that is missing it counts them.
func why(in Input, screen Screen) string {
	s := &in.Rollout.Status
	if t, others := missing(screen); t != nil && len(others) == 0 {
		sentence := fmt.Sprintf("Waiting for requests: %d of %d at this weight", t.Requests, t.Needed)
		if eta := t.ETA(); eta != "" {
			sentence += ", " + eta + " at the present rate"
		}
		sentence += " (" + t.Name + ")."
		if bad := overTheBar(screen); bad != nil {
			sentence = fmt.Sprintf("%s measures %s, wanted %s: evidence enough to roll back, if it lasts. ", bad.Name, bad.Now, bad.Wanted) + sentence
		}
		return sentence
	}
	message := Text(s.Message, 1024)
	switch {
	case message == "":
		return "Belay has decided nothing yet: if that lasts, kubectl belay doctor tells whether its controller runs."
	case screen.State == StateUnjudged:
		message = fmt.Sprintf("No verdict for %s: no metric rolls %s back, and it keeps its requests. The last that Belay said: %s", Short(silence(in)), Tag(s.Candidate), message)
	case screen.State == StateRolledBack && s.Stable != nil:
		message = strings.TrimPrefix(message, "rolled back to "+Text(s.Stable.Image, 512)+": ")
	case screen.State == StateStable && len(s.History) > 0 && s.History[0].Outcome == v1alpha1.OutcomeBypassed:
		message = "Not judged: " + Text(s.History[0].Message, 1024)
	}
	return message
}

// overTheBar is the enforcing trigger that has not decided, and has all the evidence that it
// needs to fire: it fires as soon as no burst explains it. Nil when there is none.
func overTheBar(screen Screen) *Trigger {
	for i := range screen.Triggers {
		if t := &screen.Triggers[i]; !t.Observes && t.Outcome == v1alpha1.VerdictInconclusive && t.Evidence >= 100 && t.Now != "" {
			return t
		}
	}
	return nil
}

// missing is what a Rollout that holds waits for: the enforcing trigger that still needs
// the most requests, nil when none does, and the names of those that need something else.
func missing(screen Screen) (requests *Trigger, others []string) {
	if screen.State != StateHolding {
		return nil, nil
	}
	for i := range screen.Triggers {
		t := &screen.Triggers[i]
		switch {
		case t.Observes || t.Spared || t.Outcome == v1alpha1.VerdictPass:
		case t.Outcome != v1alpha1.VerdictInconclusive || t.Missing() == 0:
			others = append(others, t.Name)
		case requests == nil || t.Missing() > requests.Missing():
			requests = t
		}
	}
	return requests, others
}

// next is what comes next, in a few words. Only when requests are all that is missing does
// it say how long that takes.
func next(r *v1alpha1.Rollout, screen Screen, now time.Time) string {
	t, others := missing(screen)
	if t == nil {
		return nextOf(r, screen.State, now)
	}
	needs := fmt.Sprintf("needs %d more requests", t.Missing())
	switch eta := t.ETA(); {
	case len(others) == 1:
		return needs + ", and " + others[0] + " to pass"
	case len(others) > 1:
		return fmt.Sprintf("%s, and %s and %d more to pass", needs, others[0], len(others)-1)
	case strings.HasPrefix(eta, "about "):
		return needs + " ~" + strings.TrimPrefix(eta, "about ")
	case eta != "":
		return needs + ", " + eta
	default:
		return needs
	}
}

func nextOf(r *v1alpha1.Rollout, state State, now time.Time) string {
	s := &r.Status
	if settles(s) && (state == StateProgressing || state == StatePromoting || state == StateBaking) {
		return Tag(&v1alpha1.Revision{Revision: s.Declared.Revision, Image: s.Declared.Image}) + " ends this run, once it has settled"
	}
	words := wordsOf(r)
	switch state {
	case StateRolledBack:
		return "push, revert or retry"
	case StateStalled:
		return "a person has to act"
	case StateUnjudged:
		return "kubectl belay doctor"
	case StateWaiting:
		if c := condition(s, v1alpha1.ConditionReconciling); c != nil && c.Reason == v1alpha1.ReasonScaledToZero {
			return words.atZero
		}
		if lacksBudget(s) {
			return "starts when there is budget"
		}
		if preflight(s) != nil {
			return "starts when the pre-flight passes"
		}
		return "starts by itself"
	case StatePaused:
		switch {
		case s.CommandedPause() == nil:
			return "unset spec.paused"
		case r.Spec.Paused:
			return "unset spec.paused, and resume"
		default:
			return "resume"
		}
	case StateFrozen:
		return "the freeze opens"
	case StateApproval:
		if s.Step != nil {
			return "approve step " + Text(s.Step.Display, 16)
		}
		return "approve"
	case StateHolding:
		return "all triggers must pass"
	case StateBypassed:
		return workloadOf(r) + " rolls out"
	case StateRollingBack:
		return words.rollingBack
	case StateBaking, StateProgressing:
		if s.Step != nil && s.Step.NextAt != nil && s.Step.NextAt.After(now) {
			return Text(s.Step.Next, 60) + " in " + Short(s.Step.NextAt.Sub(now))
		}
		return words.waiting
	case StatePromoting:
		return words.promoting
	case StateHandingOver:
		return words.handingOver
	default:
		return ""
	}
}
