package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// Rules about adopting, gating and leaving: everything outside a trial.

func workloadMissing(f *facts) bool { return !f.in.Workload.Found }

func stuckOnWorkload(f *facts) Decision {
	return f.stuck(v1alpha1.ReasonWorkloadNotFound, fmt.Sprintf("Deployment %q does not exist: create it, or delete this Rollout", f.in.Spec.WorkloadRef.Name))
}

func finalizerMissing(f *facts) bool { return f.in.FinalizerMissing }

func addFinalizer(f *facts) Decision {
	return f.doing(v1alpha1.ReasonProgressing, "taking the Rollout into care", AddFinalizer{})
}

func notAdopted(f *facts) bool { return f.in.Status.Phase == "" || f.in.Status.Stable == nil }

// adopt takes the version that runs as stable. What the Deployment declares may
// already differ: a Rollout can be made again while a rejected one waits.
func adopt(f *facts) Decision {
	if f.in.Workload.Active == nil {
		return f.stuck(v1alpha1.ReasonWorkloadNotReady, fmt.Sprintf("Deployment %q does not run exactly one version yet: waiting for it to settle", f.in.Spec.WorkloadRef.Name))
	}
	d := f.working(v1alpha1.ReasonProgressing, "adopted the Deployment at "+imageOf(f.in.Workload.Active))
	d.Status.Phase = v1alpha1.PhaseStable
	d.Status.Stable = f.in.Workload.Active.DeepCopy()
	d.Status.Runs = f.in.Run.Next
	// What an earlier Rollout of this name rejected stays rejected.
	d.Status.Rejected = f.in.Run.Rejected
	d.Recheck = 1
	return d
}

// bypassed holds when the Deployment rolls to something else than stable and
// Belay did not unpause it.
func bypassed(f *facts) bool {
	if f.in.Workload.Paused || f.declared == f.stable {
		return false
	}
	return f.inPhase(v1alpha1.PhaseStable, v1alpha1.PhaseGating, v1alpha1.PhaseStepping, v1alpha1.PhaseRolledBack)
}

func followBypass(f *facts) Decision {
	why := fmt.Sprintf("the Deployment was unpaused at %s without Belay", imageOf(&f.in.Workload.Declared))
	if f.inPhase(v1alpha1.PhaseStepping) {
		return f.beginRollback(v1alpha1.OutcomeBypassed, "bypass", why)
	}
	d := f.working(v1alpha1.ReasonWaiting, why+": waiting for it to settle")
	d.Key = f.declared
	if f.in.Workload.Settled {
		f.adoptDeclared(&d)
		d.Why = why + ": it is the stable version now"
	}
	return d
}

func (f *facts) adoptDeclared(d *Decision) {
	next := f.in.Workload.Declared.DeepCopy()
	next.PodTemplateHash, next.ReplicaSet = f.in.Workload.DeclaredHash, f.in.Workload.DeclaredReplicaSet
	if f.in.Status.Candidate != nil && f.in.Status.Candidate.Revision == next.Revision && len(f.in.Status.Candidate.Images) > 0 {
		next.Images = f.in.Status.Candidate.Images
	}
	d.Status.Stable = next
	d.Status.Phase = v1alpha1.PhaseStable
	d.Status.Candidate, d.Status.Step, d.Status.Promotion, d.Status.Verdicts = nil, nil, nil, nil
	d.Status.Rejected = without(d.Status.Rejected, next.Revision)
}

func cancelled(f *facts) bool {
	return f.declared == f.stable && f.inPhase(v1alpha1.PhaseGating, v1alpha1.PhaseStepping, v1alpha1.PhasePromoting)
}

func cancel(f *facts) Decision {
	why := "the Deployment declares the stable version again"
	if !gating(f) {
		return f.beginRollback(v1alpha1.OutcomeCancelled, "", why)
	}
	return f.backToStable(why)
}

func reverted(f *facts) bool {
	return f.declared == f.stable && (f.inPhase(v1alpha1.PhaseRolledBack) || f.inPhase(v1alpha1.PhaseStable) && f.in.Workload.Paused)
}

func settleReverted(f *facts) Decision {
	return f.backToStable("the Deployment declares the stable version again")
}

func (f *facts) backToStable(why string) Decision {
	if f.in.Workload.Paused {
		return f.doing(v1alpha1.ReasonProgressing, why, Unpause{f.stable})
	}
	d := f.working(v1alpha1.ReasonProgressing, why)
	d.Status.Phase = v1alpha1.PhaseStable
	d.Status.Candidate, d.Status.Step, d.Status.Promotion, d.Status.Verdicts = nil, nil, nil, nil
	return d
}

// superseded holds when a newer template came while another was on trial. While
// a promotion bakes the newer one waits, paused, for its own run.
func superseded(f *facts) bool {
	if f.declared == f.tried || f.declared == f.stable {
		return false
	}
	return f.inPhase(v1alpha1.PhaseGating, v1alpha1.PhaseStepping, v1alpha1.PhasePromoting)
}

func supersede(f *facts) Decision {
	why := fmt.Sprintf("%s came before %s was decided", imageOf(&f.in.Workload.Declared), imageOf(f.in.Status.Candidate))
	if !f.inPhase(v1alpha1.PhaseGating) {
		return f.beginRollback(v1alpha1.OutcomeSuperseded, "", why)
	}
	if f.rejection(f.declared) != nil {
		return rejectAgain(f)
	}
	d := f.working(v1alpha1.ReasonProgressing, why)
	f.becomeCandidate(&d)
	return d
}

func (f *facts) becomeCandidate(d *Decision) {
	d.Key = f.declared
	d.Status.Candidate = f.in.Workload.Declared.DeepCopy()
	d.Status.Step, d.Status.Rollback, d.Status.Promotion, d.Status.Verdicts = nil, nil, nil, nil
}

func (f *facts) rejection(revision string) *v1alpha1.RejectedRevision {
	return f.in.Status.IsRejected(revision)
}

func rejectedAgain(f *facts) bool {
	if f.declared == f.stable || !f.inPhase(v1alpha1.PhaseStable, v1alpha1.PhaseRolledBack) || f.rejection(f.declared) == nil {
		return false
	}
	return f.inPhase(v1alpha1.PhaseStable) || f.declared != f.tried
}

func rejectAgain(f *facts) Decision {
	r := f.rejection(f.declared)
	d := f.stuck(v1alpha1.ReasonRolledBack, "")
	f.becomeCandidate(&d)
	d.Why = fmt.Sprintf("%s was rejected before (%s) and does not run again by itself: revert it, push a new version, or retry", imageOf(&f.in.Workload.Declared), r.Message)
	d.Status.Phase = v1alpha1.PhaseRolledBack
	return d
}

func rolledBack(f *facts) bool {
	return f.inPhase(v1alpha1.PhaseRolledBack) && f.declared == f.tried
}

func stayRolledBack(f *facts) Decision {
	return Decision{Why: f.rolledBackMessage(), Status: f.next(), Standing: Standing{Stuck, v1alpha1.ReasonRolledBack}}
}

func (f *facts) rolledBackMessage() string {
	because := f.rollback().Message
	if r := f.in.Status.IsRejected(f.tried); r != nil {
		because = r.Message
	}
	return fmt.Sprintf("rolled back to %s: %s; the Deployment still declares %s: revert it, push a new version, or retry",
		imageOf(f.in.Status.Stable), because, imageOf(f.in.Status.Candidate))
}

func newRevision(f *facts) bool {
	return f.declared != f.stable && f.inPhase(v1alpha1.PhaseStable, v1alpha1.PhaseRolledBack)
}

func gate(f *facts) Decision {
	d := f.working(v1alpha1.ReasonProgressing, fmt.Sprintf("%s waits, paused, to be judged", imageOf(&f.in.Workload.Declared)))
	f.becomeCandidate(&d)
	d.Status.Phase = v1alpha1.PhaseGating
	d.Recheck = 1
	return d
}

func unguarded(f *facts) bool {
	return !f.in.Guard.Proven && f.inPhase(v1alpha1.PhaseStable, v1alpha1.PhaseGating)
}

func stuckUnguarded(f *facts) Decision { return f.stuck(f.in.Guard.Reason, f.in.Guard.Message) }

func stable(f *facts) bool { return f.inPhase(v1alpha1.PhaseStable) }

func stayStable(f *facts) Decision {
	d := Decision{Status: f.next(), Standing: Standing{Done, v1alpha1.ReasonStable}, Why: "serving " + imageOf(f.in.Status.Stable)}
	switch {
	case f.in.Blocked.Reason != "":
		d.Standing = Standing{Stuck, f.in.Blocked.Reason}
		d.Why, d.Recheck = f.in.Blocked.Message, f.in.Watchdog
	case f.in.Route.Fault.Reason != "":
		d.Standing = Standing{Stuck, f.in.Route.Fault.Reason}
		d.Why, d.Recheck = f.in.Route.Fault.Message, f.in.Watchdog
	}
	return d
}

func gating(f *facts) bool { return f.inPhase(v1alpha1.PhaseGating) }

func runMissing(f *facts) bool { return f.onTrial() && !f.in.Run.Exists }

func createRun(f *facts) Decision {
	d := f.doing(f.phaseReason(), "run "+f.in.Status.Run+" has no record yet", CreateRun{})
	d.Repeats = true
	d.Recheck = 1
	return d
}

func blocked(f *facts) bool { return gating(f) && f.in.Blocked.Reason != "" }

func stuckBlocked(f *facts) Decision { return f.stuck(f.in.Blocked.Reason, f.in.Blocked.Message) }

func routeUnusable(f *facts) bool {
	return f.inPhase(v1alpha1.PhaseGating, v1alpha1.PhaseStepping, v1alpha1.PhasePromoting, v1alpha1.PhaseBaking) && f.in.Route.Fault.Reason != ""
}

func stuckOnRoute(f *facts) Decision {
	return f.stuck(f.in.Route.Fault.Reason, f.in.Route.Fault.Message)
}

func paused(f *facts) bool {
	return f.in.Spec.Paused && f.inPhase(v1alpha1.PhaseGating, v1alpha1.PhaseStepping)
}

func stayPaused(f *facts) Decision {
	d := f.working(v1alpha1.ReasonPaused, "paused by spec.paused, at "+f.whereNow()+"; triggers stay armed")
	return d
}

func stableNotReady(f *facts) bool {
	return f.inPhase(v1alpha1.PhaseGating) && f.in.Workload.StableReady == 0
}

func waitForStableReady(f *facts) Decision {
	return f.stuck(v1alpha1.ReasonWorkloadNotReady, "the stable version has no ready pod: a candidate could not be compared, nor rolled back to it")
}

// preflightHolds: only a fresh Pass for this very candidate lets a run start.
func preflightHolds(f *facts) bool {
	return gating(f) && f.in.Preflight.Required && (f.preflight() == nil || f.preflight().Outcome != v1alpha1.VerdictPass)
}

// preflight is the answer for the candidate, nil while there is no fresh one.
func (f *facts) preflight() *v1alpha1.PreflightStatus {
	p := f.in.Status.Preflight
	if p == nil || p.Revision != f.tried || f.in.Now.Sub(p.EvaluatedAt.Time) > f.in.Preflight.FreshFor {
		return nil
	}
	return p
}

func waitForPreflight(f *facts) Decision {
	p := f.preflight()
	if p == nil {
		return f.working(v1alpha1.ReasonPreflight, "waiting to hear whether the service can afford a release")
	}
	d := f.working(v1alpha1.ReasonPreflight, fmt.Sprintf("no run starts: pre-flight is %s (%s): %s", p.Outcome, p.Reason, p.Message))
	d.Key = p.Reason
	return d
}

func startRun(f *facts) Decision {
	number := f.in.Run.Next + 1
	d := f.working(v1alpha1.ReasonProgressing, fmt.Sprintf("run %d starts: %s against %s", number, imageOf(f.in.Status.Candidate), imageOf(f.in.Status.Stable)))
	d.Status.Phase = v1alpha1.PhaseStepping
	d.Status.Run = RunName(f.in.Name, f.tried, number)
	d.Status.Runs = number
	d.Status.Epoch = max(d.Status.Epoch, f.in.Route.Epoch) + 1
	now := f.now()
	d.Status.RunStartedAt = &now
	d.Status.Step = &v1alpha1.StepStatus{Index: 0, EnteredAt: now}
	d.Status.Rollback, d.Status.Promotion, d.Status.Verdicts = nil, nil, nil
	d.Effect = CreateRun{}
	d.Key = d.Status.Run
	d.Recheck = 1
	return d
}

// RunName is the name of a Rollout's run: deterministic, so that creating it
// twice finds the first, and never reused, as the number only rises.
func RunName(rollout, revision string, number int32) string {
	return fmt.Sprintf("%s-%s-%d", rollout, revision, number)
}

func hold(f *facts) Decision {
	d := f.working(v1alpha1.ReasonHolding, fmt.Sprintf("phase %s: nothing to do", f.in.Status.Phase))
	d.Recheck = f.in.Watchdog
	return d
}
