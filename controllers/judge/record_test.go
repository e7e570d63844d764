package judge

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// largest is as many triggers as a run may have, each as large as it may be.
func largest(outcomes ...v1alpha1.VerdictOutcome) []v1alpha1.TriggerAnalysis {
	at := microTime(time.Unix(1_800_000_000, 0))
	var out []v1alpha1.TriggerAnalysis
	for i := range v1alpha1.MaxTriggers {
		t := v1alpha1.TriggerAnalysis{
			Kind: "ClusterGuardrail", Guardrail: strings.Repeat("g", 253), Name: fmt.Sprint("trigger-", i), Outcome: outcomes[i%len(outcomes)], Reason: "Regression",
			Message: strings.Repeat("m", 512), Query: strings.Repeat(`"`, 4096), EvaluatedAt: at, SamplesFrom: at, FirstFailAt: at,
		}
		for k := range 32 {
			t.Statistics = append(t.Statistics, v1alpha1.Statistic{Name: fmt.Sprint("statistic", k), Value: "0.123456789012"})
		}
		for range maxChanges {
			t.History = append(t.History, v1alpha1.VerdictChange{At: *at, Outcome: t.Outcome, Reason: t.Reason, Message: strings.Repeat("h", 256)})
		}
		out = append(out, t)
	}
	return out
}

func TestTheLargestRecordIsWritten(t *testing.T) {
	for name, outcomes := range map[string][]v1alpha1.VerdictOutcome{
		"all pass": {v1alpha1.VerdictPass},
		"mixed":    {v1alpha1.VerdictPass, v1alpha1.VerdictError, v1alpha1.VerdictFail, v1alpha1.VerdictInconclusive},
		"all fail": {v1alpha1.VerdictFail},
	} {
		t.Run(name, func(t *testing.T) {
			newest := &v1alpha1.AnalysisStatus{Triggers: largest(outcomes...)}
			state := restore(nil)
			for i := range v1alpha1.MaxTriggers {
				var pods []analysis.PodCounter
				for k := range 500 {
					pods = append(pods, counter(fmt.Sprintf("%s-%d", strings.Repeat("p", 60), k), 1, 0, time.Unix(1, 0)))
				}
				state.Ledgers[fmt.Sprint(i)] = analysis.Ledger{}.Advance(analysis.Poll{EvaluatedAt: time.Unix(2, 0), Canary: pods}, time.Time{})
			}
			record, err := recordOf(newest, state)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := json.Marshal(record)
			if err != nil {
				t.Fatal(err)
			}
			if len(raw) > maxTriggersSize+maxStateSize {
				t.Errorf("the record has %d KiB", len(raw)>>10)
			}
			if got := restore(record); got.Lost != 0 || len(got.Ledgers) != v1alpha1.MaxTriggers || got.Ledgers["0"].Pods != nil {
				t.Errorf("a state too large was lost %d times, with %d ledgers and %d pods in the first", got.Lost, len(got.Ledgers), len(got.Ledgers["0"].Pods))
			}
			for i, kept := range record.Triggers {
				was := newest.Triggers[i]
				if len(was.History) != maxChanges || was.Query == "" {
					t.Fatal("the evaluation itself was cut")
				}
				if kept.Outcome == v1alpha1.VerdictFail && (kept.Query != was.Query || kept.Message != was.Message || len(kept.Statistics) != len(was.Statistics) || len(kept.History) == 0) {
					t.Errorf("a fail lost what it was found by: %d bytes of query", len(kept.Query))
				}
			}
		})
	}
}

func TestASmallRecordIsWhole(t *testing.T) {
	newest := &v1alpha1.AnalysisStatus{Triggers: largest(v1alpha1.VerdictPass)[:8]}
	state := restore(nil)
	state.Ledgers["a"] = analysis.Ledger{}.Advance(analysis.Poll{EvaluatedAt: time.Unix(2, 0)}, time.Time{})
	record, err := recordOf(newest, state)
	if err != nil {
		t.Fatal(err)
	}
	for i, kept := range record.Triggers {
		if kept.Query == "" || len(kept.History) != maxChanges {
			t.Errorf("trigger %d was cut", i)
		}
	}
	if got := restore(record); got.Lost != 0 || len(got.Ledgers) != 1 {
		t.Errorf("the state was lost %d times, with %d ledgers", got.Lost, len(got.Ledgers))
	}
}

// 5,000 pods of a Deployment, a part of which are the canary's, and both versions whole in a
// bake.
func TestTheStateOfManyPods(t *testing.T) {
	for pods, whole := range map[int]bool{5000: true, 10_000: false} {
		var all []analysis.PodCounter
		for i := range pods {
			all = append(all, counter(fmt.Sprintf("shop-7d9f8b6c5d-%05d", i), 123_456_789, 12_345, time.UnixMilli(1_795_521_619_123)))
		}
		state := restore(nil)
		state.Ledgers["a"] = analysis.Ledger{}.Advance(analysis.Poll{EvaluatedAt: time.UnixMilli(1_795_521_620_000), Stable: all}, time.Time{})
		record, err := recordOf(&v1alpha1.AnalysisStatus{}, state)
		if err != nil {
			t.Fatal(err)
		}
		got := restore(record)
		if kept := len(got.Ledgers["a"].Pods) == pods; kept != whole || got.Lost != 0 || len(record.State.Raw) > maxStateSize {
			t.Errorf("%d pods: %d bytes, %d pods kept, %d states lost", pods, len(record.State.Raw), len(got.Ledgers["a"].Pods), got.Lost)
		}
		t.Logf("%d pods: %d KiB", pods, len(record.State.Raw)>>10)
	}
}

// Evidence that does not fit is lost, and that is counted.
func TestAStateThatDoesNotFitWithoutItsPodsIsLost(t *testing.T) {
	state := restore(nil)
	state.Ledgers[strings.Repeat("k", maxStateSize)] = analysis.Ledger{}
	record, err := recordOf(&v1alpha1.AnalysisStatus{}, state)
	if err != nil {
		t.Fatal(err)
	}
	if got := restore(record); got.Lost != 1 || len(got.Ledgers) != 0 {
		t.Errorf("lost %d times, with %d ledgers", got.Lost, len(got.Ledgers))
	}
}
