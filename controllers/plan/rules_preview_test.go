package plan_test

import (
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// previewed asks for a preview Service, which selects this hash.
func previewed(hash string, changes ...func(*plan.Preview)) change {
	return func(in *plan.Input) {
		in.Spec.Traffic.Preview = v1alpha1.PreviewEnabled
		in.Route.Preview = &plan.Preview{Hash: hash, Current: true}
		if hash != "" {
			in.Route.Preview.Ready = 1
		}
		for _, to := range changes {
			to(in.Route.Preview)
		}
	}
}

func noPreview(in *plan.Input) {
	in.Spec.Traffic.Preview, in.Route.Preview = v1alpha1.PreviewEnabled, nil
}

func previewCases() []ruleCase {
	const progressing, phase = v1alpha1.ReasonProgressing, v1alpha1.PhaseStepping
	const resting, back, held = v1alpha1.PhaseStable, v1alpha1.ReasonRollingBack, v1alpha1.PhaseRolledBack
	foreign := func(p *plan.Preview) {
		*p = plan.Preview{Fault: `Service "shop-preview" exists and was not created by Belay`}
	}
	changed := func(p *plan.Preview) { p.Current = false }
	lagging := func(p *plan.Preview) { p.Ready = 0 }
	unwanted := func(in *plan.Input) { in.Spec.Traffic.Preview = v1alpha1.PreviewDisabled }
	step, begun, allVersions := stepAt(0), acknowledgedAt(nil), plan.PointPreview{}
	candidate := plan.PointPreview{Hash: canaryHash}
	going := rollingBack(nil)
	drained := rollingBack(&longAgo)
	return []ruleCase{
		works("SettlesPreview", "none yet", given(noPreview), allVersions, resting, progressing, "Service shop-preview", "all versions"),
		works("SettlesPreview", "it still selects a former candidate", given(previewed(canaryHash)), allVersions, resting, progressing),
		works("SettlesPreview", "somebody changed its ports", given(previewed("", changed)), allVersions, resting, progressing),
		works("SettlesPreview", "no longer asked for", given(previewed(""), unwanted), plan.RemovePreview{}, resting, progressing, "deleting Service shop-preview"),
		stalls("SettlesPreview", "somebody else's", given(previewed("", foreign)), nil, resting, v1alpha1.ReasonServiceUnusable, "not created by Belay", "set spec.traffic.preview to Disabled"),
		stalls("Stable", "none yet, and nobody knows its ports", given(noPreview, serviceGone), nil, resting, v1alpha1.ReasonServiceNotFound),
		stalls("RolledBack", "the rejected version is still in the preview", given(rolledBack, previewed(canaryHash)), allVersions, held, v1alpha1.ReasonRolledBack),
		stalls("RolledBack", "somebody else's preview", given(rolledBack, previewed("", foreign)), nil, held, v1alpha1.ReasonRolledBack),

		works("PreparesPreview", "before a run", given(gating, noPreview), allVersions, v1alpha1.PhaseGating, progressing),
		stalls("PreparesPreview", "somebody else's", given(gating, previewed("", foreign)), nil, v1alpha1.PhaseGating, v1alpha1.ReasonServiceUnusable),
		works("RevertStarts", "without a preview", given(gating, previously(candidateRevision), noPreview), plan.CreateRun{}, v1alpha1.PhasePromoting, progressing).then(plan.MarkWorkload{Marks: plan.Marks{Rollout: "shop", Run: v1alpha1.RunLabel(plan.RunName("shop", candidateRevision, 2))}}, plan.PointServices{}),

		works("ScalesCanary", "before the preview, which needs its pods", given(step, begun, noCanary, split(0), previewed("")), plan.ScaleCanary{Replicas: 1}, phase, progressing),
		works("PointsPreview", "before the pod is ready", given(step, begun, split(0), canaryReady(0), canaryEndpoints(0), previewed("")), candidate, phase, progressing, "step 1 of 2", "Service shop-preview", "the canary's pods alone"),
		works("PointsPreview", "somebody deleted it in a hold", given(step, noPreview), candidate, phase, progressing),
		stalls("PointsPreview", "somebody took its name", given(step, begun, previewed("", foreign)), nil, phase, v1alpha1.ReasonServiceUnusable, "not created by Belay", "abort this run, which keeps its preview, and set spec.traffic.preview to Disabled"),
		works("AwaitsPreview", "its endpoints lag", given(step, begun, split(0), previewed(canaryHash, lagging)), nil, phase, progressing, "ready endpoint of Service shop-preview"),
		works("SetsWeight", "it leads to the candidate", given(step, begun, split(0), previewed(canaryHash)), plan.SetSplit{Weight: 10}, phase, progressing),
		works("ScalesCanary", "a promotion waits for no preview", given(promoting, split(50), canaryPods(2), canaryReady(2), noPreview), plan.ScaleCanary{Replicas: 3}, v1alpha1.PhasePromoting, v1alpha1.ReasonPromoting),

		works("RollbackTakesTraffic", "whatever the preview is", given(going, split(50), previewed(canaryHash, foreign)), plan.SetSplit{}, v1alpha1.PhaseRollingBack, back),
		works("RollbackAtZero", "and the preview goes back", given(going, previewed(canaryHash)), allVersions, v1alpha1.PhaseRollingBack, back, "Service shop-preview selects all versions again"),
		works("RollbackRemovesCanary", "the preview could not be written before", given(drained, previewed(canaryHash)), plan.RemoveCanary{Reject: true}, v1alpha1.PhaseRollingBack, back).then(allVersions),
		stalls("RollbackDone", "the preview could not be written before", given(drained, noCanary, noSplit, previewed(canaryHash)), allVersions, held, v1alpha1.ReasonRolledBack).then(plan.MarkWorkload{Marks: plan.Marks{Rollout: "shop", Rejected: candidateRevision}}),
		works("Bypassed", "a newer version, and the preview leads to the former", given(stepAt(0), declares(newerRevision), paused(false), byAnn, previewed(canaryHash)), plan.CreateRun{}, v1alpha1.PhaseHandingOver, v1alpha1.ReasonHandingOver, "all versions again").then(allVersions),
		works("Released", "a preview is left to the last write", given(previewed(canaryHash), deleted(time.Second)), plan.Leave{}, resting, v1alpha1.ReasonReleasing),
	}
}
