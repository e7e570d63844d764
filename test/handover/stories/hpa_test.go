package stories

import (
	"testing"

	. "github.com/onsi/gomega"

	"belay.dev/belay/api/v1alpha1"
)

// TestAnAutoscalerWithoutTheController: with Belay dead in a run the autoscaler goes on
// scaling what serves, stable keeps its requests, and the canary stays as it is. The
// next process goes on with the sizes that it finds.
func TestAnAutoscalerWithoutTheController(t *testing.T) {
	t.Parallel()
	for name, phase := range map[string]v1alpha1.Phase{"in a step": v1alpha1.PhaseStepping, "in the bake": v1alpha1.PhaseBaking} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, replicas, nil)
			s.autoscale()
			s.verdict(undecidedIn(phase))
			s.Push("v2")
			s.inPhase(phase)
			if phase == v1alpha1.PhaseStepping {
				s.atStep()
			}
			before := s.Sizes()
			s.belay.kill()
			kube.Metrics.Set(s.Namespace, "load", 60)
			s.Eventually("the autoscaler scales stable up", func(g Gomega) {
				g.Expect(s.Set("v1").Status.AvailableReplicas).To(Equal(int32(6)))
				g.Expect(s.Sizes()).To(Equal(map[string]int32{"v1": 6, "v2": before["v2"]}))
			})
			s.verdict(nil)
			s.restart()
			s.promoted("v2", 6)
			s.Served()
			s.made(map[string]int{"v1": 6, "v2": 6})
		})
	}
}
