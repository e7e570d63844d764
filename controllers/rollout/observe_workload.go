package rollout

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/guardrails"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/wake"
	"belay.dev/belay/controllers/workload"
)

func (r *Reconciler) observeWorkload(ctx context.Context, l *look) error {
	key := types.NamespacedName{Namespace: l.rollout.Namespace, Name: l.rollout.Spec.WorkloadRef.Name}
	d, err := r.readWorkload(ctx, l, key)
	if err != nil {
		return err
	}
	if l.ordered() {
		l.workload = d
		return r.observeStatefulSet(ctx, l)
	}
	var selectors []labels.Selector
	if d != nil {
		l.workload = d
		selector, err := selectorOf(d)
		if err != nil {
			return err
		}
		selectors = append(selectors, selector)
	}
	// Also of a Deployment that was made again with another selector.
	selectors = append(selectors, labels.SelectorFromSet(labels.Set{v1alpha1.LabelRollout: l.rollout.Name, v1alpha1.LabelRole: v1alpha1.RoleCanary}))
	sets, err := r.readSets(ctx, l, selectors)
	if err != nil {
		return err
	}
	if d != nil {
		if err := r.describeWorkload(ctx, l, sets); err != nil {
			return err
		}
	}
	return r.describeCanary(ctx, l, sets)
}

// readWorkload reads past the cache where a decision must see what another
// process may have written, or would be drastic if the cache were behind: in a
// handover that this process has not gone on with yet, and when the workload seems
// to roll although nobody let it. It is nil when there is no such workload.
func (r *Reconciler) readWorkload(ctx context.Context, l *look, key types.NamespacedName) (*unstructured.Unstructured, error) {
	d := l.emptyWorkload()
	err := r.Client.Get(ctx, key, d)
	live := l.mustReadLive()
	if err == nil && !l.inHandover() && !l.holds(d) && l.rollout.Status.Stable != nil {
		declared, err := l.describe(d)
		live = err == nil && declared.Revision != l.rollout.Status.Stable.Revision
	}
	if live || apierrors.IsNotFound(err) {
		d = l.emptyWorkload()
		err = r.Live.Get(ctx, key, d)
	}
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the %s: %w", d.GetKind(), err)
	}
	return d, nil
}

func (l *look) emptyWorkload() *unstructured.Unstructured {
	if l.ordered() {
		return workload.NewStatefulSet()
	}
	return workload.NewDeployment()
}

// holds is whether the workload itself keeps pods from the version that it declares.
func (l *look) holds(d *unstructured.Unstructured) bool {
	if l.ordered() {
		return workload.Partition(d) > 0
	}
	return workload.Paused(d)
}

// describe computes the revision of a Deployment's template once in a look.
func (l *look) describe(d *unstructured.Unstructured) (v1alpha1.Revision, error) {
	if l.described == d {
		return l.declared, nil
	}
	declared, err := workload.Describe(workload.Template(d))
	if err != nil {
		return declared, err
	}
	if declared.BaseRevision, err = l.baseOf(workload.Template(d), declared.Revision); err != nil {
		return declared, err
	}
	l.described, l.declared = d, declared
	return declared, nil
}

// inHandover holds from the decision about the first handover to its end.
func (l *look) inHandover() bool {
	s := &l.rollout.Status
	return s.Phase == v1alpha1.PhaseHandingOver || s.Phase == v1alpha1.PhaseRollingBack && s.Promotion != nil && s.Promotion.HandedAt != nil
}

// mustReadLive holds in a handover while somebody else wrote the Rollout last: after
// a restart, and beside another process, the cache may lack what was decided there.
func (l *look) mustReadLive() bool { return l.inHandover() && !l.follows }

func selectorOf(d *unstructured.Unstructured) (labels.Selector, error) {
	raw, _, _ := unstructured.NestedMap(d.Object, "spec", "selector")
	declared := &metav1.LabelSelector{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, declared); err != nil {
		return nil, fmt.Errorf("read the selector of %s %s: %w", d.GetKind(), d.GetName(), err)
	}
	selector, err := metav1.LabelSelectorAsSelector(declared)
	if err != nil {
		return nil, fmt.Errorf("read the selector of %s %s: %w", d.GetKind(), d.GetName(), err)
	}
	return selector, nil
}

// readSets reads the ReplicaSets that match any of the selectors, each once, although the
// labels of one may change between two lists.
func (r *Reconciler) readSets(ctx context.Context, l *look, selectors []labels.Selector) ([]workload.Set, error) {
	var items []unstructured.Unstructured
	for _, selector := range selectors {
		list := workload.Sets()
		err := r.Client.List(ctx, list, client.InNamespace(l.rollout.Namespace), client.MatchingLabelsSelector{Selector: selector})
		if err != nil {
			return nil, fmt.Errorf("list the ReplicaSets: %w", err)
		}
		for _, u := range list.Items {
			same := func(listed unstructured.Unstructured) bool { return listed.GetName() == u.GetName() }
			if !slices.ContainsFunc(items, same) {
				items = append(items, u)
			}
		}
	}
	var sets []workload.Set
	for i := range items {
		u := &items[i]
		if l.mustReadLive() && u.GetLabels()[v1alpha1.LabelRun] == v1alpha1.RunLabel(l.rollout.Status.Run) {
			live := workload.NewSet()
			if err := r.Live.Get(ctx, client.ObjectKeyFromObject(u), live); err != nil {
				if apierrors.IsNotFound(err) {
					continue
				}
				return nil, fmt.Errorf("read ReplicaSet %s: %w", u.GetName(), err)
			}
			u = live
		}
		set, err := workload.ReadSet(u)
		if err != nil {
			return nil, err
		}
		l.sets[u.GetName()] = seenSet{u, set}
		sets = append(sets, set)
	}
	return sets, nil
}

func (r *Reconciler) describeWorkload(ctx context.Context, l *look, sets []workload.Set) error {
	d := l.workload
	declared, err := l.describe(d)
	if err != nil {
		return err
	}
	label, annotation := d.GetLabels(), d.GetAnnotations()
	strategy, _, _ := unstructured.NestedString(d.Object, "spec", "strategy", "type")
	observed, _, _ := unstructured.NestedInt64(d.Object, "status", "observedGeneration")
	in := plan.Workload{
		Found: true, Declared: declared, Paused: workload.Paused(d), Replicas: workload.Replicas(d),
		Recreate: strategy == string(appsv1.RecreateDeploymentStrategyType), Observed: observed >= d.GetGeneration(),
		Marks: v1alpha1.MarksOf(label), Lock: label[v1alpha1.LabelHandover], UnavailableSince: unavailableSince(d),
		ProgressDeadline: workload.ProgressDeadline(d),
		PushedBy:         v1alpha1.Bounded(annotation[v1alpha1.AnnotationPushedBy], 256), Bypass: bypassOf(annotation),
	}
	if stable := l.rollout.Status.Stable; stable != nil {
		if set, ok := workload.Stable(sets, d.GetUID(), stable.Revision); ok {
			l.stable, in.Stable = l.sets[set.Name], planSet(set)
			l.stableTemplate = workload.Template(l.stable.object)
			if in.Stable.BaseRevision, err = l.baseOf(l.stableTemplate, set.Revision); err != nil {
				return err
			}
			marks := l.stable.object.GetLabels()
			in.StableUnmarked = marks[v1alpha1.LabelRollout] != l.rollout.Name || marks[v1alpha1.LabelRole] != v1alpha1.RoleStable
		}
	}
	for _, set := range workload.Active(sets, d.GetUID()) {
		in.Active = append(in.Active, planSet(set))
	}
	l.input.Workload = in
	if err := l.rebaseRejected(); err != nil {
		return err
	}
	return r.warn(ctx, l)
}

// bypassOf is what the guard has stamped of the last bypass.
func bypassOf(annotations map[string]string) plan.Bypass {
	return plan.Bypass{
		By:     v1alpha1.Bounded(annotations[v1alpha1.AnnotationBypassBy], 256),
		Reason: v1alpha1.Bounded(annotations[v1alpha1.AnnotationBypassReason], 256),
	}
}

// planSet is what the planner sees of a ReplicaSet.
func planSet(set workload.Set) plan.Set {
	return plan.Set{
		Name: set.Name, Revision: set.Revision, Hash: set.Hash, Image: set.Image,
		Desired: set.Desired, Pods: set.Pods, Ready: set.Ready, Available: set.Available,
	}
}

// unavailableSince is when the Deployment lost its minimum of available pods, as
// its own controller says.
func unavailableSince(d *unstructured.Unstructured) *time.Time {
	conditions, _, _ := unstructured.NestedSlice(d.Object, "status", "conditions")
	for _, c := range conditions {
		condition, _ := c.(map[string]any)
		if condition["type"] != string(appsv1.DeploymentAvailable) || condition["status"] != string(corev1.ConditionFalse) {
			continue
		}
		text, _ := condition["lastTransitionTime"].(string)
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			return &at
		}
	}
	return nil
}

// warn looks for what will surprise people later: an autoscaler that runs away
// beside a canary at full size, a history without room for stable, steps that are too short
// for what a guardrail demands, configuration that changes without a new version.
func (r *Reconciler) warn(ctx context.Context, l *look) error {
	if !l.ordered() {
		l.input.Workload.Warning = workload.HistoryWarning(l.workload)
	}
	hpas := &autoscalingv2.HorizontalPodAutoscalerList{}
	if err := r.Client.List(ctx, hpas, client.InNamespace(l.rollout.Namespace), client.MatchingFields{wake.ByTarget: wake.WorkloadKey(l.rollout.Spec.WorkloadRef.Kind, l.rollout.Spec.WorkloadRef.Name)}); err != nil {
		return fmt.Errorf("list the autoscalers: %w", err)
	}
	for i := range hpas.Items {
		if warning := workload.HPAWarning(&hpas.Items[i]); warning != "" {
			l.input.Workload.Warning = warning
		}
	}
	if l.input.Workload.Warning != "" || l.rollout.Status.Phase.InRun() {
		return nil
	}
	var err error
	if l.input.Workload.Warning, err = guardrails.Warning(ctx, r.Client, l.rollout); err != nil || l.input.Workload.Warning != "" {
		return err
	}
	if wrong, write := workload.ConfigWarning(workload.Template(l.workload)); wrong != "" {
		l.input.Workload.Warning = wrong + "; " + write
	}
	return nil
}

// describeCanary finds the ReplicaSet of the run in progress by its mark and its
// owner, whatever its template has become, and those of former runs.
func (r *Reconciler) describeCanary(ctx context.Context, l *look, sets []workload.Set) error {
	status := &l.rollout.Status
	runs := workload.RunSetsOf(sets, l.runOwner())
	if runs.Canary != nil {
		l.takeCanary(l.sets[runs.Canary.Name], runs.Handed)
	}
	l.input.Canary.Former, l.input.Canary.Adopted, l.input.Canary.Leftover = runs.Former, runs.Adopted, runs.Leftover
	if l.workload == nil || status.Candidate == nil {
		return nil
	}
	if set, ok := workload.Chosen(sets, l.workload.GetUID(), l.canary.Set, l.input.Workload.Declared.Revision); ok && l.canary.object != nil {
		l.input.Workload.Chosen = set.Name
	}
	l.input.Canary.Recognised = l.canary.object != nil && workload.Recognised(l.canary.Set, sets, l.workload.GetUID())
	return r.describePods(ctx, l, sets)
}

func (l *look) runOwner() workload.RunOwner {
	s := &l.rollout.Status
	o := workload.RunOwner{
		Rollout: l.rollout.Name, RolloutUID: l.rollout.UID, HandOverDecided: s.Promotion != nil && s.Promotion.HandedAt != nil,
		FenceOf: func(set *workload.Set) int64 { return workload.FenceOf(l.sets[set.Name].object, l.rollout.Name) },
	}
	if l.workload != nil {
		o.Deployment = l.workload.GetUID()
	}
	if s.Phase.InRun() {
		o.Run = s.Run
	}
	if s.Phase == v1alpha1.PhaseRollingBack {
		o.FencedAt = s.Epoch
	}
	return o
}

func (l *look) takeCanary(set seenSet, handed bool) {
	l.canary = set
	in := &l.input.Canary
	in.Set = planSet(set.Set)
	in.Exists, in.Handed, in.Borrowed = !set.Deleting, handed, set.Borrowed
	in.Epoch = workload.FenceOf(set.object, l.rollout.Name)
	candidate := l.rollout.Status.Candidate
	if candidate == nil || set.Revision == candidate.Revision || l.run == nil {
		return
	}
	wanted := map[string]any{}
	if err := decodeTemplate(l.run.Spec.Template, &wanted); err == nil {
		in.Changed = workload.Difference(wanted, workload.Template(set.object))
	}
	if in.Changed == "" {
		in.Changed = "its revision is " + set.Revision
	}
}

// describePods reads the candidate's pods: only those.
func (r *Reconciler) describePods(ctx context.Context, l *look, sets []workload.Set) error {
	if !l.rollout.Status.Phase.InRun() {
		return nil
	}
	candidate := l.rollout.Status.Candidate.Revision
	hash := l.canaryHash(l.rollout.Status.Candidate)
	pods := &corev1.PodList{}
	matching := client.MatchingLabels{appsv1.DefaultDeploymentUniqueLabelKey: hash}
	if l.input.Canary.Former {
		matching = client.MatchingLabels{v1alpha1.LabelRevision: candidate, v1alpha1.LabelRole: v1alpha1.RoleCanary}
	}
	selector, err := selectorOf(l.workload)
	if err != nil {
		return err
	}
	if err := r.Client.List(ctx, pods, client.InNamespace(l.rollout.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return fmt.Errorf("list the pods of %s %s: %w", l.workload.GetKind(), l.workload.GetName(), err)
	}
	for i := range pods.Items {
		if labels.SelectorFromSet(labels.Set(matching)).Matches(labels.Set(pods.Items[i].Labels)) {
			l.canaryPods = append(l.canaryPods, pods.Items[i])
		}
	}
	l.judgedPods = append(l.judgedPods, l.canaryPods...)
	for _, set := range workload.ControlledBy(sets, l.workload.GetUID()) {
		if set.Revision == candidate && set.UID != l.canary.UID {
			l.judgedPods = append(l.judgedPods, workload.OwnedBy(pods.Items, set.UID)...)
		}
	}
	in := &l.input.Canary
	if !in.Handed && !l.deploymentRuns(hash) {
		in.Left = int32(len(workload.ActivePods(l.canaryPods)))
	}
	if in.Hash == "" {
		in.Hash = hash
	}
	if l.canary.object != nil && len(l.canaryPods) > 0 {
		in.Images = workload.WithDigests(l.rollout.Status.Candidate.Images, workload.ReadyPods(l.canaryPods))
	}
	in.Cause = workload.Cause(l.canary.Set, l.canaryPods, l.input.Now)
	return nil
}

// deploymentRuns reports whether the Deployment controls a set with this hash that has
// pods: they are its own then, whatever was tried, and go with its next version.
func (l *look) deploymentRuns(hash string) bool {
	for _, set := range l.sets {
		if l.workload != nil && set.Hash == hash && set.ControllerUID == l.workload.GetUID() && set.Pods > 0 {
			return true
		}
	}
	return false
}

// borrowable is the Deployment's own idle set that runs a revision.
func (l *look) borrowable(revision string) (seenSet, bool) {
	if l.workload == nil {
		return seenSet{}, false
	}
	var all []workload.Set
	for _, set := range l.sets {
		if metav1.IsControlledBy(set.object, l.workload) && !set.Deleting {
			all = append(all, set.Set)
		}
	}
	set, ok := workload.NewReplicaSet(all, revision)
	if !ok || set.Desired > 0 || set.Pods > 0 {
		return seenSet{}, false
	}
	return l.sets[set.Name], true
}

// highestNumber is the largest number any run's name ends in.
func highestNumber(runs []v1alpha1.RolloutRun) int32 {
	var highest int32
	for i := range runs {
		name := runs[i].Name
		n, err := strconv.ParseInt(name[strings.LastIndexByte(name, '-')+1:], 10, 32)
		if err == nil {
			highest = max(highest, int32(n))
		}
	}
	return highest
}
