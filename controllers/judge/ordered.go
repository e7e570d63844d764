package judge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/controllers/workload"
)

// The pods of a StatefulSet have the same names in every version: web-3 of the candidate has
// the name of the stable pod that it replaced. A source may return the series of both, under
// one name, until it knows that the older ones have ended: at once when it discovers pods, but
// for five minutes when they are pushed to it; and a target that is scraped by its DNS name has
// one series for both. So a counter is a pod's only when its sample is younger than the pod.
// Pods of one name are different pods in a ledger, each with a baseline of its own.

// version is what tells the pods of a StatefulSet's versions apart.
type version struct {
	statefulSet types.UID
	hash        string
}

// lookAtOrdered finds the pods of a StatefulSet, also for a second time. Those of a third version are nobody's, but
// are known by their names.
func (r *Reconciler) lookAtOrdered(ctx context.Context, t *evaluation) error {
	revisions, pods := workload.ControllerRevisions(), &corev1.PodList{}
	// They are only read, as in lookAtSets.
	scope := []client.ListOption{client.InNamespace(t.run.Namespace), client.UnsafeDisableDeepCopy}
	if err := errors.Join(r.Client.List(ctx, revisions, scope...), r.Client.List(ctx, pods, scope...)); err != nil {
		return fmt.Errorf("list the ControllerRevisions and pods: %w", err)
	}
	t.canarySets, t.pods = nil, map[string]podState{}
	t.podCount, t.readyPods, t.stablePods = 0, 0, 0
	sides, owners := map[version]side{}, map[types.UID]bool{}
	for i := range revisions.Items {
		if of := metav1.GetControllerOfNoCopy(&revisions.Items[i]); of == nil || of.Name != t.run.Spec.Workload {
			// It costs a hash of the template to read one.
			continue
		}
		v, ok, err := workload.ReadVersion(&revisions.Items[i])
		if err != nil || !ok {
			// The pods of a version that cannot be read are nobody's.
			continue
		}
		owners[v.UID] = true
		switch v.Revision {
		case t.run.Spec.Stable.Revision.Revision:
			sides[version{v.UID, v.Name}] = sideStable
		case t.run.Spec.Revision:
			sides[version{v.UID, v.Name}] = sideCanary
			t.canarySets = append(t.canarySets, v.Name)
		}
	}
	slices.Sort(t.canarySets)
	for i := range pods.Items {
		pod := &pods.Items[i]
		if owner := metav1.GetControllerOfNoCopy(pod); owner != nil && owners[owner.UID] {
			t.see(pod, sides[version{owner.UID, pod.Labels[appsv1.ControllerRevisionHashLabelKey]}])
		}
	}
	return nil
}

// lookAgain looks at the pods of a StatefulSet when the responses are there: whose a sample is
// depends on which pod had its name then. The first look stays when the second one fails.
func (t *evaluation) lookAgain(ctx context.Context, r *Reconciler) {
	if !t.run.Spec.Ordered() {
		return
	}
	if err := r.lookAtOrdered(ctx, t); err != nil {
		log.FromContext(ctx).V(1).Info("the pods that responses are about are those that there were before", "error", err.Error())
	}
}

// orderedBearer is bearer for a StatefulSet. A counter that may be of either of two pods is
// nobody's.
func (t *evaluation) orderedBearer(q query, c *prometheus.Counter) (analysis.PodCounter, podState) {
	target := c.OfTarget()
	sight, listed := t.pods[c.Pod]
	if listed && t.isYounger(c.SampledAt, sight, q.looksBack) {
		target.Pod = prometheus.Borne(target.Pod, string(sight.uid))
		return target, sight
	}
	if listed && sight.onNode {
		return target, podState{}
	}
	// Nothing runs of the pod that has the name now: this is of the last one that had it.
	ended, ofStable, known := t.state.Ledgers[q.key].Newest(func(name string) bool { return prometheus.Bears(name, target.Pod) })
	if !known {
		return target, podState{}
	}
	target.Pod = ended
	if ofStable {
		return target, podState{side: sideStable}
	}
	return target, podState{side: sideCanary}
}

// isYounger reports whether a sample, and all that the query reads before it, were taken since
// a pod exists; always where no two pods have the same name.
func (t *evaluation) isYounger(sampledAt time.Time, pod podState, looksBack time.Duration) bool {
	return !t.run.Spec.Ordered() || sampledAt.Add(-looksBack).After(pod.createdAt.Add(createdSlack))
}

// members are the pods of the candidate and of stable that a source can be asked about: not
// those of which a response still has what the pods that had their names have counted.
func (t *evaluation) members(q query, r result) [][]string {
	mixed := map[string]bool{}
	for i := range r.Pods {
		c := &r.Pods[i]
		mixed[c.Pod] = mixed[c.Pod] || !t.isYounger(c.SampledAt, t.pods[c.Pod], q.measure.LooksBack(r.interval))
	}
	candidate, stable := []string{}, []string{}
	for _, name := range slices.Sorted(maps.Keys(t.pods)) {
		switch side := t.pods[name].side; {
		case mixed[name]:
		case side == sideCanary:
			candidate = append(candidate, name)
		case side == sideStable:
			stable = append(stable, name)
		}
	}
	return [][]string{candidate, stable}
}
