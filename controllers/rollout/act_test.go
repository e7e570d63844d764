package rollout

import (
	"context"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/runs"
	"belay.dev/belay/controllers/workload"
)

// inRun is the loop's look at a Rollout whose run has begun, with no canary yet.
func inRun(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) (*Reconciler, decided, client.Client) {
	t.Helper()
	rollout, run := newRollout(), runOf("shop-1")
	r, api := loopOn(t, funcs, append(objects, rollout, newDeployment())...)
	w := decided{look: &look{rollout: rollout, run: run, workload: read(t, api, shopKey, workload.NewDeployment())}, recorded: rollout}
	candidate, err := workload.Describe(workload.Template(w.workload))
	if err != nil {
		t.Fatal(err)
	}
	at := metav1.NewTime(r.Clock.Now())
	s := &rollout.Status
	s.Phase, s.Epoch, s.Run, s.RunStartedAt = v1alpha1.PhaseStepping, 3, run.Name, &at
	s.Stable, s.Candidate = &v1alpha1.Revision{Revision: "0123456789"}, &candidate
	if err := api.Status().Update(t.Context(), rollout); err != nil {
		t.Fatal(err)
	}
	run.Spec.Revision = candidate.Revision
	run.Spec.Rollout = v1alpha1.RolloutIdentity{Name: rollout.Name, UID: rollout.UID}
	return r, w, api
}

// TestARunOfAnotherRolloutIsNotTaken, although it has the name that this one's should
// have.
func TestARunOfAnotherRolloutIsNotTaken(t *testing.T) {
	for uid, own := range map[types.UID]bool{"r-1": true, "r-0": false} {
		there := runOf("shop-1")
		there.Spec.Rollout = v1alpha1.RolloutIdentity{Name: "shop", UID: uid}
		r, w, _ := inRun(t, interceptor.Funcs{}, there)
		if err := r.createRun(t.Context(), w); (err == nil) != own {
			t.Errorf("of a run of Rollout %s it says %v", uid, err)
		}
	}
}

// TestARunIsMadeWithItsFinalizer: from the first moment on, whoever deletes it.
func TestARunIsMadeWithItsFinalizer(t *testing.T) {
	r, w, api := inRun(t, interceptor.Funcs{})
	if err := r.createRun(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if run := read(t, api, client.ObjectKey{Namespace: "team", Name: "shop-1"}, &v1alpha1.RolloutRun{}); !runs.Marked(run) || len(run.Finalizers) != 1 {
		t.Errorf("it has the labels %v and the finalizers %v", run.Labels, run.Finalizers)
	}
}

// TestNoCanaryIsMadeAfterItsRun: a controller that was suspended makes none for a run
// that has gone on without it.
func TestNoCanaryIsMadeAfterItsRun(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(*v1alpha1.RolloutStatus)
		made      bool
	}{
		"as decided":       {func(*v1alpha1.RolloutStatus) {}, true},
		"rolled back":      {func(s *v1alpha1.RolloutStatus) { s.Phase, s.Epoch = v1alpha1.PhaseRollingBack, 4 }, false},
		"in the next run":  {func(s *v1alpha1.RolloutStatus) { s.Run = "shop-2" }, false},
		"handed over":      {func(s *v1alpha1.RolloutStatus) { s.Phase = v1alpha1.PhaseHandingOver }, false},
		"in another epoch": {func(s *v1alpha1.RolloutStatus) { s.Epoch = 4 }, false},
	} {
		r, w, api := inRun(t, interceptor.Funcs{})
		live := read(t, api, shopKey, &v1alpha1.Rollout{})
		c.meanwhile(&live.Status)
		if err := api.Status().Update(t.Context(), live); err != nil {
			t.Fatal(err)
		}
		err := r.scaleCanary(t.Context(), w, 1)
		sets := &appsv1.ReplicaSetList{}
		if listErr := api.List(t.Context(), sets); listErr != nil {
			t.Fatal(listErr)
		}
		if made := len(sets.Items) == 1; made != c.made || made != (err == nil) || !made && !apierrors.IsConflict(err) {
			t.Errorf("%s: %d ReplicaSets, %v", name, len(sets.Items), err)
		}
	}
}

// TestTheCanaryIsOfTheRunThatTheDecisionBegins: one decision creates the run and makes
// its first pods. A run that the cache does not show has none yet, and the run before is
// not it.
func TestTheCanaryIsOfTheRunThatTheDecisionBegins(t *testing.T) {
	_, begun, _ := inRun(t, interceptor.Funcs{})
	there, former := begun.run, runOf("shop-0")
	former.Spec.Revision = there.Spec.Revision
	behind := interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		if _, run := o.(*v1alpha1.RolloutRun); run {
			return apierrors.NewNotFound(v1alpha1.GroupVersion.WithResource("rolloutruns").GroupResource(), key.Name)
		}
		return c.Get(ctx, key, o, opts...)
	}}
	for name, c := range map[string]struct {
		funcs   interceptor.Funcs
		objects []client.Object
		made    bool
	}{
		"created":          {made: true},
		"there already":    {objects: []client.Object{there}, made: true},
		"not in the cache": {behind, []client.Object{there}, false},
	} {
		r, w, api := inRun(t, c.funcs, c.objects...)
		w.run = former
		if err := r.act(t.Context(), w, plan.CreateRun{}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		err := r.act(t.Context(), w, plan.ScaleCanary{Replicas: 1})
		sets := &appsv1.ReplicaSetList{}
		if listErr := api.List(t.Context(), sets); listErr != nil {
			t.Fatal(listErr)
		}
		made := len(sets.Items) == 1 && metav1.GetControllerOfNoCopy(&sets.Items[0]).Name == "shop-1"
		if made != c.made || made != (err == nil) || !made && !apierrors.IsConflict(err) {
			t.Errorf("%s: %d ReplicaSets, %v", name, len(sets.Items), err)
		}
	}
}

// TestAHandoverReadsPastTheCache: what it decides on is the Deployment as it is, not
// as the cache still has it, unless the cache has all that was decided.
func TestAHandoverReadsPastTheCache(t *testing.T) {
	behind := interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		err := c.Get(ctx, key, o, opts...)
		if d, ok := o.(*unstructured.Unstructured); ok && err == nil {
			err = unstructured.SetNestedField(d.Object, int64(1), "spec", "replicas")
		}
		return err
	}}
	at := metav1.Now()
	handed := &v1alpha1.PromotionStatus{HandedAt: &at}
	for name, c := range map[string]struct {
		phase     v1alpha1.Phase
		promotion *v1alpha1.PromotionStatus
		// follows its own last write.
		follows, live bool
	}{
		"in a step":                      {v1alpha1.PhaseStepping, nil, false, false},
		"handing over":                   {v1alpha1.PhaseHandingOver, nil, false, true},
		"handing over, after its own":    {v1alpha1.PhaseHandingOver, nil, true, false},
		"rolling back":                   {v1alpha1.PhaseRollingBack, nil, false, false},
		"rolling back from the handover": {v1alpha1.PhaseRollingBack, handed, false, true},
	} {
		r, w, _ := inRun(t, behind)
		w.rollout.Status.Phase, w.rollout.Status.Promotion, w.follows = c.phase, c.promotion, c.follows
		w.rollout.Status.Stable = w.rollout.Status.Candidate
		d, err := r.readWorkload(t.Context(), w.look, shopKey)
		if err != nil {
			t.Fatal(err)
		}
		if live := workload.Replicas(d) == 3; live != c.live {
			t.Errorf("%s the Deployment has %d replicas, it really has 3", name, workload.Replicas(d))
		}
	}
}

// TestAHandoverRestsOnItsLock: where the lock is refused, or the Deployment that it
// returns is not what the handover was decided on, the canary stays the run's.
func TestAHandoverRestsOnItsLock(t *testing.T) {
	answers := func(change func(*unstructured.Unstructured) error) interceptor.Funcs {
		return interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			d := o.(*unstructured.Unstructured)
			if d.GetKind() != "Deployment" {
				return c.Patch(ctx, o, p, opts...)
			}
			if err := c.Patch(ctx, o, p, opts...); err != nil {
				return err
			}
			return change(d)
		}}
	}
	for name, c := range map[string]struct {
		lock func(*unstructured.Unstructured) error
		hand bool
	}{
		"locked":  {func(*unstructured.Unstructured) error { return nil }, true},
		"refused": {func(*unstructured.Unstructured) error { return errRefused }, false},
		"another size": {func(d *unstructured.Unstructured) error {
			return unstructured.SetNestedField(d.Object, int64(5), "spec", "replicas")
		}, false},
		"another template": {func(d *unstructured.Unstructured) error {
			return unstructured.SetNestedField(d.Object, "new", "spec", "template", "metadata", "labels", "version")
		}, false},
	} {
		r, w, api := inRun(t, answers(c.lock))
		set, err := workload.Canary(w.run, w.workload, 3)
		if err != nil {
			t.Fatal(err)
		}
		if err := api.Create(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		w.canary = seenSet{object: set, Set: workload.Set{Desired: 3}}
		err = r.handOver(t.Context(), w, plan.HandOver{Replicas: 3})
		owner := metav1.GetControllerOf(read(t, api, client.ObjectKeyFromObject(set), workload.NewSet()))
		if handed := owner.Kind == "Deployment"; handed != c.hand || handed != (err == nil) {
			t.Errorf("%s: the owner is %s, %v", name, owner.Kind, err)
		}
	}
}

// TestARefusedWriteKeepsTheLabelsOfWhatItLeaves: an effect that is refused keeps no other
// back, and the write that unpauses the Deployment then leaves the run's label on it.
func TestARefusedWriteKeepsTheLabelsOfWhatItLeaves(t *testing.T) {
	for name, refused := range map[string]error{"refused": errRefused, "taken": nil} {
		r, w, api := inRun(t, interceptor.Funcs{Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
			return refused
		}})
		w.workload.SetLabels(map[string]string{v1alpha1.LabelRun: "shop-1"})
		if err := unstructured.SetNestedField(w.workload.Object, true, "spec", "paused"); err != nil {
			t.Fatal(err)
		}
		if err := api.Update(t.Context(), w.workload); err != nil {
			t.Fatal(err)
		}
		w.input.Workload.Declared.Revision = w.recorded.Status.Candidate.Revision
		unpause := plan.Unpause{Revision: w.input.Workload.Declared.Revision, Unmark: true}
		err := r.carryOut(t.Context(), w, []plan.Effect{plan.CreateRun{}, unpause})
		d := read(t, api, shopKey, workload.NewDeployment())
		paused, _, _ := unstructured.NestedBool(d.Object, "spec", "paused")
		if label := d.GetLabels()[v1alpha1.LabelRun]; paused || (label != "") != (refused != nil) || (err != nil) != (refused != nil) {
			t.Errorf("%s: paused %v, labelled %q, %v", name, paused, label, err)
		}
	}
}

// TestTheFinalizerGoesLast: while anything of Belay's is left the Rollout stays, and
// then it goes.
func TestTheFinalizerGoesLast(t *testing.T) {
	for name, c := range map[string]struct {
		services, label error
	}{
		"the Services stay": {services: errRefused}, "the label stays": {label: errRefused}, "all is gone": {},
	} {
		rollout, d := newRollout(), newDeployment()
		rollout.Finalizers, rollout.DeletionTimestamp = []string{v1alpha1.Finalizer}, &metav1.Time{Time: time.Now()}
		d.Labels = map[string]string{v1alpha1.LabelRollout: "shop"}
		r, api := loopOn(t, interceptor.Funcs{Patch: func(ctx context.Context, w client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if _, ok := o.(*unstructured.Unstructured); ok && c.label != nil {
				return c.label
			}
			return w.Patch(ctx, o, p, opts...)
		}}, rollout, d)
		r.Router = unrouted{remove: c.services}
		shop := read(t, api, shopKey, &v1alpha1.Rollout{})
		w := decided{look: &look{rollout: shop, workload: read(t, api, shopKey, workload.NewDeployment())}, recorded: shop}
		err := r.leave(t.Context(), w)
		gone := apierrors.IsNotFound(api.Get(t.Context(), shopKey, &v1alpha1.Rollout{}))
		if last := c.services == nil && c.label == nil; gone != last || gone != (err == nil) {
			t.Errorf("%s: the Rollout is gone %v, %v", name, gone, err)
		}
		label := read(t, api, shopKey, workload.NewDeployment()).GetLabels()[v1alpha1.LabelRollout]
		if want := c.label != nil; (label != "") != want {
			t.Errorf("%s: the Deployment has the label %q", name, label)
		}
	}
}
