package indicators

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/analysis/prometheus/enginetest"
	"belay.dev/belay/api/v1alpha1"
)

// orderedApp is a Rollout of a StatefulSet whose last pod runs a candidate.
func orderedApp() []client.Object {
	rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: v1alpha1.RolloutSpec{
		WorkloadRef: v1alpha1.WorkloadRef{Kind: v1alpha1.KindStatefulSet, Name: "web"}, Guardrails: []v1alpha1.GuardrailRef{{Name: "shop"}}}}
	rollout.Status.Stable, rollout.Status.Phase = &v1alpha1.Revision{Revision: "aaaa", ReplicaSet: "web-1a"}, v1alpha1.PhaseStepping
	objects := []client.Object{rollout}
	pod := func(name, owner, version string, ready corev1.ConditionStatus) {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{appsv1.ControllerRevisionHashLabelKey: version},
			OwnerReferences: []metav1.OwnerReference{{Kind: v1alpha1.KindStatefulSet, Name: owner, Controller: new(true)}}}}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
		objects = append(objects, p)
	}
	pod("web-0", "web", "web-1a", corev1.ConditionTrue)
	pod("web-1", "web", "web-1a", corev1.ConditionTrue)
	pod("web-2", "web", "web-1a", corev1.ConditionFalse)
	pod("web-3", "web", "web-2b", corev1.ConditionTrue)
	pod("db-0", "db", "web-1a", corev1.ConditionTrue)
	return objects
}

// TestTheStablePodsOfAStatefulSet are those that are ready and run stable.
func TestTheStablePodsOfAStatefulSet(t *testing.T) {
	w := newWorld(t, append(orderedApp(), guardrailOf(nil))...)
	engine := enginetest.New(w.clock.Now())
	for pod, label := range map[string]string{"web-0": "status_code", "web-1": "status_code", "web-2": "code", "web-3": "code", "db-0": "code"} {
		engine.Scrape(t, fmt.Sprintf("requests{%s=\"200\"} 90\nrequests{%s=\"500\"} 10\n", label, label), map[string]string{"namespace": "shop", "pod": pod, "instance": pod})
	}
	w.readFrom(engine.Serve(t))
	ready, status := w.look()
	if ready.Reason != v1alpha1.ReasonMeasured || len(status.Indicators) != 1 || status.Indicators[0].Message != "200 requests, 20 of them bad, since the stable pods of 1 Rollout started" {
		t.Errorf("%s %q, %+v", ready.Reason, ready.Message, status.Indicators)
	}
}

// TestAStatefulSetIsCountedByPodAlone, and whoever counts otherwise is told.
func TestAStatefulSetIsCountedByPodAlone(t *testing.T) {
	for by, value := range map[v1alpha1.CountedBy]string{v1alpha1.CountedByService: "$(service)", v1alpha1.CountedByWorkload: "$(replicaSet)"} {
		w := newWorld(t, append(orderedApp(), guardrailOf(func(s *v1alpha1.GuardrailSpec) {
			i := &s.SLOs[0].Indicator
			i.By, i.Destination = by, &v1alpha1.Destination{Label: "to", Value: value, NamespaceLabel: "namespace"}
		}))...)
		ready, status := w.look()
		if ready.Reason != v1alpha1.ReasonNotRouted || len(w.probes) != 0 || status.Indicators[0].Message != prometheus.ErrByPodAlone.Error() {
			t.Errorf("by %s: %s, %+v, after %d probes", by, ready.Reason, status.Indicators, len(w.probes))
		}
	}
}

// TestThePaceOfAStatefulSet is that of the same pods: what one that gets ready has counted in all
// of its time, it has not counted since the last probe.
func TestThePaceOfAStatefulSet(t *testing.T) {
	w := newWorld(t, append(with(orderedApp(), time.Hour), guardrailOf(excludes))...)
	began := w.clock.Now()
	engine := enginetest.New(began)
	var times []time.Time
	for second := 0; second <= 3600; second += 30 {
		times = append(times, began.Add(time.Duration(second)*time.Second))
	}
	for pod, before := range map[string]float64{"web-0": 0, "web-1": 0, "web-2": 1_000_000} {
		for code, rate := range map[string]float64{"200": 10, "500": 0} {
			engine.Samples("requests", map[string]string{"namespace": "shop", "pod": pod, "instance": pod, "status_code": code}, times,
				func(at time.Time) float64 { return before + rate*at.Sub(began).Seconds() })
		}
	}
	w.readFrom(engine.Serve(t))
	rate := func(after time.Duration) float64 {
		w.clock.Step(after)
		w.look()
		pace, _ := w.loop.paces.of(kindGuardrail, types.NamespacedName{Namespace: "shop", Name: "shop"}, "shop/web", "availability")
		return pace.rate
	}
	rate(0)
	if got := rate(2 * every); got != 20 {
		t.Errorf("two ready pods get %v requests a second", got)
	}
	pod := &corev1.Pod{}
	if err := w.client.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: "web-2"}, pod); err != nil {
		t.Fatal(err)
	}
	pod.Status.Conditions[0].Status = corev1.ConditionTrue
	if err := w.client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if got := rate(2 * every); got != 20 {
		t.Errorf("when a third one gets ready, %v", got)
	}
	if got := rate(2 * every); got != 30 {
		t.Errorf("three ready pods get %v", got)
	}
}

// readFrom lets the source be at a URL.
func (w *world) readFrom(url string) {
	w.t.Helper()
	source := &v1alpha1.MetricSource{}
	if err := w.client.Get(w.t.Context(), types.NamespacedName{Name: "default"}, source); err != nil {
		w.t.Fatal(err)
	}
	source.Spec.Address = url
	if err := w.client.Update(w.t.Context(), source); err != nil {
		w.t.Fatal(err)
	}
}
