package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// What is remembered of candidates that have ended.

func (f *facts) reject(d *Decision, trigger, message, run string) {
	entry := v1alpha1.RejectedRevision{
		Revision: f.candidate, Trigger: v1alpha1.Bounded(trigger, 256), Message: v1alpha1.Bounded(message, 1024), At: f.now(), Run: run,
		Images: f.in.Status.Candidate.DeepCopy().Images, BaseRevision: f.candidateBase(),
	}
	remember(d, entry)
}

// remember puts a rejection before the others, of which it keeps the newest.
func remember(d *Decision, entry v1alpha1.RejectedRevision) {
	d.Status.Rejected = append([]v1alpha1.RejectedRevision{entry}, withoutRevision(d.Status.Rejected, entry.Revision)...)
	if len(d.Status.Rejected) > 20 {
		d.Status.Rejected = d.Status.Rejected[:20]
	}
}

// keptEntries is how many finished runs a status keeps at least: the API server
// refuses a status without the two newest.
const keptEntries = 2

func (f *facts) endRun(d *Decision, outcome v1alpha1.Outcome, trigger, message string) {
	if f.in.Status.Run == "" || f.in.Status.Candidate == nil {
		return
	}
	started := f.step().EnteredAt
	if f.in.Status.RunStartedAt != nil {
		started = *f.in.Status.RunStartedAt
	}
	entry := v1alpha1.HistoryEntry{
		Run: f.in.Status.Run, Revision: f.candidate, Image: f.in.Status.Candidate.Image, Outcome: outcome,
		Trigger: trigger, StartedAt: started, FinishedAt: f.now(),
	}
	observed := sayObserved(f.in.Status.WouldRollBack, f.in.Status.WouldHold)
	entry.Message = v1alpha1.Bounded(message, 1024-len(observed)) + observed
	d.Status.WouldRollBack, d.Status.WouldHold = nil, nil
	d.Finished = &entry
	f.previewBack(d)
	d.Status.History = append([]v1alpha1.HistoryEntry{entry}, d.Status.History...)
	limit := max(keptEntries, int(f.in.Spec.HistoryLimit))
	if len(d.Status.History) > limit {
		d.Status.History = d.Status.History[:limit]
	}
}

// endRunBy ends a run for a reason outside of it. A run that was being rolled
// back keeps the outcome of that rollback.
func (f *facts) endRunBy(d *Decision, outcome v1alpha1.Outcome, why string) {
	trigger := ""
	if r := f.in.Status.Rollback; r != nil && rollingBack(f) {
		outcome, trigger, why = r.Outcome, r.Trigger, r.Message
	}
	f.endRun(d, outcome, trigger, why)
}

func withoutRevision(list []v1alpha1.RejectedRevision, revision string) []v1alpha1.RejectedRevision {
	var kept []v1alpha1.RejectedRevision
	for _, r := range list {
		if r.Revision != revision {
			kept = append(kept, r)
		}
	}
	return kept
}

func (f *facts) runUnfinished() bool {
	if f.in.Status.Run == "" {
		return false
	}
	return len(f.in.Status.History) == 0 || f.in.Status.History[0].Run != f.in.Status.Run
}

// wayBack says, as the end of a message, how to return to the former version
// where weights no longer help: to stable while the Deployment takes another
// version over, to the one before stable afterwards.
func (f *facts) wayBack() string {
	var to v1alpha1.Revision
	fast := f.fastReverts() > 0
	switch {
	case !inStable(f) && f.in.Status.Stable != nil:
		to = *f.in.Status.Stable
		// A Deployment in the middle of a roll goes back by its own strategy.
		fast = fast && !f.bypassedTo(to.Revision) || f.restarts() || native(f) && len(f.in.Workload.Active) > 1
	case inStable(f) && len(f.in.Status.Previous) > 0:
		to.Revision, to.Image = f.in.Status.Previous[0].Revision, f.in.Status.Previous[0].Image
	default:
		return "declare the version you want (kubectl set image, or apply its manifest)"
	}
	say := f.wayBackTo(&to)
	if fast {
		say += ", it returns without steps"
	}
	return say
}

// wayBackTo says how a version is declared again.
func (f *facts) wayBackTo(to *v1alpha1.Revision) string {
	return fmt.Sprintf("declare %s again (revision %s; %s set image %s, or apply the former manifest)", imageOf(to), to.Revision, f.kubectl(), f.resource())
}

// becomeStable makes the version that the Deployment runs the stable one.
func (f *facts) becomeStable(d *Decision, set Set) {
	next := revisionOf(set)
	for _, known := range []*v1alpha1.Revision{f.in.Status.Candidate, f.in.Status.Stable} {
		if known != nil && known.Revision == next.Revision {
			next.Images, next.Image = known.Images, known.Image
			break
		}
	}
	if was := f.in.Status.Stable; was != nil && was.Revision != next.Revision {
		var previous []v1alpha1.PreviousRevision
		// A restart is no other version: the ways back stay those before it.
		restarted := next.Revision == f.candidate && f.restartsStable()
		if !restarted && !f.bypassedTo(was.Revision) {
			previous = append(previous, v1alpha1.PreviousRevision{Revision: was.Revision, Image: was.Image, Until: f.now()})
		}
		for _, p := range f.in.Status.Previous {
			if p.Revision != was.Revision && p.Revision != next.Revision && len(previous) < 10 {
				previous = append(previous, p)
			}
		}
		d.Status.Previous = previous
	}
	d.Status.Stable = next
	d.Status.Phase = v1alpha1.PhaseStable
	d.Status.Candidate, d.Status.Step, d.Status.Promotion, d.Status.Rollback, d.Status.Verdicts = nil, nil, nil, nil, nil
	d.Recheck = 1
}

// restartsStable is whether the run in progress is a restart, also one that takes the steps. A
// bypass is none: what it makes stable was not judged, so the one before stays the way back.
func (f *facts) restartsStable() bool {
	base, judged := f.candidateBase(), f.takeOver() == v1alpha1.TakeOverHandOver || f.takeOver() == v1alpha1.TakeOverNative
	return f.restarts() || judged && base != "" && base == f.in.Workload.Stable.BaseRevision
}

// bypassedTo reports whether a version became stable by a bypass. It was never
// judged, so it does not return without steps.
func (f *facts) bypassedTo(revision string) bool {
	for _, h := range f.in.Status.History {
		if h.Revision == revision {
			return h.Outcome == v1alpha1.OutcomeBypassed
		}
	}
	return false
}
