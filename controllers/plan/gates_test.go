package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

func TestPreflightGate(t *testing.T) {
	at := metav1.NewTime(now.Add(-time.Minute))
	until := at.Add(v1alpha1.PreflightFreshFor)
	waiting := plan.Gate{Name: plan.GatePreflight, Outcome: plan.Unknown, Reason: "Pending", Message: "waiting for the pre-flight check"}
	answered := func(o v1alpha1.VerdictOutcome) *v1alpha1.PreflightStatus {
		return &v1alpha1.PreflightStatus{Revision: candidateRevision, Outcome: o, Reason: "BudgetLow", Message: "5 % is left", EvaluatedAt: at}
	}
	says := func(o plan.GateOutcome, message string) plan.Gate {
		return plan.Gate{Name: plan.GatePreflight, Outcome: o, Reason: "BudgetLow", Message: message, Until: until}
	}
	other := answered(v1alpha1.VerdictPass)
	other.Revision = newerRevision
	for name, test := range map[string]struct {
		answer *v1alpha1.PreflightStatus
		now    time.Time
		want   plan.Gate
	}{
		"no answer":      {nil, now, waiting},
		"pass":           {answered(v1alpha1.VerdictPass), now, says(plan.Open, "pre-flight is Pass (BudgetLow): 5 % is left")},
		"fail":           {answered(v1alpha1.VerdictFail), now, says(plan.Closed, "pre-flight is Fail (BudgetLow): 5 % is left")},
		"error":          {answered(v1alpha1.VerdictError), now, says(plan.Unknown, "pre-flight is Error (BudgetLow): 5 % is left")},
		"inconclusive":   {answered(v1alpha1.VerdictInconclusive), now, says(plan.Unknown, "pre-flight is Inconclusive (BudgetLow): 5 % is left")},
		"last moment":    {answered(v1alpha1.VerdictPass), until, says(plan.Open, "pre-flight is Pass (BudgetLow): 5 % is left")},
		"too old":        {answered(v1alpha1.VerdictPass), until.Add(time.Nanosecond), waiting},
		"clocks differ":  {answered(v1alpha1.VerdictPass), at.Add(-5 * time.Second), says(plan.Open, "pre-flight is Pass (BudgetLow): 5 % is left")},
		"of the future":  {answered(v1alpha1.VerdictPass), at.Add(-6 * time.Second), waiting},
		"of another one": {other, now, waiting},
	} {
		t.Run(name, func(t *testing.T) {
			status := v1alpha1.RolloutStatus{Candidate: ptr(revision(candidateRevision)), Preflight: test.answer}
			if diff := cmp.Diff(test.want, plan.PreflightGate(status, test.now)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := plan.PreflightGate(v1alpha1.RolloutStatus{Preflight: answered(v1alpha1.VerdictPass)}, now); got != waiting {
		t.Errorf("without a candidate it is %+v", got)
	}
}

// TestAGateThatEndsByItselfIsAskedThen: no event tells of it.
func TestAGateThatEndsByItselfIsAskedThen(t *testing.T) {
	frozen := plan.Gate{Name: "freeze", Outcome: plan.Closed, Reason: "Frozen", Message: "frozen until noon", Until: now.Add(3 * time.Second)}
	for name, test := range map[string]struct {
		until time.Time
		want  condition
		again time.Duration
	}{
		"soon":                {frozen.Until, condition{plan.Reconciling, "Frozen"}, 3 * time.Second},
		"later":               {now.Add(time.Hour), condition{plan.Reconciling, "Frozen"}, 10 * time.Second},
		"when a person opens": {time.Time{}, condition{plan.Stalled, "Frozen"}, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			g := frozen
			g.Until = test.until
			d := plan.Decide(given(gating, gate(g)))
			if shown(d) != test.want || d.Recheck != test.again || d.Key != "Frozen" {
				t.Errorf("%s %q: %+v, again after %s", d.Rule, d.Key, shown(d), d.Recheck)
			}
		})
	}
}

// TestAGateWithAnotherReasonIsNews: a guard that turns out to be missing is told of,
// although the same rule said before that it was not proven.
func TestAGateWithAnotherReasonIsNews(t *testing.T) {
	unknown := gate(plan.Gate{Name: plan.GateGuard, Outcome: plan.Unknown, Reason: v1alpha1.ReasonGuardUnproven, Message: "no proof yet"})
	before := given(unknown)
	t1 := plan.Transition(before)
	again := given(unknown)
	again.Status = t1.Status
	if t2 := plan.Transition(again); !t1.News || t2.News {
		t.Errorf("news: first %t, then %t", t1.News, t2.News)
	}
	unproven(&again)
	t3 := plan.Transition(again)
	want := plan.Event{Warning: true, Reason: "Blocked", Message: "no guard"}
	if !t3.News || t3.Event == nil || *t3.Event != want {
		t.Errorf("missing: news %t, event %+v", t3.News, t3.Event)
	}
}

// TestGatesAreKeptInTheRecord as they were, so that the decision can be made again.
func TestGatesAreKeptInTheRecord(t *testing.T) {
	in := given(gating, preflight(v1alpha1.VerdictPass), blockedRun)
	raw, err := in.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	again, err := plan.Read(raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in.Gates, again.Gates); diff != "" {
		t.Error(diff)
	}
}

func TestTheGuardIsShownAsACondition(t *testing.T) {
	for outcome, want := range map[plan.GateOutcome]metav1.ConditionStatus{
		plan.Open: metav1.ConditionTrue, plan.Closed: metav1.ConditionFalse, plan.Unknown: metav1.ConditionUnknown,
	} {
		status := plan.Transition(given(gate(plan.Gate{Name: plan.GateGuard, Outcome: outcome, Reason: "Because", Message: "of this"}))).Status
		guarded := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionGuarded)
		if guarded == nil || guarded.Status != want || guarded.Reason != "Because" || guarded.Message != "of this" {
			t.Errorf("%s: %+v", outcome, guarded)
		}
		if ready := meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady); ready != (outcome == plan.Open) {
			t.Errorf("%s: ready is %t", outcome, ready)
		}
	}
	before := metav1.Condition{Type: v1alpha1.ConditionGuarded, Status: metav1.ConditionTrue, Reason: "Before"}
	in := given(workloadGone, func(in *plan.Input) { in.Gates, in.Status.Conditions = nil, []metav1.Condition{before} })
	if after := meta.FindStatusCondition(plan.Transition(in).Status.Conditions, v1alpha1.ConditionGuarded); *after != before {
		t.Errorf("not asked, it is %+v", after)
	}
}
