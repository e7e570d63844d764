package plan_test

import (
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// TestOnlyWhatGivesMoreWaitsForItsRecord: what takes requests or pods away from a
// candidate is carried out although the run's record cannot be written.
func TestOnlyWhatGivesMoreWaitsForItsRecord(t *testing.T) {
	failing := verdict(v1alpha1.VerdictFail)
	gone := all(rollingBack(&recently), noSplit, noCanary)
	for name, c := range map[string]struct {
		in     plan.Input
		rule   string
		goesOn bool
	}{
		"a wait in a step":              {given(stepAt(0), acknowledgedAt(&justNow)), "StepHolds", false},
		"more weight":                   {given(stepAt(0), split(0), acknowledgedAt(nil)), "SetsWeight", false},
		"less weight":                   {given(stepAt(0), split(50)), "LowersWeight", true},
		"testers":                       {given(stepAt(0), stepsAsk("x-canary"), acknowledgedAt(nil)), "SetsWeight", false},
		"a preview":                     {given(stepAt(0), previewed(""), acknowledgedAt(nil)), "PointsPreview", false},
		"copies":                        {given(stepAt(0), split(0), stepsMirror(10), acknowledgedAt(nil)), "SetsWeight", false},
		"copies of nobody":              {given(stepAt(0), mirrors(10)), "LowersWeight", true},
		"testers of nobody":             {given(stepAt(0), testersReach("x-other")), "LowersWeight", true},
		"the next step":                 {given(stepAt(0)), "StepPassed", false},
		"the promotion":                 {given(stepAt(1)), "StepsPassed", false},
		"a rollback":                    {given(stepAt(0), failing), "TriggerFired", true},
		"its weight":                    {given(rollingBack(nil), split(50)), "RollbackTakesTraffic", true},
		"the change of the owner":       {given(handingOver), "HandsOver", false},
		"what follows it":               {given(handed), "HandoverReleases", true},
		"a deletion's weight":           {given(stepAt(0), deleted(time.Second)), "DeletingTakesTrafficBack", true},
		"the end of a deletion":         {given(gone, deleted(time.Second)), "Released", false},
		"the end of one that is late":   {given(gone, deleted(time.Hour)), "Released", true},
		"the start of a run":            {given(gating), "RunStarts", false},
		"a rejected version that rests": {given(rolledBack), "RolledBack", true},
	} {
		if got := plan.Transition(c.in); got.Rule != c.rule || got.GoesOn != c.goesOn {
			t.Errorf("%s: %s goes on without its record: %v, want %s: %v", name, got.Rule, got.GoesOn, c.rule, c.goesOn)
		}
	}
}

// TestARunBeginsAfterEveryWriteBefore: its epoch is above all that the status and the
// routes know, also when the status is older than the routes, as after a restore: the
// API server refuses a write of an earlier epoch.
func TestARunBeginsAfterEveryWriteBefore(t *testing.T) {
	epochs := func(status, route int64) change {
		return func(in *plan.Input) { in.Status.Epoch, in.Route.Epoch = status, route }
	}
	for name, c := range map[string]struct {
		in   plan.Input
		want int64
	}{
		"the first":        {given(gating), 1},
		"the next":         {given(gating, epochs(4, 0)), 5},
		"of an old status": {given(gating, epochs(4, 9)), 10},
		"a bypass":         {given(bypassing, epochs(4, 9), func(in *plan.Input) { in.Status.Phase = v1alpha1.PhaseStable }), 10},
	} {
		if got := plan.Decide(c.in); got.Status.Epoch != c.want || got.Status.Run == c.in.Status.Run {
			t.Errorf("%s: %s begins run %q in epoch %d, want %d", name, got.Rule, got.Status.Run, got.Status.Epoch, c.want)
		}
	}
}
