package judge

import (
	"slices"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// servicesOf are the Services that tell the versions of a run apart, stable's first; none
// without spec.traffic. In a handover the routes go back to the user's Service, which from then
// on reaches the candidate.
func servicesOf(rollout *v1alpha1.Rollout) []string {
	if rollout.Spec.Traffic == nil {
		return nil
	}
	stable, canary := v1alpha1.PairNames(rollout.Name)
	if rollout.Status.Phase == v1alpha1.PhaseHandingOver {
		return []string{stable, rollout.Spec.Traffic.Service, canary}
	}
	return []string{stable, canary}
}

// versions are stable's names first, then the candidate's; of a StatefulSet, its own.
func (t *evaluation) versions() prometheus.Pods {
	if t.run.Spec.Ordered() {
		return prometheus.Pods{Namespace: t.run.Namespace, StatefulSet: t.run.Spec.Workload}
	}
	return prometheus.Pods{Namespace: t.run.Namespace, ReplicaSets: append([]string{t.stableSet}, t.canarySets...), Services: t.services}
}

// destinationOf is the name by which an indicator counts the candidate's requests; empty when
// its pods do.
func (t *evaluation) destinationOf(i v1alpha1.Indicator) string {
	if prometheus.CountsByPod(i) {
		return ""
	}
	if names := t.versions().Versions(i); len(names) > 1 {
		return names[len(names)-1]
	}
	// Its ReplicaSet does not exist yet.
	return "candidate"
}

// splitDestinations is split for the counters of destinations. Each is judged by itself: it
// is not a pod's, and a gateway that has ended says as much as the others.
//
// A gateway's counters are older than the run, so they are not young by themselves. They count
// the requests of all pods behind them, evenly spread. So they are as young as half of the
// candidate's ready pods are: pods that are added to more older ones take few of the requests.
func (t *evaluation) splitDestinations(q query, counters []prometheus.Counter, at time.Time) analysis.Poll {
	poll := analysis.Poll{EvaluatedAt: at}
	stable := t.versions().Versions(q.measure.Indicator)[0]
	for i := range counters {
		c := &counters[i]
		target := c.OfTarget()
		target.Destination = c.Pod
		if c.Pod == stable {
			poll.Stable = append(poll.Stable, target)
			continue
		}
		target.WarmedFrom = t.warmedFrom()
		poll.Canary = append(poll.Canary, target)
	}
	return poll
}

// warmedFrom is since when half of the candidate's ready pods have been ready; zero without
// any.
func (t *evaluation) warmedFrom() time.Time {
	var since []time.Time
	for _, p := range t.pods {
		if p.side == sideCanary && p.ready && !p.readyAt.IsZero() {
			since = append(since, p.readyAt)
		}
	}
	if len(since) == 0 {
		return time.Time{}
	}
	slices.SortFunc(since, time.Time.Compare)
	return since[len(since)/2]
}
