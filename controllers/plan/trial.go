package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// Rules about giving the candidate its share: in a step the step's, in a
// promotion and a bake everything.

// targetWeight is what the stage gives the candidate.
func (f *facts) targetWeight() int32 {
	if f.inPhase(v1alpha1.PhasePromoting, v1alpha1.PhaseBaking) {
		return 100
	}
	return f.stepWeight()
}

func trialServicesOff(f *facts) bool {
	return f.onTrial() && !f.in.Route.PairCurrent && f.in.Workload.Stable.Name != ""
}

func overweight(f *facts) bool {
	return f.onTrial() && f.in.Route.Split != nil && (f.in.Route.Mixed || f.observedWeight() > f.targetWeight()) && f.in.Route.StableEndpoints > 0
}

// lowerWeight waits for no canary: less than somebody gave it is always due.
func lowerWeight(f *facts) Decision {
	weight := f.targetWeight()
	if f.in.Canary.Ready == 0 || f.in.Route.CanaryEndpoints == 0 || f.in.Route.Mixed {
		weight = 0
	}
	why := fmt.Sprintf("%s: the canary has %d %%, more than the step allows", f.where(), f.observedWeight())
	if f.in.Route.Mixed {
		why = f.where() + ": the routes disagree about the canary's weight"
	}
	return f.setWeight(weight, why)
}

func noStableEndpoints(f *facts) bool {
	rest := f.in.Route.Split == nil || f.in.Route.Mixed || weightOff(f) && f.targetWeight() < 100
	return f.onTrial() && rest && f.in.Route.StableEndpoints == 0
}

func waitForEndpoints(f *facts) Decision {
	s := f.in.Workload.Stable
	why := fmt.Sprintf("waiting for Service %s-stable to list a ready pod: stable has %d ready of %d", f.in.Name, s.Ready, s.Desired)
	if f.in.Route.NoPort != "" {
		why += ": " + f.in.Route.NoPort
	}
	return f.working(f.phaseReason(), why)
}

func notSplit(f *facts) bool { return f.onTrial() && f.in.Route.Split == nil }

func splitAtZero(f *facts) Decision {
	return f.setWeight(0, f.where()+": sharing the routes between stable and canary, all of it to stable")
}

// splitUnacknowledged comes before anything wider: neither pods nor a larger
// share for a route that the gateway does not follow.
func splitUnacknowledged(f *facts) bool {
	return f.onTrial() && !f.in.Route.Acknowledged && (!f.in.Canary.Exists || f.observedWeight() < f.targetWeight())
}

// gaveUpNarrowing is how often a selector is put back that somebody took away.
const gaveUpNarrowing = 3

// narrows reports whether the user's Service is narrowed to one version for the
// time of a run.
func (f *facts) narrows() bool {
	if f.in.Spec.Traffic.DirectCallers != v1alpha1.DirectCallersStable || f.in.Canary.Former {
		return false
	}
	d := f.in.Status.DirectCallers
	return d == nil || d.PutBack < gaveUpNarrowing
}

// narrowTarget is the hash that direct callers should reach.
func (f *facts) narrowTarget() string {
	switch {
	case !f.narrows():
		return ""
	case f.inPhase(v1alpha1.PhasePromoting, v1alpha1.PhaseBaking) && f.promotion().FullAt != nil:
		return f.in.Canary.Hash
	default:
		return f.in.Workload.Stable.Hash
	}
}

func narrowOff(f *facts) bool {
	target := f.narrowTarget()
	served := target == "" || target == f.in.Canary.Hash && f.in.Canary.Ready > 0 || target == f.in.Workload.Stable.Hash && f.in.Workload.Stable.Ready > 0
	// What somebody took from a bake comes back first.
	foreign := baking(f) && f.promotion().FullAt != nil && f.weightIsNot(100)
	return f.onTrial() && f.in.Route.Narrowed != target && served && !foreign
}

// narrow counts how often it puts back what somebody took away, and gives up
// after a few times rather than fight.
func narrow(f *facts) Decision {
	target := f.narrowTarget()
	if target == "" {
		return widenService(f)
	}
	d := f.doing(f.phaseReason(), fmt.Sprintf("callers of Service %s reach only pods with hash %s", f.in.Spec.Traffic.Service, target), NarrowService{target})
	was := f.in.Status.DirectCallers
	if was == nil || was.Mode != v1alpha1.DirectCallersStable || f.in.Route.Narrowed != "" {
		return d
	}
	d.Status.DirectCallers = was.DeepCopy()
	d.Status.DirectCallers.PutBack++
	d.Why = fmt.Sprintf("%s took the selector of Service %s away that narrows it to one version: putting it back (%d of %d times)",
		whoever(f.in.Route.NarrowedBy), f.in.Spec.Traffic.Service, d.Status.DirectCallers.PutBack, gaveUpNarrowing)
	if d.Status.DirectCallers.PutBack == gaveUpNarrowing {
		d.Effect = nil
		d.Why = fmt.Sprintf("%s took the selector of Service %s away %d times: direct callers reach both versions in this run; let it ignore spec.selector, or set traffic.directCallers to Any",
			whoever(f.in.Route.NarrowedBy), f.in.Spec.Traffic.Service, gaveUpNarrowing)
		d.Status.DirectCallers.Message = truncate(d.Why, 512)
		d.Recheck = 1
	}
	d.Key = fmt.Sprint(d.Status.DirectCallers.PutBack)
	return d
}

func whoever(manager string) string {
	if manager == "" {
		return "somebody"
	}
	return fmt.Sprintf("field manager %q", truncate(manager, 64))
}

// wantedSize grows the canary in waves, at most a quarter of the Deployment's
// pods unready at once: unready pods hold an autoscaler back. It shrinks only
// with the Deployment, once it serves alone.
func (f *facts) wantedSize() int32 {
	need, has := f.canaryNeed(f.targetWeight()), f.in.Canary.Desired
	if !f.in.Canary.Exists {
		has = 0
	}
	if has > need && f.targetWeight() == 100 && !f.weightIsNot(100) {
		return need
	}
	if f.waveWithdrawn() {
		need = f.canaryNeed(f.observedWeight())
	}
	wave := max(1, f.in.Workload.Replicas/4)
	return max(has, min(need, f.canaryReady()+wave))
}

func sizeOff(f *facts) bool {
	return f.onTrial() && (!f.in.Canary.Exists || f.in.Canary.Desired != f.wantedSize())
}

func scaleCanary(f *facts) Decision {
	need, size := f.canaryNeed(f.targetWeight()), f.wantedSize()
	why := fmt.Sprintf("%s: weight %d %% of %d replicas needs %d canary pods", f.where(), f.targetWeight(), f.in.Workload.Replicas, need)
	if size < need {
		why += fmt.Sprintf("; %d first", size)
	}
	d := f.doing(f.phaseReason(), why, ScaleCanary{size})
	f.noteWave(&d, size)
	return d
}

// canaryUnready holds a wider share back until the pods for it are ready and the
// gateway can reach them, and the step itself when they no longer are at its end.
func canaryUnready(f *facts) bool {
	if !f.onTrial() || !weightOff(f) && (baking(f) || f.step().AcknowledgedAt != nil && stepHoldNotOver(f)) {
		return false
	}
	need := f.canaryNeed(f.targetWeight())
	return f.canaryReady() < need || f.in.Route.CanaryEndpoints < need
}

func waitForCanary(f *facts) Decision {
	need := f.canaryNeed(f.targetWeight())
	ready := f.canaryReady()
	why := fmt.Sprintf("%s: waiting for canary pods: %d of %d ready", f.where(), ready, need)
	switch {
	case ready >= need:
		why = fmt.Sprintf("%s: waiting for the gateway's Service to list the canary pods: %d of %d", f.where(), f.in.Route.CanaryEndpoints, need)
	case f.in.Route.NoPort == "" && f.in.Canary.Cause != "":
		// The cause begins with the count.
		return f.awaitWave(fmt.Sprintf("%s: waiting for canary pods: %s", f.where(), truncate(f.in.Canary.Cause, 400)))
	}
	return f.awaitWave(why + f.because())
}

// because says what keeps the canary's pods from being ready or reachable.
func (f *facts) because() string {
	switch {
	case f.in.Route.NoPort != "":
		return ": " + truncate(f.in.Route.NoPort, 400)
	case f.in.Canary.Cause != "":
		return ": " + truncate(f.in.Canary.Cause, 400)
	default:
		return ""
	}
}

func weightOff(f *facts) bool { return f.onTrial() && f.weightIsNot(f.targetWeight()) }

func setTargetWeight(f *facts) Decision {
	return f.setWeight(f.targetWeight(), fmt.Sprintf("%s: canary ready, weight %d %% to %d %%", f.where(), f.observedWeight(), f.targetWeight()))
}

// setWeight begins the hold, or the bake, anew: it is the acknowledged weight
// that must stand.
func (f *facts) setWeight(weight int32, why string) Decision {
	d := f.doing(f.phaseReason(), why, SetSplit{weight})
	f.forgetShare(&d)
	return d
}

func unacknowledged(f *facts) bool { return f.onTrial() && !f.in.Route.Acknowledged }
