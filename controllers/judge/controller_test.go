package judge

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/guardrails"
	"belay.dev/belay/controllers/sources"
	"belay.dev/belay/controllers/sources/sourcestest"
)

// shopSource is a metrics source over HTTP with two pods: it answers any query
// with their counters, sampled just now, or not at all.
type shopSource struct {
	*httptest.Server
	clock sourcestest.Instant

	mu             sync.Mutex
	down, empty    bool
	asked          int
	stable, canary analysis.Counts
	// stablePod is the name of the stable version's pod.
	stablePod string
	// series are how many each version has of what a probe looks for, by the label k of its
	// answer; probes counts them, and labels are the names of those that exist.
	stableSeries, canarySeries map[string]string
	probes                     int
	labels                     string
	// unscraped are namespaces of which it has no series.
	unscraped []string
	// broken are the label k and the value of what pods report in place of their counters.
	broken map[string][2]string
}

func newShopSource(t *testing.T, c sourcestest.Instant) *shopSource {
	s := &shopSource{clock: c, stablePod: "shop-stable-aaaaa"}
	s.stableSeries, s.canarySeries = map[string]string{"0": "2", "1": "1"}, map[string]string{"0": "2", "1": "1"}
	s.Server = httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(s.Close)
	return s
}

func (s *shopSource) answer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.down {
		http.Error(w, "down", http.StatusInternalServerError)
		return
	}
	now := float64(s.clock.Now().UnixMilli()) / 1000
	var result []any
	w.Header().Set("Date", s.clock.Now().UTC().Format(http.TimeFormat))
	if s.empty {
		_, _ = fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
		return
	}
	if query := r.FormValue("query"); sourcestest.IsProbe(query) || strings.HasPrefix(query, "topk(") {
		s.answerProbe(w, query, now)
		return
	}
	for _, namespace := range sourcestest.Namespaces(r.FormValue("query")) {
		if slices.Contains(s.unscraped, namespace) {
			continue
		}
		pods := map[string]analysis.Counts{s.stablePod: s.stable, "shop-abcdef0123-bbbbb": s.canary}
		for pod := range s.broken {
			pods[pod] = cmp.Or(pods[pod], s.stable)
		}
		for pod, counts := range pods {
			total, bad := "total", "bad"
			if strings.Contains(r.FormValue("query"), `"k","value"`) {
				total, bad = "value", "per"
			}
			for k, v := range map[string]float64{total: counts.Total, bad: counts.Bad, "ts": now} {
				text := fmt.Sprintf("%.3f", v)
				if s.broken[pod][0] == k {
					text = s.broken[pod][1]
				}
				result = append(result, map[string]any{
					"metric": map[string]string{"namespace": namespace, "pod": pod, "k": k}, "value": []any{now, text}})
			}
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": result}})
}

func (s *shopSource) answerProbe(w http.ResponseWriter, query string, now float64) {
	var result []any
	if strings.HasPrefix(query, "topk(") {
		metric := map[string]string{"pod": s.stablePod}
		for _, name := range strings.Fields(s.labels) {
			metric[name] = "x"
		}
		result = append(result, map[string]any{"metric": metric, "value": []any{now, "1"}})
	} else {
		s.probes++
		for _, namespace := range sourcestest.Namespaces(query) {
			for set, series := range map[string]map[string]string{strings.TrimSuffix(s.stablePod, "aaaaa"): s.stableSeries, "shop-abcdef0123-": s.canarySeries} {
				for k, v := range series {
					result = append(result, map[string]any{"metric": map[string]string{"namespace": namespace, "pod": set, "k": k}, "value": []any{now, v}})
				}
			}
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": result}})
}

// serve counts so many more requests, a tenth of them by the canary.
func (s *shopSource) serve(requests, canaryBad float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.canary = s.canary.Add(analysis.Counts{Total: requests / 10, Bad: canaryBad})
	s.stable = s.stable.Add(analysis.Counts{Total: requests * 9 / 10})
}

func (s *shopSource) fail(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// bench is an analysis loop with runs in progress, on an API server that only
// stands in for one: it keeps objects and merges applied fields.
type bench struct {
	t      *testing.T
	clock  sourcestest.Instant
	source *shopSource
	client client.Client
	loop   *Reconciler
	runs   []types.NamespacedName
	writes int
}

const pollsEvery = 5 * time.Second

func newBench(t *testing.T, runs int) *bench {
	b := &bench{t: t, clock: sourcestest.Instant{FakeClock: clocktesting.NewFakeClock(time.Unix(1_800_000_000, 0))}}
	b.source = newShopSource(t, b.clock)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	source := sourcestest.At(b.source.URL, 1000)
	source.Spec.ScrapeInterval.Duration = pollsEvery
	objects := []client.Object{source}
	for i := range runs {
		namespace := fmt.Sprintf("team-%d", i)
		objects = append(objects, trialObjects(namespace, b.clock.Now())...)
		b.runs = append(b.runs, types.NamespacedName{Namespace: namespace, Name: "shop-abcdef0123-1"})
	}
	b.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.RolloutRun{}, &v1alpha1.Rollout{}, &v1alpha1.MetricSource{}).
		WithInterceptorFuncs(interceptor.Funcs{SubResourceApply: func(ctx context.Context, c client.Client, sub string, a runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
			b.writes++
			return c.SubResource(sub).Apply(ctx, a, opts...)
		}}).Build()
	b.restart()
	t.Cleanup(b.stop)
	return b
}

// stop ends the series of what was judged, as a process's end does.
func (b *bench) stop() {
	for _, run := range b.runs {
		if b.loop != nil {
			b.loop.forget(run)
		}
	}
}

// restart lets another process go on, which knows only what the API server does.
func (b *bench) restart() {
	b.stop()
	clients := sources.NewClients(nil, "belay", 100*time.Hour)
	b.loop = &Reconciler{
		Client: b.client, Breaker: sources.NewBreaker(), Clock: b.clock, Workers: 1,
		Querier: sources.NewQuerier(clients, b.clock, 0), Prober: sources.NewProber(clients, b.clock, 0),
	}
}

// trialObjects is a run at its first step, whose weight has just been
// acknowledged.
func trialObjects(namespace string, now time.Time) []client.Object {
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + "/" + name)}
	}
	guardrail := &v1alpha1.Guardrail{ObjectMeta: meta("shop"), Spec: v1alpha1.GuardrailSpec{
		Source: "default", MinimumSamples: 100, SLOs: []v1alpha1.SLO{{Name: "availability", Objective: "99.9", Period: "30d", Indicator: sourcestest.Requests("errors")}},
	}}
	pinned, err := guardrails.Pin("Guardrail", guardrail.Name, guardrail.UID, guardrail.Spec)
	if err != nil {
		panic(err)
	}
	at := metav1.NewTime(now)
	rollout := &v1alpha1.Rollout{ObjectMeta: meta("shop"), Spec: v1alpha1.RolloutSpec{
		WorkloadRef: v1alpha1.WorkloadRef{Name: "shop"}, Guardrails: []v1alpha1.GuardrailRef{{Name: "shop"}},
		Steps: []v1alpha1.Step{{Weight: 10}},
	}, Status: v1alpha1.RolloutStatus{
		Phase: v1alpha1.PhaseStepping, Run: "shop-abcdef0123-1", Step: &v1alpha1.StepStatus{EnteredAt: at, AcknowledgedAt: &at},
	}}
	run := &v1alpha1.RolloutRun{ObjectMeta: meta("shop-abcdef0123-1"), Spec: v1alpha1.RolloutRunSpec{
		Rollout: v1alpha1.RolloutIdentity{Name: "shop", UID: rollout.UID}, Workload: "shop", Revision: "abcdef0123",
		Stable: v1alpha1.PinnedRevision{Revision: v1alpha1.Revision{Revision: "0000000000", ReplicaSet: "shop-stable"}},
		Steps:  rollout.Spec.Steps, Guardrails: []v1alpha1.PinnedGuardrail{pinned}, StartedAt: at,
	}}
	objects := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, guardrail, rollout, run}
	for set, pod := range map[string]string{"shop-stable": "shop-stable-aaaaa", "shop-abcdef0123": "shop-abcdef0123-bbbbb"} {
		owner := &appsv1.ReplicaSet{ObjectMeta: meta(set), Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(1))}}
		if set != "shop-stable" {
			owner.Labels = map[string]string{v1alpha1.LabelRun: run.Name}
		}
		own := &corev1.Pod{ObjectMeta: meta(pod), Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
		own.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
		objects = append(objects, owner, own)
	}
	return objects
}

// poll lets the time of the next poll come, and every run be judged.
func (b *bench) poll() {
	b.t.Helper()
	b.clock.Step(pollsEvery)
	for _, run := range b.runs {
		if _, err := b.loop.Reconcile(b.t.Context(), reconcile.Request{NamespacedName: run}); err != nil {
			b.t.Fatal(err)
		}
	}
}

// recorded is what a run's record says of its first slo.
func (b *bench) recorded(run types.NamespacedName) v1alpha1.TriggerAnalysis {
	b.t.Helper()
	return b.verdictOf(run, "availability")
}

func (b *bench) verdictOf(run types.NamespacedName, trigger string) v1alpha1.TriggerAnalysis {
	b.t.Helper()
	r := &v1alpha1.RolloutRun{}
	if err := b.client.Get(b.t.Context(), run, r); err != nil {
		b.t.Fatal(err)
	}
	if t := r.Status.Analysis.Trigger("Guardrail", "shop", trigger); t != nil {
		return *t
	}
	b.t.Fatalf("the run has no verdict of %s", trigger)
	return v1alpha1.TriggerAnalysis{}
}

// edit changes the first run's guardrail, also as it was pinned.
func (b *bench) edit(change func(*v1alpha1.GuardrailSpec)) {
	b.t.Helper()
	g, run := &v1alpha1.Guardrail{}, &v1alpha1.RolloutRun{}
	if err := b.client.Get(b.t.Context(), types.NamespacedName{Namespace: b.runs[0].Namespace, Name: "shop"}, g); err != nil {
		b.t.Fatal(err)
	}
	if err := b.client.Get(b.t.Context(), b.runs[0], run); err != nil {
		b.t.Fatal(err)
	}
	change(&g.Spec)
	pinned, err := guardrails.Pin("Guardrail", g.Name, g.UID, g.Spec)
	if err != nil {
		b.t.Fatal(err)
	}
	run.Spec.Guardrails = []v1alpha1.PinnedGuardrail{pinned}
	for _, o := range []client.Object{g, run} {
		if err := b.client.Update(b.t.Context(), o); err != nil {
			b.t.Fatal(err)
		}
	}
}

func TestARunIsRecordedWhenThereIsNews(t *testing.T) {
	b := newBench(t, 1)
	const polls = 60
	for range polls {
		b.source.serve(500, 0)
		b.poll()
	}
	got := b.recorded(b.runs[0])
	if got.Outcome != v1alpha1.VerdictPass {
		t.Fatalf("a healthy candidate is %s: %s", got.Outcome, got.Message)
	}
	due := int(polls * pollsEvery / v1alpha1.VerdictsRenewed)
	if b.writes < due || b.writes > due+6 {
		t.Errorf("%d polls of 5 min took %d writes, want one every 30 s and a few for news", polls, b.writes)
	}
	before := b.writes
	for range 12 {
		b.source.serve(500, 25)
		b.poll()
	}
	if got := b.recorded(b.runs[0]); got.Outcome != v1alpha1.VerdictFail || got.FirstFailAt == nil {
		t.Errorf("half of the requests fail, and the record says %s: %s", got.Outcome, got.Message)
	}
	if b.writes == before {
		t.Error("the fail was not recorded")
	}
}

// TestAnotherProcessGoesOnWhereOneStopped: what was counted since the last record
// is in the counters, so nothing is counted twice and nothing is lost.
func TestAnotherProcessGoesOnWhereOneStopped(t *testing.T) {
	b := newBench(t, 1)
	b.poll()
	for i := range 40 {
		if i%7 == 0 {
			b.restart()
		}
		b.source.serve(500, 0)
		b.poll()
	}
	b.restart()
	b.clock.Step(v1alpha1.VerdictsRenewed)
	b.source.serve(500, 0)
	b.poll()
	got := b.recorded(b.runs[0])
	if got.Canary.Total != 41*50 || got.Stable.Total != 41*450 || got.Canary.Bad != 0 {
		t.Errorf("counted %+v and %+v, want 2050 and 18450", got.Canary, got.Stable)
	}
}

// TestTheAnalysisLoopThroughAnHoursOutage: every run is an Error for as long as
// its source is away, none passes and none fails, and all of them go on.
func TestTheAnalysisLoopThroughAnHoursOutage(t *testing.T) {
	b := newBench(t, 3)
	for range 12 {
		b.source.serve(500, 0)
		b.poll()
	}
	b.source.fail(true)
	before := b.writes
	for range int(time.Hour / pollsEvery) {
		b.source.serve(500, 0)
		b.poll()
	}
	for _, run := range b.runs {
		if got := b.recorded(run); got.Outcome != v1alpha1.VerdictError || got.BlindSince == nil || len(got.History) > maxChanges {
			t.Errorf("without its source a run is %s", got.Outcome)
		}
	}
	if most := len(b.runs) * int(time.Hour/v1alpha1.VerdictsRenewed+2); b.writes-before > most {
		t.Errorf("an hour of errors took %d writes, want at most %d", b.writes-before, most)
	}
	if len(b.loop.memories) != len(b.runs) {
		t.Errorf("%d runs are remembered, %d are in progress", len(b.loop.memories), len(b.runs))
	}
	if blind, runs := b.loop.Breaker.Blind("default", b.clock.Now()); blind != 3 || runs != 3 {
		t.Errorf("the breaker knows of %d blind runs of %d, want all 3", blind, runs)
	}
	b.source.fail(false)
	b.source.serve(500, 0)
	b.poll()
	for _, run := range b.runs {
		if got := b.recorded(run); got.Outcome != v1alpha1.VerdictPass || got.BlindSince != nil {
			t.Errorf("when its source is back a run is %s: %s", got.Outcome, got.Message)
		}
	}
}

// blind is how many runs the breaker counts as blind, and how many at all.
func (b *bench) blind() [2]int {
	blind, runs := b.loop.Breaker.Blind("default", b.clock.Now())
	return [2]int{blind, runs}
}

// TestABlindRunIsOneThatLostItsSource: a source without the samples that it had is blind,
// too. It is not when an app is not scraped at all, when its pods report nonsense, or when
// its own query cannot be sent.
func TestABlindRunIsOneThatLostItsSource(t *testing.T) {
	b := newBench(t, 6)
	b.source.unscraped = []string{"team-0", "team-1", "team-2"}
	for range 3 {
		b.source.serve(500, 0)
		b.poll()
	}
	if got := b.recorded(b.runs[0]); got.Reason != string(analysis.NoSeries) || got.BlindSince != nil {
		t.Fatalf("a run that was never scraped is %s, blind since %v", got.Reason, got.BlindSince)
	}
	if got := b.blind(); got != [2]int{0, 6} {
		t.Errorf("three apps are not scraped: blind are %v of all, want none of 6", got)
	}
	b.source.empty = true
	b.poll()
	if got := b.blind(); got != [2]int{3, 6} {
		t.Errorf("the source has lost the samples of the other three: blind are %v of all, want 3 of 6", got)
	}
	if got := b.recorded(b.runs[5]); got.Reason != string(analysis.PartialCoverage) || got.BlindSince == nil {
		t.Errorf("a run that has lost its samples is %s", got.Reason)
	}
	b = newBench(t, 3)
	b.source.canary.Bad = 1
	b.poll()
	if got := b.recorded(b.runs[0]); got.Reason != string(analysis.PartialCoverage) {
		t.Fatalf("more bad requests than requests are %s", got.Reason)
	}
	if got := b.blind(); got != [2]int{0, 3} {
		t.Errorf("three apps report nonsense: blind are %v of all, want none of 3", got)
	}
	b = newBench(t, 3)
	for range b.runs {
		b.edit(func(g *v1alpha1.GuardrailSpec) {
			g.SLOs[0].Indicator = v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: "vector(1)", Bad: "x"}}
		})
		b.runs = append(b.runs[1:], b.runs[0])
	}
	b.poll()
	if got := b.recorded(b.runs[0]); got.Reason != string(analysis.BadQuery) {
		t.Fatalf("an expression that cannot be asked is %s", got.Reason)
	}
	if got := b.blind(); got != [2]int{0, 0} {
		t.Errorf("runs with expressions that cannot be sent: blind are %v of all, want no reports", got)
	}
}

// TestARunThatEndedIsForgotten, so that memory does not grow with the runs.
func TestARunThatEndedIsForgotten(t *testing.T) {
	b := newBench(t, 3)
	b.poll()
	if len(b.loop.memories) != 3 {
		t.Fatalf("%d runs are remembered, want 3", len(b.loop.memories))
	}
	run := &v1alpha1.RolloutRun{}
	if err := b.client.Get(t.Context(), b.runs[0], run); err != nil {
		t.Fatal(err)
	}
	run.Status.Outcome = v1alpha1.OutcomePromoted
	if err := b.client.Status().Update(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if err := b.client.Get(t.Context(), b.runs[1], run); err != nil {
		t.Fatal(err)
	}
	if err := b.client.Delete(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	b.poll()
	if len(b.loop.memories) != 1 {
		t.Errorf("%d runs are remembered, want the one in progress", len(b.loop.memories))
	}
}

// TestAFoundFailureStays: what convicted a candidate is not overwritten by what comes
// after it.
func TestAFoundFailureStays(t *testing.T) {
	b := newBench(t, 1)
	for range 12 {
		b.source.serve(2000, 100)
		b.poll()
	}
	found := b.recorded(b.runs[0])
	if found.Outcome != v1alpha1.VerdictFail {
		t.Fatalf("the trigger is %s: %s", found.Outcome, found.Message)
	}
	for range 12 {
		b.source.serve(20000, 0)
		b.poll()
	}
	b.clock.Step(v1alpha1.VerdictsRenewed)
	b.poll()
	if got := b.recorded(b.runs[0]); got.Outcome != v1alpha1.VerdictFail || got.Message != found.Message || !got.EvaluatedAt.Equal(found.EvaluatedAt) {
		t.Errorf("found was %s at %s, it became %s %s at %s", found.Message, found.EvaluatedAt, got.Outcome, got.Message, got.EvaluatedAt)
	}
}

// TestAnObservedFailureIsRecordedAsSuch, and is enforced as soon as the guardrail says so,
// with the evidence that was found.
func TestAnObservedFailureIsRecordedAsSuch(t *testing.T) {
	b := newBench(t, 1)
	b.edit(func(spec *v1alpha1.GuardrailSpec) { spec.Mode = v1alpha1.ModeObserve })
	for range 12 {
		b.source.serve(2000, 100)
		b.poll()
	}
	found, run := b.recorded(b.runs[0]), &v1alpha1.RolloutRun{}
	if err := b.client.Get(t.Context(), b.runs[0], run); err != nil {
		t.Fatal(err)
	}
	if found.Outcome != v1alpha1.VerdictFail || found.Mode != v1alpha1.ModeObserve || run.Status.Analysis.Verdict != "" {
		t.Fatalf("the trigger is %s in mode %q, the verdict of the run %q", found.Outcome, found.Mode, run.Status.Analysis.Verdict)
	}
	pinned := run.Spec.Guardrails
	b.edit(func(spec *v1alpha1.GuardrailSpec) { spec.Mode = v1alpha1.ModeEnforce })
	if err := b.client.Get(t.Context(), b.runs[0], run); err != nil {
		t.Fatal(err)
	}
	run.Spec.Guardrails = pinned
	if err := b.client.Update(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	b.poll()
	if err := b.client.Get(t.Context(), b.runs[0], run); err != nil {
		t.Fatal(err)
	}
	is := run.Status.Analysis
	if len(is.Triggers) != 1 || is.Triggers[0].Mode != "" || is.Triggers[0].Message != found.Message || is.Verdict != v1alpha1.VerdictFail {
		t.Errorf("the triggers are %+v, the verdict of the run %q", is.Triggers, is.Verdict)
	}
}
