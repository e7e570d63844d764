package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// A restart is the stable version again, with other values of the annotations that
// spec.restartAnnotations lists. It goes without steps, as a version that returns does: to full
// size and 100 %, and through the whole bake, because nothing else of its run judges it.

// restartDeclared holds while the declared template differs from stable's in nothing but
// those annotations. With promotion mode Native there is no full size beside stable.
func (f *facts) restartDeclared() bool {
	base := f.in.Workload.Declared.BaseRevision
	listed := base != "" && base == f.in.Workload.Stable.BaseRevision && f.declared != f.stable
	return listed && f.in.Spec.Promotion.Mode != v1alpha1.PromotionNative
}

func restartOnly(f *facts) bool { return f.declared == f.candidate && f.restartDeclared() }

func startRestart(f *facts) Decision {
	d := f.newRun()
	d.Why = fmt.Sprintf("run %d starts: restart of %s (revision %s against %s: only annotations that spec.restartAnnotations lists differ); it goes to %s without steps, and bakes for %s",
		d.Status.Runs, imageOf(f.in.Status.Candidate), f.candidate, f.stable, f.fullShare(), f.in.Spec.Promotion.Bake.Duration)
	d.Why += f.supersededInARow()
	f.startAtFull(&d, v1alpha1.PromotionStatus{Restart: true})
	return d
}

// startAtFull lets the decision that begins a run go past its steps.
func (f *facts) startAtFull(d *Decision, p v1alpha1.PromotionStatus) {
	p.StartedAt, p.Mode = f.now(), v1alpha1.TakeOverHandOver
	d.Status.Phase = v1alpha1.PhasePromoting
	d.Status.Step.Index = max(0, int32(len(f.in.Spec.Steps))-1)
	d.Status.Promotion = &p
	f.growFirst(d)
}

// fullShare is what a run without steps goes to.
func (f *facts) fullShare() string {
	if f.replicaWeighted() {
		return "as many pods as stable has"
	}
	return "full size and 100 %"
}

// restarts is whether the run in progress is a restart.
func (f *facts) restarts() bool { return f.promotion().Restart }

// onTrialName is the candidate in a message about its run.
func (f *facts) onTrialName() string {
	if f.restarts() {
		return "the restart of " + imageOf(f.in.Status.Candidate)
	}
	return imageOf(f.in.Status.Candidate)
}

// besideStable names a version that has not been promoted: by its revision too where stable
// has the same image.
func (f *facts) besideStable(r *v1alpha1.Revision) string {
	name := imageOf(r)
	if f.in.Status.Stable != nil && r != nil && name == imageOf(f.in.Status.Stable) && r.Revision != f.stable {
		name += " (revision " + r.Revision + ")"
	}
	return name
}

// rejectedBase is the rejection of a version that the declared one is a restart of; nil when
// there is none. Without it a restart would be all that a rejected version needs to run again.
func (f *facts) rejectedBase() *v1alpha1.RejectedRevision {
	base := f.in.Workload.Declared.BaseRevision
	if base == "" {
		return nil
	}
	// The oldest first: that is the one which had a run.
	for i := len(f.in.Status.Rejected) - 1; i >= 0; i-- {
		if r := &f.in.Status.Rejected[i]; r.BaseRevision == base || r.Revision == base {
			return r
		}
	}
	return nil
}

// candidateBase is the candidate's base revision, by the annotations that are listed now where
// it is still declared.
func (f *facts) candidateBase() string {
	if f.declared == f.candidate {
		return f.in.Workload.Declared.BaseRevision
	}
	return f.in.Status.Candidate.BaseRevision
}
