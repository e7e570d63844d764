package judge

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
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
			random := rand.New(rand.NewPCG(1, 2))
			for i := range v1alpha1.MaxTriggers {
				var pods []analysis.PodCounter
				for range 500 {
					pods = append(pods, counter(fmt.Sprintf("%s-%08x", strings.Repeat("p", 60), random.Uint32()), float64(random.Uint32()), 0, time.Unix(1, 0)))
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
			if len(raw) > maxAnalysisSize+1<<10 {
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

// Evidence that does not fit is lost, and that is counted.
func TestAStateThatDoesNotFitWithoutItsPodsIsLost(t *testing.T) {
	noise := make([]byte, 2*maxAnalysisSize)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	state := restore(nil)
	state.Ledgers[hex.EncodeToString(noise)] = analysis.Ledger{}
	record, err := recordOf(&v1alpha1.AnalysisStatus{}, state)
	if err != nil {
		t.Fatal(err)
	}
	if got := restore(record); got.Lost != 1 || len(got.Ledgers) != 0 {
		t.Errorf("lost %d times, with %d ledgers", got.Lost, len(got.Ledgers))
	}
}

// TestTheStateOfFiveThousandPodsIsKept: a promotion has twice as many, for each of three
// indicators, and another process continues from all of them.
func TestTheStateOfFiveThousandPodsIsKept(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	now := time.Unix(1_800_000_000, 0)
	state := restore(nil)
	for i := range 3 {
		var sides [2][]analysis.PodCounter
		for side := range sides {
			for range 5000 {
				name := fmt.Sprintf("checkout-service-%d-%05x@%07x", side, random.Uint32()>>12, random.Uint32()>>4)
				sides[side] = append(sides[side], counter(name, float64(100+random.IntN(1_000_000)), float64(random.IntN(100)), now.Add(-time.Duration(random.IntN(15_000))*time.Millisecond)))
			}
		}
		state.Ledgers[fmt.Sprint("Guardrail/checkout/slo/", i)] = analysis.Ledger{}.Advance(analysis.Poll{EvaluatedAt: now, Stable: sides[0], Canary: sides[1]}, now)
	}
	record, err := recordOf(&v1alpha1.AnalysisStatus{}, state)
	if err != nil {
		t.Fatal(err)
	}
	got := restore(record)
	if got.Lost != 0 || len(got.Ledgers["Guardrail/checkout/slo/2"].Pods) != 10_000 {
		t.Errorf("%d KiB: %d states are lost, and %d of 10000 pods are known", len(record.State.Raw)>>10, got.Lost, len(got.Ledgers["Guardrail/checkout/slo/2"].Pods))
	}
	if v, ok := got.Ledgers["Guardrail/checkout/slo/2"].Answers(analysis.Poll{EvaluatedAt: now}); !ok {
		t.Errorf("the ledger is not complete: %s", v.Message)
	}
	t.Logf("%d KiB", len(record.State.Raw)>>10)
}
