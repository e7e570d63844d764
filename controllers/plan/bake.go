package plan

import (
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// bakeTable applies in Promoting and Baking; its last row always matches. It comes
// after the rows of trialTable, which set the weight to 100, and set it again when
// somebody changes it.
var bakeTable = table{
	name:    "Promotion and bake",
	about:   "Promoting and Baking, with 100 % acknowledged and stable still at full size.",
	applies: atFullWeight,
	rules: []rule{
		{"BakeStarts", fullWeightReached, startBake},
		{"BakeRuns", bakeRunning, waitForBake},
		{"BakeUndecided", undecided, holdBake},
		{"BakePassed", always, startHandover},
	},
}

func fullWeightReached(f *facts) bool {
	return f.inPhase(v1alpha1.PhasePromoting) || f.promotion().FullAt == nil
}

// endOfBake is what a bake waits for.
const endOfBake = "end of the bake"

func startBake(f *facts) Decision {
	bake := f.in.Spec.Promotion.Bake.Duration
	what := f.onTrialName() + " has weight 100 %"
	if f.replicaWeighted() {
		what = fmt.Sprintf("%d of %d ready pods run %s", f.in.Route.CanaryShare, f.in.Route.ServiceEndpoints, f.onTrialName())
	}
	back := imageOf(f.in.Status.Stable) + " at full size to go back to"
	if f.ordered() {
		back = "one pod of " + imageOf(f.in.Status.Stable) + ", which keeps the way back open"
	}
	d := f.reconciling(v1alpha1.ReasonBaking, fmt.Sprintf("%s; baking until %s, with %s", what, clock(f.now().Add(bake)), back))
	now, p := f.now(), f.promotion()
	p.FullAt = &now
	n := f.in.Workload.Replicas
	if p.FullReplicas == nil || *p.FullReplicas < n {
		p.FullReplicas = &n
	}
	d.Status.Phase, d.Status.Promotion = v1alpha1.PhaseBaking, &p
	f.noteSize(&d)
	d.Recheck = max(1, bake)
	f.sayNext(&d, endOfBake, now.Add(bake))
	return d
}

// bakeElapsed does not count the time in which the bake stood still.
func (f *facts) bakeElapsed() (over bool, left time.Duration) {
	return f.sinceElapsed(f.promotion().FullAt, f.in.Spec.Promotion.Bake.Duration+f.stood())
}

func bakeRunning(f *facts) bool {
	over, _ := f.bakeElapsed()
	return !over
}

func waitForBake(f *facts) Decision {
	_, left := f.bakeElapsed()
	d := f.reconciling(v1alpha1.ReasonBaking, fmt.Sprintf("baking %s until %s; %s", f.onTrialName(), clock(f.in.Now.Add(left)), f.verdictSummary()))
	f.noteSize(&d)
	d.Recheck = left
	f.sayNextAgain(&d, endOfBake, f.in.Now.Add(left))
	return d
}

func holdBake(f *facts) Decision {
	d := f.reconciling(v1alpha1.ReasonHolding, "the bake is over, and not every trigger passes: "+f.undecidedBecause())
	d.Key = f.in.Verdict.Trigger + "/" + f.in.Verdict.Reason
	if baking(f) {
		f.noteSize(&d)
	}
	return d
}

func startHandover(f *facts) Decision {
	f = f.passed()
	next := "the Deployment becomes the owner of the canary's ReplicaSet"
	if f.ordered() {
		next = "the last pod gets " + f.onTrialName()
	}
	d := f.reconciling(v1alpha1.ReasonHandingOver, fmt.Sprintf("bake passed: %s; %s", f.verdictSummary(), next))
	p := f.promotion()
	now := f.now()
	p.Mode, p.HandingSince = v1alpha1.TakeOverHandOver, &now
	d.Status.Phase, d.Status.Promotion = v1alpha1.PhaseHandingOver, &p
	f.noteSize(&d)
	d.Recheck = 1
	f.handOverAtOnce(&d)
	return d
}

// handOverAtOnce lets the end of the bake hand over where the tables would with the
// next look: everything has stood still for long enough. Both writes test that what
// this rests on has not changed.
func (f *facts) handOverAtOnce(d *Decision) {
	next := f.after(*d)
	handed, ok := handoverBeforeOwnerTable.comesTo("HandsOver", next)
	if !ok {
		handed, ok = orderedHandoverTable.comesTo("ReleasesLastPod", next)
	}
	if ok {
		d.Status, d.Effects, d.Recheck = handed.Status, handed.Effects, handed.Recheck
	}
}
