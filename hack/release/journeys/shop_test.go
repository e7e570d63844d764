package journeys

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/hack/load"
	"belay.dev/belay/hack/stage"
)

// shop is one that Belay guards, under load from the first moment to the last.
type shop struct {
	stage.Shop

	t    *testing.T
	load *load.Generator
}

// open serves v1, guards it and starts the load. The steps are short, but for what
// replaces them further.
func open(t *testing.T, namespace string, replacements ...string) *shop {
	t.Helper()
	g := NewWithT(t)
	s := &shop{Shop: set.Shop(namespace), t: t}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := s.Remove(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		ctx := context.WithoutCancel(t.Context())
		if rollout, err := s.Rollout(ctx); err == nil {
			t.Log(stage.Describe(rollout))
		}
		if logs, err := set.Logs(ctx); err == nil {
			t.Log(logs)
		}
	})
	g.Expect(s.Serve(t.Context(), images["v1"])).To(Succeed())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	g.Expect(s.Guard(ctx, stage.Short(replacements...)...)).To(Succeed())
	s.load = &load.Generator{URL: set.Addresses.Gateway, Host: s.Host(), Rate: 60}
	s.load.Start(context.WithoutCancel(t.Context()))
	t.Cleanup(s.load.Stop)
	return s
}

// push declares a version.
func (s *shop) push(version string) {
	s.t.Helper()
	NewWithT(s.t).Expect(s.Release(s.t.Context(), images[version])).To(Succeed())
}

// until waits for the Rollout to get somewhere.
func (s *shop) until(what string, wanted func(*v1alpha1.Rollout) bool) *v1alpha1.Rollout {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*patience)
	defer cancel()
	rollout, err := s.Await(ctx, what, wanted)
	NewWithT(s.t).Expect(err).NotTo(HaveOccurred())
	return rollout
}

// atFirstWeight waits until the gateway gives the candidate its first share.
func (s *shop) atFirstWeight() *v1alpha1.Rollout {
	s.t.Helper()
	return s.until("give the canary 20 %", func(r *v1alpha1.Rollout) bool {
		return r.Status.Phase == v1alpha1.PhaseStepping && r.Status.Step != nil && r.Status.Step.AcknowledgedAt != nil && r.Status.Step.Weight.Observed == 20
	})
}

// ended waits until a run has its entry in the history.
func (s *shop) ended(run string) v1alpha1.HistoryEntry {
	s.t.Helper()
	var entry v1alpha1.HistoryEntry
	s.until("end run "+run, func(r *v1alpha1.Rollout) bool {
		for _, h := range r.Status.History {
			if h.Run == run {
				entry = h
				return h.Outcome != ""
			}
		}
		return false
	})
	return entry
}

// promoted waits until a version is stable, and returns the run that promoted it.
func (s *shop) promoted(version string) v1alpha1.HistoryEntry {
	s.t.Helper()
	rollout := s.until("promote "+version, func(r *v1alpha1.Rollout) bool {
		return r.Status.Phase == v1alpha1.PhaseStable && r.Status.Stable.Image == images[version]
	})
	s.onlyServed(version)
	return rollout.Status.History[0]
}

// rolledBack waits until a run has ended so, with only the stable version serving.
func (s *shop) rolledBack(run, stable string) v1alpha1.HistoryEntry {
	s.t.Helper()
	entry := s.ended(run)
	NewWithT(s.t).Expect(entry.Outcome).To(Equal(v1alpha1.OutcomeRolledBack))
	s.until("end the rollback", func(r *v1alpha1.Rollout) bool { return r.Status.Phase == v1alpha1.PhaseRolledBack })
	s.onlyServed(stable)
	return entry
}

// onlyServed waits until every request of the last second got its answer from one
// version.
func (s *shop) onlyServed(version string) {
	s.t.Helper()
	NewWithT(s.t).Eventually(func(g Gomega) {
		recent := load.Count(s.load.Since(time.Now().Add(-time.Second)))
		g.Expect(recent.Sent).To(BeNumerically(">", 10))
		g.Expect(recent.By).To(HaveLen(1))
		g.Expect(recent.By).To(HaveKey(version))
	}).WithTimeout(30 * time.Second).Should(Succeed())
}

// noneFailed ends the load. No request may have failed, but by a bad version itself.
func (s *shop) noneFailed(bad string) {
	s.t.Helper()
	s.load.Stop()
	tally := load.Count(s.load.Since(time.Time{}))
	g := NewWithT(s.t)
	g.Expect(tally.Sent).To(BeNumerically(">", 100))
	g.Expect(tally.Failed-tally.By[bad].Failed).To(BeZero(), "requests nobody may lose: %v of %v", tally.Unanswered, tally.By)
	s.t.Logf("%s: %d requests, %d failed: %v", s.Namespace, tally.Sent, tally.Failed, tally.By)
}

// verified checks a finished run's record by the command line: hashes and the chain of
// decisions, and each decision once more.
func (s *shop) verified(belay, run string) *v1alpha1.RolloutRun {
	s.t.Helper()
	g := NewWithT(s.t)
	var out *v1alpha1.RolloutRun
	g.Eventually(func(g Gomega) {
		var err error
		out, err = s.Run(s.t.Context(), run)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(out.Status.FinishedAt).NotTo(BeNil())
	}).WithTimeout(30 * time.Second).Should(Succeed())
	s.t.Log(does(s.t, belay, "verify", run, "-n", s.Namespace))
	return out
}
