package plan

import (
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// Rules about a rollback to a stable side that has fewer pods than the canary.

// growsWithin bounds how long a candidate that nobody has found bad keeps the
// requests that stable has too few pods for.
const growsWithin = 30 * time.Second

// stableShortForNow holds for that time while fewer stable pods than canary pods can
// take requests, and all of them are to come back. Whatever is to be taken from
// its users is taken at once.
func stableShortForNow(f *facts) bool {
	r := f.rollback()
	if r.Outcome != v1alpha1.OutcomeSuperseded || f.in.Route.Split == nil || f.weightIsNot(100) || f.in.Workload.Lock != "" {
		return false
	}
	over, _ := f.sinceElapsed(&r.StartedAt, growsWithin)
	return !over && f.in.Route.StableEndpoints > 0 && f.stableShort()
}

// stableShort compares what can take requests on both sides, as far as the
// Deployment wants it.
func (f *facts) stableShort() bool {
	stable, canary := f.reachable()
	return stable < min(canary, f.in.Workload.Replicas)
}

// reachable counts ready pods that are endpoints: the one follows the other late.
func (f *facts) reachable() (stable, canary int32) {
	return min(f.in.Route.StableEndpoints, f.in.Workload.Stable.Ready), min(f.in.Route.CanaryEndpoints, f.in.Canary.Ready)
}

func waitForSize(f *facts) Decision {
	r := f.rollback()
	_, left := f.sinceElapsed(&r.StartedAt, growsWithin)
	stable, canary := f.reachable()
	d := f.reconciling(v1alpha1.ReasonRollingBack, fmt.Sprintf("%s; stable has %s, and the canary %d with all requests: they go back when stable has %d, at %s at the latest",
		r.Message, count(stable, "reachable pod"), canary, min(canary, f.in.Workload.Replicas), clock(f.in.Now.Add(left))))
	d.Recheck = left
	return d
}

// smallStable says, to end a message, that all requests come back to what may be
// too small for them; empty when it is not.
func (f *facts) smallStable() string {
	p, w, r := f.promotion(), f.in.Workload, f.in.Route
	if p.FullAt == nil && (r.Split == nil || f.weightIsNot(100)) {
		return ""
	}
	note := ""
	if f.stableShort() {
		stable, canary := f.reachable()
		note = fmt.Sprintf("; stable has %s for all requests, fewer than the canary's %d", count(stable, "reachable pod"), canary)
	}
	if p.FullReplicas != nil && w.Replicas < *p.FullReplicas {
		note += fmt.Sprintf("; the Deployment was scaled from %d to %d replicas while %s had all requests: stable may be too small for them until an autoscaler, or %s scale deployment/%s, grows it",
			*p.FullReplicas, w.Replicas, imageOf(f.in.Status.Candidate), f.kubectl(), f.in.Spec.WorkloadRef.Name)
	}
	return note
}
