package indicators

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources"
	"belay.dev/belay/controllers/sources/sourcestest"
	"belay.dev/belay/controllers/wake"
)

// world is a loop on a stand-in for an API server, and a source with the same series of
// every service.
type world struct {
	t      *testing.T
	clock  sourcestest.Instant
	client client.Client
	loop   *Reconciler

	mu sync.Mutex
	// series of every ReplicaSet, by the label k of a probe's answer.
	series map[string]string
	// failure is the HTTP status of every answer, if there is one.
	failure int
	// broken is a Rollout whose series lack the label; empty for none.
	broken string
	probes []string
}

const every = 5 * time.Minute

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	w := &world{t: t, clock: sourcestest.Instant{FakeClock: clocktesting.NewFakeClock(time.Unix(1_800_000_000, 0))}, series: map[string]string{"0": "4", "1,1": "4", "total": "9000", "bad": "3"}}
	server := httptest.NewServer(http.HandlerFunc(w.answer))
	t.Cleanup(server.Close)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(sourcestest.At(server.URL, 1000), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"team": "shop"}}}).
		WithObjects(objects...).WithStatusSubresource(&v1alpha1.Guardrail{}, &v1alpha1.ClusterGuardrail{}, &v1alpha1.Rollout{})
	for field, values := range wake.Values() {
		builder = builder.WithIndex(&v1alpha1.Rollout{}, field, values)
	}
	w.client = builder.Build()
	w.loop = &Reconciler{Client: w.client, Prober: sources.NewProber(sources.NewClients(nil, "belay", 100*time.Hour), w.clock, 0), Clock: w.clock, Every: every, Workers: 1}
	return w
}

func (w *world) answer(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out.Header().Set("Date", w.clock.Now().UTC().Format(http.TimeFormat))
	now, query := float64(w.clock.Now().UnixMilli())/1000, r.FormValue("query")
	var result []any
	switch {
	case w.failure != 0:
		http.Error(out, `{"status":"error","errorType":"bad_data","error":"no"}`, w.failure)
		return
	case !sourcestest.IsProbe(query):
		result = append(result, map[string]any{"metric": map[string]string{"code": "200", "handler": "/"}, "value": []any{now, "1"}})
	default:
		w.probes = append(w.probes, query)
		for _, namespace := range sourcestest.Namespaces(query) {
			services := servicesIn(query)
			for _, service := range services {
				for k, v := range w.series {
					result = append(result, map[string]any{"metric": map[string]string{"namespace": namespace, "to": service, "k": k}, "value": []any{now, v}})
				}
			}
			if services != nil {
				continue
			}
			for i := range 20 {
				for k, v := range w.series {
					if k == "1,1" && fmt.Sprintf("app-%d", i) == w.broken {
						k = "1,"
					}
					result = append(result, map[string]any{"metric": map[string]string{"namespace": namespace, "pod": fmt.Sprintf("app-%d-stable-", i), "k": k}, "value": []any{now, v}})
				}
			}
		}
	}
	_ = json.NewEncoder(out).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": result}})
}

var inDestination = regexp.MustCompile(`to=~"\(([^)]*)\)"`)

// servicesIn are the Services that a query by Service is about; nil for one by Pod.
func servicesIn(query string) []string {
	if found := inDestination.FindStringSubmatch(query); found != nil {
		return strings.Split(found[1], "|")
	}
	return nil
}

// app is a Rollout with a stable ReplicaSet of so many ready pods.
func app(i int, ready int32) []client.Object {
	name := fmt.Sprintf("app-%d", i)
	of := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)}
	}
	rollout := &v1alpha1.Rollout{ObjectMeta: of(name), Spec: v1alpha1.RolloutSpec{WorkloadRef: v1alpha1.WorkloadRef{Name: name}, Guardrails: []v1alpha1.GuardrailRef{{Name: "shop"}}}}
	rollout.Status.Stable = &v1alpha1.Revision{Revision: "aaaa", ReplicaSet: name + "-stable"}
	set := &appsv1.ReplicaSet{ObjectMeta: of(name + "-stable"), Status: appsv1.ReplicaSetStatus{ReadyReplicas: ready}}
	return []client.Object{rollout, set}
}

// guardrailOf has an slo with a matcher for bad.
func guardrailOf(change func(*v1alpha1.GuardrailSpec)) *v1alpha1.Guardrail {
	total := v1alpha1.Series{Metric: "requests"}
	g := &v1alpha1.Guardrail{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop", UID: "shop", Generation: 3}, Spec: v1alpha1.GuardrailSpec{
		Source: "default", SLOs: []v1alpha1.SLO{{Name: "availability", Objective: "99.9", Period: "30d", Indicator: v1alpha1.Indicator{Requests: &v1alpha1.RequestsIndicator{
			Total: total, Bad: v1alpha1.Series{Metric: "requests", Matchers: []v1alpha1.Matcher{{Name: "status_code", Op: "=~", Value: "5.."}}}}}}}}}
	if change != nil {
		change(&g.Spec)
	}
	return g
}

// look reconciles the Guardrail, and returns its condition and status.
func (w *world) look() (metav1.Condition, v1alpha1.GuardrailStatus) {
	w.t.Helper()
	name := types.NamespacedName{Namespace: "shop", Name: "shop"}
	if _, err := w.loop.Reconcile(w.t.Context(), kindGuardrail, name); err != nil {
		w.t.Fatal(err)
	}
	g := &v1alpha1.Guardrail{}
	if err := w.client.Get(w.t.Context(), name, g); err != nil {
		w.t.Fatal(err)
	}
	ready := meta.FindStatusCondition(g.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.ObservedGeneration != 3 || g.Status.ObservedGeneration != 3 {
		w.t.Fatalf("the status is %+v", g.Status)
	}
	return *ready, g.Status
}

func TestWhatAGuardrailSees(t *testing.T) {
	const unknown = metav1.ConditionUnknown
	promQL := func(total string) func(*v1alpha1.GuardrailSpec) {
		return func(s *v1alpha1.GuardrailSpec) {
			s.SLOs[0].Indicator = v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: total, Bad: "errors"}}
		}
	}
	recorded := func(remaining string) func(*v1alpha1.GuardrailSpec) {
		return func(s *v1alpha1.GuardrailSpec) {
			s.Preflight = &v1alpha1.Preflight{Recorded: []v1alpha1.RecordedSLO{{SLO: "availability", PromQL: &v1alpha1.RecordedPromQL{BudgetRemaining: remaining, BurnRate: "b"}}}}
		}
	}
	otherMetric := func(s *v1alpha1.GuardrailSpec) { s.SLOs[0].Indicator.Requests.Bad = v1alpha1.Series{Metric: "errors"} }
	latency := func(s *v1alpha1.GuardrailSpec) {
		s.SLOs[0].Indicator = v1alpha1.Indicator{Latency: &v1alpha1.LatencyIndicator{Histogram: "seconds", Threshold: metav1.Duration{Duration: time.Second}}}
	}
	for name, tc := range map[string]struct {
		spec    func(*v1alpha1.GuardrailSpec)
		ready   int32
		series  map[string]string
		failure int
		status  metav1.ConditionStatus
		reason  string
		says    string
	}{
		"its series":    {nil, 1, nil, 0, metav1.ConditionTrue, v1alpha1.ReasonMeasured, "1 indicator sees its series of the stable version of 1 Rollout"},
		"no such label": {nil, 1, map[string]string{"0": "4", "1,": "4"}, 0, metav1.ConditionFalse, v1alpha1.ReasonUnknownLabel, `slo availability: no series "requests" of the stable pods has the label "status_code", so its matcher selects nothing; write one of its labels: "code", "handler"`},
		"all are bad":   {nil, 1, map[string]string{"0": "4", "1,1": "4", "total": "9000", "bad": "9000"}, 0, metav1.ConditionFalse, v1alpha1.ReasonEverythingBad, "slo availability: all 9000 requests of the stable pods are counted as bad"},
		"by no label": {func(s *v1alpha1.GuardrailSpec) {
			s.SLOs[0].Indicator.Requests.Bad.Matchers[0].Op = "!~"
		}, 1, map[string]string{"0": "4", "1,": "4", "total": "9000", "bad": "9000"}, 0, metav1.ConditionFalse, v1alpha1.ReasonUnknownLabel, `has the label "status_code", so the matchers of bad select every request; write one of its labels: "code", "handler"`},
		"no series":            {nil, 1, map[string]string{}, 0, metav1.ConditionFalse, v1alpha1.ReasonNoSeries, `the source has no series "requests"`},
		"bad was never seen":   {otherMetric, 1, map[string]string{"0": "4"}, 0, metav1.ConditionFalse, v1alpha1.ReasonNeverSeen, `no pod of the service has ever had a series "errors"`},
		"no bucket":            {latency, 1, map[string]string{"0": "4"}, 0, metav1.ConditionFalse, v1alpha1.ReasonNoBucket, "whose upper bound is the threshold 1s"},
		"no answer":            {nil, 1, nil, 500, unknown, v1alpha1.ReasonSourceUnusable, "slo availability: the source returned HTTP status 500"},
		"a refused query":      {nil, 1, nil, 400, unknown, v1alpha1.ReasonSourceUnusable, "slo availability: the source refused the query"},
		"no ready pods":        {nil, 0, nil, 0, metav1.ConditionTrue, v1alpha1.ReasonNoRollouts, "no Rollout that it applies to has ready stable pods"},
		"a rate":               {promQL("rate(a[5m])"), 1, nil, 0, metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec, `slo availability: promQL.total: "rate(a[5m])" at position 1`},
		"PromQL with an error": {promQL("sum(a"), 1, nil, 0, metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec, `promQL.total: the expression is not valid PromQL: "1:6`},
		"a recorded budget":    {recorded("sum(a"), 1, nil, 0, metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec, `preflight.recorded: the budget of slo "availability": `},
		"promQL":               {promQL("a"), 1, map[string]string{"0": "1", "1": "1"}, 0, metav1.ConditionTrue, v1alpha1.ReasonMeasured, ""},
		"a budget of half":     {func(s *v1alpha1.GuardrailSpec) { s.SLOs[0].Objective = "50" }, 1, nil, 0, metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec, "the objective 50 % leaves a budget of 50 %"},
		"nothing": {func(s *v1alpha1.GuardrailSpec) {
			s.SLOs, s.Triggers = nil, []v1alpha1.Trigger{{Name: "pods", Pods: &v1alpha1.PodsTrigger{}}}
		}, 1, nil, 0, metav1.ConditionTrue, v1alpha1.ReasonNothingToMeasure, ""},
		"another's source": {func(s *v1alpha1.GuardrailSpec) { s.Source = "other" }, 1, nil, 0, metav1.ConditionFalse, v1alpha1.ReasonMetricSourceDenied, `MetricSource "other" does not exist`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, append(app(0, tc.ready), guardrailOf(tc.spec))...)
			if tc.series != nil {
				w.series = tc.series
			}
			w.failure = tc.failure
			ready, status := w.look()
			if ready.Status != tc.status || ready.Reason != tc.reason || !strings.Contains(ready.Message, tc.says) {
				t.Errorf("%s %s: %s", ready.Status, ready.Reason, ready.Message)
			}
			probed := len(status.Indicators) == 1
			if want := tc.reason != v1alpha1.ReasonInvalidSpec && tc.reason != v1alpha1.ReasonNoRollouts && tc.reason != v1alpha1.ReasonNothingToMeasure; probed != want {
				t.Errorf("it shows the indicators %+v", status.Indicators)
			}
		})
	}
}

// TestTheCountsOfAnIndicator are those of all Rollouts that were looked at.
func TestTheCountsOfAnIndicator(t *testing.T) {
	w := newWorld(t, append(append(app(0, 1), app(1, 1)...), guardrailOf(func(s *v1alpha1.GuardrailSpec) {
		series := v1alpha1.Series{Metric: "requests", Matchers: []v1alpha1.Matcher{{Name: "status_code", Op: "=~", Value: "5.."}}}
		s.Invariants = []v1alpha1.Invariant{{Name: "ledger", Checks: v1alpha1.Series{Metric: "requests"}, Violations: series}}
	}))...)
	_, status := w.look()
	want := []v1alpha1.IndicatorStatus{
		{Kind: "SLO", Name: "availability", Reason: "Healthy", Message: "18000 requests, 6 of them bad, since the stable pods of 2 Rollouts started"},
		{Kind: "Invariant", Name: "ledger", Reason: "Healthy", Message: "18000 checks and 6 violations since the stable pods of 2 Rollouts started"},
	}
	if fmt.Sprint(status.Indicators) != fmt.Sprint(want) || status.Rollouts != 2 {
		t.Errorf("got %+v", status)
	}
}

// TestASaturationTriggerIsProbed: it says whether its series exist, also when there is no
// slo.
func TestASaturationTriggerIsProbed(t *testing.T) {
	w := newWorld(t, append(app(0, 1), guardrailOf(func(s *v1alpha1.GuardrailSpec) {
		s.SLOs = nil
		s.Triggers = []v1alpha1.Trigger{{Name: "memory", Saturation: &v1alpha1.SaturationTrigger{
			Gauge: &v1alpha1.Series{Metric: "memory_bytes", Matchers: []v1alpha1.Matcher{{Name: "container", Op: "!="}}}, Max: "1"}}}
	}))...)
	for _, tc := range []struct {
		series         map[string]string
		reason, shows  string
		says, andNames string
	}{
		{map[string]string{"0,1": "2", "total": "1e9"}, v1alpha1.ReasonMeasured, "Healthy", "its series exist on the stable pods of 1 Rollout", ""},
		{map[string]string{"0,": "2", "total": "1e9"}, v1alpha1.ReasonUnknownLabel, "UnknownLabel", `has the label "container"`, "saturation trigger memory: "},
		{map[string]string{}, v1alpha1.ReasonNoSeries, "NoSeries", `the source has no series "memory_bytes" for any pod of the service`, "saturation trigger memory: "},
	} {
		w.series = tc.series
		w.clock.Step(2 * every)
		ready, status := w.look()
		if ready.Reason != tc.reason || len(status.Indicators) != 1 || !strings.Contains(ready.Message, tc.andNames) {
			t.Errorf("got %s: %s, %+v, want %s", ready.Reason, ready.Message, status.Indicators, tc.reason)
			continue
		}
		if i := status.Indicators[0]; i.Kind != "Saturation" || i.Name != "memory" || i.Reason != tc.shows || !strings.Contains(i.Message, tc.says) {
			t.Errorf("got %+v, want %s: %s", i, tc.shows, tc.says)
		}
	}
}

var appNames = regexp.MustCompile(`app-\d+-`)

// TestProbesAreFewAndReachEveryRollout: at most 8 Rollouts in a query for each indicator,
// others each time.
func TestProbesAreFewAndReachEveryRollout(t *testing.T) {
	var objects []client.Object
	for i := range 20 {
		objects = append(objects, app(i, 1)...)
	}
	w := newWorld(t, append(objects, guardrailOf(nil))...)
	for range 6 {
		w.clock.Step(2 * every)
		before := len(w.probes)
		if _, status := w.look(); status.Rollouts != 20 {
			t.Fatalf("it applies to %d Rollouts", status.Rollouts)
		}
		looked, sent := map[string]bool{}, len(w.probes)
		for _, query := range w.probes[before:] {
			for _, name := range appNames.FindAllString(query, -1) {
				looked[name] = true
			}
		}
		if len(looked) != 8 || sent-before > 8 {
			t.Errorf("looked at %d Rollouts in %d queries", len(looked), sent-before)
		}
		if w.look(); len(w.probes) != sent {
			t.Errorf("%d queries before it was time", len(w.probes)-sent)
		}
	}
	for i := range 20 {
		if !strings.Contains(strings.Join(w.probes, "\n"), fmt.Sprintf("app-%d-stable-", i)) {
			t.Errorf("app-%d was never looked at", i)
		}
	}
}

// TestWhatIsWrongIsNotForgotten while others are probed: it stays until it is mended, and then
// goes with the next probe.
func TestWhatIsWrongIsNotForgotten(t *testing.T) {
	var objects []client.Object
	for i := range 20 {
		objects = append(objects, app(i, 1)...)
	}
	w := newWorld(t, append(objects, guardrailOf(nil))...)
	w.broken = "app-3"
	probed := func() (ready metav1.Condition, status v1alpha1.GuardrailStatus) {
		w.clock.Step(2 * every)
		return w.look()
	}
	for ready, _ := probed(); ready.Status == metav1.ConditionTrue; ready, _ = probed() {
		if len(w.probes) > 20 {
			t.Fatal("what is wrong was never found")
		}
	}
	looked := map[string]bool{}
	for range 6 {
		before := len(w.probes)
		ready, status := probed()
		if ready.Reason != v1alpha1.ReasonUnknownLabel || !strings.Contains(ready.Message, "Rollout shop/app-3: ") || len(status.Indicators[0].WrongIn) != 1 {
			t.Fatalf("%s %s, wrong in %q", ready.Reason, ready.Message, status.Indicators[0].WrongIn)
		}
		now := map[string]bool{}
		for _, query := range w.probes[before:] {
			for _, name := range appNames.FindAllString(query, -1) {
				looked[name], now[name] = true, true
			}
		}
		if len(now) > maxUses+maxKept || !now["app-3-"] {
			t.Errorf("it looked at %v", now)
		}
	}
	if len(looked) != 20 {
		t.Errorf("it looked at %d Rollouts of 20", len(looked))
	}
	w.broken = ""
	if ready, status := probed(); ready.Reason != v1alpha1.ReasonMeasured || status.Indicators[0].WrongIn != nil {
		t.Errorf("mended it is %s %s", ready.Reason, ready.Message)
	}
}

// TestAFirstRolloutIsMeasuredAtOnce, a mistake again after half a minute, and what is well
// after the interval.
func TestAFirstRolloutIsMeasuredAtOnce(t *testing.T) {
	w := newWorld(t, guardrailOf(nil))
	if ready, _ := w.look(); ready.Reason != v1alpha1.ReasonNoRollouts {
		t.Fatalf("without Rollouts it is %s", ready.Reason)
	}
	for _, o := range app(0, 1) {
		if err := w.client.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	w.series = map[string]string{}
	if ready, _ := w.look(); ready.Reason != v1alpha1.ReasonNoSeries {
		t.Fatalf("before its pods are scraped it is %s", ready.Reason)
	}
	w.series = map[string]string{"0": "4", "1,1": "4"}
	w.clock.Step(soon)
	if ready, _ := w.look(); ready.Reason != v1alpha1.ReasonMeasured {
		t.Fatalf("half a minute later it is %s", ready.Reason)
	}
	probed := len(w.probes)
	w.clock.Step(every / 4)
	w.look()
	if len(w.probes) != probed {
		t.Error("what is well was probed again within a quarter of the interval")
	}
	w.clock.Step(2 * every)
	w.series = map[string]string{}
	first, _ := w.look()
	// What stays wrong is probed as seldom as what is well.
	w.clock.Step(every + time.Second)
	w.look()
	probed = len(w.probes)
	w.clock.Step(soon)
	w.look()
	if len(w.probes) != probed || first.Reason != v1alpha1.ReasonNoSeries {
		t.Errorf("after %s with a mistake it was probed again within half a minute", every)
	}
}

// TestGuardrailsAreProbedAtDifferentTimes, also when all were applied together.
func TestGuardrailsAreProbedAtDifferentTimes(t *testing.T) {
	r, now, minutes := &Reconciler{Every: every}, time.Unix(1_800_000_000, 0), map[int]int{}
	for i := range 500 {
		g := guardrailOf(nil)
		g.UID = types.UID(fmt.Sprint("uid-", i))
		s := &subject{object: g, status: &g.Status}
		s.set(now.Add(-time.Hour), metav1.ConditionTrue, v1alpha1.ReasonMeasured, "")
		left := r.after(s, now).Sub(now)
		if left < every/4 || left > every+every/4 {
			t.Fatalf("the next probe is in %s", left)
		}
		minutes[int(left/time.Minute)]++
	}
	for minute, n := range minutes {
		if n > 200 {
			t.Errorf("%d of 500 come in minute %d", n, minute)
		}
	}
}

// TestAClusterGuardrail looks at the Rollouts that its selectors match.
func TestAClusterGuardrail(t *testing.T) {
	team := func(name string) metav1.LabelSelector {
		return metav1.LabelSelector{MatchLabels: map[string]string{"team": name}}
	}
	for name, tc := range map[string]struct {
		namespaces metav1.LabelSelector
		rollouts   int32
		reason     string
	}{
		"of all":        {metav1.LabelSelector{}, 2, v1alpha1.ReasonMeasured},
		"of a team":     {team("shop"), 2, v1alpha1.ReasonMeasured},
		"of no team":    {team("bank"), 0, v1alpha1.ReasonNoRollouts},
		"of an unknown": {metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: "Maybe"}}}, 0, v1alpha1.ReasonInvalidSpec},
	} {
		g := &v1alpha1.ClusterGuardrail{ObjectMeta: metav1.ObjectMeta{Name: "house", UID: "house", Generation: 1}}
		g.Spec.GuardrailSpec, g.Spec.NamespaceSelector = guardrailOf(nil).Spec, tc.namespaces
		w := newWorld(t, append(append(app(0, 1), app(1, 1)...), g)...)
		if _, err := w.loop.Reconcile(t.Context(), kindClusterGuardrail, types.NamespacedName{Name: "house"}); err != nil {
			t.Fatal(err)
		}
		if err := w.client.Get(t.Context(), types.NamespacedName{Name: "house"}, g); err != nil {
			t.Fatal(err)
		}
		if ready := meta.FindStatusCondition(g.Status.Conditions, v1alpha1.ConditionReady); ready == nil || ready.Reason != tc.reason || g.Status.Rollouts != tc.rollouts {
			t.Errorf("%s: %+v", name, g.Status)
		}
	}
}

// TestWhatASourceRefusesComesAfterWhatItShows: that it gave no answer about one Rollout says
// less than a mistake that it showed on another.
func TestWhatASourceRefusesComesAfterWhatItShows(t *testing.T) {
	of := func(r analysis.Reason, unanswered bool) finding {
		return finding{verdict: analysis.Verdict{Reason: r}, unanswered: unanswered}
	}
	order := []finding{of(analysis.Healthy, false), of(analysis.BadQuery, true), of(analysis.NeverSeen, false), of(analysis.EverythingBad, false), of(analysis.NoSeries, false),
		of(analysis.BadQuery, false), of(analysis.UnknownLabel, false), of(analysis.SourceMissing, false)}
	for i := range order[1:] {
		if got := worse(order[i+1], order[i]); got.verdict.Reason != order[i+1].verdict.Reason || worse(order[i], order[i+1]).unanswered != order[i+1].unanswered {
			t.Errorf("of %+v and %+v the worse one is %+v", order[i], order[i+1], got)
		}
	}
}
