package plan

import (
	"fmt"
	"slices"
	"strings"

	"belay.dev/belay/api/v1alpha1"
)

// What a decision shows in the status, whatever its rule: what it says beside the rule's
// own message, the step, the weights, and who answers whom.

// finish fills in what every decision has: the shown weights, the message, and
// when to look again at the latest.
func (f *facts) finish(d Decision) Decision {
	d = f.showRefusal(d)
	f.endPause(&d)
	f.endOverride(&d)
	f.showChanged(&d)
	f.showLater(&d)
	switch {
	case f.late(d):
		f.showLate(&d)
	case f.overdue(d):
		d.Why += fmt.Sprintf(" (for longer than stepDeadline %s)", f.in.Spec.StepDeadline.Duration)
		d.Progress, d.Reason, d.Recheck = Stalled, v1alpha1.ReasonDeadlineExceeded, f.in.Watchdog
	}
	d.Status.Message = v1alpha1.Bounded(d.Why, 1024)
	f.noteDeclared(&d)
	if s := d.Status.Step; s != nil {
		f.showStep(d, s)
		if f.begins(d) {
			standsFromHere(s, f.in.Now)
		}
		if f.in.Status.Step != nil && cancellable(f) && d.Status.Phase == f.in.Status.Phase {
			f.noteWaiting(d)
		}
	}
	d.Status.Serving = f.serving()
	f.noteApproval(d)
	f.showDirectCallers(&d)
	if to, ok := EffectOf[SetSplit](d); ok {
		d.Weight = &v1alpha1.WeightChange{From: f.observedWeight(), To: to.Weight}
	}
	if to, ok := EffectOf[ScaleCanary](d); ok && f.replicaWeighted() {
		d.Weight = &v1alpha1.WeightChange{From: f.shareOf(f.in.Canary.Desired), To: f.shareOf(to.Replicas)}
	}
	waits := d.Progress == Reconciling || len(d.Effects) > 0
	if waits && (d.Recheck <= 0 || d.Recheck > f.in.Watchdog) {
		d.Recheck = f.in.Watchdog
	}
	f.noteAttended(&d)
	return d
}

// WriteRun is a refusal's effect when it is the run's record that cannot be written.
const WriteRun = "write the run's record"

// WriteStatus is a refusal's effect when it is the status itself that cannot be written as
// it was decided. The loop sets its message, because no decision can.
const WriteStatus = "write the Rollout's status"

// showRefusal adds to the message why the API server refuses the effect of this
// decision, or one of them.
func (f *facts) showRefusal(d Decision) Decision {
	r := f.in.Status.Refusal
	if r == nil {
		return d
	}
	switch {
	case r.Effect == WriteRun && f.in.Run.Owed:
		d.Why = v1alpha1.Bounded(d.Why, 480) + "; the run's record cannot be written, so the run does not advance: " + r.Message
	case slices.ContainsFunc(d.Effects, func(e Effect) bool { return v1alpha1.Bounded(e.String(), 256) == r.Effect }):
		d.Why = v1alpha1.Bounded(d.Why, 480) + "; the API server does not let Belay " + v1alpha1.Bounded(r.Effect, 128) + ": " + r.Message
	default:
		d.Status.Refusal = nil
		return d
	}
	if f.in.Now.Sub(r.Since.Time) > f.refusedFor() {
		d.Progress, d.Reason, d.Recheck = Stalled, v1alpha1.ReasonRefused, f.in.Watchdog
	}
	return d
}

// showChanged says during the trial how it will end: that the Deployment will not
// take this canary over is known as soon as the canary is there.
func (f *facts) showChanged(d *Decision) {
	if onTrial(f) && f.in.Canary.Changed != "" && len(d.Effects) == 0 && d.Status.Phase == f.in.Status.Phase {
		d.Why = v1alpha1.Bounded(d.Why, 480) + "; the promotion will be by the Deployment's own strategy, because an admission webhook or policy changed the canary's template: " + v1alpha1.Bounded(f.in.Canary.Changed, 300)
	}
}

// showLater says of an edit of the spec that it does not change this run.
func (f *facts) showLater(d *Decision) {
	if f.in.Run.Later != "" && onTrial(f) && !deleting(f) && len(d.Effects) == 0 && d.Status.Phase == f.in.Status.Phase {
		d.Why = v1alpha1.Bounded(d.Why, 800) + fmt.Sprintf("; %s changed during this run, which keeps what it started with: the change is for the next one", f.in.Run.Later)
	}
}

// showStep fills in what a decision does not say of its step.
func (f *facts) showStep(d Decision, s *v1alpha1.StepStatus) {
	s.Display = fmt.Sprintf("%d/%d", s.Index+1, len(f.in.Spec.Steps))
	s.Weight.Desired = f.shownWeight(d.Status)
	s.Weight.Observed = -1
	if f.in.Route.Acknowledged && !f.in.Route.Mixed {
		s.Weight.Observed = f.observedWeight()
	}
	if d.Status.Phase != v1alpha1.PhaseStepping && d.Status.Phase != v1alpha1.PhaseBaking {
		s.Next, s.NextAt = "", nil
	}
	s.Replicas = v1alpha1.ReplicaStatus{Desired: f.in.Canary.Desired, Ready: f.in.Canary.Ready}
}

// shownWeight is the weight that the status shows as desired. Where the number of pods
// is the weight the bake and the handover want as many canary pods as stable pods, and
// after the change of owner only the candidate is wanted.
func (f *facts) shownWeight(s v1alpha1.RolloutStatus) int32 {
	full := int32(100)
	switch {
	case f.ordered():
		full = f.shareOf(f.canaryNeed(100))
	case f.replicaWeighted():
		full = 50
	}
	switch s.Phase {
	case v1alpha1.PhaseStepping:
		return f.weightAt(s.Step.Index)
	case v1alpha1.PhasePromoting, v1alpha1.PhaseBaking:
		return full
	case v1alpha1.PhaseHandingOver:
		switch p := s.Promotion; {
		case f.in.Route.Split != nil:
			return *f.in.Route.Split
		case !f.replicaWeighted():
			return 0
		case !f.ordered() && p != nil && p.Mode == v1alpha1.TakeOverHandOver && !f.in.Canary.Handed:
			return full
		default:
			return 100
		}
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
	case split != nil && *split == 0 && f.in.Route.Testers != nil:
		return fmt.Sprintf("%s 100 %%, %s testers (%s)", stable, candidate, f.in.Route.Testers)
	case split != nil && *split == 0 && f.in.Route.Mirror > 0:
		return fmt.Sprintf("%s 100 %%, %s copies of %d %%", stable, candidate, f.in.Route.Mirror)
	case split != nil && *split == 0:
		return stable + " 100 %"
	case split != nil && *split == 100:
		return candidate + " 100 %"
	case split != nil:
		return fmt.Sprintf("%s %d %%, %s %d %%%s", stable, 100-*split, candidate, *split, f.extraNow())
	}
	// Beside the canary the Deployment may have pods of the candidate's: after a
	// handover, or as it rolls.
	var ready, more int32
	for _, s := range f.in.Workload.Active {
		ready += s.Ready
		if s.Revision == f.candidate && s.Name != f.in.Canary.Name {
			more += s.Ready
		}
	}
	behind, own := f.in.Route.ServiceEndpoints, f.in.Route.CanaryShare+more
	switch percent := f.candidatePercent(more); {
	case behind == 0 && ready == 0:
		return "nothing"
	case behind == 0 || own == 0:
		return stable + " 100 %"
	case own >= behind:
		return candidate + " 100 %"
	default:
		return fmt.Sprintf("%s %d %%, %s %d %%", stable, 100-percent, candidate, percent)
	}
}

// tagOf is the tag of an image, or its revision where there is none.
func tagOf(r *v1alpha1.Revision) string {
	if r == nil {
		return "?"
	}
	image := r.Image[strings.LastIndexByte(r.Image, '/')+1:]
	if name, tag, ok := strings.Cut(image, ":"); ok && !strings.Contains(name, "@") {
		return v1alpha1.Bounded(tag, 40)
	}
	return v1alpha1.Bounded(r.Revision, 40)
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
	shown.CandidatePercent = f.candidatePercent(0)
	d.Status.DirectCallers = &shown
}
