package plan_test

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// What may differ from a phase that goes well.

// declares has the guard hold what is not stable.
func declares(name string) change {
	return func(in *plan.Input) {
		in.Workload.Declared, in.Workload.Paused = revision(name), name != stableRevision
		if in.Workload.Marks.Rejected != name {
			in.Workload.Marks.Rejected = ""
		}
	}
}

func paused(v bool) change { return func(in *plan.Input) { in.Workload.Paused = v } }

func scaled(n int32) change { return func(in *plan.Input) { in.Workload.Replicas = n } }

// atZero is a Deployment that wants and runs nothing.
func atZero(in *plan.Input) {
	scaled(0)(in)
	active()(in)
}

func stableReady(n int32) change {
	return func(in *plan.Input) {
		in.Workload.Stable.Ready, in.Workload.Stable.Available = n, n
		for i := range in.Workload.Active {
			if in.Workload.Active[i].Revision == stableRevision {
				in.Workload.Active[i] = in.Workload.Stable
			}
		}
		endpoints(in)
	}
}

func stableSized(n int32) change     { return func(in *plan.Input) { in.Workload.Stable.Desired = n } }
func stableEndpoints(n int32) change { return func(in *plan.Input) { in.Route.StableEndpoints = n } }
func canaryEndpoints(n int32) change { return func(in *plan.Input) { in.Route.CanaryEndpoints = n } }

func serviceEndpoints(n int32) change {
	return func(in *plan.Input) { in.Route.ServiceEndpoints = n }
}

func canaryPods(n int32) change {
	return func(in *plan.Input) {
		in.Canary = plan.Canary{Set: set(canarySet, candidateRevision, canaryHash, n), Exists: true}
		endpoints(in)
	}
}

func canaryReady(n int32) change {
	return func(in *plan.Input) {
		in.Canary.Ready, in.Canary.Available = n, n
		endpoints(in)
	}
}

func noCanary(in *plan.Input) {
	in.Canary = plan.Canary{}
	endpoints(in)
}

func terminating(in *plan.Input) {
	noCanary(in)
	in.Canary.Left = 2
}

func leftoverSet(in *plan.Input) { in.Canary.Leftover = "shop-former" }

func split(weight int32) change { return func(in *plan.Input) { in.Route.Split = &weight } }

func mixed(weight int32) change {
	return func(in *plan.Input) { in.Route.Split, in.Route.Mixed = &weight, true }
}

func header(name string) *v1alpha1.StepMatch {
	return &v1alpha1.StepMatch{Headers: []v1alpha1.HeaderMatch{{Name: name, Value: "1"}}}
}

// testersReach have rules on the routes.
func testersReach(name string) change {
	return func(in *plan.Input) {
		if in.Route.Split != nil {
			in.Route.Testers = header(name)
		}
	}
}

// stepsAsk has every step ask for these testers, where there are routes for it.
func stepsAsk(name string) change {
	return func(in *plan.Input) {
		if in.Spec.Traffic == nil {
			return
		}
		in.Spec.Steps = slices.Clone(in.Spec.Steps)
		for i := range in.Spec.Steps {
			in.Spec.Steps[i].Match = header(name)
		}
	}
}

// mirrors have a filter on the routes.
func mirrors(percent int32) change {
	return func(in *plan.Input) {
		if in.Route.Split != nil {
			in.Route.Mirror = percent
		}
	}
}

// stepsMirror has every step ask for copies, where there are routes for it.
func stepsMirror(percent int32) change {
	return func(in *plan.Input) {
		if in.Spec.Traffic == nil {
			return
		}
		in.Spec.Steps = slices.Clone(in.Spec.Steps)
		for i := range in.Spec.Steps {
			in.Spec.Steps[i].Weight, in.Spec.Steps[i].Mirror = 0, percent
		}
	}
}

// alone has testers alone in the first step.
func alone(in *plan.Input) { in.Spec.Steps[0].Weight = 0 }

// afterTesters has the first step ask for these testers, whatever the others ask for.
func afterTesters(name string) change {
	return func(in *plan.Input) {
		in.Spec.Steps = slices.Clone(in.Spec.Steps)
		in.Spec.Steps[0].Match = header(name)
	}
}

func noSplit(in *plan.Input)        { in.Route.Split, in.Route.Testers, in.Route.Mirror = nil, nil, 0 }
func unacknowledged(in *plan.Input) { in.Route.Acknowledged = false }
func pairOff(in *plan.Input)        { in.Route.PairCurrent = false }

// narrowed is directCallers Stable in force.
func narrowed(hash string) change {
	return func(in *plan.Input) {
		in.Spec.Traffic.DirectCallers = v1alpha1.DirectCallersStable
		in.Route.Narrowed, in.Workload.Marks.Narrowed = hash, "shop"
		in.Status.DirectCallers = &v1alpha1.DirectCallersStatus{Mode: v1alpha1.DirectCallersStable}
		endpoints(in)
	}
}

func anyCallers(in *plan.Input) { in.Spec.Traffic.DirectCallers = v1alpha1.DirectCallersAny }

func routeGone(in *plan.Input) {
	in.Route = plan.Route{Acknowledged: true, Fault: plan.Fault{Reason: v1alpha1.ReasonRouteNotFound, Message: "no such route"}}
}

func serviceGone(in *plan.Input) {
	in.Route.Fault = plan.Fault{Reason: v1alpha1.ReasonServiceNotFound, Message: "no such Service"}
	in.Route.ServiceMissing = true
	in.Route.ServiceEndpoints, in.Route.CanaryShare = 0, 0
}

// portRenamed is a Service whose port the stable pods do not have.
func portRenamed(in *plan.Input) {
	in.Route.ServiceEndpoints, in.Route.CanaryShare = 0, 0
	in.Route.NoPort = "8 ready pods have no port \"web\""
}

func later(d time.Duration) change { return func(in *plan.Input) { in.Now = in.Now.Add(d) } }

func verdict(o v1alpha1.VerdictOutcome) change {
	return func(in *plan.Input) {
		in.Verdict = plan.Verdict{Outcome: o, Reason: "Because", Trigger: "shop/errors", Message: "5 % errors", Passing: 1, Total: 2,
			Observed: in.Verdict.Observed, WouldRollBack: in.Verdict.WouldRollBack}
	}
}

func blind(in *plan.Input) {
	verdict(v1alpha1.VerdictError)(in)
	in.Verdict.BlindRollback = true
}

func preflight(o v1alpha1.VerdictOutcome) change {
	return func(in *plan.Input) {
		if o != "" {
			in.Status.Preflight = &v1alpha1.PreflightStatus{Revision: candidateRevision, Outcome: o, Reason: "Because", Message: "5 % of the budget is left", EvaluatedAt: justNow}
		}
		gate(plan.PreflightGate(in.Status, in.Now))(in)
	}
}

func deleted(ago time.Duration) change {
	return func(in *plan.Input) { in.Deleting = ptr(now.Add(-ago)) }
}

func action(a v1alpha1.Action, of string) change {
	return func(in *plan.Input) {
		in.Action = &plan.Action{Action: a, Token: "t1", Revision: of, Reason: "because", By: "ann"}
	}
}

// stepAction is a command for the candidate in one step, counted from 1.
func stepAction(a v1alpha1.Action, step string) change {
	return func(in *plan.Input) {
		action(a, candidateRevision)(in)
		in.Action.Step = step
	}
}

// approval has a step need one.
func approval(index int32) change {
	return func(in *plan.Input) {
		in.Spec.Steps = slices.Clone(in.Spec.Steps)
		in.Spec.Steps[index].Approval = v1alpha1.ApprovalRequired
	}
}

// personApproved is the command Approve for the step in progress, carried out ten minutes ago.
func personApproved(in *plan.Input) {
	if in.Status.Step != nil {
		in.Status.Step.Approval = &v1alpha1.ApprovalStatus{By: "bob", Reason: "looks good", At: recently}
	}
}

// awaitsApproval has the step wait for its approval since then.
func awaitsApproval(since metav1.Time) change {
	return func(in *plan.Input) {
		if in.Status.Step != nil {
			in.Status.Step.AwaitsApprovalSince, in.Status.Step.PassedAt = &since, &since
		}
	}
}

func rejected(names ...string) change {
	return func(in *plan.Input) {
		for _, name := range names {
			in.Status.Rejected = append(in.Status.Rejected, v1alpha1.RejectedRevision{Revision: name, Message: "5 % errors", At: longAgo, Run: "shop-x-7"})
		}
	}
}

// previously stable versions, newest first.
func previously(names ...string) change {
	return func(in *plan.Input) {
		for _, name := range names {
			in.Status.Previous = append(in.Status.Previous, v1alpha1.PreviousRevision{Revision: name, Image: image(name), Until: longAgo})
		}
	}
}

func fresh(in *plan.Input)      { in.Status = v1alpha1.RolloutStatus{} }
func specPaused(in *plan.Input) { in.Spec.Paused = true }

// personPaused is the command Pause, carried out ten minutes ago.
func personPaused(in *plan.Input) {
	in.Status.Pause = &v1alpha1.PauseStatus{Revision: candidateRevision, By: "ann", Reason: "look at it", At: recently}
}

// pauseRecorded is the decision that the command Pause was, with nothing after it.
func pauseRecorded(in *plan.Input) {
	in.Status.Decision = &v1alpha1.DecisionSummary{Seq: 3, Rule: "PauseRequested", Key: "t1", At: justNow}
	in.Status.LastHandledAction = &v1alpha1.HandledAction{Action: v1alpha1.ActionPause, Token: "t1", By: "ann", At: justNow}
}

// personPromoted is the command Promote, carried out in the first step.
func personPromoted(in *plan.Input) {
	if in.Status.Promotion != nil {
		in.Status.Promotion.Actor, in.Status.Promotion.Message = "ann", "ann ended its steps at step 1 of 2 (smoke), weight 10 %"
	}
}
func unproven(in *plan.Input) {
	gate(plan.Gate{Name: plan.GateGuard, Outcome: plan.Closed, Reason: v1alpha1.ReasonGuardMissing, Message: "no guard"})(in)
}
func observeOnly(in *plan.Input) { in.Spec.Mode = v1alpha1.ModeObserve }

// observedFails has a trigger in mode Observe that fires, beside those that enforce.
func observedFails(in *plan.Input) {
	in.Verdict.Observed, in.Verdict.WouldRollBack = 1, &plan.ObservedVerdict{Trigger: "shop/slow", Message: "9 % slow"}
}

// noted are triggers in mode Observe that the run has noted.
func noted(triggers ...string) change {
	return func(in *plan.Input) {
		for _, name := range triggers {
			in.Status.WouldRollBack = append(in.Status.WouldRollBack, v1alpha1.ObservedFail{Trigger: name, Stage: "step 1 of 2 (smoke), weight 10 %", At: recently})
		}
	}
}

func rollBackAtDeadline(in *plan.Input) { in.Spec.OnDeadline = v1alpha1.Rollback }
func noRun(in *plan.Input)              { in.Run.Exists = false }
func newerBelay(in *plan.Input)         { in.Run.Former = true }
func fast(in *plan.Input)               { in.Status.Promotion.Fast = true }
func formerRun(in *plan.Input)          { in.Run.Former, in.Canary.Former = true, in.Canary.Exists }
func recreate(in *plan.Input)           { in.Workload.Recreate = true }
func locked(in *plan.Input)             { in.Workload.Lock = run }
func unrecognised(in *plan.Input)       { in.Canary.Recognised = false }
func workloadGone(in *plan.Input)       { in.Workload = plan.Workload{} }
func nativeMode(in *plan.Input)         { in.Spec.Promotion.Mode = v1alpha1.PromotionNative }
func unfinalized(in *plan.Input)        { in.FinalizerMissing = true }

func blockedRun(in *plan.Input) {
	gate(plan.Gate{Name: plan.GateGuardrails, Outcome: plan.Closed, Reason: v1alpha1.ReasonGuardrailNotFound, Message: "no such guardrail"})(in)
}

func claimed(in *plan.Input) {
	gate(plan.Gate{Name: plan.GateClaim, Outcome: plan.Closed, Reason: v1alpha1.ReasonWorkloadClaimed, Message: "Rollout other has it"})(in)
}

// gate is the newest answer of one gate, beside those of the others.
func gate(g plan.Gate) change {
	return func(in *plan.Input) {
		in.Gates = slices.DeleteFunc(slices.Clone(in.Gates), func(other plan.Gate) bool { return other.Name == g.Name })
		in.Gates = append(in.Gates, g)
	}
}

// frozen is a freeze that opens in an hour.
func frozen(in *plan.Input) {
	gate(plan.Gate{Name: plan.GateFreeze, Outcome: plan.Closed, Reason: v1alpha1.ReasonFrozen, Message: "held by Freeze shop/weekend, opens 13:00", Until: now.Add(time.Hour)})(in)
}

// freezeUnclear is a freeze that cannot be read.
func freezeUnclear(in *plan.Input) {
	gate(plan.Gate{Name: plan.GateFreeze, Outcome: plan.Closed, Reason: v1alpha1.ReasonFreezeUnclear, Message: "it is not known whether a freeze holds"})(in)
}

// overridden is the command OverrideFreeze, carried out ten minutes ago.
func overridden(in *plan.Input) {
	in.Status.FreezeOverride = &v1alpha1.FreezeOverrideStatus{Revision: candidateRevision, By: "ann", Reason: "fixes the outage", At: recently}
}

func unavailableFor(d time.Duration) change {
	return func(in *plan.Input) { in.Workload.UnavailableSince = ptr(now.Add(-d)) }
}

func rollbackOutcome(o v1alpha1.Outcome) change {
	return func(in *plan.Input) { in.Status.Rollback.Outcome = o }
}

func entered(at metav1.Time) change {
	return func(in *plan.Input) { in.Status.Step.EnteredAt = at }
}

func acknowledgedAt(at *metav1.Time) change {
	return func(in *plan.Input) { in.Status.Step.AcknowledgedAt = at }
}

func fullAt(at *metav1.Time) change {
	return func(in *plan.Input) { in.Status.Promotion.FullAt = at }
}

func sizeSince(at *metav1.Time) change {
	return func(in *plan.Input) { in.Status.Promotion.SizeSince = at }
}

func handingSince(at *metav1.Time) change {
	return func(in *plan.Input) { in.Status.Promotion.HandingSince = at }
}

func handedAt(at *metav1.Time) change {
	return func(in *plan.Input) { in.Status.Promotion.HandedAt = at }
}

// settle is how long a newer version has to stand.
func settle(d time.Duration) change {
	return func(in *plan.Input) { in.Spec.Settle.Duration = d }
}

// pushed is since when a version has been declared, and how long before that pushes began.
func pushed(name string, since, changing time.Duration) change {
	return func(in *plan.Input) {
		in.Status.Declared = &v1alpha1.DeclaredStatus{Revision: name, Image: image(name), Since: ago(since), ChangingSince: ago(since + changing)}
	}
}

func settledAt(at *metav1.Time) change {
	return func(in *plan.Input) { in.Status.Promotion.SettledAt = at }
}

func byAnn(in *plan.Input) { in.Workload.Bypass = plan.Bypass{By: "ann", Reason: "7: outage"} }

// handledBypass was followed, or was there before.
func handledBypass(reason string) change {
	return func(in *plan.Input) { in.Status.HandledBypass = &reason }
}

func promotedAt(at metav1.Time) change {
	return func(in *plan.Input) { in.Status.Promotion.StartedAt = at }
}

// wave is the canary's last growth, asked for some time ago.
func wave(size int32, asked time.Duration) change {
	return func(in *plan.Input) { in.Status.Step.Wave = &v1alpha1.WaveStatus{Size: size, AskedAt: ago(asked)} }
}

func withdrawn(since time.Duration) change {
	return func(in *plan.Input) {
		in.Status.Step.Wave.WithdrawnAt, in.Status.Step.Wave.Message = ptr(ago(since)), "2 of 3 ready: no node has room"
	}
}
