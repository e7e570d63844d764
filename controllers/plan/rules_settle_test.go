package plan_test

import (
	"slices"
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/invariants"
	"belay.dev/belay/controllers/plan"
)

const another = "dddddddddd"

func settleCases() []ruleCase {
	const progressing, settling, back = v1alpha1.ReasonProgressing, v1alpha1.ReasonSettling, v1alpha1.ReasonRollingBack
	const phase, bake, gate, over = v1alpha1.PhaseStepping, v1alpha1.PhaseBaking, v1alpha1.PhaseGating, v1alpha1.PhaseRollingBack
	half := settle(30 * time.Second)
	newly := all(half, declares(newerRevision))
	since := func(d time.Duration) change { return all(newly, pushed(newerRevision, d, 0)) }
	fail := verdict(v1alpha1.VerdictFail)
	starting := []plan.Effect{plan.MarkWorkload{Marks: plan.Marks{Rollout: "shop", Run: v1alpha1.RunLabel(plan.RunName("shop", candidateRevision, 2))}}, plan.PointServices{}}
	return []ruleCase{
		works("SupersedeSettles", "first seen", given(stepAt(0), newly), nil, phase, settling,
			"shop:c has been declared since 12:00:00Z", "step 1 of 2 (smoke), weight 10 %", "supersedes this run at 12:00:30Z, unless another push comes before (spec.settle 30s)", "to go on with shop:b, declare it again"),
		works("SupersedeSettles", "another configuration of the same image", given(stepAt(0), newly, declaresImage("shop:b")), nil, phase, settling,
			"shop:b (revision "+newerRevision+") has been declared", "while shop:b (revision "+candidateRevision+") is in its run", "to go on with shop:b (revision "+candidateRevision+"), declare it again"),
		works("Superseded", "another configuration of the same image", given(stepAt(0), since(30*time.Second), declaresImage("shop:b")), nil, over, back,
			"shop:b (revision "+newerRevision+") was declared while the run of shop:b (revision "+candidateRevision+") was in progress"),
		works("SupersedeSettles", "not for long enough", given(stepAt(0), since(29*time.Second)), nil, phase, settling, "at 12:00:01Z"),
		works("SupersedeSettles", "another push just came", given(stepAt(0), newly, pushed(another, 10*time.Second, 0)), nil, phase, settling, "at 12:00:30Z"),
		works("SupersedeSettles", "pushes without an end, for a while", given(stepAt(0), newly, pushed(newerRevision, time.Second, 280*time.Second)), nil, phase, settling,
			"at 12:00:19Z, because pushes have come within spec.settle (30s) of each other since 11:55:19Z"),
		works("SupersedeSettles", "pushes from before the run count from its start", given(stepAt(0), newly, runStarted(10*time.Second), pushed(newerRevision, time.Second, time.Hour)), nil, phase, settling, "at 12:00:29Z"),
		works("SupersedeSettles", "the step has passed", given(stepAt(0), since(time.Second)), nil, phase, settling),
		works("SupersedeSettles", "the last step has passed", given(stepAt(1), since(time.Second)), nil, phase, settling),
		works("SupersedeSettles", "the bake is over", given(baking, since(time.Second)), nil, bake, settling),
		works("SupersedeSettles", "before weight 100", given(promoting, split(50), since(time.Second)), nil, v1alpha1.PhasePromoting, settling),
		works("SupersedeSettles", "paused too", given(stepAt(0), specPaused, since(time.Second)), nil, phase, settling),
		works("SupersedeSettles", "the route is gone too", given(stepAt(0), routeGone, since(time.Second)), nil, phase, settling),
		works("SupersedeSettles", "undecided for longer than the deadline", given(stepAt(0), since(time.Second), entered(longAgo), rollBackAtDeadline, verdict(v1alpha1.VerdictInconclusive)), nil, phase, settling),
		works("Superseded", "the Deployment has outgrown the canary", given(stepAt(1), since(time.Second), scaled(8), active(stable(8))), nil, over, back),
		works("Superseded", "settled", given(stepAt(0), since(30*time.Second)), nil, over, back, "shop:c was declared while the run of shop:b was in progress"),
		works("Superseded", "settled, in a bake", given(baking, since(30*time.Second)), nil, over, back),
		works("Superseded", "pushes have gone on for ten times as long", given(stepAt(0), newly, pushed(newerRevision, time.Second, 299*time.Second)), nil, over, back),
		works("Superseded", "pushes have gone on for ten times as long, and one just came", given(stepAt(0), newly, pushed(another, time.Second, 299*time.Second)), nil, over, back),
		works("Superseded", "before the owner changes nothing waits", given(handingOver, newly), nil, over, back),
		works("Superseded", "settle is off", given(stepAt(0), declares(newerRevision)), nil, over, back),
		works("Superseded", "before the run nothing waits", given(gating, newly), nil, gate, progressing),
		works("Cancelled", "back to stable, at once", given(stepAt(0), half, declares(stableRevision), pushed(newerRevision, time.Second, 0)), nil, over, back),
		works("TriggerFired", "as a newer one settles", given(stepAt(0), since(time.Second), fail), nil, over, back),
		works("BlindTooLong", "as a newer one settles", given(baking, since(time.Second), blind), nil, over, back),
		works("AbortRequested", "as a newer one settles", given(stepAt(0), since(time.Second), action(v1alpha1.ActionAbort, "")), nil, over, back),
		works("ActionRefused", "promote, as a newer one settles", given(stepAt(0), since(time.Second), action(v1alpha1.ActionPromote, candidateRevision)), nil, phase, progressing, "the Deployment declares shop:c meanwhile"),
		works("RunSettles", "just declared", given(gating, half, pushed(candidateRevision, time.Second, 0)), nil, gate, progressing, "shop:b has been declared since 11:59:59Z: its run starts at 12:00:01Z, unless another push comes before"),
		works("RunSettles", "by a shorter settle", given(gating, settle(time.Second), pushed(candidateRevision, 0, 0)), nil, gate, progressing, "starts at 12:00:01Z"),
		works("RunStarts", "declared for long enough", given(gating, half, pushed(candidateRevision, 2*time.Second, 0)), plan.CreateRun{}, phase, progressing).then(starting...),
		works("RunStarts", "pushes have gone on for ten times as long", given(gating, half, pushed(candidateRevision, time.Second, 19*time.Second)), plan.CreateRun{}, phase, progressing).then(starting...),
		works("RunStarts", "after two that were superseded", given(gating, ended(v1alpha1.OutcomeSuperseded, 2)), plan.CreateRun{}, phase, progressing, "shop:b against shop:a").then(starting...),
		works("RunStarts", "after three that were superseded", given(gating, ended(v1alpha1.OutcomeSuperseded, 3)), plan.CreateRun{}, phase, progressing, "shop:b against shop:a; the last 3 runs were superseded", "push less often").then(starting...),
		works("RevertStarts", "the way back does not wait", given(gating, half, pushed(candidateRevision, time.Second, 0), previously(candidateRevision)), plan.CreateRun{}, v1alpha1.PhasePromoting, progressing).then(starting...),
		works("Unserved", "what nothing serves beside does not wait", given(gating, half, pushed(candidateRevision, time.Second, 0), stableReady(0), unavailableFor(time.Minute)), plan.CreateRun{}, v1alpha1.PhaseHandingOver, v1alpha1.ReasonNothingServes),
	}
}

// ended are finished runs with this outcome.
func ended(o v1alpha1.Outcome, n int) change {
	return func(in *plan.Input) {
		in.Status.History = slices.Repeat([]v1alpha1.HistoryEntry{{Run: "shop-x-7", Outcome: o}}, n)
	}
}

// declaresImage names the declared version's image, which leaves its revision.
func declaresImage(image string) change {
	return func(in *plan.Input) { in.Workload.Declared.Image = image }
}

func runStarted(since time.Duration) change {
	return func(in *plan.Input) { in.Status.RunStartedAt = ptr(ago(since)) }
}

// TestSinceWhenAVersionIsDeclared: what the status notes, and that a decision looks again when
// the wait is over.
func TestSinceWhenAVersionIsDeclared(t *testing.T) {
	half := settle(30 * time.Second)
	for name, c := range map[string]struct {
		in              plan.Input
		of              string
		since, changing time.Duration
	}{
		"the stable version":             {given(half), "", 0, 0},
		"back to the stable version":     {given(stepAt(0), half, declares(stableRevision), pushed(newerRevision, time.Second, 0)), "", 0, 0},
		"first seen, and no run":         {given(half, declares(candidateRevision)), candidateRevision, 0, 0},
		"first seen in a run":            {given(half, stepAt(0), declares(newerRevision), pushed(candidateRevision, time.Hour, 0)), newerRevision, 0, 0},
		"seen before":                    {given(half, stepAt(0), declares(newerRevision), pushed(newerRevision, 9*time.Second, 4*time.Second)), newerRevision, 9 * time.Second, 13 * time.Second},
		"after one by a clock ahead":     {given(half, stepAt(0), declares(newerRevision), pushed(another, -time.Hour, 0)), newerRevision, 0, 0},
		"soon after another":             {given(half, stepAt(0), declares(newerRevision), pushed(another, 30*time.Second, 4*time.Second)), newerRevision, 0, 34 * time.Second},
		"long after another":             {given(half, stepAt(0), declares(newerRevision), pushed(another, 31*time.Second, 4*time.Second)), newerRevision, 0, 0},
		"back to the candidate":          {given(half, stepAt(0), pushed(newerRevision, 9*time.Second, 0)), candidateRevision, 0, 9 * time.Second},
		"in a rollback":                  {given(half, rollingBack(nil), declares(newerRevision)), newerRevision, 0, 0},
		"rejected":                       {given(half, rolledBack, pushed(candidateRevision, time.Hour, 0)), candidateRevision, time.Hour, time.Hour},
		"the Deployment is gone":         {given(half, stepAt(0), pushed(candidateRevision, time.Hour, 0), workloadGone), candidateRevision, time.Hour, time.Hour},
		"of a Rollout with no stable":    {given(half, fresh, unfinalized, declares(newerRevision)), "", 0, 0},
		"it has just become the version": {given(half, handedAlone, pushed(candidateRevision, time.Hour, 0)), "", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := plan.Decide(c.in).Status.Declared
			if (got == nil) != (c.of == "") {
				t.Fatalf("notes %+v, want one of %q", got, c.of)
			}
			if got != nil && (got.Revision != c.of || !got.Since.Time.Equal(now.Add(-c.since)) || !got.ChangingSince.Time.Equal(now.Add(-c.changing))) {
				t.Errorf("notes %+v, want %s since %s, changing since %s", got, c.of, now.Add(-c.since), now.Add(-c.changing))
			}
		})
	}
	short := given(half, stepAt(0), declares(newerRevision), pushed(newerRevision, 27*time.Second, 0), noRun)
	if d := plan.Decide(short); d.Recheck > 3*time.Second {
		t.Errorf("%s looks again after %s, and the wait is over after 3 s", d.Rule, d.Recheck)
	}
}

// TestARunGoesOnWhenItsVersionIsDeclaredAgain: the time in between is no part of its hold.
func TestARunGoesOnWhenItsVersionIsDeclaredAgain(t *testing.T) {
	w := newWorld(t, settle(30*time.Second)).happens(declares(candidateRevision)).goes("NewRevision", "RunSettles", "+2s", "RunStarts", "+pass",
		"SplitsRoute", "+ack", "ScalesCanary", "SetsWeight", "+ack", "StepAcknowledged", "+50s").
		happens(declares(newerRevision)).goes("SupersedeSettles", "+20s", "SupersedeSettles").
		happens(declares(candidateRevision)).goes("StepHolds", "+9s", "StepHolds", "+1s", "StepPassed")
	if ended := w.ended; len(ended) > 0 {
		t.Errorf("runs ended: %v", ended)
	}
}

// TestPushesWithoutAnEndSupersedeOnce: the newest is taken after ten times spec.settle, and
// goes on from Gating.
func TestPushesWithoutAnEndSupersedeOnce(t *testing.T) {
	w := newWorld(t, settle(30*time.Second)).happens(declares(candidateRevision)).goes("NewRevision", "+2s", "RunStarts", "+pass",
		"SplitsRoute", "+ack", "ScalesCanary", "SetsWeight", "+ack", "StepAcknowledged")
	for i, name := range slices.Repeat([]string{newerRevision, another}, 8) {
		w.happens(declares(name))
		if i == 15 {
			break
		}
		w.goes("SupersedeSettles", "+20s")
	}
	w.goes("Superseded", "RollbackTakesTraffic", "+ack", "RollbackAtZero", "+5s", "RollbackRemovesCanary", "RollbackReleasesRoute", "+ack", "RollbackDone", "NewRevision", "RunStarts")
	w.ends(v1alpha1.PhaseStepping, stableRevision, v1alpha1.OutcomeSuperseded)
}

// TestAClockThatWasAhead, as another node's may be before a change of leader: nothing waits
// for a time that it noted.
func TestAClockThatWasAhead(t *testing.T) {
	ahead := settle(30 * time.Second)
	run := given(stepAt(0), ahead, declares(newerRevision), pushed(newerRevision, -time.Hour, 0))
	if d := plan.Decide(run); d.Rule != "Superseded" {
		t.Errorf("in a run: %s: %s", d.Rule, d.Why)
	}
	for _, violation := range invariants.Of(run, plan.Decide(run)) {
		t.Errorf("%s: %s", violation.Name, violation.Message)
	}
	before := given(gating, ahead, pushed(candidateRevision, -time.Hour, 0))
	if d := plan.Decide(before); d.Rule != "RunStarts" {
		t.Errorf("before a run: %s: %s", d.Rule, d.Why)
	}
}

// TestWritersThatUndoEachOther, each second, leave room in the record for what comes of it.
func TestWritersThatUndoEachOther(t *testing.T) {
	in := given(stepAt(0), settle(30*time.Second), pushed(candidateRevision, time.Hour, 0))
	records, events, waits := 0, 0, 0
	for rule, i := "", 0; rule != "Superseded"; i++ {
		if i > 310 {
			t.Fatal("no end after ten times spec.settle")
		}
		declares([]string{newerRevision, candidateRevision}[i%2])(&in)
		r := plan.Transition(in)
		for _, violation := range invariants.Of(in, r.Decision) {
			t.Fatalf("%s: %s: %s", r.Rule, violation.Name, violation.Message)
		}
		if rule = r.Rule; rule == "SupersedeSettles" {
			waits++
		}
		if r.Record != nil {
			records++
		}
		if r.Event != nil {
			events++
		}
		in.Status, in.Now = r.Status, in.Now.Add(time.Second)
	}
	if waits < 100 || records > 10 || events > 10 {
		t.Errorf("%d records and %d events of %d waits", records, events, waits)
	}
}
