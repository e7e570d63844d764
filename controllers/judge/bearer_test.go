package judge

import (
	"testing"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// TestWhoseACounterIs: web-2 was stable's until a pod of the candidate took its name, ten
// seconds ago.
func TestWhoseACounterIs(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	const before, since = "10.0.0.2:8080", "10.0.0.9:8080"
	named := func(instance, uid string) string {
		c := prometheus.Counter{Pod: "web-2", Instance: instance}
		return prometheus.Borne(c.OfTarget().Pod, uid)
	}
	ledger := analysis.Ledger{}.Advance(analysis.Poll{EvaluatedAt: now.Add(-15 * time.Second),
		Stable: []analysis.PodCounter{counter(named(before, "stable"), 90, 0, now.Add(-16*time.Second)), counter(named(since, "older"), 90, 0, now.Add(-40*time.Second))},
		Canary: []analysis.PodCounter{counter(named(since, "tried"), 9, 0, now.Add(-20*time.Second))},
	}, time.Time{})
	created := podState{side: sideCanary, uid: "candidate", createdAt: now.Add(-10 * time.Second)}
	started := created
	started.onNode = true
	third := started
	third.side = 0
	for name, tc := range map[string]struct {
		pod      *podState
		instance string
		age      time.Duration
		side     side
		key      string
	}{
		"a sample of the new pod":                       {&started, since, time.Second, sideCanary, named(since, "candidate")},
		"one of the new pod, at the old one's address":  {&started, before, time.Second, sideCanary, named(before, "candidate")},
		"one of either":                                 {&started, before, 6 * time.Second, 0, ""},
		"one of the old pod, while the new one starts":  {&started, before, 12 * time.Second, 0, ""},
		"one of the old pod, before the new one starts": {&created, before, 12 * time.Second, sideStable, named(before, "stable")},
		"one of the old pod, by a clock that is ahead":  {&created, before, 8 * time.Second, sideStable, named(before, "stable")},
		"one of the old pod, before the new one exists": {nil, before, 12 * time.Second, sideStable, named(before, "stable")},
		"one of a pod of the candidate that is gone":    {nil, since, 12 * time.Second, sideCanary, named(since, "tried")},
		"one of a target that nobody knows":             {nil, "10.0.0.1:8080", time.Second, 0, ""},
		"one without a time":                            {&started, since, now.Sub(time.Time{}), 0, ""},
		"one of a third version":                        {&third, since, time.Second, 0, named(since, "candidate")},
	} {
		t.Run(name, func(t *testing.T) {
			tr := &evaluation{run: &v1alpha1.RolloutRun{Spec: v1alpha1.RolloutRunSpec{WorkloadKind: v1alpha1.KindStatefulSet}}, pods: map[string]podState{}, state: restore(nil)}
			tr.state.Ledgers["slo"] = ledger
			if tc.pod != nil {
				tr.pods["web-2"] = *tc.pod
			}
			target, sight := tr.orderedBearer(query{key: "slo"}, &prometheus.Counter{Pod: "web-2", Instance: tc.instance, SampledAt: now.Add(-tc.age)})
			if sight.side != tc.side || tc.key != "" && target.Pod != tc.key {
				t.Errorf("of side %d as %s, want %d as %s", sight.side, target.Pod, tc.side, tc.key)
			}
			if sight.side == sideStable && (!sight.readyAt.IsZero() || sight.ready) {
				t.Errorf("a pod that is gone is %+v", sight)
			}
		})
	}
}
