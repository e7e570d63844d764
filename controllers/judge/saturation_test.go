package judge

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// saturationBench judges memory: more than 1.5 times stable's, for 30 s.
func saturationBench(t *testing.T, change func(*v1alpha1.Trigger)) *bench {
	t.Helper()
	b := newBench(t, 1)
	trigger := v1alpha1.Trigger{Name: "memory", WarmUp: &metav1.Duration{}, Saturation: &v1alpha1.SaturationTrigger{
		Gauge: &v1alpha1.Series{Metric: "memory_bytes"}, WorseThan: "1.5", For: metav1.Duration{Duration: 30 * time.Second}}}
	if change != nil {
		change(&trigger)
	}
	b.edit(func(g *v1alpha1.GuardrailSpec) { g.Triggers = []v1alpha1.Trigger{trigger} })
	b.source.stableSeries, b.source.canarySeries = map[string]string{"0": "1"}, map[string]string{"0": "1"}
	return b
}

// uses sets what the pods of both versions use, and polls until the next record.
func (b *bench) uses(stable, canary float64, polls int) v1alpha1.TriggerAnalysis {
	b.t.Helper()
	b.source.mu.Lock()
	b.source.stable, b.source.canary = analysis.Counts{Total: stable}, analysis.Counts{Total: canary}
	b.source.mu.Unlock()
	for range polls {
		b.poll()
	}
	return b.newest("memory")
}

// newest is the newest verdict, which may not be recorded yet.
func (b *bench) newest(trigger string) v1alpha1.TriggerAnalysis {
	b.t.Helper()
	return *b.loop.memories[b.runs[0]].newest.Trigger("Guardrail", "shop", trigger)
}

func (b *bench) gives(got v1alpha1.TriggerAnalysis, want analysis.Reason, text string) {
	b.t.Helper()
	if got.Reason != string(want) || !strings.Contains(got.Message, text) {
		b.t.Fatalf("got %s %s: %s, want %s: %s", got.Outcome, got.Reason, got.Message, want, text)
	}
}

func TestSaturationFailsAfterItsTime(t *testing.T) {
	b := saturationBench(t, nil)
	b.gives(b.uses(1e9, 1.2e9, 2), analysis.Healthy, "canary 1.2G, stable 1G; 20.0 % below 1.5 times stable's (1.5G)")
	b.gives(b.uses(1e9, 1.6e9, 6), analysis.Pending, "above 1.5 times stable's (1.5G) for 25s of 30s")
	// A look below begins the time again.
	b.gives(b.uses(1e9, 1.4e9, 1), analysis.Healthy, "6.7 % below")
	b.gives(b.uses(1e9, 1.6e9, 6), analysis.Pending, "for 25s of 30s")
	b.gives(b.uses(1e9, 1.6e9, 1), analysis.Saturated, "above 1.5 times stable's (1.5G) for 30s without a break")
	// It is final.
	b.gives(b.uses(1e9, 1e9, 1), analysis.Saturated, "without a break")
	got := b.verdictOf(b.runs[0], "memory")
	if got.Outcome != v1alpha1.VerdictFail || got.FirstFailAt == nil || got.SamplesSHA256 == "" || !strings.Contains(got.Query, `sum by (namespace, pod) (memory_bytes{`) {
		t.Errorf("recorded %+v", got)
	}
	if s := statistic(&got, "canary"); s != 1.6e9 || statistic(&got, "stable") != 1e9 || statistic(&got, "bound") != 1.5e9 || statistic(&got, "since") != float64(b.clock.Now().Add(-35*time.Second).Unix()) {
		t.Errorf("recorded the statistics %+v", got.Statistics)
	}
	if len(b.loop.memories[b.runs[0]].state.Ledgers) != 0 {
		t.Error("a gauge is counted in a ledger")
	}
}

// TestAnotherProcessKeepsTheTimeAbove, which it reads from the run.
func TestAnotherProcessKeepsTheTimeAbove(t *testing.T) {
	b := saturationBench(t, func(trigger *v1alpha1.Trigger) { trigger.Saturation.For.Duration = time.Minute })
	b.gives(b.uses(1e9, 1.6e9, 4), analysis.Pending, "for 15s of 1m0s")
	// It was written when the time began; the polls after that were not.
	b.restart()
	b.gives(b.uses(1e9, 1.6e9, 1), analysis.Pending, "for 20s of 1m0s")
	b.gives(b.uses(1e9, 1.6e9, 8), analysis.Saturated, "for 1m0s without a break")
}

func TestSaturationIsNotJudgedWithoutSamples(t *testing.T) {
	b := saturationBench(t, nil)
	b.gives(b.uses(1e9, 1.6e9, 5), analysis.Pending, "for 20s of 30s")
	b.source.fail(true)
	b.gives(b.uses(1e9, 1.6e9, 1), analysis.HTTP5xx, "")
	b.source.fail(false)
	// One response that is missing is no break.
	b.gives(b.uses(1e9, 1.6e9, 1), analysis.Saturated, "for 30s without a break")

	b = saturationBench(t, func(trigger *v1alpha1.Trigger) { trigger.Saturation.For.Duration = time.Minute })
	b.gives(b.uses(1e9, 1.6e9, 5), analysis.Pending, "for 20s of 1m0s")
	b.source.fail(true)
	b.gives(b.uses(1e9, 1.6e9, 3), analysis.HTTP5xx, "")
	b.source.fail(false)
	b.gives(b.uses(1e9, 1.6e9, 1), analysis.Pending, "for 0s of 1m0s")
	b.source.unscraped = []string{b.runs[0].Namespace}
	b.gives(b.uses(1e9, 1.6e9, 1), analysis.PartialCoverage, "the source has no series memory_bytes for any pod")
	b.source.unscraped = nil
	b.gives(b.uses(1e9, 1.6e9, 1), analysis.Pending, "for 0s of 1m0s")
}

func TestSaturationDividesByPer(t *testing.T) {
	b := saturationBench(t, func(trigger *v1alpha1.Trigger) {
		s := trigger.Saturation
		s.Per, s.WorseThan, s.Max = &v1alpha1.Series{Metric: "limit_bytes"}, "", "0.9"
	})
	b.source.stableSeries, b.source.canarySeries = map[string]string{"0": "1", "1": "1"}, map[string]string{"0": "1", "1": "1"}
	use := func(value, limit float64) v1alpha1.TriggerAnalysis {
		b.source.canary = analysis.Counts{Total: value, Bad: limit}
		b.poll()
		return b.newest("memory")
	}
	b.source.stable = analysis.Counts{Total: 1, Bad: 4}
	b.gives(use(3, 4), analysis.Healthy, "canary 0.75, stable 0.25; 16.7 % below max 0.9")
	b.gives(use(4, 4), analysis.Pending, "canary 1, stable 0.25; above max 0.9")
	b.gives(use(4, 0), analysis.PartialCoverage, "nothing above 0 in per")
	b.gives(use(0, 0), analysis.Healthy, "canary 0, stable 0.25")
}

// TestASaturationTriggerWithoutItsLabelIsNoPass: its matcher would select nothing.
func TestASaturationTriggerWithoutItsLabelIsNoPass(t *testing.T) {
	b := saturationBench(t, func(trigger *v1alpha1.Trigger) {
		trigger.Saturation.Gauge.Matchers = []v1alpha1.Matcher{{Name: "container", Op: "!="}}
	})
	b.source.labels = "name image"
	b.source.stableSeries, b.source.canarySeries = map[string]string{"0,": "1"}, map[string]string{"0,": "1"}
	b.gives(b.uses(1e9, 1e9, 1), analysis.UnknownLabel, `has the label "container"`)
	b.source.stableSeries, b.source.canarySeries = map[string]string{"0,1": "1"}, map[string]string{"0,1": "1"}
	b.gives(b.uses(1e9, 1e9, int(probeAgain/pollsEvery)+1), analysis.Healthy, "canary 1G")
}

// TestSaturationLeavesPodsOut that are not ready, or not of the run.
func TestSaturationLeavesPodsOut(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	tr := &evaluation{run: &v1alpha1.RolloutRun{}, stageFrom: now, pods: map[string]podState{
		"s-1": {side: sideStable, ready: true, readyAt: now}, "s-2": {side: sideStable}, "c-2": {side: sideCanary, ready: true, readyAt: now},
		"c-1": {side: sideCanary, ready: true}, "c-3": {side: sideCanary}, "p-1": {side: sidePast, ready: true},
	}}
	l := tr.loads(result{}, false, 0)
	names := ""
	for _, pods := range [][]analysis.Load{l.Canary, l.Stable} {
		for _, p := range pods {
			names += p.Pod + " "
		}
	}
	tr.weight = 100
	if without := tr.loads(result{}, false, 0).Weight; without != 0 {
		t.Errorf("weight %d without routes", without)
	}
	tr.run.Spec.Traffic = &v1alpha1.Traffic{}
	if with := tr.loads(result{}, false, 0).Weight; with != 100 {
		t.Errorf("weight %d with routes", with)
	}
	if names != "c-1 c-2 s-1 " || !l.StageFrom.Equal(now) || !l.Canary[1].ReadyAt.Equal(now) || !l.Canary[0].SampledAt.IsZero() {
		t.Errorf("got %q, %+v", names, l)
	}
}

// TestTheBakeKnowsWhatStableUsed, also in another process: stable gets no requests there.
func TestTheBakeKnowsWhatStableUsed(t *testing.T) {
	b := saturationBench(t, nil)
	var run v1alpha1.RolloutRun
	if err := b.client.Get(t.Context(), b.runs[0], &run); err != nil {
		t.Fatal(err)
	}
	run.Spec.Traffic = &v1alpha1.Traffic{}
	if err := b.client.Update(t.Context(), &run); err != nil {
		t.Fatal(err)
	}
	b.gives(b.uses(1e9, 1.2e9, 8), analysis.Healthy, "stable 1G;")
	b.uses(0.9e9, 1.2e9, 8)
	var rollout v1alpha1.Rollout
	if err := b.client.Get(t.Context(), types.NamespacedName{Namespace: run.Namespace, Name: "shop"}, &rollout); err != nil {
		t.Fatal(err)
	}
	rollout.Status.Phase = v1alpha1.PhaseBaking
	if err := b.client.Status().Update(t.Context(), &rollout); err != nil {
		t.Fatal(err)
	}
	b.restart()
	b.gives(b.uses(0, 1.2e9, 3), analysis.Healthy, "canary 1.2G, stable at most 1G before weight 100, peaks left out; 20.0 % below 1.5 times stable's (1.5G)")
}
