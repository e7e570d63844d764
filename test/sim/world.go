package sim

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// Fault says what goes wrong besides the script.
type Fault struct {
	// CrashAt stops the controller at its n-th write, from 1; 0 never.
	CrashAt int
	// AfterEffect moves the crash from between record and effect to right after
	// the effect.
	AfterEffect bool
	// LostEvents leaves the controller with its own wake-ups.
	LostEvents bool
	// Stale lets the controller see each part of the cluster as it was a while ago.
	Stale bool
}

// World is the cluster, the Rollout in it, and the controller that is judged.
type World struct {
	*cluster
	start  time.Time
	random *rand.Rand
	fault  Fault
	script []event
	seen   []*cluster
	lags   [3]time.Duration
	// commanded is set by the script for the next look.
	commanded bool

	spec       v1alpha1.RolloutSpec
	status     v1alpha1.RolloutStatus
	action     *plan.Action
	deleting   *time.Time
	finalizer  bool
	gone       bool
	runs       []string
	failing    string
	blindUntil time.Time

	last      plan.Decision
	wake      time.Time
	writes    int
	looks     int
	lookedAt  time.Time
	crashed   bool
	lastShare time.Time
	// lostUntil is when a canary that a script made unready is ready again.
	lostUntil time.Time

	log        []string
	violations []string
}

// event is a scripted act that happens once, as soon as its time has come.
type event struct {
	when func(*World) bool
	do   func(*World)
}

// Revisions of the scripts.
const (
	first  = "aaaaaaaaaa"
	second = "bbbbbbbbbb"
	third  = "cccccccccc"
)

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func duration(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d} }

// New is a world that serves the first revision from a settled Deployment, with
// a Rollout just created.
func New(seed uint64, fault Fault, script ...event) *World {
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	w := &World{
		start: start, random: rand.New(rand.NewPCG(seed, 0)), fault: fault, script: script, wake: start,
		cluster: &cluster{
			at: start, declared: first, replicas: 4, rollsAt: start, sets: []string{first},
			inFlight: []*int32{nil}, acknowledgedAt: start, selectsAt: start,
		},
		spec: v1alpha1.RolloutSpec{
			WorkloadRef: v1alpha1.WorkloadRef{Name: "shop"},
			Traffic:     v1alpha1.Traffic{Service: "shop", Drain: duration(seconds(5))},
			Steps:       []v1alpha1.Step{{Weight: 10, Hold: duration(time.Minute)}, {Weight: 50, Hold: duration(time.Minute)}},
			Promotion:   v1alpha1.Promotion{Bake: duration(2 * time.Minute)}, StepDeadline: duration(time.Hour),
			OnDeadline: v1alpha1.Hold, Mode: v1alpha1.ModeEnforce, HistoryLimit: 10,
		},
	}
	for range w.replicas {
		w.pods = append(w.pods, pod{revision: first, readyAt: start})
	}
	if fault.Stale {
		for i := range w.lags {
			w.lags[i] = w.delay(0, 3)
		}
	}
	w.tick()
	return w
}

func (w *World) delay(from, to float64) time.Duration {
	return seconds(from + w.random.Float64()*(to-from))
}

func (w *World) broken(format string, args ...any) {
	w.violations = append(w.violations, fmt.Sprintf("+%.1fs %s: %s", w.at.Sub(w.start).Seconds(), w.last.Rule, fmt.Sprintf(format, args...)))
}

// limit bounds the virtual time and the looks any script may take.
const (
	limitTime  = 6 * time.Hour
	limitLooks = 20_000
)

// Run goes on until the script is played, the controller has nothing left to do
// and nothing moves, and reports whether that came within the limits.
func (w *World) Run() bool {
	for w.at.Sub(w.start) < limitTime && w.looks < limitLooks && len(w.violations) < 20 {
		if !w.at.Before(w.wake) {
			w.reconcile()
		}
		w.tick()
		if w.Settled() {
			return true
		}
		w.advance()
	}
	w.broken("not settled after %s and %d looks, in phase %s", w.at.Sub(w.start), w.looks, w.status.Phase)
	return false
}

// Settled means that nothing is left to happen: only time passes.
func (w *World) Settled() bool {
	if len(w.script) > 0 || w.moving() {
		return false
	}
	if w.gone {
		return true
	}
	resting := w.status.Phase == v1alpha1.PhaseStable || w.status.Phase == v1alpha1.PhaseRolledBack
	return resting && w.last.Effect == nil && w.last.Standing.State != plan.Working && w.quiet()
}

// quiet means that whoever looks late has seen everything, too.
func (w *World) quiet() bool {
	return w.at.Sub(w.seen[len(w.seen)-1].at) > time.Minute && w.at.Sub(w.lookedAt) < time.Minute
}

func (w *World) moving() bool {
	if w.at.Before(w.acknowledgedAt) || w.at.Before(w.rollsAt) || w.at.Before(w.selectsAt) {
		return true
	}
	return slices.ContainsFunc(w.pods, func(p pod) bool { return p.exists(w.at) && !p.ready(w.at) })
}

// advance moves time to whatever comes next: the controller's wake-up, or a
// change of the cluster, which wakes it when events arrive.
func (w *World) advance() {
	next := w.at.Add(time.Minute)
	sooner := func(t time.Time) {
		if t.After(w.at) && t.Before(next) {
			next = t
		}
	}
	sooner(w.wake)
	for _, t := range []time.Time{w.acknowledgedAt, w.rollsAt, w.selectsAt} {
		sooner(t)
	}
	for _, p := range w.pods {
		sooner(p.readyAt)
		sooner(p.goes)
		sooner(p.end)
	}
	if w.onTrial() {
		sooner(w.at.Truncate(poll).Add(poll))
	}
	w.at = next
}

// tick lets everything but the controller act at this instant.
func (w *World) tick() {
	before := w.clone()
	if !w.at.Before(w.acknowledgedAt) {
		w.inFlight = []*int32{w.split}
	}
	w.rollDeployment()
	for len(w.script) > 0 && w.script[0].when(w) {
		do := w.script[0].do
		w.script = w.script[1:]
		do(w)
		w.commanded = true
	}
	w.scaleCanaryPods()
	w.pods = slices.DeleteFunc(w.pods, func(p pod) bool { return !p.exists(w.at) })
	w.judge(before)
	w.remember()
}

// remember keeps what the cluster shows for whoever looks late, and wakes the
// controller when that changed.
func (w *World) remember() {
	changed := len(w.seen) == 0 || w.shows(w.seen[len(w.seen)-1])
	if changed {
		w.seen = append(w.seen, w.clone())
	}
	for len(w.seen) > 1 && w.at.Sub(w.seen[1].at) > seconds(10) {
		w.seen = w.seen[1:]
	}
	judged := w.onTrial() && w.at.Equal(w.at.Truncate(poll))
	if w.fault.LostEvents || w.crashed || !changed && !judged && !w.commanded {
		return
	}
	w.commanded = false
	for _, lag := range append(w.lags[:], 10*time.Millisecond) {
		if soon := w.at.Add(lag); soon.After(w.at) && soon.Before(w.wake) {
			w.wake = soon
		}
	}
}

// shows is whether the cluster looks other than it did.
func (w *World) shows(was *cluster) bool {
	return !reflect.DeepEqual(was.workload(&w.status), w.workload(&w.status)) ||
		was.canary(&w.status) != w.canary(&w.status) || !reflect.DeepEqual(was.route(), w.route())
}

// rollDeployment is the Deployment controller: a rolling update with one pod
// more and one pod less than declared, nothing while paused.
func (w *World) rollDeployment() {
	if w.at.Before(w.rollsAt) {
		return
	}
	if w.paused {
		return
	}
	if !slices.Contains(w.sets, w.declared) {
		w.sets = append(w.sets, w.declared)
	}
	alive := func(p pod) bool { return !p.canary && p.goes.IsZero() }
	current := func(p pod) bool { return alive(p) && p.revision == w.declared }
	for w.count(alive) < w.replicas+1 && w.count(current) < w.replicas {
		w.pods = append(w.pods, pod{revision: w.declared, readyAt: w.at.Add(w.delay(0.5, 12))})
	}
	for i := range w.pods {
		p := &w.pods[i]
		ready := w.count(func(p pod) bool { return !p.canary && p.ready(w.at) })
		if alive(*p) && p.revision != w.declared && (!p.ready(w.at) || ready >= w.replicas) {
			p.goes, p.end = w.at, w.at.Add(w.delay(0.5, 30))
		}
	}
}

func (w *World) scaleCanaryPods() {
	alive := func(p pod) bool { return p.canary && p.goes.IsZero() }
	for w.canaryRevision != "" && w.count(alive) < w.canaryReplicas {
		w.pods = append(w.pods, pod{canary: true, revision: w.canaryRevision, readyAt: w.at.Add(w.delay(0.5, 12))})
	}
}

// declare writes the Deployment's template as the API server would take it from
// somebody who is not Belay: paused by the guard, and refused while pods move.
func (w *World) declare(revision string) {
	if w.declared == revision {
		return
	}
	if w.status.Phase == v1alpha1.PhasePromoting || w.status.Phase == v1alpha1.PhaseRollingBack {
		retry := event{after(w, 10*time.Second), func(w *World) { w.declare(revision) }}
		w.script = append([]event{retry}, w.script...)
		return
	}
	w.declared, w.paused = revision, true
	w.deploymentVersion++
	w.rollsAt = w.at.Add(w.delay(0.05, 1))
}

func after(w *World, d time.Duration) func(*World) bool {
	due := w.at.Add(d)
	return func(w *World) bool { return !w.at.Before(due) }
}

// setRoute writes the route. The gateway follows some time later.
func (w *World) setRoute(split *int32) {
	same := split == nil && w.split == nil || split != nil && w.split != nil && *split == *w.split
	if same {
		return
	}
	w.split = split
	w.inFlight = append(w.inFlight, split)
	w.acknowledgedAt = w.at.Add(w.delay(0.02, 4))
	w.routeVersion++
}

// removeCanary deletes the ReplicaSet; the garbage collector comes to its pods
// later.
func (w *World) removeCanary() {
	w.canaryRevision, w.canaryReplicas = "", 0
	w.canaryVersion++
	for i := range w.pods {
		if p := &w.pods[i]; p.canary && p.goes.IsZero() {
			p.goes = w.at.Add(w.delay(0, 3))
			p.end = p.goes.Add(w.delay(0.5, 30))
		}
	}
}

// loseCanary makes the canary's pods unready for a while.
func (w *World) loseCanary() {
	w.lostUntil = w.at.Add(5 * time.Minute)
	for i := range w.pods {
		if p := &w.pods[i]; p.canary {
			p.readyAt = w.lostUntil
		}
	}
}
