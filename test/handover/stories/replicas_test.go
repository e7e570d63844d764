package stories

import (
	"slices"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// withoutTraffic shares requests by the number of pods: 25 % beside 4 pods takes 2
// canary pods, which are a third of all.
func withoutTraffic(spec map[string]any) {
	delete(spec, "traffic")
	spec["steps"] = []any{map[string]any{"weight": int64(25), "hold": "0s"}}
}

// TestReplicaWeighted promotes a version without a route or a Service of Belay's.
func TestReplicaWeighted(t *testing.T) {
	t.Parallel()
	s := open(t, replicas, nil, withoutTraffic)
	untouched := s.watchTraffic()
	s.verdict(undecidedIn(v1alpha1.PhaseStepping))
	s.Push("v2")
	s.atStep()
	s.sharesDirectCalls(0.33, v1alpha1.WeightStatus{Desired: 25, Observed: 33})
	s.verdict(undecidedIn(v1alpha1.PhaseBaking))
	s.inPhase(v1alpha1.PhaseBaking)
	s.sharesDirectCalls(0.5, v1alpha1.WeightStatus{Desired: 50, Observed: 50})
	s.verdict(nil)
	s.promoted("v2", replicas)
	s.Served()
	s.made(map[string]int{"v1": replicas, "v2": replicas})
	untouched()
}

// TestReplicaWeightedRollback takes the canary's pods away in a step and in a bake.
func TestReplicaWeightedRollback(t *testing.T) {
	t.Parallel()
	for name, phase := range map[string]v1alpha1.Phase{"step": v1alpha1.PhaseStepping, "bake": v1alpha1.PhaseBaking} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, replicas, nil, withoutTraffic)
			untouched := s.watchTraffic()
			s.verdict(undecidedIn(phase))
			s.Push("v2")
			s.inPhase(phase)
			if phase == v1alpha1.PhaseStepping {
				s.atStep()
			}
			s.verdict(func(r *v1alpha1.Rollout) v1alpha1.VerdictOutcome {
				if r.Status.Phase == phase {
					return v1alpha1.VerdictFail
				}
				return v1alpha1.VerdictPass
			})
			s.rolledBack(replicas)
			s.Served()
			if n := s.Made()["v1"]; n != replicas {
				t.Errorf("%d pods of v1 were made, a rollback makes none", n)
			}
			untouched()
		})
	}
}

// TestReplicaWeightedNative leaves the rest to the Deployment's own strategy.
func TestReplicaWeightedNative(t *testing.T) {
	t.Parallel()
	s := open(t, replicas, nil, withoutTraffic, natively)
	untouched := s.watchTraffic()
	s.Push("v2")
	s.promoted("v2", replicas)
	s.Served()
	untouched()
}

// TestTrafficNamedInARun: a run keeps the way that it started with, and the next one
// takes the other.
func TestTrafficNamedInARun(t *testing.T) {
	t.Parallel()
	s := open(t, replicas, nil, withoutTraffic)
	untouched := s.watchTraffic()
	s.verdict(undecidedIn(v1alpha1.PhaseStepping))
	s.Push("v2")
	s.atStep()
	traffic := `{"spec":{"traffic":{"service":"shop","routes":[{"name":"shop"}],"drain":"1s"}}}`
	s.Must(admin.Patch(t.Context(), s.rollout(), client.RawPatch("application/merge-patch+json", []byte(traffic))))
	s.verdict(nil)
	s.promoted("v2", replicas)
	untouched()
	s.Push("v3")
	s.promoted("v3", replicas)
	s.Served()
	if s.service("shop-canary") == nil {
		t.Error("the second run did not share through the route")
	}
}

// watchTraffic returns what fails the test if Belay has written a Service or a route
// since.
func (s *shop) watchTraffic() func() {
	var mu sync.Mutex
	var wrote []write
	s.onWrite(func(_ *belay, w write) {
		if slices.Contains([]string{"services", "httproutes", "grpcroutes"}, w.resource) {
			mu.Lock()
			wrote = append(wrote, w)
			mu.Unlock()
		}
	})
	return func() {
		s.T.Helper()
		mu.Lock()
		defer mu.Unlock()
		if len(wrote) > 0 || s.service("shop-stable") != nil || s.service("shop-canary") != nil {
			s.T.Errorf("Belay wrote Services or routes that nobody named: %v", wrote)
		}
	}
}

// sharesDirectCalls waits until v2 answers this share of the calls to the Service,
// and the status shows both weights.
func (s *shop) sharesDirectCalls(share float64, want v1alpha1.WeightStatus) {
	s.T.Helper()
	of := func(r map[string]float64) (v2, all float64) { return r[image("v2")], r[image("v1")] + r[image("v2")] }
	s.Eventually("v2 answers its share of the calls", func(g Gomega) {
		v2, all := of(s.Requests().Direct)
		g.Eventually(func() float64 {
			_, now := of(s.Requests().Direct)
			return now - all
		}).WithTimeout(soon).WithPolling(30 * time.Millisecond).Should(BeNumerically(">", 50))
		v2now, allNow := of(s.Requests().Direct)
		g.Expect((v2now - v2) / (allNow - all)).To(BeNumerically("~", share, 0.02))
	})
	s.until("the status shows both weights", func(g Gomega, r *v1alpha1.Rollout) { g.Expect(r.Status.Step.Weight).To(Equal(want)) })
}
