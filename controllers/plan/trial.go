package plan

import (
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// trialTable applies in Stepping, Promoting and Baking. It comes after everything
// that can end a run or hold it back, because these rows give the candidate
// more: first routes at weight 0, then pods, then weight. The tables steps and
// bake judge what it has set up.
var trialTable = table{
	name:    "Steps, promotion and bake: routes, pods, weight",
	about:   "Stepping, Promoting and Baking: routes first at 0, then pods, then requests. The weight is the step's; in Promoting and Baking 100. W is Progressing, Promoting or Baking.",
	applies: onTrial,
	rules: []rule{
		{"AwaitsStablePods", noStablePods, waitForStablePods},
		{"PointsServices", pairOutdated, pointServices},
		{"AwaitsStableEndpoints", noStableEndpoints, waitForEndpoints},
		{"SplitsRoute", routesUnsplit, splitAtZero},
		{"AwaitsSplit", splitUnacknowledged, waitForRoute},
		{"NarrowsService", narrowingWrong, narrow},
		{"WithdrawsWave", waveStuck, withdrawWave},
		{"ScalesCanary", canarySizeWrong, scaleCanary},
		{"PointsPreview", previewElsewhere, pointPreview},
		{"AwaitsCanary", canaryUnready, waitForCanary},
		{"AwaitsPreview", previewUnready, waitForPreview},
		{"SetsWeight", weightWrong, setTargetWeight},
		{"AwaitsRoute", unacknowledged, waitForRoute},
		{"StepAcknowledged", stepJustAcknowledged, noteAcknowledged},
	},
}

// targetWeight is the weight that the step, promotion or bake asks for.
func (f *facts) targetWeight() int32 {
	if atFullWeight(f) {
		return 100
	}
	return f.stepWeight()
}

func pairOutdated(f *facts) bool {
	return !f.in.Route.PairCurrent && f.in.Workload.Stable.Name != ""
}

func noStableEndpoints(f *facts) bool {
	rest := routesUnsplit(f) || f.in.Route.Mixed || weightWrong(f) && f.targetWeight() < 100
	return rest && f.in.Route.StableEndpoints == 0
}

func waitForEndpoints(f *facts) Decision {
	s := f.in.Workload.Stable
	why := fmt.Sprintf("waiting for a ready endpoint of Service %s-stable: %d of %d stable pods are ready", f.in.Name, s.Ready, s.Desired)
	if f.in.Route.NoPort != "" {
		why += ": " + f.in.Route.NoPort
	}
	return f.reconciling(f.phaseReason(), why)
}

func splitAtZero(f *facts) Decision {
	return f.setSplit(SetSplit{}, fmt.Sprintf("%s: splitting the routes between stable and canary, with weight 0 %% for the canary", f.stage()))
}

// splitUnacknowledged keeps pods and weight from growing while the gateway has
// not acknowledged the routes.
func splitUnacknowledged(f *facts) bool {
	return unacknowledged(f) && (!f.in.Canary.Exists || f.observedWeight() < f.targetWeight() || f.extraWrong())
}

// gaveUpNarrowing is how often Belay puts the selector back before it gives up.
const gaveUpNarrowing = 3

// narrows reports whether the user's Service selects one version only during
// this run.
func (f *facts) narrows() bool {
	if f.traffic.DirectCallers != v1alpha1.DirectCallersStable || f.in.Canary.Former {
		return false
	}
	d := f.in.Status.DirectCallers
	return d == nil || d.PutBack < gaveUpNarrowing
}

// narrowTarget is the hash that direct callers should reach.
func (f *facts) narrowTarget() string {
	switch {
	case !f.narrows():
		return ""
	case atFullWeight(f) && f.promotion().FullAt != nil:
		return f.in.Canary.Hash
	default:
		return f.in.Workload.Stable.Hash
	}
}

func narrowingWrong(f *facts) bool {
	target := f.narrowTarget()
	served := target == "" || target == f.in.Canary.Hash && f.in.Canary.Ready > 0 || target == f.in.Workload.Stable.Hash && f.in.Workload.Stable.Ready > 0
	// A weight that somebody took away during the bake is restored first.
	foreign := baking(f) && f.promotion().FullAt != nil && f.weightIsNot(100)
	return f.in.Route.Narrowed != target && served && !foreign
}

// narrow counts how often it puts the selector back, and gives up after a few
// times rather than fight with another writer.
func narrow(f *facts) Decision {
	target := f.narrowTarget()
	if target == "" {
		return widenService(f)
	}
	d := f.doing(f.phaseReason(), fmt.Sprintf("limiting Service %s to pods with pod-template-hash %s", f.traffic.Service, target), NarrowService{target})
	was := f.in.Status.DirectCallers
	if was == nil || was.Mode != v1alpha1.DirectCallersStable || f.in.Route.Narrowed != "" {
		return d
	}
	d.Status.DirectCallers = was.DeepCopy()
	d.Status.DirectCallers.PutBack++
	d.Why = fmt.Sprintf("%s removed the selector that limits Service %s to one version: putting it back (%d of %d times)",
		writerOf(f.in.Route.NarrowedBy), f.traffic.Service, d.Status.DirectCallers.PutBack, gaveUpNarrowing)
	if d.Status.DirectCallers.PutBack == gaveUpNarrowing {
		d.Effects = nil
		d.Why = fmt.Sprintf("%s removed the selector that limits Service %s to one version %d times: direct callers reach both versions in this run; let it ignore spec.selector, or set traffic.directCallers to Any",
			writerOf(f.in.Route.NarrowedBy), f.traffic.Service, gaveUpNarrowing)
		d.Status.DirectCallers.Message = v1alpha1.Bounded(d.Why, 512)
		d.Recheck = 1
	}
	d.Key = fmt.Sprint(d.Status.DirectCallers.PutBack)
	return d
}

func writerOf(manager string) string {
	if manager == "" {
		return "somebody"
	}
	return fmt.Sprintf("field manager %q", v1alpha1.Bounded(manager, 64))
}

// canarySize is how many pods the canary's ReplicaSet is asked for; 0 without one.
func (f *facts) canarySize() int32 {
	if !f.in.Canary.Exists {
		return 0
	}
	return f.in.Canary.Desired
}

// oneWaveTowards grows the canary in waves: at most a quarter of the Deployment's
// pods are unready at once, because unready pods keep an autoscaler from scaling up.
// Ready pods beyond the set's size are on their way out. It never shrinks. A StatefulSet
// replaces its pods one after the other by itself.
func (f *facts) oneWaveTowards(need int32) int32 {
	if f.ordered() {
		return max(f.canarySize(), need)
	}
	has, wave := f.canarySize(), max(1, f.in.Workload.Replicas/4)
	return max(has, min(need, min(f.canaryReady(), has)+wave))
}

// targetNeed is the number of pods for what the step, promotion or bake asks for: copies are
// requests for the canary like any others.
func (f *facts) targetNeed() int32 {
	return f.canaryNeed(max(f.targetWeight(), f.targetExtra().mirror))
}

// wantedSize is the canary's next size on its way to what the weight needs. The canary
// shrinks only with the Deployment, once it has all requests.
func (f *facts) wantedSize() int32 {
	need := f.targetNeed()
	if f.canarySize() > need && f.targetWeight() == 100 && !f.weightIsNot(100) {
		return need
	}
	if f.waveWithdrawn() {
		need = f.presentNeed()
	}
	return f.oneWaveTowards(need)
}

func canarySizeWrong(f *facts) bool {
	return !f.in.Canary.Exists || f.in.Canary.Desired != f.wantedSize()
}

func scaleCanary(f *facts) Decision {
	size := f.wantedSize()
	d := f.doing(f.phaseReason(), f.stage()+": "+f.podsAskedFor(), ScaleCanary{size})
	f.noteWave(&d, size)
	return d
}

// podsAskedFor says how many canary pods the weight needs, and how many of them come
// first.
func (f *facts) podsAskedFor() string {
	need, size := f.targetNeed(), f.wantedSize()
	why := fmt.Sprintf("weight %d %% of %d replicas needs canary pods: %d", f.targetWeight(), f.in.Workload.Replicas, need)
	if mirror := f.targetExtra().mirror; mirror > 0 {
		why = fmt.Sprintf("copies of %d %% of the requests to %d replicas need canary pods: %d", mirror, f.in.Workload.Replicas, need)
	}
	if f.replicaWeighted() {
		why = f.needOfPods()
	}
	if size < need {
		why += fmt.Sprintf("; scaling to %d first", size)
	}
	return why
}

// canaryUnready holds while the pods for the weight are not ready or not
// reachable by the gateway. It does not interrupt a hold or a bake that has
// begun; a step checks it again at the end of its hold.
func canaryUnready(f *facts) bool {
	held := baking(f) || stepping(f) && f.step().AcknowledgedAt != nil && holdRunning(f)
	if held && !weightWrong(f) {
		return false
	}
	need := f.targetNeed()
	return f.canaryReady() < need || f.in.Route.CanaryEndpoints < need || len(f.in.Canary.Misplaced) > 0
}

func waitForCanary(f *facts) Decision {
	need := f.targetNeed()
	ready := f.canaryReady()
	why := fmt.Sprintf("%s: waiting for canary pods: %d of %d ready", f.stage(), ready, need)
	switch {
	case ready >= need && len(f.in.Canary.Misplaced) > 0:
		why = fmt.Sprintf("%s: waiting until pods below the partition run %s again: %d", f.stage(), imageOf(f.in.Status.Stable), len(f.in.Canary.Misplaced))
	case ready >= need:
		why = fmt.Sprintf("%s: waiting for ready endpoints of the canary: %d of %d", f.stage(), f.in.Route.CanaryEndpoints, need)
	case f.in.Route.NoPort == "" && f.in.Canary.Cause != "":
		// The cause begins with the count.
		return f.awaitWave(fmt.Sprintf("%s: waiting for canary pods: %s", f.stage(), v1alpha1.Bounded(f.in.Canary.Cause, 400)))
	}
	return f.awaitWave(why + f.canaryProblem())
}

// canaryProblem says why the canary's pods are not ready or not reachable.
func (f *facts) canaryProblem() string {
	switch {
	case f.in.Route.NoPort != "":
		return ": " + v1alpha1.Bounded(f.in.Route.NoPort, 400)
	case f.in.Canary.Cause != "":
		return ": " + v1alpha1.Bounded(f.in.Canary.Cause, 400)
	default:
		return ""
	}
}

func weightWrong(f *facts) bool { return f.weightIsNot(f.targetWeight()) || f.extraWrong() }

func setTargetWeight(f *facts) Decision {
	beside := f.targetExtra()
	to := SetSplit{f.targetWeight(), beside.testers, beside.mirror}
	return f.setSplit(to, fmt.Sprintf("%s: canary ready, weight %d %%%s to %d %%%s", f.stage(), f.observedWeight(), f.extraNow(), to.Weight, to.extra()))
}

func stepJustAcknowledged(f *facts) bool { return stepping(f) && f.step().AcknowledgedAt == nil }

func noteAcknowledged(f *facts) Decision {
	what := fmt.Sprintf("the gateway acknowledged weight %d %%%s", f.stepWeight(), f.targetExtra())
	if f.replicaWeighted() {
		what = "canary at " + f.stepShare()
	}
	d := f.reconciling(f.phaseReason(), fmt.Sprintf("%s: %s; holding until %s", f.stage(), what, clock(f.now().Add(f.stepHold()))))
	now, step := f.now(), f.step()
	step.AcknowledgedAt = &now
	standsFromHere(&step, f.in.Now)
	d.Status.Step = &step
	d.Key = fmt.Sprint(f.step().Index)
	d.Recheck = max(1, f.stepHold())
	f.sayNext(&d, "judge "+f.stage(), now.Add(f.stepHold()))
	return d
}

// sayNextAgain shows it after a pause, which has another end.
func (f *facts) sayNextAgain(d *Decision, next string, at time.Time) {
	if s := d.Status.Step; s != nil && s.NextAt == nil {
		f.sayNext(d, next, at)
	}
}

// sayNext shows what the step waits for, and until when.
func (f *facts) sayNext(d *Decision, next string, at time.Time) {
	if d.Status.Step == nil {
		return
	}
	t := f.now()
	t.Time = at
	d.Status.Step.Next, d.Status.Step.NextAt = v1alpha1.Bounded(next, 256), &t
}
