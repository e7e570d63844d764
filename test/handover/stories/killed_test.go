package stories

import (
	"sync"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/handover/cluster"
)

// TestKilledAgainAndAgain: no process of the controller lives to see what became of
// its second, third or fourth write. The next one goes on from what it finds, to
// the same end.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		ends func(s *shop)
	}{
		{"promoted", func(s *shop) {
			s.promoted("v2", 2)
			s.made(map[string]int{"v1": 2, "v2": 2})
		}},
		{"rolled back", func(s *shop) {
			s.rolledBack(2)
			NewWithT(s.T).Expect(s.Made()).To(HaveKeyWithValue("v1", 2))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, 2, nil)
			if tc.name == "rolled back" {
				s.verdict(inStep(v1alpha1.VerdictFail))
			}
			kills := s.killing()
			s.Push("v2")
			NewWithT(t).Eventually(func(g Gomega) {
				if s.belay.wire.dead.Load() {
					s.restart()
				}
				r := s.rollout()
				g.Expect(r.Status.History).NotTo(BeEmpty())
				g.Expect(r.Status.Phase).To(BeElementOf(v1alpha1.PhaseStable, v1alpha1.PhaseRolledBack))
			}).WithTimeout(2*soon).WithPolling(cluster.Poll).Should(Succeed(), s.String)
			s.onWrite(nil)
			if s.belay.wire.dead.Load() {
				s.restart()
			}
			tc.ends(s)
			s.Served()
			if kills.Load() < 8 {
				t.Errorf("only %d processes were killed", kills.Load())
			}
		})
	}
}

// killing kills every process of the controller at one of its first writes. The
// very first is a record of what it is about to do, so no process that dies there
// gets anywhere.
func (s *shop) killing() *atomic.Int32 {
	var kills atomic.Int32
	var mu sync.Mutex
	writes := map[*belay]int32{}
	s.onWrite(func(b *belay, w write) {
		mu.Lock()
		defer mu.Unlock()
		if w.resource == "events" || b.wire.dead.Load() {
			return
		}
		writes[b]++
		if writes[b] > 1+kills.Load()%3 {
			kills.Add(1)
			b.kill()
		}
	})
	return &kills
}
