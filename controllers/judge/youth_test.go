package judge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources/sourcestest"
)

// another adds a pod of the candidate, and to each response counters of its own.
func (b *bench) another(name string, ready corev1.ConditionStatus, since time.Time, counts func() (total, bad float64)) {
	b.t.Helper()
	pod := &corev1.Pod{}
	if err := b.client.Get(b.t.Context(), types.NamespacedName{Namespace: b.runs[0].Namespace, Name: "shop-abcdef0123-bbbbb"}, pod); err != nil {
		b.t.Fatal(err)
	}
	other := pod.DeepCopy()
	other.Name, other.UID, other.ResourceVersion = name, types.UID(name), ""
	other.CreationTimestamp = metav1.NewTime(b.clock.Now())
	other.Status.Conditions[0].Status, other.Status.Conditions[0].LastTransitionTime = ready, metav1.NewTime(since)
	if err := b.client.Create(b.t.Context(), other); err != nil {
		b.t.Fatal(err)
	}
	inner := b.source.Config.Handler
	b.source.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if query := r.FormValue("query"); sourcestest.IsProbe(query) || strings.HasPrefix(query, "topk(") {
			inner.ServeHTTP(w, r)
			return
		}
		rec := httptest.NewRecorder()
		inner.ServeHTTP(rec, r)
		var answer map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
			panic(err)
		}
		data := answer["data"].(map[string]any)
		now := float64(b.clock.Now().UnixMilli()) / 1000
		total, bad := counts()
		for k, v := range map[string]float64{"total": total, "bad": bad, "ts": now} {
			data["result"] = append(data["result"].([]any), map[string]any{
				"metric": map[string]string{"namespace": b.runs[0].Namespace, "pod": name, "k": k}, "value": []any{now, fmt.Sprintf("%.3f", v)}})
		}
		w.Header().Set("Date", b.clock.Now().UTC().Format(http.TimeFormat))
		_ = json.NewEncoder(w).Encode(answer)
	})
}

// setReady changes a pod's condition Ready now.
func (b *bench) setReady(name string, ready corev1.ConditionStatus) {
	b.t.Helper()
	pod := &corev1.Pod{}
	if err := b.client.Get(b.t.Context(), types.NamespacedName{Namespace: b.runs[0].Namespace, Name: name}, pod); err != nil {
		b.t.Fatal(err)
	}
	pod.Status.Conditions[0].Status, pod.Status.Conditions[0].LastTransitionTime = ready, metav1.NewTime(b.clock.Now())
	if err := b.client.Status().Update(b.t.Context(), pod); err != nil {
		b.t.Fatal(err)
	}
}

// The readiness probes of a starting pod are answered with 503, as they should be,
// and counted as requests.
func TestReadinessProbesDoNotConvict(t *testing.T) {
	b := newBench(t, 1)
	const starting = "shop-abcdef0123-ddddd"
	served, bad := 0.0, 0.0
	b.another(starting, corev1.ConditionFalse, b.clock.Now(), func() (float64, float64) { return served, bad })
	polls := func(n int, probes float64) {
		for range n {
			served, bad = served+1, bad+probes
			b.source.serve(500, 0)
			b.poll()
		}
	}
	polls(12, 1)
	b.setReady(starting, corev1.ConditionTrue)
	served, bad = served+20, bad+20
	polls(6, 0)
	// It loses its readiness and is ready again before the next poll: what made it lose it
	// counts, and is one burst on one pod.
	b.clock.Step(time.Second)
	b.setReady(starting, corev1.ConditionTrue)
	served, bad = served+20, bad+20
	// The evidence is sufficient, so a pass needs 1500 newer requests within the limit.
	polls(36, 0)
	b.clock.Step(v1alpha1.VerdictsRenewed)
	polls(1, 0)
	// It serves one request a poll; the first since it is ready is a baseline.
	want := v1alpha1.ArmCounts{Total: 54*50 + 41 + 21, Bad: 20}
	if got := b.recorded(b.runs[0]); got.Outcome != v1alpha1.VerdictPass || *got.Canary != want {
		t.Errorf("%s, counted %+v, want %+v: %s", got.Outcome, got.Canary, want, got.Message)
	}
}

// A burn trigger is not convicted by the first minute of a pod, and is by what comes after.
func TestABurnTriggerLeavesTheYouthOfAPodOut(t *testing.T) {
	for _, warmUp := range []time.Duration{0, time.Minute} {
		b := newBench(t, 1)
		b.edit(func(g *v1alpha1.GuardrailSpec) {
			g.Triggers = []v1alpha1.Trigger{{
				Name: "burn", SLO: "availability", WarmUp: &metav1.Duration{Duration: warmUp},
				Burn: &v1alpha1.BurnTrigger{Rate: "14.4", Long: metav1.Duration{Duration: 5 * time.Minute}, Short: metav1.Duration{Duration: time.Minute}},
			}}
		})
		b.setReady("shop-abcdef0123-bbbbb", corev1.ConditionTrue)
		for range 12 {
			b.source.serve(500, 5)
			b.poll()
		}
		got := b.verdictOf(b.runs[0], "burn")
		if failed := got.Outcome == v1alpha1.VerdictFail; failed != (warmUp == 0) {
			t.Errorf("warm-up %s: 10 %% errors in the first minute are %s %s: %s", warmUp, got.Outcome, got.Reason, got.Message)
		}
		for range 12 {
			b.source.serve(500, 5)
			b.poll()
		}
		if got := b.verdictOf(b.runs[0], "burn"); got.Reason != string(analysis.BurnRateExceeded) {
			t.Errorf("warm-up %s: 10 %% errors after the first minute are %s: %s", warmUp, got.Reason, got.Message)
		}
	}
}

// A second pod of the candidate counts an error before its first request. It is left out,
// and the others are judged.
func TestAPodsNonsenseIsThatPodsAlone(t *testing.T) {
	for _, ready := range []corev1.ConditionStatus{corev1.ConditionTrue, corev1.ConditionFalse} {
		b := newBench(t, 1)
		polls := func(n int, bad float64) {
			for range n {
				b.source.serve(500, bad)
				b.poll()
			}
		}
		polls(12, 0)
		b.another("shop-abcdef0123-ddddd", ready, b.clock.Now(), func() (float64, float64) { return 0, 1 })
		polls(13, 0)
		got := b.recorded(b.runs[0])
		if ready == corev1.ConditionTrue && (got.Reason != string(analysis.PartialCoverage) || !strings.Contains(got.Message, `pod "shop-abcdef0123-ddddd" reports 1 bad requests of 0`)) {
			t.Errorf("one of two ready pods cannot be used: %s %s: %s", got.Outcome, got.Reason, got.Message)
		}
		if ready == corev1.ConditionFalse && (got.Outcome != v1alpha1.VerdictPass || !strings.HasSuffix(got.Message, "the series of bad must be a subset of those of total)") || !strings.Contains(got.Message, "; pods left out: 1 (pod")) {
			t.Errorf("a pod that is not ready cannot be used: %s %s: %s", got.Outcome, got.Reason, got.Message)
		}
		if counted := got.Canary.Total; counted < 18*50 {
			t.Errorf("%d requests are counted after 25 polls of 50", counted)
		}
		for i := range 8 {
			b.another(fmt.Sprintf("shop-abcdef0123-eeee%d", i), corev1.ConditionTrue, b.clock.Now(), func() (float64, float64) { return 0, 0 })
		}
		polls(60, 25)
		if got := b.recorded(b.runs[0]); got.Outcome != v1alpha1.VerdictFail {
			t.Errorf("five minutes of 50 %% errors on the other pods are %s %s: %s", got.Outcome, got.Reason, got.Message)
		}
	}
}

// The clock was set back after a poll: what is counted is newer than the response.
func TestCountsThatAreNewerThanTheResponseAreNotJudged(t *testing.T) {
	b := newBench(t, 1)
	for range 12 {
		b.source.serve(500, 0)
		b.poll()
	}
	memory := b.loop.memories[b.runs[0]]
	for key, l := range memory.state.Ledgers {
		l.EvaluatedAt = l.EvaluatedAt.Add(time.Hour)
		memory.state.Ledgers[key] = l
	}
	b.source.serve(500, 25)
	b.poll()
	if got := b.recorded(b.runs[0]); got.Reason != string(analysis.Stale) || !strings.Contains(got.Message, "was set back") {
		t.Errorf("%s %s: %s", got.Outcome, got.Reason, got.Message)
	}
}
