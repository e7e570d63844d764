package rollout

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// TestAnObservedVerdictIsShownAndCountedAndDecidesNothing, from the run's guardrail to the
// planner's input, and from its decision to the counter.
func TestAnObservedVerdictIsShownAndCountedAndDecidesNothing(t *testing.T) {
	r, _ := loopOn(t, interceptor.Funcs{})
	at := metav1.NewMicroTime(r.Clock.Now())
	run := &v1alpha1.RolloutRun{}
	run.Spec.Guardrails = []v1alpha1.PinnedGuardrail{{Kind: "Guardrail", Name: "shop", Spec: v1alpha1.GuardrailSpec{Mode: v1alpha1.ModeObserve, Triggers: []v1alpha1.Trigger{
		{Name: "slow", SLO: "latency"}, {Name: "errors", SLO: "availability", Mode: v1alpha1.ModeEnforce},
	}}}}
	run.Status.Analysis = &v1alpha1.AnalysisStatus{Triggers: []v1alpha1.TriggerAnalysis{
		{Kind: "Guardrail", Guardrail: "shop", Name: "slow", Outcome: v1alpha1.VerdictFail, Reason: "BurnRate", Message: "9 % slow", EvaluatedAt: &at},
		{Kind: "Guardrail", Guardrail: "shop", Name: "errors", Outcome: v1alpha1.VerdictInconclusive, Reason: "BelowMinSamples", EvaluatedAt: &at},
	}}
	rollout := newRollout()
	rollout.Status.Phase = v1alpha1.PhaseStepping
	l := &look{rollout: rollout, run: run, input: plan.Input{Now: r.Clock.Now()}}
	if err := r.observeVerdicts(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	v := l.input.Verdict
	if v.Outcome != v1alpha1.VerdictInconclusive || v.Trigger != "shop/errors" || v.Total != 1 || v.Observed != 1 {
		t.Errorf("the sum is %+v", v)
	}
	if v.WouldRollBack == nil || v.WouldRollBack.Trigger != "shop/slow" {
		t.Errorf("would roll back: %+v", v.WouldRollBack)
	}
	if len(v.Shown) != 2 || v.Shown[0].Mode != v1alpha1.ModeObserve || v.Shown[1].Mode != "" {
		t.Errorf("shown are %+v", v.Shown)
	}
	rollout.Status.WouldRollBack = []v1alpha1.ObservedFail{{Trigger: "shop/slow"}}
	if err := r.observeVerdicts(t.Context(), l); err != nil || l.input.Verdict.WouldRollBack != nil {
		t.Errorf("noted already, and it would roll back: %+v, %v", l.input.Verdict.WouldRollBack, err)
	}

	noted := plan.Result{Decision: plan.Decision{Rule: "WouldRollBack", WouldRollBack: &v1alpha1.ObservedFail{Trigger: "shop/slow"}}, News: true}
	r.announce(t.Context(), decided{look: l, recorded: rollout}, noted)
	if n := testutil.ToFloat64(wouldRollBack.WithLabelValues("team", "shop", "shop/slow")); n != 1 {
		t.Errorf("counted %v times", n)
	}
	hideState(shopKey)
	if n := testutil.CollectAndCount(wouldRollBack); n != 0 {
		t.Errorf("%d counters are left of a Rollout that is gone", n)
	}
}

// TestBadRequestsOfAPreviewHoldItsStep although they are too few to judge by: they came by the
// preview, and users would be next.
func TestBadRequestsOfAPreviewHoldItsStep(t *testing.T) {
	for bad, want := range map[int64]v1alpha1.VerdictOutcome{0: v1alpha1.VerdictPass, 3: v1alpha1.VerdictPass, 4: v1alpha1.VerdictInconclusive, 180: v1alpha1.VerdictInconclusive} {
		r, _ := loopOn(t, interceptor.Funcs{})
		at := metav1.NewMicroTime(r.Clock.Now())
		run := &v1alpha1.RolloutRun{}
		run.Spec.Guardrails = []v1alpha1.PinnedGuardrail{{Kind: "Guardrail", Name: "shop", Spec: v1alpha1.GuardrailSpec{
			SLOs: []v1alpha1.SLO{{Name: "availability", Objective: "98"}}, Triggers: []v1alpha1.Trigger{{Name: "errors", SLO: "availability", Regression: &v1alpha1.RegressionTrigger{}}},
		}}}
		run.Status.Analysis = &v1alpha1.AnalysisStatus{Triggers: []v1alpha1.TriggerAnalysis{{
			Kind: "Guardrail", Guardrail: "shop", Name: "errors", Outcome: v1alpha1.VerdictInconclusive, Reason: "BelowMinSamples", EvaluatedAt: &at, Canary: &v1alpha1.ArmCounts{Total: 180, Bad: bad},
		}}}
		rollout := newRollout()
		rollout.Status.Phase, rollout.Status.Step = v1alpha1.PhaseStepping, &v1alpha1.StepStatus{}
		l := &look{rollout: rollout, run: run, input: plan.Input{Now: r.Clock.Now(), Status: rollout.Status}}
		l.input.Spec.Traffic, l.input.Spec.Steps = &v1alpha1.Traffic{Preview: v1alpha1.PreviewEnabled}, []v1alpha1.Step{{}, {Weight: 100}}
		if err := r.observeVerdicts(t.Context(), l); err != nil || l.input.Verdict.Outcome != want {
			t.Errorf("%d of 180 are bad, 2 %% are allowed: %+v, %v; want %s", bad, l.input.Verdict, err, want)
		}
	}
}

// TestAComparerThatGetsNoCopiesHoldsNoRun: the documented steps after the one with mirror, and the
// bake, have nothing to compare. While copies come they are waited for, and other triggers always.
func TestAComparerThatGetsNoCopiesHoldsNoRun(t *testing.T) {
	r, _ := loopOn(t, interceptor.Funcs{})
	at, begun := metav1.NewMicroTime(r.Clock.Now()), metav1.NewTime(r.Clock.Now())
	run := &v1alpha1.RolloutRun{}
	run.Spec.Guardrails = []v1alpha1.PinnedGuardrail{{Kind: "Guardrail", Name: "shop", Spec: v1alpha1.GuardrailSpec{
		SLOs:     []v1alpha1.SLO{{Name: "same", Indicator: v1alpha1.Indicator{Preset: v1alpha1.PresetComparer}}, {Name: "availability"}},
		Triggers: []v1alpha1.Trigger{{Name: "answers", SLO: "same"}, {Name: "errors", SLO: "availability"}},
	}}}
	run.Status.Analysis = &v1alpha1.AnalysisStatus{Triggers: []v1alpha1.TriggerAnalysis{
		{Kind: "Guardrail", Guardrail: "shop", Name: "answers", Outcome: v1alpha1.VerdictInconclusive, Reason: "NoTraffic", EvaluatedAt: &at},
		{Kind: "Guardrail", Guardrail: "shop", Name: "errors", Outcome: v1alpha1.VerdictInconclusive, Reason: "NoTraffic", EvaluatedAt: &at},
	}}
	for index, want := range []int{0, 1} {
		rollout := newRollout()
		rollout.Status.Phase, rollout.Status.Step = v1alpha1.PhaseStepping, &v1alpha1.StepStatus{Index: int32(index), AcknowledgedAt: &begun}
		l := &look{rollout: rollout, run: run, input: plan.Input{Now: r.Clock.Now()}}
		l.input.Spec.Traffic = &v1alpha1.Traffic{Service: "shop", Comparer: &v1alpha1.Comparer{Service: "audit", Port: 8080}}
		l.input.Spec.Steps = []v1alpha1.Step{{Mirror: 10}, {Weight: 20}}
		if err := r.observeVerdicts(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		if v := l.input.Verdict; len(v.Excused) != want || v.Total != 2-want || v.Outcome != v1alpha1.VerdictInconclusive {
			t.Errorf("step %d: %+v", index, v)
		}
	}
}
