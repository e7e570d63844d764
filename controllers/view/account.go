package view

import (
	"fmt"
	"slices"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
)

// Account is why a run ended as it did, or where it stands.
type Account struct {
	Namespace, Run, Rollout string
	// Outcome is empty while the run is in progress.
	Outcome v1alpha1.Outcome
	// Ended is when the outcome was recorded; zero while the run is in progress.
	Started, Ended time.Time
	// Message is the sentence that the run ended with.
	Message string
	// Trigger that ended it; also abort or deadline. Empty when none did.
	Trigger string
	// Figures are those of the trigger; nil when it is not judged by metrics.
	Figures *Trigger
	// Where is the stage in which the run ended: "step 2 of 4, weight 25 %".
	Where string
	// Actor is the person whose command ended the run.
	Actor string
	// Steered are the commands by which people ended or approved steps, oldest first: what
	// was not judged because of one stands there.
	Steered []Decision
	// FailedRequests is how many requests of the canary were counted as bad; -1 when none
	// were counted. Budget is which part of an error budget the run spent, such as
	// "0.006 % of the error budget of availability in 30d"; empty when that is not known.
	FailedRequests int64
	Budget         string
	// ToZero is how long it took from the decision to the gateway's acknowledgement of
	// weight 0; negative when it is not recorded.
	ToZero            time.Duration
	Candidate, Before Version
	// Changed names the first differences of the candidate's template in a few words.
	Changed string
	// Decisions is how many there are; Chain is "ok", or what is wrong with their hashes.
	Decisions int
	Chain     string
	// Present is what serves now, Actions the commands that make sense, and Effects what
	// each of them does; all empty when the Rollout is gone.
	Present string
	Actions []string
	Effects map[string]string
	// Barred is as in a Screen.
	Barred []Barred
}

// Explain is the account of the given run, also of one before the Rollout's present one. The
// Rollout may be nil.
func Explain(in Input) Account {
	rollout, run := in.Rollout, in.Run
	spec, status := &run.Spec, &run.Status
	a := Account{
		Namespace: run.Namespace, Run: run.Name, Rollout: Text(spec.Rollout.Name, 253), Outcome: status.Outcome, Started: spec.StartedAt.Time,
		Message: Text(status.Message, 1024), Trigger: Text(status.Trigger, 256), FailedRequests: -1, ToZero: -1,
		Candidate: Version{Side: "canary", Tag: restartTag(tag(spec.Image, spec.Revision), spec.Restart), Image: Text(spec.Image, 512), Digest: digest(status.Images),
			Revision: Text(spec.Revision, 10), PushedBy: Text(spec.StartedBy, 256)},
		Before: Version{Side: "stable", Tag: Tag(&spec.Stable.Revision), Image: Text(spec.Stable.Image, 512), Digest: digest(spec.Stable.Images),
			Revision: Text(spec.Stable.Revision.Revision, 10)},
	}
	if status.FinishedAt != nil {
		a.Ended = status.FinishedAt.Time
	}
	a.explainTrigger(run)
	a.explainCost(run)
	a.explainRecord(rollout, run)
	a.Changed = changed(run)
	if rollout != nil {
		a.Present = present(rollout)
		a.Actions, a.Effects = offered(in)
		if a.Outcome == "" && rollout.Status.Run == run.Name {
			a.Message = Text(rollout.Status.Message, 1024)
		}
	}
	return a
}

func (a *Account) explainTrigger(run *v1alpha1.RolloutRun) {
	for _, t := range Measured(run) {
		if t.Name == a.Trigger {
			a.Figures = &t
		}
	}
}

// explainCost takes what the triggers counted: of several the one with the most bad
// requests, because they may count the same ones.
func (a *Account) explainCost(run *v1alpha1.RolloutRun) {
	analysis, most := run.Status.Analysis, 0.0
	if analysis == nil {
		return
	}
	for i := range analysis.Triggers {
		t := &analysis.Triggers[i]
		spec, rule := pinned(run, t.Kind, t.Guardrail, t.Name)
		if rule == nil || rule.SLO == "" {
			continue
		}
		if t.Canary != nil {
			a.FailedRequests = max(a.FailedRequests, t.Canary.Bad)
		}
		if spent := numbersOf(t.Statistics)["budgetSpent"]; spent > most {
			slo, _ := spec.SLO(rule.SLO)
			most = spent
			a.Budget = fmt.Sprintf("%s of the error budget of %s", Percent(spent), Text(rule.SLO, 63))
			if slo.Period != "" {
				a.Budget += " in " + Text(slo.Period, 16)
			}
		}
	}
}

// steering are the planner's rules for commands that end or approve steps.
var steering = []string{"PromoteRequested", "SkipRequested", "ApproveRequested"}

// atZero is the planner's rule that notes the acknowledgement of weight 0.
const atZero = "RollbackAtZero"

func (a *Account) explainRecord(rollout *v1alpha1.Rollout, run *v1alpha1.RolloutRun) {
	chain := chainOf(rollout, run)
	a.Decisions, a.Chain = len(chain), "ok"
	for _, d := range decisions(chain) {
		if slices.Contains(steering, d.Rule) {
			a.Steered = append(a.Steered, d)
		}
	}
	if err := evidence.Verify(run.Status.Decisions, run.Status.Head); err != nil {
		a.Chain = Text(err.Error(), 200)
	}
	began := slices.IndexFunc(chain, func(d v1alpha1.DecisionRecord) bool { return d.Phase == v1alpha1.PhaseRollingBack })
	if began < 0 {
		return
	}
	a.Actor = Text(chain[began].Actor, 256)
	a.Where = stage(run, chain[began].Step, chain[:began])
	for _, d := range chain[began:] {
		if d.Rule == atZero {
			a.ToZero = max(d.At.Sub(chain[began].At.Time), 0)
			break
		}
	}
}

// stage is where the candidate was before the rollback began.
func stage(run *v1alpha1.RolloutRun, step *int32, before []v1alpha1.DecisionRecord) string {
	weight := int32(0)
	for _, d := range before {
		if d.Weight != nil {
			weight = d.Weight.To
		}
	}
	switch {
	case len(before) > 0 && before[len(before)-1].Phase == v1alpha1.PhaseBaking:
		return fmt.Sprintf("the bake, weight %d %%", weight)
	case step == nil:
		return fmt.Sprintf("weight %d %%", weight)
	default:
		return fmt.Sprintf("step %d of %d, weight %d %%", *step+1, len(run.Spec.Steps), weight)
	}
}

// changed names what differs between the templates of stable and candidate.
func changed(run *v1alpha1.RolloutRun) string {
	c, err := Compare(StableOf(run, nil), CandidateOf(run))
	if err != nil {
		return ""
	}
	return Summary(c.Differences)
}

// present says what serves, and what the workload waits with.
func present(r *v1alpha1.Rollout) string {
	s := &r.Status
	serving := Text(s.Serving, 256)
	if serving == "" {
		return Text(s.Message, 1024)
	}
	said := "Serving: " + serving + "."
	if s.Phase == v1alpha1.PhaseRolledBack {
		said += " The " + KindOf(r) + " still declares " + Tag(s.Candidate) + ", and is held."
	}
	return said
}

// Finished is one finished run of a history.
type Finished struct {
	Run, Tag, Revision string
	Outcome            v1alpha1.Outcome
	Trigger            string
	// By is who pushed it; empty when the run is gone.
	By             string
	Started, Ended time.Time
	Message        string
}

// History is the runs that have ended, newest first: those that are still there, and those
// that only the Rollout's status remembers. The Rollout may be nil.
func History(rollout *v1alpha1.Rollout, runs []v1alpha1.RolloutRun) []Finished {
	var out []Finished
	known := map[string]bool{}
	for i := range runs {
		run := &runs[i]
		if run.Status.Outcome == "" {
			continue
		}
		known[run.Name] = true
		f := Finished{Run: run.Name, Tag: restartTag(tag(run.Spec.Image, run.Spec.Revision), run.Spec.Restart), Revision: Text(run.Spec.Revision, 10), Outcome: run.Status.Outcome,
			Trigger: Text(run.Status.Trigger, 256), By: Text(run.Spec.StartedBy, 256), Started: run.Spec.StartedAt.Time, Message: Text(run.Status.Message, 1024)}
		if run.Status.FinishedAt != nil {
			f.Ended = run.Status.FinishedAt.Time
		}
		out = append(out, f)
	}
	if rollout != nil {
		for _, h := range rollout.Status.History {
			if !known[h.Run] {
				out = append(out, Finished{Run: Text(h.Run, 253), Tag: tag(h.Image, h.Revision), Revision: Text(h.Revision, 10), Outcome: h.Outcome,
					Trigger: Text(h.Trigger, 256), Started: h.StartedAt.Time, Ended: h.FinishedAt.Time, Message: Text(h.Message, 1024)})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Finished) int { return b.Started.Compare(a.Started) })
	return out
}
