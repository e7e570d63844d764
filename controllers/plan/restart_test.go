package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/invariants"
	"belay.dev/belay/controllers/plan"
)

// restartOf makes what is declared a restart of a version: the same, but for listed annotations.
func restartOf(revision string) change {
	return func(in *plan.Input) {
		in.Workload.Declared.BaseRevision, in.Workload.Stable.BaseRevision = "f"+revision[1:], "f"+stableRevision[1:]
		for i := range in.Status.Rejected {
			in.Status.Rejected[i].BaseRevision = "f" + in.Status.Rejected[i].Revision[1:]
		}
	}
}

// restarting is a run that began as a restart.
func restarting(in *plan.Input) {
	restartOf(stableRevision)(in)
	if p := in.Status.Promotion; p != nil {
		p.Restart = true
	}
}

func restartCases() []ruleCase {
	const progressing, stepping, full = v1alpha1.ReasonProgressing, v1alpha1.PhaseStepping, v1alpha1.PhasePromoting
	restart, of := restartOf(stableRevision), restartOf("eeeeeeeeee")
	frozen := gate(plan.Gate{Name: "freeze", Outcome: plan.Closed, Reason: "Frozen", Message: "frozen until 12:05", Until: now.Add(5 * time.Minute)})
	starting := []plan.Effect{plan.MarkWorkload{Marks: plan.Marks{Rollout: "shop", Run: v1alpha1.RunLabel(plan.RunName("shop", candidateRevision, 2))}}, plan.PointServices{}}
	starts := func(name string, in plan.Input, says ...string) ruleCase {
		return works("RestartStarts", name, in, plan.CreateRun{}, full, progressing, says...)
	}
	back, fail := v1alpha1.PhaseRolledBack, verdict(v1alpha1.VerdictFail)
	return []ruleCase{
		works("NewRevision", "a restart", given(declares(candidateRevision), restart), nil, v1alpha1.PhaseGating, progressing, "restart of shop:b: held until a run has baked it"),
		starts("of the stable version", given(gating, restart), "run 2 starts: restart of shop:b (revision "+candidateRevision+" against "+stableRevision+": only annotations that spec.restartAnnotations lists differ); it goes to full size and 100 % without steps, and bakes for 5m0s").then(starting...),
		starts("although its steps need approvals", given(gating, restart, approval(0), approval(1))).then(starting...),
		starts("by pods", given(gating, restart, byPods), "it goes to as many pods as stable has without steps").then(plan.ScaleCanary{Replicas: 1}),
		starts("with the pre-flight passed", given(gating, restart, preflight(v1alpha1.VerdictPass))).then(starting...),
		works("PreflightHolds", "a restart, too", given(gating, restart, preflight(v1alpha1.VerdictFail)), nil, v1alpha1.PhaseGating, v1alpha1.ReasonPreflight),
		works("PreflightHolds", "a restart, by a later gate", given(gating, restart, frozen), nil, v1alpha1.PhaseGating, "Frozen"),
		stalls("Blocked", "a restart that nothing guards", given(gating, restart, unproven), nil, v1alpha1.PhaseGating, v1alpha1.ReasonGuardMissing),
		works("Paused", "a restart", given(gating, restart, specPaused), nil, v1alpha1.PhaseGating, v1alpha1.ReasonPaused),
		works("RunSettles", "a restart just came", given(gating, restart, settle(30*time.Second), pushed(candidateRevision, time.Second, time.Second)), nil, v1alpha1.PhaseGating, progressing),
		works("RunStarts", "a restart where promotion is native", given(gating, restart, nativeMode), plan.CreateRun{}, stepping, progressing).then(starting...),
		works("RunStarts", "a restart of neither", given(gating, of), plan.CreateRun{}, stepping, progressing).then(starting...),
		works("RevertStarts", "undoing a restart", given(gating, restart, previously(candidateRevision)), plan.CreateRun{}, full, progressing).then(starting...),
		works("ScalesCanary", "a restart", given(promoting, restarting, split(0), noCanary), plan.ScaleCanary{Replicas: 1}, full, v1alpha1.ReasonPromoting, "restart: weight 100 % of 4 replicas needs canary pods: 4"),
		works("TriggerFired", "in the bake of a restart", given(baking, restarting, fail), nil, v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack),
		works("BakeRuns", "of a restart", given(baking, restarting, fullAt(&justNow)), nil, v1alpha1.PhaseBaking, v1alpha1.ReasonBaking),
		works("FormerRun", "a restart that an older version began", given(baking, restarting, newerBelay), nil, v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack),
		works("FormerRun", "a restart that has no canary yet", given(promoting, restarting, noCanary, newerBelay), nil, v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack),
		works("SupersedeSettles", "a restart of the candidate", given(stepAt(0), settle(30*time.Second), declares(newerRevision), restartOf(candidateRevision)), nil, stepping, v1alpha1.ReasonSettling),
		works("Superseded", "by a restart of the candidate", given(stepAt(0), declares(newerRevision), restartOf(candidateRevision)), nil, v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack),

		stalls("Rejected", "a restart of it", given(declares(newerRevision), rejected(candidateRevision), restartOf(candidateRevision)), nil, back, v1alpha1.ReasonRolledBack,
			"shop:c is a restart of revision "+candidateRevision+", which was rejected at", "only annotations that spec.restartAnnotations lists differ, so it does not start", "5 % errors"),
		stalls("Rejected", "a restart of it, which had no such annotation", given(declares(newerRevision), rejected(candidateRevision), base(candidateRevision)), nil, back, v1alpha1.ReasonRolledBack, "is a restart of revision "+candidateRevision),
		stalls("Rejected", "the rejected restart of stable itself", given(declares(candidateRevision), rejected(candidateRevision), bothRestartStable), nil, back, v1alpha1.ReasonRolledBack),
		works("NewRevision", "another restart of stable than the rejected one", given(declares(newerRevision), rejected(candidateRevision), bothRestartStable), nil, v1alpha1.PhaseGating, progressing, "new version shop:c: held until a run has promoted it"),
		works("RunStarts", "another restart of stable than the rejected one", given(gating, rejected(newerRevision), bothRestartStable), plan.CreateRun{}, stepping, progressing).then(starting...),
		starts("after one that was rejected before stable was promoted", given(gating, rejected(newerRevision), bothRestartStable, promotedLately)).then(starting...),
		stalls("Rejected", "a restart of it that waits for its run, since its annotation was listed", given(gating, rejected("eeeeeeeeee"), restartOf("eeeeeeeeee")), nil, back, v1alpha1.ReasonRolledBack),
		stalls("Superseded", "a restart in place of what waits", given(gating, declares(newerRevision), rejected("eeeeeeeeee"), restartOf("eeeeeeeeee")), nil, back, v1alpha1.ReasonRolledBack),
		works("NewRevision", "a restart of it that was stable before", given(declares(newerRevision), rejected(candidateRevision), restartOf(candidateRevision), previously(newerRevision)), nil, v1alpha1.PhaseGating, progressing),
		works("NewRevision", "nothing is listed", given(declares(newerRevision), rejected(candidateRevision)), nil, v1alpha1.PhaseGating, progressing),
	}
}

func base(revision string) change {
	return func(in *plan.Input) { in.Workload.Declared.BaseRevision = revision }
}

func bothRestartStable(in *plan.Input) {
	restartOf(stableRevision)(in)
	for i := range in.Status.Rejected {
		in.Status.Rejected[i].BaseRevision = in.Workload.Stable.BaseRevision
	}
}

// promotedLately says that the stable version was promoted after all that was rejected.
func promotedLately(in *plan.Input) {
	in.Status.History = append([]v1alpha1.HistoryEntry{{Run: "shop-x-6", Revision: stableRevision, Outcome: v1alpha1.OutcomePromoted, FinishedAt: justNow}}, in.Status.History...)
}

// TestARestartAfterARejectedOneSaysWhyItTakesTheSteps: it has the same image as stable.
func TestARestartAfterARejectedOneSaysWhyItTakesTheSteps(t *testing.T) {
	in := given(gating, rejected(newerRevision), bothRestartStable)
	in.Status.Candidate.Image = in.Status.Stable.Image
	d := plan.Decide(in)
	if want := "; it takes the steps, because restart " + newerRevision + " was rejected at " + longAgo.UTC().Format("15:04:05Z"); d.Rule != "RunStarts" || !strings.Contains(d.Why, want) {
		t.Errorf("%s: %s", d.Rule, d.Why)
	}
}

// TestRetryOfARestartForgetsNoOther: the restart that took the steps takes them again.
func TestRetryOfARestartForgetsNoOther(t *testing.T) {
	in := given(rolledBack, rejected(newerRevision), bothRestartStable, action(v1alpha1.ActionRetry, candidateRevision))
	d := plan.Decide(in)
	if d.Rule != "RetryRequested" || d.Status.IsRejected(candidateRevision) != nil || d.Status.IsRejected(newerRevision) == nil {
		t.Errorf("%s leaves %+v", d.Rule, d.Status.Rejected)
	}
}

// TestNoNumberOfRestartsOutlivesARejection: each restart of a rejected version is rejected by
// its own entry, which takes the last one's place, and never that of the version itself.
func TestNoNumberOfRestartsOutlivesARejection(t *testing.T) {
	in := given(rejected(candidateRevision, "eeeeeeeeee"))
	in.Status.Rejected[1].Run = "shop-e-1"
	for i := range 30 {
		revision := fmt.Sprintf("%010x", i)
		all(declares(revision), base(candidateRevision))(&in)
		d := plan.Decide(in)
		if d.Rule != "Rejected" || d.Status.IsRejected(revision) == nil {
			t.Fatalf("restart %d: %s: %s", i, d.Rule, d.Why)
		}
		if len(d.Status.Rejected) != 3 || d.Status.IsRejected(candidateRevision) == nil || d.Status.IsRejected("eeeeeeeeee") == nil {
			t.Fatalf("restart %d leaves rejected: %+v", i, d.Status.Rejected)
		}
		if m := d.Status.IsRejected(revision).Message; !strings.HasPrefix(m, "it is a restart of revision "+candidateRevision) {
			t.Fatalf("restart %d is rejected for: %s", i, m)
		}
		in.Status = d.Status
	}
}

// TestARestartForgetsNoOtherRejection: what was aborted before its run has none, so that its
// entries have the same name of a run, which is empty.
func TestARestartForgetsNoOtherRejection(t *testing.T) {
	in := given(rejected("eeeeeeeeee", "dddddddddd", newerRevision))
	for i := range in.Status.Rejected {
		in.Status.Rejected[i].Run = ""
	}
	all(declares("ffffffffff"), base(newerRevision))(&in)
	d := plan.Decide(in)
	if d.Rule != "Rejected" || len(d.Status.Rejected) != 4 {
		t.Errorf("%s leaves rejected: %+v", d.Rule, d.Status.Rejected)
	}
}

// TestRetryForgetsARejectionWithItsRestarts: else the next of them would be held again.
func TestRetryForgetsARejectionWithItsRestarts(t *testing.T) {
	in := given(rolledBack, rejected(newerRevision, "eeeeeeeeee"), bothOf(newerRevision), action(v1alpha1.ActionRetry, candidateRevision))
	d := plan.Decide(in)
	if d.Rule != "RetryRequested" || len(d.Status.Rejected) != 1 || d.Status.Rejected[0].Revision != "eeeeeeeeee" {
		t.Errorf("%s leaves %+v", d.Rule, d.Status.Rejected)
	}
}

// bothOf makes the declared version a restart of a rejected one.
func bothOf(revision string) change {
	return func(in *plan.Input) {
		restartOf(revision)(in)
		for i := range in.Status.Rejected {
			if r := &in.Status.Rejected[i]; r.Revision == in.Workload.Declared.Revision {
				r.BaseRevision = in.Workload.Declared.BaseRevision
			}
		}
	}
}

// TestARestartRunsToItsEnd: the ways back stay those before the version that was restarted.
func TestARestartRunsToItsEnd(t *testing.T) {
	w := newWorld(t).happens(declares(candidateRevision), restartOf(stableRevision), previously(newerRevision)).
		goes("NewRevision", "RestartStarts", "+pass", "SplitsRoute", "AwaitsSplit", "+ack", "ScalesCanary", "ScalesCanary", "ScalesCanary", "ScalesCanary", "SetsWeight", "AwaitsRoute", "+ack", "BakeStarts", "BakeRuns", "+5m", "BakePassed", "HandoverAwaitsRecognition")
	if p := w.in.Status.Promotion; !p.Restart || p.Fast {
		t.Errorf("the restart is %+v", p)
	}
	w.happens(recognised).goes("HandoverReleases", "HandoverAwaitsRoute", "+ack", "HandoverAwaitsWorkload").happens(rolled)
	w.goes("Promoted", "Stable").ends(v1alpha1.PhaseStable, candidateRevision, v1alpha1.OutcomePromoted)
	if p := w.in.Status.Previous; len(p) != 1 || p[0].Revision != newerRevision {
		t.Errorf("the versions before are %+v", p)
	}
}

// TestARestartThatTookTheStepsIsNoOtherVersion: the ways back stay those before it. One that a
// bypass let out was not judged, so what it takes the place of is a way back.
func TestARestartThatTookTheStepsIsNoOtherVersion(t *testing.T) {
	for name, c := range map[string]struct {
		over change
		want string
	}{
		"by steps": {handedAlone, newerRevision},
		"natively": {nativeAlone, newerRevision},
		"bypassed": {all(bypassing, active(own(replicas))), stableRevision},
	} {
		in := given(c.over, restartOf(stableRevision), previously(newerRevision))
		d := plan.Decide(in)
		if p := d.Status.Previous; d.Status.Phase != v1alpha1.PhaseStable || len(p) == 0 || p[0].Revision != c.want {
			t.Errorf("%s: %s: the versions before are %+v", name, d.Rule, p)
		}
		for _, violation := range invariants.Of(in, d) {
			t.Errorf("%s: %s: %s", name, violation.Name, violation.Message)
		}
	}
}
