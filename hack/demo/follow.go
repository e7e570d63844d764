package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
	"belay.dev/belay/hack/load"
)

// follower tells what happens to one release: each decision once, each change
// of a verdict once, and all the while where it stands.
type follower struct {
	demo     *demo
	image    string
	seq      int32
	verdicts map[string]v1alpha1.VerdictOutcome
	// zero is what the decision said that found the canary without requests.
	zero string
}

// look tells what is new. What cannot be read now is read next time.
func (f *follower) look(ctx context.Context, rollout *v1alpha1.Rollout) {
	if run, err := f.demo.shop.Run(ctx, f.runOf(rollout)); err == nil && run.Spec.Image == f.image {
		f.decisions(run, rollout.Status.Record)
		f.changes(run)
	}
	f.demo.out.show(f.demo.standing(rollout))
}

// runOf is the run in progress, or the one this release ended with.
func (f *follower) runOf(rollout *v1alpha1.Rollout) string {
	if entry := newest(rollout, f.image); entry != nil {
		return entry.Run
	}
	return rollout.Status.Run
}

// decisions are those that the run holds and those on their way to it.
func (f *follower) decisions(run *v1alpha1.RolloutRun, record *v1alpha1.RecordStatus) {
	all := run.Status.Decisions
	if record != nil {
		all = evidence.With(all, run.Name, record.Pending)
	}
	for _, d := range all {
		if d.Seq <= f.seq {
			continue
		}
		f.seq = d.Seq
		if d.Rule == "RollbackAtZero" {
			f.zero = d.Why
		}
		f.demo.out.say(fmt.Sprintf("%-25s %s", d.Rule, d.Why))
	}
}

func (f *follower) changes(run *v1alpha1.RolloutRun) {
	if f.verdicts == nil {
		f.verdicts = map[string]v1alpha1.VerdictOutcome{}
	}
	if run.Status.Analysis == nil || run.Status.Outcome != "" {
		return
	}
	for _, t := range run.Status.Analysis.Triggers {
		if f.verdicts[t.Name] == t.Outcome {
			continue
		}
		f.verdicts[t.Name] = t.Outcome
		f.demo.out.say(fmt.Sprintf("  verdict %-15s %-12s %s", t.Name, t.Outcome, t.Message))
	}
}

// standing is where the release stands: step, weights, verdicts, what is next.
func (d *demo) standing(r *v1alpha1.Rollout) []string {
	st := r.Status
	head := fmt.Sprintf("  shop  %s", st.Phase)
	if st.Step != nil {
		head += fmt.Sprintf("  step %s  weight %s  canary pods %d/%d", st.Step.Display, weight(st.Step.Weight), st.Step.Replicas.Ready, st.Step.Replicas.Desired)
	}
	block := []string{"", d.out.bold(head)}
	for _, v := range st.Verdicts {
		block = append(block, fmt.Sprintf("    %-16s %-12s %s", v.Trigger, v.Outcome, v.Message))
	}
	if st.Step != nil && st.Step.Next != "" {
		next := "  next  " + st.Step.Next
		if st.Step.NextAt != nil {
			next += fmt.Sprintf(" in %s", max(0, st.Step.NextAt.Sub(d.out.now())).Round(time.Second))
		}
		block = append(block, next)
	}
	block = append(block, "  now   "+st.Message)
	return append(block, "  load  "+d.recent())
}

func weight(w v1alpha1.WeightStatus) string {
	if w.Observed < 0 {
		return fmt.Sprintf("%d %% (waiting for the gateway)", w.Desired)
	}
	return fmt.Sprintf("%d %%", w.Observed)
}

// recent sums the last five seconds of load up.
func (d *demo) recent() string {
	tally := load.Count(d.load.Since(d.out.now().Add(-5 * time.Second)))
	var parts []string
	for _, version := range append([]string{"v1"}, versions()...) {
		if a := tally.By[version]; a.Count > 0 {
			parts = append(parts, fmt.Sprintf("%s %.0f %%", version, 100*float64(a.Count)/float64(tally.Sent)))
		}
	}
	return fmt.Sprintf("%d requests/s, %d failed in the last 5 s: %s", tally.Sent/5, tally.Failed, strings.Join(parts, ", "))
}

func versions() []string {
	var out []string
	for _, r := range releases {
		out = append(out, r.version)
	}
	return out
}
