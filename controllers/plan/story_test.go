package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// world keeps what the decisions of a story record and change. Everything obeys
// at once, but for the gateway, which acknowledges when the story says so.
type world struct {
	t     *testing.T
	in    plan.Input
	ended []v1alpha1.Outcome
	// refused are effects that the API server does not take.
	refused []plan.Effect
}

func newWorld(t *testing.T, changes ...change) *world {
	return &world{t: t, in: given(changes...)}
}

// goes decides once for each rule named and follows it. A word that begins with
// "+" is something that happens: "+ack", "+fail", "+pass", or time that passes.
func (w *world) goes(words ...string) *world {
	w.t.Helper()
	for i, word := range words {
		event, happens := strings.CutPrefix(word, "+")
		switch {
		case !happens:
			w.decides(i, word)
		case event == "ack":
			w.in.Route.Acknowledged = true
		case event == "fail":
			verdict(v1alpha1.VerdictFail)(&w.in)
		case event == "pass":
			verdict(v1alpha1.VerdictPass)(&w.in)
		default:
			d, err := time.ParseDuration(event)
			if err != nil {
				w.t.Fatal(err)
			}
			w.in.Now = w.in.Now.Add(d)
		}
	}
	return w
}

func (w *world) decides(i int, rule string) {
	w.t.Helper()
	d := plan.Decide(w.in)
	if d.Rule != rule {
		w.t.Fatalf("decision %d is %s (%s), want %s", i, d.Rule, d.Why, rule)
	}
	for _, violation := range check(w.in, d) {
		w.t.Errorf("decision %d: %s", i, violation)
	}
	if d.Finished != nil {
		w.ended = append(w.ended, d.Finished.Outcome)
	}
	w.in.Status = d.Status
	took := true
	for _, e := range d.Effects {
		if !took {
			e = plan.AfterRefusal(e)
		}
		took = took && !slices.Contains(w.refused, e)
		switch refusal := w.in.Status.Refusal; {
		case !slices.Contains(w.refused, e):
			w.apply(e)
		case refusal == nil || refusal.Effect != e.String():
			w.in.Status.Refusal = &v1alpha1.Refusal{Effect: e.String(), Message: "no webhook answers", Since: metav1.NewTime(w.in.Now)}
		}
	}
}

// happens changes the world in the middle of a story.
func (w *world) happens(changes ...change) *world {
	all(changes...)(&w.in)
	return w
}

func (w *world) ends(phase v1alpha1.Phase, stable string, outcomes ...v1alpha1.Outcome) {
	w.t.Helper()
	if w.in.Status.Phase != phase || w.in.Status.Stable.Revision != stable || !slices.Equal(w.ended, outcomes) {
		w.t.Errorf("ends in %s with stable %s after %v, want %s, %s, %v", w.in.Status.Phase, w.in.Status.Stable.Revision, w.ended, phase, stable, outcomes)
	}
}

func (w *world) apply(effect plan.Effect) {
	in := &w.in
	switch e := effect.(type) {
	case plan.CreateRun:
		in.Run.Exists, in.Run.Next = true, in.Status.Runs
	case plan.MarkWorkload:
		in.Workload.Marks = e.Marks
	case plan.PointServices:
		in.Route.PairCurrent = true
	case plan.NarrowService:
		in.Route.Narrowed = e.Hash
	case plan.SetSplit:
		in.Route.Split, in.Route.Testers, in.Route.Mirror, in.Route.Mixed, in.Route.Acknowledged = &e.Weight, e.Testers, e.Mirror, false, false
	case plan.ReleaseRoute:
		in.Route.Split, in.Route.Testers, in.Route.Mirror, in.Route.Mixed, in.Route.Acknowledged = nil, nil, 0, false, false
	case plan.ScaleCanary:
		in.Canary.Set, in.Canary.Exists = set(canarySet, in.Status.Candidate.Revision, canaryHash, e.Replicas), true
		in.Workload.Chosen = canarySet
	case plan.RemoveCanary:
		in.Canary = plan.Canary{}
	case plan.HandOver:
		in.Workload.Lock, in.Canary.Handed = in.Status.Run, true
		in.Workload.Active = append(in.Workload.Active, in.Canary.Set)
	case plan.FenceCanary:
		in.Canary.Epoch = e.Epoch
	case plan.ResizeHanded:
		in.Canary.Set = set(canarySet, in.Status.Candidate.Revision, canaryHash, e.Replicas)
		active(in.Workload.Stable, in.Canary.Set)(in)
	case plan.Unlock:
		in.Workload.Lock = ""
	case plan.Unpause:
		in.Workload.Paused, in.Workload.Lock = false, ""
		if e.Unmark {
			in.Workload.Marks.Run, in.Workload.Marks.Narrowed = "", ""
		}
	case plan.Pause:
		in.Workload.Paused = true
	case plan.TakeOut:
		in.Workload.Active = slices.DeleteFunc(slices.Clone(in.Workload.Active), func(s plan.Set) bool { return s.Name == e.Name })
		active(in.Workload.Active...)(in)
	case plan.RaiseStable:
		active(append(slices.Clone(in.Workload.Active), stable(e.Replicas))...)(in)
	}
	endpoints(in)
}

// toFull takes a push to 100 %, acknowledged, by way of both steps.
func (w *world) toFull() *world {
	w.t.Helper()
	return w.happens(declares(candidateRevision)).goes("NewRevision", "RunStarts", "+pass",
		"SplitsRoute", "AwaitsSplit", "+ack", "ScalesCanary", "SetsWeight", "AwaitsRoute", "+ack", "StepAcknowledged", "StepHolds", "+1m", "StepPassed", "SetsWeight", "+ack", "StepAcknowledged", "+1m", "StepsPassed",
		"ScalesCanary", "SetsWeight", "AwaitsRoute", "+ack")
}

func (w *world) toHandover() *world {
	w.t.Helper()
	return w.toFull().goes("BakeStarts", "BakeRuns", "+5m", "BakePassed")
}

// rolled is the Deployment that has gone on by itself to the set it was given.
func rolled(in *plan.Input) {
	in.Canary.Set = set(canarySet, candidateRevision, canaryHash, in.Workload.Replicas)
	active(in.Canary.Set)(in)
}

func recognised(in *plan.Input) { in.Canary.Recognised = true }

func TestAPromotionReplacesNoPod(t *testing.T) {
	w := newWorld(t).toHandover().goes("HandoverAwaitsRecognition").happens(recognised).
		goes("HandoverReleases", "HandoverAwaitsRoute", "+ack", "HandoverAwaitsWorkload").happens(rolled)
	w.goes("Promoted", "Stable").ends(v1alpha1.PhaseStable, candidateRevision, v1alpha1.OutcomePromoted)
}

func TestAHandoverWaitsForRestAfterTheBake(t *testing.T) {
	newWorld(t).toFull().goes("BakeStarts", "+5m").happens(stableReady(3)).
		goes("BakePassed", "HandoverAwaitsSteadySize").happens(stableReady(4)).
		goes("HandoverAwaitsSteadySize", "+14s", "HandoverAwaitsSteadySize", "+1s", "HandsOver")
}

func TestARollbackFromADecidedHandoverIsFencedAndByWeights(t *testing.T) {
	w := newWorld(t).toHandover()
	// The write of the owner failed after the lock.
	w.happens(func(in *plan.Input) { in.Canary.Handed = false }, active(stable(replicas))).
		goes("+fail", "TriggerFired", "RollbackFences", "RollbackAwaitsRoute", "+ack", "RollbackAtZero", "RollbackDrains", "+5s",
			"RollbackRemovesCanary", "RollbackReleasesRoute", "RollbackAwaitsRelease", "+ack", "RollbackDone", "RolledBack").
		ends(v1alpha1.PhaseRolledBack, stableRevision, v1alpha1.OutcomeRolledBack)
}

func TestARollbackThatComesTooLateGoesOn(t *testing.T) {
	w := newWorld(t).toHandover()
	w.happens(func(in *plan.Input) { in.Canary.Handed = false }, active(stable(replicas))).goes("+fail", "TriggerFired").
		happens(func(in *plan.Input) { in.Canary.Handed, in.Canary.Recognised = true, true }, func(in *plan.Input) { active(stable(replicas), in.Canary.Set)(in) }).
		goes("RollbackOvertaken", "HandoverReleases", "+ack", "HandoverAwaitsWorkload").happens(rolled).
		goes("Promoted").ends(v1alpha1.PhaseStable, candidateRevision, v1alpha1.OutcomePromoted)
}

func TestARollbackFromABakeIsAChangeOfWeights(t *testing.T) {
	newWorld(t).toFull().goes("BakeStarts", "+fail", "TriggerFired", "RollbackTakesTraffic", "RollbackAwaitsRoute", "+ack", "RollbackAtZero", "+5s",
		"RollbackRemovesCanary", "RollbackReleasesRoute", "+ack", "RollbackDone", "RolledBack").
		ends(v1alpha1.PhaseRolledBack, stableRevision, v1alpha1.OutcomeRolledBack)
}

func direct(in *plan.Input) { in.Spec.Traffic.DirectCallers = v1alpha1.DirectCallersStable }

func (w *world) toNarrowedHandover() *world {
	w.t.Helper()
	return w.happens(direct, declares(candidateRevision)).goes("NewRevision", "RunStarts", "+pass",
		"SplitsRoute", "+ack", "NarrowsService", "ScalesCanary", "SetsWeight", "+ack", "StepAcknowledged", "+1m", "StepPassed", "SetsWeight", "+ack", "StepAcknowledged", "+1m", "StepsPassed",
		"ScalesCanary", "SetsWeight", "+ack", "BakeStarts", "NarrowsService", "BakeRuns", "+5m", "BakePassed",
		"HandoverReleasesNarrowed", "HandoverAwaitsSteadySize", "+ack")
}

func TestDirectCallersFollowAPromotion(t *testing.T) {
	w := newWorld(t).toNarrowedHandover().goes("HandsOver").happens(recognised).
		goes("HandoverReleases", "HandoverAwaitsWorkload").happens(rolled)
	w.goes("Promoted", "Stable").ends(v1alpha1.PhaseStable, candidateRevision, v1alpha1.OutcomePromoted)
}

func TestARollbackOfRequestsThatGoByTheNarrowedServiceDrains(t *testing.T) {
	newWorld(t).toNarrowedHandover().goes("+fail", "TriggerFired", "RollbackNarrowsService", "RollbackAtZero", "RollbackDrains", "+5s",
		"RollbackRemovesCanary", "RollbackWidensService", "RollbackDone").
		ends(v1alpha1.PhaseRolledBack, stableRevision, v1alpha1.OutcomeRolledBack)
}

func TestAnAutoscalerComesBetweenLockAndOwner(t *testing.T) {
	spread := func(in *plan.Input) {
		in.Workload.Replicas = 8
		in.Canary.Set = set(canarySet, candidateRevision, canaryHash, 2)
		active(stable(8), in.Canary.Set)(in)
	}
	newWorld(t).toHandover().happens(spread).
		goes("HandoverSizeChanged", "HandoverSizeChanged", "HandoverAwaitsRoute", "+ack", "HandoverAwaitsWorkload").happens(rolled).
		goes("Promoted").ends(v1alpha1.PhaseStable, candidateRevision, v1alpha1.OutcomePromoted)
	newWorld(t).happens(recreate).toHandover().happens(spread).
		goes("HandoverSizeChanged", "HandoverAwaitsRecognition").happens(recognised).
		goes("HandoverReleases", "+ack", "HandoverAwaitsWorkload").happens(rolled).
		goes("Promoted").ends(v1alpha1.PhaseStable, candidateRevision, v1alpha1.OutcomePromoted)
}
