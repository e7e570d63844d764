package world

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// World is the cluster, the Rollout in it, and the controller that is judged.
type World struct {
	*cluster
	start  time.Time
	source *rand.PCG
	random *rand.Rand
	script []event
	// disturbances are what goes wrong besides the script.
	disturbances []Disturbance
	// atWrite is shown each write and a fork of the world from just before it.
	atWrite func(write Write, before *World)
	seen    []*cluster
	// shown is the digest of the last of seen.
	shown uint64
	// lags are how late the controller sees each part of the cluster; frozen is what
	// it sees of a part whose watch has stopped.
	lags   [parts]time.Duration
	frozen [parts]frozen
	// deafUntil is until when watch events are lost, and eventsLateBy how late they
	// come until eventsLateUntil.
	deafUntil, eventsLateUntil time.Time
	eventsLateBy               time.Duration
	// downUntil is until when the API server takes no write of the controller's.
	downUntil time.Time
	// coming are things that will happen whatever the script does.
	coming []timed
	// playedAt is when the last event of the script happened.
	playedAt time.Time
	// commanded is set by the script for the next look.
	commanded bool
	timers    []time.Time
	// hooks run inside of an effect, between two of its writes.
	hooks map[string]func(*World)

	spec v1alpha1.RolloutSpec
	// steadyFor is how long the sizes must have stayed the same before a handover.
	steadyFor time.Duration
	// failing is the run whose trigger fires, blindUntil until when its source
	// does not answer.
	failing    string
	blindUntil time.Time
	// freezeUntil is until when a freeze holds the Rollout, and foundFrozen and frozenStep
	// where that found it.
	freezeUntil time.Time
	foundFrozen v1alpha1.Phase
	frozenStep  int32
	// byService lets the trigger count by Service.
	byService bool
	// observer adds a trigger in mode Observe, and observeOnly leaves no other. slow is
	// the run in which it fires, and slowBlind since when it has no usable answer.
	observer, observeOnly bool
	slow                  string
	slowBlind             time.Time
	// checked is what an attempt of a check in a stage, as CheckStage numbers them, comes to;
	// nil without a check.
	checked    func(stage, attempt int32) v1alpha1.VerdictOutcome
	neverReady []string
	// quota is how many pods there may be, 0 for any number; setsRefused keeps
	// Belay from making ReplicaSets, routesRefused from writing routes.
	quota                      int32
	setsRefused, routesRefused bool
	// previewRefusedUntil is until when nobody may write the preview Service.
	previewRefusedUntil time.Time
	// A gateway that is silent acknowledges nothing, a slow one takes longer by
	// gatewaySlow, and one that is behind follows the last but one write.
	gatewaySilent, gatewayBehind bool
	gatewaySlow                  time.Duration
	// unheard is from the beginning of a silence until the gateway has caught up.
	unheard bool
	// admission changes the template of every set that Belay makes.
	admission bool
	// formerRun was started by the first edition of Belay.
	formerRun string

	// syncAt and setsAt are when the Deployment and the ReplicaSet controller look
	// next, synced what the former has seen.
	syncAt, setsAt time.Time
	synced         uint64

	last     plan.Decision
	wake     time.Time
	writes   int
	looks    int
	lookedAt time.Time
	crashed  bool
	// awayUntil is until when no controller looks at all.
	awayUntil time.Time
	late      *late
	// striking are the disturbances of the write in progress.
	striking []*kind
	decided  late

	safety
	// trace is shown every instant; nil in most runs.
	trace func(*World)
	log   []string
	// records are the runs' records by name; nil when nobody asks for them.
	records    map[string]*Record
	stalls     []string
	violations []string
}

// timed is something that happens at a time.
type timed struct {
	at time.Time
	do func(*World)
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
	fourth = "dddddddddd"
	// Restarts have another digit after the letter of what they restart: see baseOf.
	firstAgain  = "a111111111"
	firstThrice = "a222222222"
	firstOften  = "a333333333"
	secondAgain = "b111111111"
)

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func duration(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d} }

// newWorld is a world that serves the first revision from a settled Deployment, with
// a Rollout just created.
func newWorld(seed uint64, setup func(*World), script ...event) *World {
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	revisions := int32(1)
	source := rand.NewPCG(seed, 0)
	w := &World{
		start: start, source: source, random: rand.New(source), script: script, wake: start, playedAt: start,
		hooks: map[string]func(*World){},
		cluster: &cluster{
			at: start, born: 1,
			deployment: deployment{uid: 1, version: 1, generation: 1, observed: 1, declared: first, replicas: 4, history: 10},
			network:    network{inFlight: []distribution{{}}},
			rollout:    rollout{version: 1, status: &v1alpha1.RolloutStatus{ObservedGeneration: -1}},
		},
		steadyFor: 15 * time.Second,
		spec: v1alpha1.RolloutSpec{
			WorkloadRef: v1alpha1.WorkloadRef{Kind: "Deployment", Name: "shop"},
			Traffic:     &v1alpha1.Traffic{Service: "shop", DirectCallers: v1alpha1.DirectCallersAny, Drain: duration(seconds(5))},
			Steps:       []v1alpha1.Step{{Weight: 10, Hold: duration(time.Minute)}, {Weight: 50, Hold: duration(time.Minute)}},
			Promotion:   v1alpha1.Promotion{Bake: duration(2 * time.Minute), Mode: v1alpha1.PromotionHandOver},
			FastRevert:  v1alpha1.FastRevert{Revisions: &revisions}, StepDeadline: duration(time.Hour), Settle: duration(30 * time.Second),
			OnDeadline: v1alpha1.Hold, Mode: v1alpha1.ModeEnforce, HistoryLimit: 10,
		},
	}
	if setup != nil {
		setup(w)
	}
	w.serveFirst()
	return w
}

// serveFirst makes the set of the first revision and its pods.
func (w *World) serveFirst() {
	d := &w.deployment
	s := set{
		name: "shop-hash-" + first, template: first, hash: "hash-" + first, owner: d.uid, size: d.replicas,
		number: 1, desired: d.replicas, limit: d.replicas + w.maxSurge(),
	}
	if d.ordered {
		s = revisionOf(first)
		s.owner, s.number = d.uid, 1
		d.current, d.update = s.name, s.name
	}
	made := *w.createSet(s)
	w.allow(first)
	for ordinal := range d.replicas {
		if d.ordered {
			w.createOrdinal(made, int(ordinal))
			continue
		}
		w.createPod(&made)
	}
	for i := range w.pods {
		if p := &w.pods[i]; p.readyAt.Sub(w.at) < limitTime {
			p.readyAt, p.endpointAt = w.start, w.start
		}
	}
}

// Log is every decision that was worth recording, one line each.
func (w *World) Log() []string { return w.log }

// Writes counts the decisions that wrote something.
func (w *World) Writes() int { return w.writes }

func (w *World) delay(from, to float64) time.Duration {
	return seconds(from + w.random.Float64()*(to-from))
}

func (w *World) broken(format string, args ...any) {
	text := fmt.Sprintf("+%.2fs %s after %s: %s", w.at.Sub(w.start).Seconds(), w.rollout.status.Phase, w.last.Rule, fmt.Sprintf(format, args...))
	if n := len(w.violations); n == 0 || w.violations[n-1] != text {
		w.violations = append(w.violations, text)
	}
}

// limit bounds the virtual time and the looks any script may take.
const (
	limitTime  = 6 * time.Hour
	limitLooks = 20_000
)

// later lets something happen after a while.
func (w *World) later(d time.Duration, do func(*World)) {
	w.coming = append(slices.Clip(w.coming), timed{w.at.Add(d), do})
}

// Run goes on until the script is played, the controller has nothing left to do
// and nothing moves, and reports whether that came within the limits.
func (w *World) Run() bool {
	if len(w.seen) == 0 {
		if err := w.strikeAll(fromTheStart); err != nil {
			w.broken("a disturbance that lasts stops the controller: %v", err)
		}
		w.tick()
	}
	for w.at.Sub(w.start) < limitTime && w.looks < limitLooks && len(w.violations) < 10 {
		if w.late != nil && !w.at.Before(w.late.at) {
			w.goOnLate()
		}
		if !w.at.Before(w.wake) {
			w.reconcile()
		}
		w.tick()
		if w.Settled() {
			return true
		}
		w.advance()
	}
	w.broken("not settled after %s and %d looks, %d events of the script left: %s", w.at.Sub(w.start), w.looks, len(w.script), w.last.Why)
	return false
}

// Settled means that nothing is left to happen: only time passes.
func (w *World) Settled() bool {
	if len(w.script) > 0 || w.late != nil || len(w.coming) > 0 || w.moving() {
		return false
	}
	if w.rollout.gone {
		return true
	}
	phase := w.rollout.status.Phase
	resting := phase == v1alpha1.PhaseStable || phase == v1alpha1.PhaseRolledBack
	ended := resting && w.last.Progress != plan.Reconciling || w.deployment.uid == 0 && w.last.Progress == plan.Stalled
	return ended && len(w.last.Effects) == 0 && w.quiet()
}

// quiet means that whoever looks late has seen everything, too.
func (w *World) quiet() bool {
	return w.at.Sub(w.seen[len(w.seen)-1].at) > time.Minute && w.at.Sub(w.lookedAt) < time.Minute
}

func (w *World) moving() bool {
	n := &w.network
	if w.workloadDigest() != w.synced || !n.acknowledged(w.at) || w.at.Before(n.selectsAt) || w.at.Before(n.narrowsAt) || w.at.Before(n.preview.selectsAt) || w.at.Before(w.syncAt) || w.at.Before(w.setsAt) {
		return true
	}
	return slices.ContainsFunc(w.pods, func(p pod) bool {
		// The next pod of an ordinal waits until the one before it is gone.
		frees := w.deployment.ordered && !p.stays(w.at)
		return p.exists(w.at) && !p.ready(w.at) && (frees || !slices.Contains(w.neverReady, p.template))
	})
}

// advance moves time to whatever comes next: the controller's wake-up, or a
// change of the cluster, which wakes it when events arrive.
func (w *World) advance() {
	next := w.at.Add(time.Minute)
	sooner := func(times ...time.Time) {
		for _, t := range times {
			if t.After(w.at) && t.Before(next) {
				next = t
			}
		}
	}
	n := &w.network
	sooner(w.wake, n.acknowledgedAt, n.selectsAt, n.narrowsAt, n.preview.selectsAt, w.syncAt, w.setsAt)
	sooner(w.timers...)
	for _, c := range w.coming {
		sooner(c.at)
	}
	if w.late != nil {
		sooner(w.late.at)
	}
	for i := range w.pods {
		p := &w.pods[i]
		sooner(p.readyAt, p.endpointAt, p.goes, p.leaves, p.end)
		if w.deployment.minReady > 0 {
			sooner(p.readyAt.Add(w.deployment.minReady))
		}
	}
	if w.rollout.status.Phase.InRun() {
		sooner(w.at.Truncate(poll).Add(poll))
	}
	w.at = next
}

// tick lets everything but the controller act at this instant.
func (w *World) tick() {
	n := &w.network
	switch {
	case w.gatewaySilent || w.gatewayBehind:
		w.unheard = true
	case n.acknowledged(w.at):
		w.unheard = false
	}
	if n.acknowledged(w.at) {
		n.inFlight = []distribution{n.distribution}
	}
	w.timers = slices.DeleteFunc(w.timers, func(t time.Time) bool { return !t.After(w.at) })
	for i := 0; i < len(w.coming); i++ {
		if c := w.coming[i]; !c.at.After(w.at) {
			w.coming = slices.Delete(slices.Clone(w.coming), i, i+1)
			i--
			c.do(w)
		}
	}
	w.playScript()
	w.controllers()
	w.runChecks()
	w.pods = slices.DeleteFunc(w.pods, func(p pod) bool { return !p.exists(w.at) })
	w.noteAvailability()
	w.judge()
	if w.trace != nil {
		w.trace(w)
	}
	w.remember()
}

// playScript does what the script says is due.
func (w *World) playScript() {
	for len(w.script) > 0 {
		next := w.script[0]
		if !next.when(w) {
			return
		}
		w.script, w.playedAt = w.script[1:], w.at
		next.do(w)
		w.commanded = true
	}
}

// controllers are Kubernetes' own, each a little later than what it reacts to.
func (w *World) controllers() {
	w.collectGarbage()
	state := w.workloadDigest()
	switch {
	case w.syncAt.After(w.at):
	case !w.syncAt.IsZero():
		w.syncAt, w.synced = time.Time{}, state
		w.syncWorkload()
	case state != w.synced:
		w.syncAt = w.at.Add(w.delay(0.05, 1))
	}
	switch {
	case w.setsAt.After(w.at):
	case !w.setsAt.IsZero():
		w.setsAt = time.Time{}
		w.syncSets()
	case !w.deployment.ordered && w.setsOff():
		w.setsAt = w.at.Add(w.delay(0.05, 1))
	}
}

func (w *World) workloadDigest() uint64 {
	h := hash(offset)
	w.digestWorkload(h.add)
	return uint64(h)
}

func (w *World) noteAvailability() {
	d := &w.deployment
	if d.replicas == 0 {
		d.unavailableSince = time.Time{}
		return
	}
	for i := range w.sets {
		if s := &w.sets[i]; w.own(s) && w.availableOf(s) > 0 {
			d.unavailableSince = time.Time{}
			return
		}
	}
	if d.unavailableSince.IsZero() {
		d.unavailableSince = w.at
	}
}

// remember keeps what the cluster shows for whoever looks late, and wakes the
// controller when that changed.
func (w *World) remember() {
	shown := w.digest()
	changed := len(w.seen) == 0 || w.shown != shown
	if changed {
		w.shown = shown
		w.seen = append(w.seen, w.clone())
	}
	for len(w.seen) > 1 && w.at.Sub(w.seen[1].at) > seconds(10) {
		w.seen = w.seen[1:]
	}
	judged := w.rollout.status.Phase.InRun() && w.at.Equal(w.at.Truncate(poll))
	if w.at.Before(w.deafUntil) || w.crashed || !changed && !judged && !w.commanded {
		return
	}
	w.commanded = false
	var on time.Duration
	if w.at.Before(w.eventsLateUntil) {
		on = w.eventsLateBy
	}
	for _, lag := range append(w.lags[:], 10*time.Millisecond) {
		if soon := w.at.Add(lag + on); soon.After(w.at) && soon.Before(w.wake) {
			w.wake = soon
		}
	}
}
