package indicators

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/guardrails"
	"belay.dev/belay/controllers/wake"
	"belay.dev/belay/controllers/workload"
)

// maxUses bounds how many Rollouts one probe looks at, and maxSearched how many it looks
// through for some with ready pods.
const (
	maxUses     = 8
	maxSearched = 64
	// maxKept is how many more it looks at again because something was wrong: the API's bound.
	maxKept = 4
)

// use is one Rollout that a guardrail applies to, with its stable pods.
type use struct {
	rollout string
	// version is the name of stable's ReplicaSet or ControllerRevision.
	version string
	pods    prometheus.Pods
	spec    v1alpha1.RolloutSpec
}

// counters name what counts an indicator's requests. Of a StatefulSet they are its ready pods and
// their version: the counters of others are others, under names that may be the same.
func (u use) counters(of v1alpha1.Indicator) string {
	names := u.pods.Versions(of)
	if u.pods.StatefulSet != "" {
		names = slices.Concat([]string{u.version}, slices.Concat(u.pods.Members...))
	}
	return strings.Join(names, "/")
}

// uses are the Rollouts that a guardrail applies to.
type uses struct {
	rollouts int32
	// names of all Rollouts, as namespace/name, sorted.
	names []string
	// stable has those to probe now: at most maxUses with ready stable pods, others each
	// time, and at most maxKept where something was wrong.
	stable []use
	// unreadable says which selector cannot be read.
	unreadable string
}

func (r *Reconciler) usesOf(ctx context.Context, s *subject, now time.Time) (uses, error) {
	var all []*v1alpha1.Rollout
	if s.cluster != nil {
		found, unreadable, err := guardrails.AppliedTo(ctx, r.Client, s.cluster)
		if err != nil || unreadable != "" {
			return uses{unreadable: unreadable}, err
		}
		all = found
	} else {
		found, err := wake.Rollouts(ctx, r.Client, s.object.GetNamespace(), wake.ByGuardrail, s.object.GetName())
		if err != nil {
			return uses{}, err
		}
		for i := range found {
			all = append(all, &found[i])
		}
	}
	slices.SortFunc(all, func(a, b *v1alpha1.Rollout) int {
		return strings.Compare(nameOf(a), nameOf(b))
	})
	u := uses{rollouts: int32(len(all))}
	for _, rollout := range all {
		u.names = append(u.names, nameOf(rollout))
	}
	if len(all) == 0 {
		return u, nil
	}
	kept := s.wrong()
	again := slices.DeleteFunc(slices.Clone(all), func(rollout *v1alpha1.Rollout) bool { return !slices.Contains(kept, nameOf(rollout)) })
	if err := r.add(ctx, &u, again, maxKept); err != nil {
		return uses{}, err
	}
	begin := int(now.UnixNano()/int64(r.Every)) * maxUses % len(all)
	var turn []*v1alpha1.Rollout
	for i := range min(len(all), maxSearched) {
		rollout := all[(begin+i)%len(all)]
		if !slices.ContainsFunc(u.stable, func(added use) bool { return added.rollout == nameOf(rollout) }) {
			turn = append(turn, rollout)
		}
	}
	return u, r.add(ctx, &u, turn, maxUses)
}

// add adds the first Rollouts that have ready stable pods, at most so many.
func (r *Reconciler) add(ctx context.Context, u *uses, from []*v1alpha1.Rollout, most int) error {
	for _, rollout := range from {
		if most == 0 {
			return nil
		}
		pods, ready, err := r.readyStable(ctx, rollout)
		if err != nil {
			return err
		}
		if ready {
			u.stable, most = append(u.stable, use{nameOf(rollout), rollout.Status.Stable.ReplicaSet, pods, rollout.Spec}), most-1
		}
	}
	return nil
}

func nameOf(rollout *v1alpha1.Rollout) string { return rollout.Namespace + "/" + rollout.Name }

// stableOf is what counts the requests of the stable version. While no run is in progress the
// routes send them to the user's Service, otherwise to the run's.
func stableOf(rollout *v1alpha1.Rollout) prometheus.Pods {
	pods := prometheus.Pods{Namespace: rollout.Namespace, ReplicaSets: []string{rollout.Status.Stable.ReplicaSet}}
	if traffic := rollout.Spec.Traffic; traffic != nil && !rollout.Status.Phase.InRun() {
		pods.Services = []string{traffic.Service}
	} else if traffic != nil {
		stable, _ := v1alpha1.PairNames(rollout.Name)
		pods.Services = []string{stable}
	}
	return pods
}

// readyStable are the stable pods of a Rollout. ready is false when none of them is ready:
// then they have no series, and nothing is wrong.
func (r *Reconciler) readyStable(ctx context.Context, rollout *v1alpha1.Rollout) (pods prometheus.Pods, ready bool, err error) {
	if rollout.DeletionTimestamp != nil || rollout.Status.Stable == nil || rollout.Status.Stable.ReplicaSet == "" {
		return pods, false, nil
	}
	if rollout.Spec.WorkloadRef.Ordered() {
		return r.readyOrdered(ctx, rollout)
	}
	set := workload.NewSet()
	err = r.Client.Get(ctx, types.NamespacedName{Namespace: rollout.Namespace, Name: rollout.Status.Stable.ReplicaSet}, set)
	if client.IgnoreNotFound(err) != nil {
		return pods, false, fmt.Errorf("read the stable ReplicaSet of Rollout %s: %w", rollout.Name, err)
	}
	many, _, _ := unstructured.NestedInt64(set.Object, "status", "readyReplicas")
	return stableOf(rollout), err == nil && many > 0, nil
}

// readyOrdered are the ready pods of a StatefulSet that run stable: in a run the others have
// names of the same form.
func (r *Reconciler) readyOrdered(ctx context.Context, rollout *v1alpha1.Rollout) (pods prometheus.Pods, ready bool, err error) {
	list := &corev1.PodList{}
	err = r.Client.List(ctx, list, client.InNamespace(rollout.Namespace), client.UnsafeDisableDeepCopy,
		client.MatchingLabels{appsv1.ControllerRevisionHashLabelKey: rollout.Status.Stable.ReplicaSet})
	if err != nil {
		return pods, false, fmt.Errorf("list the stable pods of Rollout %s: %w", rollout.Name, err)
	}
	var members []string
	for i := range list.Items {
		pod := &list.Items[i]
		owner := metav1.GetControllerOfNoCopy(pod)
		if owner != nil && owner.Kind == v1alpha1.KindStatefulSet && owner.Name == rollout.Spec.WorkloadRef.Name && workload.IsReady(pod) {
			members = append(members, pod.Name)
		}
	}
	slices.Sort(members)
	return prometheus.Pods{Namespace: rollout.Namespace, StatefulSet: rollout.Spec.WorkloadRef.Name, Members: [][]string{members}}, len(members) > 0, nil
}
