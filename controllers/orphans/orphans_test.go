package orphans

import (
	"context"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/api/v1alpha1"
)

var (
	shop = types.NamespacedName{Namespace: "shop", Name: "shop"}
	now  = time.Date(2026, 11, 25, 18, 0, 0, 0, time.UTC)
)

func newClient(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return fake.NewClientBuilder().WithScheme(s).WithStatusSubresource(&v1alpha1.RolloutRun{}).WithObjects(objects...).Build()
}

func rolloutFor(name, workload string) *v1alpha1.Rollout {
	return &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       v1alpha1.RolloutSpec{WorkloadRef: v1alpha1.WorkloadRef{Name: workload}},
	}
}

func held() *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop", Labels: map[string]string{
			"team": "shop", v1alpha1.LabelRollout: "shop", v1alpha1.LabelRejected: "9fd21c3b07", v1alpha1.LabelRun: "shop-1",
			v1alpha1.LabelNarrowed: "web", v1alpha1.LabelHandover: "shop-1",
		}},
		Spec: appsv1.DeploymentSpec{Paused: true},
	}
}

// cold is a cache that has seen no Rollout.
func cold(c client.WithWatch) client.Client {
	return interceptor.NewClient(c, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		if _, ok := o.(*v1alpha1.Rollout); ok {
			return apierrors.NewNotFound(schema.GroupResource{Group: "belay.dev", Resource: "rollouts"}, key.Name)
		}
		return c.Get(ctx, key, o, opts...)
	}})
}

func labelsOf(g *WithT, t *testing.T, c client.Reader) map[string]string {
	d := &appsv1.Deployment{}
	g.Expect(c.Get(t.Context(), shop, d)).To(Succeed())
	return d.Labels
}

func TestLabelsOfARolloutThatIsGone(t *testing.T) {
	for name, tc := range map[string]struct {
		rollouts []client.Object
		says     string
	}{
		"gone":                       {nil, `Rollout "shop" does not exist: removed the labels belay.dev/rollout, belay.dev/rejected, belay.dev/run, belay.dev/narrowed, belay.dev/handover;`},
		"of another Deployment":      {[]client.Object{rolloutFor("shop", "other")}, `Rollout "shop" is for Deployment "other": removed the labels belay.dev/rollout`},
		"another Rollout is for it":  {[]client.Object{rolloutFor("new", "shop")}, `Rollout "shop" does not exist: removed`},
		"one in another namespace":   {[]client.Object{&v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "shop"}}}, "does not exist"},
		"says that it stays paused":  {nil, "It stays paused; to roll out its present template: kubectl -n shop rollout resume deployment/shop."},
		"says what it would let out": {nil, "revision 9fd21c3b07, was rejected before."},
		"says which Service":         {nil, "Service web may still select the pods of one version only: remove pod-template-hash"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			c := newClient(t, append(tc.rollouts, held())...)
			recorder := events.NewFakeRecorder(4)
			r := &Labels{Client: c, Live: c, Events: recorder, FieldManager: "belay"}
			_, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: shop})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(labelsOf(g, t, c)).To(Equal(map[string]string{"team": "shop"}))
			said := <-recorder.Events
			g.Expect(said).To(ContainSubstring(tc.says))
			g.Expect(len(said)).To(BeNumerically("<", 1024))
			_, err = r.Reconcile(t.Context(), reconcile.Request{NamespacedName: shop})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(recorder.Events).To(BeEmpty(), "said once")
		})
	}
}

// TestLabelsOfAStatefulSet: they go, and the partition that holds it stays, unless a Rollout is
// for it: one for a Deployment of the same name is not.
func TestLabelsOfAStatefulSet(t *testing.T) {
	ordered := rolloutFor("shop", "shop")
	ordered.Spec.WorkloadRef.Kind = v1alpha1.KindStatefulSet
	for name, tc := range map[string]struct {
		rollout   *v1alpha1.Rollout
		partition *int32
		says      string
	}{
		"gone": {nil, new(v1alpha1.PartitionHold), `Rollout "shop" does not exist: removed the labels belay.dev/rollout, belay.dev/rejected; Belay no longer holds this StatefulSet when its template changes. ` +
			`Its present template, revision 9fd21c3b07, was rejected before. It keeps its partition of 2147483647, below which pods keep their version; to roll out its present template: ` +
			`kubectl -n shop patch statefulset shop --type=merge -p '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}'.`},
		"not held":          {nil, nil, `was rejected before.`},
		"of the Deployment": {rolloutFor("shop", "shop"), new(int32(0)), `Rollout "shop" is for Deployment "shop": removed the labels belay.dev/rollout, belay.dev/rejected; Belay no longer holds`},
		"its own":           {ordered, new(v1alpha1.PartitionHold), ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop", Labels: map[string]string{v1alpha1.LabelRollout: "shop", v1alpha1.LabelRejected: "9fd21c3b07"}}}
			set.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: tc.partition}
			// A Deployment of the name is left alone.
			objects := []client.Object{set, held()}
			if tc.rollout != nil {
				objects = append(objects, tc.rollout)
			}
			c, recorder := newClient(t, objects...), events.NewFakeRecorder(4)
			r := &Labels{Kind: v1alpha1.KindStatefulSet, Client: c, Live: c, Events: recorder, FieldManager: "belay"}
			_, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: shop})
			g.Expect(err).NotTo(HaveOccurred())
			now := &appsv1.StatefulSet{}
			g.Expect(c.Get(t.Context(), shop, now)).To(Succeed())
			g.Expect(now.Spec).To(Equal(set.Spec))
			g.Expect(labelsOf(g, t, c)).To(Equal(held().Labels))
			if tc.says == "" {
				g.Expect(now.Labels).To(Equal(set.Labels))
				g.Expect(recorder.Events).To(BeEmpty())
				return
			}
			g.Expect(now.Labels).To(BeEmpty())
			said := <-recorder.Events
			g.Expect(said).To(ContainSubstring(tc.says))
		})
	}
}

func TestLabelsThatStay(t *testing.T) {
	kindGone := interceptor.NewClient(newClient(t), interceptor.Funcs{Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
		return apierrors.NewGenericServerResponse(404, "get", schema.GroupResource{Group: "belay.dev", Resource: "rollouts"}, "shop", "404 page not found", 0, true)
	}})
	unlabelled := held()
	unlabelled.Labels = map[string]string{"team": "shop"}
	live := newClient(t, rolloutFor("shop", "shop"))
	for name, tc := range map[string]struct {
		deployment *appsv1.Deployment
		cached     []client.Object
		live       client.Reader
		fails      bool
	}{
		"its Rollout exists":                {held(), []client.Object{rolloutFor("shop", "shop")}, newClient(t), false},
		"the cache is cold":                 {held(), nil, live, false},
		"the API server knows no such kind": {held(), nil, kindGone, true},
		"not labelled":                      {unlabelled, nil, newClient(t), false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			c := newClient(t, append(tc.cached, tc.deployment.DeepCopy())...)
			recorder := events.NewFakeRecorder(4)
			r := &Labels{Client: c, Live: tc.live, Events: recorder, FieldManager: "belay"}
			_, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: shop})
			g.Expect(err != nil).To(Equal(tc.fails), fmt.Sprint(err))
			g.Expect(labelsOf(g, t, c)).To(Equal(tc.deployment.Labels))
			g.Expect(recorder.Events).To(BeEmpty())
		})
	}
}

// TestLabelsThatChangedMeanwhile: what was judged is what is written, or nothing.
func TestLabelsThatChangedMeanwhile(t *testing.T) {
	g := NewWithT(t)
	c := newClient(t, held())
	refused := 0
	racing := interceptor.NewClient(c, interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
		d := &appsv1.Deployment{}
		g.Expect(c.Get(ctx, shop, d)).To(Succeed())
		d.Annotations = map[string]string{"meanwhile": "changed"}
		g.Expect(c.Update(ctx, d)).To(Succeed())
		if err := c.Patch(ctx, o, patch, opts...); err != nil {
			refused++
			// The API server's answer to a test that fails.
			return apierrors.NewGenericServerResponse(422, "", schema.GroupResource{}, "", err.Error(), 0, false)
		}
		return nil
	}})
	recorder := events.NewFakeRecorder(4)
	r := &Labels{Client: racing, Live: c, Events: recorder, FieldManager: "belay"}
	result, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: shop})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(refused).To(Equal(1))
	g.Expect(result.RequeueAfter).To(Equal(lookAgain))
	g.Expect(labelsOf(g, t, c)).To(Equal(held().Labels))
	g.Expect(recorder.Events).To(BeEmpty())
}

func runOf(rollout string, number int, finished time.Duration) *v1alpha1.RolloutRun {
	r := &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: fmt.Sprintf("%s-%d", rollout, number), UID: types.UID(fmt.Sprint(rollout, number)), Labels: map[string]string{v1alpha1.LabelRollout: rollout},
	}}
	r.Spec.Rollout.Name = rollout
	r.Spec.StartedAt = metav1.NewTime(now.Add(-finished - time.Hour))
	if finished >= 0 {
		r.Status.Outcome = v1alpha1.OutcomePromoted
		r.Status.FinishedAt = &metav1.Time{Time: now.Add(-finished)}
	}
	return r
}

func names(g *WithT, t *testing.T, c client.Reader) (out []string) {
	list := &v1alpha1.RolloutRunList{}
	g.Expect(c.List(t.Context(), list)).To(Succeed())
	for _, r := range list.Items {
		out = append(out, r.Name)
	}
	return out
}

const day = 24 * time.Hour

func TestRunsOfARolloutThatIsGone(t *testing.T) {
	g := NewWithT(t)
	c := newClient(t, runOf("shop", 1, 40*day), runOf("shop", 2, 29*day), runOf("shop", 3, 2*day), runOf("shop", 4, day), runOf("shop", 5, -1), runOf("other", 1, 40*day))
	r := &Runs{Client: c, Live: c, Clock: clocktesting.NewFakePassiveClock(now), Keep: 30 * day, Limit: 10}
	result, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: shop})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(names(g, t, c)).To(ConsistOf("shop-2", "shop-3", "shop-4", "shop-5", "other-1"))
	g.Expect(result.RequeueAfter).To(Equal(day), "the next one expires then")
	r.Limit = 1
	_, err = r.Reconcile(t.Context(), reconcile.Request{NamespacedName: shop})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(names(g, t, c)).To(ConsistOf("shop-5", "other-1"), "the newest: the one that ended just now, when its Rollout was found gone")
}

// TestARunWhoseRolloutWasTakenByForce ends, so that somebody may delete it, unless
// its pods would go with it.
func TestARunWhoseRolloutWasTakenByForce(t *testing.T) {
	for name, owns := range map[string]bool{"alone": false, "with a ReplicaSet": true} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			run := runOf("shop", 1, -1)
			run.Finalizers = []string{v1alpha1.RunFinalizer, "example.com/keep"}
			objects := []client.Object{run}
			if owns {
				objects = append(objects, &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
					Namespace: "shop", Name: "shop-9fd21c3b07", Labels: map[string]string{v1alpha1.LabelRun: run.Name},
					OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(run, v1alpha1.GroupVersion.WithKind("RolloutRun"))},
				}})
			}
			c := newClient(t, objects...)
			r := &Runs{Client: c, Live: c, Clock: clocktesting.NewFakePassiveClock(now), FieldManager: "belay", Keep: 30 * day, Limit: 10}
			_, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: shop})
			g.Expect(err).NotTo(HaveOccurred())
			after := &v1alpha1.RolloutRun{}
			g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(run), after)).To(Succeed())
			if owns {
				g.Expect(after.Status.Outcome).To(BeEmpty())
				g.Expect(after.Finalizers).To(ContainElement(v1alpha1.RunFinalizer))
				return
			}
			g.Expect(after.Status.Outcome).To(Equal(v1alpha1.OutcomeCancelled))
			g.Expect(after.Status.FinishedAt.Time).To(BeTemporally("==", now))
			g.Expect(after.Labels).To(HaveKeyWithValue(v1alpha1.LabelOutcome, string(v1alpha1.OutcomeCancelled)))
			g.Expect(after.Finalizers).To(Equal([]string{"example.com/keep"}))
		})
	}
}

// TestRunsWithTheLabelOfARolloutThatIsGone: somebody has changed the label of runs whose
// Rollout exists.
func TestRunsWithTheLabelOfARolloutThatIsGone(t *testing.T) {
	g := NewWithT(t)
	old, current := runOf("other", 1, 40*day), runOf("other", 2, -1)
	for _, run := range []*v1alpha1.RolloutRun{old, current} {
		run.Labels[v1alpha1.LabelRollout] = "shop"
	}
	c := newClient(t, rolloutFor("other", "other"), old, current)
	r := &Runs{Client: c, Live: c, Clock: clocktesting.NewFakePassiveClock(now), FieldManager: "belay", Keep: 30 * day, Limit: 10}
	_, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: shop})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(names(g, t, c)).To(ConsistOf("other-1", "other-2"))
	after := &v1alpha1.RolloutRun{}
	g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(current), after)).To(Succeed())
	g.Expect(after.Status.Outcome).To(BeEmpty())
}

func TestRunsThatStay(t *testing.T) {
	for name, reader := range map[string]func(client.WithWatch) client.Client{
		"their Rollout exists": func(c client.WithWatch) client.Client { return c },
		"the cache is cold":    cold,
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			c := newClient(t, rolloutFor("shop", "shop"), runOf("shop", 1, 40*day))
			r := &Runs{Client: reader(c), Live: c, Clock: clocktesting.NewFakePassiveClock(now), Keep: 30 * day, Limit: 10}
			result, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: shop})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(result).To(Equal(reconcile.Result{}))
			g.Expect(names(g, t, c)).To(ConsistOf("shop-1"))
		})
	}
}

func TestWhatWakes(t *testing.T) {
	g := NewWithT(t)
	web := []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: "shop", Name: "web"}}}
	ofDeployments, ofStatefulSets := &Labels{}, &Labels{Kind: v1alpha1.KindStatefulSet}
	ordered := rolloutFor("shop", "web")
	ordered.Spec.WorkloadRef.Kind = v1alpha1.KindStatefulSet
	g.Expect(ofDeployments.workloadOf(t.Context(), rolloutFor("shop", "web"))).To(Equal(web))
	g.Expect(ofDeployments.workloadOf(t.Context(), ordered)).To(BeEmpty())
	g.Expect(ofStatefulSets.workloadOf(t.Context(), ordered)).To(Equal(web))
	g.Expect(ofStatefulSets.workloadOf(t.Context(), rolloutFor("shop", "web"))).To(BeEmpty())
	g.Expect(rolloutOf(t.Context(), runOf("shop", 1, 0))).To(Equal([]reconcile.Request{{NamespacedName: shop}}))
	g.Expect(rolloutOf(t.Context(), &v1alpha1.RolloutRun{})).To(BeEmpty())
}

// TestARunWithAnotherLabelWhoseRolloutIsGone is ended like any other: the guard lets nobody
// delete a run without an outcome.
func TestARunWithAnotherLabelWhoseRolloutIsGone(t *testing.T) {
	g := NewWithT(t)
	run, other := runOf("shop", 1, -1), runOf("other", 1, -1)
	run.Labels[v1alpha1.LabelRollout], other.Labels[v1alpha1.LabelRollout] = "typo", "shop"
	c := newClient(t, run, other, rolloutFor("other", "other"))
	r := &Runs{Client: c, Live: c, Clock: clocktesting.NewFakePassiveClock(now), FieldManager: "belay", Keep: 30 * day, Limit: 10}
	_, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: shop})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(run), run)).To(Succeed())
	g.Expect(run.Status.Outcome).To(Equal(v1alpha1.OutcomeCancelled))
	g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(other), other)).To(Succeed())
	g.Expect(other.Status.Outcome).To(BeEmpty())
}
