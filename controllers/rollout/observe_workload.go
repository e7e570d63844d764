package rollout

import (
	"context"
	"fmt"
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
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/wake"
	"belay.dev/belay/controllers/workload"
)

func (r *Reconciler) observeWorkload(ctx context.Context, w *world) error {
	key := types.NamespacedName{Namespace: w.rollout.Namespace, Name: w.rollout.Spec.WorkloadRef.Name}
	d, err := r.readDeployment(ctx, w, key)
	if err != nil {
		return err
	}
	selector := labels.SelectorFromSet(labels.Set{v1alpha1.LabelRollout: w.rollout.Name, v1alpha1.LabelRole: v1alpha1.RoleCanary})
	if d != nil {
		w.deployment = d
		if selector, err = selectorOf(d); err != nil {
			return err
		}
	}
	sets, err := r.readSets(ctx, w, selector)
	if err != nil {
		return err
	}
	if d != nil {
		if err := r.describeWorkload(ctx, w, sets); err != nil {
			return err
		}
	}
	return r.describeCanary(ctx, w, sets)
}

// readDeployment reads past the cache where a decision must see what another
// process may have written, or would be drastic if the cache were behind: in a
// handover that this process has not gone on with yet, and when the Deployment seems
// to roll although nobody let it. It is nil when there is no such Deployment.
func (r *Reconciler) readDeployment(ctx context.Context, w *world, key types.NamespacedName) (*unstructured.Unstructured, error) {
	d := workload.NewDeployment()
	err := r.Client.Get(ctx, key, d)
	live := w.mustReadLive()
	if err == nil && !w.inHandover() && !workload.Paused(d) && w.rollout.Status.Stable != nil {
		declared, err := w.describe(d)
		live = err == nil && declared.Revision != w.rollout.Status.Stable.Revision
	}
	if live || apierrors.IsNotFound(err) {
		d = workload.NewDeployment()
		err = r.Live.Get(ctx, key, d)
	}
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the Deployment: %w", err)
	}
	return d, nil
}

// describe computes the revision of a Deployment's template once in a look.
func (w *world) describe(d *unstructured.Unstructured) (v1alpha1.Revision, error) {
	if w.described == d {
		return w.declared, nil
	}
	declared, err := workload.Describe(workload.Template(d))
	if err == nil {
		w.described, w.declared = d, declared
	}
	return declared, err
}

// inHandover holds from the decision about the first handover to its end.
func (w *world) inHandover() bool {
	s := &w.rollout.Status
	return s.Phase == v1alpha1.PhaseHandingOver || s.Phase == v1alpha1.PhaseRollingBack && s.Promotion != nil && s.Promotion.HandedAt != nil
}

// mustReadLive holds in a handover while somebody else wrote the Rollout last: after
// a restart, and beside another process, the cache may lack what was decided there.
func (w *world) mustReadLive() bool { return w.inHandover() && !w.follows }

func selectorOf(d *unstructured.Unstructured) (labels.Selector, error) {
	raw, _, _ := unstructured.NestedMap(d.Object, "spec", "selector")
	declared := &metav1.LabelSelector{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, declared); err != nil {
		return nil, fmt.Errorf("read the Deployment's selector: %w", err)
	}
	selector, err := metav1.LabelSelectorAsSelector(declared)
	if err != nil {
		return nil, fmt.Errorf("read the Deployment's selector: %w", err)
	}
	return selector, nil
}

func (r *Reconciler) readSets(ctx context.Context, w *world, selector labels.Selector) ([]workload.Set, error) {
	list := workload.Sets()
	err := r.Client.List(ctx, list, client.InNamespace(w.rollout.Namespace), client.MatchingLabelsSelector{Selector: selector})
	if err != nil {
		return nil, fmt.Errorf("list the ReplicaSets: %w", err)
	}
	var sets []workload.Set
	for i := range list.Items {
		u := &list.Items[i]
		if w.mustReadLive() && u.GetLabels()[v1alpha1.LabelRun] == v1alpha1.RunLabel(w.rollout.Status.Run) {
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
		w.sets[u.GetName()], w.read[u.GetName()] = u, set
		sets = append(sets, set)
	}
	return sets, nil
}

func (r *Reconciler) describeWorkload(ctx context.Context, w *world, sets []workload.Set) error {
	d := w.deployment
	declared, err := w.describe(d)
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
		PushedBy:         bounded(annotation[v1alpha1.AnnotationPushedBy], 256),
		Bypass: plan.Bypass{
			By:     bounded(annotation[v1alpha1.AnnotationBypassBy], 256),
			Reason: bounded(annotation[v1alpha1.AnnotationBypassReason], 256),
		},
	}
	if stable := w.rollout.Status.Stable; stable != nil {
		if set, ok := workload.Stable(sets, d.GetUID(), stable.Revision); ok {
			w.stable, in.Stable = w.sets[set.Name], planSet(set)
			in.StableUnmarked = w.stable.GetLabels()[v1alpha1.LabelRollout] != w.rollout.Name || w.stable.GetLabels()[v1alpha1.LabelRole] != v1alpha1.RoleStable
		}
	}
	for _, set := range workload.Active(sets, d.GetUID()) {
		in.Active = append(in.Active, planSet(set))
	}
	w.input.Workload = in
	return r.warn(ctx, w)
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
// beside a canary at full size, a history without room for stable.
func (r *Reconciler) warn(ctx context.Context, w *world) error {
	w.input.Workload.Warning = workload.HistoryWarning(w.deployment)
	hpas := &autoscalingv2.HorizontalPodAutoscalerList{}
	if err := r.Client.List(ctx, hpas, client.InNamespace(w.rollout.Namespace), client.MatchingFields{wake.ByTarget: w.deployment.GetName()}); err != nil {
		return fmt.Errorf("list the autoscalers: %w", err)
	}
	for i := range hpas.Items {
		if warning := workload.HPAWarning(&hpas.Items[i]); warning != "" {
			w.input.Workload.Warning = warning
		}
	}
	return nil
}

// describeCanary finds the ReplicaSet of the run in progress by its mark and its
// owner, whatever its template has become, and those of former runs.
func (r *Reconciler) describeCanary(ctx context.Context, w *world, sets []workload.Set) error {
	status := &w.rollout.Status
	runs := workload.RunSetsOf(sets, w.runOwner())
	if runs.Canary != nil {
		w.takeCanary(*runs.Canary, runs.Handed)
	}
	w.input.Canary.Former, w.input.Canary.Adopted, w.input.Canary.Leftover = runs.Former, runs.Adopted, runs.Leftover
	if w.deployment == nil || status.Candidate == nil {
		return nil
	}
	if set, ok := workload.Chosen(sets, w.deployment.GetUID(), w.canarySet, w.input.Workload.Declared.Revision); ok && w.canary != nil {
		w.input.Workload.Chosen = set.Name
	}
	w.input.Canary.Recognised = w.canary != nil && workload.Recognised(w.canarySet, sets, w.deployment.GetUID())
	return r.describePods(ctx, w, sets)
}

func (w *world) runOwner() workload.RunOwner {
	s := &w.rollout.Status
	o := workload.RunOwner{
		Rollout: w.rollout.Name, RolloutUID: w.rollout.UID, HandOverDecided: s.Promotion != nil && s.Promotion.HandedAt != nil,
		FenceOf: func(set *workload.Set) int64 { return w.fenceOf(w.sets[set.Name]) },
	}
	if w.deployment != nil {
		o.Deployment = w.deployment.GetUID()
	}
	if s.Phase.InRun() {
		o.Run = s.Run
	}
	if s.Phase == v1alpha1.PhaseRollingBack {
		o.FencedAt = s.Epoch
	}
	return o
}

// fenceOf is the epoch that the last fence has left on a set; 0 without one.
func (w *world) fenceOf(set *unstructured.Unstructured) int64 {
	epoch, err := strconv.ParseInt(set.GetAnnotations()[v1alpha1.AnnotationFence+w.rollout.Name], 10, 64)
	if err != nil {
		return 0
	}
	return epoch
}

func (w *world) takeCanary(set workload.Set, handed bool) {
	u := w.sets[set.Name]
	w.canary, w.canarySet = u, set
	in := &w.input.Canary
	in.Set = planSet(set)
	in.Exists, in.Handed, in.Borrowed = !set.Deleting, handed, set.Borrowed
	in.Epoch = w.fenceOf(u)
	candidate := w.rollout.Status.Candidate
	if candidate == nil || set.Revision == candidate.Revision || w.run == nil {
		return
	}
	wanted := map[string]any{}
	if err := decodeTemplate(w.run.Spec.Template, &wanted); err == nil {
		in.Changed = workload.Difference(wanted, workload.Template(u))
	}
	if in.Changed == "" {
		in.Changed = "its revision is " + set.Revision
	}
}

// describePods reads the candidate's pods: only those.
func (r *Reconciler) describePods(ctx context.Context, w *world, sets []workload.Set) error {
	if !w.rollout.Status.Phase.InRun() {
		return nil
	}
	candidate := w.rollout.Status.Candidate.Revision
	hash := w.canaryHash()
	pods := &corev1.PodList{}
	matching := client.MatchingLabels{appsv1.DefaultDeploymentUniqueLabelKey: hash}
	if w.input.Canary.Former {
		matching = client.MatchingLabels{v1alpha1.LabelRevision: candidate, v1alpha1.LabelRole: v1alpha1.RoleCanary}
	}
	selector, err := selectorOf(w.deployment)
	if err != nil {
		return err
	}
	if err := r.Client.List(ctx, pods, client.InNamespace(w.rollout.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return fmt.Errorf("list the Deployment's pods: %w", err)
	}
	for i := range pods.Items {
		if labels.SelectorFromSet(labels.Set(matching)).Matches(labels.Set(pods.Items[i].Labels)) {
			w.canaryPods = append(w.canaryPods, pods.Items[i])
		}
	}
	w.judgedPods = append(w.judgedPods, w.canaryPods...)
	for _, set := range workload.ControlledBy(sets, w.deployment.GetUID()) {
		if set.Revision == candidate && set.UID != w.canarySet.UID {
			w.judgedPods = append(w.judgedPods, workload.OwnedBy(pods.Items, set.UID)...)
		}
	}
	in := &w.input.Canary
	if !in.Handed && !w.deploymentRuns(hash) {
		in.Left = int32(len(workload.ActivePods(w.canaryPods)))
	}
	if in.Hash == "" {
		in.Hash = hash
	}
	if w.canary != nil && len(w.canaryPods) > 0 {
		in.Images = workload.WithDigests(w.rollout.Status.Candidate.Images, workload.ReadyPods(w.canaryPods))
	}
	in.Cause = workload.Cause(w.canarySet, w.canaryPods, w.input.Now)
	return nil
}

// deploymentRuns reports whether the Deployment controls a set with this hash that has
// pods: they are its own then, whatever was tried, and go with its next version.
func (w *world) deploymentRuns(hash string) bool {
	for _, set := range w.read {
		if w.deployment != nil && set.Hash == hash && set.ControllerUID == w.deployment.GetUID() && set.Pods > 0 {
			return true
		}
	}
	return false
}

// borrowable is the Deployment's own idle set that runs a revision.
func (w *world) borrowable(revision string) *unstructured.Unstructured {
	if w.deployment == nil {
		return nil
	}
	var all []workload.Set
	for name, set := range w.read {
		if metav1.IsControlledBy(w.sets[name], w.deployment) && !set.Deleting {
			all = append(all, set)
		}
	}
	set, ok := workload.NewReplicaSet(all, revision)
	if !ok || set.Desired > 0 || set.Pods > 0 {
		return nil
	}
	return w.sets[set.Name]
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
