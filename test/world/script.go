package world

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// Story is a script with the end that every run of it must reach, whatever
// crashes, is late or is lost on the way.
type Story struct {
	Name string
	// Setup changes the world before it begins.
	Setup  func(*World)
	Script func() []event
	// Scenes are the script of a portable story; nil for one that only the world in
	// memory can play.
	Scenes []Scene
	// Serves is the revision that all requests reach in the end, and Phase the
	// Rollout's; empty when the Rollout is gone.
	Serves string
	Phase  v1alpha1.Phase
	// Rejects is a revision that must not run again by itself; empty for none.
	Rejects string
	// Ended is the outcome that the last run must have; empty for any.
	Ended v1alpha1.Outcome
	// Says is a part of what the history says of the last run; empty for any.
	Says string
	// Stalls is the reason of a standing that must have been shown; empty for none.
	Stalls string
	// Held is the revision that the Deployment stays paused at; empty when it is not
	// paused in the end.
	Held string
	// Racing stories end in one of two ways, by what comes first: then Serves may
	// also be Or.
	Or string
	// Never is a revision that must get no run where nothing else goes wrong: it was replaced
	// before it had stood for long enough.
	Never string
	// silentGateway marks a story whose own gateway is silent for a while.
	silentGateway bool
	// changesTraffic marks a story that edits spec.traffic in a run.
	changesTraffic bool
	// Leaves allows a canary to be left, where a deletion could not wait any longer.
	Leaves bool
}

// Begin is a world at the start of the story, with the delays of a seed, and what
// goes wrong in it.
func (s Story) Begin(seed uint64, disturbances ...Disturbance) *World {
	w := newWorld(seed, s.Setup, s.Script()...)
	w.disturbances = disturbances
	return w
}

// Summary is the course of a story that was played, in one line: how long it took,
// how many decisions, how its runs ended, what it stalled on.
func (s Story) Summary(w *World) string {
	return fmt.Sprintf("%-40s %8s %4d decisions  %-10s ends %v stalls %v", s.Name, w.at.Sub(w.start).Round(time.Second), len(w.log), w.rollout.status.Phase, w.ends, w.stalls)
}

// push declares the second revision once the Rollout guards the first.
var push = event{guarded, func(w *World) { w.declare(second) }}

// guarded is while the label holds a pushed template.
func guarded(w *World) bool {
	return w.rollout.status.Phase == v1alpha1.PhaseStable && w.deployment.marks.Rollout != ""
}

func inPhase(phase v1alpha1.Phase) func(*World) bool {
	return func(w *World) bool { return w.rollout.status.Phase == phase }
}

// atStep is while the step's weight stands.
func atStep(index int32) func(*World) bool {
	return func(w *World) bool {
		s := w.rollout.status.Step
		return w.rollout.status.Phase == v1alpha1.PhaseStepping && s != nil && s.Index == index && s.AcknowledgedAt != nil
	}
}

// Stages of a run, for what may happen in any of them.
var (
	held      = inPhase(v1alpha1.PhaseGating)
	promoting = func(w *World) bool {
		return w.rollout.status.Phase == v1alpha1.PhasePromoting && (w.network.split != nil || w.traffic() == nil)
	}
	baking = inPhase(v1alpha1.PhaseBaking)
	// beforeOwner is in a handover that still waits: a story that asks for it lets the
	// sizes stand for longer than the bake and any delay of its end.
	beforeOwner = func(w *World) bool {
		w.steadyFor = 10 * time.Minute
		return inPhase(v1alpha1.PhaseHandingOver)(w) && w.rollout.status.Promotion.HandedAt == nil
	}
	afterOwner = func(w *World) bool { return inPhase(v1alpha1.PhaseHandingOver)(w) && w.handed() }
	settled    = func(w *World) bool {
		p := w.rollout.status.Promotion
		return inPhase(v1alpha1.PhaseHandingOver)(w) && p.SettledAt != nil
	}
	handing = func(w *World) bool {
		return inPhase(v1alpha1.PhaseHandingOver)(w) && w.rollout.status.Promotion.HandedAt != nil
	}
	goingBack    = inPhase(v1alpha1.PhaseRollingBack)
	rolledBack   = inPhase(v1alpha1.PhaseRolledBack)
	promotedOnce = ended(1)
)

// ended is while nothing is in progress after so many runs whose version serves.
func ended(runs int) func(*World) bool {
	return func(w *World) bool {
		serve := 0
		for _, outcome := range w.ends {
			if outcome == string(promoted) || outcome == string(v1alpha1.OutcomeBypassed) {
				serve++
			}
		}
		return guarded(w) && serve >= runs
	}
}

// handed is whether the Deployment owns the set of the run in progress.
func (w *World) handed() bool {
	s := w.canary(w.rollout.status.Run)
	return s != nil && w.own(s)
}

// rolling is while the Deployment replaces its pods by itself.
func rolling(w *World) bool {
	active := 0
	for i := range w.sets {
		if w.own(&w.sets[i]) && w.sets[i].size > 0 {
			active++
		}
	}
	return !w.deployment.held() && active > 1
}

func declares(revision string) func(*World) { return func(w *World) { w.declare(revision) } }

func bypasses(revision string) func(*World) { return func(w *World) { w.bypass(revision) } }

func resizes(replicas int32) func(*World) { return func(w *World) { w.resize(replicas) } }

func commands(action v1alpha1.Action) func(*World) {
	return func(w *World) { w.command(action) }
}

// soon is an event some time after the one before it.
func soon(d time.Duration, do func(*World)) event {
	return event{func(w *World) bool {
		due := w.playedAt.Add(d)
		if w.at.Before(due) && !slices.Contains(w.timers, due) {
			w.timers = append(w.timers, due)
		}
		return !w.at.Before(due)
	}, do}
}

func always(*World) bool { return true }

// Ends reports what is wrong with where a story has come to.
func (s Story) Ends(w *World) []string {
	wrong := slices.Clone(w.violations)
	expect := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, "in the end "+fmt.Sprintf(format, args...))
		}
	}
	status, n, d := w.rollout.status, &w.network, &w.deployment
	expect(s.Phase == "" || s.Or != "" || status.Phase == s.Phase, "the phase is %s: %s", status.Phase, status.Message)
	expect(w.rollout.gone == (s.Phase == ""), "the Rollout is there, or gone, unlike the story")
	expect(n.split == nil && len(n.inFlight) == 1, "the route does not name the user's Service")
	expect(n.narrowed == "", "the user's Service is narrowed to %s", n.narrowed)
	expect(d.lock == "", "the Deployment is locked for %s", d.lock)
	s.endsMarked(w, expect)
	w.endsRecorded(expect)
	var sets []string
	for i := range w.sets {
		if t := &w.sets[i]; t.ownerRun != "" {
			sets = append(sets, t.name)
		}
	}
	expect(len(sets) == 0 || s.Leaves, "ReplicaSets of runs are left: %v", sets)
	if s.Serves != "" {
		serves := w.readyWith(s.Serves) == d.replicas || s.Or != "" && w.readyWith(s.Or) == d.replicas
		expect(serves, "%d of %d replicas run %s", w.readyWith(s.Serves), d.replicas, s.Serves)
		expect(w.count(func(p pod) bool { return p.goes.IsZero() }) == d.replicas || s.Leaves, "there are %d pods for %d replicas", len(w.pods), d.replicas)
	}
	if s.Rejects != "" {
		expect(status.IsRejected(s.Rejects) != nil, "revision %s is not rejected", s.Rejects)
	}
	if s.Never != "" && len(w.disturbances) == 0 {
		expect(!slices.ContainsFunc(w.history.runs, func(run *v1alpha1.RolloutRun) bool { return run.Spec.Revision == s.Never }), "revision %s had a run", s.Never)
	}
	if s.Ended != "" {
		expect(len(w.ends) > 0 && w.ends[len(w.ends)-1] == string(s.Ended), "the runs ended %v", w.ends)
	}
	if s.Says != "" {
		expect(len(status.History) > 0 && strings.Contains(status.History[0].Message, s.Says), "the history is %+v", status.History)
	}
	if s.Stalls != "" {
		expect(slices.Contains(w.stalls, s.Stalls), "the stalls shown are %v", w.stalls)
	}
	if d.uid != 0 && s.Or == "" {
		expect(d.held() == (s.Held != ""), "the workload is held at %s, or not, unlike the story", d.declared)
		expect(!d.ordered || d.held() || d.partition == 0, "the partition is %d", d.partition)
		expect(s.Held == "" || d.declared == s.Held, "the workload declares %s", d.declared)
	}
	return wrong
}

// endsMarked: the labels say what the status does.
func (s Story) endsMarked(w *World, expect func(bool, string, ...any)) {
	d, status := &w.deployment, w.rollout.status
	want := plan.Marks{Rollout: "shop"}
	if status.Phase == v1alpha1.PhaseRolledBack && status.IsRejected(d.declared) != nil {
		want.Rejected = d.declared
	}
	if w.rollout.gone || d.uid == 0 {
		want = plan.Marks{}
	}
	expect(d.marks == want, "the Deployment's labels are %s, not %s", d.marks, want)
}
