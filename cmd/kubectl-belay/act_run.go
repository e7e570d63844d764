package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

// The commands that change how a run goes on, and do not end it.

func (a *app) promote() *cobra.Command {
	return a.command(&cobra.Command{
		Use:   "promote [NAME]",
		Short: "End the remaining steps: the candidate goes to 100 % and its bake",
		Long: "End the remaining steps of the candidate: it goes to weight 100 % as soon as its pods are ready and the gateway acknowledges it. " +
			"A step that needs an approval is not ended without one. The bake is not skipped: the version becomes stable only when all triggers pass at its end. With promotion.mode Native the candidate goes to its last step, which has to pass.\n\n" +
			"A step that holds because a trigger is Inconclusive is ended too: the record has your name, your reason and what was not judged. A trigger that fires rolls back, before and after.\n\n" +
			"The command is for the candidate of now: if another version is pushed meanwhile, it is refused.",
		Example: `  kubectl belay promote checkout --reason "fixes the outage, tried in staging"
  kubectl belay promote checkout --timeout 0 --reason "…"   give the command and do not wait`,
	}, order{
		action: v1alpha1.ActionPromote, within: 10 * time.Minute,
		useless: func(r *v1alpha1.Rollout) string {
			switch r.Status.Phase {
			case v1alpha1.PhaseStepping:
				return pausedFirst(r)
			case v1alpha1.PhasePromoting, v1alpha1.PhaseBaking:
				return "There are no steps left to end: " + view.Tag(r.Status.Candidate) + " becomes stable when its bake has passed."
			default:
				return fmt.Sprintf("There are no steps to end: the Rollout is %s.", view.StateOf(r))
			}
		},
		done:  promoted,
		owned: beginsAnew,
	})
}

// beginsAnew is what becomes of another version than the one that is let go on.
func beginsAnew(string) string {
	return "a version that it applies meanwhile takes the candidate's place, and begins at the first step."
}

// promoted is whether a version has all requests, or natively is in its last step.
func promoted(r, _ *v1alpha1.Rollout, revision string) (bool, error) {
	if serves, err := settled(r, revision); serves || err != nil {
		return serves, err
	}
	s := &r.Status
	if s.Phase == v1alpha1.PhaseStepping {
		last := s.Step != nil && int(s.Step.Index) == len(r.Spec.Steps)-1
		return r.Spec.Promotion.Mode == v1alpha1.PromotionNative && last, nil
	}
	return s.Phase == v1alpha1.PhaseBaking || s.Phase == v1alpha1.PhaseHandingOver, nil
}

// settled is whether a version that was let go on is stable, or why it will not be.
func settled(r *v1alpha1.Rollout, revision string) (bool, error) {
	s := &r.Status
	switch {
	case s.Stable != nil && s.Stable.Revision == revision:
		return true, nil
	case s.Candidate == nil || s.Candidate.Revision != revision:
		return false, exit{exitSuperseded, "Another version was declared: " + view.Text(s.Message, 1024)}
	case s.Phase == v1alpha1.PhaseRollingBack || s.Phase == v1alpha1.PhaseRolledBack:
		return false, exit{exitRolledBack, "It is rolled back: " + view.Text(s.Message, 1024)}
	default:
		return false, nil
	}
}

func (a *app) pause() *cobra.Command {
	return a.command(&cobra.Command{
		Use:   "pause [NAME]",
		Short: "Keep the candidate at its present weight",
		Long: "Keep the candidate at its present weight, until you resume it: the hold, the bake and the deadline of its step stand still. Before its run starts, keep that from starting. " +
			"The canary still grows with the workload, and a trigger that fires still rolls back.\n\n" +
			"The pause is for the candidate of now: another version that is pushed is not paused (spec.paused is for all). Once the workload takes the candidate over, it can no longer be paused.",
		Example: `  kubectl belay pause checkout --reason "looking at the logs of the canary"
  kubectl belay resume checkout --reason "known and harmless"`,
	}, order{
		action: v1alpha1.ActionPause,
		useless: func(r *v1alpha1.Rollout) string {
			switch s := &r.Status; {
			case s.CommandedPause() != nil:
				return "There is nothing to pause: it is paused already" + view.PausedBy(s.CommandedPause()) + "."
			case s.Phase == "" || s.Phase == v1alpha1.PhaseStable:
				return "There is nothing to pause: no candidate is on trial. spec.paused holds back the next version."
			case s.Phase == v1alpha1.PhaseRolledBack || s.Phase == v1alpha1.PhaseRollingBack:
				return fmt.Sprintf("There is nothing to pause: the Rollout is %s.", view.StateOf(r))
			default:
				return ""
			}
		},
		done: func(r, _ *v1alpha1.Rollout, revision string) (bool, error) {
			s := &r.Status
			held := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReconciling)
			waits := held != nil && held.Status == metav1.ConditionTrue && held.Reason == v1alpha1.ReasonPaused
			inFlight := s.Promotion != nil && s.Promotion.HandedAt != nil
			switch p := s.CommandedPause(); {
			case p != nil && p.Revision == revision:
				return waits && !inFlight, nil
			case s.Candidate == nil || s.Candidate.Revision != revision:
				return false, exit{exitNo, "Too late: " + view.Text(s.Message, 1024)}
			case s.Phase == v1alpha1.PhaseHandingOver || s.Phase == v1alpha1.PhaseRollingBack || s.Phase == v1alpha1.PhaseRolledBack:
				return false, exit{exitNo, "Too late: " + view.Text(s.Message, 1024)}
			default:
				// The answer to a pause that was not kept is still to come.
				return false, nil
			}
		},
		owned: func(string) string { return "a newer version that it applies is not paused." },
	})
}

func (a *app) resume() *cobra.Command {
	return a.command(&cobra.Command{
		Use:   "resume [NAME]",
		Short: "Let a paused candidate go on",
		Long: "Let a candidate go on that somebody has paused with kubectl belay pause. What was left of its hold or bake comes first.\n\n" +
			"A Rollout with spec.paused goes on when that is false.",
		Example: `  kubectl belay resume checkout --reason "known and harmless"`,
	}, order{
		action: v1alpha1.ActionResume,
		useless: func(r *v1alpha1.Rollout) string {
			switch {
			case r.Spec.Paused:
				return "It is paused by spec.paused: set that to false in the Rollout, where it is declared."
			case r.Status.CommandedPause() == nil:
				return fmt.Sprintf("There is nothing to resume: nobody has paused it by command, the Rollout is %s.", view.StateOf(r))
			default:
				return ""
			}
		},
		done: func(r, _ *v1alpha1.Rollout, _ string) (bool, error) { return r.Status.CommandedPause() == nil, nil },
	})
}
