package plan

import (
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// How long a template has to stand before a run ends or starts for it. People push twice
// within a second, and pipelines every few: a run for each would begin, and judge nothing.

const (
	// startSettle is how long a template stands before its run starts, where spec.settle is
	// not shorter: enough for a second command by the same hand, and little beside a run.
	startSettle = 2 * time.Second
	// settleAtMost is for how many times that wait pushes without an end are waited for: then
	// the newest is taken, so that a version nobody wants does not serve on.
	settleAtMost = 10
)

// newerDeclared holds while the candidate can be given up, and another version than it and
// stable is declared.
func newerDeclared(f *facts) bool {
	return cancellable(f) && f.declared != f.candidate && f.declared != f.stable
}

// settling holds while a newer version has not stood for long enough to end the run. In Gating
// there is no run to end. A handover is given up at once: only a rollback keeps the Deployment
// from becoming the owner of a canary that nobody declares. So is a canary that the Deployment
// has outgrown: it gets no pods of a version that is not declared, and stable has enough.
func settling(f *facts) bool {
	return onTrial(f) && newerDeclared(f) && !f.short() && f.in.Now.Before(f.restsAt(f.in.Spec.Settle.Duration))
}

// push is since when the declared version is declared, as the status notes it.
func (f *facts) push() v1alpha1.DeclaredStatus {
	was, now := f.in.Status.Declared, f.now()
	if was != nil && was.Revision == f.declared {
		return *was
	}
	p := v1alpha1.DeclaredStatus{Revision: f.declared, Image: f.in.Workload.Declared.Image, Since: now, ChangingSince: now}
	if was != nil && !was.Since.After(now.Time) && now.Sub(was.Since.Time) <= f.in.Spec.Settle.Duration {
		p.ChangingSince = was.ChangingSince
	}
	return p
}

// restsAt is when the declared version has stood for that long, or pushes have not ended for
// ten times as long: in a run, since that began.
func (f *facts) restsAt(wait time.Duration) time.Time {
	p := f.push()
	// A clock that was ahead when it was noted keeps nobody waiting.
	if ahead := p.Since.After(f.now().Time); wait <= 0 || ahead {
		return f.in.Now
	}
	from := p.ChangingSince
	if began := f.in.Status.RunStartedAt; onTrial(f) && began != nil && from.Before(began) {
		from = *began
	}
	at, last := p.Since.Add(wait), from.Add(settleAtMost*wait)
	if last.Before(at) {
		return last
	}
	return at
}

// noteDeclared keeps it with whatever is decided, so that a restart forgets no wait. The API
// server drops it where its CRDs are those of an older Belay; they drop spec.settle, too.
func (f *facts) noteDeclared(d *Decision) {
	s := &d.Status
	switch p := f.push(); {
	case !f.in.Workload.Found || s.Stable == nil:
	case s.Stable.Revision == f.declared:
		s.Declared = nil
	default:
		s.Declared = &p
	}
	if left := f.restsAt(f.in.Spec.Settle.Duration).Sub(f.in.Now); settling(f) && (d.Recheck <= 0 || left < d.Recheck) {
		d.Recheck = max(1, left)
	}
}

// waitForRest keeps the candidate as it is: judged, and no further on its way.
func waitForRest(f *facts) Decision {
	declared, candidate := f.rivals()
	why := fmt.Sprintf("%s has been declared since %s, while %s is in its run, at %s: it supersedes this run at %s%s; until then a trigger that fires still rolls back; to go on with %s, declare it again",
		declared, clock(f.push().Since.Time), candidate, f.stageAndWeight(), clock(f.restsAt(f.in.Spec.Settle.Duration)), f.unlessPushed(), candidate)
	d := f.reconciling(v1alpha1.ReasonSettling, why)
	f.standStill(&d)
	if s, p := d.Status.Step, f.push(); s != nil {
		// Two writers that undo each other do not fill the record: what comes of it is recorded.
		d.Repeats = s.WaitedSeconds > 0 && p.ChangingSince.Before(&p.Since)
	}
	return d
}

// rivals are the declared version and the candidate, as messages name them: by their revisions
// too where both have the same image, as after a change of configuration.
func (f *facts) rivals() (declared, candidate string) {
	declared, candidate = imageOf(&f.in.Workload.Declared), imageOf(f.in.Status.Candidate)
	if declared == candidate {
		declared, candidate = declared+" (revision "+f.declared+")", candidate+" (revision "+f.candidate+")"
	}
	return declared, candidate
}

// unlessPushed says what would let the newest push wait longer.
func (f *facts) unlessPushed() string {
	p, settle := f.push(), f.in.Spec.Settle.Duration
	if at := f.restsAt(settle); at.Before(p.Since.Add(settle)) {
		return fmt.Sprintf(", because pushes have come within spec.settle (%s) of each other since %s", settle, clock(p.ChangingSince.Time))
	}
	return fmt.Sprintf(", unless another push comes before (spec.settle %s)", settle)
}

// candidateNew holds for a moment after a push, in which another one often follows.
func candidateNew(f *facts) bool { return f.in.Now.Before(f.restsAt(f.startsAfter())) }

func (f *facts) startsAfter() time.Duration { return min(f.in.Spec.Settle.Duration, startSettle) }

func waitForMorePushes(f *facts) Decision {
	at := f.restsAt(f.startsAfter())
	d := f.reconciling(v1alpha1.ReasonProgressing, fmt.Sprintf("%s has been declared since %s: its run starts at %s, unless another push comes before", imageOf(f.in.Status.Candidate), clock(f.push().Since.Time), clock(at)))
	d.Key, d.Recheck = f.candidate, max(1, at.Sub(f.in.Now))
	return d
}

// supersededInARow says that runs end before they can judge anything, from the third on.
// Nothing can promote a version that the Deployment does not declare any more.
func (f *facts) supersededInARow() string {
	n := 0
	for n < len(f.in.Status.History) && f.in.Status.History[n].Outcome == v1alpha1.OutcomeSuperseded {
		n++
	}
	if n < 3 {
		return ""
	}
	return fmt.Sprintf("; the last %d runs were superseded: no version is promoted while pushes come faster than a run takes: push less often, or shorten the steps", n)
}
