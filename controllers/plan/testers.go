package plan

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"

	"belay.dev/belay/api/v1alpha1"
)

// Testers are requests that reach the candidate whatever its weight, while a step with a match
// is in force.

// matchAt is the match of a step; nil for none.
func (f *facts) matchAt(index int32) *v1alpha1.StepMatch {
	if index < 0 || int(index) >= len(f.in.Spec.Steps) || f.replicaWeighted() {
		return nil
	}
	return f.in.Spec.Steps[index].Match
}

// targetTesters are those that the step asks for.
func (f *facts) targetTesters() *v1alpha1.StepMatch {
	if atFullWeight(f) {
		return nil
	}
	return f.matchAt(f.step().Index)
}

func sameTesters(a, b *v1alpha1.StepMatch) bool { return equality.Semantic.DeepEqual(a, b) }

func (f *facts) testersWrong() bool {
	return routesSplit(f) && !sameTesters(f.in.Route.Testers, f.targetTesters())
}

// testersForeign holds for testers that neither the step asks for nor the one before: those of
// the step before go with the change to the weight of this one.
func (f *facts) testersForeign() bool {
	now, before := f.in.Route.Testers, f.step().Index-1
	if atFullWeight(f) {
		before = f.step().Index
	}
	return now != nil && f.testersWrong() && !sameTesters(now, f.matchAt(before))
}

// withTesters says, to end a message about a weight, which testers reach the canary beside it;
// empty for none.
func withTesters(match *v1alpha1.StepMatch) string {
	if match == nil {
		return ""
	}
	return fmt.Sprintf(" and testers (%s)", match)
}

// takingAll says how the canary's requests are taken away, its testers' too.
func (f *facts) takingAll() string {
	if f.in.Route.Testers != nil {
		return "setting the canary's weight to 0 %, and removing the rules for its testers"
	}
	return "setting the canary's weight to 0 %"
}
