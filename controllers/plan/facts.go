package plan

import (
	"fmt"
	"slices"
	"strings"
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

// next is a copy of the observed status, for a decision to change.
func (f *facts) next() v1alpha1.RolloutStatus {
	return *f.in.Status.DeepCopy()
}

// now is the present time as a status keeps it, in whole seconds: the next one, so
// that no wait that counts from it is shorter than was asked for.
func (f *facts) now() metav1.Time {
	return metav1.NewTime(f.in.Now.Add(time.Second - time.Nanosecond).Truncate(time.Second))
}

// finish fills in what every decision has: the shown weights, the message, and
// when to look again at the latest.
func (f *facts) finish(d Decision) Decision {
	d = f.showRefusal(d)
	f.showChanged(&d)
	if f.overdue(d) {
		d.Why += fmt.Sprintf(" (for longer than stepDeadline %s)", f.in.Spec.StepDeadline.Duration)
		d.Standing, d.Recheck = Standing{Stuck, v1alpha1.ReasonDeadlineExceeded}, f.in.Watchdog
	}
	d.Status.Message = truncate(d.Why, 1024)
	if s := d.Status.Step; s != nil {
		f.showStep(d, s)
	}
	d.Status.Serving = f.serving()
	f.showDirectCallers(&d)
	if to, ok := EffectOf[SetSplit](d); ok {
		d.Weight = &v1alpha1.WeightChange{From: f.observedWeight(), To: to.Weight}
	}
	if to, ok := EffectOf[ScaleCanary](d); ok && f.replicaWeighted() {
		d.Weight = &v1alpha1.WeightChange{From: f.shareOf(f.in.Canary.Desired), To: f.shareOf(to.Replicas)}
	}
	waits := d.Standing.State == Working || len(d.Effects) > 0
	if waits && (d.Recheck <= 0 || d.Recheck > f.in.Watchdog) {
		d.Recheck = f.in.Watchdog
	}
	return d
}

// WriteRun is a refusal's effect when it is the run's record that cannot be written.
const WriteRun = "write the run's record"

// showRefusal adds to the message why the API server refuses the effect of this
// decision. A refusal that lasts longer than stepDeadline needs a person.
func (f *facts) showRefusal(d Decision) Decision {
	r := f.in.Status.Refusal
	if r == nil {
		return d
	}
	switch {
	case r.Effect == WriteRun && f.in.Run.Owed:
		d.Why = truncate(d.Why, 480) + "; the run's record cannot be written, so that the candidate gets nothing more: " + r.Message
	case slices.ContainsFunc(d.Effects, func(e Effect) bool { return truncate(e.String(), 256) == r.Effect }):
		d.Why = truncate(d.Why, 480) + ": the API server refuses it: " + r.Message
	default:
		d.Status.Refusal = nil
		return d
	}
	if f.in.Now.Sub(r.Since.Time) > f.in.Spec.StepDeadline.Duration {
		d.Standing, d.Recheck = Standing{Stuck, v1alpha1.ReasonRefused}, f.in.Watchdog
	}
	return d
}

// showChanged says during the trial how it will end: that the Deployment will not
// take this canary over is known as soon as the canary is there.
func (f *facts) showChanged(d *Decision) {
	if onTrial(f) && f.in.Canary.Changed != "" && len(d.Effects) == 0 && d.Status.Phase == f.in.Status.Phase {
		d.Why = truncate(d.Why, 480) + "; the promotion will be native (by the Deployment's own strategy), as admission changed the canary's template: " + truncate(f.in.Canary.Changed, 300)
	}
}

// overdue holds for a decision that only waits, when the step, bake or handover
// has been undecided for longer than stepDeadline.
func (f *facts) overdue(d Decision) bool {
	waits := len(d.Effects) == 0 && d.Standing.State == Working && d.Status.Phase == f.in.Status.Phase && !f.progressed(d)
	exempt := deleting(f) || f.in.Spec.Paused && !rollingBack(f) || d.Standing.Reason == v1alpha1.ReasonScaledToZero
	return waits && !exempt && f.in.Status.Phase.InRun() && f.deadlineExceeded() && !f.decided()
}

// progressed reports whether a decision records something that was being waited
// for.
func (f *facts) progressed(d Decision) bool {
	if s := d.Status.Step; s != nil && (s.Index != f.step().Index || !s.AcknowledgedAt.Equal(f.step().AcknowledgedAt)) {
		return true
	}
	if r := d.Status.Rollback; r != nil && !r.ZeroAt.Equal(f.rollback().ZeroAt) {
		return true
	}
	p, was := d.Status.Promotion, f.promotion()
	return p != nil && (!p.FullAt.Equal(was.FullAt) || !p.SizeSince.Equal(was.SizeSince) || !p.SettledAt.Equal(was.SettledAt) || p.Mode != was.Mode)
}

func (f *facts) showStep(d Decision, s *v1alpha1.StepStatus) {
	s.Display = fmt.Sprintf("%d/%d", s.Index+1, len(f.in.Spec.Steps))
	s.Weight.Desired = f.desiredWeight(d.Status)
	s.Weight.Observed = -1
	if f.in.Route.Acknowledged && !f.in.Route.Mixed {
		s.Weight.Observed = f.observedWeight()
	}
	if d.Status.Phase != v1alpha1.PhaseStepping && d.Status.Phase != v1alpha1.PhaseBaking {
		s.Next, s.NextAt = "", nil
	}
	s.Replicas = v1alpha1.ReplicaStatus{Desired: f.in.Canary.Desired, Ready: f.in.Canary.Ready}
}

func (f *facts) desiredWeight(s v1alpha1.RolloutStatus) int32 {
	if f.replicaWeighted() {
		return f.desiredShare(s)
	}
	switch s.Phase {
	case v1alpha1.PhaseStepping:
		return f.weightAt(s.Step.Index)
	case v1alpha1.PhasePromoting, v1alpha1.PhaseBaking:
		return 100
	case v1alpha1.PhaseHandingOver:
		if f.in.Route.Split != nil {
			return *f.in.Route.Split
		}
		return 0
	default:
		return 0
	}
}

// serving says which versions answer users now: "1.4 95 %, 1.5 5 %".
func (f *facts) serving() string {
	if !f.in.Workload.Found || f.in.Status.Stable == nil {
		return ""
	}
	stable, candidate := tagOf(f.in.Status.Stable), tagOf(f.in.Status.Candidate)
	switch split := f.in.Route.Split; {
	case split != nil && f.in.Route.Mixed:
		return "routes disagree"
	case split != nil && *split == 0:
		return stable + " 100 %"
	case split != nil && *split == 100:
		return candidate + " 100 %"
	case split != nil:
		return fmt.Sprintf("%s %d %%, %s %d %%", stable, 100-*split, candidate, *split)
	}
	behind, own := f.in.Route.ServiceEndpoints, f.in.Route.CanaryShare
	var ready int32
	for _, s := range f.in.Workload.Active {
		ready += s.Ready
		if s.Revision == f.candidate && s.Name != f.in.Canary.Name {
			own += s.Ready
		}
	}
	own = min(own, behind)
	switch {
	case behind == 0 && ready == 0:
		return "nothing"
	case behind == 0 || own == 0:
		return stable + " 100 %"
	case own == behind:
		return candidate + " 100 %"
	default:
		return fmt.Sprintf("%s %d %%, %s %d %%", stable, 100-100*own/behind, candidate, 100*own/behind)
	}
}

// tagOf is the tag of an image, or its revision where there is none.
func tagOf(r *v1alpha1.Revision) string {
	if r == nil {
		return "?"
	}
	image := r.Image[strings.LastIndexByte(r.Image, '/')+1:]
	if name, tag, ok := strings.Cut(image, ":"); ok && !strings.Contains(name, "@") {
		return truncate(tag, 40)
	}
	return truncate(r.Revision, 40)
}

// showDirectCallers says which pods in-cluster callers of the Service reach
// during a run.
func (f *facts) showDirectCallers(d *Decision) {
	if !d.Status.Phase.InRun() || f.replicaWeighted() {
		d.Status.DirectCallers = nil
		return
	}
	shown := v1alpha1.DirectCallersStatus{Mode: v1alpha1.DirectCallersAny}
	if was := f.in.Status.DirectCallers; was != nil {
		shown.PutBack, shown.Message = was.PutBack, was.Message
	}
	if now := d.Status.DirectCallers; now != nil {
		shown.PutBack, shown.Message = max(shown.PutBack, now.PutBack), now.Message
	}
	if f.in.Route.Narrowed != "" {
		shown.Mode = v1alpha1.DirectCallersStable
	}
	if f.in.Route.ServiceEndpoints > 0 {
		shown.CandidatePercent = min(100, 100*f.in.Route.CanaryShare/f.in.Route.ServiceEndpoints)
	}
	d.Status.DirectCallers = &shown
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
	case f.replicaWeighted() && f.in.Route.ServiceEndpoints > 0:
		return 100 * f.in.Route.CanaryShare / f.in.Route.ServiceEndpoints
	default:
		return 0
	}
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
// as stable has, from 50 on.
func (f *facts) canaryNeed(weight int32) int32 {
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

// stage names the step, promotion, bake or handover in a message.
func (f *facts) stage() string {
	switch f.in.Status.Phase {
	case v1alpha1.PhasePromoting:
		return "promotion"
	case v1alpha1.PhaseBaking:
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

// stageAndWeight is the stage, with the weight.
func (f *facts) stageAndWeight() string {
	return fmt.Sprintf("%s, weight %d %%", f.stage(), f.observedWeight())
}

func (f *facts) sinceElapsed(from *metav1.Time, d time.Duration) (over bool, left time.Duration) {
	if from == nil {
		return false, d
	}
	left = from.Add(d).Sub(f.in.Now)
	return left <= 0, max(left, 0)
}

// working is a decision after which Belay goes on by itself.
func (f *facts) working(reason, why string) Decision {
	return Decision{Why: why, Status: f.next(), Standing: Standing{Working, reason}}
}

// stuck is a decision that holds until a person, or something outside of Belay,
// changes something.
func (f *facts) stuck(reason, why string) Decision {
	return Decision{Why: why, Status: f.next(), Standing: Standing{Stuck, reason}, Recheck: f.in.Watchdog}
}

func (f *facts) doing(reason, why string, e ...Effect) Decision {
	d := f.working(reason, why)
	d.Effects = e
	d.Key = truncate(d.Does(), 128)
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
