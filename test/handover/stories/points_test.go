package stories

import (
	"sync"

	. "github.com/onsi/gomega"

	"belay.dev/belay/api/v1alpha1"
)

// point is where a release stands when it is disturbed.
type point struct {
	name string
	// fails is set where v2 is rolled back in the end.
	fails bool
	// owned is set where the Deployment owns the new set already, or gets it by the
	// write that follows without another look: there is no way back by weights.
	owned bool
	// owning is set where the controller is about to give it the new set: a deletion may come
	// before that or after.
	owning bool
	// reach pushes v2 and disturbs once it stands there.
	reach func(s *shop, disturb func())
}

// points in the order of a release.
var points = []point{
	{name: "held", fails: true, reach: func(s *shop, disturb func()) {
		s.verdict(inStep(v1alpha1.VerdictFail))
		s.Push("v2")
		s.rolledBack(*s.Deployment().Spec.Replicas)
		disturb()
	}},
	{name: "step", reach: func(s *shop, disturb func()) {
		s.verdict(always(v1alpha1.VerdictInconclusive))
		s.Push("v2")
		s.atStep()
		disturb()
		s.verdict(nil)
	}},
	{name: "promoting", reach: func(s *shop, disturb func()) {
		s.Push("v2")
		s.inPhase(v1alpha1.PhasePromoting)
		disturb()
	}},
	{name: "bake", reach: func(s *shop, disturb func()) {
		s.verdict(func(r *v1alpha1.Rollout) v1alpha1.VerdictOutcome {
			// Times in a status have whole seconds: a pass from just before would count.
			if r.Status.Phase == v1alpha1.PhasePromoting || r.Status.Phase == v1alpha1.PhaseBaking {
				return v1alpha1.VerdictInconclusive
			}
			return v1alpha1.VerdictPass
		})
		s.Push("v2")
		s.inPhase(v1alpha1.PhaseBaking)
		disturb()
		s.verdict(nil)
	}},
	{name: "handing over", owning: true, reach: func(s *shop, disturb func()) {
		s.Push("v2")
		s.inPhase(v1alpha1.PhaseHandingOver)
		disturb()
	}},
	{name: "locked", owned: true, reach: func(s *shop, disturb func()) { s.atWrite(write.locks, disturb) }},
	{name: "owner changed", owned: true, reach: func(s *shop, disturb func()) { s.atWrite(write.gives, disturb) }},
	{name: "rolling back", fails: true, reach: func(s *shop, disturb func()) {
		s.verdict(inStep(v1alpha1.VerdictFail))
		s.Push("v2")
		s.inPhase(v1alpha1.PhaseRollingBack)
		disturb()
	}},
}

// inStep gives a verdict on v2 in a step; everything else passes.
func inStep(outcome v1alpha1.VerdictOutcome) func(*v1alpha1.Rollout) v1alpha1.VerdictOutcome {
	return func(r *v1alpha1.Rollout) v1alpha1.VerdictOutcome {
		switch {
		case r.Status.Phase != v1alpha1.PhaseStepping || !isV2(r):
			return v1alpha1.VerdictPass
		case r.Status.Step == nil || r.Status.Step.AcknowledgedAt == nil:
			// Times in a status have whole seconds: a pass from just before would count.
			return v1alpha1.VerdictInconclusive
		default:
			return outcome
		}
	}
}

func isV2(r *v1alpha1.Rollout) bool {
	return r.Status.Candidate != nil && r.Status.Candidate.Image == image("v2")
}

// atStep waits until the candidate has its share.
func (s *shop) atStep() {
	s.T.Helper()
	s.until("the step is acknowledged", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseStepping))
		g.Expect(r.Status.Step.AcknowledgedAt).NotTo(BeNil())
	})
}

func (s *shop) inPhase(phase v1alpha1.Phase) {
	s.T.Helper()
	s.until("in phase "+string(phase), func(g Gomega, r *v1alpha1.Rollout) { g.Expect(r.Status.Phase).To(Equal(phase)) })
}

// atWrite disturbs within the controller's write: it has gone through, and the
// controller does not know yet.
func (s *shop) atWrite(is func(write) bool, disturb func()) {
	s.T.Helper()
	reached := make(chan struct{})
	var once sync.Once
	s.onWrite(func(_ *belay, w write) {
		if is(w) {
			once.Do(func() {
				disturb()
				close(reached)
			})
		}
	})
	s.Push("v2")
	s.Eventually("the write", func(g Gomega) { g.Expect(reached).To(BeClosed()) })
}
