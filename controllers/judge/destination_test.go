package judge

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources"
)

func byService() v1alpha1.Indicator {
	return v1alpha1.Indicator{
		By: v1alpha1.CountedByService, Requests: &v1alpha1.RequestsIndicator{},
		Destination: &v1alpha1.Destination{Label: "service", Value: "$(service)", NamespaceLabel: "namespace"},
	}
}

// shopRun is an evaluation of a Rollout with routes, whose candidate has pods that have been
// ready for these times.
func shopRun(now time.Time, ready ...time.Duration) *evaluation {
	rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	rollout.Spec.Traffic = &v1alpha1.Traffic{Service: "web"}
	tr := &evaluation{run: &v1alpha1.RolloutRun{}, stableSet: "shop-1", canarySets: []string{"shop-2"}, services: servicesOf(rollout), pods: map[string]podState{}, state: restore(nil), weight: 20, now: now}
	for i, d := range ready {
		tr.pods[string(rune('a'+i))] = podState{side: sideCanary, ready: true, readyAt: now.Add(-d)}
	}
	tr.pods["stable"] = podState{side: sideStable, ready: true, readyAt: now.Add(-time.Second)}
	return tr
}

// A gateway's counters are split by the names of the Services, and each stays one counter.
func TestSplitByService(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	tr := shopRun(now, time.Hour)
	var answer []prometheus.Counter
	for _, name := range []string{"shop-stable", "shop-canary"} {
		for _, instance := range []string{"gateway-a", "gateway-b"} {
			answer = append(answer, prometheus.Counter{Namespace: "", Pod: name, Instance: instance, Counts: analysis.Counts{Total: 10}, SampledAt: now})
		}
	}
	counted, judged := tr.split(query{key: "slo", measure: sources.Measure{Indicator: byService()}}, answer, now)
	if len(counted.Stable) != 2 || len(counted.Canary) != 2 || len(judged.Canary) != 2 || len(judged.Stable) != 2 {
		t.Fatalf("counted %d of stable and %d of the candidate", len(counted.Stable), len(counted.Canary))
	}
	if c := counted.Canary; c[0].Pod == c[1].Pod || c[0].Destination != "shop-canary" || c[1].Destination != "shop-canary" || !c[0].ReadyAt.IsZero() {
		t.Errorf("the candidate's counters are %+v", c)
	}
	if background := tr.background(result{ofDestination: true, counted: counted, interval: time.Second}); background != nil {
		t.Errorf("a gateway's background is %v: probes and scrapes do not pass it", background)
	}
	if got := tr.destinationOf(byService()); got != "shop-canary" {
		t.Errorf("the candidate's destination is %q", got)
	}
}

// What is sent to a Service is as young as half of the pods behind it.
func TestAServiceIsAsYoungAsHalfOfItsPods(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		ready []time.Duration
		young bool
	}{
		{[]time.Duration{time.Hour}, false},
		{[]time.Duration{20 * time.Second}, true},
		{[]time.Duration{time.Hour, time.Hour, 20 * time.Second}, false},
		{[]time.Duration{time.Hour, 20 * time.Second, 20 * time.Second}, true},
		{[]time.Duration{time.Hour, 20 * time.Second}, true},
	} {
		tr := shopRun(now, c.ready...)
		q := query{key: "slo", measure: sources.Measure{Indicator: byService()}}
		l := analysis.Ledger{}
		for i := range 20 {
			at := now.Add(time.Duration(i-19) * 15 * time.Second)
			counted, _ := tr.split(q, []prometheus.Counter{{Pod: "shop-canary", Instance: "gateway", Counts: analysis.Counts{Total: float64(100 * (i + 1))}, SampledAt: at}}, at)
			counted.WarmUps = []time.Duration{time.Minute}
			l = l.Advance(counted, at)
		}
		if len(l.Fresh) != 1 || l.Fresh[0].Pod != "shop-canary" || l.Fresh[0].Young(time.Minute) != c.young {
			t.Errorf("pods ready for %v: young is %v of %+v", c.ready, !c.young, l.Fresh)
		}
	}
}

// In a handover the routes go back to the user's Service; without routes there are none.
func TestTheServicesOfARun(t *testing.T) {
	rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	if got := servicesOf(rollout); got != nil {
		t.Errorf("without spec.traffic: %v", got)
	}
	rollout.Spec.Traffic = &v1alpha1.Traffic{Service: "web"}
	rollout.Status.Phase = v1alpha1.PhaseHandingOver
	if got := servicesOf(rollout); len(got) != 3 || got[1] != "web" {
		t.Errorf("in a handover: %v", got)
	}
}

// A response is judged by the candidate's destination; its pods are not waited for.
func TestTheQualityOfADestination(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	workload := byService()
	workload.By = v1alpha1.CountedByWorkload
	for name, c := range map[string]struct {
		of          v1alpha1.Indicator
		destination string
		routed      bool
		reason      analysis.Reason
	}{
		"pods":     {v1alpha1.Indicator{Requests: &v1alpha1.RequestsIndicator{}}, "", false, analysis.Pending},
		"Service":  {byService(), "shop-canary", true, analysis.NoSeries},
		"Workload": {workload, "shop-2", false, analysis.NoSeries},
	} {
		g := v1alpha1.PinnedGuardrail{Spec: v1alpha1.GuardrailSpec{SLOs: []v1alpha1.SLO{{Name: "errors", Objective: "99.9", Indicator: c.of}}}}
		trigger := v1alpha1.Trigger{Name: "burn", SLO: "errors", Burn: &v1alpha1.BurnTrigger{Rate: "14.4"}}
		tr := shopRun(now, time.Hour)
		if q := tr.qualityOf(g, trigger, result{}); q.Destination != c.destination || q.Routed != c.routed {
			t.Errorf("%s: %+v", name, q)
		}
		v := tr.verdict(g, trigger, result{poll: analysis.Poll{EvaluatedAt: now}, interval: time.Second})
		if v.Reason != c.reason || !strings.Contains(v.Message, c.destination) {
			t.Errorf("%s: %s: %s", name, v.Reason, v.Message)
		}
	}
}

// Without spec.traffic there are no Services to count by: that is said, and the source is not
// blind.
func TestARunWithoutServicesIsNotRouted(t *testing.T) {
	b := newBench(t, 1)
	b.edit(func(g *v1alpha1.GuardrailSpec) {
		i := &g.SLOs[0].Indicator
		i.By, i.Destination = v1alpha1.CountedByService, byService().Destination
	})
	b.poll()
	got := b.recorded(b.runs[0])
	if got.Reason != string(analysis.NotRouted) || got.Outcome != v1alpha1.VerdictInconclusive || got.BlindSince != nil || !strings.Contains(got.Message, "set spec.traffic") {
		t.Errorf("%s %s: %s", got.Outcome, got.Reason, got.Message)
	}
	if b.source.asked != 0 {
		t.Errorf("the source was asked %d times", b.source.asked)
	}
}
