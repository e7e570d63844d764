package stories

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"belay.dev/belay/api/v1alpha1"
)

// TestUnattended: a candidate that no controller looked at for longer than spec.unattended is
// rolled back by the next one.
func TestUnattended(t *testing.T) {
	t.Parallel()
	s := open(t, 2, nil, func(spec map[string]any) { spec["unattended"] = "1m" })
	s.verdict(always(v1alpha1.VerdictInconclusive))
	s.Push("v2")
	s.until("the step takes requests, and is marked as looked at", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseStepping))
		g.Expect(r.Status.Step.AcknowledgedAt).NotTo(BeNil())
		g.Expect(r.Status.AttendedAt).NotTo(BeNil())
	})
	s.belay.end()
	since := s.rollout().Status.AttendedAt.Time
	NewWithT(t).Eventually(func() time.Duration { return time.Since(since) }).WithTimeout(2 * time.Minute).WithPolling(time.Second).Should(BeNumerically(">", 75*time.Second))
	if at := s.rollout().Status.AttendedAt.Time; !at.Equal(since) {
		t.Fatalf("somebody marked a look at %s", at)
	}
	s.belay = start(t, s.Namespace, s.wrote)
	s.rolledBack(2)
	if h := s.rollout().Status.History; len(h) != 1 || h[0].Outcome != v1alpha1.OutcomeRolledBack || h[0].Trigger != "unattended" {
		t.Errorf("the history is %+v", h)
	}
	s.Served()
}
