package judge

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

func shownSeries() int { return testutil.CollectAndCount(triggerStatistic) }

func TestTriggerSeriesFollowARun(t *testing.T) {
	run := &v1alpha1.RolloutRun{}
	run.Namespace, run.Spec.Rollout.Name = "shop", "checkout"
	verdict := v1alpha1.TriggerAnalysis{Kind: "Guardrail", Guardrail: "shop", Name: "availability", Outcome: v1alpha1.VerdictPass, Statistics: []v1alpha1.Statistic{
		{Name: "burn", Value: "1.5"}, {Name: "logThreshold", Value: "5.3"}, {Name: "somethingNew", Value: "1"}, {Name: "burnLong", Value: "not a number"}}}
	var shown shownTriggers
	show := func(all ...v1alpha1.TriggerAnalysis) int {
		shown.show(run, all)
		return shownSeries()
	}
	if n := show(verdict); n != 2 {
		t.Errorf("%d statistics, want the two of the closed set that are numbers", n)
	}
	verdict.Statistics = append([]v1alpha1.Statistic{{Name: "burn", Value: "2.5"}}, verdict.Statistics[1:]...)
	show(verdict)
	if got := testutil.ToFloat64(triggerStatistic.WithLabelValues("shop", "checkout", "shop/availability", "burn")); got != 2.5 {
		t.Errorf("burn is %v, want the newest", got)
	}
	namesake := verdict
	namesake.Kind = "ClusterGuardrail"
	if n := show(verdict, namesake); n != 4 {
		t.Errorf("%d statistics of two triggers of one name", n)
	}
	blind := verdict
	blind.Outcome, blind.Statistics = v1alpha1.VerdictError, nil
	if n := show(blind); n != 0 {
		t.Errorf("%d statistics of a blind trigger and one that is gone", n)
	}
	show(verdict)
	shown.hide()
	if n := shownSeries(); n != 0 {
		t.Errorf("%d series are left of a run that ended", n)
	}
}

// TestTheSeriesOfARunEndWithIt, also when its Rollout is deleted.
func TestTheSeriesOfARunEndWithIt(t *testing.T) {
	for name, gone := range map[string]client.Object{"its Rollout": &v1alpha1.Rollout{}, "the run": &v1alpha1.RolloutRun{}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 1)
			b.poll()
			if shownSeries() == 0 {
				t.Fatal("no statistics of a trigger in progress")
			}
			key := b.runs[0]
			if _, isRollout := gone.(*v1alpha1.Rollout); isRollout {
				key.Name = "shop"
			}
			if err := b.client.Get(t.Context(), key, gone); err != nil {
				t.Fatal(err)
			}
			if err := b.client.Delete(t.Context(), gone); err != nil {
				t.Fatal(err)
			}
			b.poll()
			if n := shownSeries(); n != 0 {
				t.Errorf("%d series are left", n)
			}
		})
	}
}

// BenchmarkShowTriggers is what a poll of all runs spends on their series.
func BenchmarkShowTriggers(b *testing.B) {
	const runs = 1000
	var statistics []v1alpha1.Statistic
	for _, name := range []string{"burn", "logRelative", "logAbsolute", "logThreshold", "falseAlarms", "budgetSpent"} {
		statistics = append(statistics, v1alpha1.Statistic{Name: name, Value: "1.25"})
	}
	var verdicts []v1alpha1.TriggerAnalysis
	for _, name := range []string{"errors", "latency", "lost"} {
		verdicts = append(verdicts, v1alpha1.TriggerAnalysis{Kind: "Guardrail", Guardrail: "shop", Name: name, Outcome: v1alpha1.VerdictPass, Statistics: statistics})
	}
	shown, all := make([]shownTriggers, runs), make([]*v1alpha1.RolloutRun, runs)
	for i := range all {
		all[i] = &v1alpha1.RolloutRun{}
		all[i].Namespace, all[i].Spec.Rollout.Name = fmt.Sprintf("team-%d", i), "shop"
	}
	for b.Loop() {
		for i := range all {
			shown[i].show(all[i], verdicts)
		}
	}
	for i := range shown {
		shown[i].hide()
	}
}
