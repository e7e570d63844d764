package plan

import (
	"fmt"
	"strings"

	"belay.dev/belay/api/v1alpha1"
)

// commandsTable applies while a command has not been answered. It comes before
// everything that can fail or wait, and answers a command once.
var commandsTable = table{
	name:    "Commands",
	about:   "A command waits for its answer, in any phase; any but Abort comes after a rollback that is due.",
	applies: commanded,
	rules: []rule{
		{"AbortRequested", abortRequested, abort},
		{"RetryRequested", retryRequested, retry},
		{"PromoteRequested", promoteRequested, promote},
		{"SkipRequested", skipRequested, skip},
		{"ApproveRequested", approveRequested, approve},
		{"OverrideRequested", overrideRequested, override},
		{"PauseRequested", pauseRequested, pause},
		{"ResumeRequested", resumeRequested, resume},
		{"ActionRefused", always, refuseAction},
	},
}

// commanded is false for a command that does not go back while a trigger fires: nothing
// delays that rollback.
func commanded(f *facts) bool {
	if f.in.Action == nil {
		return false
	}
	_, fires := triggersTable.first(f)
	return !fires || f.in.Action.Action == v1alpha1.ActionAbort
}

func (f *facts) actionFor(a v1alpha1.Action) bool {
	if f.in.Action.Action != a {
		return false
	}
	return f.in.Action.Revision == "" || f.in.Action.Revision == f.candidate
}

// abortRequested also ends the wait of a rollback for more stable pods.
func abortRequested(f *facts) bool {
	return f.actionFor(v1alpha1.ActionAbort) && (cancellable(f) || rollingBack(f) && stableShortForNow(f))
}

func abort(f *facts) Decision {
	d := f.beginRollback(v1alpha1.OutcomeRolledBack, "abort", fmt.Sprintf("aborted by %s%s", f.in.Action.By, quoteReason(f.in.Action.Reason)))
	if gating(f) {
		// There is no run yet, so nothing has to be undone.
		d = f.reconciling(v1alpha1.ReasonRolledBack, d.Why)
		d.Status.Phase = v1alpha1.PhaseRolledBack
		f.reject(&d, "abort", d.Why, "")
	}
	f.handle(&d, "")
	return d
}

func retryRequested(f *facts) bool {
	return f.actionFor(v1alpha1.ActionRetry) && f.inPhase(v1alpha1.PhaseRolledBack) && f.declared == f.candidate
}

func retry(f *facts) Decision {
	d := f.reconciling(v1alpha1.ReasonProgressing, fmt.Sprintf("retry of %s requested by %s%s", imageOf(f.in.Status.Candidate), f.in.Action.By, quoteReason(f.in.Action.Reason)))
	d.Status.Phase = v1alpha1.PhaseGating
	f.forgetRejection(&d)
	// Its pods and their digests were the rejected run's.
	d.Status.Candidate = f.in.Workload.Declared.DeepCopy()
	d.Status.Rollback, d.Status.Step, d.Status.Promotion, d.Status.Verdicts = nil, nil, nil, nil
	f.handle(&d, "")
	return d
}

func promoteRequested(f *facts) bool {
	return f.actionFor(v1alpha1.ActionPromote) && f.notPromotable() == ""
}

// promote ends the steps, whatever their triggers do not know yet, and nothing else: the rows
// for the promotion wait for pods and gateway, and the bake has to pass. A promotion by the
// Deployment's own strategy has no bake that weights lead back from, so that its last step
// has to pass in its place.
func promote(f *facts) Decision {
	ends := fmt.Sprintf("%s ended its steps at %s%s", nameOf(f.in.Action.By), f.stageAndWeight(), quoteReason(f.in.Action.Reason))
	ends += f.notPassing()
	d := f.reconciling(v1alpha1.ReasonPromoting, fmt.Sprintf("%s is promoted: %s; it goes to weight 100 %%, and its bake has to pass", imageOf(f.in.Status.Candidate), ends))
	last := int32(len(f.in.Spec.Steps)) - 1 //nolint:gosec // at most 50
	d.Status.Step = &v1alpha1.StepStatus{Index: last, EnteredAt: f.now(), Skipped: f.skipped(ends)}
	if f.in.Spec.Promotion.Mode == v1alpha1.PromotionNative {
		d.Reason = v1alpha1.ReasonProgressing
		d.Why = fmt.Sprintf("%s is promoted: %s; promotion.mode is Native, so it goes to step %d of %d, which has to pass", imageOf(f.in.Status.Candidate), ends, last+1, last+1)
	} else {
		f.promoteUnjudged(&d)
	}
	d.Recheck = 1
	f.handle(&d, "")
	return d
}

// notPassing names, to end a message, the triggers that have not passed; empty when all have.
func (f *facts) notPassing() string {
	if !undecided(f) {
		return ""
	}
	var open []string
	for _, r := range f.in.Verdict.References {
		if r.Mode != v1alpha1.ModeObserve && r.Outcome != v1alpha1.VerdictPass {
			open = append(open, fmt.Sprintf("%s is %s (%s)", v1alpha1.Bounded(r.Trigger, 128), r.Outcome, v1alpha1.Bounded(r.Reason, 64)))
		}
	}
	if len(open) == 0 {
		open = []string{v1alpha1.Bounded(f.undecidedBecause(), 256)}
	}
	return "; not judged there: " + firstOf(open)
}

func pauseRequested(f *facts) bool {
	return f.actionFor(v1alpha1.ActionPause) && f.notPausable() == ""
}

func pause(f *facts) Decision {
	a := f.in.Action
	at := "before its run"
	if !gating(f) {
		at = "at " + f.stageAndWeight()
	}
	d := f.reconciling(v1alpha1.ReasonPaused, fmt.Sprintf("%s paused by %s %s%s; a trigger that fires still rolls back; it stays so until the command Resume", imageOf(f.in.Status.Candidate), nameOf(a.By), at, quoteReason(a.Reason)))
	d.Status.Pause = &v1alpha1.PauseStatus{Revision: f.candidate, By: v1alpha1.Bounded(a.By, 256), Reason: v1alpha1.Bounded(a.Reason, 256), At: f.began()}
	d.Recheck = 1
	f.handle(&d, "")
	return d
}

func resumeRequested(f *facts) bool {
	return f.actionFor(v1alpha1.ActionResume) && f.notResumable() == ""
}

func resume(f *facts) Decision {
	d := f.reconciling(f.phaseReason(), fmt.Sprintf("%s resumed by %s%s: it was paused %s", imageOf(f.in.Status.Candidate), nameOf(f.in.Action.By), quoteReason(f.in.Action.Reason), f.pausedBy()))
	d.Status.Pause = nil
	d.Recheck = 1
	f.handle(&d, "")
	return d
}

func refuseAction(f *facts) Decision {
	command := string(f.in.Action.Action)
	if !f.in.Action.Action.Known() {
		command = fmt.Sprintf("%q", v1alpha1.Bounded(command, 32))
	}
	d := f.reconciling(f.phaseReason(), fmt.Sprintf("%s refused: %s", command, f.whyNot()))
	f.handle(&d, d.Why)
	return d
}

// whyNot is why a command cannot be carried out now, and what to do instead.
func (f *facts) whyNot() string {
	a := f.in.Action
	if a.Revision != "" && a.Revision != f.candidate {
		return fmt.Sprintf("it is for revision %q, the candidate is %q", v1alpha1.Bounded(a.Revision, 64), f.candidate)
	}
	switch a.Action {
	case v1alpha1.ActionAbort:
		return f.notOnTrial()
	case v1alpha1.ActionRetry:
		return fmt.Sprintf("only a rolled-back version that %s still declares can run again; the phase is %s", f.workload(), f.in.Status.Phase)
	case v1alpha1.ActionPromote:
		return f.notPromotable()
	case v1alpha1.ActionSkip:
		return f.notSkippable()
	case v1alpha1.ActionApprove:
		return f.notApprovable()
	case v1alpha1.ActionOverrideFreeze:
		return f.notOverridable()
	case v1alpha1.ActionPause:
		return f.notPausable()
	case v1alpha1.ActionResume:
		return f.notResumable()
	default:
		return "there is no such command; give " + strings.Join(v1alpha1.Commands(), ", ")
	}
}

// notOnTrial is why nothing can be done to a candidate that is not before or in a run.
func (f *facts) notOnTrial() string {
	switch {
	case rollingBack(f):
		return fmt.Sprintf("already rolling back since %s", clock(f.rollback().StartedAt.Time))
	case f.inPhase(v1alpha1.PhaseRolledBack):
		return fmt.Sprintf("%s is already rolled back", imageOf(f.in.Status.Candidate))
	case handingOver(f):
		return fmt.Sprintf("%s is already taking %s over. To go back, %s", f.workload(), imageOf(f.in.Status.Candidate), f.wayBack())
	case inStable(f):
		return fmt.Sprintf("no run is in progress, %s serves. To go back, %s", imageOf(f.in.Status.Stable), f.wayBack())
	default:
		return fmt.Sprintf("no run is in progress in phase %s", f.in.Status.Phase)
	}
}

// notPromotable is why the steps of the candidate cannot be ended; empty when they can.
func (f *facts) notPromotable() string {
	image := imageOf(f.in.Status.Candidate)
	switch why := f.notInStep(); {
	case why != "":
		return why
	case paused(f):
		return fmt.Sprintf("%s is paused %s: it goes on after %s", image, f.pausedBy(), f.endOfPause())
	case frozen(f):
		return f.heldByFreeze()
	case handingOver(f):
		return fmt.Sprintf("the bake of %s is over, and its handover has begun: there is nothing left to end", image)
	case baking(f) && !bakeRunning(f) && undecided(f):
		return fmt.Sprintf("the bake of %s is over, and not every trigger passes: %s. Nothing that was not judged becomes stable by this command: wait, abort, or let it roll out unjudged by a bypass (verb bypass)", image, v1alpha1.Bounded(f.undecidedBecause(), 200))
	case atFullWeight(f):
		return fmt.Sprintf("%s is past its steps already, and its bake is not skipped: it becomes stable when that has passed", image)
	case f.unapproved() != "":
		return fmt.Sprintf("%s needs an approval, and Promote does not stand for one: once that has it, the steps after it can be ended", f.unapproved())
	default:
		return f.lastOfNative()
	}
}

// notPausable is why the candidate cannot be paused; empty when it can.
func (f *facts) notPausable() string {
	switch p := f.in.Status.CommandedPause(); {
	case inStable(f):
		return fmt.Sprintf("no run is in progress, %s serves. To hold back the next version, set spec.paused", imageOf(f.in.Status.Stable))
	case !cancellable(f):
		return f.notOnTrial()
	case f.declared != f.candidate:
		return fmt.Sprintf("%s declares %s meanwhile, and %s ends", f.workload(), imageOf(&f.in.Workload.Declared), imageOf(f.in.Status.Candidate))
	case p != nil:
		return fmt.Sprintf("%s is already paused %s", imageOf(f.in.Status.Candidate), f.pausedBy())
	default:
		return ""
	}
}

// notResumable is why there is no pause that the command could end; empty when there is.
func (f *facts) notResumable() string {
	switch {
	case f.in.Spec.Paused:
		return "spec.paused is set: set it to false in the Rollout, and resume after that if somebody has paused by command too"
	case f.in.Status.CommandedPause() == nil:
		return "nothing is paused by the command Pause"
	default:
		return ""
	}
}

func (f *facts) handle(d *Decision, refused string) {
	a := f.in.Action
	d.Actor, d.Key = a.By, a.Token
	d.Status.Remember(v1alpha1.HandledAction{Action: a.Action, Token: a.Token, By: a.By, Refused: v1alpha1.Bounded(refused, 512), At: f.now()})
}

func quoteReason(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf(": %q", v1alpha1.Bounded(s, 256))
}
