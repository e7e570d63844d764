package sim

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/test/sim/invariants"
)

// poll is how often the judge asks its source; samples need as long again after
// a change of the weight before they say anything.
const poll = 5 * time.Second

// lease is how long another controller takes to go on where one crashed.
const lease = 20 * time.Second

// reconcile is the controller's loop: observe, decide, record, act.
func (w *World) reconcile() {
	w.looks++
	w.lookedAt, w.crashed = w.at, false
	if w.gone {
		w.wake = w.at.Add(limitTime)
		return
	}
	workload, canary, route := w.look(0), w.look(1), w.look(2)
	in := w.observe(workload, canary, route)
	d := plan.Decide(in)
	for _, violation := range invariants.Check(in, d) {
		w.broken("%s", violation)
	}
	w.wake = w.at.Add(time.Minute)
	if d.Recheck > 0 {
		w.wake = w.at.Add(max(d.Recheck, time.Millisecond))
	}
	news := w.record(in, d)
	if !news && d.Effect == nil {
		return
	}
	w.writes++
	crash := w.fault.CrashAt == w.writes
	if !crash || w.fault.AfterEffect {
		w.act(d.Effect, workload, canary, route)
	}
	if crash {
		w.crashed = true
		w.wake = w.at.Add(lease)
		return
	}
	if !w.fault.LostEvents {
		w.wake = w.at.Add(10 * time.Millisecond)
	}
}

// look is a part of the cluster as the controller's cache has it: never older
// than what it saw before, as a watch delivers in order.
func (w *World) look(part int) *cluster {
	for i := len(w.seen) - 1; i > 0; i-- {
		if w.at.Sub(w.seen[i].at) >= w.lags[part] {
			return w.seen[i]
		}
	}
	return w.seen[0]
}

func (w *World) observe(workload, canary, route *cluster) plan.Input {
	in := plan.Input{
		Now: w.at, ReleaseTimeout: 2 * time.Minute, Watchdog: 10 * time.Second, Name: "shop",
		Spec: *w.spec.DeepCopy(), Status: *w.status.DeepCopy(), FinalizerMissing: !w.finalizer,
		Workload: workload.workload(&w.status), Canary: canary.canary(&w.status), Route: route.route(),
		Run:    plan.Run{Next: w.status.Runs},
		Guard:  plan.Guard{Proven: true, Reason: v1alpha1.ReasonGuardProven},
		Action: w.action, Deleting: w.deleting,
	}
	for _, run := range w.runs {
		in.Run.Exists = in.Run.Exists || run == w.status.Run
	}
	if in.Run.Exists {
		in.Verdict = w.verdict()
	}
	return in
}

func (w *World) onTrial() bool {
	switch w.status.Phase {
	case v1alpha1.PhaseStepping, v1alpha1.PhasePromoting, v1alpha1.PhaseBaking:
		return true
	default:
		return false
	}
}

// verdict is what the analysis loop has written by now, summed up as the Rollout
// loop does.
func (w *World) verdict() plan.Verdict {
	from := w.stageStart()
	at := metav1.NewMicroTime(w.at.Truncate(poll))
	samples := metav1.NewMicroTime(from)
	t := &v1alpha1.TriggerAnalysis{Outcome: v1alpha1.VerdictPass, Reason: "Healthy", EvaluatedAt: &at, SamplesFrom: &samples}
	switch {
	case w.failing == w.status.Run:
		t.Outcome, t.Reason, t.Message = v1alpha1.VerdictFail, "BurnRate", "5.0 % errors"
	case w.at.Before(w.blindUntil):
		t.Outcome, t.Reason, t.Message = v1alpha1.VerdictError, "Unreachable", "connection refused"
	case at.Sub(from) < 2*poll:
		t.Outcome, t.Reason, t.Message = v1alpha1.VerdictInconclusive, "TooFewSamples", "100 of 200 requests"
	}
	armed := []plan.Armed{{Guardrail: "shop", Trigger: "errors", SilentAfter: 6 * poll, Verdict: t}}
	return plan.Sum(armed, from, w.at)
}

func (w *World) stageStart() time.Time {
	s := &w.status
	switch {
	case s.Promotion != nil && s.Promotion.ShiftedAt != nil:
		return s.Promotion.ShiftedAt.Time
	case s.Promotion != nil && s.Promotion.FullAt != nil:
		return s.Promotion.FullAt.Time
	case s.Step != nil && s.Step.AcknowledgedAt != nil:
		return s.Step.AcknowledgedAt.Time
	default:
		return w.at
	}
}

// record takes the status as the API server does, through its phase graph, and
// reports whether the decision is a new one.
func (w *World) record(in plan.Input, d plan.Decision) bool {
	w.last = d
	if !d.Status.Phase.MayFollow(w.status.Phase) {
		w.broken("the API server refuses phase %s after %s", d.Status.Phase, w.status.Phase)
	}
	last, next := w.status.Decision, d.Status
	if h := next.LastHandledAction; h != nil && w.action != nil && h.Token == w.action.Token {
		w.action = nil
	}
	if d.Repeats || last != nil && last.Rule == d.Rule && last.Key == d.Key && next.Run == w.status.Run {
		w.status = next
		return false
	}
	next.Decision = &v1alpha1.DecisionSummary{Rule: d.Rule, Key: d.Key, Why: d.Why, At: metav1.NewTime(w.at)}
	if last != nil {
		next.Decision.Seq = last.Seq + 1
	}
	w.status = next
	w.log = append(w.log, w.line(in, d))
	return true
}

// line is a decision in the golden log: virtual time, phase, share, rule, why.
func (w *World) line(in plan.Input, d plan.Decision) string {
	weight := "-"
	if in.Route.Split != nil {
		weight = fmt.Sprint(*in.Route.Split)
	}
	if d.Weight != nil {
		weight = fmt.Sprintf("%d>%d", d.Weight.From, d.Weight.To)
	}
	return fmt.Sprintf("%8.2fs  %-11s  %5s  %-24s  %s", w.at.Sub(w.start).Seconds(), d.Status.Phase, weight, d.Rule, d.Why)
}

// act carries out an effect on the cluster as it is now. What was decided on an
// older version of the object it writes is refused.
func (w *World) act(effect plan.Effect, workload, canary, route *cluster) {
	switch e := effect.(type) {
	case plan.AddFinalizer:
		w.finalizer = true
	case plan.RemoveFinalizer:
		w.gone, w.finalizer = true, false
		// The garbage collector takes what the Rollout controlled.
		w.removeCanary()
		w.stableHash, w.canarySelects = "", ""
	case plan.CreateRun:
		w.runs = append(w.runs, w.status.Run)
	case plan.PointServices:
		w.stableHash, w.canarySelects = e.StableHash, e.CanaryRevision
		w.selectsAt = w.at.Add(w.delay(0.01, 2))
	case plan.SetSplit:
		if route.routeVersion == w.routeVersion {
			weight := e.Weight
			w.setRoute(&weight)
		}
	case plan.ReleaseRoute:
		if route.routeVersion == w.routeVersion {
			w.setRoute(nil)
		}
	case plan.ScaleCanary:
		if canary.canaryVersion == w.canaryVersion {
			w.canaryRevision, w.canaryReplicas = w.status.Candidate.Revision, e.Replicas
			w.canaryVersion++
		}
	case plan.DeleteCanary:
		w.judgeRemoval()
		w.removeCanary()
	case plan.Unpause:
		if workload.deploymentVersion == w.deploymentVersion {
			w.writeDeployment(w.declared)
		}
	case plan.RestoreTemplate:
		if workload.deploymentVersion == w.deploymentVersion {
			w.writeDeployment(e.Revision)
		}
	}
}

func (w *World) writeDeployment(revision string) {
	w.declared, w.paused = revision, false
	w.deploymentVersion++
	w.rollsAt = w.at.Add(w.delay(0.05, 1))
}
