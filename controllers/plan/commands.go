package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// commandsTable applies while a command has not been answered. It comes before
// everything that can fail or wait, and answers a command once.
var commandsTable = table{
	name:    "Commands",
	about:   "A command waits for its answer, in any phase.",
	applies: commanded,
	rules: []rule{
		{"AbortRequested", abortRequested, abort},
		{"RetryRequested", retryRequested, retry},
		{"ActionRefused", always, refuseAction},
	},
}

func commanded(f *facts) bool { return f.in.Action != nil }

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
	d.Status.Rejected = withoutRevision(d.Status.Rejected, f.candidate)
	d.Status.Rollback, d.Status.Step, d.Status.Promotion, d.Status.Verdicts = nil, nil, nil, nil
	f.handle(&d, "")
	return d
}

func refuseAction(f *facts) Decision {
	a := f.in.Action
	d := f.reconciling(f.phaseReason(), f.refusalOf(a))
	f.handle(&d, d.Why)
	return d
}

func (f *facts) refusalOf(a *Action) string {
	switch {
	case a.Revision != "" && a.Revision != f.candidate:
		return fmt.Sprintf("%s refused: it is for revision %q, the candidate is %q", a.Action, v1alpha1.Bounded(a.Revision, 64), f.candidate)
	case a.Action == v1alpha1.ActionAbort && rollingBack(f):
		return fmt.Sprintf("Abort refused: already rolling back since %s", clock(f.rollback().StartedAt.Time))
	case a.Action == v1alpha1.ActionAbort && f.inPhase(v1alpha1.PhaseRolledBack):
		return fmt.Sprintf("Abort refused: %s is already rolled back", imageOf(f.in.Status.Candidate))
	case a.Action == v1alpha1.ActionAbort && handingOver(f):
		return fmt.Sprintf("Abort refused: the Deployment is already taking %s over. To go back, %s", imageOf(f.in.Status.Candidate), f.wayBack())
	case a.Action == v1alpha1.ActionAbort && inStable(f):
		return fmt.Sprintf("Abort refused: no run is in progress, %s serves. To go back, %s", imageOf(f.in.Status.Stable), f.wayBack())
	case a.Action == v1alpha1.ActionAbort:
		return fmt.Sprintf("Abort refused: no run is in progress in phase %s", f.in.Status.Phase)
	case a.Action == v1alpha1.ActionRetry:
		return fmt.Sprintf("Retry refused: only a rolled-back version that the Deployment still declares can run again; the phase is %s", f.in.Status.Phase)
	default:
		return fmt.Sprintf("%q refused: there is no such command; give Abort or Retry", v1alpha1.Bounded(string(a.Action), 32))
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
