package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

func armed(kind, name string, outcome v1alpha1.VerdictOutcome) plan.Armed {
	at := metav1.NewMicroTime(now)
	return plan.Armed{Kind: kind, Guardrail: name, Trigger: "errors", Verdict: &v1alpha1.TriggerAnalysis{
		Outcome: outcome, Reason: "Because", EvaluatedAt: &at, SamplesFrom: &at}}
}

func TestATenantsGuardrailDoesNotStandForTheClusters(t *testing.T) {
	sum := plan.Sum([]plan.Armed{armed("Guardrail", "shop", v1alpha1.VerdictPass), armed("ClusterGuardrail", "shop", v1alpha1.VerdictFail)}, now, now)
	if sum.Trigger != "ClusterGuardrail/shop/errors" || sum.Passing != 1 || len(sum.References) != 2 {
		t.Errorf("the sum is %+v", sum)
	}
}

func TestReferencesKeepTheWorst(t *testing.T) {
	var all []plan.Armed
	for i := range v1alpha1.MaxTriggers {
		all = append(all, armed("Guardrail", fmt.Sprint("g", i), v1alpha1.VerdictPass))
	}
	all = append(all, armed("Guardrail", "late", v1alpha1.VerdictFail))
	sum := plan.Sum(all, now, now)
	if len(sum.References) != v1alpha1.MaxTriggers || sum.References[0].Trigger != "late/errors" || sum.Outcome != v1alpha1.VerdictFail {
		t.Errorf("%d references, first %+v, outcome %s", len(sum.References), sum.References[0], sum.Outcome)
	}
}

// trigger is an armed one that was judged ago before now, on samples from then.
func trigger(name string, outcome v1alpha1.VerdictOutcome, ago time.Duration) plan.Armed {
	at := metav1.NewMicroTime(now.Add(-ago))
	return plan.Armed{
		Kind: "Guardrail", Guardrail: "g", Trigger: name, SilentAfter: 30 * time.Second,
		Verdict: &v1alpha1.TriggerAnalysis{Outcome: outcome, Reason: "R-" + name, Message: "M-" + name, EvaluatedAt: &at, SamplesFrom: &at},
	}
}

func blindFor(a plan.Armed, d time.Duration, then v1alpha1.HoldOrRollback) plan.Armed {
	a.Blind = v1alpha1.WhenBlind{Hold: minutes(10), Then: then}
	a.Verdict = a.Verdict.DeepCopy()
	a.Verdict.BlindSince = ptr(metav1.NewMicroTime(now.Add(-d)))
	return a
}

// changedTo is a trigger of the same guardrail as it was changed during the run.
func changedTo(guardrail string, a plan.Armed) plan.Armed {
	a.Guardrail = guardrail
	return a
}

func TestSum(t *testing.T) {
	const pass, fail, inconclusive, failed = v1alpha1.VerdictPass, v1alpha1.VerdictFail, v1alpha1.VerdictInconclusive, v1alpha1.VerdictError
	good, unsure := trigger("good", pass, 5*time.Second), trigger("unsure", inconclusive, 5*time.Second)
	broken, bad := trigger("broken", failed, 5*time.Second), trigger("bad", fail, 5*time.Second)
	pending := plan.Armed{Guardrail: "g", Trigger: "pending", SilentAfter: 30 * time.Second}
	blindUnsure := blindFor(unsure, time.Hour, v1alpha1.Rollback)
	tests := map[string]struct {
		armed []plan.Armed
		want  plan.Verdict
	}{
		"no trigger":                   {nil, plan.Verdict{Outcome: pass}},
		"pass":                         {[]plan.Armed{good}, plan.Verdict{Outcome: pass, Passing: 1, Total: 1}},
		"not judged yet":               {[]plan.Armed{good, pending}, plan.Verdict{Outcome: inconclusive, Reason: plan.ReasonPending, Trigger: "g/pending", Message: "not evaluated yet", Passing: 1, Total: 2}},
		"pass on samples from before":  {[]plan.Armed{trigger("old", pass, 20*time.Second)}, plan.Verdict{Outcome: inconclusive, Reason: plan.ReasonPending, Trigger: "g/old", Message: "not evaluated at this weight yet", Total: 1}},
		"pass gone silent":             {[]plan.Armed{trigger("old", pass, 31*time.Second)}, plan.Verdict{Outcome: failed, Reason: plan.ReasonJudgeSilent, Trigger: "g/old", Message: "the analysis has written no verdict for more than 30s", Total: 1}},
		"pass from the future":         {[]plan.Armed{trigger("new", pass, -6*time.Second)}, plan.Verdict{Outcome: failed, Reason: plan.ReasonJudgeSilent, Trigger: "g/new", Message: "the newest verdict is later than the controller's clock, which was set back: waiting for a new one", Total: 1}},
		"pass of a clock ahead":        {[]plan.Armed{trigger("new", pass, -5*time.Second)}, plan.Verdict{Outcome: pass, Passing: 1, Total: 1}},
		"fail from the future":         {[]plan.Armed{trigger("new", fail, -time.Hour)}, plan.Verdict{Outcome: fail, Reason: "R-new", Trigger: "g/new", Message: "M-new", Total: 1}},
		"fail stays, silent or not":    {[]plan.Armed{trigger("old", fail, time.Hour)}, plan.Verdict{Outcome: fail, Reason: "R-old", Trigger: "g/old", Message: "M-old", Total: 1}},
		"error over inconclusive":      {[]plan.Armed{unsure, broken, good}, plan.Verdict{Outcome: failed, Reason: "R-broken", Trigger: "g/broken", Message: "M-broken", Passing: 1, Total: 3}},
		"fail over error":              {[]plan.Armed{broken, bad}, plan.Verdict{Outcome: fail, Reason: "R-bad", Trigger: "g/bad", Message: "M-bad", Total: 2}},
		"unknown outcome is no pass":   {[]plan.Armed{trigger("odd", "Odd", 5*time.Second)}, plan.Verdict{Outcome: "Odd", Reason: "R-odd", Trigger: "g/odd", Message: "M-odd", Total: 1}},
		"blind, but holds":             {[]plan.Armed{blindFor(unsure, time.Hour, v1alpha1.Hold)}, plan.Verdict{Outcome: inconclusive, Reason: "R-unsure", Trigger: "g/unsure", Message: "M-unsure", Total: 1}},
		"blind, not long enough":       {[]plan.Armed{blindFor(unsure, 9*time.Minute, v1alpha1.Rollback)}, plan.Verdict{Outcome: inconclusive, Reason: "R-unsure", Trigger: "g/unsure", Message: "M-unsure", Total: 1}},
		"blind too long":               {[]plan.Armed{blindUnsure}, blindVerdict(1)},
		"blind too long, named first":  {[]plan.Armed{blindUnsure, broken}, blindVerdict(2)},
		"blind too long, named second": {[]plan.Armed{broken, blindUnsure}, blindVerdict(2)},
		"held as pinned, its change passes": {[]plan.Armed{unsure, changedTo("g@1f", good)}, plan.Verdict{Outcome: inconclusive, Reason: "R-unsure", Trigger: "g/unsure", Passing: 1, Total: 2,
			Message: "M-unsure; this is Guardrail g as it was when the run started, and its changed version passes: abort and retry to use that alone"}},
		"held as pinned, its change does not pass": {[]plan.Armed{broken, changedTo("g@1f", good), changedTo("g@1f", unsure)}, plan.Verdict{Outcome: failed, Reason: "R-broken", Trigger: "g/broken", Passing: 1, Total: 3,
			Message: "M-broken; this is Guardrail g as it was when the run started, and its changed version applies too: abort and retry to use that alone"}},
		"held by another guardrail":         {[]plan.Armed{unsure, changedTo("gg@1f", good)}, plan.Verdict{Outcome: inconclusive, Reason: "R-unsure", Trigger: "g/unsure", Message: "M-unsure", Passing: 1, Total: 2}},
		"failed as pinned":                  {[]plan.Armed{bad, changedTo("g@1f", good)}, plan.Verdict{Outcome: fail, Reason: "R-bad", Trigger: "g/bad", Message: "M-bad", Passing: 1, Total: 2}},
		"observed only":                     {[]plan.Armed{observes(bad), observes(broken)}, plan.Verdict{Outcome: pass, Observed: 2}},
		"an observed fail beside a pass":    {[]plan.Armed{observes(bad), good}, plan.Verdict{Outcome: pass, Passing: 1, Total: 1, Observed: 1}},
		"an observed pass beside an error":  {[]plan.Armed{observes(good), broken}, plan.Verdict{Outcome: failed, Reason: "R-broken", Trigger: "g/broken", Message: "M-broken", Total: 1, Observed: 1}},
		"blind too long, but only observes": {[]plan.Armed{observes(blindUnsure), good}, plan.Verdict{Outcome: pass, Passing: 1, Total: 1, Observed: 1}},
		"held as pinned, its change observes": {[]plan.Armed{unsure, observes(changedTo("g@1f", good))}, plan.Verdict{
			Outcome: inconclusive, Reason: "R-unsure", Trigger: "g/unsure", Message: "M-unsure", Total: 1, Observed: 1}},
		"fail over blind too long": {[]plan.Armed{bad, blindUnsure}, plan.Verdict{
			Outcome: fail, Reason: "R-bad", Trigger: "g/bad", Message: "M-bad", Total: 2, BlindRollback: true}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := plan.Sum(test.armed, now.Add(-10*time.Second), now)
			if len(got.References) != len(test.armed) {
				t.Errorf("%d references for %d triggers", len(got.References), len(test.armed))
			}
			got.References = nil
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("sum (-want +got):\n%s", diff)
			}
		})
	}
}

func observes(a plan.Armed) plan.Armed {
	a.Observes = true
	return a
}

// TestReferencesSayWhatDecidesFirst: evidence that is cut keeps the verdict that a
// decision rests on, whatever triggers in mode Observe say.
func TestReferencesSayWhatDecidesFirst(t *testing.T) {
	sum := plan.Sum([]plan.Armed{observes(trigger("seen", v1alpha1.VerdictFail, 0)), trigger("broken", v1alpha1.VerdictError, 0)}, now, now)
	want := []v1alpha1.VerdictReference{
		{Trigger: "g/broken", Outcome: v1alpha1.VerdictError, Reason: "R-broken"},
		{Trigger: "g/seen", Outcome: v1alpha1.VerdictFail, Reason: "R-seen", Mode: v1alpha1.ModeObserve},
	}
	if diff := cmp.Diff(want, sum.References); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
}

// TestWouldRollBack names each trigger in mode Observe once, for what would roll back.
func TestWouldRollBack(t *testing.T) {
	fail, unsure := trigger("bad", v1alpha1.VerdictFail, 0), trigger("unsure", v1alpha1.VerdictInconclusive, 0)
	blind := blindFor(unsure, time.Hour, v1alpha1.Rollback)
	long := observes(fail)
	long.Guardrail = strings.Repeat("g", 400)
	for name, tc := range map[string]struct {
		armed []plan.Armed
		noted []v1alpha1.ObservedFail
		want  *plan.ObservedVerdict
	}{
		"it enforces":        {[]plan.Armed{fail, blind}, nil, nil},
		"it does not fire":   {[]plan.Armed{observes(unsure)}, nil, nil},
		"it fires":           {[]plan.Armed{observes(unsure), observes(fail)}, nil, &plan.ObservedVerdict{Trigger: "g/bad", Message: "M-bad"}},
		"it is noted":        {[]plan.Armed{observes(fail)}, []v1alpha1.ObservedFail{{Trigger: "g/bad"}}, nil},
		"the next one fires": {[]plan.Armed{observes(fail), observes(blind)}, []v1alpha1.ObservedFail{{Trigger: "g/bad"}}, &plan.ObservedVerdict{Trigger: "g/unsure", Message: blindVerdict(1).Message}},
		"its name was noted as far as there is room": {[]plan.Armed{long, observes(blind)}, []v1alpha1.ObservedFail{{Trigger: strings.Repeat("g", 337) + "..."}}, &plan.ObservedVerdict{Trigger: "g/unsure", Message: blindVerdict(1).Message}},
		"there is no room":                           {[]plan.Armed{observes(fail)}, make([]v1alpha1.ObservedFail, v1alpha1.MaxTriggers), nil},
		"blind, but it holds":                        {[]plan.Armed{observes(blindFor(unsure, time.Hour, v1alpha1.Hold))}, nil, nil},
	} {
		if diff := cmp.Diff(tc.want, plan.WouldRollBack(tc.armed, tc.noted, now, now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// blindVerdict names the trigger whose whenBlind says to roll back, whatever
// else is wrong: it is the reason for what follows.
func blindVerdict(total int) plan.Verdict {
	return plan.Verdict{
		Outcome: v1alpha1.VerdictInconclusive, Reason: "R-unsure", Trigger: "g/unsure", Total: total, BlindRollback: true,
		Message: "no usable answer for 1h0m0s, whenBlind allows 10m0s: M-unsure",
	}
}

// TestUnless: what says nothing of one version holds, and keeps nothing from rolling back.
func TestUnless(t *testing.T) {
	pass := plan.Verdict{Outcome: v1alpha1.VerdictPass, Passing: 1, Total: 1, References: []v1alpha1.VerdictReference{{Trigger: "shop/errors", Outcome: v1alpha1.VerdictPass}}}
	with := func(change func(*plan.Verdict)) plan.Verdict {
		v := pass
		change(&v)
		return v
	}
	for name, c := range map[string]struct {
		verdict    plan.Verdict
		message    string
		outcome    v1alpha1.VerdictOutcome
		trigger    string
		references int
	}{
		"nothing to say": {pass, "", v1alpha1.VerdictPass, "", 1},
		"a pass":         {pass, "moved", v1alpha1.VerdictInconclusive, plan.ImageTrigger, 2},
		"an error":       {with(func(v *plan.Verdict) { v.Outcome, v.Trigger = v1alpha1.VerdictError, "shop/errors" }), "moved", v1alpha1.VerdictInconclusive, plan.ImageTrigger, 2},
		"a fail":         {with(func(v *plan.Verdict) { v.Outcome, v.Trigger = v1alpha1.VerdictFail, "shop/errors" }), "moved", v1alpha1.VerdictFail, "shop/errors", 2},
		"blind for too long": {with(func(v *plan.Verdict) {
			v.Outcome, v.Trigger, v.BlindRollback = v1alpha1.VerdictError, "shop/errors", true
		}), "moved", v1alpha1.VerdictError, "shop/errors", 2},
	} {
		got := c.verdict.Unless("ImageMoved", c.message)
		if got.Outcome != c.outcome || got.Trigger != c.trigger || len(got.References) != c.references {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if len(pass.References) != 1 {
		t.Error("the verdict was changed in place")
	}
}
