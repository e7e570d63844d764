package judge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/workload"
)

// podState is what the API server reports about one pod.
type podState struct {
	side  side
	ready bool
	// readyAt is since when it has been ready, and unreadyAt since when it is not; zero
	// when that does not apply or is not known. startedAt is the latest start of a
	// container.
	readyAt, unreadyAt, startedAt time.Time
	// uid and createdAt tell the pods of one name apart, which a StatefulSet has one after the
	// other. onNode is set when a kubelet has accepted the pod: before that nothing of it runs.
	uid       types.UID
	createdAt time.Time
	onNode    bool
}

type side int

const (
	sideStable side = iota + 1
	sideCanary
	// sidePast is a candidate's pod that an earlier run left: the canary ReplicaSet of a
	// revision has the same name in every run.
	sidePast
)

// createdSlack is how far the clocks of two API servers may be apart.
const createdSlack = 5 * time.Second

// lookAtPods finds the pods of both versions.
func (r *Reconciler) lookAtPods(ctx context.Context, t *evaluation) error {
	if t.run.Spec.Ordered() {
		return r.lookAtOrdered(ctx, t)
	}
	return r.lookAtSets(ctx, t)
}

// lookAtSets finds the pods of ReplicaSets. The candidate runs in the canary ReplicaSet, and
// in a native promotion also in the Deployment's own.
func (r *Reconciler) lookAtSets(ctx context.Context, t *evaluation) error {
	sets, pods := workload.Sets(), &corev1.PodList{}
	// They are only read, at every poll of every run, so they are not copied.
	scope := []client.ListOption{client.InNamespace(t.run.Namespace), client.UnsafeDisableDeepCopy}
	if err := errors.Join(r.Client.List(ctx, sets, scope...), r.Client.List(ctx, pods, scope...)); err != nil {
		return fmt.Errorf("list the ReplicaSets and pods: %w", err)
	}
	t.stableSet = stableSetOf(sets.Items, t.run)
	sides := map[types.UID]side{}
	for i := range sets.Items {
		set := &sets.Items[i]
		switch {
		case set.GetName() == t.stableSet:
			sides[set.GetUID()] = sideStable
		case runsCandidate(set, t.run):
			t.canarySets = append(t.canarySets, set.GetName())
			sides[set.GetUID()] = sideCanary
		}
	}
	// The query must not depend on the order of the cache.
	slices.Sort(t.canarySets)
	t.pods = map[string]podState{}
	for i := range pods.Items {
		if owner := metav1.GetControllerOfNoCopy(&pods.Items[i]); owner != nil && sides[owner.UID] != 0 {
			t.see(&pods.Items[i], sides[owner.UID])
		}
	}
	return nil
}

// stableSetOf is the name of the ReplicaSet that runs the stable version: the one at the
// start of the run, or, when that was deleted and created again under another name, the
// Deployment's own with the same template.
func stableSetOf(sets []unstructured.Unstructured, run *v1alpha1.RolloutRun) string {
	pinned := run.Spec.Stable.ReplicaSet
	if slices.ContainsFunc(sets, func(set unstructured.Unstructured) bool { return set.GetName() == pinned }) {
		return pinned
	}
	for i := range sets {
		if runsForWorkload(&sets[i], run, run.Spec.Stable.Revision.Revision) {
			return sets[i].GetName()
		}
	}
	return pinned
}

func (t *evaluation) see(pod *corev1.Pod, of side) {
	seen := podState{side: of, ready: pod.DeletionTimestamp == nil && workload.IsReady(pod)}
	if of == sideCanary && pod.CreationTimestamp.Add(createdSlack).Before(t.run.CreationTimestamp.Time) {
		seen = podState{side: sidePast}
	}
	seen.uid, seen.createdAt, seen.onNode = pod.UID, pod.CreationTimestamp.Time, pod.Status.StartTime != nil
	// A pod that is being deleted serves until it is no longer ready.
	seen.readyAt, _ = workload.ReadySince(pod)
	seen.unreadyAt, _ = workload.UnreadySince(pod)
	for i := range pod.Status.ContainerStatuses {
		if running := pod.Status.ContainerStatuses[i].State.Running; running != nil && running.StartedAt.After(seen.startedAt) {
			seen.startedAt = running.StartedAt.Time
		}
	}
	t.pods[pod.Name] = seen
	t.podCount++
	switch {
	case !seen.ready:
	case seen.side == sideStable:
		t.stablePods++
	case seen.side == sideCanary:
		t.readyPods++
	}
}

// probesOf are how many requests a second each probe of a pod of the candidate makes that its
// app may count: those by HTTP and gRPC. A startup probe ends before the pod is ready. They
// are the template's, because the cache keeps no pod's spec; none of one that cannot be read.
func probesOf(run *v1alpha1.RolloutRun) []float64 {
	var template struct {
		Spec struct {
			Containers []struct{ ReadinessProbe, LivenessProbe *corev1.Probe }
		}
	}
	if json.Unmarshal(run.Spec.Template.Raw, &template) != nil {
		return nil
	}
	var out []float64
	for _, c := range template.Spec.Containers {
		for _, p := range []*corev1.Probe{c.ReadinessProbe, c.LivenessProbe} {
			if p != nil && (p.HTTPGet != nil || p.GRPC != nil) {
				out = append(out, 1/float64(cmp.Or(p.PeriodSeconds, defaultPeriod)))
			}
		}
	}
	return out
}

// defaultPeriod is Kubernetes' own of a probe, in seconds.
const defaultPeriod = 10

// background are how many requests a second a scraped target of the candidate gets that are
// not its users'. A pod's probes go to one of its targets.
func (t *evaluation) background(r result) []float64 {
	if r.ofDestination {
		return nil
	}
	pods := map[string]bool{}
	for _, c := range r.counted.Canary {
		name, _, _ := strings.Cut(c.Pod, prometheus.TargetMark)
		pods[name] = true
	}
	var out []float64
	for _, rate := range t.probes {
		out = append(out, rate*float64(len(pods))/float64(max(1, len(r.counted.Canary))))
	}
	if r.interval > 0 {
		out = append(out, 1/r.interval.Seconds())
	}
	return out
}

// split assigns counters to stable and candidate by what the API server reports.
// counted is everything that the run has served, including by pods that have ended
// since it began and are in its ledger. judged is what verdicts are based on: of the
// candidate, the pods that are ready, because the last counters of a pod that ended say
// nothing about the others; and every pod that violated an invariant, because a
// violation is final. Other pods of the response do not belong to the run: the source
// still has them from an earlier run, or the names are forged.
func (t *evaluation) split(q query, counters []prometheus.Counter, at time.Time) (counted, judged analysis.Poll) {
	if !prometheus.CountsByPod(q.measure.Indicator) {
		poll := t.splitDestinations(q, counters, at)
		return poll, poll
	}
	counted, judged = analysis.Poll{EvaluatedAt: at}, analysis.Poll{EvaluatedAt: at}
	bearerOf := t.bearer
	if t.run.Spec.Ordered() {
		bearerOf = t.orderedBearer
	}
	for i := range counters {
		c := &counters[i]
		target, sight := bearerOf(q, c)
		target.ReadyAt, target.UnreadyAt, target.StartedAt = sight.readyAt, sight.unreadyAt, sight.startedAt
		switch sight.side {
		case sideStable:
			counted.Stable = append(counted.Stable, target)
			judged.Stable = prometheus.AddTarget(judged.Stable, c.OfPod())
		case sideCanary:
			counted.Canary = append(counted.Canary, target)
			if sight.ready || q.measure.Invariant != nil && c.Bad > 0 {
				judged.Canary = prometheus.AddTarget(judged.Canary, c.OfPod())
			}
		}
	}
	return counted, judged
}

// bearer is a counter under the name that it has in the query's ledger, and what is known of
// the pod whose it is.
func (t *evaluation) bearer(q query, c *prometheus.Counter) (analysis.PodCounter, podState) {
	target := c.OfTarget()
	sight, listed := t.pods[c.Pod]
	if _, counts := t.state.Ledgers[q.key].Pods[target.Pod]; !listed && counts {
		sight.side = t.sideByName(c.Pod)
	}
	return target, sight
}

// sideByName is the version of a pod that the API server no longer lists.
func (t *evaluation) sideByName(pod string) side {
	if prometheus.BelongsTo(pod, t.stableSet) || prometheus.BelongsTo(pod, t.run.Spec.Stable.ReplicaSet) {
		return sideStable
	}
	return sideCanary
}
