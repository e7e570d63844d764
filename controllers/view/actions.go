package view

import (
	"fmt"
	"slices"
	"strings"

	"belay.dev/belay/api/v1alpha1"
)

// actions are the commands of kubectl belay that change something and make sense now, and
// the effect of each in a few words. They are shown beside commands to paste: no effect has
// a character that a shell reads, such as ; or |. The run may be nil.
func actions(r *v1alpha1.Rollout, run *v1alpha1.RolloutRun) (names []string, effects map[string]string) {
	s := &r.Status
	restart := restarts(s, run)
	stable, candidate, again := plainTag(s.Stable), ofRestart(plainTag(s.Candidate), restart), " runs once more, from its first step"
	declares := workloadOf(r) + " declares "
	if restart {
		again = " runs once more"
	}
	effects = map[string]string{}
	add := func(name, effect string) { names, effects[name] = append(names, name), effect }
	steps := StepsOf(r, run)
	if unapproved(s, steps) && s.Step.AwaitsApprovalSince != nil && !settles(s) {
		add(ofStep("approve", s), candidate+" goes on from step "+plainStep(s.Step, steps))
	}
	switch {
	case s.Phase == v1alpha1.PhaseRolledBack:
		add("retry", candidate+again)
		add("rollback", declares+stable+" again")
	case s.Phase == v1alpha1.PhaseGating && !returns(s):
		add("abort", candidate+" gets no run, it stays declared and rejected")
		add("rollback", candidate+" gets no run, "+declares+stable+" again")
	case settles(s):
		add("abort", "back to "+stable+", "+candidate+" is rejected, what is declared gets its run")
		if !returns(s) {
			add("rollback", "back to "+stable+", "+declares+"it again")
		}
	case s.Phase.Armed() && !returns(s):
		add("abort", "back to "+stable+", "+candidate+" stays declared and rejected")
		add("rollback", "back to "+stable+", "+declares+"it again")
	case s.Phase == v1alpha1.PhaseGating || s.Phase.Armed():
		add("abort", stable+" stays, "+candidate+" stays declared and rejected")
	case s.Phase == v1alpha1.PhaseStable:
		if before := Before(s); before != nil && !CameBack(s, atHand(run)) {
			add("rollback", "back to "+plainTag(&v1alpha1.Revision{Image: before.Image, Revision: before.Revision})+", "+declares+"it again")
		}
	case s.Phase == v1alpha1.PhaseHandingOver && !returns(s):
		add("rollback", "back to "+stable+", "+declares+"it again")
	}
	if (s.Phase == v1alpha1.PhaseGating || s.Phase.Armed()) && !settles(s) {
		onTheWay(r, steps, add)
	}
	return names, effects
}

// onTheWay adds what keeps the candidate on trial, and only changes how it goes on.
func onTheWay(r *v1alpha1.Rollout, steps []v1alpha1.Step, add func(name, effect string)) {
	s, candidate := &r.Status, ofRestart(plainTag(r.Status.Candidate), restarts(&r.Status, nil))
	if unapproved(s, steps) && s.Step.AwaitsApprovalSince == nil {
		add(ofStep("approve", s), "step "+plainStep(s.Step, steps)+" ends once it has passed")
	}
	if frozen(s) {
		add("override-freeze --revision "+Text(s.Candidate.Revision, 64), candidate+" goes on in spite of the freeze, until its run ends")
	}
	switch {
	case s.CommandedPause() != nil && !r.Spec.Paused:
		add("resume", candidate+" goes on where it was paused")
	case r.Spec.Paused:
		// A person has to edit the Rollout.
	case s.Phase == v1alpha1.PhaseGating:
		add("pause", candidate+" gets no run until it is resumed")
	default:
		add("pause", candidate+" keeps its weight, triggers still roll back")
		if s.Phase == v1alpha1.PhaseStepping && s.Step != nil && !frozen(s) {
			endSteps(r, steps, add)
		}
	}
}

// frozen is whether a freeze holds the candidate, or it is not known whether one does.
func frozen(s *v1alpha1.RolloutStatus) bool {
	waits, stalled := condition(s, v1alpha1.ConditionReconciling), condition(s, v1alpha1.ConditionStalled)
	return s.Candidate != nil && (waits != nil && waits.Reason == v1alpha1.ReasonFrozen || stalled != nil && stalled.Reason == v1alpha1.ReasonFreezeUnclear)
}

// endSteps adds what ends the step in progress, or all that remain. Neither stands for an
// approval.
func endSteps(r *v1alpha1.Rollout, steps []v1alpha1.Step, add func(name, effect string)) {
	s, candidate := &r.Status, plainTag(r.Status.Candidate)
	native, last := r.Spec.Promotion.Mode == v1alpha1.PromotionNative, int(s.Step.Index) >= len(steps)-1
	switch {
	case unapproved(s, steps) || native && last:
	case last:
		add(ofStep("skip", s), "step "+plainStep(s.Step, steps)+" ends unjudged, the bake has to pass")
	default:
		add(ofStep("skip", s), "step "+plainStep(s.Step, steps)+" ends unjudged, the next one begins")
	}
	for i := s.Step.Index; int(i) < len(steps); i++ {
		if s.Step.ApprovalMissing(steps, i) {
			return
		}
	}
	switch {
	case !native:
		add("promote", candidate+" goes to "+wordsOf(r).full+" and its bake, which has to pass")
	case !last:
		add("promote", candidate+" goes to the last step, which has to pass")
	}
}

// unapproved is whether the step in progress needs an approval that nobody has given.
func unapproved(s *v1alpha1.RolloutStatus, steps []v1alpha1.Step) bool {
	return s.Phase == v1alpha1.PhaseStepping && s.Step != nil && s.Step.ApprovalMissing(steps, s.Step.Index)
}

// ofStep is a command for the step in progress and this candidate only: a line that is pasted
// twice, or late, is refused.
func ofStep(name string, s *v1alpha1.RolloutStatus) string {
	return fmt.Sprintf("%s --step %d --revision %s", name, s.Step.Index+1, Text(s.Candidate.Revision, 64))
}

// plainStep is "2/4".
func plainStep(s *v1alpha1.StepStatus, steps []v1alpha1.Step) string {
	return fmt.Sprintf("%d/%d", s.Index+1, len(steps))
}

// PausedBy says who paused by command, since when and why, as the end of a sentence.
func PausedBy(p *v1alpha1.PauseStatus) string {
	said := fmt.Sprintf(" by %s since %s", Author(p.By), p.At.UTC().Format("15:04Z"))
	if p.Reason != "" {
		said += ": " + Text(p.Reason, 80)
	}
	return said
}

// Author is who gave a command, or a word for one that the guard has not stamped.
func Author(by string) string {
	if by == "" {
		return "somebody"
	}
	return Text(by, 256)
}

// returnStarts is the planner's rule that lets a version return without steps.
const returnStarts = "RevertStarts"

// Returned is whether a run brought a version back without steps.
func Returned(run *v1alpha1.RolloutRun) bool {
	return slices.ContainsFunc(run.Status.Decisions, func(d v1alpha1.DecisionRecord) bool { return d.Rule == returnStarts })
}

// CameBack is whether the stable version returned without steps, or may have: its run, or that
// of the version that it is a restart of, is not among the given ones. To go back would bring the
// version again that somebody went back from, so kubectl belay rollback refuses without --to.
func CameBack(s *v1alpha1.RolloutStatus, runs []v1alpha1.RolloutRun) bool {
	if s.Stable == nil {
		return false
	}
	revision, older := s.Stable.Revision, s.History
	for {
		newest := slices.IndexFunc(older, func(h v1alpha1.HistoryEntry) bool { return h.Revision == revision })
		if newest < 0 {
			return false
		}
		run := slices.IndexFunc(runs, func(r v1alpha1.RolloutRun) bool { return r.Name == older[newest].Run })
		if run < 0 || Returned(&runs[run]) {
			return true
		}
		// What is not remembered was the same version, if it was judged: a restart took its place.
		before := runs[run].Spec.Stable.Revision.Revision
		remembered := slices.ContainsFunc(s.Previous, func(p v1alpha1.PreviousRevision) bool { return p.Revision == before })
		if !runs[run].Spec.Restart && remembered {
			return false
		}
		revision, older = before, older[newest+1:]
	}
}

// Before is the version that kubectl belay rollback goes back to from the stable one: the newest
// former one that is not rejected, because a rejected one would be held; nil when there is none.
func Before(s *v1alpha1.RolloutStatus) *v1alpha1.PreviousRevision {
	for i := range s.Previous {
		if s.IsRejected(s.Previous[i].Revision) == nil {
			return &s.Previous[i]
		}
	}
	return nil
}

func atHand(run *v1alpha1.RolloutRun) []v1alpha1.RolloutRun {
	if run == nil {
		return nil
	}
	return []v1alpha1.RolloutRun{*run}
}

// plainTag is a version's tag where no shell reads anything into it, or else its revision:
// the API server accepts any text as an image.
func plainTag(r *v1alpha1.Revision) string {
	name := Tag(r)
	if r != nil && strings.IndexFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("._-", c)
	}) >= 0 {
		return Text(r.Revision, 10)
	}
	return name
}

// returns is whether the candidate was stable before.
func returns(s *v1alpha1.RolloutStatus) bool {
	return s.Candidate != nil && Returns(s, s.Candidate.Revision)
}

// Returns is whether a declared revision was stable before and is let in again: to roll it back
// would bring the version again that somebody goes back from.
func Returns(s *v1alpha1.RolloutStatus, revision string) bool {
	return s.IsRejected(revision) == nil && slices.ContainsFunc(s.Previous, func(p v1alpha1.PreviousRevision) bool { return p.Revision == revision })
}
