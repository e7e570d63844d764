package replicas_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/contract"
	"belay.dev/belay/controllers/traffic/replicas"
)

// ordered is a StatefulSet's pods, and some of another one.
type ordered struct{ *world }

func openOrdered(t *testing.T) ordered {
	w := ordered{open(t)}
	w.Run(2, 0)
	w.pod("cart-0", "shop", stable, "cart", true)
	w.pod("shop-0", "other", stable, "shop", true)
	return w
}

func (w ordered) pod(name, namespace, hash, app string, ready bool) *corev1.Pod {
	w.t.Helper()
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": app, "controller-revision-hash": hash}},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}},
	}
	if err := w.client.Create(w.t.Context(), pod); err != nil {
		w.t.Fatal(err)
	}
	return pod
}

func (w ordered) Router() traffic.Router { return replicas.NewOrdered(w.client) }

func (w ordered) Run(stables, canaries int) {
	w.t.Helper()
	if err := w.client.DeleteAllOf(w.t.Context(), &corev1.Pod{}, client.InNamespace("shop"), client.MatchingLabels{"app": "shop"}); err != nil {
		w.t.Fatal(err)
	}
	for i := range stables {
		w.pod(fmt.Sprintf("shop-%d", i), "shop", stable, "shop", true)
	}
	for i := range canaries {
		w.pod(fmt.Sprintf("shop-%d", stables+i), "shop", canary, "shop", true)
	}
}

func TestContractOfStatefulSets(t *testing.T) {
	contract.Run(t, contract.Capabilities{}, func(t *testing.T) contract.World { return openOrdered(t) })
}

// TestOnlyReadyPodsOfStatefulSetsCount: not one that is not ready or terminates, and one of a
// third version is of neither side.
func TestOnlyReadyPodsOfStatefulSetsCount(t *testing.T) {
	w := openOrdered(t)
	w.Run(3, 1)
	w.pod("shop-4", "shop", canary, "shop", false)
	w.pod("shop-5", "shop", "third", "shop", true)
	w.pod("shop-6", "shop", "", "shop", true)
	going := w.pod("shop-7", "shop", canary, "shop", true)
	going.Finalizers = []string{"example.com/waits"}
	if err := w.client.Update(t.Context(), going); err != nil {
		t.Fatal(err)
	}
	if err := w.client.Delete(t.Context(), going); err != nil {
		t.Fatal(err)
	}
	o, err := w.Router().Observe(t.Context(), w.target)
	want := traffic.Observation{Acknowledged: true, PairCurrent: true, Service: 6, Stable: 3, Canary: 1, ServiceStable: 3, ServiceCanary: 1}
	if err != nil || o != want {
		t.Errorf("observed %+v, %v, want %+v", o, err, want)
	}
}
