package judge

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

const (
	secondOfStable = "shop-stable-ccccc"
	ofCanary       = "shop-abcdef0123-bbbbb"
)

// breaks lets pods report a value for a row, such as NaN for total, in place of their counters.
func (b *bench) breaks(of map[string][2]string) {
	b.source.mu.Lock()
	defer b.source.mu.Unlock()
	b.source.broken = of
}

// addStable adds a pod of the stable version.
func (b *bench) addStable(name string) {
	b.t.Helper()
	set := &appsv1.ReplicaSet{}
	if err := b.client.Get(b.t.Context(), types.NamespacedName{Namespace: b.runs[0].Namespace, Name: "shop-stable"}, set); err != nil {
		b.t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: set.Namespace, Name: name, UID: types.UID(name)}, Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
	if err := b.client.Create(b.t.Context(), pod); err != nil {
		b.t.Fatal(err)
	}
}

// TestABrokenPodOfStablesBlindsNothing: a healthy release passes although one of stable's pods
// exports NaN, and a bad one is rolled back. The message and the record name the pod.
func TestABrokenPodOfStablesBlindsNothing(t *testing.T) {
	for _, value := range []string{"NaN", "+Inf", "-3"} {
		for row, metric := range map[string]string{"total": "requests", "bad": "errors"} {
			for bad, want := range map[float64]v1alpha1.VerdictOutcome{0: v1alpha1.VerdictPass, 10: v1alpha1.VerdictFail} {
				b := newBench(t, 1)
				b.addStable(secondOfStable)
				b.breaks(map[string][2]string{secondOfStable: {row, value}})
				for range 40 {
					b.source.serve(500, bad)
					b.poll()
				}
				got := b.newest("availability")
				said := `pods left out: 1 (pod "` + secondOfStable + `" reports the value ` + value + ` for ` + metric + `: it must be finite and not negative)`
				if got.Outcome != want || !strings.Contains(got.Message, said) || got.BlindSince != nil {
					t.Errorf("%s of %s, %v bad: %s %s since %v: %s; want %s saying %s", value, row, bad, got.Outcome, got.Reason, got.BlindSince, got.Message, want, said)
				}
				if without := prometheus.Digest(nil); got.SamplesSHA256 == "" || got.SamplesSHA256 == without {
					t.Errorf("the record has the samples %q", got.SamplesSHA256)
				}
			}
		}
	}
}

// TestACounterBelow0SpoilsNoSum: a pod whose counter was decreased below 0 reports 2^64 once. Its
// sum would be there for the rest of the run.
func TestACounterBelow0SpoilsNoSum(t *testing.T) {
	for _, pod := range []string{"shop-stable-aaaaa", ofCanary} {
		b := newBench(t, 1)
		b.addStable(secondOfStable)
		polls := func(n int, broken map[string][2]string) v1alpha1.TriggerAnalysis {
			b.breaks(broken)
			for range n {
				b.source.serve(500, 0)
				b.poll()
			}
			return b.newest("availability")
		}
		polls(5, nil)
		if got := polls(1, map[string][2]string{pod: {"total", "1.8446744073709551615e+19"}}); !strings.Contains(got.Message, pod) || !strings.Contains(got.Message, "above 2^53") {
			t.Errorf("%s: %s %s: %s", pod, got.Outcome, got.Reason, got.Message)
		}
		if got := polls(30, nil); got.Outcome != v1alpha1.VerdictPass || got.Canary.Total != 1750 {
			t.Errorf("%s, later: %s %s: %s, %+v", pod, got.Outcome, got.Reason, got.Message, got.Canary)
		}
	}
}

// TestADoubtNamesWhatIsLeftOut: when most of stable's pods cannot be counted, its share is too
// small. The message names one of them, because a reader would look at the routes.
func TestADoubtNamesWhatIsLeftOut(t *testing.T) {
	for pods, want := range map[int]analysis.Reason{1: analysis.BaselineMissing, 2: analysis.WeightMismatch} {
		b := newBench(t, 1)
		b.source.serve(500, 0)
		b.poll()
		broken := map[string][2]string{secondOfStable: {"total", "NaN"}}
		if pods == 1 {
			broken = map[string][2]string{"shop-stable-aaaaa": {"total", "NaN"}}
		} else {
			b.addStable(secondOfStable)
		}
		b.breaks(broken)
		for range 10 {
			b.source.serve(500, 0)
			if pods > 1 {
				// The pod that is left has little of what stable serves.
				b.source.stable.Total -= 445
			}
			b.poll()
		}
		got := b.newest("availability")
		if got.Reason != string(want) || !strings.Contains(got.Message, "reports the value NaN for requests") {
			t.Errorf("%d pods: %s: %s", pods, got.Reason, got.Message)
		}
	}
}

// TestACandidateCannotHideBehindNaN: while its only pod's counters are no numbers, nothing
// passes, however long. What they had counted meanwhile counts when they are numbers again.
func TestACandidateCannotHideBehindNaN(t *testing.T) {
	for _, row := range []string{"total", "bad"} {
		b := newBench(t, 1)
		b.source.serve(500, 0)
		b.poll()
		b.breaks(map[string][2]string{ofCanary: {row, "NaN"}})
		for range 40 {
			b.source.serve(500, 10)
			b.poll()
			if got := b.newest("availability"); got.Reason != string(analysis.PartialCoverage) || got.BlindSince == nil || !strings.Contains(got.Message, ofCanary) || !strings.Contains(got.Message, "NaN") {
				t.Fatalf("%s %s since %v: %s", got.Outcome, got.Reason, got.BlindSince, got.Message)
			}
		}
		b.breaks(nil)
		for range 20 {
			b.source.serve(500, 10)
			b.poll()
		}
		if got := b.newest("availability"); got.Outcome != v1alpha1.VerdictFail || got.Canary == nil || got.Canary.Bad < 400 {
			t.Errorf("%s %s: %s, %+v", got.Outcome, got.Reason, got.Message, got.Canary)
		}
	}
}

// TestABrokenStableIsNoBaseline: when no pod of stable's can be counted there is nothing to
// compare with, and that is not taken for a stable version that serves nothing.
func TestABrokenStableIsNoBaseline(t *testing.T) {
	b := newBench(t, 1)
	b.breaks(map[string][2]string{"shop-stable-aaaaa": {"total", "NaN"}})
	for range 40 {
		b.source.serve(500, 10)
		b.poll()
	}
	if got := b.newest("availability"); got.Outcome != v1alpha1.VerdictInconclusive || got.Reason != string(analysis.BaselineMissing) || !strings.Contains(got.Message, `pod "shop-stable-aaaaa" reports the value NaN for requests`) {
		t.Errorf("%s %s: %s", got.Outcome, got.Reason, got.Message)
	}
}

// TestABrokenGauge is one pod's, like a broken counter.
func TestABrokenGauge(t *testing.T) {
	b := saturationBench(t, nil)
	b.addStable(secondOfStable)
	b.breaks(map[string][2]string{ofCanary: {"value", "+Inf"}})
	b.gives(b.uses(1e9, 1.2e9, 3), analysis.PartialCoverage, `pod "`+ofCanary+`" reports the value +Inf for memory_bytes: it must be finite and not negative; the samples of 1 of the candidate's 1 ready pods cannot be used`)
	b.breaks(map[string][2]string{secondOfStable: {"value", "NaN"}})
	b.gives(b.uses(1e9, 1.6e9, 3), analysis.BaselineMissing, `1 of stable's 2 ready pods have a fresh value, 90 % are needed to compare with; pods left out: 1 (pod "`+secondOfStable+`" reports the value NaN for memory_bytes: it must be finite and not negative)`)
	// A gauge may be greater than a counter.
	b.breaks(map[string][2]string{ofCanary: {"value", "1.8446744073709551615e+19"}, secondOfStable: {}})
	b.gives(b.uses(1e9, 1.2e9, 3), analysis.Pending, "above 1.5 times stable's")
	// A pod without a broken row has the counters of stable's.
	b.breaks(map[string][2]string{secondOfStable: {}})
	b.gives(b.uses(1e9, 1.6e9, 8), analysis.Saturated, "above 1.5 times stable's (1.5G)")
}
