// Package view turns a Rollout, its run and what surrounds them into what a person sees:
// plain fields without colours or layout, for a terminal and for a page. It reads no clock
// and no cluster. Every text that comes from outside is bounded and has no control
// characters.
package view

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
)

// Input is what was read of one Rollout. Only Rollout is required; what else is nil was
// not there or must not be read, and its part of the screen is empty.
type Input struct {
	Rollout *v1alpha1.Rollout
	// Run is the one that the Rollout's status names.
	Run *v1alpha1.RolloutRun
	// Workload is the Deployment or StatefulSet.
	Workload *unstructured.Unstructured
	// Pods that the workload selects, of all versions.
	Pods []corev1.Pod
	// Guardrails that the Rollout names.
	Guardrails []v1alpha1.Guardrail
	Now        time.Time
}

// Screen is one Rollout now.
type Screen struct {
	Namespace, Name string
	State           State
	// Headline is the state in a few words: "HOLDING at 5 %".
	Headline string
	// Since is when the state began; zero when that is not known.
	Since time.Time
	// Why is one sentence: what is happening, why, and what comes next.
	Why string
	// Next is what comes next, in a few words.
	Next string
	// Steps are those of the spec, the bake and what follows it; empty when no run is in
	// progress.
	Steps []Step
	// Weight is nil when no run is in progress.
	Weight   *v1alpha1.WeightStatus
	Versions []Version
	// SetKind is the kind of the object that holds a version: ReplicaSet or ControllerRevision.
	SetKind  string
	Triggers []Trigger
	// Decisions are the newest ones, oldest first, at most five.
	Decisions []Decision
	// Notes are what else a person should know, worst first.
	Notes []string
	// Actions are the commands that change something and make sense now, with the flags that
	// they need beside a reason: "abort". Effects says what each does.
	Actions []string
	Effects map[string]string
	// Barred are other commands that make sense now: those that the person who looks may not
	// give. Who knows that person takes them out of Actions.
	Barred []Barred
}

// Barred is a command that somebody may not give.
type Barred struct {
	Command string
	// Roles are those that let give it.
	Roles []string
}

// shownDecisions is how many decisions a screen has.
const shownDecisions = 5

// Rollout is the screen of a Rollout.
func Rollout(in Input) Screen {
	s := &in.Rollout.Status
	state := stateOf(in)
	chain := chainOf(in.Rollout, in.Run)
	screen := Screen{
		Namespace: in.Rollout.Namespace, Name: in.Rollout.Name, State: state, Headline: headline(in.Rollout, state),
		Since: since(in, state), Versions: versions(in), SetKind: setKindOf(in.Rollout), Triggers: triggers(in),
		Decisions: decisions(chain[max(0, len(chain)-shownDecisions):]), Notes: notes(in),
	}
	screen.Actions, screen.Effects = offered(in)
	if s.Phase.InRun() && s.Step != nil {
		screen.Weight = &s.Step.Weight
		screen.Steps = steps(in)
	}
	screen.Why, screen.Next = why(in, screen), next(in.Rollout, screen, in.Now)
	return screen
}

// Decision is one recorded decision.
type Decision struct {
	At    time.Time
	Rule  string
	Why   string
	Actor string
	// Missing is how many decisions before this one could not be recorded.
	Missing int32
}

// Story is all decisions of a run, oldest first, with those that only its Rollout's status
// has yet. The Rollout may be nil.
func Story(rollout *v1alpha1.Rollout, run *v1alpha1.RolloutRun) []Decision {
	return decisions(chainOf(rollout, run))
}

func chainOf(rollout *v1alpha1.Rollout, run *v1alpha1.RolloutRun) []v1alpha1.DecisionRecord {
	if run == nil {
		return nil
	}
	if rollout == nil || rollout.Status.Record == nil {
		return run.Status.Decisions
	}
	return evidence.With(run.Status.Decisions, run.Name, rollout.Status.Record.Pending)
}

func decisions(chain []v1alpha1.DecisionRecord) []Decision {
	var out []Decision
	for i := range chain {
		d := &chain[i]
		out = append(out, Decision{At: d.At.Time, Rule: Text(d.Rule, 63), Why: Text(d.Why, 1024), Actor: Text(d.Actor, 256), Missing: d.Missing})
	}
	return out
}

// Worst sorts rows: what needs a person first, then by namespace and name.
func Worst(rows []Row) {
	slices.SortStableFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.State.rank(), b.State.rank()), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}
