package plan_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

func TestWhoeverGivesTheCanaryAShareAgainStartsItsClockAnew(t *testing.T) {
	tests := map[string]struct {
		in    plan.Input
		clock func(v1alpha1.RolloutStatus) *metav1.Time
	}{
		"hold of a step":             {given(stepAt(0), split(50)), func(s v1alpha1.RolloutStatus) *metav1.Time { return s.Step.AcknowledgedAt }},
		"hold of a step, given less": {given(stepAt(0), split(0)), func(s v1alpha1.RolloutStatus) *metav1.Time { return s.Step.AcknowledgedAt }},
		"drain of a rollback":        {given(rollingBack(&recently), split(50)), func(s v1alpha1.RolloutStatus) *metav1.Time { return s.Rollback.ZeroAt }},
		"drain of a deletion":        {given(rollingBack(&recently), split(50), deleted(time.Second)), func(s v1alpha1.RolloutStatus) *metav1.Time { return s.Rollback.ZeroAt }},
		"drain of the stable pods":   {given(promoting, split(50)), func(s v1alpha1.RolloutStatus) *metav1.Time { return s.Promotion.FullAt }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := plan.Decide(test.in)
			if _, ok := d.Effect.(plan.SetSplit); !ok {
				t.Fatalf("%s: effect %v, want the split set", d.Rule, d.Effect)
			}
			if at := test.clock(d.Status); at != nil {
				t.Errorf("%s keeps the time %s", d.Rule, at)
			}
		})
	}
}

func TestRollbackRestoresTheTemplateWhenTheDeploymentMayRoll(t *testing.T) {
	unpausing := func(in *plan.Input) {
		in.Status.Promotion.UnpausedAt = &justNow
	}
	fail := verdict(v1alpha1.VerdictFail)
	tests := map[string]struct {
		in   plan.Input
		want bool
	}{
		"step":                                  {given(stepAt(1), fail), false},
		"promotion before it unpauses":          {given(promoting, fail), false},
		"promotion, unpause recorded but stale": {given(promoting, unpausing, fail), true},
		"promotion, rolling":                    {given(promoting, rolling, fail), true},
		"promotion, paused on a newer one":      {given(promoting, declares(newerRevision), fail), true},
		"newer one before anything moved":       {given(promoting, fullAt(nil), declares(newerRevision), fail), false},
		"bake":                                  {given(baking, fail), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := plan.Decide(test.in)
			if d.Rule != "TriggerFired" || d.Status.Rollback.Restore != test.want {
				t.Errorf("%s: restore %v, want TriggerFired and %v", d.Rule, d.Status.Rollback.Restore, test.want)
			}
		})
	}
}

func TestFinishedRunsAreRemembered(t *testing.T) {
	drained := []change{rollingBack(&recently), noCanary, noSplit}
	full := func(in *plan.Input) {
		for range in.Spec.HistoryLimit {
			in.Status.History = append(in.Status.History, v1alpha1.HistoryEntry{Run: "old"})
		}
	}
	d := plan.Decide(given(append(drained, full, rejected(triedRevision))...))
	want := v1alpha1.HistoryEntry{
		Run: "shop-bbbbbbbbbb-1", Revision: triedRevision, Image: "shop:b", Outcome: v1alpha1.OutcomeRolledBack,
		Trigger: "shop/errors", Message: "5 % errors", StartedAt: recently, FinishedAt: metav1.NewTime(now),
	}
	if diff := cmp.Diff(&want, d.Finished); diff != "" {
		t.Errorf("finished entry (-want +got):\n%s", diff)
	}
	if len(d.Status.History) != 3 || d.Status.History[0] != want {
		t.Errorf("history %v, want 3 entries with the finished run first", d.Status.History)
	}
	wantRejected := []v1alpha1.RejectedRevision{{
		Revision: triedRevision, Trigger: "shop/errors", Message: "5 % errors", At: metav1.NewTime(now), Run: "shop-bbbbbbbbbb-1",
	}}
	if diff := cmp.Diff(wantRejected, d.Status.Rejected); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
}

func TestAbortBeforeARunNamesNoRun(t *testing.T) {
	earlier := func(in *plan.Input) { in.Status.Run = "shop-0000000000-7" }
	d := plan.Decide(given(gating, earlier, action(v1alpha1.ActionAbort, "")))
	if len(d.Status.Rejected) != 1 || d.Status.Rejected[0].Run != "" {
		t.Errorf("rejected %+v: the last run did not reject this revision", d.Status.Rejected)
	}
}

func TestTextFromOutsideStaysBoundedAndValid(t *testing.T) {
	for offset := range 4 {
		long := func(in *plan.Input) {
			verdict(v1alpha1.VerdictFail)(in)
			in.Verdict.Message = strings.Repeat("x", offset) + strings.Repeat("日", 2000)
		}
		d := plan.Decide(given(stepAt(0), long))
		for _, s := range []string{d.Status.Message, d.Status.Rollback.Message} {
			if len(s) > 1024 || !utf8.ValidString(s) || !strings.HasSuffix(s, "...") {
				t.Errorf("%d bytes, valid %v, ends in %q", len(s), utf8.ValidString(s), s[len(s)-6:])
			}
		}
	}
}

// trigger is an armed one that was judged ago before now, on samples from then.
func trigger(name string, outcome v1alpha1.VerdictOutcome, ago time.Duration) plan.Armed {
	at := metav1.NewMicroTime(now.Add(-ago))
	return plan.Armed{
		Guardrail: "g", Trigger: name, SilentAfter: 30 * time.Second,
		Verdict: &v1alpha1.TriggerAnalysis{Outcome: outcome, Reason: "R-" + name, Message: "M-" + name, EvaluatedAt: &at, SamplesFrom: &at},
	}
}

func blindFor(a plan.Armed, d time.Duration, then v1alpha1.HoldOrRollback) plan.Armed {
	a.Blind = v1alpha1.WhenBlind{Hold: minutes(10), Then: then}
	a.Verdict = a.Verdict.DeepCopy()
	a.Verdict.BlindSince = ptr(metav1.NewMicroTime(now.Add(-d)))
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
		"pass gone silent":             {[]plan.Armed{trigger("old", pass, 31*time.Second)}, plan.Verdict{Outcome: failed, Reason: plan.ReasonJudgeSilent, Trigger: "g/old", Message: "no verdict for more than 30s", Total: 1}},
		"fail stays, silent or not":    {[]plan.Armed{trigger("old", fail, time.Hour)}, plan.Verdict{Outcome: fail, Reason: "R-old", Trigger: "g/old", Message: "M-old", Total: 1}},
		"error over inconclusive":      {[]plan.Armed{unsure, broken, good}, plan.Verdict{Outcome: failed, Reason: "R-broken", Trigger: "g/broken", Message: "M-broken", Passing: 1, Total: 3}},
		"fail over error":              {[]plan.Armed{broken, bad}, plan.Verdict{Outcome: fail, Reason: "R-bad", Trigger: "g/bad", Message: "M-bad", Total: 2}},
		"unknown outcome is no pass":   {[]plan.Armed{trigger("odd", "Odd", 5*time.Second)}, plan.Verdict{Outcome: "Odd", Reason: "R-odd", Trigger: "g/odd", Message: "M-odd", Total: 1}},
		"blind, but holds":             {[]plan.Armed{blindFor(unsure, time.Hour, v1alpha1.Hold)}, plan.Verdict{Outcome: inconclusive, Reason: "R-unsure", Trigger: "g/unsure", Message: "M-unsure", Total: 1}},
		"blind, not long enough":       {[]plan.Armed{blindFor(unsure, 9*time.Minute, v1alpha1.Rollback)}, plan.Verdict{Outcome: inconclusive, Reason: "R-unsure", Trigger: "g/unsure", Message: "M-unsure", Total: 1}},
		"blind too long":               {[]plan.Armed{blindUnsure}, blindVerdict(1)},
		"blind too long, named first":  {[]plan.Armed{blindUnsure, broken}, blindVerdict(2)},
		"blind too long, named second": {[]plan.Armed{broken, blindUnsure}, blindVerdict(2)},
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

// blindVerdict names the trigger whose whenBlind says to roll back, whatever
// else is wrong: it is the reason for what follows.
func blindVerdict(total int) plan.Verdict {
	return plan.Verdict{
		Outcome: v1alpha1.VerdictInconclusive, Reason: "R-unsure", Trigger: "g/unsure", Total: total, BlindRollback: true,
		Message: "blind for 1h0m0s, whenBlind allows 10m0s: M-unsure",
	}
}

func TestSelfCheck(t *testing.T) {
	tests := map[string]struct {
		in     plan.Input
		broken bool
	}{
		"serving":                      {given(), false},
		"step at its weight":           {given(stepAt(0)), false},
		"step above its weight":        {given(stepAt(0), split(50)), true},
		"requests for no ready pod":    {given(stepAt(0), canaryReady(0)), true},
		"canary at zero without a pod": {given(stepAt(0), split(0), noCanary), false},
		"share outside of a run":       {given(split(10), canaryPods(1)), true},
		"promotion gives all":          {given(promoting), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := plan.SelfCheck(test.in); (got != "") != test.broken {
				t.Errorf("self-check says %q", got)
			}
		})
	}
}
