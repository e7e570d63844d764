package plan

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"

	"belay.dev/belay/api/v1alpha1"
)

// extra is what reaches the candidate whatever its weight, while a step that asks for it is in
// force: requests of testers, and copies of requests. A step has at most one of them.
type extra struct {
	testers *v1alpha1.StepMatch
	// mirror is how many percent of the requests are copied; 0 for none.
	mirror int32
}

func (e extra) none() bool { return e.testers == nil && e.mirror == 0 }

func (e extra) same(o extra) bool {
	return equality.Semantic.DeepEqual(e.testers, o.testers) && e.mirror == o.mirror
}

// String ends a message about a weight; empty for nothing.
func (e extra) String() string {
	switch {
	case e.testers != nil:
		return fmt.Sprintf(" and testers (%s)", e.testers)
	case e.mirror > 0:
		return fmt.Sprintf(" and copies of %d %% of the requests", e.mirror)
	default:
		return ""
	}
}

func (e SetSplit) extra() extra { return extra{e.Testers, e.Mirror} }

// extraNow is what the routes carry out.
func (f *facts) extraNow() extra { return extra{f.in.Route.Testers, f.in.Route.Mirror} }

// extraAt is what a step asks for.
func (f *facts) extraAt(index int32) extra {
	if index < 0 || int(index) >= len(f.in.Spec.Steps) || f.replicaWeighted() {
		return extra{}
	}
	step := f.in.Spec.Steps[index]
	return extra{step.Match, step.Mirror}
}

// targetExtra is what the step in progress asks for.
func (f *facts) targetExtra() extra {
	if atFullWeight(f) {
		return extra{}
	}
	return f.extraAt(f.step().Index)
}

func (f *facts) extraWrong() bool {
	return routesSplit(f) && !f.extraNow().same(f.targetExtra())
}

// extraForeign holds for testers or copies that neither the step asks for nor the one before:
// those of the step before go with the change to the weight of this one.
func (f *facts) extraForeign() bool {
	before := f.step().Index - 1
	if atFullWeight(f) {
		before = f.step().Index
	}
	return !f.extraNow().none() && f.extraWrong() && !f.extraNow().same(f.extraAt(before))
}

// takingAll says how the canary's requests are taken away, its testers' and copies too.
func (f *facts) takingAll() string {
	const weight = "setting the canary's weight to 0 %"
	switch {
	case f.in.Route.Testers != nil:
		return weight + ", and removing the rules for its testers"
	case f.in.Route.Mirror > 0:
		return weight + ", and removing the filters that copy requests to it"
	default:
		return weight
	}
}
