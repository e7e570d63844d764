package indicators

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"belay.dev/belay/api/v1alpha1"
)

// TestAnIndicatorByService: between runs the user's Service counts, in a run the stable one,
// whose counter is another: what lies between the two is no rate.
func TestAnIndicatorByService(t *testing.T) {
	w := newWorld(t, append(with(app(0, 1), time.Hour), guardrailOf(func(s *v1alpha1.GuardrailSpec) {
		excludes(s)
		i := &s.SLOs[0].Indicator
		i.By, i.Destination = v1alpha1.CountedByService, &v1alpha1.Destination{Label: "to", Value: "$(service)", NamespaceLabel: "namespace"}
	}))...)
	if ready, status := w.look(); ready.Reason != v1alpha1.ReasonNotRouted || len(w.probes) != 0 || !strings.Contains(status.Indicators[0].Message, "set spec.traffic") {
		t.Errorf("without spec.traffic it is %s, %+v, after %d probes", ready.Reason, status.Indicators, len(w.probes))
	}
	w.change(v1alpha1.PhaseStable)
	w.counts("web", 2*every, 1000)
	w.counts("web", 2*every, 1000+20*600)
	rate := func() float64 {
		pace, _ := w.loop.paces.of(kindGuardrail, types.NamespacedName{Namespace: "shop", Name: "shop"}, "shop/app-0", "availability")
		return pace.rate
	}
	if rate() != 20 {
		t.Errorf("the rate of the user's Service is %v", rate())
	}
	w.change(v1alpha1.PhaseStepping)
	w.counts("app-0-stable", 2*every, 900_000)
	if rate() != 20 {
		t.Errorf("with the counter of another Service the rate is %v", rate())
	}
	w.counts("app-0-stable", 2*every, 900_000+40*600)
	if rate() != 40 {
		t.Errorf("the rate of the stable Service is %v", rate())
	}
}

// change gives the Rollout a Service, and puts it in a phase.
func (w *world) change(phase v1alpha1.Phase) {
	w.t.Helper()
	rollout := &v1alpha1.Rollout{}
	if err := w.client.Get(w.t.Context(), types.NamespacedName{Namespace: "shop", Name: "app-0"}, rollout); err != nil {
		w.t.Fatal(err)
	}
	rollout.Spec.Traffic = &v1alpha1.Traffic{Service: "web"}
	if err := w.client.Update(w.t.Context(), rollout); err != nil {
		w.t.Fatal(err)
	}
	rollout.Status.Phase = phase
	if err := w.client.Status().Update(w.t.Context(), rollout); err != nil {
		w.t.Fatal(err)
	}
}

// counts lets the next probe, which must be about this Service alone, see so many requests.
func (w *world) counts(service string, d time.Duration, total int) {
	w.t.Helper()
	_, status := w.after(d, total)
	if got := servicesIn(w.lastProbe()); len(got) != 1 || got[0] != service || status.Indicators[0].Reason != "Healthy" {
		w.t.Errorf("the probe is about %q, %+v; want %s", got, status.Indicators, service)
	}
}

func (w *world) lastProbe() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.probes) == 0 {
		return ""
	}
	return w.probes[len(w.probes)-1]
}

// TestARolloutWithoutServicesHidesNoOther, which shares its query.
func TestARolloutWithoutServicesHidesNoOther(t *testing.T) {
	routed := app(1, 1)
	routed[0].(*v1alpha1.Rollout).Spec.Traffic = &v1alpha1.Traffic{Service: "web"}
	w := newWorld(t, append(append(app(0, 1), routed...), guardrailOf(func(s *v1alpha1.GuardrailSpec) {
		i := &s.SLOs[0].Indicator
		i.By, i.Destination = v1alpha1.CountedByService, &v1alpha1.Destination{Label: "to", Value: "$(service)", NamespaceLabel: "namespace"}
	}))...)
	_, status := w.look()
	if got := servicesIn(w.lastProbe()); !slices.Equal(got, []string{"web"}) || !slices.Equal(status.Indicators[0].WrongIn, []string{"shop/app-0"}) {
		t.Errorf("the probe is about %q, %+v", got, status.Indicators)
	}
}

// TestWhatAnIndicatorCountsBy is named as such: a gateway counts no pods.
func TestWhatAnIndicatorCountsBy(t *testing.T) {
	for by, want := range map[v1alpha1.CountedBy]struct{ value, counted, all, allBad string }{
		v1alpha1.CountedByService:  {"$(service)", "18000 requests to the Services of 2 Rollouts, 6 of them bad, since their counters began", "1 indicator sees its series of the stable version of 2 Rollouts", "all 9000 requests to Service web are counted as bad, so"},
		v1alpha1.CountedByWorkload: {"$(replicaSet)", "18000 requests to the stable ReplicaSets of 2 Rollouts, 6 of them bad, since their counters began", "", "all 9000 requests to ReplicaSet app-0-stable are counted as bad, so"},
	} {
		objects := append(app(0, 1), app(1, 1)...)
		for i, service := range map[int]string{0: "web", 2: "api"} {
			objects[i].(*v1alpha1.Rollout).Spec.Traffic = &v1alpha1.Traffic{Service: service}
		}
		w := newWorld(t, append(objects, guardrailOf(func(s *v1alpha1.GuardrailSpec) {
			i := &s.SLOs[0].Indicator
			i.By, i.Destination = by, &v1alpha1.Destination{Label: "to", Value: want.value, NamespaceLabel: "namespace"}
		}))...)
		ready, status := w.look()
		if got := status.Indicators[0].Message; got != want.counted || !strings.Contains(ready.Message, want.all) {
			t.Errorf("by %s: %s; %s", by, got, ready.Message)
		}
		w.series["bad"] = "9000"
		w.clock.Step(2 * every)
		if ready, _ := w.look(); ready.Reason != v1alpha1.ReasonEverythingBad || !strings.Contains(ready.Message, want.allBad) {
			t.Errorf("all are bad, by %s: %s", by, ready.Message)
		}
	}
}
