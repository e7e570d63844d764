package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/workload"
)

// actOnStatefulSet carries out the effects on a StatefulSet: its partition and its pods.
func (r *Reconciler) actOnStatefulSet(ctx context.Context, d decided, effect plan.Effect) error {
	switch e := effect.(type) {
	case plan.ScaleCanary:
		return r.setPartition(ctx, d, partitionFor(workload.Replicas(d.workload), e.Replicas))
	case plan.Unpause:
		if d.input.Workload.Declared.Revision != e.Revision {
			return conflictOf(d.workload, "it declares another revision now")
		}
		return r.setPartition(ctx, d, 0)
	case plan.ReplacePods:
		return r.replacePods(ctx, d, e.Names)
	default:
		return fmt.Errorf("effect %T on a StatefulSet: this is a bug in Belay", effect)
	}
}

// partitionFor leaves the candidate so many pods, and with none holds also those that come.
func partitionFor(replicas, pods int32) int32 {
	if pods == 0 {
		return v1alpha1.PartitionHold
	}
	return max(0, replicas-pods)
}

// setPartition tests what the partition rests on. One that leaves pods to the candidate also
// asks whether the run goes on as it was decided: a controller that was suspended in between
// must not come after a rollback, which leaves everything that is tested as it was before.
func (r *Reconciler) setPartition(ctx context.Context, d decided, partition int32) error {
	if partition != v1alpha1.PartitionHold {
		if err := r.stillDecided(ctx, d); err != nil {
			return err
		}
	}
	patch, err := workload.SetPartition(d.workload, partition)
	return r.patch(ctx, d.workload, patch, err)
}

// replacePods deletes pods, each as it was seen. Before, it asks the API server whether all of
// them would still come back in another version, and whether as many are still missing: a cache
// that is behind must cost nobody a pod.
func (r *Reconciler) replacePods(ctx context.Context, d decided, names []string) error {
	live := workload.NewStatefulSet()
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(d.workload), live); err != nil {
		return fmt.Errorf("read the StatefulSet: %w", err)
	}
	if live.GetUID() != d.workload.GetUID() {
		return conflictOf(live, "it was made again")
	}
	if workload.CurrentVersion(live) != workload.CurrentVersion(d.workload) {
		return conflictOf(live, "its pods are made of another version by now")
	}
	selector, err := selectorOf(live)
	if err != nil {
		return err
	}
	pods, err := listPods(ctx, r.Live, live, selector)
	if err != nil {
		return err
	}
	places := workload.PlacesOf(live, pods)
	going, err := d.stillMisplaced(live, places, names)
	if err != nil {
		return err
	}
	if taken := count(going, true); taken > 0 {
		missing := workload.Replicas(live) - count(places, true)
		if most := workload.MaxUnavailable(live); missing+taken > most {
			return conflictOf(live, fmt.Sprintf("%d of its pods are missing or not ready, at most %d may be (maxUnavailable)", missing, most))
		}
	}
	var failed []error
	for _, place := range going {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: place.Namespace, Name: place.Name}}
		err := r.Client.Delete(ctx, pod, client.Preconditions{UID: new(place.UID), ResourceVersion: new(place.ResourceVersion)})
		if client.IgnoreNotFound(err) != nil {
			failed = append(failed, fmt.Errorf("delete pod %s: %w", place.Name, err))
		}
	}
	return errors.Join(failed...)
}

// stillMisplaced are the pods of these names that are the same ones as in the look, and would
// still be made again in another version. One that goes already is no conflict.
func (d decided) stillMisplaced(live *unstructured.Unstructured, places []workload.Place, names []string) ([]workload.Place, error) {
	named := func(all []workload.Place, name string) int {
		return slices.IndexFunc(all, func(p workload.Place) bool { return p.Name == name })
	}
	now := workload.Misplaced(live, places, d.rollsByItself())
	var going []workload.Place
	for _, name := range names {
		seen, at, there := named(d.misplaced, name), named(now, name), named(places, name)
		switch {
		case there < 0 || seen < 0 || places[there].UID != d.misplaced[seen].UID:
			// It goes, or was made again.
		case at < 0:
			return nil, conflictOf(live, fmt.Sprintf("pod %s is where it should be by now", name))
		default:
			going = append(going, now[at])
		}
	}
	return going, nil
}

func count(places []workload.Place, ready bool) int32 {
	var n int32
	for _, p := range places {
		if workload.IsReady(p.Pod) == ready {
			n++
		}
	}
	return n
}

func conflictOf(s *unstructured.Unstructured, why string) error {
	return apierrors.NewConflict(appsv1.Resource("statefulsets"), s.GetName(), errors.New(why))
}
