package plan_test

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// Every case has four replicas, two steps and three revisions.
const (
	stableRevision    = "aaaaaaaaaa"
	candidateRevision = "bbbbbbbbbb"
	newerRevision     = "cccccccccc"
	replicas          = 4
	run               = "shop-bbbbbbbbbb-1"
	stableSet         = "shop-a"
	canarySet         = "shop-b"
	ownSet            = "shop-own"
	stableHash        = "hash-a"
	canaryHash        = "hash-b"
)

var (
	now      = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	justNow  = metav1.NewTime(now.Add(-time.Second))
	recently = metav1.NewTime(now.Add(-10 * time.Minute))
	longAgo  = metav1.NewTime(now.Add(-5 * time.Hour))
)

func ptr[T any](v T) *T { return &v }

func minutes(n int) metav1.Duration { return metav1.Duration{Duration: time.Duration(n) * time.Minute} }

func revision(name string) v1alpha1.Revision {
	return v1alpha1.Revision{Revision: name, Image: image(name)}
}

func image(revision string) string { return "shop:" + revision[:1] }

// set is a ReplicaSet of n pods, all of them available.
func set(name, revision, hash string, n int32) plan.Set {
	return plan.Set{Name: name, Revision: revision, Hash: hash, Image: image(revision), Desired: n, Pods: n, Ready: n, Available: n}
}

type change func(*plan.Input)

// given is a Rollout that serves its stable version, with the changes applied.
func given(changes ...change) plan.Input {
	stable := revision(stableRevision)
	stable.ReplicaSet, stable.PodTemplateHash = stableSet, stableHash
	in := plan.Input{
		Now: now, ReleaseTimeout: 2 * time.Minute, Watchdog: 10 * time.Second, Calm: 15 * time.Second, Name: "shop",
		Spec: v1alpha1.RolloutSpec{
			WorkloadRef: v1alpha1.WorkloadRef{Name: "shop"},
			Traffic:     &v1alpha1.Traffic{Service: "shop", Drain: metav1.Duration{Duration: 5 * time.Second}},
			Steps:       []v1alpha1.Step{{Name: "smoke", Weight: 10, Hold: minutes(1)}, {Weight: 50, Hold: minutes(1)}},
			Promotion:   v1alpha1.Promotion{Bake: minutes(5)}, StepDeadline: minutes(60),
			OnDeadline: v1alpha1.Hold, Mode: v1alpha1.ModeEnforce, HistoryLimit: 3,
		},
		Status: v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStable, Stable: &stable},
		Workload: plan.Workload{
			Found: true, Declared: revision(stableRevision), Replicas: replicas, Observed: true, ProgressDeadline: 10 * time.Minute,
			Marks: plan.Marks{Rollout: "shop"}, Stable: set(stableSet, stableRevision, stableHash, replicas),
		},
		Route: plan.Route{Acknowledged: true, PairCurrent: true},
		Run:   plan.Run{Exists: true, StablePinned: true, Next: 1},
		Gates: []plan.Gate{{Name: plan.GateGuard, Outcome: plan.Open, Reason: v1alpha1.ReasonGuardProven}},
	}
	active(in.Workload.Stable)(&in)
	for _, c := range changes {
		c(&in)
	}
	return in
}

// all is several changes as one.
func all(changes ...change) change {
	return func(in *plan.Input) {
		for _, c := range changes {
			c(in)
		}
	}
}

// endpoints follow the ready pods, as they do when nothing lags.
func endpoints(in *plan.Input) {
	r, c := &in.Route, in.Canary
	r.StableEndpoints, r.CanaryEndpoints, r.ServiceEndpoints, r.CanaryShare = in.Workload.Stable.Ready, c.Ready, 0, 0
	if !c.Handed {
		r.ServiceEndpoints, r.CanaryShare = c.Ready, c.Ready
	}
	for _, s := range in.Workload.Active {
		r.ServiceEndpoints += s.Ready
		if c.Handed && s.Name == c.Name {
			r.CanaryShare += s.Ready
		}
	}
	switch r.Narrowed {
	case stableHash:
		r.ServiceEndpoints, r.CanaryShare = in.Workload.Stable.Ready, 0
	case canaryHash:
		r.ServiceEndpoints, r.CanaryShare = c.Ready, c.Ready
	}
}

// active are the Deployment's own sets that have a size. The stable set is the
// one of its revision among them, or empty.
func active(sets ...plan.Set) change {
	return func(in *plan.Input) {
		in.Workload.Active = nil
		stable := set(stableSet, stableRevision, stableHash, 0)
		for _, s := range sets {
			if s.Desired > 0 {
				in.Workload.Active = append(in.Workload.Active, s)
			}
			if s.Revision == stableRevision {
				stable = s
			}
		}
		in.Workload.Stable = stable
		endpoints(in)
	}
}

func stable(n int32) plan.Set { return set(stableSet, stableRevision, stableHash, n) }
func own(n int32) plan.Set    { return set(ownSet, candidateRevision, "hash-own", n) }
func newer(n int32) plan.Set  { return set("shop-c", newerRevision, "hash-c", n) }

// unready has the pods but serves nobody yet.
func unready(s plan.Set) plan.Set {
	s.Ready, s.Available = 0, 0
	return s
}

// The phases, each as it looks when all goes well.

func candidate(in *plan.Input) {
	in.Status.Candidate = ptr(revision(candidateRevision))
	declares(candidateRevision)(in)
}

func gating(in *plan.Input) {
	candidate(in)
	in.Status.Phase = v1alpha1.PhaseGating
}

func onTrial(phase v1alpha1.Phase) change {
	return func(in *plan.Input) {
		candidate(in)
		in.Status.Phase, in.Status.Run, in.Status.Runs, in.Status.Epoch = phase, run, 1, 1
		in.Status.RunStartedAt = ptr(recently)
		in.Workload.Marks.Run = run
		in.Workload.Chosen = canarySet
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

// promoting has everything at the canary, acknowledged.
func promoting(in *plan.Input) {
	stepAt(1)(in)
	in.Status.Phase = v1alpha1.PhasePromoting
	in.Status.Promotion = &v1alpha1.PromotionStatus{StartedAt: recently, Mode: v1alpha1.TakeOverHandOver}
	canaryPods(replicas)(in)
	split(100)(in)
}

// baking is over, with both sides at rest.
func baking(in *plan.Input) {
	promoting(in)
	in.Status.Phase = v1alpha1.PhaseBaking
	in.Status.Promotion.FullAt = ptr(recently)
	in.Status.Promotion.Size, in.Status.Promotion.SizeSince = ptr(int32(replicas)), ptr(recently)
}

func handingOver(in *plan.Input) {
	baking(in)
	in.Status.Phase = v1alpha1.PhaseHandingOver
	in.Status.Promotion.HandingSince = ptr(ago(time.Minute))
}

// handed is the moment after the change of the owner: locked, paused, recognised.
func handed(in *plan.Input) {
	handingOver(in)
	in.Status.Promotion.HandedAt = ptr(justNow)
	in.Workload.Lock = run
	in.Canary.Handed, in.Canary.Recognised = true, true
	active(stable(replicas), in.Canary.Set)(in)
}

// handedAlone is the end of it: the Deployment runs the candidate alone.
func handedAlone(in *plan.Input) {
	handed(in)
	in.Workload.Lock, in.Workload.Paused = "", false
	active(in.Canary.Set)(in)
	noSplit(in)
}

// takeOver is a Deployment that takes the candidate over by its own strategy,
// before it has begun, with the routes released.
func takeOver(mode v1alpha1.TakeOver) change {
	return func(in *plan.Input) {
		stepAt(1)(in)
		in.Status.Phase = v1alpha1.PhaseHandingOver
		in.Status.Promotion = &v1alpha1.PromotionStatus{StartedAt: recently, HandingSince: ptr(recently), Mode: mode, Message: "because", Actor: "ann"}
		noSplit(in)
	}
}

// native has its canary handed over and the Deployment rolling.
func native(in *plan.Input) {
	takeOver(v1alpha1.TakeOverNative)(in)
	in.Canary.Handed, in.Workload.Paused = true, false
	in.Status.Promotion.HandedAt = ptr(justNow)
	active(stable(2), in.Canary.Set)(in)
}

// nativeAlone runs the candidate alone, its bake over.
func nativeAlone(in *plan.Input) {
	native(in)
	in.Canary.Set = set(canarySet, candidateRevision, canaryHash, replicas)
	active(in.Canary.Set)(in)
	in.Status.Promotion.SettledAt = ptr(recently)
}

// bypassing rolls without a judgement, half of it done, without a canary.
func bypassing(in *plan.Input) {
	takeOver(v1alpha1.TakeOverBypass)(in)
	noCanary(in)
	in.Workload.Paused, in.Workload.Chosen = false, ownSet
	active(stable(2), own(2))(in)
}

// rollingBack takes step 2's candidate out; at is when weight 0 was acknowledged.
func rollingBack(at *metav1.Time) change {
	return func(in *plan.Input) {
		stepAt(1)(in)
		split(0)(in)
		in.Status.Phase, in.Status.Epoch = v1alpha1.PhaseRollingBack, 2
		in.Status.Rollback = &v1alpha1.RollbackStatus{
			Outcome: v1alpha1.OutcomeRolledBack, Trigger: "shop/errors", Message: "5 % errors", StartedAt: recently, ZeroAt: at,
		}
	}
}

// handoverBack is a rollback from a handover that had been decided.
func handoverBack(in *plan.Input) {
	handingOver(in)
	in.Status.Promotion.HandedAt = ptr(recently)
	in.Status.Phase, in.Status.Epoch = v1alpha1.PhaseRollingBack, 2
	in.Status.Rollback = &v1alpha1.RollbackStatus{
		Outcome: v1alpha1.OutcomeRolledBack, Trigger: "shop/errors", Message: "5 % errors", StartedAt: justNow,
	}
}

func rolledBack(in *plan.Input) {
	candidate(in)
	in.Status.Phase, in.Status.Run = v1alpha1.PhaseRolledBack, run
	in.Workload.Marks.Rejected = candidateRevision
	rejected(candidateRevision)(in)
}
