package plan_test

import (
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// TestNothingIsBakedAtZero: one minute into a bake of five the Deployment is scaled to 0
// for three hours, as an autoscaler does at night. When it comes back its pods and the
// canary's get ready together. Nobody used the candidate meanwhile, so four minutes of
// the bake are left.
func TestNothingIsBakedAtZero(t *testing.T) {
	for name, how := range map[string]change{"by pods": byPods, "by routes": func(*plan.Input) {}} {
		t.Run(name, func(t *testing.T) {
			in := given(baking, how)
			in.Status.Promotion.FullAt = ptr(ago(time.Minute))
			look := func(after time.Duration, changes ...change) plan.Result {
				in.Now = in.Now.Add(after)
				for _, c := range changes {
					c(&in)
				}
				d := plan.Transition(in)
				in.Status = d.Status
				t.Logf("%s %s: %s (%s)", in.Now.Format("15:04:05"), d.Rule, d.Why, d.Does())
				return d
			}
			look(0, scaled(0), active())
			look(time.Second, canaryPods(0), endpoints)
			look(3*time.Hour, scaled(replicas), active(unready(stable(replicas))), endpoints)
			for n := int32(1); n <= replicas; n++ {
				d := look(2*time.Second, active(stable(replicas)), canaryPods(n), endpoints)
				if _, over := plan.EffectOf[plan.HandOver](d.Decision); over || d.Status.Phase == v1alpha1.PhaseHandingOver {
					t.Fatalf("the bake is over after one minute of requests and three hours at 0: %s: %s", d.Rule, d.Why)
				}
			}
		})
	}
}

// TestAHandoverThatWasAtZeroBakesAgain: just before the owner changes the Deployment is
// scaled to 0 for an hour. The run is not cancelled, and the new pods, which nobody has
// judged, are not handed over before a bake of their own.
func TestAHandoverThatWasAtZeroBakesAgain(t *testing.T) {
	for name, how := range map[string]change{
		"by routes": func(*plan.Input) {}, "by pods": byPods, "by the narrowed Service": all(narrowed(canaryHash), noSplit), "locked": all(locked, handedAt(&justNow)),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, handingOver, how, scaled(0), active())
			var bakes, hands time.Time
			for first := w.in.Now; hands.IsZero(); w.in.Now = w.in.Now.Add(5 * time.Second) {
				d := plan.Decide(w.in)
				t.Logf("%s %s: %s (%s)", w.in.Now.Format("15:04:05"), d.Rule, d.Why, d.Does())
				switch _, over := plan.EffectOf[plan.HandOver](d); {
				case d.Status.Phase == v1alpha1.PhaseRollingBack:
					t.Fatalf("cancelled by %s", d.Rule)
				case w.in.Now.Sub(first) > 2*time.Hour:
					t.Fatal("not handed over after two hours")
				case d.Rule == "BakeStarts":
					bakes = w.in.Now
				case over:
					hands = w.in.Now
				}
				w.decides(0, d.Rule)
				w.in.Route.Acknowledged = true
				if w.in.Workload.Replicas == 0 && w.in.Now.Sub(first) > time.Hour {
					w.happens(scaled(replicas), active(stable(replicas)))
				}
			}
			if bakes.IsZero() || hands.Sub(bakes) < 5*time.Minute {
				t.Errorf("baked from %s, handed over at %s", bakes, hands)
			}
		})
	}
}

// TestTheTimeAtZeroIsNoReasonToReject: onDeadline Rollback, a step is a minute old when
// the Deployment is scaled to 0 for three hours. Nothing was wrong with the candidate.
func TestTheTimeAtZeroIsNoReasonToReject(t *testing.T) {
	for name, how := range map[string]change{"by pods": byPods, "by routes": func(*plan.Input) {}} {
		t.Run(name, func(t *testing.T) {
			in := given(stepAt(0), how)
			in.Spec.OnDeadline = v1alpha1.Rollback
			in.Status.Step.EnteredAt, in.Status.Step.AcknowledgedAt = ago(time.Minute), ptr(ago(30*time.Second))
			atZero(&in)
			in.Canary.Set = set(canarySet, candidateRevision, canaryHash, 0)
			endpoints(&in)
			d := plan.Transition(in)
			in.Status, in.Now = d.Status, in.Now.Add(3*time.Hour)
			for _, c := range []change{scaled(replicas), active(unready(stable(replicas))), endpoints} {
				c(&in)
			}
			if d = plan.Transition(in); d.Status.Phase == v1alpha1.PhaseRollingBack {
				t.Errorf("%s (%s): %s", d.Rule, d.Status.Rollback.Outcome, d.Why)
			}
		})
	}
}

// TestAClockThatWasAheadHidesNoWait: the last decision was recorded by a process whose
// clock was ten minutes ahead. A wait is still shown after five seconds.
func TestAClockThatWasAheadHidesNoWait(t *testing.T) {
	in := waiting(-10 * time.Minute)
	first := in.Now
	for in.Now.Sub(first) < time.Minute {
		in.Now = in.Now.Add(2 * time.Second)
		if r := plan.Transition(in); r.Status.Message != in.Status.Message || r.News {
			return
		}
	}
	t.Errorf("after %s the wait is not shown: %q", in.Now.Sub(first), in.Status.Message)
}

// A run is paused for hours; meanwhile the route is deleted. Whoever restores the route
// and lifts the pause has lost the candidate.
func TestAPauseBesideAnotherObstacleDoesNotCount(t *testing.T) {
	in := given(stepAt(0), acknowledgedAt(nil), canaryReady(0), split(0), specPaused, rollBackAtDeadline)
	in.Status.Step.EnteredAt = ago(time.Minute)
	look := func(after time.Duration) plan.Result {
		in.Now = in.Now.Add(after)
		d := plan.Transition(in)
		in.Status = d.Status
		t.Logf("%s %s: %s", in.Now.Format("15:04:05"), d.Rule, d.Why)
		return d
	}
	look(0)
	route := in.Route
	routeGone(&in)
	look(3 * time.Hour)
	in.Route, in.Spec.Paused = route, false
	if d := look(10 * time.Second); d.Status.Phase == v1alpha1.PhaseRollingBack {
		t.Errorf("%s", d.Rule)
	}
}

// An autoscaler takes an idle Deployment to 0 every half hour. Its candidate never gets
// ready. Active time adds up to far more than stepDeadline (1 h).
func TestADeadlineComesThoughItIsInterrupted(t *testing.T) {
	in := given(stepAt(0), acknowledgedAt(nil), canaryReady(0), split(0), rollBackAtDeadline)
	in.Status.Step.EnteredAt = ago(time.Minute)
	active := time.Duration(0)
	for range 20 {
		atZero(&in)
		in.Canary.Set = set(canarySet, candidateRevision, canaryHash, 0)
		endpoints(&in)
		in.Status = plan.Transition(in).Status
		in.Now = in.Now.Add(time.Minute)
		scaled(replicas)(&in)
		in.Workload.Active = nil
		in.Workload.Stable = stable(replicas)
		in.Workload.Active = []plan.Set{stable(replicas)}
		in.Canary.Set = unready(set(canarySet, candidateRevision, canaryHash, 1))
		endpoints(&in)
		for range 30 {
			in.Now = in.Now.Add(time.Minute)
			active += time.Minute
			d := plan.Transition(in)
			in.Status = d.Status
			if d.Status.Phase == v1alpha1.PhaseRollingBack || d.Progress == plan.Stalled {
				return
			}
		}
	}
	t.Errorf("unready for %s of running time, stepDeadline is %s: neither rolled back nor stalled: %s", active, in.Spec.StepDeadline.Duration, in.Status.Message)
}

// A night at 0 replicas with a short history: the Deployment controller has cleaned
// stable's ReplicaSet up. Belay makes it again first (RaisesStable), and the time at 0
// must not count all the same.
func TestTheTimeAtZeroWithAShortHistory(t *testing.T) {
	for name, how := range map[string]change{"by pods": byPods, "by routes": func(*plan.Input) {}} {
		t.Run(name, func(t *testing.T) {
			in := given(stepAt(0), how, rollBackAtDeadline)
			in.Status.Step.EnteredAt, in.Status.Step.AcknowledgedAt = ago(time.Minute), ptr(ago(30*time.Second))
			look := func(after time.Duration) plan.Result {
				in.Now = in.Now.Add(after)
				d := plan.Transition(in)
				in.Status = d.Status
				t.Logf("%s %s: %s (%s)", in.Now.Format("15:04:05"), d.Rule, d.Why, d.Does())
				return d
			}
			atZero(&in)
			in.Workload.Stable = plan.Set{}
			look(0)
			in.Canary.Set = set(canarySet, candidateRevision, canaryHash, 0)
			endpoints(&in)
			look(time.Second)
			scaled(replicas)(&in)
			look(3 * time.Hour)
			active(unready(stable(replicas)))(&in)
			if d := look(time.Second); d.Status.Phase == v1alpha1.PhaseRollingBack {
				t.Errorf("%s", d.Rule)
			}
		})
	}
}
