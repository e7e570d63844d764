package judge

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus/enginetest"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/workload"
)

// life is a pod of a StatefulSet, from when it is created until it is gone.
type life struct {
	name, version string
	// from and until are seconds after the beginning of the run; until 0 is the end of the
	// test. It serves since 5 s after its creation.
	from, until int
	// bad is how many of its ten requests a second fail.
	bad float64
	// old is how many requests it had served before.
	old float64
}

const (
	servesAfter  = 5
	orderedEnds  = 600
	readySeconds = 6
)

// scrapes is how a source gets the series of pods that have the same name.
type scrapes struct {
	// instance of a pod that is the nth of its name.
	instance func(name string, nth int) string
	// marked is set when the source notices that a target is gone.
	marked bool
	// extra are more labels of a version's pods.
	extra func(version string) map[string]string
	// code is the label of a version's requests that says whether one failed; nil for requests
	// and errors in series of their own.
	code func(version string) string
	// lazy is set when the counter of errors begins with the first one.
	lazy bool
}

// orderedBench is a bench with a StatefulSet, whose pods come and go, and with Prometheus' own
// engine as its source.
type orderedBench struct {
	*bench
	began  time.Time
	lives  []life
	client client.Client
}

func (b *orderedBench) at(second int) time.Time {
	return b.began.Add(time.Duration(second) * time.Second)
}

const (
	stableHash = "web-6d4b75cb6d"
	canaryHash = "web-7f9c6d8b5c"
)

func templateOf(version string) map[string]any {
	return map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "web", "image": "web:" + version}}}}
}

// newOrderedBench has a run that began when the pods of version stable had served for long.
func newOrderedBench(t *testing.T, how scrapes, lives ...life) *orderedBench {
	b := &orderedBench{bench: newBench(t, 1), lives: lives}
	b.began, b.client = b.clock.Now(), b.bench.client
	engine := enginetest.New(b.began)
	nth := map[string]int{}
	for _, l := range lives {
		b.expose(engine, l, how, how.instance(l.name, nth[l.name]))
		nth[l.name]++
	}
	b.makeOrdered(engine.Serve(t))
	return b
}

// expose adds the series of one pod: a sample every 5 s, two seconds after polls.
func (b *orderedBench) expose(engine *enginetest.Engine, l life, how scrapes, instance string) {
	target := map[string]string{"namespace": b.runs[0].Namespace, "pod": l.name, "instance": instance}
	if how.extra != nil {
		for k, v := range how.extra(l.version) {
			target[k] = v
		}
	}
	until := l.until
	if until == 0 {
		until = orderedEnds
	}
	var times []time.Time
	for s := -298; s < until; s += 5 {
		if s >= l.from+servesAfter {
			times = append(times, b.at(s))
		}
	}
	ended := len(times)
	if how.marked && l.until > 0 {
		times = append(times, times[ended-1].Add(10*time.Second))
	}
	count := func(perSecond, before float64) func(time.Time) float64 {
		return func(at time.Time) float64 {
			if at.After(times[ended-1]) {
				return enginetest.Stale()
			}
			return before + perSecond*at.Sub(b.at(l.from+servesAfter)).Seconds()
		}
	}
	if how.code == nil {
		engine.Samples("requests", target, times, count(10, l.old))
		if !how.lazy || l.bad > 0 {
			engine.Samples("errors", target, times, count(l.bad, l.old*l.bad/10))
		}
		return
	}
	for code, perSecond := range map[string]float64{"200": 10 - l.bad, "500": l.bad} {
		of := maps.Clone(target)
		of[how.code(l.version)] = code
		engine.Samples("requests", of, times, count(perSecond, 0))
	}
}

// countByCode lets bad requests be those with the code 500.
func (b *orderedBench) countByCode() {
	b.t.Helper()
	b.edit(func(g *v1alpha1.GuardrailSpec) {
		g.SLOs[0].Indicator.Requests.Bad = v1alpha1.Series{Metric: "requests", Matchers: []v1alpha1.Matcher{{Name: "code", Op: "=", Value: "500"}}}
	})
}

// inPhase puts the Rollout in a phase.
func (b *orderedBench) inPhase(phase v1alpha1.Phase) {
	b.t.Helper()
	rollout := &v1alpha1.Rollout{}
	if err := b.client.Get(b.t.Context(), types.NamespacedName{Namespace: b.runs[0].Namespace, Name: "shop"}, rollout); err != nil {
		b.t.Fatal(err)
	}
	rollout.Status.Phase = phase
	if err := b.client.Status().Update(b.t.Context(), rollout); err != nil {
		b.t.Fatal(err)
	}
}

// restartOrdered lets another process go on from what the last one could record at its end.
func (b *orderedBench) restartOrdered() {
	b.t.Helper()
	run := &v1alpha1.RolloutRun{}
	if err := b.client.Get(b.t.Context(), b.runs[0], run); err != nil {
		b.t.Fatal(err)
	}
	if err := b.loop.write(b.t.Context(), run, b.loop.memories[b.runs[0]]); err != nil {
		b.t.Fatal(err)
	}
	b.restart()
}

// makeOrdered makes the bench's run that of a StatefulSet, which the source at the URL knows.
func (b *orderedBench) makeOrdered(url string) {
	b.t.Helper()
	namespace := b.runs[0].Namespace
	change := func(o client.Object, name string, f func()) {
		b.t.Helper()
		if err := b.client.Get(b.t.Context(), types.NamespacedName{Namespace: o.GetNamespace(), Name: name}, o); err != nil {
			b.t.Fatal(err)
		}
		f()
		if err := b.client.Update(b.t.Context(), o); err != nil {
			b.t.Fatal(err)
		}
	}
	source := &v1alpha1.MetricSource{}
	change(source, "default", func() { source.Spec.Address = url })
	rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}}
	change(rollout, "shop", func() {
		rollout.Spec.WorkloadRef = v1alpha1.WorkloadRef{Kind: v1alpha1.KindStatefulSet, Name: "web"}
	})
	run := &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}}
	change(run, b.runs[0].Name, func() {
		run.Spec.Workload, run.Spec.WorkloadKind, run.Spec.Steps = "web", v1alpha1.KindStatefulSet, []v1alpha1.Step{{Weight: 34}}
		run.Spec.Revision, run.Spec.Stable.Revision = revisionOf(b.t, "2"), v1alpha1.Revision{Revision: revisionOf(b.t, "1"), ReplicaSet: stableHash}
		run.CreationTimestamp = metav1.NewTime(b.began)
	})
	for hash, version := range map[string]string{stableHash: "1", canaryHash: "2"} {
		template := templateOf(version)
		template["$patch"] = "replace"
		raw, err := json.Marshal(map[string]any{"spec": map[string]any{"template": template}})
		if err != nil {
			b.t.Fatal(err)
		}
		revision := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: hash, OwnerReferences: []metav1.OwnerReference{ofWeb()}}, Data: runtime.RawExtension{Raw: raw}}
		if err := b.client.Create(b.t.Context(), revision); err != nil {
			b.t.Fatal(err)
		}
	}
}

func revisionOf(t *testing.T, version string) string {
	t.Helper()
	revision, err := workload.RevisionOf(templateOf(version))
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func ofWeb() metav1.OwnerReference {
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "web"}}
	return *metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind(v1alpha1.KindStatefulSet))
}

// play lets the pods live until a second, with a poll every 5 s.
func (b *orderedBench) play(until int) {
	b.t.Helper()
	for {
		now := int(b.clock.Now().Sub(b.began).Seconds()) + int(pollsEvery.Seconds())
		if now > until {
			return
		}
		for i := range b.lives {
			b.live(i, now)
		}
		b.poll()
	}
}

// live makes the API server know a pod as it is at a second.
func (b *orderedBench) live(i, now int) {
	b.t.Helper()
	l := b.lives[i]
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: b.runs[0].Namespace, Name: l.name, UID: types.UID("uid-" + strconv.Itoa(i)), CreationTimestamp: metav1.NewTime(b.at(l.from)),
		Labels: map[string]string{appsv1.ControllerRevisionHashLabelKey: l.version}, OwnerReferences: []metav1.OwnerReference{ofWeb()},
	}}
	known := &corev1.Pod{}
	err := b.client.Get(b.t.Context(), client.ObjectKeyFromObject(pod), known)
	isKnown := err == nil && known.UID == pod.UID
	lives := now >= l.from && (l.until == 0 || now < l.until)
	if isKnown {
		if err := b.client.Delete(b.t.Context(), known); err != nil {
			b.t.Fatal(err)
		}
	}
	if !lives {
		return
	}
	if started := l.from + 1; now >= started {
		pod.Status.StartTime = new(metav1.NewTime(b.at(started)))
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(b.at(l.from + 2))}}}}
	}
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(b.at(l.from + 1))}
	if now >= l.from+readySeconds {
		ready = corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(b.at(l.from + readySeconds))}
	}
	pod.Status.Conditions = []corev1.PodCondition{ready}
	if err := b.client.Create(b.t.Context(), pod); err != nil {
		b.t.Fatal(fmt.Errorf("pod %s: %w", l.name, err))
	}
}

// counts are what both versions have served so far.
func (b *orderedBench) counts() (canary, stable analysis.Counts) {
	b.t.Helper()
	l, ok := b.loop.memories[b.runs[0]].state.Ledgers["Guardrail/shop/slo/availability"]
	if !ok {
		b.t.Fatal("nothing is counted")
	}
	return l.Canary, l.Stable
}
