package rollout

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/traffic/replicas" //nolint:depguard // what a look counts is the router's
	"belay.dev/belay/controllers/workload"
)

// bench is a StatefulSet of four pods that declares v2 while v1 is stable, with what runs.
type bench struct {
	rollout *v1alpha1.Rollout
	set     *appsv1.StatefulSet
	objects []client.Object
	// writer of the partition.
	writer string
	// stable and candidate are the two revisions.
	stable, candidate v1alpha1.Revision
}

func template(image string) corev1.PodTemplateSpec {
	t := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "shop"}}}
	t.Spec.Containers = []corev1.Container{{Name: "shop", Image: "registry.example/shop:" + image}}
	return t
}

// newBench has these versions by ordinal; one with a question mark is not ready.
func newBench(t *testing.T, partition int32, versions ...string) *bench {
	t.Helper()
	b := &bench{rollout: newRollout()}
	b.rollout.Spec.WorkloadRef.Kind, b.rollout.Spec.Traffic = v1alpha1.KindStatefulSet, nil
	b.set = &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "shop", UID: "s-1", Generation: 3}}
	b.set.Spec = appsv1.StatefulSetSpec{Replicas: new(int32(4)), Template: template("v2"), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}}}
	b.set.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: &partition}}
	b.set.Status = appsv1.StatefulSetStatus{ObservedGeneration: 3, CurrentRevision: "shop-v1", UpdateRevision: "shop-v2"}
	owner := *metav1.NewControllerRef(b.set, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))
	b.objects = []client.Object{b.set, b.rollout}
	for i, version := range []string{"v1", "v2"} {
		u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&corev1.PodTemplate{Template: template(version)})
		if err != nil {
			t.Fatal(err)
		}
		r, err := workload.Describe(u["template"].(map[string]any))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			b.stable = r
		} else {
			b.candidate = r
		}
		data := fmt.Sprintf(`{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"app":"shop"}},"spec":{"containers":[{"name":"shop","image":"registry.example/shop:%s"}]}}}}`, version)
		b.objects = append(b.objects, &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "shop-" + version, Labels: map[string]string{"app": "shop"}, OwnerReferences: []metav1.OwnerReference{owner}},
			Revision: int64(i + 1), Data: runtime.RawExtension{Raw: []byte(data)}})
	}
	for i, version := range versions {
		name, unready := strings.CutSuffix(version, "?")
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: fmt.Sprintf("shop-%d", i), UID: "p", OwnerReferences: []metav1.OwnerReference{owner},
			Labels: map[string]string{"app": "shop", appsv1.ControllerRevisionHashLabelKey: "shop-" + name}}}
		status := corev1.ConditionTrue
		if unready {
			status = corev1.ConditionFalse
		}
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
		b.objects = append(b.objects, pod)
	}
	s := &b.rollout.Status
	s.Phase, s.Run, s.Epoch, s.Step = v1alpha1.PhaseStepping, "shop-1", 1, &v1alpha1.StepStatus{}
	s.Stable, s.Candidate = &b.stable, &b.candidate
	return b
}

// look at it, through a cache that shows what it was.
func (b *bench) look(t *testing.T) (*Reconciler, *look, client.Client) {
	t.Helper()
	written := interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		err := c.Get(ctx, key, o, opts...)
		if o.GetObjectKind().GroupVersionKind().Kind == v1alpha1.KindStatefulSet && b.writer != "" {
			o.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: b.writer, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:updateStrategy":{"f:rollingUpdate":{"f:partition":{}}}}}`)}})
		}
		return err
	}}
	r, api := loopOn(t, written, b.objects...)
	r.Live, r.InOrder = r.Client, replicas.NewOrdered(r.Client)
	l, err := r.observe(t.Context(), read(t, api, shopKey, &v1alpha1.Rollout{}), true)
	if err != nil {
		t.Fatal(err)
	}
	return r, l, api
}

// numbers are what a look counts.
type numbers struct {
	Paused, Held, Handed, Exists       bool
	Stable, Canary                     [4]int32
	Left                               int32
	Active                             []string
	Misplaced                          []plan.Pod
	StableReady, CanaryReady, AllReady int32
}

func numbersOf(in plan.Input) numbers {
	of := func(s plan.Set) [4]int32 { return [4]int32{s.Desired, s.Pods, s.Ready, s.Available} }
	n := numbers{Paused: in.Workload.Paused, Held: in.Workload.Held, Handed: in.Canary.Handed, Exists: in.Canary.Exists, Stable: of(in.Workload.Stable), Canary: of(in.Canary.Set),
		Left: in.Canary.Left, Misplaced: in.Canary.Misplaced, StableReady: in.Route.StableEndpoints, CanaryReady: in.Route.CanaryEndpoints, AllReady: in.Route.ServiceEndpoints}
	for _, s := range in.Workload.Active {
		n.Active = append(n.Active, s.Name)
	}
	return n
}

// TestALookAtAStatefulSet says who runs what, in the planner's words.
func TestALookAtAStatefulSet(t *testing.T) {
	person := func(b *bench) { b.writer = "kubectl-patch" }
	phase := func(p v1alpha1.Phase) func(*bench) { return func(b *bench) { b.rollout.Status.Phase = p } }
	current := func(b *bench) { b.set.Status.CurrentRevision = "shop-v2" }
	stable := []string{"shop-v1"}
	for name, c := range map[string]struct {
		partition int32
		versions  string
		change    func(*bench)
		want      numbers
	}{
		"in a step":         {3, "v1 v1 v1 v2", nil, numbers{Paused: true, Exists: true, Stable: [4]int32{3, 3, 3, 3}, Canary: [4]int32{1, 1, 1, 1}, Left: 1, Active: stable, StableReady: 3, CanaryReady: 1, AllReady: 4}},
		"a pod is replaced": {2, "v1 v1 v2? v2", nil, numbers{Paused: true, Exists: true, Stable: [4]int32{2, 2, 2, 2}, Canary: [4]int32{2, 2, 1, 1}, Left: 2, Active: stable, StableReady: 2, CanaryReady: 1, AllReady: 3}},
		"held, pods are left": {v1alpha1.PartitionHold, "v1 v1 v2? v2", phase(v1alpha1.PhaseRollingBack), numbers{Paused: true, Held: true, Exists: true, Stable: [4]int32{4, 2, 2, 2}, Canary: [4]int32{0, 2, 1, 1}, Left: 2, Active: stable,
			Misplaced: []plan.Pod{{Name: "shop-2"}, {Name: "shop-3", Ready: true}}, StableReady: 2, CanaryReady: 1, AllReady: 3}},
		"the last pod, by Belay": {0, "v1 v2 v2 v2", phase(v1alpha1.PhaseHandingOver), numbers{Paused: true, Exists: true, Stable: [4]int32{0, 1, 1, 1}, Canary: [4]int32{4, 3, 3, 3}, Left: 3, Active: stable, StableReady: 1, CanaryReady: 3, AllReady: 4}},
		"released by a person":   {0, "v1 v2 v2 v2", person, numbers{Exists: true, Stable: [4]int32{0, 1, 1, 1}, Canary: [4]int32{4, 3, 3, 3}, Left: 3, Active: stable, StableReady: 1, CanaryReady: 3, AllReady: 4}},
		"all run the candidate":  {0, "v2 v2 v2 v2", func(b *bench) { current(b); phase(v1alpha1.PhaseHandingOver)(b) }, numbers{Paused: true, Handed: true, Exists: true, Canary: [4]int32{4, 4, 4, 4}, Left: 4, Active: []string{"shop-v2"}, CanaryReady: 4, AllReady: 4}},
		"none can go back":       {v1alpha1.PartitionHold, "v2 v2 v2 v2", func(b *bench) { current(b); phase(v1alpha1.PhaseRollingBack)(b) }, numbers{Paused: true, Held: true, Handed: true, Exists: true, Stable: [4]int32{4, 0, 0, 0}, Canary: [4]int32{0, 4, 4, 4}, Left: 4, Active: []string{"shop-v2"}, CanaryReady: 4, AllReady: 4}},
		"made smaller":           {v1alpha1.PartitionHold, "v1 v1 v1 v1? v2", phase(v1alpha1.PhaseRollingBack), numbers{Paused: true, Held: true, Stable: [4]int32{4, 4, 3, 3}, Left: 1, Active: stable, StableReady: 3, CanaryReady: 1, AllReady: 4}},
		"made again":             {v1alpha1.PartitionHold, "v1 v1 v2 v2", func(b *bench) { current(b); phase(v1alpha1.PhaseRollingBack)(b) }, numbers{Paused: true, Held: true, Handed: true, Exists: true, Stable: [4]int32{4, 2, 2, 2}, Canary: [4]int32{0, 2, 2, 2}, Left: 2, Active: []string{"shop-v1", "shop-v2"}, StableReady: 2, CanaryReady: 2, AllReady: 4}},
		"current is lost":        {v1alpha1.PartitionHold, "v1 v1 v2 v2", func(b *bench) { b.set.Status.CurrentRevision = "shop-v0"; phase(v1alpha1.PhaseRollingBack)(b) }, numbers{Paused: true, Held: true, Exists: true, Stable: [4]int32{4, 2, 2, 2}, Canary: [4]int32{0, 2, 2, 2}, Left: 2, Active: stable, StableReady: 2, CanaryReady: 2, AllReady: 4}},
		"at rest":                {v1alpha1.PartitionHold, "v1 v1 v1 v1", phase(v1alpha1.PhaseGating), numbers{Paused: true, Held: true, Stable: [4]int32{4, 4, 4, 4}, Active: stable, StableReady: 4, AllReady: 4}},
		"no pods yet":            {v1alpha1.PartitionHold, "", phase(v1alpha1.PhaseGating), numbers{Paused: true, Held: true, Stable: [4]int32{4, 0, 0, 0}, Active: stable}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.partition, strings.Fields(c.versions)...)
			if c.change != nil {
				c.change(b)
			}
			_, l, _ := b.look(t)
			if diff := cmp.Diff(c.want, numbersOf(l.input)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !l.input.Workload.Observed || l.input.Workload.Stable.Revision != b.stable.Revision || l.input.Workload.Declared.Revision != b.candidate.Revision {
				t.Errorf("observed %v, stable %s, declared %s", l.input.Workload.Observed, l.input.Workload.Stable.Revision, l.input.Workload.Declared.Revision)
			}
		})
	}
}

func TestWhatAStatefulSetIsAdoptedBy(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*bench)
		fault  string
		seen   bool
	}{
		"at rest": {func(*bench) {}, "", false},
		"finished": {func(b *bench) {
			b.set.Status.CurrentRevision, *b.set.Spec.UpdateStrategy.RollingUpdate.Partition = "shop-v2", 0
		}, "", true},
		"another's partition": {func(b *bench) { *b.set.Spec.UpdateStrategy.RollingUpdate.Partition = 2 }, "the partition of StatefulSet shop is 2", true},
		"OnDelete": {func(b *bench) {
			b.set.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
		}, "OnDelete", false},
	} {
		b := newBench(t, 0, "v2", "v2", "v2", "v2")
		b.rollout.Status = v1alpha1.RolloutStatus{}
		c.change(b)
		_, l, _ := b.look(t)
		if got := l.input.Workload.Fault; !strings.Contains(got.Message, c.fault) || (got.Message == "") != (c.fault == "") || l.input.Workload.Observed != c.seen {
			t.Errorf("%s: fault %q, observed %v", name, got.Message, l.input.Workload.Observed)
		}
	}
}

// TestAPartitionIsSetAsDecided, and by nobody who was suspended since.
func TestAPartitionIsSetAsDecided(t *testing.T) {
	for name, c := range map[string]struct {
		from   int32
		effect plan.Effect
		want   int32
	}{
		"one pod":    {v1alpha1.PartitionHold, plan.ScaleCanary{Replicas: 1}, 3},
		"all":        {1, plan.ScaleCanary{Replicas: 4}, 0},
		"none":       {2, plan.ScaleCanary{}, v1alpha1.PartitionHold},
		"it may go":  {v1alpha1.PartitionHold, plan.Unpause{}, 0},
		"as it was":  {3, plan.ScaleCanary{Replicas: 1}, 3},
		"not beyond": {1, plan.ScaleCanary{Replicas: 9}, 0},
	} {
		b := newBench(t, c.from, "v1", "v1", "v1", "v1")
		r, l, api := b.look(t)
		if _, ok := c.effect.(plan.Unpause); ok {
			c.effect = plan.Unpause{Revision: b.candidate.Revision}
		}
		if err := r.act(t.Context(), decided{look: l, recorded: l.rollout}, c.effect); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := *read(t, api, shopKey, &appsv1.StatefulSet{}).Spec.UpdateStrategy.RollingUpdate.Partition; got != c.want {
			t.Errorf("%s: partition %d, want %d", name, got, c.want)
		}
	}
}

// TestAStalePartitionIsRefused: the guard has raised it for another version, or somebody has
// scaled the StatefulSet.
func TestAStalePartitionIsRefused(t *testing.T) {
	for name, meanwhile := range map[string]func(*appsv1.StatefulSet){
		"held":    func(s *appsv1.StatefulSet) { *s.Spec.UpdateStrategy.RollingUpdate.Partition = v1alpha1.PartitionHold },
		"scaled":  func(s *appsv1.StatefulSet) { *s.Spec.Replicas = 8 },
		"another": func(s *appsv1.StatefulSet) { s.Spec.Template = template("v3") },
	} {
		b := newBench(t, 3, "v1", "v1", "v1", "v2")
		r, l, api := b.look(t)
		s := read(t, api, shopKey, &appsv1.StatefulSet{})
		meanwhile(s)
		if err := api.Update(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		want := *s.Spec.UpdateStrategy.RollingUpdate.Partition
		if err := r.act(t.Context(), decided{look: l, recorded: l.rollout}, plan.ScaleCanary{Replicas: 2}); err == nil {
			t.Errorf("%s: no conflict", name)
		}
		if got := *read(t, api, shopKey, &appsv1.StatefulSet{}).Spec.UpdateStrategy.RollingUpdate.Partition; got != want {
			t.Errorf("%s: partition %d, want %d", name, got, want)
		}
	}
}

// TestAStaleViewDeletesNoPod: one that was made again under its name, one that is where it
// should be by now, and one more than may be missing stay.
func TestAStaleViewDeletesNoPod(t *testing.T) {
	update := func(name string, change func(*corev1.Pod)) func(context.Context, client.Client) error {
		return func(ctx context.Context, c client.Client) error {
			pod := &corev1.Pod{}
			if err := c.Get(ctx, client.ObjectKey{Namespace: "team", Name: name}, pod); err != nil {
				return err
			}
			change(pod)
			return c.Status().Update(ctx, pod)
		}
	}
	again := func(name string) func(context.Context, client.Client) error {
		return func(ctx context.Context, c client.Client) error {
			pod := &corev1.Pod{}
			if err := c.Get(ctx, client.ObjectKey{Namespace: "team", Name: name}, pod); err != nil {
				return err
			}
			if err := c.Delete(ctx, pod); err != nil {
				return err
			}
			pod.UID, pod.ResourceVersion = "p-2", ""
			return c.Create(ctx, pod)
		}
	}
	lowered := func(ctx context.Context, c client.Client) error {
		s := &appsv1.StatefulSet{}
		if err := c.Get(ctx, shopKey, s); err != nil {
			return err
		}
		*s.Spec.UpdateStrategy.RollingUpdate.Partition = 1
		return c.Update(ctx, s)
	}
	forgotten := func(ctx context.Context, c client.Client) error {
		s := &appsv1.StatefulSet{}
		if err := c.Get(ctx, shopKey, s); err != nil {
			return err
		}
		s.Status.CurrentRevision = "shop-v2"
		return c.Status().Update(ctx, s)
	}
	for name, c := range map[string]struct {
		meanwhile func(context.Context, client.Client) error
		conflict  bool
		left      int
	}{
		"as seen":                      {func(context.Context, client.Client) error { return nil }, false, 3},
		"made again":                   {again("shop-3"), false, 4},
		"the partition allows it":      {lowered, true, 4},
		"it would come back as it is":  {forgotten, true, 4},
		"another one is not ready now": {update("shop-0", func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }), true, 4},
		"it is not ready any more":     {update("shop-3", func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }), false, 3},
	} {
		b := newBench(t, v1alpha1.PartitionHold, "v1", "v1", "v1", "v2")
		b.rollout.Status.Phase = v1alpha1.PhaseRollingBack
		r, l, api := b.look(t)
		if err := c.meanwhile(t.Context(), api); err != nil {
			t.Fatal(err)
		}
		err := r.act(t.Context(), decided{look: l, recorded: l.rollout}, plan.ReplacePods{Names: []string{"shop-3"}})
		if apierrors.IsConflict(err) != c.conflict || err != nil && !c.conflict {
			t.Errorf("%s: %v", name, err)
		}
		pods := &corev1.PodList{}
		if err := api.List(t.Context(), pods); err != nil || len(pods.Items) != c.left {
			t.Errorf("%s: %d pods are left, %v", name, len(pods.Items), err)
		}
	}
}
