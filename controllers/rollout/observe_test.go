package rollout

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/workload"
)

// TestALookReadsEachTemplateOnce: a template that changed behind its back would
// show a second reading.
func TestALookReadsEachTemplateOnce(t *testing.T) {
	const image = "registry.example/shop:v1"
	object := func(u *unstructured.Unstructured, name string) *unstructured.Unstructured {
		u.SetName(name)
		u.Object["spec"] = map[string]any{"replicas": int64(0), "template": map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"app": "shop", "pod-template-hash": "abc"}},
			"spec":     map[string]any{"containers": []any{map[string]any{"name": "shop", "image": image}}},
		}}
		return u
	}
	unreadable := func(u *unstructured.Unstructured) {
		u.Object["spec"].(map[string]any)["template"] = map[string]any{"spec": int64(7)}
	}
	d := object(workload.NewDeployment(), "shop")
	d.SetUID("d-1")
	set := object(workload.NewSet(), "shop-abc")
	set.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))})
	read, err := workload.ReadSet(set)
	if err != nil {
		t.Fatal(err)
	}
	l := &look{rollout: &v1alpha1.Rollout{}, workload: d, sets: map[string]seenSet{"shop-abc": {set, read}}}
	first, err := l.describe(d)
	if err != nil || first.Image != image || first.Revision != read.Revision {
		t.Fatalf("described as %+v, %v", first, err)
	}

	unreadable(d)
	unreadable(set)
	if again, err := l.describe(d); err != nil || again.Revision != first.Revision {
		t.Errorf("described again as %+v, %v", again, err)
	}
	if idle, ok := l.borrowable(first.Revision); !ok || idle.object != set {
		t.Error("the idle set is not found")
	}
	if got := planSet(read).Image; got != image {
		t.Errorf("the planner sees image %q", got)
	}
	if _, err := l.describe(d.DeepCopy()); err == nil {
		t.Error("another reading of the Deployment is taken for the first")
	}
}

// TestPodsThatAreTheDeploymentsOwn: a run does not wait for pods to go that belong to a
// ReplicaSet which the Deployment controls.
func TestPodsThatAreTheDeploymentsOwn(t *testing.T) {
	d := benchDeployment(0)
	for name, c := range map[string]struct {
		set  workload.Set
		want bool
	}{
		"the Deployment's":           {workload.Set{Hash: "h", ControllerUID: d.GetUID(), Pods: 2}, true},
		"the run's":                  {workload.Set{Hash: "h", ControllerUID: "run", Pods: 2}, false},
		"of another version":         {workload.Set{Hash: "i", ControllerUID: d.GetUID(), Pods: 2}, false},
		"the Deployment's, but idle": {workload.Set{Hash: "h", ControllerUID: d.GetUID()}, false},
	} {
		l := &look{workload: d, sets: map[string]seenSet{"s": {Set: c.set}}}
		if got := l.deploymentRuns("h"); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if (&look{sets: map[string]seenSet{"s": {Set: workload.Set{Hash: "h", Pods: 2}}}}).deploymentRuns("h") {
		t.Error("there is no Deployment")
	}
}

// TestARolloutIsWarnedOfShortSteps by its guardrails, and not in a run, whose verdicts say it.
func TestARolloutIsWarnedOfShortSteps(t *testing.T) {
	g := &v1alpha1.Guardrail{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "errors"}}
	g.Status.Exclusions = []v1alpha1.ExclusionStatus{{Rollout: "team/shop", Trigger: "regression", Message: "hold it for 2h"}}
	for phase, want := range map[v1alpha1.Phase]string{v1alpha1.PhaseStable: `Guardrail "errors", trigger regression: hold it for 2h`, v1alpha1.PhaseStepping: ""} {
		rollout := newRollout()
		rollout.Spec.Guardrails = []v1alpha1.GuardrailRef{{Name: "errors"}}
		rollout.Status.Phase = phase
		r, _ := loopOn(t, interceptor.Funcs{}, rollout, g.DeepCopy())
		l := &look{rollout: rollout, workload: workload.NewDeployment()}
		if err := r.warn(t.Context(), l); err != nil || l.input.Workload.Warning != want {
			t.Errorf("%s: %q, %v; want %q", phase, l.input.Workload.Warning, err, want)
		}
	}
}

// TestASetIsSeenOnceWhateverItsLabels: a ReplicaSet gets the labels of a canary, or loses them,
// between the two lists of a look. It is neither missing nor there twice.
func TestASetIsSeenOnceWhateverItsLabels(t *testing.T) {
	for _, roles := range [][2]string{{v1alpha1.RoleStable, v1alpha1.RoleCanary}, {v1alpha1.RoleCanary, v1alpha1.RoleStable}} {
		objects := held(t)
		rollout, set := objects[0].(*v1alpha1.Rollout), objects[2]
		set.GetLabels()[v1alpha1.LabelRole] = roles[0]
		lists := 0
		r, _ := loopOn(t, interceptor.Funcs{List: func(ctx context.Context, api client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if list.GetObjectKind().GroupVersionKind().Kind == "ReplicaSetList" {
				lists++
			}
			if lists == 2 {
				now := read(t, api, client.ObjectKeyFromObject(set), &appsv1.ReplicaSet{})
				now.Labels[v1alpha1.LabelRole] = roles[1]
				if err := api.Update(ctx, now); err != nil {
					return err
				}
			}
			return api.List(ctx, list, opts...)
		}}, objects...)
		l := &look{rollout: rollout, sets: map[string]seenSet{}}
		if err := r.observeWorkload(t.Context(), l); err != nil || lists != 2 || len(l.input.Workload.Active) != 1 {
			t.Errorf("%v: after %d lists %+v, %v", roles, lists, l.input.Workload.Active, err)
		}
	}
}

// TestRejectedVersionsAreComparedByWhatIsListedNow: whoever adds an annotation to the list lets
// no restart of a rejected version through by that.
func TestRejectedVersionsAreComparedByWhatIsListedNow(t *testing.T) {
	template := func(annotations string) map[string]any {
		out, err := workload.DecodeTemplate([]byte(`{"metadata":{"annotations":{` + annotations + `}},"spec":{"containers":[{"name":"shop","image":"shop:2"}]}}`))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	describe := func(annotations string) v1alpha1.Revision {
		d := workload.NewDeployment()
		d.Object["spec"] = map[string]any{"template": template(annotations)}
		l := &look{rollout: &v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{RestartAnnotations: []string{"a", "b"}}}}
		r, err := l.describe(d)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	rejected := describe(`"a":"1","b":"1"`)
	raw, err := workload.CanonicalTemplate(template(`"a":"1","b":"1"`))
	if err != nil {
		t.Fatal(err)
	}
	run := v1alpha1.RolloutRun{Spec: v1alpha1.RolloutRunSpec{Revision: rejected.Revision, Template: runtime.RawExtension{Raw: raw}}}
	run.Name = "shop-1"
	retry := &plan.Action{Action: v1alpha1.ActionRetry}
	for name, c := range map[string]struct {
		declared v1alpha1.Revision
		runs     []v1alpha1.RolloutRun
		phase    v1alpha1.Phase
		action   *plan.Action
		want     string
	}{
		"a restart":                  {describe(`"a":"2","b":"2"`), []v1alpha1.RolloutRun{run}, v1alpha1.PhaseRolledBack, nil, rejected.BaseRevision},
		"in a run it is not read":    {describe(`"a":"2","b":"2"`), []v1alpha1.RolloutRun{run}, v1alpha1.PhaseStepping, nil, "1111111111"},
		"the run is gone":            {describe(`"a":"2","b":"2"`), nil, v1alpha1.PhaseRolledBack, nil, "1111111111"},
		"the rejected one itself":    {rejected, []v1alpha1.RolloutRun{run}, v1alpha1.PhaseRolledBack, nil, "1111111111"},
		"that one, which is retried": {rejected, []v1alpha1.RolloutRun{run}, v1alpha1.PhaseRolledBack, retry, rejected.BaseRevision},
	} {
		l := &look{rollout: &v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{RestartAnnotations: []string{"a", "b"}}}, runs: c.runs}
		l.input.Workload.Declared, l.input.Action = c.declared, c.action
		l.input.Status = v1alpha1.RolloutStatus{Phase: c.phase, Stable: &v1alpha1.Revision{Revision: "0000000000"},
			Rejected: []v1alpha1.RejectedRevision{{Revision: rejected.Revision, Run: "shop-1", BaseRevision: "1111111111"}}}
		if err := l.rebaseRejected(); err != nil {
			t.Fatal(err)
		}
		if got := l.input.Status.Rejected[0].BaseRevision; got != c.want {
			t.Errorf("%s: base revision %s, want %s", name, got, c.want)
		}
	}
}
