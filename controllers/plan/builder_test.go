package plan_test

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// The cast of every case: four replicas, two steps, three revisions.
const (
	stableRevision = "aaaaaaaaaa"
	triedRevision  = "bbbbbbbbbb"
	newerRevision  = "cccccccccc"
	stableHash     = "hash-a"
	triedHash      = "hash-b"
	replicas       = 4
)

var (
	now      = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	justNow  = metav1.NewTime(now.Add(-time.Second))
	recently = metav1.NewTime(now.Add(-10 * time.Minute))
	longAgo  = metav1.NewTime(now.Add(-5 * time.Hour))
)

func ptr[T any](v T) *T { return &v }

func minutes(n int) metav1.Duration { return metav1.Duration{Duration: time.Duration(n) * time.Minute} }

func revision(name, hash string) v1alpha1.Revision {
	return v1alpha1.Revision{Revision: name, Image: "shop:" + name[:1], PodTemplateHash: hash}
}

type change func(*plan.Input)

// given is a Rollout that serves its stable version, with the changes applied.
func given(changes ...change) plan.Input {
	in := plan.Input{
		Now: now, ReleaseTimeout: 2 * time.Minute, Watchdog: 10 * time.Second, Name: "shop",
		Spec: v1alpha1.RolloutSpec{
			WorkloadRef: v1alpha1.WorkloadRef{Name: "shop"},
			Traffic:     v1alpha1.Traffic{Service: "shop", Drain: metav1.Duration{Duration: 5 * time.Second}},
			Steps:       []v1alpha1.Step{{Name: "smoke", Weight: 10, Hold: minutes(1)}, {Weight: 50, Hold: minutes(1)}},
			Promotion:   v1alpha1.Promotion{Bake: minutes(5)}, StepDeadline: minutes(60),
			OnDeadline: v1alpha1.Hold, Mode: v1alpha1.ModeEnforce, HistoryLimit: 3,
		},
		Status: v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStable, Stable: ptr(revision(stableRevision, stableHash))},
		Workload: plan.Workload{
			Found: true, Declared: revision(stableRevision, ""), Active: ptr(revision(stableRevision, stableHash)),
			Replicas: replicas, Settled: true, Ready: replicas, StableReady: replicas,
			DeclaredHash: stableHash, DeclaredReady: replicas,
		},
		Route: plan.Route{Acknowledged: true, StableHash: stableHash, StableEndpoints: replicas},
		Run:   plan.Run{Exists: true},
		Guard: plan.Guard{Proven: true, Reason: v1alpha1.ReasonGuardProven},
	}
	for _, c := range changes {
		c(&in)
	}
	return in
}

// The phases, each as it looks when all goes well.

func candidate(in *plan.Input) {
	in.Status.Candidate = ptr(revision(triedRevision, ""))
	declares(triedRevision)(in)
}

func gating(in *plan.Input) {
	candidate(in)
	in.Status.Phase = v1alpha1.PhaseGating
}

func onTrial(phase v1alpha1.Phase) change {
	return func(in *plan.Input) {
		candidate(in)
		in.Status.Phase, in.Status.Run, in.Status.Runs, in.Status.Epoch = phase, "shop-bbbbbbbbbb-1", 1, 1
		in.Status.RunStartedAt = ptr(recently)
		in.Route.CanaryRevision = triedRevision
		in.Verdict = plan.Verdict{Outcome: v1alpha1.VerdictPass, Passing: 2, Total: 2}
	}
}

// stepAt has step index acknowledged and its hold over.
func stepAt(index int32) change {
	return func(in *plan.Input) {
		onTrial(v1alpha1.PhaseStepping)(in)
		in.Status.Step = &v1alpha1.StepStatus{Index: index, EnteredAt: recently, AcknowledgedAt: ptr(recently)}
		weight := in.Spec.Steps[index].Weight
		canaryPods(max(1, weight*replicas/100))(in)
		split(weight)(in)
	}
}

func promoting(in *plan.Input) {
	stepAt(1)(in)
	in.Status.Phase = v1alpha1.PhasePromoting
	in.Status.Promotion = &v1alpha1.PromotionStatus{StartedAt: recently, FullAt: ptr(recently)}
	canaryPods(replicas)(in)
	split(100)(in)
}

// rolling is the Deployment replacing its pods, rolled when it has.
func rolling(in *plan.Input) {
	in.Workload.Paused, in.Workload.Settled = false, false
	in.Workload.StableReady, in.Workload.DeclaredReady, in.Workload.DeclaredHash = 2, 2, triedHash
}

func rolled(in *plan.Input) {
	rolling(in)
	in.Workload.Settled, in.Workload.StableReady, in.Workload.DeclaredReady, in.Workload.Ready = true, 0, replicas, replicas
	in.Workload.CandidateHash = triedHash
}

// shifted has the pair's stable side selecting the Deployment's new pods.
func shifted(in *plan.Input) {
	in.Route.StableHash, in.Route.StableEndpoints = triedHash, replicas
}

func baking(in *plan.Input) {
	promoting(in)
	rolled(in)
	shifted(in)
	split(0)(in)
	in.Status.Phase = v1alpha1.PhaseBaking
	in.Status.Promotion.ShiftedAt = ptr(recently)
}

// rollingBack takes step 2's candidate out; at is when weight 0 was acknowledged.
func rollingBack(at *metav1.Time) change {
	return func(in *plan.Input) {
		stepAt(1)(in)
		split(0)(in)
		in.Status.Phase = v1alpha1.PhaseRollingBack
		in.Status.Rollback = &v1alpha1.RollbackStatus{
			Outcome: v1alpha1.OutcomeRolledBack, Trigger: "shop/errors", Message: "5 % errors", StartedAt: recently, ZeroAt: at,
		}
	}
}

func restoring(in *plan.Input) {
	in.Status.Promotion = &v1alpha1.PromotionStatus{StartedAt: recently, FullAt: ptr(recently)}
	in.Status.Rollback.Restore = true
}

func rollbackOutcome(o v1alpha1.Outcome) change {
	return func(in *plan.Input) { in.Status.Rollback.Outcome = o }
}

func rolledBack(in *plan.Input) {
	candidate(in)
	in.Status.Phase, in.Status.Run = v1alpha1.PhaseRolledBack, "shop-bbbbbbbbbb-1"
	rejected(triedRevision)(in)
}

// What may differ.

func declares(name string) change {
	return func(in *plan.Input) {
		in.Workload.Declared = revision(name, "")
		if name == stableRevision {
			in.Workload.DeclaredHash, in.Workload.Settled = stableHash, true
			return
		}
		in.Workload.DeclaredHash, in.Workload.DeclaredReady = "", 0
		in.Workload.Paused, in.Workload.Settled = true, false
	}
}

func paused(v bool) change  { return func(in *plan.Input) { in.Workload.Paused = v } }
func settled(v bool) change { return func(in *plan.Input) { in.Workload.Settled = v } }

func stableReady(n int32) change {
	return func(in *plan.Input) {
		in.Workload.StableReady, in.Workload.Ready, in.Route.StableEndpoints = n, n+in.Workload.DeclaredReady, n
	}
}

func stableEndpoints(n int32) change { return func(in *plan.Input) { in.Route.StableEndpoints = n } }

func canaryPods(n int32) change {
	return func(in *plan.Input) {
		in.Canary = plan.Canary{Exists: true, Desired: n, Ready: n, Pods: n}
		in.Route.CanaryEndpoints = n
	}
}

func canaryReady(n int32) change {
	return func(in *plan.Input) { in.Canary.Ready, in.Route.CanaryEndpoints = n, n }
}

func noCanary(in *plan.Input) { in.Canary, in.Route.CanaryEndpoints = plan.Canary{}, 0 }

func terminating(in *plan.Input) {
	noCanary(in)
	in.Canary.Pods = 2
}

func split(weight int32) change     { return func(in *plan.Input) { in.Route.Split = &weight } }
func noSplit(in *plan.Input)        { in.Route.Split = nil }
func unacknowledged(in *plan.Input) { in.Route.Acknowledged = false }

func services(hash, canary string) change {
	return func(in *plan.Input) { in.Route.StableHash, in.Route.CanaryRevision = hash, canary }
}

func routeGone(in *plan.Input) {
	in.Route = plan.Route{Acknowledged: true, Fault: plan.Blocked{Reason: v1alpha1.ReasonRouteNotFound, Message: "no such route"}}
}

func preflight(o v1alpha1.VerdictOutcome) change {
	return func(in *plan.Input) {
		in.Preflight = plan.Preflight{Required: true, FreshFor: 2 * time.Minute}
		if o != "" {
			in.Status.Preflight = &v1alpha1.PreflightStatus{Revision: triedRevision, Outcome: o, Reason: "Because", Message: "5 % of the budget is left", EvaluatedAt: justNow}
		}
	}
}

func later(d time.Duration) change { return func(in *plan.Input) { in.Now = in.Now.Add(d) } }

func serviceGone(in *plan.Input) {
	in.Route.Fault = plan.Blocked{Reason: v1alpha1.ReasonServiceNotFound, Message: "no such Service"}
	in.Route.ServiceMissing = true
}

func verdict(o v1alpha1.VerdictOutcome) change {
	return func(in *plan.Input) {
		in.Verdict = plan.Verdict{Outcome: o, Reason: "Because", Trigger: "shop/errors", Message: "5 % errors", Passing: 1, Total: 2}
	}
}

func blind(in *plan.Input) {
	verdict(v1alpha1.VerdictError)(in)
	in.Verdict.BlindRollback = true
}

func deleted(ago time.Duration) change {
	return func(in *plan.Input) { in.Deleting = ptr(now.Add(-ago)) }
}

func action(a v1alpha1.Action, of string) change {
	return func(in *plan.Input) {
		in.Action = &plan.Action{Action: a, Token: "t1", Revision: of, Reason: "because", By: "ann"}
	}
}

func rejected(names ...string) change {
	return func(in *plan.Input) {
		for _, name := range names {
			in.Status.Rejected = append(in.Status.Rejected, v1alpha1.RejectedRevision{Revision: name, Message: "5 % errors", At: longAgo})
		}
	}
}

func unproven(in *plan.Input) {
	in.Guard = plan.Guard{Reason: v1alpha1.ReasonGuardMissing, Message: "no guard"}
}

func observeOnly(in *plan.Input) { in.Spec.Mode = v1alpha1.ModeObserve }

func entered(at metav1.Time) change {
	return func(in *plan.Input) { in.Status.Step.EnteredAt = at }
}

func acknowledgedAt(at *metav1.Time) change {
	return func(in *plan.Input) { in.Status.Step.AcknowledgedAt = at }
}

func fullAt(at *metav1.Time) change {
	return func(in *plan.Input) { in.Status.Promotion.FullAt = at }
}

func shiftedAt(at *metav1.Time) change {
	return func(in *plan.Input) { in.Status.Promotion.ShiftedAt = at }
}

func rollBackAtDeadline(in *plan.Input) { in.Spec.OnDeadline = v1alpha1.Rollback }
