package view

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/replay"
	"belay.dev/belay/controllers/workload"
)

// Proof is what a run's record shows about itself. Its JSON is the output of kubectl belay
// verify and replay.
type Proof struct {
	Namespace string `json:"namespace,omitempty"`
	Run       string `json:"run"`
	Rollout   string `json:"rollout"`
	// Outcome is empty while the run is in progress.
	Outcome v1alpha1.Outcome `json:"outcome,omitempty"`
	// Decisions is how many the record has, with those that only the Rollout's status has yet,
	// which Pending counts. Missing is how many it says could not be written.
	Decisions int   `json:"decisions"`
	Pending   int   `json:"pending,omitempty"`
	Missing   int32 `json:"missing,omitempty"`
	// Head is the hash of the newest decision; empty when there is none.
	Head   string  `json:"head,omitempty"`
	Checks []Check `json:"checks"`
	// NotCovered is what no hash in the record covers, and no decision tells: somebody who can
	// write the run can change it, and this proof is the same.
	NotCovered []string `json:"notCovered"`
	Replay     Replay   `json:"replay"`
}

// Check is one thing that was computed again from the record.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Said is the result in one sentence.
	Said string `json:"said"`
	// Decision is the number of the one that does not verify, from 1; 0 for none.
	Decision int32 `json:"decision,omitempty"`
	// Expected is what was computed, Found what stands there; empty for a check that passes.
	Expected string `json:"expected,omitempty"`
	Found    string `json:"found,omitempty"`
}

// Replay is the decisions that were taken again by the rules of this program.
type Replay struct {
	// Recorded are the versions of the rules that decided, oldest first, and Rules is the
	// version in this program. Controller is the version that started the run.
	Recorded   []int32 `json:"recordedRules"`
	Rules      int32   `json:"rules"`
	Controller string  `json:"controller,omitempty"`
	// How many decisions came out the same, came out otherwise, or could not be compared.
	Same          int `json:"same"`
	Different     int `json:"different"`
	NotComparable int `json:"notComparable"`
	// Others are the decisions that did not come out the same, in order.
	Others []Replayed `json:"others,omitempty"`
}

// Replayed is a decision that did not come out the same.
type Replayed struct {
	Decision   int32  `json:"decision"`
	Rule       string `json:"rule"`
	Comparable bool   `json:"comparable"`
	Said       string `json:"said"`
}

// OK reports whether everything that was computed again is as recorded, and the record is
// not empty.
func (p Proof) OK() bool { return p.Decisions > 0 && !p.Broken() }

// Broken reports whether something is not as recorded. A record without decisions is not OK,
// and not broken either unless a check says so.
func (p Proof) Broken() bool {
	return p.Replay.Different > 0 || slices.ContainsFunc(p.Checks, func(c Check) bool { return !c.OK })
}

// Prove computes everything in a run's record again that can be: the hash chain, the hashes
// of the guardrails, the revisions of both templates, the decisions, and the outcome where they
// tell it. The Rollout may be nil; it has the decisions that are not in the run yet.
func Prove(rollout *v1alpha1.Rollout, run *v1alpha1.RolloutRun) Proof {
	chain := chainOf(rollout, run)
	p := Proof{Namespace: Text(run.Namespace, 253), Run: Text(run.Name, 253), Rollout: Text(run.Spec.Rollout.Name, 253), Outcome: run.Status.Outcome,
		Decisions: len(chain), Pending: len(chain) - len(run.Status.Decisions), Missing: evidence.Count(chain) - int32(len(chain))}
	if head := evidence.Head(chain); head != nil {
		p.Head = Text(head.Hash, 71)
	}
	again := replay.Records(chain)
	p.Replay = replayed(run, chain, again)
	p.Checks = append(p.Checks, proveChain(run, chain), proveGuardrails(run, chain), proveTemplates(run))
	p.NotCovered = []string{"steps", "traffic", "what guardrails ask", "controller version", "author", "times", "message"}
	if outcome := proveOutcome(run, chain, again); outcome != nil {
		p.Checks = append(p.Checks, *outcome)
	} else if run.Status.Outcome != "" {
		p.NotCovered = append(p.NotCovered, "outcome")
	}
	return p
}

// proveOutcome compares the outcome with the decision that ended the run; nil when none of them
// tells.
func proveOutcome(run *v1alpha1.RolloutRun, chain []v1alpha1.DecisionRecord, again []replay.Decision) *Check {
	if run.Status.Outcome == "" {
		return nil
	}
	c := &Check{Name: "outcome", Found: Text(string(run.Status.Outcome), 63)}
	for i := len(chain) - 1; i >= 0; i-- {
		may := plan.Outcomes(chain[i])
		if f := again[i].Finished; f != nil && f.Run == run.Name {
			may = []v1alpha1.Outcome{f.Outcome}
			if f.Outcome == run.Status.Outcome && f.Trigger != run.Status.Trigger {
				c.Decision, c.Expected, c.Found = chain[i].Seq, Text(f.Trigger, 340), Text(run.Status.Trigger, 340)
				c.Said = fmt.Sprintf("the trigger is not the one of decision %d, which ended the run", chain[i].Seq)
				return c
			}
		}
		if may == nil {
			continue
		}
		if slices.Contains(may, run.Status.Outcome) {
			c.OK, c.Said, c.Found = true, fmt.Sprintf("%s, as decision %d (%s) ended the run", run.Status.Outcome, chain[i].Seq, Text(chain[i].Rule, 63)), ""
			return c
		}
		c.Decision, c.Expected = chain[i].Seq, orList(may)
		c.Said = fmt.Sprintf("decision %d (%s) ended the run otherwise: %s", chain[i].Seq, Text(chain[i].Rule, 63), Text(chain[i].Why, 300))
		return c
	}
	return nil
}

func orList(outcomes []v1alpha1.Outcome) string {
	said := make([]string, len(outcomes))
	for i, o := range outcomes {
		said[i] = string(o)
	}
	return strings.Join(said, " or ")
}

func proveChain(run *v1alpha1.RolloutRun, chain []v1alpha1.DecisionRecord) Check {
	c := Check{Name: "chain"}
	err := evidence.Verify(run.Status.Decisions, run.Status.Head)
	if err == nil {
		err = evidence.Verify(chain, evidence.Head(chain))
	}
	var broken *evidence.Break
	switch {
	case errors.As(err, &broken):
		c.Said, c.Decision = Text(broken.What, 300), broken.Record
		c.Expected, c.Found = Text(broken.Expected, 128), Text(broken.Found, 128)
	case err != nil:
		c.Said = Text(err.Error(), 300)
	case len(chain) == 0:
		c.OK, c.Said = true, "the record has no decisions"
	default:
		c.OK, c.Said = true, fmt.Sprintf("%d decisions, each has the hash of its content and of the one before it", len(chain))
	}
	return c
}

func proveGuardrails(run *v1alpha1.RolloutRun, chain []v1alpha1.DecisionRecord) Check {
	c := Check{Name: "guardrails"}
	pinned := map[string]bool{}
	for i := range run.Spec.Guardrails {
		g := &run.Spec.Guardrails[i]
		for _, t := range g.Spec.Triggers {
			pinned[v1alpha1.TriggerName(g.Kind, g.Name, t.Name)] = true
		}
		hash, err := evidence.HashOf(g.Spec)
		if err == nil && hash == g.Hash {
			continue
		}
		c.Said, c.Expected, c.Found = fmt.Sprintf("%s %s was changed: its spec has another hash", Text(g.Kind, 32), Text(g.Name, 253)), hash, Text(g.Hash, 128)
		if err != nil {
			c.Said = fmt.Sprintf("%s %s cannot be hashed: %s", Text(g.Kind, 32), Text(g.Name, 253), Text(err.Error(), 200))
		}
		return c
	}
	for i := range chain {
		for _, v := range chain[i].Verdicts {
			if !pinned[v.Trigger] {
				c.Decision = chain[i].Seq
				c.Said = fmt.Sprintf("decision %d has a verdict of %s, and the run pins no guardrail with that trigger: guardrails were changed or taken out", chain[i].Seq, Text(v.Trigger, 340))
				return c
			}
		}
	}
	c.OK, c.Said = true, fmt.Sprintf("%d pinned, each spec has its hash, and each verdict is of a trigger of theirs", len(run.Spec.Guardrails))
	return c
}

func proveTemplates(run *v1alpha1.RolloutRun) Check {
	c := Check{Name: "templates"}
	for _, side := range []struct {
		name, revision string
		raw            []byte
	}{{"candidate", run.Spec.Revision, run.Spec.Template.Raw}, {"stable version", run.Spec.Stable.Revision.Revision, run.Spec.Stable.Template.Raw}} {
		template, err := workload.DecodeTemplate(side.raw)
		var revision string
		if err == nil {
			revision, err = workload.RevisionOf(template)
		}
		switch {
		case err != nil:
			c.Said = fmt.Sprintf("the template of the %s cannot be read: %s", side.name, Text(err.Error(), 200))
			return c
		case revision != side.revision:
			c.Said, c.Expected, c.Found = fmt.Sprintf("the template of the %s was changed: it has another revision", side.name), revision, Text(side.revision, 128)
			return c
		}
	}
	c.OK, c.Said = true, "candidate and stable version have their revisions"
	return c
}

// replayed takes the decisions again. Those of a chain that does not verify are taken again
// too: that tells which part of it still fits together.
func replayed(run *v1alpha1.RolloutRun, chain []v1alpha1.DecisionRecord, again []replay.Decision) Replay {
	r := Replay{Recorded: []int32{}, Rules: plan.Version, Controller: Text(run.Spec.Controller.Version, 128)}
	for i := range chain {
		if in := chain[i].Input; in != nil && (len(r.Recorded) == 0 || r.Recorded[len(r.Recorded)-1] != in.Planner) {
			r.Recorded = append(r.Recorded, in.Planner)
		}
	}
	for _, d := range again {
		switch d.Outcome {
		case replay.Same:
			r.Same++
			continue
		case replay.Differs:
			r.Different++
		default:
			r.NotComparable++
		}
		r.Others = append(r.Others, Replayed{Decision: d.Seq, Rule: Text(d.Rule, 63), Comparable: d.Outcome == replay.Differs, Said: Text(d.Message, 600)})
	}
	return r
}
