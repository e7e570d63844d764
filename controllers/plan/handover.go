package plan

import (
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// handoverBeforeOwnerTable applies in HandingOver, mode HandOver, before the owner
// changes; its last row always matches. The triggers stay armed: until that row
// the way back is a change of weights. The sequence is in
// docs/adr/20261125-promotion-hands-the-replicaset-over.md.
var handoverBeforeOwnerTable = table{
	name:    "Handover: before the change of owner",
	about:   "HandingOver, mode HandOver: stable and canary keep their size, and all requests go to the canary, before the Deployment becomes its owner.",
	applies: ofDeployment(handoverDue),
	rules: []rule{
		{"HandoverImpossible", handoverImpossible, promoteNatively},
		{"HandoverFollowsSize", canarySizeBehind, followSize},
		{"HandoverSetsWeight", weightRestorable, restoreFullWeight},
		{"HandoverAwaitsSteadySize", sizesUnsteady, waitForSteadySizes},
		{"HandoverUndecided", undecided, holdHandover},
		{"HandoverReleasesNarrowed", splitBesideNarrowed, releaseRoute},
		{"HandsOver", always, handOver},
	},
}

func (f *facts) promotion() v1alpha1.PromotionStatus {
	if f.in.Status.Promotion == nil {
		return v1alpha1.PromotionStatus{StartedAt: f.now(), Mode: v1alpha1.TakeOverHandOver}
	}
	return *f.in.Status.Promotion
}

func (f *facts) takeOver() v1alpha1.TakeOver {
	if m := f.promotion().Mode; m != "" {
		return m
	}
	return v1alpha1.TakeOverHandOver
}

// handoverImpossible holds when the Deployment controller would not take this
// ReplicaSet, or the numbers of pods do not stay the same for long enough.
func handoverImpossible(f *facts) bool { return f.nativeReason() != "" }

func (f *facts) nativeReason() string {
	switch {
	case f.in.Canary.Changed != "":
		return "an admission webhook or policy changed the canary's template, so the Deployment would not use its ReplicaSet: " + v1alpha1.Bounded(f.in.Canary.Changed, 300)
	case f.in.Canary.Exists && f.in.Workload.Chosen == "":
		return fmt.Sprintf("the template of the canary's ReplicaSet %s is not the Deployment's", f.in.Canary.Name)
	case f.in.Canary.Exists && f.in.Workload.Chosen != f.in.Canary.Name:
		return fmt.Sprintf("the Deployment already has an older ReplicaSet %s with this template, and would use that instead of the canary", f.in.Workload.Chosen)
	case f.deadlineExceeded() && !f.sized():
		return fmt.Sprintf("stable and canary were not both at %d available pods for %s within stepDeadline %s", f.in.Workload.Replicas, f.in.SteadyFor, f.in.Spec.StepDeadline.Duration)
	default:
		return ""
	}
}

func promoteNatively(f *facts) Decision {
	d := f.reconciling(v1alpha1.ReasonHandingOver, "")
	f.switchToNative(&d, f.nativeReason())
	d.Recheck = 1
	return d
}

// switchToNative leaves the promotion to the Deployment's own strategy.
func (f *facts) switchToNative(d *Decision, because string) {
	p := f.promotion()
	if d.Status.Promotion != nil {
		p = *d.Status.Promotion
	}
	now := f.now()
	p.Mode, p.Message, p.HandingSince = v1alpha1.TakeOverNative, f.messageOf(p, because), &now
	d.Status.Phase, d.Status.Promotion = v1alpha1.PhaseHandingOver, &p
	d.Reason = v1alpha1.ReasonHandingOver
	d.Why = "promoting by the Deployment's own strategy: " + because
	d.Key = "native"
	f.handleBypass(d)
}

// messageOf is why a promotion goes on in another way. Who ended steps by command stays in
// it.
func (f *facts) messageOf(p v1alpha1.PromotionStatus, because string) string {
	if f.endedByCommand(p) {
		because = v1alpha1.Bounded(because, 512) + "; " + p.Message
	}
	return v1alpha1.Bounded(because, 1024)
}

// endedByCommand is whether the promotion says who ended steps by Skip or Promote.
func (f *facts) endedByCommand(p v1alpha1.PromotionStatus) bool {
	return p.Message != "" && (p.Actor != "" || f.step().Skipped != "")
}

func canarySizeBehind(f *facts) bool {
	return f.in.Canary.Exists && f.followedSize() != f.in.Canary.Desired
}

// followedSize is the canary's next size on its way to that of the Deployment.
func (f *facts) followedSize() int32 {
	n := f.in.Workload.Replicas
	if f.in.Canary.Desired >= n {
		return n
	}
	return f.oneWaveTowards(n)
}

func followSize(f *facts) Decision {
	d := f.doing(v1alpha1.ReasonHandingOver, fmt.Sprintf("handover: the Deployment has %d replicas: scaling the canary from %d to %d", f.in.Workload.Replicas, f.in.Canary.Desired, f.followedSize()), ScaleCanary{f.followedSize()})
	f.noteSize(&d)
	return d
}

// canaryLacksWeight holds while requests reach stable pods, because somebody
// changed the weight or pointed the routes at the user's Service. With the
// change of owner those pods go. Where the number of pods is the weight they take
// requests until then, as in any rolling update.
func canaryLacksWeight(f *facts) bool {
	if f.replicaWeighted() {
		return false
	}
	if routesSplit(f) {
		return f.weightIsNot(100)
	}
	return !narrowed(f) || f.in.Route.Narrowed != f.in.Canary.Hash
}

func weightRestorable(f *facts) bool {
	return canaryLacksWeight(f) && f.in.Route.Acknowledged && f.in.Route.PairCurrent && min(f.canaryReady(), f.in.Route.CanaryEndpoints) >= f.canaryNeed(100)
}

func restoreFullWeight(f *facts) Decision {
	what := fmt.Sprintf("set the canary's weight to %d %%", f.observedWeight())
	if f.in.Route.Split == nil {
		what = "pointed the routes back at Service " + f.traffic.Service
	}
	d := f.doing(v1alpha1.ReasonHandingOver, fmt.Sprintf("handover: somebody %s: setting it to 100 %% again", what), SetSplit{Weight: 100})
	p := f.promotion()
	p.Size, p.SizeSince = nil, nil
	d.Status.Promotion = &p
	return d
}

// sized reports whether stable and canary both have the Deployment's replicas,
// all available, and no other ReplicaSet has pods.
func (f *facts) sized() bool {
	w, n := f.in.Workload, f.in.Workload.Replicas
	full := func(s Set) bool { return s.Desired == n && s.Pods == n && s.Available == n }
	return w.Observed && w.Paused && len(w.Active) == 1 && w.Active[0].Name == w.Stable.Name && full(w.Stable) && full(f.in.Canary.Set) && n > 0
}

// noteSize records since when the sizes have been the same. A handover waits
// for one period of an autoscaler without a change.
func (f *facts) noteSize(d *Decision) {
	p, n := f.promotion(), f.in.Workload.Replicas
	if d.Status.Promotion != nil {
		p = *d.Status.Promotion
	}
	switch {
	case !f.sized():
		p.Size, p.SizeSince = nil, nil
	case p.Size == nil || *p.Size != n:
		now := f.now()
		p.Size, p.SizeSince = &n, &now
	default:
		return
	}
	d.Status.Promotion = &p
}

func sizesUnsteady(f *facts) bool {
	p, n := f.promotion(), f.in.Workload.Replicas
	over, _ := f.sinceElapsed(p.SizeSince, f.in.SteadyFor)
	rest := f.sized() && p.Size != nil && *p.Size == n && over
	return !rest || unacknowledged(f) || canaryLacksWeight(f)
}

func waitForSteadySizes(f *facts) Decision {
	w, c := f.in.Workload, f.in.Canary
	d := f.reconciling(v1alpha1.ReasonHandingOver, "")
	f.noteSize(&d)
	switch p := d.Status.Promotion; {
	case !f.in.Route.Acknowledged:
		return waitForRoute(f)
	case canaryLacksWeight(f):
		d.Why = fmt.Sprintf("handover: waiting for canary pods, to set its weight from %d %% to 100 %% again: %d of %d reachable", f.observedWeight(), f.in.Route.CanaryEndpoints, w.Replicas)
	case f.sized() && p != nil && p.SizeSince != nil:
		_, left := f.sinceElapsed(p.SizeSince, f.in.SteadyFor)
		d.Why = fmt.Sprintf("handover: stable and canary have had %s each since %s; the Deployment becomes the owner at %s, unless an autoscaler scales it before", count(w.Replicas, "pod"), clock(p.SizeSince.Time), clock(f.in.Now.Add(left)))
		d.Recheck = max(1, left)
	default:
		d.Why = fmt.Sprintf("handover: waiting for available pods, %d each: stable has %d, canary %d%s", w.Replicas, w.Stable.Available, c.Available, f.canaryProblem())
	}
	return d
}

func holdHandover(f *facts) Decision {
	d := f.reconciling(v1alpha1.ReasonHolding, "handover: not every trigger passes: "+f.undecidedBecause())
	d.Key = f.in.Verdict.Trigger + "/" + f.in.Verdict.Reason
	return d
}

// splitBesideNarrowed holds when the user's Service is narrowed to the
// candidate: it reaches the same pods as the canary Service, so the routes can
// go to it before the owner changes.
func splitBesideNarrowed(f *facts) bool {
	return routesReleasable(f) && narrowed(f) && f.in.Route.Narrowed == f.in.Canary.Hash
}

func handOver(f *facts) Decision {
	n := f.in.Workload.Replicas
	d := f.doing(v1alpha1.ReasonHandingOver, fmt.Sprintf("handover: the Deployment becomes the owner of ReplicaSet %s, with %s", f.in.Canary.Name, count(n, "pod")), HandOver{Replicas: n})
	f.noteHanded(&d)
	d.Recheck = time.Second
	return d
}

// noteHanded keeps when the Deployment may have become the owner. A write that the
// API server refuses is decided again at every look: that is no news, and the time
// stays while the Deployment controller would still have half of recognisedWithin
// to find the set.
func (f *facts) noteHanded(d *Decision) {
	p := f.promotion()
	if old, _ := f.sinceElapsed(p.HandedAt, recognisedWithin/2); p.HandedAt != nil && !old {
		return
	}
	now := f.now()
	p.HandedAt = &now
	d.Status.Promotion = &p
}
