package judge

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources"
	"belay.dev/belay/controllers/workload"
)

func counter(pod string, total, bad float64, at time.Time) analysis.PodCounter {
	return analysis.PodCounter{Pod: pod, Counts: analysis.Counts{Total: total, Bad: bad}, SampledAt: at}
}

func names(pods []analysis.PodCounter) (out string) {
	for _, p := range pods {
		out += p.Pod + " "
	}
	return out
}

func TestSplit(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	tr := &evaluation{run: &v1alpha1.RolloutRun{}, stableSet: "shop-stable", canarySets: []string{"shop-canary"}, pods: map[string]podState{}, state: restore(nil)}
	tr.run.CreationTimestamp = metav1.NewTime(now)
	see := func(name string, of side, age time.Duration, ready corev1.ConditionStatus) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(now.Add(-age))}}
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
		tr.see(pod, of)
	}
	see("shop-stable-aaaaa", sideStable, time.Hour, corev1.ConditionTrue)
	see("shop-canary-ready", sideCanary, -time.Second, corev1.ConditionTrue)
	see("shop-canary-young", sideCanary, -time.Second, corev1.ConditionFalse)
	see("shop-canary-older", sideCanary, time.Minute, corev1.ConditionTrue)
	tr.state.Ledgers["slo"] = analysis.Ledger{}.Advance(analysis.Poll{EvaluatedAt: now, Canary: []analysis.PodCounter{counter("shop-canary-ended", 1, 0, now)}}, now)
	var answer []prometheus.Counter
	for _, name := range []string{"stable-aaaaa", "stable-ended", "canary-ready", "canary-young", "canary-older", "canary-ended", "canary-other"} {
		answer = append(answer, prometheus.Counter{Pod: "shop-" + name, Counts: analysis.Counts{Total: 100, Bad: 1}, SampledAt: now})
	}
	counted, judged := tr.split(query{key: "slo"}, answer, now)
	for what, got := range map[string][2]string{
		"counted of stable":        {names(counted.Stable), "shop-stable-aaaaa "},
		"counted of the candidate": {names(counted.Canary), "shop-canary-ready shop-canary-young shop-canary-ended "},
		"judged of the candidate":  {names(judged.Canary), "shop-canary-ready "},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %q, want %q", what, got[0], got[1])
		}
	}
	if tr.readyPods != 1 || tr.podCount != 4 {
		t.Errorf("%d ready of %d pods, want 1 of 4", tr.readyPods, tr.podCount)
	}
	if _, judged = tr.split(query{key: "slo", measure: sources.Measure{Invariant: &v1alpha1.Invariant{}}}, answer, now); names(judged.Canary) != "shop-canary-ready shop-canary-young shop-canary-ended " {
		t.Errorf("judged of an invariant: %q, want every pod of this run that violated it", names(judged.Canary))
	}
}

// What the API server knows of a pod goes with each of its counters.
func TestACounterSaysSinceWhenItsPodIsReady(t *testing.T) {
	now := metav1.NewTime(time.Unix(1_800_000_000, 0))
	at := func(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(d)) }
	running := func(since metav1.Time) corev1.ContainerStatus {
		return corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: since}}}
	}
	tr := &evaluation{run: &v1alpha1.RolloutRun{}, pods: map[string]podState{}, state: restore(nil)}
	for name, ready := range map[string]corev1.ConditionStatus{"ready": corev1.ConditionTrue, "lost": corev1.ConditionFalse} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: at(-time.Hour)}}
		pod.Status.StartTime = &pod.CreationTimestamp
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready, LastTransitionTime: at(-time.Minute)}}
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{running(at(-3 * time.Minute)), running(at(-2 * time.Minute)), {}}
		tr.see(pod, sideCanary)
	}
	counted, _ := tr.split(query{key: "slo"}, []prometheus.Counter{{Pod: "ready", SampledAt: now.Time}, {Pod: "lost", SampledAt: now.Time}}, now.Time)
	minute, started := now.Add(-time.Minute), now.Add(-2*time.Minute)
	want := []analysis.PodCounter{
		{Pod: "ready", SampledAt: now.Time, ReadyAt: minute, StartedAt: started},
		{Pod: "lost", SampledAt: now.Time, UnreadyAt: minute, StartedAt: started},
	}
	if diff := cmp.Diff(want, counted.Canary); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

// TestAScrapeOfOneContainerThatFails is no restart of the pod: each target counts
// for itself, and the pod is one pod.
func TestAScrapeOfOneContainerThatFails(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	tr := &evaluation{run: &v1alpha1.RolloutRun{}, stableSet: "shop-stable", canarySets: []string{"shop-canary"}, state: restore(nil),
		pods: map[string]podState{"shop-canary-a": {side: sideCanary, ready: true}, "shop-stable-a": {side: sideStable, ready: true}}}
	q := query{key: "slo"}
	polls := 0.0
	poll := func(instances ...string) (judged analysis.Poll) {
		now, polls = now.Add(15*time.Second), polls+1
		var answer []prometheus.Counter
		for _, pod := range []string{"shop-canary-a", "shop-stable-a"} {
			for _, instance := range instances {
				answer = append(answer, prometheus.Counter{Pod: pod, Instance: instance, Counts: analysis.Counts{Total: 100 * polls, Bad: polls}, SampledAt: now})
			}
		}
		counted, judged := tr.split(q, answer, now)
		tr.state.Ledgers["slo"] = tr.state.Ledgers["slo"].Advance(counted, time.Time{})
		return judged
	}
	for range 4 {
		if judged := poll("10.0.0.1:8080", "10.0.0.1:9090"); len(judged.Canary) != 1 || judged.Canary[0].Total != 200*polls || judged.Canary[0].Bad != 2*polls {
			t.Errorf("a pod of two targets is judged as %+v", judged.Canary)
		}
		if judged := poll("10.0.0.1:8080"); len(judged.Canary) != 1 || judged.Canary[0].Total != 100*polls {
			t.Errorf("a pod of one target is judged as %+v", judged.Canary)
		}
	}
	l := tr.state.Ledgers["slo"]
	// Seven intervals of one target and six of the other, since the first poll.
	want := analysis.Counts{Total: 1300, Bad: 13}
	if l.Canary != want || l.Stable != want {
		t.Errorf("counted %+v and %+v, want every request once", l.Canary, l.Stable)
	}
}

// TestARetryIsNotJudgedByTheDead: the source still returns the pods of the run
// before, whose ReplicaSet has the same name.
func TestARetryIsNotJudgedByTheDead(t *testing.T) {
	b := newBench(t, 1)
	b.edit(func(g *v1alpha1.GuardrailSpec) {
		g.Invariants = []v1alpha1.Invariant{{Name: "i", Checks: v1alpha1.Series{Metric: "checks"}, Violations: v1alpha1.Series{Metric: "violations"}}}
	})
	pod := &corev1.Pod{}
	key := types.NamespacedName{Namespace: b.runs[0].Namespace, Name: "shop-abcdef0123-bbbbb"}
	if err := b.client.Get(t.Context(), key, pod); err != nil {
		t.Fatal(err)
	}
	fresh := pod.DeepCopy()
	fresh.Name, fresh.UID, fresh.ResourceVersion = "shop-abcdef0123-ccccc", "new", ""
	if err := b.client.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if err := b.client.Create(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
	b.source.serve(10_000, 900)
	b.poll()
	if got := b.recorded(b.runs[0]); got.Reason != string(analysis.PartialCoverage) || got.Canary.Total != 0 {
		t.Errorf("with a dead pod's counts alone: %s, %s, %+v", got.Reason, got.Message, got.Canary)
	}
	if got := b.verdictOf(b.runs[0], "i"); got.Outcome == v1alpha1.VerdictFail {
		t.Errorf("an earlier run's violations: %s, %s", got.Outcome, got.Message)
	}
}

// TestAViolationOutlivesItsContainer: the violations of the last minutes may be
// more than the checks since a restart, and still roll back.
func TestAViolationOutlivesItsContainer(t *testing.T) {
	b := newBench(t, 1)
	b.edit(func(g *v1alpha1.GuardrailSpec) {
		g.Invariants = []v1alpha1.Invariant{{Name: "ledger", Checks: v1alpha1.Series{Metric: "checks"}, Violations: v1alpha1.Series{Metric: "violations"}}}
	})
	b.source.mu.Lock()
	b.source.canary = analysis.Counts{Total: 1, Bad: 3}
	b.source.mu.Unlock()
	b.poll()
	run := &v1alpha1.RolloutRun{}
	if err := b.client.Get(t.Context(), b.runs[0], run); err != nil {
		t.Fatal(err)
	}
	for _, trigger := range run.Status.Analysis.Triggers {
		if trigger.Name == "ledger" && trigger.Outcome == v1alpha1.VerdictFail && strings.Contains(trigger.Query, "max_over_time(violations") {
			return
		}
	}
	t.Errorf("three violations in one check are %+v", run.Status.Analysis.Triggers)
}

// TestStableIsMadeAgainUnderAnotherName: in the middle of a run the stable version's
// ReplicaSet is deleted, and the Deployment's next one has another hash in its name.
// It is known by its template, and goes on being compared with.
func TestStableIsMadeAgainUnderAnotherName(t *testing.T) {
	b := newBench(t, 1)
	namespace := b.runs[0].Namespace
	again := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-again", UID: "again"}, Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(1))}}
	again.Spec.Template.Spec.Containers = []corev1.Container{{Name: "shop", Image: "shop:1"}}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop", UID: "deployment"}}
	again.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(deployment, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(again)
	if err != nil {
		t.Fatal(err)
	}
	revision, err := workload.RevisionOf(workload.Template(&unstructured.Unstructured{Object: raw}))
	if err != nil {
		t.Fatal(err)
	}
	run := &v1alpha1.RolloutRun{}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(b.client.Get(t.Context(), b.runs[0], run))
	run.Spec.Stable.Revision.Revision = revision
	must(b.client.Update(t.Context(), run))
	polls := func() {
		for range 12 {
			b.source.serve(500, 0)
			b.poll()
		}
	}
	polls()
	before := b.recorded(b.runs[0]).Stable.Total

	was, pod := &appsv1.ReplicaSet{}, &corev1.Pod{}
	must(b.client.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: "shop-stable"}, was))
	must(b.client.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: "shop-stable-aaaaa"}, pod))
	fresh := pod.DeepCopy()
	fresh.Name, fresh.UID, fresh.ResourceVersion = "shop-again-ccccc", "fresh", ""
	fresh.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(again, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
	must(b.client.Delete(t.Context(), was))
	must(b.client.Delete(t.Context(), pod))
	must(b.client.Create(t.Context(), again))
	must(b.client.Create(t.Context(), fresh))
	b.source.mu.Lock()
	b.source.stablePod, b.source.stable = fresh.Name, analysis.Counts{}
	b.source.mu.Unlock()
	polls()
	got := b.recorded(b.runs[0])
	if got.Outcome != v1alpha1.VerdictPass || got.Stable.Total < before+10*450 || got.Stable.Total > before+12*450 {
		t.Errorf("the verdict is %s: %s; of stable %d requests were counted before and %d in the end, want 12 polls of 450 more", got.Outcome, got.Message, before, got.Stable.Total)
	}
	if got.Canary.Total > 24*50 {
		t.Errorf("%d requests count as the candidate's, which had %d", got.Canary.Total, 24*50)
	}
}

// A readiness probe by HTTP every 10 s, which is the default, and a liveness probe by gRPC every 5 s, on pods of
// which two targets are scraped every 20 s.
func TestBackgroundOfATarget(t *testing.T) {
	http, grpc, exec := corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{}}, corev1.ProbeHandler{GRPC: &corev1.GRPCAction{}}, corev1.ProbeHandler{Exec: &corev1.ExecAction{}}
	raw, err := json.Marshal(corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{
		{ReadinessProbe: &corev1.Probe{ProbeHandler: http}, LivenessProbe: &corev1.Probe{ProbeHandler: grpc, PeriodSeconds: 5}},
		{ReadinessProbe: &corev1.Probe{ProbeHandler: exec, PeriodSeconds: 1}},
		{},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	run := &v1alpha1.RolloutRun{}
	run.Spec.Template.Raw = raw
	tr := &evaluation{run: run, probes: probesOf(run)}
	r := result{interval: 20 * time.Second}
	for _, target := range []string{"a@1", "a@2", "b@1", "b@2"} {
		r.counted.Canary = append(r.counted.Canary, counter(target, 1, 0, time.Time{}))
	}
	if got, want := tr.background(r), []float64{.05, .1, .05}; !slices.Equal(got, want) {
		t.Errorf("%v requests a second, want %v", got, want)
	}
}

// One of two targets counts what cannot be: the sum of both might be possible.
func TestATargetThatCannotBeUsedSpoilsItsPod(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	good, odd := counter("a", 1000, 10, now), counter("a", 0, 5, now)
	for name, targets := range map[string][]analysis.PodCounter{"the first": {odd, good}, "the second": {good, odd}, "neither": {good, good}} {
		var pods []analysis.PodCounter
		for _, target := range targets {
			pods = prometheus.AddTarget(pods, target)
		}
		if len(pods) != 1 || (pods[0].Fault() == "") != (name == "neither") {
			t.Errorf("%s: %+v", name, pods)
		}
	}
}
