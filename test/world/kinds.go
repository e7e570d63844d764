package world

import (
	"errors"
	"slices"
	"time"

	"belay.dev/belay/controllers/plan"
)

// Write is a decision that the controller writes down or carries out.
type Write struct {
	// Number counts from 1.
	Number int
	// Records is whether it is another decision than the last.
	Records bool
	Effects []plan.Effect
	before  *World
}

// place is where in a reconcile a disturbance strikes.
type place int

const (
	fromTheStart place = iota
	// looked is after the look and the decision, before the status is written.
	looked
	// recorded is when the status was written, and no answer has come yet.
	recorded
	// acting is before the first effect.
	acting
	// within is between two writes of one effect.
	within
	// acted is when the last effect was carried out, and no answer has come yet.
	acted
	// afterFirst is between the first effect of a decision and the next; the places
	// after the second and so on follow it.
	afterFirst
)

// kind of disturbance.
type kind struct {
	name  string
	place place
	// at says at which writes it means something; nil for all.
	at func(Write) bool
	// strike lets it happen. An error is what the controller gets for an answer;
	// errCrashed stops it.
	strike func(w *World, rest late) error
	// spares says of which stories it would change the point; nil for none.
	spares func(Story) bool
	// ends is the story with the end that it may have after this disturbance, for one
	// that may differ from the undisturbed one; the comment says why.
	ends func(Story) Story
}

// Kinds are the names of all disturbances.
func Kinds() []string {
	var names []string
	for i := range kinds {
		names = append(names, kinds[i].name)
	}
	return names
}

func kindNamed(name string) (*kind, bool) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return nil, false
	}
	return &kinds[i], true
}

// errLost is an answer that does not come, whatever became of the request.
var errLost = errors.New("connection reset by peer")

func hasEffect(w Write) bool { return len(w.Effects) > 0 }

// severalWrites holds for effects that are more than one request.
func severalWrites(w Write) bool {
	return slices.ContainsFunc(w.Effects, func(e plan.Effect) bool {
		switch e.(type) {
		case plan.HandOver, plan.MarkWorkload, plan.Leave:
			return true
		}
		return false
	})
}

// moreEffects holds for decisions with more than so many effects.
func moreEffects(than int) func(Write) bool {
	return func(w Write) bool { return len(w.Effects) > than }
}

// during holds for writes of a run in progress, while its canary is the run's.
func during(w Write) bool {
	s := w.before.rollout.status
	return s.Phase.InRun() && w.before.deployment.uid != 0 && !w.before.handed()
}

func both(all ...func(Write) bool) func(Write) bool {
	return func(w Write) bool {
		return !slices.ContainsFunc(all, func(one func(Write) bool) bool { return !one(w) })
	}
}

func stop(w *World, _ late) error { return errCrashed }

// comesBack stops the controller, and lets it go on after a while with what it had
// decided, beside the one that took its place.
func comesBack(after time.Duration, record bool) func(*World, late) error {
	return func(w *World, rest late) error {
		rest.at, rest.record = w.at.Add(after), record
		w.late = &rest
		return errCrashed
	}
}

// answers is a request that fails once, or until the API server is back.
func answers(err error, lasts time.Duration) func(*World, late) error {
	return func(w *World, _ late) error {
		if lasts > 0 {
			w.downUntil, w.excusedUntil = w.at.Add(lasts), w.at.Add(lasts+reaction)
			w.disturbedUntil = w.excusedUntil
			w.timers = append(w.timers, w.downUntil)
		}
		return err
	}
}

// stale freezes the cache of some kinds of objects for a while.
func stale(lasts time.Duration, parts ...int) func(*World, late) error {
	return func(w *World, rest late) error {
		for _, part := range parts {
			w.frozen[part] = frozen{rest.v.part(part), w.at, w.at.Add(lasts)}
		}
		w.later(lasts, func(w *World) { w.commanded = true })
		return nil
	}
}

// happens is something in the cluster.
func happens(do func(*World)) func(*World, late) error {
	return func(w *World, _ late) error { do(w); return nil }
}

var kinds = slices.Concat(crashes, answersLost, caches, gateways, deletions, edits)

// applies is whether a kind means something at a write of a story.
func (k *kind) applies(s Story, w Write) bool {
	return k.place != fromTheStart && (k.at == nil || k.at(w)) && (k.spares == nil || !k.spares(s))
}

// crashes stop the controller; another one goes on after the lease.
var crashes = []kind{
	{name: "crash-before-record", place: looked, strike: stop},
	{name: "crash-before-effect", place: acting, at: hasEffect, strike: stop},
	{name: "crash-within-effect", place: within, at: severalWrites, strike: stop},
	{name: "crash-after-first-effect", place: afterFirst, at: moreEffects(1), strike: stop},
	{name: "crash-after-second-effect", place: afterFirst + 1, at: moreEffects(2), strike: stop},
	{name: "crash-after-effect", place: acted, at: hasEffect, strike: stop},
	{name: "resumes-before-record-30s", place: looked, strike: comesBack(Lease+10*time.Second, true)},
	{name: "resumes-before-record-3m", place: looked, strike: comesBack(3*time.Minute, true)},
	{name: "resumes-before-effect-20s", place: acting, at: hasEffect, strike: comesBack(Lease+500*time.Millisecond, false)},
	{name: "resumes-before-effect-32s", place: acting, at: hasEffect, strike: comesBack(Lease+12*time.Second, false)},
	{name: "resumes-before-effect-3m", place: acting, at: hasEffect, strike: comesBack(3*time.Minute, false)},
}

// answersLost are requests that fail, or only seem to.
var answersLost = []kind{
	{name: "lost-answer-to-record", place: recorded, strike: answers(errLost, 0)},
	{name: "lost-answer-to-effect", place: acted, at: hasEffect, strike: answers(errLost, 0)},
	{name: "refused-record", place: looked, strike: answers(errRefused, 0)},
	{name: "refused-effect", place: acting, at: hasEffect, strike: answers(errRefused, 0)},
	{name: "refused-from-record-1m", place: looked, strike: answers(errRefused, time.Minute)},
	{name: "refused-from-effect-1m", place: acting, at: hasEffect, strike: answers(errRefused, time.Minute)},
	{name: "conflict-at-record", place: looked, strike: happens(func(w *World) { w.rollout.version++ })},
	{name: "conflict-at-effect", place: acting, at: hasEffect, strike: happens((*World).touchAll)},
}

// caches are late, or their events are.
var caches = []kind{
	{name: "lagging-caches", place: fromTheStart, strike: happens(func(w *World) {
		for part := range w.lags {
			w.lags[part] = w.delay(0, 3)
		}
	})},
	{name: "no-events", place: fromTheStart, strike: happens(func(w *World) { w.deafUntil = w.at.Add(limitTime) })},
	{name: "stale-deployment-2s", place: looked, strike: stale(seconds(2), partDeployment)},
	{name: "stale-deployment-15s", place: looked, strike: stale(seconds(15), partDeployment)},
	{name: "stale-sets-2s", place: looked, strike: stale(seconds(2), partSets)},
	{name: "stale-sets-15s", place: looked, strike: stale(seconds(15), partSets)},
	{name: "stale-services-2s", place: looked, strike: stale(seconds(2), partServices)},
	{name: "stale-services-15s", place: looked, strike: stale(seconds(15), partServices)},
	{name: "stale-route-2s", place: looked, strike: stale(seconds(2), partRoute)},
	{name: "stale-route-15s", place: looked, strike: stale(seconds(15), partRoute)},
	{name: "stale-rollout-2s", place: looked, strike: stale(seconds(2), partRollout)},
	{name: "stale-rollout-15s", place: looked, strike: stale(seconds(15), partRollout)},
	{name: "stale-runs-2s", place: looked, strike: stale(seconds(2), partRuns)},
	{name: "stale-runs-15s", place: looked, strike: stale(seconds(15), partRuns)},
	{name: "stale-all-5s", place: looked, strike: stale(seconds(5), partDeployment, partSets, partServices, partRoute, partRollout, partRuns)},
	{name: "lost-events-1m", place: looked, strike: happens(func(w *World) { w.deafUntil = w.at.Add(time.Minute) })},
	{name: "late-events-5s", place: looked, strike: happens(func(w *World) { w.eventsLateBy, w.eventsLateUntil = seconds(5), w.at.Add(time.Minute) })},
}

// ownSilence spares stories about a gateway: another silence would end the first, and
// nobody else's write helps while it lasts.
func ownSilence(s Story) bool { return s.silentGateway }

// gateways acknowledge late, never, or what is not current any more.
var gateways = []kind{
	{name: "gateway-silent-90s", place: looked, spares: ownSilence, strike: happens(func(w *World) {
		w.silenceGateway()
		w.later(90*time.Second, (*World).speakGateway)
	})},
	{name: "gateway-slow-20s", place: looked, spares: ownSilence, strike: happens(func(w *World) {
		w.gatewaySlow = seconds(20)
		w.later(5*time.Minute, func(w *World) { w.gatewaySlow = 0 })
	})},
	{name: "gateway-one-generation-behind-90s", place: looked, spares: ownSilence, strike: happens(func(w *World) {
		w.gatewayBehind = true
		w.later(90*time.Second, func(w *World) {
			w.gatewayBehind = false
			w.speakGateway()
		})
	})},
}
