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
	if t := fewest(screen.Triggers); t != nil && screen.State == StateHolding {
		sentence := fmt.Sprintf("Waiting for requests: %d of %d at this weight", t.Requests, t.Needed)
		if eta := t.ETA(); eta > 0 {
			sentence += ", about " + Short(eta) + " at the present rate"
		}
		return sentence + " (" + t.Name + ")."
	}
	message := Text(s.Message, 1024)
	switch {
	case message == "":
		return "Belay has decided nothing yet: if that lasts, look whether its controller runs."
	case screen.State == StateRolledBack && s.Stable != nil:
		message = strings.TrimPrefix(message, "rolled back to "+Text(s.Stable.Image, 512)+": ")
	case screen.State == StateStable && len(s.History) > 0 && s.History[0].Outcome == v1alpha1.OutcomeBypassed:
		message = "Not judged: " + Text(s.History[0].Message, 1024)
	}
	return message
}

// fewest is the enforcing trigger that still needs the most requests; nil when none does.
func fewest(triggers []Trigger) *Trigger {
	var worst *Trigger
	for i := range triggers {
		t := &triggers[i]
		if !t.Observes && t.Outcome == v1alpha1.VerdictInconclusive && t.Missing() > 0 && (worst == nil || t.Missing() > worst.Missing()) {
			worst = t
		}
	}
	return worst
}

// next is what comes next, in a few words.
func next(r *v1alpha1.Rollout, screen Screen, now time.Time) string {
	if t := fewest(screen.Triggers); t != nil && screen.State == StateHolding {
		if eta := t.ETA(); eta > 0 {
			return fmt.Sprintf("needs %d more requests ~%s", t.Missing(), Short(eta))
		}
		return fmt.Sprintf("needs %d more requests", t.Missing())
	}
	return nextOf(r, screen.State, now)
}

func nextOf(r *v1alpha1.Rollout, state State, now time.Time) string {
	s := &r.Status
	switch state {
	case StateRolledBack:
		return "push, revert or retry"
	case StateStalled:
		return "a person has to act"
	case StateWaiting:
		if lacksBudget(s) {
			return "starts when there is budget"
		}
		return "starts by itself"
	case StatePaused:
		return "unset spec.paused"
	case StateHolding:
		return "all triggers must pass"
	case StateBypassed:
		return "the Deployment rolls out"
	case StateRollingBack:
		return "weight 0, then remove the canary"
	case StateBaking, StateProgressing:
		if s.Step != nil && s.Step.NextAt != nil && s.Step.NextAt.After(now) {
			return Text(s.Step.Next, 60) + " in " + Short(s.Step.NextAt.Sub(now))
		}
		return "waits for pods or the gateway"
	case StatePromoting:
		return "full size, then bake"
	case StateHandingOver:
		return "the Deployment takes it over"
	default:
		return ""
	}
}
