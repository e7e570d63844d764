//go:build mesh

package mesh

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"

	"belay.dev/belay/api/v1alpha1"
)

// holdsWithoutAMesh: nobody answers for the route, so the candidate gets no pod and no call. The
// hold names the parent, and after the step's deadline it is a person's to look at.
func holdsWithoutAMesh(t *testing.T, s *story) {
	g := NewWithT(t)
	g.Expect(s.Release(t.Context(), images["v2"])).To(Succeed())
	parent := `Service "shop" in namespace "` + s.Namespace + `", port 80: no status was reported for it`
	rollout := s.until(t, "wait for the mesh", func(r *v1alpha1.Rollout) bool { return strings.Contains(r.Status.Message, parent) })
	t.Log(rollout.Status.Message)
	rollout = s.until(t, "pass its deadline", func(r *v1alpha1.Rollout) bool {
		stalled := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionStalled)
		return stalled != nil && stalled.Reason == v1alpha1.ReasonDeadlineExceeded
	})
	t.Log(rollout.Status.Message)
	g.Expect(rollout.Status.Message).To(ContainSubstring(parent))
	g.Expect(rollout.Status.Phase).To(Equal(v1alpha1.PhaseStepping))
	g.Expect(rollout.Status.Step.Replicas.Desired).To(BeZero(), "no pod for a route that nobody serves")
}

// atZero: the mesh has come, the run goes on by itself, and the candidate's pod gets no call.
func atZero(t *testing.T, s *story) {
	s.until(t, "have a canary at weight 0", at(0))
	NewWithT(t).Expect(s.route(t)).To(And(ContainSubstring(`"name":"shop-stable","port":80,"weight":100`), ContainSubstring(`"name":"shop-canary","port":80,"weight":0`)))
	s.caller.measure(t, "v2", 0, few)
}

// awaitsTheMesh: the control plane hangs. The new weight is written and not acknowledged, calls
// go on as before, and no time of the step's hold passes.
func awaitsTheMesh(t *testing.T, s *story) {
	g := NewWithT(t)
	begin := time.Now()
	s.approve(t, 1)
	rollout := s.until(t, "write the new weight", func(r *v1alpha1.Rollout) bool {
		return r.Status.Step != nil && r.Status.Step.Index == 1 && strings.Contains(r.Status.Message, "only reported for generation")
	})
	t.Log(rollout.Status.Message)
	g.Expect(s.route(t)).To(ContainSubstring(`"name":"shop-canary","port":80,"weight":20`))
	g.Consistently(func() bool {
		o, err := s.seen.observe(t.Context())
		return err == nil && !o.Acknowledged && strings.Contains(o.Unacknowledged, "only reported for generation")
	}).WithTimeout(5 * time.Second).Should(BeTrue())
	rollout, err := s.Rollout(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(rollout.Status.Step.AcknowledgedAt).To(BeNil())
	g.Expect(rollout.Status.Step.Weight.Observed).To(BeEquivalentTo(-1), "not acknowledged")
	got := s.caller.since(begin)
	g.Expect(got.failed).To(BeEmpty(), "%s", got)
	g.Expect(got.by).To(And(HaveLen(1), HaveKey("v1")), "%s", got)
}

// atTwenty: the mesh answers again, and a fifth of the calls goes to the candidate.
func atTwenty(t *testing.T, s *story) {
	g := NewWithT(t)
	resumed := time.Now()
	g.Eventually(func() int { return s.caller.since(resumed).by["v2"] }).WithPolling(20 * time.Millisecond).Should(BeNumerically(">", 0))
	first := time.Now()
	rollout := s.until(t, "have weight 20 acknowledged", at(1))
	t.Logf("the first call of v2 was answered %s after the mesh went on; acknowledged at %s, which was %s before it",
		first.Sub(resumed).Round(10*time.Millisecond), rollout.Status.Step.AcknowledgedAt, first.Sub(rollout.Status.Step.AcknowledgedAt.Time).Round(time.Second))
	g.Expect(rollout.Status.Step.Weight.Observed).To(BeEquivalentTo(20))
	s.caller.measure(t, "v2", 0.2, many)
}

// promoted: everything goes to the candidate, through the route and then without it.
func promoted(t *testing.T, s *story) {
	g := NewWithT(t)
	s.approve(t, 2)
	s.until(t, "give v2 everything", func(r *v1alpha1.Rollout) bool {
		return r.Status.Phase == v1alpha1.PhaseBaking && r.Status.Promotion != nil && r.Status.Promotion.FullAt != nil
	})
	s.onlyAnswers(t, "v2")
	s.caller.measure(t, "v2", 1, few)
	g.Expect(s.route(t)).To(ContainSubstring(`"name":"shop-canary","port":80,"weight":100`), "that was measured at weight 100")
	entry, err := s.Finished(t.Context(), images["v2"])
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(entry.Outcome).To(Equal(v1alpha1.OutcomePromoted), "%s", entry.Message)
	s.givenBack(t)
	s.caller.measure(t, "v2", 1, few)
	g.Expect(s.caller.since(s.began).failed).To(BeEmpty(), "no call failed in the whole run: %s", s.caller.since(s.began))
}

// rolledBack: what the version counts of the mesh's calls rolls it back, and no other call fails.
func rolledBack(t *testing.T, s *story) {
	g := NewWithT(t)
	s.guard(t, "{name: availability, slo: availability, regression: {}}", "{weight: 20, hold: 30s}")
	begin := time.Now()
	g.Expect(s.Release(t.Context(), images["errors"])).To(Succeed())
	entry, err := s.Finished(t.Context(), images["errors"])
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(entry.Outcome).To(Equal(v1alpha1.OutcomeRolledBack), "%s", entry.Message)
	t.Log(entry.Message)
	s.givenBack(t)
	s.onlyAnswers(t, "v2")
	s.caller.measure(t, "v2", 1, few)
	got := s.caller.since(begin)
	t.Log(got)
	g.Expect(got.by["errors"]).To(BeNumerically(">", 0), "the version was tried")
	g.Expect(got.failed).To(And(HaveLen(1), HaveKey("errors")), "only the version's own failures: %s", got)
}

// observedWell: in all of that next to no call was refused by grpc-go, and Belay took a weight for acknowledged when the mesh's status said
// so of the route's present generation, and only then.
func observedWell(t *testing.T, s *story) {
	g := NewWithT(t)
	s.seen.check(t)
	got := s.caller.since(s.began)
	t.Log(got)
	for _, one := range got.refused {
		t.Logf("refused by grpc-go at %s after %s: %s", one.Began.Format(clock), one.Ended.Sub(one.Began), one.Message)
	}
	g.Expect(len(got.refused)).To(BeNumerically("<=", tolerated))
}
