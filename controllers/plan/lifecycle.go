package plan

import (
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// Rules about adopting, gating and leaving: everything outside a run.

func workloadMissing(f *facts) bool { return !f.in.Workload.Found }

func stuckOnWorkload(f *facts) Decision {
	return f.stuck(v1alpha1.ReasonWorkloadNotFound, fmt.Sprintf("Deployment %q does not exist: create it, or delete this Rollout", f.in.Spec.WorkloadRef.Name))
}

func finalizerMissing(f *facts) bool { return f.in.FinalizerMissing }

func addFinalizer(f *facts) Decision {
	return f.doing(v1alpha1.ReasonProgressing, "adding the finalizer", AddFinalizer{})
}

func notAdopted(f *facts) bool { return f.in.Status.Phase == "" || f.in.Status.Stable == nil }

// adopt takes the version that runs as stable. What the Deployment declares may
// already differ: a Rollout can be made again while a rejected one waits. Until
// then the Deployment carries no label, and nothing holds back a fix.
func adopt(f *facts) Decision {
	active := f.in.Workload.Active
	switch {
	case f.in.Blocked.Reason == v1alpha1.ReasonWorkloadClaimed:
		return f.stuck(f.in.Blocked.Reason, f.in.Blocked.Message)
	case len(active) > 1:
		return f.stuck(v1alpha1.ReasonWorkloadNotReady, fmt.Sprintf("Deployment %q runs %d versions: waiting for one of them to be left", f.in.Spec.WorkloadRef.Name, len(active)))
	case len(active) == 0 || active[0].Ready == 0:
		return f.stuck(v1alpha1.ReasonWorkloadNotReady, fmt.Sprintf("Deployment %q has no ready pod yet: waiting for one; until then nothing holds a new version back", f.in.Spec.WorkloadRef.Name))
	}
	d := f.working(v1alpha1.ReasonProgressing, "")
	d.Status.Phase = v1alpha1.PhaseStable
	d.Status.Stable = revisionOf(active[0])
	d.Why = "adopted the Deployment at " + imageOf(d.Status.Stable)
	d.Status.Runs = f.in.Run.Next
	// What an earlier Rollout of this name rejected stays rejected.
	d.Status.Rejected = f.in.Run.Rejected
	f.handleBypass(&d)
	d.Recheck = 1
	return d
}

func revisionOf(s Set) *v1alpha1.Revision {
	return &v1alpha1.Revision{Revision: s.Revision, Image: s.Image, ReplicaSet: s.Name, PodTemplateHash: s.Hash}
}

// marks are Belay's labels on the Deployment as they should be: all that the
// admission policies can know.
func (f *facts) marks() Marks {
	m := Marks{Rollout: f.in.Name}
	if f.in.Status.Phase.InRun() {
		m.Run = v1alpha1.RunLabel(f.in.Status.Run)
		if f.narrows() || f.in.Route.Narrowed != "" {
			m.Narrowed = f.in.Spec.Traffic.Service
		}
	}
	if f.inPhase(v1alpha1.PhaseRolledBack) && f.declared == f.tried && f.rejection(f.declared) != nil {
		m.Rejected = f.declared
	}
	return m
}

// marksOff leaves the labels of a Deployment alone that another Rollout guards.
func marksOff(f *facts) bool {
	return f.in.Blocked.Reason != v1alpha1.ReasonWorkloadClaimed && (f.in.Workload.Marks != f.marks() || f.in.Workload.StableUnmarked)
}

func markWorkload(f *facts) Decision {
	return f.doing(f.phaseReason(), "labelling the Deployment, so that the guard knows of it", MarkWorkload{f.marks()})
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
	d.Why = fmt.Sprintf("%s was rejected at %s (run %s: %s) and does not start again by itself; %s serves: push another version, revert, or retry",
		imageOf(&f.in.Workload.Declared), clock(r.At.Time), r.Run, truncate(r.Message, 400), imageOf(f.in.Status.Stable))
	d.Status.Phase = v1alpha1.PhaseRolledBack
	d.Recheck = 1
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

// idleLeftover is a former run's set, which no run needs any more, nor any route.
func idleLeftover(f *facts) bool {
	return f.idle() && f.in.Canary.Leftover != "" && f.in.Route.Split == nil
}

func removeLeftover(f *facts) Decision {
	return f.doing(f.phaseReason(), fmt.Sprintf("ReplicaSet %s of a former run is still there", f.in.Canary.Leftover), RemoveLeftover{f.in.Canary.Leftover})
}

// unservedAfter is how long nothing must have served before a push goes out
// unjudged: longer than pods usually take to start, so that a restart of all of
// them or a drained node is no reason.
const unservedAfter = time.Minute

// unserved holds when the stable version has no pod that serves, so that there is
// nothing to compare with and nothing to go back to.
func unserved(f *facts) bool {
	w := f.in.Workload
	down := w.Replicas > 0 && w.Stable.Ready == 0 && w.UnavailableSince != nil && f.in.Now.Sub(*w.UnavailableSince) >= unservedAfter
	return gating(f) && down && !f.in.Spec.Paused
}

// rollUnserved is a run like any other in the record: with no step.
func rollUnserved(f *facts) Decision {
	why := fmt.Sprintf("%s has had no ready pod since %s: %s goes out at once, by the Deployment's own strategy, without a judgement",
		imageOf(f.in.Status.Stable), clock(*f.in.Workload.UnavailableSince), imageOf(f.in.Status.Candidate))
	d := f.working(v1alpha1.ReasonNothingServes, why)
	f.openRun(&d)
	d.Status.Phase = v1alpha1.PhaseHandingOver
	now := f.now()
	d.Status.Promotion = &v1alpha1.PromotionStatus{StartedAt: now, HandingSince: &now, Mode: v1alpha1.TakeOverUnserved, Message: truncate(why, 1024)}
	d.Effect, d.Key, d.Recheck = CreateRun{}, d.Status.Run, 1
	return d
}

func unguarded(f *facts) bool {
	return !f.in.Guard.Proven && f.inPhase(v1alpha1.PhaseStable, v1alpha1.PhaseGating)
}

// stuckUnguarded waits, without alarm, for a proof that is only not there yet.
func stuckUnguarded(f *facts) Decision {
	if f.in.Guard.Pending {
		return f.working(f.in.Guard.Reason, f.in.Guard.Message)
	}
	return f.stuck(f.in.Guard.Reason, f.in.Guard.Message)
}

func stable(f *facts) bool { return f.inPhase(v1alpha1.PhaseStable) }

func stayStable(f *facts) Decision {
	d := Decision{Status: f.next(), Standing: Standing{Done, v1alpha1.ReasonStable}, Why: "serving " + imageOf(f.in.Status.Stable)}
	switch w := f.in.Workload; {
	case w.Replicas > 0 && w.Stable.Ready == 0:
		return f.working(v1alpha1.ReasonWorkloadNotReady, fmt.Sprintf("nothing serves: %s has 0 of %d pods ready; push a fix, it goes out at once when none gets ready within %s",
			imageOf(f.in.Status.Stable), w.Replicas, unservedAfter))
	case f.in.Blocked.Reason != "":
		d.Standing = Standing{Stuck, f.in.Blocked.Reason}
		d.Why, d.Recheck = f.in.Blocked.Message, f.in.Watchdog
	case f.in.Route.Fault.Reason != "":
		d.Standing = Standing{Stuck, f.in.Route.Fault.Reason}
		d.Why, d.Recheck = f.in.Route.Fault.Message, f.in.Watchdog
	case f.in.Workload.Warning != "":
		d.Why += "; note: " + f.in.Workload.Warning
	}
	return d
}

func gating(f *facts) bool { return f.inPhase(v1alpha1.PhaseGating) }

func runMissing(f *facts) bool { return (f.onTrial() || handoverDue(f)) && !f.in.Run.Exists }

func createRun(f *facts) Decision {
	d := f.doing(f.phaseReason(), "run "+f.in.Status.Run+" has no record yet", CreateRun{})
	d.Repeats = true
	d.Recheck = 1
	return d
}

func blocked(f *facts) bool { return gating(f) && f.in.Blocked.Reason != "" }

func stuckBlocked(f *facts) Decision { return f.stuck(f.in.Blocked.Reason, f.in.Blocked.Message) }

func routeUnusable(f *facts) bool {
	return (gating(f) || f.revocable()) && f.in.Route.Fault.Reason != ""
}

func stuckOnRoute(f *facts) Decision {
	return f.stuck(f.in.Route.Fault.Reason, f.in.Route.Fault.Message)
}

func paused(f *facts) bool { return f.in.Spec.Paused && (gating(f) || f.revocable()) }

func stayPaused(f *facts) Decision {
	if gating(f) {
		return f.working(v1alpha1.ReasonPaused, fmt.Sprintf("paused by spec.paused: no run of %s starts", imageOf(f.in.Status.Candidate)))
	}
	return f.working(v1alpha1.ReasonPaused, "paused by spec.paused, at "+f.whereNow()+"; triggers stay armed")
}

// atZeroReplicas: somebody, or an autoscaler, wants no pod at all. The run waits
// as it is.
func atZeroReplicas(f *facts) bool {
	before := handingOver(f) && f.takeOver() == v1alpha1.TakeOverHandOver && !f.in.Canary.Handed
	return f.in.Workload.Replicas == 0 && (gating(f) || f.onTrial() || before)
}

func scaledToZero(f *facts) bool {
	return atZeroReplicas(f) && !gating(f) && f.in.Canary.Exists && f.in.Canary.Desired > 0
}

func emptyCanary(f *facts) Decision {
	return f.doing(v1alpha1.ReasonScaledToZero, "the Deployment is scaled to 0: the canary goes too", ScaleCanary{0})
}

func waitForReplicas(f *facts) Decision {
	return f.working(v1alpha1.ReasonScaledToZero, fmt.Sprintf("the Deployment is scaled to 0: %s waits, and goes on when it is scaled up", imageOf(f.in.Status.Candidate)))
}

// stableNotReady: a run starts from one version that serves, and alone.
func stableNotReady(f *facts) bool {
	w := f.in.Workload
	return gating(f) && (w.Stable.Ready == 0 || len(w.Active) != 1)
}

func waitForStableReady(f *facts) Decision {
	w := f.in.Workload
	if len(w.Active) > 1 {
		return f.working(v1alpha1.ReasonWorkloadNotReady, fmt.Sprintf("the Deployment runs %d versions: no run starts before only %s is left", len(w.Active), imageOf(f.in.Status.Stable)))
	}
	why := fmt.Sprintf("%s has no ready pod: there is nothing to compare %s with; if none gets ready within %s, it goes out at once", imageOf(f.in.Status.Stable), imageOf(f.in.Status.Candidate), unservedAfter)
	d := f.working(v1alpha1.ReasonWorkloadNotReady, why)
	d.Recheck = unservedAfter
	return d
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
	d := f.working(v1alpha1.ReasonProgressing, "")
	f.openRun(&d)
	d.Why = fmt.Sprintf("run %d starts: %s against %s", d.Status.Runs, imageOf(f.in.Status.Candidate), imageOf(f.in.Status.Stable))
	if s := f.in.Status.Stable; s != nil && s.Image != "" && s.Image == f.in.Status.Candidate.Image {
		d.Why = fmt.Sprintf("run %d starts: %s again, with another pod template (revision %s against %s): a restart, or a change of its configuration", d.Status.Runs, s.Image, f.tried, f.stable)
	}
	d.Status.Phase = v1alpha1.PhaseStepping
	d.Effect, d.Key, d.Recheck = CreateRun{}, d.Status.Run, 1
	return d
}

// openRun fills in what every new run has.
func (f *facts) openRun(d *Decision) {
	number := f.in.Run.Next + 1
	now := f.now()
	d.Status.Run = RunName(f.in.Name, d.Status.Candidate.Revision, number)
	d.Status.Runs = number
	d.Status.Epoch = max(d.Status.Epoch, f.in.Route.Epoch) + 1
	d.Status.RunStartedAt = &now
	d.Status.Step = &v1alpha1.StepStatus{Index: 0, EnteredAt: now}
	d.Status.Rollback, d.Status.Promotion, d.Status.Verdicts = nil, nil, nil
}

// fastRevert holds for one of the versions that were stable before the present
// one: it was judged, and goes back without steps.
func fastRevert(f *facts) bool {
	if !gating(f) {
		return false
	}
	for i, p := range f.in.Status.Previous {
		if int32(i) < f.fastReverts() && p.Revision == f.tried {
			return true
		}
	}
	return false
}

// fastReverts is how many of the versions that were stable before return without
// steps.
func (f *facts) fastReverts() int32 {
	switch {
	case f.in.Spec.Promotion.Mode == v1alpha1.PromotionNative:
		return 0
	case f.in.Spec.FastRevert.Revisions != nil:
		return *f.in.Spec.FastRevert.Revisions
	default:
		return 1
	}
}

func startRevert(f *facts) Decision {
	d := startRun(f)
	d.Why = fmt.Sprintf("run %d starts: back to %s, which was stable before; it goes to full size and 100 %% without steps", d.Status.Runs, imageOf(f.in.Status.Candidate))
	d.Status.Phase = v1alpha1.PhasePromoting
	d.Status.Step.Index = max(0, int32(len(f.in.Spec.Steps))-1)
	d.Status.Promotion = &v1alpha1.PromotionStatus{StartedAt: f.now(), Mode: v1alpha1.TakeOverHandOver, Fast: true}
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
