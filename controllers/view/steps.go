package view

import (
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/workload"
)

// Progress of a step.
type Progress string

// A step is passed, running or to come.
const (
	Passed Progress = "passed"
	Now    Progress = "now"
	ToCome Progress = "to come"
)

// Step is one step of the strip.
type Step struct {
	// Name is that of the spec, or "bake" and "hand over", for a StatefulSet "last pod"; empty for
	// a step without one.
	Name string
	// Weight in percent; -1 for what follows the bake, which has none.
	Weight int32
	// Testers says whose requests all go to the candidate in the step, whatever its weight:
	// "header x-canary: 1"; empty for nobody's.
	Testers string
	// Mirror is how many percent of the requests are copied to the candidate; 0 for none.
	Mirror int32
	// Unapproved is set while the step needs an approval that nobody has given.
	Unapproved bool
	// Hold is how long the weight stays at least.
	Hold     time.Duration
	Progress Progress
	// Held is how long the acknowledged weight of the step in progress has stayed;
	// negative while it is not acknowledged.
	Held time.Duration
}

// Left is how long the hold still lasts, and over how long it has been over.
func (s Step) Left() (left, over time.Duration) {
	if s.Held < 0 {
		return s.Hold, 0
	}
	return max(s.Hold-s.Held, 0), max(s.Held-s.Hold, 0)
}

func steps(in Input) []Step {
	s, spec := &in.Rollout.Status, &in.Rollout.Spec
	declared := StepsOf(in.Rollout, in.Run)
	at := len(declared)
	switch s.Phase {
	case v1alpha1.PhaseStepping, v1alpha1.PhaseRollingBack:
		at = int(s.Step.Index)
	case v1alpha1.PhaseHandingOver:
		at++
	}
	var out []Step
	for _, step := range declared {
		out = append(out, Step{Name: Text(step.Name, 63), Weight: step.Weight, Testers: Text(step.Match.String(), 256), Mirror: step.Mirror, Hold: step.Hold.Duration})
	}
	out = append(out, Step{Name: "bake", Weight: bakeWeight(in), Hold: spec.Promotion.Bake.Duration}, Step{Name: wordsOf(in.Rollout).end, Weight: -1})
	for i := range out {
		out[i].Progress, out[i].Unapproved = ToCome, i >= at && s.Step.ApprovalMissing(declared, int32(i)) //nolint:gosec // at most 52
		switch {
		case i < at:
			out[i].Progress = Passed
		case i == at:
			out[i].Progress, out[i].Held = Now, held(s, in.Now)
		}
	}
	return out
}

// bakeWeight is the candidate's share in the bake: without routes as many pods as stable has, or of
// a StatefulSet all but one.
func bakeWeight(in Input) int32 {
	spec := &in.Rollout.Spec
	switch {
	case spec.WorkloadRef.Ordered():
		n := int32(2)
		if in.Workload != nil {
			n = max(n, workload.Replicas(in.Workload))
		}
		return 100 * (n - 1) / n
	case spec.ReplicaWeighted():
		return 50
	default:
		return 100
	}
}

// StepsOf are the steps of the run in progress, which keeps those that it started with, or
// without one those of the Rollout. The run may be nil, or an older one.
func StepsOf(r *v1alpha1.Rollout, run *v1alpha1.RolloutRun) []v1alpha1.Step {
	if run != nil && run.Name == r.Status.Run && r.Status.Phase.InRun() && len(run.Spec.Steps) > 0 {
		return run.Spec.Steps
	}
	return r.Spec.Steps
}

// stood is how long the hold or the bake did not go on.
func stood(s *v1alpha1.RolloutStatus, now time.Time) time.Duration {
	if s.Step == nil {
		return 0
	}
	return s.Step.Stood(now)
}

func held(s *v1alpha1.RolloutStatus, now time.Time) time.Duration {
	switch {
	case s.Promotion != nil && s.Promotion.FullAt != nil:
		return max(now.Sub(s.Promotion.FullAt.Time)-stood(s, now), 0)
	case s.Promotion == nil && s.Step != nil && s.Step.AcknowledgedAt != nil:
		return max(now.Sub(s.Step.AcknowledgedAt.Time)-stood(s, now), 0)
	default:
		return -1
	}
}
