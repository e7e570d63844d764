package rollout

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/workload"
)

// What a look sees of a StatefulSet, in the planner's words: its versions are ControllerRevisions,
// and its pods are told apart by their label controller-revision-hash.

// orderedDeadline stands for the progressDeadlineSeconds that a StatefulSet does not have: the
// default of a Deployment.
const orderedDeadline = 10 * time.Minute

// versions are those of a StatefulSet, oldest first, with the pods of each.
type versions struct {
	of     *unstructured.Unstructured
	all    []workload.Version
	places []workload.Place
	now    time.Time
}

// observeStatefulSet reads it with its ControllerRevisions and pods.
func (r *Reconciler) observeStatefulSet(ctx context.Context, l *look) error {
	if l.workload == nil {
		return nil
	}
	selector, err := selectorOf(l.workload)
	if err != nil {
		return err
	}
	revisions := workload.ControllerRevisions()
	if err := r.Client.List(ctx, revisions, client.InNamespace(l.rollout.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return fmt.Errorf("list the ControllerRevisions: %w", err)
	}
	pods, err := listPods(ctx, r.Client, l.workload, selector)
	if err != nil {
		return err
	}
	v := versions{of: l.workload, places: workload.PlacesOf(l.workload, pods), now: l.input.Now}
	if v.all, err = workload.Versions(revisions.Items, l.workload.GetUID()); err != nil {
		return err
	}
	if err := l.describeStatefulSet(v); err != nil {
		return err
	}
	if at := slices.IndexFunc(revisions.Items, func(u unstructured.Unstructured) bool { return u.GetName() == l.input.Workload.Stable.Name }); at >= 0 {
		if l.stableTemplate, err = workload.VersionTemplate(&revisions.Items[at]); err != nil {
			return err
		}
		if l.input.Workload.Stable.BaseRevision, err = l.baseOf(l.stableTemplate, l.input.Workload.Stable.Revision); err != nil {
			return err
		}
	}
	if err := l.rebaseRejected(); err != nil {
		return err
	}
	l.describeCandidate(v)
	for _, version := range v.all {
		if running := v.set(version); running.Pods > 0 && !l.runsOnTrial(version.Name) {
			l.input.Workload.Active = append(l.input.Workload.Active, running)
		}
	}
	if len(l.input.Workload.Active) == 0 {
		l.input.Workload.Active = v.toCome(l)
	}
	return r.warn(ctx, l)
}

func listPods(ctx context.Context, c client.Reader, of *unstructured.Unstructured, selector labels.Selector) ([]corev1.Pod, error) {
	pods := &corev1.PodList{}
	if err := c.List(ctx, pods, client.InNamespace(of.GetNamespace()), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, fmt.Errorf("list the pods of %s %s: %w", of.GetKind(), of.GetName(), err)
	}
	return pods.Items, nil
}

// describeStatefulSet is what the StatefulSet declares and what of it runs stable.
func (l *look) describeStatefulSet(v versions) error {
	s := l.workload
	declared, err := l.describe(s)
	if err != nil {
		return err
	}
	label, annotation := s.GetLabels(), s.GetAnnotations()
	seen, _, _ := unstructured.NestedInt64(s.Object, "status", "observedGeneration")
	update, known := v.named(workload.UpdateVersion(s))
	l.input.Workload = plan.Workload{
		Found: true, Declared: declared, Paused: l.heldBack(declared.Revision), Replicas: workload.Replicas(s),
		Observed: seen >= s.GetGeneration() && known && update.Revision == declared.Revision && l.finished(update.Name),
		Marks:    v1alpha1.MarksOf(label), UnavailableSince: v.unavailableSince(), ProgressDeadline: orderedDeadline,
		PushedBy: v1alpha1.Bounded(annotation[v1alpha1.AnnotationPushedBy], 256), Bypass: bypassOf(annotation),
		Held: workload.Partition(s) == v1alpha1.PartitionHold, MaxUnavailable: workload.MaxUnavailable(s), Fault: l.unusable(),
	}
	if stable := l.rollout.Status.Stable; stable != nil {
		if version, ok := v.running(stable.Revision); ok {
			l.input.Workload.Stable = v.set(version)
			l.input.Workload.Stable.Desired = workload.Replicas(s)
			if l.rollout.Status.Phase.InRun() {
				l.input.Workload.Stable.Desired = min(workload.Partition(s), workload.Replicas(s))
			}
		}
	}
	return nil
}

// finished is false before Belay adopts the StatefulSet, and while it rolls by itself, until its
// controller takes the version that all pods run for current. Below a partition it would make
// pods of the version before.
func (l *look) finished(update string) bool {
	must := l.rollout.Status.Stable == nil || l.rollsByItself()
	return !must || workload.Partition(l.workload) > 0 || workload.CurrentVersion(l.workload) == update
}

// unusable is why the StatefulSet's strategy does not hold a version, or not for Belay.
func (l *look) unusable() plan.Fault {
	fault := plan.Fault{Reason: v1alpha1.ReasonWorkloadNotReady, Message: v1alpha1.Bounded(workload.UnusableStrategy(l.workload), 1024)}
	partition := workload.Partition(l.workload)
	if fault.Message == "" && l.rollout.Status.Stable == nil && partition != 0 && partition != v1alpha1.PartitionHold {
		fault.Message = fmt.Sprintf("the partition of StatefulSet %s is %d, by which somebody holds pods back: Belay adopts it when spec.updateStrategy.rollingUpdate.partition is 0; until then new versions are not held", l.workload.GetName(), partition)
	}
	if fault.Message == "" {
		return plan.Fault{}
	}
	return fault
}

// heldBack is whether the StatefulSet does not roll by itself to what it declares: some of its
// pods are below its partition, or Belay itself has lowered that, for the candidate that is
// declared. Who wrote it last tells a person's release from Belay's.
func (l *look) heldBack(declared string) bool {
	if workload.Partition(l.workload) > 0 {
		return true
	}
	s := &l.rollout.Status
	if s.Candidate == nil || s.Candidate.Revision != declared {
		return false
	}
	byHandOver := s.Phase == v1alpha1.PhaseHandingOver && !l.rollsByItself()
	mine := s.Phase.Armed() || byHandOver || s.Phase == v1alpha1.PhaseRollingBack
	return mine && workload.PartitionWriter(l.workload, v1alpha1.FieldManager) == ""
}

// rollsByItself is a run that the StatefulSet's own strategy carries out.
func (l *look) rollsByItself() bool {
	s := &l.rollout.Status
	return s.Phase == v1alpha1.PhaseHandingOver && s.Promotion != nil && s.Promotion.Mode != "" && s.Promotion.Mode != v1alpha1.TakeOverHandOver
}

// describeCandidate is what runs of the candidate while its run is in progress.
func (l *look) describeCandidate(v versions) {
	s, in := &l.rollout.Status, &l.input.Canary
	if s.Candidate == nil || !s.Phase.InRun() {
		return
	}
	current, isKnown := v.named(workload.CurrentVersion(l.workload))
	l.misplaced = workload.Misplaced(l.workload, v.places, l.rollsByItself())
	if !isKnown || !l.mayComeBack(current) {
		// A pod that is deleted there would not run stable: no way back leads over it.
		partition := workload.Partition(l.workload)
		l.misplaced = slices.DeleteFunc(l.misplaced, func(p workload.Place) bool { return p.Index < partition })
	}
	for _, place := range l.misplaced {
		in.Misplaced = append(in.Misplaced, plan.Pod{Name: place.Name, Ready: workload.IsReady(place.Pod)})
	}
	in.Revision = s.Candidate.Revision
	version, known := v.running(s.Candidate.Revision)
	if !known {
		return
	}
	in.Set = v.set(version)
	in.Desired = 0
	if l.input.Workload.Declared.Revision == version.Revision {
		in.Desired = max(0, l.input.Workload.Replicas-workload.Partition(l.workload))
	}
	in.Left, in.Exists = in.Pods, in.Desired > 0 || in.Pods > 0
	in.Handed = l.rollsByItself() || isKnown && !l.isStable(current)
	for _, place := range v.places {
		if place.Version == version.Name {
			l.canaryPods = append(l.canaryPods, *place.Pod)
		}
	}
	l.judgedPods = l.canaryPods
	l.canary = seenSet{Set: workload.Set{
		Name: in.Name, Revision: in.Revision, Hash: in.Hash, Image: in.Image, Desired: in.Desired, Pods: in.Pods, Ready: in.Ready, Available: in.Available,
	}}
	if len(l.canaryPods) > 0 {
		in.Images = workload.WithDigests(s.Candidate.Images, workload.ReadyPods(l.canaryPods))
	}
	in.Cause = workload.Cause(l.canary.Set, l.canaryPods, l.input.Now)
}

// isStable is whether a version is the stable one.
func (l *look) isStable(version workload.Version) bool {
	stable := l.rollout.Status.Stable
	return stable != nil && stable.Revision == version.Revision
}

// mayComeBack is whether Belay may delete a pod that is then made again in this version: stable's
// or, where the StatefulSet rolls by its own strategy, what was let through. It is another one
// when somebody deleted the StatefulSet without its pods and made it again, and when its
// ControllerRevision is lost: its controller takes what is declared for current then.
func (l *look) mayComeBack(version workload.Version) bool {
	return l.isStable(version) || l.rollsByItself() && version.Revision == l.rollout.Status.Candidate.Revision
}

// runsOnTrial is whether a version is that of the run in progress, which counts apart.
func (l *look) runsOnTrial(version string) bool {
	return l.input.Canary.Name == version && !l.input.Canary.Handed
}

// set is a version with its pods.
func (v versions) set(version workload.Version) plan.Set {
	set := plan.Set{Name: version.Name, Revision: version.Revision, Hash: version.Name, Image: version.Image}
	for _, place := range v.places {
		if place.Version != version.Name {
			continue
		}
		set.Pods++
		if workload.IsReady(place.Pod) {
			set.Ready++
		}
		if place.IsAvailable(workload.MinReady(v.of), v.now) {
			set.Available++
		}
	}
	set.Desired = set.Pods
	return set
}

func (v versions) named(name string) (workload.Version, bool) {
	at := slices.IndexFunc(v.all, func(version workload.Version) bool { return version.Name == name })
	if at < 0 {
		return workload.Version{}, false
	}
	return v.all[at], true
}

// running is the version of a revision: of several, the one that the StatefulSet controller
// uses now, or else the newest.
func (v versions) running(revision string) (workload.Version, bool) {
	for _, name := range []string{workload.UpdateVersion(v.of), workload.CurrentVersion(v.of)} {
		if version, ok := v.named(name); ok && version.Revision == revision {
			return version, true
		}
	}
	for _, version := range slices.Backward(v.all) {
		if version.Revision == revision {
			return version, true
		}
	}
	return workload.Version{}, false
}

// toCome is the version that the first pod gets while there is none.
func (v versions) toCome(l *look) []plan.Set {
	name := workload.UpdateVersion(v.of)
	if workload.Partition(v.of) > 0 {
		name = workload.CurrentVersion(v.of)
	}
	version, ok := v.named(name)
	if !ok || workload.Replicas(v.of) == 0 || l.runsOnTrial(name) {
		return nil
	}
	set := v.set(version)
	set.Desired = workload.Replicas(v.of)
	return []plan.Set{set}
}

// unavailableSince is since when no pod is ready; nil while one is, and when that is not known.
func (v versions) unavailableSince() *time.Time {
	var newest *time.Time
	for _, place := range v.places {
		if workload.IsReady(place.Pod) {
			return nil
		}
		if since, _ := workload.UnreadySince(place.Pod); newest == nil || since.After(*newest) {
			newest = &since
		}
	}
	return newest
}
