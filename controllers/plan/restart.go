package plan

import (
	"fmt"
	"slices"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// A restart is the stable version again, with other values of the annotations that
// spec.restartAnnotations lists. It goes without steps, as a version that returns does: to full
// size and 100 %, and through the whole bake, because nothing else of its run judges it.

// restartDeclared holds while the declared template is a restart that goes without steps. With
// promotion mode Native there is no full size beside stable. After a restart that was rejected
// the next one takes the steps: it may be mended or not, and all requests at once would be the
// dearest way to learn which.
func (f *facts) restartDeclared() bool {
	return f.ofStable() && f.declared != f.stable && f.in.Spec.Promotion.Mode != v1alpha1.PromotionNative && f.failedRestart() == nil
}

// ofStable is whether the declared template differs from stable's in nothing but annotations
// that spec.restartAnnotations lists.
func (f *facts) ofStable() bool {
	base := f.in.Workload.Declared.BaseRevision
	return base != "" && base == f.in.Workload.Stable.BaseRevision
}

// failedRestart is the newest restart of the stable version that was rejected since that version
// was promoted; nil when there is none.
func (f *facts) failedRestart() *v1alpha1.RejectedRevision {
	for i := range f.in.Status.Rejected {
		r := &f.in.Status.Rejected[i]
		if r.Revision != f.stable && f.restartOf(r) {
			if f.promotedAfter(r.At.Time) {
				return nil
			}
			return r
		}
	}
	return nil
}

// promotedAfter is whether the run that made the stable version stable ended after a time.
func (f *facts) promotedAfter(t time.Time) bool {
	at := slices.IndexFunc(f.in.Status.History, func(h v1alpha1.HistoryEntry) bool {
		return h.Revision == f.stable && h.Outcome == v1alpha1.OutcomePromoted
	})
	return at >= 0 && f.in.Status.History[at].FinishedAt.After(t)
}

// restartOf is whether the declared template differs from a rejected one in nothing but listed
// annotations.
func (f *facts) restartOf(r *v1alpha1.RejectedRevision) bool {
	base := f.in.Workload.Declared.BaseRevision
	return base != "" && (r.BaseRevision == base || r.Revision == base)
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
	switch {
	case f.ordered():
		return "all pods but one"
	case f.replicaWeighted():
		return "as many pods as stable has"
	default:
		return "full size and 100 %"
	}
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

// rejectedBase is the rejection of another version than stable that the declared one is a
// restart of; nil when there is none. Without it a restart would be all that a rejected version
// needs to run again.
func (f *facts) rejectedBase() *v1alpha1.RejectedRevision {
	if f.ofStable() {
		return nil
	}
	// The oldest first: that is the one which had a run.
	for i := len(f.in.Status.Rejected) - 1; i >= 0; i-- {
		if r := &f.in.Status.Rejected[i]; f.restartOf(r) {
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
