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

func TestWhoeverChangesTheShareStartsItsClockAnew(t *testing.T) {
	tests := map[string]struct {
		in    plan.Input
		clock func(v1alpha1.RolloutStatus) *metav1.Time
	}{
		"hold of a step":             {given(stepAt(0), split(50)), func(s v1alpha1.RolloutStatus) *metav1.Time { return s.Step.AcknowledgedAt }},
		"hold of a step, given less": {given(stepAt(0), split(0)), func(s v1alpha1.RolloutStatus) *metav1.Time { return s.Step.AcknowledgedAt }},
		"bake":                       {given(baking, split(50)), func(s v1alpha1.RolloutStatus) *metav1.Time { return s.Promotion.FullAt }},
		"bake, its routes taken":     {given(baking, noSplit), func(s v1alpha1.RolloutStatus) *metav1.Time { return s.Promotion.FullAt }},
		"rest before a handover":     {given(handingOver, split(50)), func(s v1alpha1.RolloutStatus) *metav1.Time { return s.Promotion.SizeSince }},
		"drain of a rollback":        {given(rollingBack(&recently), split(50)), func(s v1alpha1.RolloutStatus) *metav1.Time { return s.Rollback.ZeroAt }},
		"drain of a deletion":        {given(rollingBack(&recently), split(50), deleted(time.Second)), func(s v1alpha1.RolloutStatus) *metav1.Time { return s.Rollback.ZeroAt }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := plan.Decide(test.in)
			if _, ok := plan.EffectOf[plan.SetSplit](d); !ok {
				t.Fatalf("%s: effect %v, want the split set", d.Rule, d.Does())
			}
			if at := test.clock(d.Status); at != nil {
				t.Errorf("%s keeps the time %s", d.Rule, at)
			}
		})
	}
}

func TestTheDeadlineCountsFromTheStageAndWhatItMustTake(t *testing.T) {
	minutesAgo := func(n int) *metav1.Time { return ptr(ago(time.Duration(n) * time.Minute)) }
	blind := verdict(v1alpha1.VerdictError)
	tests := map[string]struct {
		in   plan.Input
		late bool
	}{
		"step, in hold and deadline":      {given(stepAt(0), blind, entered(*minutesAgo(60))), false},
		"step, beyond":                    {given(stepAt(0), blind, entered(*minutesAgo(62))), true},
		"bake, in bake and deadline":      {given(baking, blind, fullAt(minutesAgo(64))), false},
		"bake, beyond":                    {given(baking, blind, fullAt(minutesAgo(66))), true},
		"handover, after a long bake":     {given(handingOver, blind, fullAt(&longAgo), handingSince(minutesAgo(59))), false},
		"handover, beyond":                {given(handingOver, blind, handingSince(minutesAgo(61))), true},
		"native, in its bake":             {given(nativeAlone, blind, handedAt(&longAgo), handingSince(&longAgo), settledAt(minutesAgo(64))), false},
		"native, beyond":                  {given(nativeAlone, blind, settledAt(minutesAgo(66))), true},
		"rollback, in drain and deadline": {given(rollingBack(nil), unacknowledged, startedAt(*minutesAgo(60))), false},
		"rollback, beyond":                {given(rollingBack(nil), unacknowledged, startedAt(*minutesAgo(61))), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := plan.Decide(test.in)
			if late := d.Standing == (plan.Standing{State: plan.Stuck, Reason: v1alpha1.ReasonDeadlineExceeded}); late != test.late {
				t.Errorf("%s is %+v: %s", d.Rule, d.Standing, d.Why)
			}
		})
	}
}

func startedAt(at metav1.Time) change {
	return func(in *plan.Input) { in.Status.Rollback.StartedAt = at }
}

// TestAHandoverThatIsRefusedIsNoNews: its time stays, but not for so long that the
// Deployment controller would have no time left to recognise the set.
func TestAHandoverThatIsRefusedIsNoNews(t *testing.T) {
	seconds := func(n int) metav1.Time { return ago(time.Duration(n) * time.Second) }
	toNative := func(in *plan.Input) {
		takeOver(v1alpha1.TakeOverNative)(in)
		in.Workload.Chosen = canarySet
	}
	for name, base := range map[string]change{"handover": handingOver, "native": toNative} {
		for _, test := range []struct {
			at   *metav1.Time
			want metav1.Time
		}{{nil, seconds(0)}, {ptr(seconds(1)), seconds(1)}, {ptr(seconds(14)), seconds(14)}, {ptr(seconds(15)), seconds(0)}, {&longAgo, seconds(0)}} {
			d := plan.Decide(given(base, handedAt(test.at)))
			if _, ok := plan.EffectOf[plan.HandOver](d); !ok {
				t.Fatalf("%s, decided at %s: %s does %v", name, test.at, d.Rule, d.Does())
			}
			if got := d.Status.Promotion.HandedAt; !got.Equal(&test.want) {
				t.Errorf("%s, decided at %s: now at %s, want %s", name, test.at, got, &test.want)
			}
		}
	}
}

func TestARefusedEffectIsShown(t *testing.T) {
	refused := func(since metav1.Time, effect string) change {
		return func(in *plan.Input) {
			in.Status.Refusal = &v1alpha1.Refusal{Effect: effect, Message: "exceeded quota: pods", Since: since}
		}
	}
	scale := plan.ScaleCanary{Replicas: 1}.String()
	tests := map[string]struct {
		change change
		want   plan.Standing
		shown  bool
	}{
		"just now":            {refused(justNow, scale), plan.Standing{State: plan.Working, Reason: v1alpha1.ReasonProgressing}, true},
		"beyond stepDeadline": {refused(longAgo, scale), plan.Standing{State: plan.Stuck, Reason: v1alpha1.ReasonRefused}, true},
		"another effect":      {refused(longAgo, "something else"), plan.Standing{State: plan.Working, Reason: v1alpha1.ReasonProgressing}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := plan.Decide(given(stepAt(0), noCanary, split(0), test.change))
			if d.Does() != "scale the canary to 1" || d.Standing != test.want || d.Recheck <= 0 {
				t.Errorf("%s: %v, %+v, again after %s", d.Rule, d.Does(), d.Standing, d.Recheck)
			}
			if shown := strings.Contains(d.Status.Message, "exceeded quota"); shown != test.shown || shown != (d.Status.Refusal != nil) {
				t.Errorf("the refusal is %+v in %q", d.Status.Refusal, d.Status.Message)
			}
		})
	}
}

func TestWhatServesIsShown(t *testing.T) {
	tests := map[string]struct {
		in   plan.Input
		want string
	}{
		"stable":                        {given(), "a 100 %"},
		"a step":                        {given(stepAt(0)), "a 90 %, b 10 %"},
		"a step at 0":                   {given(stepAt(0), split(0)), "a 100 %"},
		"the bake":                      {given(baking), "b 100 %"},
		"routes disagree":               {given(stepAt(0), mixed(10)), "routes disagree"},
		"released, both in the Service": {given(stepAt(1), noSplit), "a 67 %, b 33 %"},
		"a bypass, half-way":            {given(bypassing), "a 50 %, b 50 %"},
		"a native roll, half-way":       {given(native), "a 50 %, b 50 %"},
		"promoted":                      {given(handedAlone), "b 100 %"},
		"nothing":                       {given(stableReady(0)), "nothing"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := plan.Decide(test.in).Status.Serving; got != test.want {
				t.Errorf("serving %q, want %q", got, test.want)
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
	d := plan.Decide(given(append(drained, full, rejected(candidateRevision))...))
	want := v1alpha1.HistoryEntry{
		Run: run, Revision: candidateRevision, Image: "shop:b", Outcome: v1alpha1.OutcomeRolledBack,
		Trigger: "shop/errors", Message: "5 % errors", StartedAt: recently, FinishedAt: metav1.NewTime(now),
	}
	if diff := cmp.Diff(&want, d.Finished); diff != "" {
		t.Errorf("finished entry (-want +got):\n%s", diff)
	}
	if len(d.Status.History) != 3 || d.Status.History[0] != want {
		t.Errorf("history %v, want 3 entries with the finished run first", d.Status.History)
	}
	wantRejected := []v1alpha1.RejectedRevision{{
		Revision: candidateRevision, Trigger: "shop/errors", Message: "5 % errors", At: metav1.NewTime(now), Run: run,
	}}
	if diff := cmp.Diff(wantRejected, d.Status.Rejected); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
}

func TestARunThatIsEndedFromOutsideKeepsItsTrigger(t *testing.T) {
	rolls := all(declares(newerRevision), paused(false))
	tests := map[string]struct {
		in      plan.Input
		outcome v1alpha1.Outcome
		trigger string
	}{
		"bypassed in a rollback":    {given(rollingBack(nil), rolls), v1alpha1.OutcomeRolledBack, "shop/errors"},
		"bypassed in a step":        {given(stepAt(0), rolls), v1alpha1.OutcomeSuperseded, ""},
		"deleted after a rollback":  {given(rollingBack(nil), noCanary, noSplit, deleted(time.Second)), v1alpha1.OutcomeRolledBack, "shop/errors"},
		"deleted in a step's first": {given(stepAt(0), noCanary, noSplit, deleted(time.Second)), v1alpha1.OutcomeCancelled, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := plan.Decide(test.in).Finished
			if f == nil || f.Outcome != test.outcome || f.Trigger != test.trigger {
				t.Errorf("finished %+v, want %s by %q", f, test.outcome, test.trigger)
			}
		})
	}
}

func TestAVersionThatNobodyJudgedIsNotCalledStable(t *testing.T) {
	d := plan.Decide(given(bypassing, atZero, declares(newerRevision), paused(true)))
	if d.Status.Phase != v1alpha1.PhaseStable || d.Status.Stable.Revision != stableRevision {
		t.Errorf("%s: stable is %+v", d.Rule, d.Status.Stable)
	}
	d = plan.Decide(given(bypassing, atZero))
	if d.Status.Stable.Revision != candidateRevision || d.Finished.Outcome != v1alpha1.OutcomeBypassed {
		t.Errorf("%s: stable is %+v after %+v", d.Rule, d.Status.Stable, d.Finished)
	}
}

func TestWhatWasStableIsRememberedNewestFirst(t *testing.T) {
	d := plan.Decide(given(handedAlone, previously(candidateRevision, "dddddddddd")))
	var got []string
	for _, p := range d.Status.Previous {
		got = append(got, p.Revision)
	}
	if diff := cmp.Diff([]string{stableRevision, "dddddddddd"}, got); diff != "" {
		t.Errorf("previous (-want +got):\n%s", diff)
	}
	want := &v1alpha1.Revision{Revision: candidateRevision, Image: "shop:b", ReplicaSet: canarySet, PodTemplateHash: canaryHash}
	if diff := cmp.Diff(want, d.Status.Stable); diff != "" {
		t.Errorf("stable (-want +got):\n%s", diff)
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
		long := strings.Repeat("x", offset) + strings.Repeat("日", 2000)
		tests := map[string]plan.Input{
			"verdict": given(stepAt(0), verdict(v1alpha1.VerdictFail), func(in *plan.Input) { in.Verdict.Message, in.Verdict.Trigger = long, long }),
			"native":  given(native, verdict(v1alpha1.VerdictFail), func(in *plan.Input) { in.Verdict.Message = long }),
			"bypass":  given(stepAt(0), paused(false), func(in *plan.Input) { in.Workload.Bypass = plan.Bypass{By: long, Reason: long} }),
			"cause":   given(stepAt(1), canaryReady(1), func(in *plan.Input) { in.Canary.Cause = long }),
			"changed": given(handingOver, func(in *plan.Input) { in.Canary.Changed = long }),
			"gateway": given(rollingBack(nil), unacknowledged, func(in *plan.Input) { in.Route.Unacknowledged = long }),
			"command": given(stepAt(0), action(v1alpha1.Action(long), long)),
			"image":   given(stepAt(0), declares(newerRevision), func(in *plan.Input) { in.Workload.Declared.Image = "shop:" + long }),
		}
		for name, in := range tests {
			s := plan.Decide(in).Status
			texts := []string{s.Message, s.Serving}
			if s.Rollback != nil {
				texts = append(texts, s.Rollback.Message, s.Rollback.Trigger)
			}
			if s.Promotion != nil {
				texts = append(texts, s.Promotion.Message, s.Promotion.Actor)
			}
			if s.LastHandledAction != nil {
				texts = append(texts, s.LastHandledAction.Refused)
			}
			for _, text := range texts {
				if len(text) > 1024 || !utf8.ValidString(text) {
					t.Errorf("%s: %d bytes, valid %v: %q", name, len(text), utf8.ValidString(text), text[len(text)-6:])
				}
			}
		}
	}
}
