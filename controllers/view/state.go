package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// State is where a Rollout stands, in a word.
type State string

// The states, worst first.
const (
	// StateStalled needs a person: something keeps Belay from going on.
	StateStalled State = "stalled"
	// StateUnjudged is a candidate with requests, and a judge or a controller that is silent:
	// nothing rolls it back.
	StateUnjudged State = "not judged"
	// StateRolledBack needs a person too: stable serves, and the workload still declares
	// the rejected version.
	StateRolledBack State = "rolled back"
	// StateBypassed means that the workload rolls out without being judged.
	StateBypassed    State = "bypassed"
	StateRollingBack State = "rolling back"
	// StateHolding keeps the weight because the verdicts do not decide.
	StateHolding State = "holding"
	// StateWaiting means that the run of a candidate has not started.
	StateWaiting State = "waiting"
	// StateFrozen means that a Freeze keeps the candidate where it is.
	StateFrozen State = "frozen"
	StatePaused State = "paused"
	// StateApproval is a step that has passed and needs the approval of a person.
	StateApproval    State = "awaiting approval"
	StateProgressing State = "progressing"
	StatePromoting   State = "promoting"
	StateBaking      State = "baking"
	StateHandingOver State = "handing over"
	// StateNew means that Belay has not adopted the workload yet.
	StateNew    State = "new"
	StateStable State = "stable"
)

var worstFirst = []State{StateStalled, StateUnjudged, StateRolledBack, StateBypassed, StateRollingBack, StateHolding, StateApproval, StateWaiting, StateFrozen, StatePaused,
	StateProgressing, StatePromoting, StateBaking, StateHandingOver, StateNew, StateStable}

func (s State) rank() int { return slices.Index(worstFirst, s) }

var stateOfPhase = map[v1alpha1.Phase]State{
	v1alpha1.PhaseStable: StateStable, v1alpha1.PhaseGating: StateWaiting, v1alpha1.PhaseStepping: StateProgressing,
	v1alpha1.PhasePromoting: StatePromoting, v1alpha1.PhaseBaking: StateBaking, v1alpha1.PhaseHandingOver: StateHandingOver,
	v1alpha1.PhaseRollingBack: StateRollingBack, v1alpha1.PhaseRolledBack: StateRolledBack,
}

// StateOf is the state of a Rollout. A phase that this version does not know is holding,
// as it is for the controller.
func StateOf(r *v1alpha1.Rollout) State {
	s := &r.Status
	state, known := stateOfPhase[s.Phase]
	stalled, waits := condition(s, v1alpha1.ConditionStalled), condition(s, v1alpha1.ConditionReconciling)
	switch {
	case stalled != nil && stalled.Reason != v1alpha1.ReasonRolledBack:
		return StateStalled
	case s.Phase == v1alpha1.PhaseRollingBack:
		// A failed self-check holds no rollback back.
		return StateRollingBack
	case condition(s, v1alpha1.ConditionInvariantViolated) != nil:
		return StateStalled
	case s.Phase == "":
		return StateNew
	case s.Phase == v1alpha1.PhaseHandingOver && unjudged(s):
		return StateBypassed
	case waits != nil && waits.Reason == v1alpha1.ReasonFrozen:
		return StateFrozen
	case waits != nil && waits.Reason == v1alpha1.ReasonPaused:
		return StatePaused
	case waits != nil && waits.Reason == v1alpha1.ReasonAwaitingApproval:
		return StateApproval
	case waits != nil && waits.Reason == v1alpha1.ReasonHolding || !known:
		return StateHolding
	default:
		return state
	}
}

// stateOf is the state at a moment, as far as what was read tells.
func stateOf(in Input) State {
	state := StateOf(in.Rollout)
	if state != StateStalled && silence(in) > 0 {
		return StateUnjudged
	}
	return state
}

// condition is the one of a kind when it is True, or else nil.
func condition(s *v1alpha1.RolloutStatus, kind string) *metav1.Condition {
	if c := meta.FindStatusCondition(s.Conditions, kind); c != nil && c.Status == metav1.ConditionTrue {
		return c
	}
	return nil
}

// settles is whether a newer version waits to end the run: the candidate goes no further, and
// Belay refuses what would take it there.
func settles(s *v1alpha1.RolloutStatus) bool {
	c := condition(s, v1alpha1.ConditionReconciling)
	return c != nil && c.Reason == v1alpha1.ReasonSettling && s.Declared != nil
}

func unjudged(s *v1alpha1.RolloutStatus) bool {
	return s.Promotion != nil && (s.Promotion.Mode == v1alpha1.TakeOverBypass || s.Promotion.Mode == v1alpha1.TakeOverUnserved)
}

// headline is the state in capitals, with the version or the weight that it is about.
func headline(r *v1alpha1.Rollout, state State) string {
	s, word := &r.Status, strings.ToUpper(string(state))
	switch state {
	case StateRolledBack, StateRollingBack:
		return word + " to " + Tag(s.Stable)
	case StateBypassed:
		return word + ": " + Tag(s.Candidate) + " rolls out unjudged"
	case StateWaiting:
		if lacksBudget(s) {
			return word + " for error budget"
		}
		if p := preflight(s); p != nil {
			return word + " for the pre-flight check (" + Text(p.Reason, 63) + ")"
		}
		return word + " to start " + Tag(s.Candidate)
	case StatePaused:
		if s.Phase.InRun() && s.Step != nil {
			word = fmt.Sprintf("%s at %d %%", word, max(s.Step.Weight.Observed, 0))
		}
		if p := s.CommandedPause(); p != nil {
			word += PausedBy(p)
		}
		return word
	case StateApproval:
		if s.Step != nil {
			word += " of step " + Text(s.Step.Display, 16)
		}
	case StatePromoting, StateBaking, StateHandingOver:
		return word + " " + trialTag(s)
	case StateStable:
		return word + " " + Tag(s.Stable)
	case StateStalled:
		reason := v1alpha1.ConditionInvariantViolated
		if c := condition(s, v1alpha1.ConditionStalled); c != nil {
			reason = c.Reason
		}
		word += ": " + Text(reason, 63)
	}
	if s.Phase.InRun() && s.Step != nil {
		word = fmt.Sprintf("%s at %d %%", word, max(s.Step.Weight.Observed, 0))
	}
	if state == StateUnjudged {
		word += ": controller or judge silent"
	}
	return word
}

// budgetLow is the judge's reason for a pre-flight check that fails because too little of
// an error budget is left. It fails for a firing alert too.
const budgetLow = "BudgetLow"

func lacksBudget(s *v1alpha1.RolloutStatus) bool {
	p := preflight(s)
	return p != nil && p.Outcome == v1alpha1.VerdictFail && p.Reason == budgetLow
}

// preflight is the check that keeps the candidate's run from starting; nil when none does.
func preflight(s *v1alpha1.RolloutStatus) *v1alpha1.PreflightStatus {
	p := s.Preflight
	if p == nil || !candidateIs(s, p.Revision) || p.Outcome == v1alpha1.VerdictPass {
		return nil
	}
	return p
}

// since is when the state began, as far as the status tells.
func since(in Input, state State) time.Time {
	s := &in.Rollout.Status
	kinds := []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionReady}
	switch {
	case state == StateUnjudged:
		return in.Now.Add(-silence(in))
	case state == StatePaused && s.CommandedPause() != nil:
		return s.Pause.At.Time
	case state == StateApproval && s.Step != nil && s.Step.AwaitsApprovalSince != nil:
		return s.Step.AwaitsApprovalSince.Time
	case state == StateRollingBack && s.Rollback != nil:
		return s.Rollback.StartedAt.Time
	case state == StateRolledBack && s.Candidate != nil && s.IsRejected(s.Candidate.Revision) != nil:
		return s.IsRejected(s.Candidate.Revision).At.Time
	case state == StateStable && len(s.History) > 0:
		return s.History[0].FinishedAt.Time
	case state == StateStalled:
		kinds = []string{v1alpha1.ConditionStalled, v1alpha1.ConditionInvariantViolated}
	case s.Phase == v1alpha1.PhaseHandingOver && s.Promotion != nil && s.Promotion.HandingSince != nil:
		return s.Promotion.HandingSince.Time
	case s.Promotion != nil && s.Phase.InRun():
		return s.Promotion.StartedAt.Time
	case s.Phase == v1alpha1.PhaseStepping && s.Step != nil:
		return s.Step.EnteredAt.Time
	}
	for _, kind := range kinds {
		if c := meta.FindStatusCondition(s.Conditions, kind); c != nil {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}
