package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

// The commands about the one step that is in progress.

const ofOneStep = "Name the step that you have looked at with --step, as kubectl belay status offers it: a command that is given twice, or late, is refused and does not end or approve the next step. It is refused too if another version is pushed meanwhile; --revision refuses it also when that was before."

func (a *app) approve() *cobra.Command {
	return a.command(&cobra.Command{
		Use:   "approve [NAME]",
		Short: "Approve the step in progress, which needs that",
		Long: "Approve the step in progress, of a Rollout whose step has approval: Required. Such a step waits at its end, once all else has passed, until somebody approves it. kubectl belay status shows what it was judged by, and kubectl belay list which Rollouts wait.\n\n" +
			"An approval ends nothing by itself: a step that has not passed yet keeps it, and ends when it passes. A trigger that fires rolls back, before and after. The next step that needs an approval needs its own. The record has your name and your reason.\n\n" +
			ofOneStep,
		Example: `  kubectl belay approve checkout --step 2 --reason "checked the orders of the last hour"
  kubectl belay list -A                                    which Rollouts wait for an approval`,
	}, approvalOrder())
}

func approvalOrder() order {
	return order{
		action: v1alpha1.ActionApprove,
		useless: func(r *v1alpha1.Rollout) string {
			switch s := &r.Status; {
			case s.Phase != v1alpha1.PhaseStepping || s.Step == nil:
				return fmt.Sprintf("There is no step to approve: the Rollout is %s.", view.StateOf(r))
			case s.Step.Approval != nil:
				return fmt.Sprintf("Step %s is approved already, by %s since %s: it ends once it has passed.", view.Text(s.Step.Display, 16), view.Author(s.Step.Approval.By), s.Step.Approval.At.UTC().Format("15:04Z"))
			default:
				return ""
			}
		},
		done: func(r, before *v1alpha1.Rollout, revision string) (bool, error) {
			left, err := leftStep(r, before, revision)
			// A step that had not passed, or does not any more, only keeps the approval.
			kept := before.Status.Step.AwaitsApprovalSince == nil || view.StateOf(r) == view.StateHolding || view.StateOf(r) == view.StatePaused
			return left || kept, err
		},
		owned: func(string) string {
			return "a version that it applies meanwhile takes the candidate's place, and needs an approval of its own."
		},
	}
}

func (a *app) skip() *cobra.Command {
	return a.command(&cobra.Command{
		Use:   "skip [NAME]",
		Short: "End the step in progress unjudged, and no other",
		Long: "End the step in progress, also one that holds because a trigger is Inconclusive: the next one begins as if it had passed. The record has your name, your reason and what was not judged. After the last step the candidate goes to weight 100 % and its bake, which is never skipped; with promotion.mode Native the last step is not skipped either.\n\n" +
			"A trigger that fires rolls back, before and after. A step that needs an approval is not skipped without one: kubectl belay approve first.\n\n" +
			ofOneStep,
		Example: `  kubectl belay skip checkout --step 1 --reason "Prometheus is down, the logs are clean"
  kubectl belay promote checkout --reason "…"               end all steps that remain`,
	}, skipOrder())
}

func skipOrder() order {
	return order{
		action: v1alpha1.ActionSkip,
		useless: func(r *v1alpha1.Rollout) string {
			switch s := &r.Status; {
			case s.Phase == v1alpha1.PhaseStepping && s.Step != nil:
				return pausedFirst(r)
			case s.Phase == v1alpha1.PhasePromoting || s.Phase == v1alpha1.PhaseBaking:
				return "There is no step left to skip, and the bake is not skipped: " + view.Tag(s.Candidate) + " becomes stable when that has passed."
			default:
				return fmt.Sprintf("There is no step to skip: the Rollout is %s.", view.StateOf(r))
			}
		},
		done:  leftStep,
		owned: beginsAnew,
	}
}

// leftStep is whether a version has gone on from the step in which a command found it.
func leftStep(r, before *v1alpha1.Rollout, revision string) (bool, error) {
	if serves, err := settled(r, revision); serves || err != nil {
		return serves, err
	}
	s := &r.Status
	return s.Phase != v1alpha1.PhaseStepping || s.Step == nil || s.Step.Index != before.Status.Step.Index, nil
}

// pausedFirst says what ends a pause, which a step does not end in; empty when there is none.
func pausedFirst(r *v1alpha1.Rollout) string {
	p := r.Status.CommandedPause()
	switch {
	case r.Spec.Paused:
		return "It is paused by spec.paused: set that to false first."
	case p != nil:
		return "It is paused" + view.PausedBy(p) + ": kubectl belay resume first."
	default:
		return ""
	}
}
