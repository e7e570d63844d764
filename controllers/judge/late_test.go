package judge

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources"
	"belay.dev/belay/controllers/sources/sourcestest"
)

// gate holds every answer of a source while it is shut.
type gate struct {
	sync.RWMutex
	queries int
}

// slowSource adds a source whose answers wait for the gate, which is shut, and a
// guardrail of the first run that asks it.
func (b *bench) slowSource() *gate {
	b.t.Helper()
	g := &gate{}
	g.Lock()
	slow := newShopSource(b.t, b.clock)
	inner := slow.Config.Handler
	slow.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.RLock()
		defer g.RUnlock()
		if !sourcestest.IsProbe(r.FormValue("query")) {
			g.queries++
		}
		inner.ServeHTTP(w, r)
	})
	source := sourcestest.At(slow.URL, 1000)
	source.Name, source.Spec.ScrapeInterval.Duration = "slow", time.Second
	if err := b.client.Create(b.t.Context(), source); err != nil {
		b.t.Fatal(err)
	}
	run := &v1alpha1.RolloutRun{}
	if err := b.client.Get(b.t.Context(), b.runs[0], run); err != nil {
		b.t.Fatal(err)
	}
	other := run.Spec.Guardrails[0].DeepCopy()
	other.Name, other.Spec.Source = "slow", "slow"
	run.Spec.Guardrails = append(run.Spec.Guardrails, *other)
	if err := b.client.Update(b.t.Context(), run); err != nil {
		b.t.Fatal(err)
	}
	return g
}

// open opens the gate, and waits until what was sent has its response.
func (b *bench) open(g *gate) {
	g.Unlock()
	waiting := b.loop.memories[b.runs[0]].waiting
	for key, p := range waiting {
		got := <-p.response
		again := make(chan sources.Result, 1)
		again <- got
		p.response = again
		waiting[key] = p
	}
}

func (b *bench) verdictOfSlow() v1alpha1.TriggerAnalysis {
	b.t.Helper()
	run := &v1alpha1.RolloutRun{}
	if err := b.client.Get(b.t.Context(), b.runs[0], run); err != nil {
		b.t.Fatal(err)
	}
	if v := run.Status.Analysis.Trigger("Guardrail", "slow", "availability"); v != nil {
		return *v
	}
	b.t.Fatal("no verdict of the slow source's trigger")
	return v1alpha1.TriggerAnalysis{}
}

// TestASlowSourceHoldsBackNoVerdictOfItsRun: what the fast source shows convicts
// while the slow one has yet to answer, and is asked once.
func TestASlowSourceHoldsBackNoVerdictOfItsRun(t *testing.T) {
	b := newBench(t, 1)
	g := b.slowSource()
	for range 12 {
		b.source.serve(2000, 100)
		b.poll()
	}
	if got := b.recorded(b.runs[0]); got.Outcome != v1alpha1.VerdictFail {
		t.Errorf("the fast source's trigger is %s: %s", got.Outcome, got.Message)
	}
	if got := b.verdictOfSlow(); got.Reason != string(analysis.Pending) || !strings.Contains(got.Message, "no response from the source yet") {
		t.Errorf("the slow source's trigger is %s: %s", got.Reason, got.Message)
	}
	b.open(g)
	b.clock.Step(v1alpha1.VerdictsRenewed)
	b.poll()
	if got := b.verdictOfSlow(); got.Reason == string(analysis.Pending) {
		t.Errorf("once it has answered, its trigger is still %s", got.Message)
	}
	if g.queries != 1 {
		t.Errorf("the slow source was asked %d times, want once", g.queries)
	}
}

// TestALateResponseSaysNothingOfTheNextStage: it was evaluated before the present weight
// was acknowledged, so the source is queried again.
func TestALateResponseSaysNothingOfTheNextStage(t *testing.T) {
	b := newBench(t, 1)
	g := b.slowSource()
	b.poll()
	rollout := &v1alpha1.Rollout{}
	key := client.ObjectKey{Namespace: b.runs[0].Namespace, Name: "shop"}
	if err := b.client.Get(t.Context(), key, rollout); err != nil {
		t.Fatal(err)
	}
	acknowledged := metav1.NewTime(b.clock.Now().Add(time.Second))
	rollout.Status.Step.AcknowledgedAt = &acknowledged
	if err := b.client.Status().Update(t.Context(), rollout); err != nil {
		t.Fatal(err)
	}
	b.open(g)
	b.poll()
	if got := b.verdictOfSlow(); got.Reason != string(analysis.Pending) {
		t.Errorf("by a response from before the stage its trigger is %s: %s", got.Reason, got.Message)
	}
	b.clock.Step(v1alpha1.VerdictsRenewed)
	b.poll()
	if got := b.verdictOfSlow(); got.Reason == string(analysis.Pending) || g.queries != 2 {
		t.Errorf("queried %d times, want twice, its trigger is %s: %s", g.queries, got.Reason, got.Message)
	}
}

// TestPreflightAsksAboutAllObjectivesAtOnce: each waits until the others are asked.
func TestPreflightAsksAboutAllObjectivesAtOnce(t *testing.T) {
	const objectives = 4
	b := newBench(t, 1)
	var all sync.WaitGroup
	all.Add(objectives)
	b.source.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		all.Done()
		all.Wait()
	})
	b.edit(func(g *v1alpha1.GuardrailSpec) {
		g.Preflight = &v1alpha1.Preflight{BudgetRemaining: "10"}
		for _, name := range []string{"b", "c", "d"} {
			slo := g.SLOs[0]
			slo.Name = name
			g.SLOs = append(g.SLOs, slo)
		}
	})
	if got := b.preflight(); got == nil || got.Reason == string(analysis.Timeout) {
		t.Errorf("the pre-flight is %+v: the objectives were asked for one after another", got)
	}
}
