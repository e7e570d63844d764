package stories

import (
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"

	"belay.dev/belay/api/v1alpha1"
)

// TestKilledAfterEveryWrite: no process of the controller lives to see what became
// of its first write. The next one goes on from what it finds, to the same end.
func TestKilledAfterEveryWrite(t *testing.T) {
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
			var kills atomic.Int32
			s.onWrite(func(b *belay, w write) {
				if w.resource != "events" && !b.wire.dead.Load() {
					kills.Add(1)
					b.kill()
				}
			})
			s.Push("v2")
			s.Eventually("the end", func(g Gomega) {
				if s.belay.wire.dead.Load() {
					s.restart()
				}
				r := s.rollout()
				g.Expect(r.Status.History).NotTo(BeEmpty())
				g.Expect(r.Status.Phase).To(BeElementOf(v1alpha1.PhaseStable, v1alpha1.PhaseRolledBack))
			})
			s.onWrite(nil)
			if s.belay.wire.dead.Load() {
				s.restart()
			}
			tc.ends(s)
			s.Served()
			t.Logf("%d processes were killed", kills.Load())
			if kills.Load() < 15 {
				t.Error("fewer than 15 writes: the test no longer sees them")
			}
		})
	}
}
