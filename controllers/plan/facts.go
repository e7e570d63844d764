package plan

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// facts is an Input with what several rules derive from it.
type facts struct {
	in       Input
	stable   string
	tried    string
	declared string
}

func newFacts(in Input) *facts {
	f := &facts{in: in, declared: in.Workload.Declared.Revision}
	if in.Status.Stable != nil {
		f.stable = in.Status.Stable.Revision
	}
	if in.Status.Candidate != nil {
		f.tried = in.Status.Candidate.Revision
	}
	return f
}

// next is the status to start a decision from: a copy, so that what was
// observed stays as it was.
func (f *facts) next() v1alpha1.RolloutStatus {
	return *f.in.Status.DeepCopy()
}

func (f *facts) now() metav1.Time { return metav1.NewTime(f.in.Now) }

// finish fills what every decision has: the shown weights, the message and a
// wake-up that does not depend on any event arriving.
func (f *facts) finish(d Decision) Decision {
	if f.overdue(d) {
		d.Why += fmt.Sprintf(" (undecided for longer than stepDeadline %s)", f.in.Spec.StepDeadline.Duration)
		d.Standing, d.Recheck = Standing{Stuck, v1alpha1.ReasonDeadlineExceeded}, f.in.Watchdog
	}
	d.Status.Message = truncate(d.Why, 1024)
	if s := d.Status.Step; s != nil {
		f.showStep(d, s)
	}
	if to, ok := d.Effect.(SetSplit); ok {
		d.Weight = &v1alpha1.WeightChange{From: f.observedWeight(), To: to.Weight}
	}
	if d.Standing.State == Working && (d.Recheck <= 0 || d.Recheck > f.in.Watchdog) {
		d.Recheck = f.in.Watchdog
	}
	return d
}

// overdue holds for a decision that only waits on, in a stage that has been
// undecided for longer than stepDeadline.
func (f *facts) overdue(d Decision) bool {
	waits := d.Effect == nil && d.Standing.State == Working && d.Status.Phase == f.in.Status.Phase && !f.getsOn(d)
	return waits && !deleting(f) && f.onTrial() && !f.in.Spec.Paused && f.deadlineExceeded() && !f.decided()
}

// getsOn reports whether a decision notes something that its stage waited for.
func (f *facts) getsOn(d Decision) bool {
	if s := d.Status.Step; s != nil && (s.Index != f.step().Index || !s.AcknowledgedAt.Equal(f.step().AcknowledgedAt)) {
		return true
	}
	p := d.Status.Promotion
	return p != nil && (!p.FullAt.Equal(f.promotion().FullAt) || !p.ShiftedAt.Equal(f.promotion().ShiftedAt))
}

func (f *facts) showStep(d Decision, s *v1alpha1.StepStatus) {
	s.Display = fmt.Sprintf("%d/%d", s.Index+1, len(f.in.Spec.Steps))
	s.Weight.Desired = f.desiredWeight(d.Status)
	s.Weight.Observed = -1
	if f.in.Route.Acknowledged {
		s.Weight.Observed = f.observedWeight()
	}
	if d.Status.Phase != v1alpha1.PhaseStepping && d.Status.Phase != v1alpha1.PhaseBaking {
		s.Next, s.NextAt = "", nil
	}
	s.Replicas = v1alpha1.ReplicaStatus{Desired: f.in.Canary.Desired, Ready: f.in.Canary.Ready}
}

func (f *facts) desiredWeight(s v1alpha1.RolloutStatus) int32 {
	switch s.Phase {
	case v1alpha1.PhaseStepping:
		return f.weightAt(s.Step.Index)
	case v1alpha1.PhasePromoting:
		return 100
	default:
		return 0
	}
}

func (f *facts) weightAt(index int32) int32 {
	if int(index) < len(f.in.Spec.Steps) {
		return f.in.Spec.Steps[index].Weight
	}
	return 0
}

func (f *facts) observedWeight() int32 {
	if f.in.Route.Split == nil {
		return 0
	}
	return *f.in.Route.Split
}

// step is the step in progress; a status without one counts as the first.
func (f *facts) step() v1alpha1.StepStatus {
	if f.in.Status.Step == nil {
		return v1alpha1.StepStatus{EnteredAt: f.now()}
	}
	return *f.in.Status.Step
}

func (f *facts) stepWeight() int32 { return f.weightAt(f.step().Index) }

// canaryNeed is the number of pods that a weight asks for: ceil(weight × N),
// and at least one, so that there is something to judge.
func (f *facts) canaryNeed(weight int32) int32 {
	need := (weight*f.in.Workload.Replicas + 99) / 100
	return max(1, need)
}

// where names the step for people.
func (f *facts) where() string {
	s := f.step()
	name := ""
	if int(s.Index) < len(f.in.Spec.Steps) && f.in.Spec.Steps[s.Index].Name != "" {
		name = " (" + f.in.Spec.Steps[s.Index].Name + ")"
	}
	return fmt.Sprintf("step %d of %d%s", s.Index+1, len(f.in.Spec.Steps), name)
}

func (f *facts) sinceElapsed(from *metav1.Time, d time.Duration) (over bool, left time.Duration) {
	if from == nil {
		return false, d
	}
	left = from.Add(d).Sub(f.in.Now)
	return left <= 0, max(left, 0)
}

// working is a decision that makes or awaits progress.
func (f *facts) working(reason, why string) Decision {
	return Decision{Why: why, Status: f.next(), Standing: Standing{Working, reason}}
}

// stuck is a decision that only a person, or the world, can take further.
func (f *facts) stuck(reason, why string) Decision {
	return Decision{Why: why, Status: f.next(), Standing: Standing{Stuck, reason}, Recheck: f.in.Watchdog}
}

func (f *facts) doing(reason, why string, e Effect) Decision {
	d := f.working(reason, why)
	d.Effect = e
	d.Key = e.String()
	return d
}

// phaseReason is the condition reason that goes with the phase.
func (f *facts) phaseReason() string {
	if deleting(f) {
		return v1alpha1.ReasonReleasing
	}
	switch f.in.Status.Phase {
	case v1alpha1.PhasePromoting:
		return v1alpha1.ReasonPromoting
	case v1alpha1.PhaseBaking:
		return v1alpha1.ReasonBaking
	case v1alpha1.PhaseRollingBack:
		return v1alpha1.ReasonRollingBack
	default:
		return v1alpha1.ReasonProgressing
	}
}

func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "..."
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }

func imageOf(r *v1alpha1.Revision) string {
	switch {
	case r == nil:
		return "nothing"
	case r.Image == "":
		return "revision " + r.Revision
	default:
		return r.Image
	}
}
