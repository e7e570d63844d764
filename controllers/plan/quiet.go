package plan

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// shortWait is how long after the last recorded decision a wait is neither shown
// nor recorded. A gateway acknowledges within a second or two and a pod that has
// its image is ready within a few: to write that down costs the API server more
// requests than the change that is waited for, and nobody reads it in time. What
// lasts longer is what somebody may want to know of.
const shortWait = 5 * time.Second

// quietFor is how long a decision is still to stay unwritten; 0 for one that has an
// effect, concludes something or waits longer.
func quietFor(in Input, d Decision) time.Duration {
	last := in.Status.Decision
	if last == nil || len(d.Effects) > 0 || d.Standing.State != Working {
		return 0
	}
	left := last.At.Add(shortWait).Sub(in.Now)
	if left <= 0 || !equality.Semantic.DeepEqual(decisive(in.Status), decisive(d.Status)) {
		return 0
	}
	return left
}

// quiet is a decision that leaves the status as it is until its time comes.
func quiet(in Input, d Decision, left time.Duration) Result {
	d.Status = *in.Status.DeepCopy()
	if d.Recheck <= 0 || d.Recheck > left {
		d.Recheck = left
	}
	return Result{Decision: d, GoesOn: goesOn(in, d)}
}

// decisive is a status without what only says how a wait is going: words, counts,
// and what the candidate's pods report.
func decisive(s v1alpha1.RolloutStatus) v1alpha1.RolloutStatus {
	s.Message, s.Serving, s.Decision = "", "", nil
	var conditions []metav1.Condition
	for _, c := range s.Conditions {
		c.Message = ""
		conditions = append(conditions, c)
	}
	s.Conditions = conditions
	if s.Step != nil {
		step := *s.Step
		step.Replicas, step.Weight = v1alpha1.ReplicaStatus{}, v1alpha1.WeightStatus{}
		s.Step = &step
	}
	if s.DirectCallers != nil {
		callers := *s.DirectCallers
		callers.CandidatePercent = 0
		s.DirectCallers = &callers
	}
	if s.Candidate != nil {
		candidate := *s.Candidate
		candidate.Images, candidate.ReplicaSet, candidate.PodTemplateHash = nil, "", ""
		s.Candidate = &candidate
	}
	return s
}
