package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// TestALackOfRequestsIsExcused where no user's can come, and nothing else is: not what the
// requests that came say, not a source that does not answer, not a verdict of the step before,
// and no trigger that needs no requests.
func TestALackOfRequestsIsExcused(t *testing.T) {
	lacks := func(reason string, changes ...func(*plan.Armed)) plan.Armed {
		a := trigger("errors", v1alpha1.VerdictInconclusive, 0)
		a.OfRequests, a.Verdict.Reason = true, reason
		for _, to := range changes {
			to(&a)
		}
		return a
	}
	for name, c := range map[string]struct {
		of      plan.Armed
		excused bool
		outcome v1alpha1.VerdictOutcome
	}{
		"none":                      {lacks("NoTraffic"), true, v1alpha1.VerdictPass},
		"too few":                   {lacks("BelowMinSamples"), true, v1alpha1.VerdictPass},
		"an invariant not checked":  {lacks("InvariantNotExercised"), true, v1alpha1.VerdictPass},
		"one that only observes":    {lacks("NoTraffic", func(a *plan.Armed) { a.Observes = true }), true, v1alpha1.VerdictPass},
		"suspicious ones":           {lacks("NotExcludedYet"), false, v1alpha1.VerdictInconclusive},
		"a label that is not known": {lacks("UnknownLabel"), false, v1alpha1.VerdictInconclusive},
		"in a step with users":      {lacks("NoTraffic", func(a *plan.Armed) { a.OfRequests = false }), false, v1alpha1.VerdictInconclusive},
		"too few, and more are bad than the slo allows":  {lacks("BelowMinSamples", counted(180, 6)), false, v1alpha1.VerdictInconclusive},
		"bad ones from before the step was acknowledged": {lacks("NoTraffic", counted(50, 50)), false, v1alpha1.VerdictInconclusive},
		"too few, and as many are bad as the slo allows": {lacks("BelowMinSamples", counted(190, 5), func(a *plan.Armed) { a.Budget = 0.05 }), true, v1alpha1.VerdictPass},
		"too few, and single ones are bad":               {lacks("BelowMinSamples", counted(20, 2)), true, v1alpha1.VerdictPass},
		"before the step": {lacks("NoTraffic", func(a *plan.Armed) {
			a.Verdict = trigger("errors", v1alpha1.VerdictInconclusive, 5*time.Second).Verdict
			a.Verdict.Reason = "NoTraffic"
		}), false, v1alpha1.VerdictInconclusive},
		"never judged": {lacks("", func(a *plan.Armed) { a.Verdict = nil }), false, v1alpha1.VerdictInconclusive},
		"bad ones":     {lacks("Regression", func(a *plan.Armed) { a.Verdict.Outcome = v1alpha1.VerdictFail }), false, v1alpha1.VerdictFail},
		"no response":  {lacks("Timeout", func(a *plan.Armed) { a.Verdict.Outcome = v1alpha1.VerdictError }), false, v1alpha1.VerdictError},
	} {
		sum := plan.Sum([]plan.Armed{c.of}, now, now)
		if excused := slices.Equal(sum.Excused, []string{"g/errors"}); excused != c.excused || sum.Outcome != c.outcome {
			t.Errorf("%s: excused %v, outcome %s, want %t and %s", name, sum.Excused, sum.Outcome, c.excused, c.outcome)
		}
		if len(sum.References) != 1 {
			t.Errorf("%s: the record names %d verdicts", name, len(sum.References))
		}
	}
	sum := plan.Sum([]plan.Armed{lacks("NoTraffic"), trigger("smoke", v1alpha1.VerdictInconclusive, 0)}, now, now)
	if sum.Outcome != v1alpha1.VerdictInconclusive || sum.Trigger != "g/smoke" || sum.Total != 1 {
		t.Errorf("a check without a result is excused, too: %+v", sum)
	}
}

// counted are the candidate's requests in the run so far.
func counted(total, bad int64) func(*plan.Armed) {
	return func(a *plan.Armed) { a.Budget, a.Verdict.Canary = 0.001, &v1alpha1.ArmCounts{Total: total, Bad: bad} }
}

// TestAStepSaysWhatIsExcused: a step passes without the triggers that lack requests, and its
// message names them.
func TestAStepSaysWhatIsExcused(t *testing.T) {
	unseen := func(in *plan.Input) {
		in.Spec.Steps = slices.Clone(in.Spec.Steps)
		in.Spec.Steps[0].Weight = 0
		in.Verdict = plan.Verdict{Outcome: v1alpha1.VerdictPass, Excused: []string{"shop/errors"},
			References: []v1alpha1.VerdictReference{{Trigger: "shop/errors", Outcome: v1alpha1.VerdictInconclusive, Reason: "NoTraffic"}}}
	}
	in := given(stepAt(0), unseen, split(0), previewed(canaryHash))
	d := plan.Decide(in)
	if d.Rule != "StepPassed" || !strings.Contains(d.Why, "no trigger has requests to judge by; need not pass, because no route leads users to the candidate") || !strings.Contains(d.Why, "shop/errors") {
		t.Errorf("%s: %s", d.Rule, d.Why)
	}
	for _, violation := range check(in, d) {
		t.Error(violation)
	}
	if noted := d.Status.WouldHold; len(noted) > 0 {
		t.Errorf("it would have been held by %+v", noted)
	}
}

// TestALackIsNotExcusedBeforeAPromotionWithoutAWayBack: after the last step the Deployment's own
// strategy would bring a version to everybody that no request was judged by.
func TestALackIsNotExcusedBeforeAPromotionWithoutAWayBack(t *testing.T) {
	changed := func(in *plan.Input) { in.Canary.Changed = "a label" }
	for name, c := range map[string]struct {
		last    bool
		by      change
		excused bool
	}{
		"a handover is judged at 100 %": {true, func(*plan.Input) {}, true}, "Native, and a step comes first": {false, nativeMode, true},
		"Native": {true, nativeMode, false}, "Native, because of a webhook": {true, changed, false},
	} {
		in := given(stepAt(0), split(0), previewed(canaryHash), c.by)
		in.Spec.Steps = []v1alpha1.Step{{}, {Weight: 100}}
		if c.last {
			in.Spec.Steps = in.Spec.Steps[:1]
		}
		if got := in.ExcusesLack(); got != c.excused {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestTheStagesWithoutCopiesSayWhatIsExcused: once nothing is copied to the comparer, its triggers
// have nothing to judge by, and hold neither a step nor the bake.
func TestTheStagesWithoutCopiesSayWhatIsExcused(t *testing.T) {
	uncompared := func(in *plan.Input) {
		in.Spec.Traffic.Comparer = &v1alpha1.Comparer{Service: "audit", Port: 8080}
		in.Verdict = plan.Verdict{Outcome: v1alpha1.VerdictPass, Excused: []string{"shop/answers"},
			References: []v1alpha1.VerdictReference{{Trigger: "shop/answers", Outcome: v1alpha1.VerdictInconclusive, Reason: "NoTraffic"}}}
	}
	for rule, in := range map[string]plan.Input{"StepPassed": given(stepAt(0), uncompared), "BakePassed": given(baking, uncompared)} {
		d := plan.Decide(in)
		if d.Rule != rule || !strings.Contains(d.Why, "need not pass, because nothing is copied to the comparer now and they lack requests: shop/answers") {
			t.Errorf("%s: %s", d.Rule, d.Why)
		}
		for _, violation := range check(in, d) {
			t.Error(violation)
		}
	}
}

// TestTheStatusNamesThePreview while it leads to the candidate, and no longer.
func TestTheStatusNamesThePreview(t *testing.T) {
	for name, c := range map[string]struct {
		in   plan.Input
		want bool
	}{
		"in a step": {given(stepAt(0), previewed(canaryHash)), true}, "before it is pointed": {given(stepAt(0), previewed("")), false},
		"in a rollback": {given(rollingBack(nil), previewed(canaryHash)), true}, "without a run": {given(previewed("")), false}, "without a preview": {given(stepAt(0)), false},
	} {
		got := plan.Transition(c.in).Status.Preview
		if want := (v1alpha1.PreviewStatus{Service: "shop-preview", Revision: candidateRevision}); (got != nil) != c.want || got != nil && *got != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
