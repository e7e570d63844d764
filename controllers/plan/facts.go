package plan

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// facts is an Input, with values that several rules derive from it.
type facts struct {
	in Input
	// traffic is the zero value where none is named.
	traffic   v1alpha1.Traffic
	stable    string
	candidate string
	declared  string
}

func newFacts(in Input) *facts {
	f := &facts{in: in, declared: in.Workload.Declared.Revision}
	if in.Spec.Traffic != nil {
		f.traffic = *in.Spec.Traffic
	}
	if in.Status.Stable != nil {
		f.stable = in.Status.Stable.Revision
	}
	if in.Status.Candidate != nil {
		f.candidate = in.Status.Candidate.Revision
	}
	return f
}

// after is what the tables see once a decision is recorded, with all else as it is.
func (f *facts) after(d Decision) *facts {
	in := f.in
	in.Status = d.Status
	return newFacts(in)
}

// next is a copy of the observed status, for a decision to change.
func (f *facts) next() v1alpha1.RolloutStatus {
	return *f.in.Status.DeepCopy()
}

// now is the present time as a status keeps it, in whole seconds: the next one, so
// that no wait that counts from it is shorter than was asked for.
func (f *facts) now() metav1.Time {
	return metav1.NewTime(f.in.Now.Add(time.Second - time.Nanosecond).Truncate(time.Second))
}

// overdue holds for a decision that only waits, when the step, bake or handover
// has been undecided for longer than stepDeadline.
func (f *facts) overdue(d Decision) bool {
	waits := len(d.Effects) == 0 && d.Progress == Reconciling && d.Status.Phase == f.in.Status.Phase && !f.progressed(d)
	exempt := deleting(f) || (keptAsItIs(f) || settling(f) || f.tooSmall() && onTrial(f)) && !rollingBack(f) || d.Reason == v1alpha1.ReasonScaledToZero
	return waits && !exempt && f.in.Status.Phase.InRun() && f.deadlineExceeded() && !f.decided()
}

// progressed reports whether a decision records something that was being waited
// for.
func (f *facts) progressed(d Decision) bool {
	if d.WouldRollBack != nil {
		return true
	}
	if s := d.Status.Step; s != nil && (s.Index != f.step().Index || !s.AcknowledgedAt.Equal(f.step().AcknowledgedAt)) {
		return true
	}
	if r := d.Status.Rollback; r != nil && !r.ZeroAt.Equal(f.rollback().ZeroAt) {
		return true
	}
	p, was := d.Status.Promotion, f.promotion()
	return p != nil && (!p.FullAt.Equal(was.FullAt) || !p.SizeSince.Equal(was.SizeSince) || !p.SettledAt.Equal(was.SettledAt) || p.Mode != was.Mode)
}

func (f *facts) weightAt(index int32) int32 {
	if int(index) < len(f.in.Spec.Steps) {
		return f.in.Spec.Steps[index].Weight
	}
	return 0
}

func (f *facts) observedWeight() int32 {
	switch {
	case f.in.Route.Split != nil:
		return *f.in.Route.Split
	case f.replicaWeighted():
		return f.candidatePercent(0)
	default:
		return 0
	}
}

// candidatePercent is how many of 100 ready endpoints of the user's Service are the
// candidate's: those of its canary, and so many more.
func (f *facts) candidatePercent(more int32) int32 {
	all := f.in.Route.ServiceEndpoints
	if all == 0 {
		return 0
	}
	return min(100, 100*(f.in.Route.CanaryShare+more)/all)
}

// kubectl is the command that acts in the Rollout's namespace.
func (f *facts) kubectl() string {
	if f.in.Namespace == "" {
		return "kubectl"
	}
	return "kubectl -n " + f.in.Namespace
}

// step is the step in progress; a status without one counts as the first.
func (f *facts) step() v1alpha1.StepStatus {
	if f.in.Status.Step == nil {
		return v1alpha1.StepStatus{EnteredAt: f.now()}
	}
	return *f.in.Status.Step
}

func (f *facts) stepWeight() int32 { return f.weightAt(f.step().Index) }

// canaryNeed is the number of pods for a weight: ceil(weight × N / 100), at
// least one, so that there is something to judge; 0 where the Deployment has no
// replicas. Where the number of pods is the weight, it is what gives the canary
// that share beside N stable pods: ceil(weight × N / (100 − weight)), and N, as many
// as stable has, from 50 on. A StatefulSet's are a part of its own.
func (f *facts) canaryNeed(weight int32) int32 {
	if f.ordered() {
		return f.orderedNeed(weight)
	}
	n := int64(f.in.Workload.Replicas)
	part, whole := int64(weight), int64(100)
	if f.replicaWeighted() {
		part = min(part, 50)
		whole -= part
	}
	if n == 0 || f.replicaWeighted() && weight == 0 {
		return 0
	}
	return max(1, int32((part*n+whole-1)/whole))
}

// canaryReady counts the canary's pods that have been ready for at least the
// Deployment's minReadySeconds, and that stay: a ReplicaSet that somebody just made
// smaller still counts the others.
func (f *facts) canaryReady() int32 {
	return min(f.in.Canary.Ready, f.in.Canary.Available, f.in.Canary.Desired)
}

// stage names in a message what is in progress: a step, the promotion, the bake, the
// handover or the rollback.
func (f *facts) stage() string {
	switch f.in.Status.Phase {
	case v1alpha1.PhasePromoting:
		if f.restarts() {
			return "restart"
		}
		return "promotion"
	case v1alpha1.PhaseBaking:
		if f.restarts() {
			return "bake of the restart"
		}
		return "bake"
	case v1alpha1.PhaseHandingOver:
		return "handover"
	case v1alpha1.PhaseRollingBack:
		return "rollback"
	}
	s := f.step()
	name := ""
	if int(s.Index) < len(f.in.Spec.Steps) && f.in.Spec.Steps[s.Index].Name != "" {
		name = " (" + f.in.Spec.Steps[s.Index].Name + ")"
	}
	return fmt.Sprintf("step %d of %d%s", s.Index+1, len(f.in.Spec.Steps), name)
}

// stageAndWeight is stage, with the weight.
func (f *facts) stageAndWeight() string {
	return fmt.Sprintf("%s, weight %d %%%s", f.stage(), f.observedWeight(), f.extraNow())
}

func (f *facts) sinceElapsed(from *metav1.Time, d time.Duration) (over bool, left time.Duration) {
	if from == nil {
		return false, d
	}
	left = from.Add(d).Sub(f.in.Now)
	return left <= 0, max(left, 0)
}

// reconciling is a decision after which Belay goes on by itself.
func (f *facts) reconciling(reason, why string) Decision {
	return Decision{Why: why, Status: f.next(), Progress: Reconciling, Reason: reason}
}

// waiting is one that in a rollback or a deletion is stalled after a while, with the
// reason late.
func (f *facts) waiting(reason, late, why string) Decision {
	d := f.reconciling(reason, why)
	d.Late = late
	return d
}

// stalled is a decision that holds until a person, or something outside of Belay,
// changes something.
func (f *facts) stalled(reason, why string) Decision {
	return Decision{Why: why, Status: f.next(), Progress: Stalled, Reason: reason, Recheck: f.in.Watchdog}
}

func (f *facts) doing(reason, why string, e ...Effect) Decision {
	d := f.reconciling(reason, why)
	d.Effects = e
	d.Key = v1alpha1.Bounded(d.Does(), 128)
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
	case v1alpha1.PhaseHandingOver:
		return v1alpha1.ReasonHandingOver
	case v1alpha1.PhaseRollingBack:
		return v1alpha1.ReasonRollingBack
	default:
		return v1alpha1.ReasonProgressing
	}
}

// count is a number with its noun, for messages: `1 pod`, `2 pods`.
func count(n int32, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
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
