package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

func TestASupersededRunEndsByWeightsAndTheNextBegins(t *testing.T) {
	newWorld(t).toFull().goes("BakeStarts").happens(declares(newerRevision)).
		goes("Superseded", "RollbackTakesTraffic", "+ack", "RollbackAtZero", "+5s", "RollbackRemovesCanary", "RollbackReleasesRoute", "+ack", "RollbackDone",
			"NewRevision", "RunStarts").
		ends(v1alpha1.PhaseStepping, stableRevision, v1alpha1.OutcomeSuperseded)
}

func TestACancelledRunLeavesStableUnpaused(t *testing.T) {
	newWorld(t).toFull().goes("BakeStarts").happens(declares(stableRevision), paused(true)).
		goes("Cancelled", "RollbackTakesTraffic", "+ack", "RollbackAtZero", "+5s", "RollbackRemovesCanary", "RollbackUnpauses", "RollbackReleasesRoute", "RollbackAwaitsRelease", "+ack", "RollbackDone",
			"Stable").
		ends(v1alpha1.PhaseStable, stableRevision, v1alpha1.OutcomeCancelled)
}

func TestAPromotedVersionGivesWayAtOnce(t *testing.T) {
	w := newWorld(t).toHandover().happens(recognised).goes("HandoverReleases", "+ack").happens(rolled).goes("Promoted")
	// The former version is declared again. The set that was handed over is now the
	// stable one.
	w.happens(func(in *plan.Input) {
		in.Workload.Stable, in.Canary = in.Canary.Set, plan.Canary{}
		in.Workload.Declared, in.Workload.Paused = revision(stableRevision), true
	}).goes("NewRevision", "RevertStarts")
	if p := w.in.Status; p.Phase != v1alpha1.PhasePromoting || !p.Promotion.Fast || p.Epoch < 2 || p.Run == run {
		t.Errorf("the revert is %+v in epoch %d", p.Promotion, p.Epoch)
	}
}

func TestANativePromotionStopsWhenATriggerFires(t *testing.T) {
	w := newWorld(t).happens(nativeMode, declares(candidateRevision)).goes("NewRevision", "RunStarts", "+pass",
		"SplitsRoute", "+ack", "ScalesCanary", "SetsWeight", "+ack", "StepAcknowledged", "+1m", "StepPassed",
		"SetsWeight", "+ack", "StepAcknowledged", "+1m", "StepsPassed",
		"NativeReleases", "NativeAwaitsRoute", "+ack", "NativeHandsOver", "NativeUnpauses", "NativeAwaitsWorkload")
	w.goes("+fail", "NativeTriggerFired", "NativeTriggerFired")
	w.happens(declares(stableRevision), paused(true)).goes("NativeReverted", "NativeAwaitsWorkload").
		happens(func(in *plan.Input) { in.Canary.Set = set(canarySet, candidateRevision, canaryHash, 0) }, active(stable(replicas))).
		goes("NativeDone", "MarksWorkload", "Stable").
		ends(v1alpha1.PhaseStable, stableRevision, v1alpha1.OutcomeRolledBack)
	if w.in.Status.IsRejected(candidateRevision) == nil {
		t.Error("the version that a trigger stopped is not rejected")
	}
}

func TestANativePromotionThatATriggerStoppedIsKeptByABypass(t *testing.T) {
	w := newWorld(t, nativeAlone, handedAt(&longAgo), settledAt(&justNow), handledBypass("")).goes("+fail", "NativeTriggerFired", "NativeTriggerFired").happens(byAnn).goes("Bypassed")
	p := w.in.Status.Promotion
	if p.HandedAt == nil || !p.HandedAt.Equal(&longAgo) || p.Actor != "ann" || *w.in.Status.HandledBypass != "7: outage" {
		t.Errorf("the run goes on with %+v, handled %v: the handed-over set is no canary any more", p, w.in.Status.HandledBypass)
	}
	w.goes("NativeDone").ends(v1alpha1.PhaseStable, candidateRevision, v1alpha1.OutcomeBypassed)
	if h := w.in.Status.History[0]; h.Trigger != "bypass" || h.Message != `ann keeps shop:b although shop/errors fires (5 % errors): "7: outage"` {
		t.Errorf("the history says %s: %s", h.Trigger, h.Message)
	}
	// Nothing has been written since: the next native promotion is none that anybody keeps.
	w.happens(func(in *plan.Input) { in.Canary = plan.Canary{} }, nativeAlone, func(in *plan.Input) { in.Status.HandledBypass = w.in.Status.HandledBypass }).goes("+fail", "NativeTriggerFired")
}

func TestABypassThatIsOnTheDeploymentAlreadyIsNoNewOne(t *testing.T) {
	for name, w := range map[string]*world{
		"adopted": newWorld(t, fresh, byAnn).goes("Adopting"),
		"native":  newWorld(t, stepAt(1), nativeMode, byAnn).goes("StepsPassed"),
	} {
		if h := w.in.Status.HandledBypass; h == nil || *h != "7: outage" {
			t.Errorf("%s: handled is %v", name, h)
		}
	}
}

func TestAWaveIsWithdrawnAndTriedAgain(t *testing.T) {
	stuck := all(canaryReady(2), func(in *plan.Input) { in.Canary.Cause = "2 of 3 ready: no node has room" })
	w := newWorld(t, stepAt(1)).goes("StepsPassed", "ScalesCanary").happens(stuck).goes("AwaitsCanary", "+9m59s", "AwaitsCanary")
	for range 3 {
		w.goes("+1s", "WithdrawsWave")
		if s := w.in.Status.Step.Wave; s.Size != 2 || s.Message != "2 of 3 ready: no node has room" {
			t.Errorf("the wave is noted as %+v", s)
		}
		w.goes("AwaitsCanary", "+9m59s", "AwaitsCanary", "+1s", "ScalesCanary").happens(stuck).goes("AwaitsCanary", "+9m59s", "AwaitsCanary")
	}
	w.happens(canaryReady(3)).goes("ScalesCanary", "SetsWeight")
	if s := w.in.Status.Step; s.Wave != nil {
		t.Errorf("with its share written the canary still waits for %+v", s.Wave)
	}
	// A canary that was lost comes back with all of its pods.
	w.goes("+ack", "BakeStarts").happens(canaryReady(0)).goes("CanaryLost", "+ack", "AwaitsCanary", "+9m").happens(canaryReady(1)).goes("AwaitsCanary")
}

func TestABakeRemembersTheLargestSizeItBeganWith(t *testing.T) {
	for before, want := range map[int32]int32{0: replicas, 2: replicas, 10: 10} {
		in := given(promoting)
		if before > 0 {
			in.Status.Promotion.FullReplicas = &before
		}
		if got := plan.Decide(in).Status.Promotion.FullReplicas; got == nil || *got != want {
			t.Errorf("after a bake that began with %d: %v, want %d", before, got, want)
		}
	}
}

func TestWhatIsNotedOfAWave(t *testing.T) {
	filling := all(promoting, split(50), canaryPods(2))
	bakes := all(baking, scaled(2), active(stable(2)))
	since := ago(5 * time.Minute)
	for name, c := range map[string]struct {
		in   plan.Input
		want *v1alpha1.WaveStatus
	}{
		"a new one":            {given(filling), &v1alpha1.WaveStatus{Size: 3, AskedAt: metav1.NewTime(now)}},
		"one that was refused": {given(filling, wave(3, 5*time.Minute)), &v1alpha1.WaveStatus{Size: 3, AskedAt: since}},
		"one that is withdrawn, while the present share needs more": {given(filling, scaled(8), active(stable(8)), wave(2, 5*time.Minute), withdrawn(time.Minute)),
			&v1alpha1.WaveStatus{Size: 2, AskedAt: since, WithdrawnAt: ptr(ago(time.Minute)), Message: "2 of 3 ready: no node has room"}},
		"none, when the canary shrinks with the Deployment": {given(bakes), nil},
	} {
		d := plan.Decide(c.in)
		if diff := cmp.Diff(c.want, d.Status.Step.Wave); diff != "" || d.Rule != "ScalesCanary" {
			t.Errorf("%s, by rule %s (-want +got):\n%s", name, d.Rule, diff)
		}
	}
	waiting := given(filling, wave(3, 10*time.Minute-time.Second), func(in *plan.Input) { in.Canary.Desired = 3 })
	if d := plan.Decide(waiting); d.Recheck != time.Second {
		t.Errorf("rule %s looks again after %s, a second before the wave is stuck", d.Rule, d.Recheck)
	}
}

func TestABypassInAStepKeepsTheCanaryUntilOthersServe(t *testing.T) {
	w := newWorld(t, stepAt(1)).happens(paused(false)).goes("Bypassed", "NativeReleases", "NativeAwaitsWorkload").
		happens(active(own(replicas))).goes("NativeAwaitsRelease", "+ack", "NativeSettled", "NativeDrains", "+5s", "NativeRemovesCanary", "NativeDone")
	w.ends(v1alpha1.PhaseStable, candidateRevision, v1alpha1.OutcomeBypassed)
}

func TestABypassOfAnotherVersionInABakeEndsTheRun(t *testing.T) {
	w := newWorld(t, baking).happens(declares(newerRevision), paused(false)).goes("Bypassed", "NativeReleases")
	// The canary belongs to the run that has ended.
	w.happens(func(in *plan.Input) { in.Canary = plan.Canary{Leftover: canarySet} }, active(newer(replicas))).
		goes("MarksWorkload", "NativeAwaitsRelease", "+ack", "NativeSettled", "+5s", "NativeRemovesLeftover").
		happens(func(in *plan.Input) { in.Canary.Leftover = "" }).goes("NativeDone").
		ends(v1alpha1.PhaseStable, newerRevision, v1alpha1.OutcomeSuperseded, v1alpha1.OutcomeBypassed)
}

func TestAFixGoesOutWhenNothingServes(t *testing.T) {
	newWorld(t, stableReady(0), unavailableFor(0)).happens(declares(candidateRevision)).
		goes("NewRevision", "StableNotReady", "+1m", "Unserved", "MarksWorkload", "NativeUnpauses", "NativeAwaitsWorkload").
		happens(active(own(replicas))).goes("NativeDone").
		ends(v1alpha1.PhaseStable, candidateRevision, v1alpha1.OutcomePromoted)
}

func TestAFixOfAVersionThatNeverServed(t *testing.T) {
	w := newWorld(t, bypassing).happens(active(stable(1), unready(own(3))), declares(newerRevision))
	w.goes("NativeKeepsOneVersion").happens(active(stable(replicas))).goes("NativeDone", "MarksWorkload", "NewRevision", "RunStarts").
		ends(v1alpha1.PhaseStepping, stableRevision, v1alpha1.OutcomeCancelled)
	w = newWorld(t, bypassing).happens(active(unready(stable(1)), unready(own(3))), declares(newerRevision))
	w.goes("NativeKeepsOneVersion", "NativeDone").ends(v1alpha1.PhaseStable, candidateRevision, v1alpha1.OutcomeBypassed)
}

func TestAHeldDeploymentComesBackFromZeroWithTheWrongVersion(t *testing.T) {
	w := newWorld(t, rolledBack).happens(active(newer(replicas)))
	w.goes("RaisesStable", "WrongVersionServes", "RolledBack")
	if sets := w.in.Workload.Active; len(sets) != 1 || sets[0].Revision != stableRevision {
		t.Errorf("what is left is %+v", sets)
	}
}

func TestADeletionInABakeGoesByWeights(t *testing.T) {
	w := newWorld(t, baking).happens(deleted(0)).
		goes("DeletingTakesTrafficBack", "Deleting", "+ack", "DeletingAtZero", "DeletingDrains", "+5s", "DeletingRemovesCanary", "DeletingReleasesRoute", "Deleting", "+ack", "Released")
	w.ends(v1alpha1.PhaseBaking, stableRevision, v1alpha1.OutcomeCancelled)
}

func TestADeletionWhileTheDeploymentTakesOver(t *testing.T) {
	newWorld(t, handed).happens(deleted(0)).goes("DeletingReleasesHanded", "Deleting", "+ack", "Released").
		ends(v1alpha1.PhaseHandingOver, stableRevision, v1alpha1.OutcomeCancelled)
}

func TestAScaleToZeroAndBackGoesOn(t *testing.T) {
	newWorld(t, stepAt(0)).happens(atZero).goes("EmptiesCanary", "ScaledToZero").
		happens(scaled(replicas), active(stable(replicas))).
		goes("CanaryLost", "AwaitsSplit", "+ack", "ScalesCanary", "SetsWeight", "+ack", "StepAcknowledged", "+1m", "StepPassed")
}
