package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"belay.dev/belay/analysis/prometheus/enginetest"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
	"belay.dev/belay/controllers/workload"
)

var ofStatefulSets = v1alpha1.WorkloadRef{Kind: v1alpha1.KindStatefulSet, Name: "checkout"}

// guardedStatefulSet is held, in generation 7, with three replicas.
func guardedStatefulSet(partition int64) *unstructured.Unstructured {
	s := workload.New(ofStatefulSets)
	s.Object["spec"] = map[string]any{"replicas": int64(3), "updateStrategy": map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"partition": partition}},
		"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "app", "image": "registry.example.com/shop/checkout:1.5.0"}}}}}
	s.SetNamespace("shop")
	s.SetName("checkout")
	s.SetUID("u")
	s.SetGeneration(7)
	s.SetLabels(map[string]string{v1alpha1.LabelRollout: "checkout"})
	return s
}

// inOrder is the first step of a StatefulSet: one of three pods runs the candidate, under the name
// of the one that it replaced.
func inOrder(t *testing.T) view.Input {
	in := read(t, "progressing")
	const stable, candidate = "checkout-66d8c8f7b4", "checkout-7f5c4b9d68"
	spec, s := &in.Rollout.Spec, &in.Rollout.Status
	spec.WorkloadRef, spec.Traffic = ofStatefulSets, nil
	spec.Steps = []v1alpha1.Step{{Weight: 33, Hold: metav1.Duration{Duration: 5 * time.Minute}}, {Weight: 66, Hold: metav1.Duration{Duration: 5 * time.Minute}}}
	in.Run.Spec.WorkloadKind, in.Run.Spec.Traffic, in.Run.Spec.Steps = v1alpha1.KindStatefulSet, nil, spec.Steps
	s.Stable.ReplicaSet, s.Stable.PodTemplateHash, s.Candidate.ReplicaSet = stable, stable, candidate
	s.DirectCallers, s.Serving = nil, "1.4.2 67 %, 1.5.0 33 %"
	s.Step.Display, s.Step.Weight = "1/2", v1alpha1.WeightStatus{Desired: 33, Observed: 33}
	s.Message, s.Step.Next = "step 1 of 2: holding at 33 % until 14:07:16Z; 4 of 4 triggers pass", "judge step 1 of 2"
	template := workload.Template(in.Workload)
	in.Workload = guardedStatefulSet(2)
	if err := unstructured.SetNestedMap(in.Workload.Object, template, "spec", "template"); err != nil {
		t.Fatal(err)
	}
	// They speak of a gateway.
	in.Run.Status.Decisions, s.Record = nil, nil
	in.Workload.SetAnnotations(map[string]string{v1alpha1.AnnotationPushedBy: "app-team@example.com (kubectl-set)"})
	in.Pods = []corev1.Pod{}
	controls := true
	for i, version := range []string{stable, stable, candidate} {
		in.Pods = append(in.Pods, corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("checkout-%d", i), Labels: map[string]string{"app": "checkout", "controller-revision-hash": version},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: v1alpha1.KindStatefulSet, Name: "checkout", UID: "u", Controller: &controls}}},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: s.Step.EnteredAt}}},
		})
	}
	return in
}

// TestGoldenStatefulSet: the same screen in the words of a StatefulSet.
func TestGoldenStatefulSet(t *testing.T) {
	in := inOrder(t)
	for _, width := range []int{80, 140} {
		golden(t, fmt.Sprintf("statefulset.status.%d.txt", width), statusScreen(terminal{width: width}, view.Rollout(in), in.Now, nil), width)
	}
}

// TestTheBypassOfAStatefulSet lowers its partition, in the write that gives the reason.
func TestTheBypassOfAStatefulSet(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*unstructured.Unstructured)
		want   string
	}{
		"held": {func(*unstructured.Unstructured) {}, `{"op":"add","path":"/spec/updateStrategy/rollingUpdate/partition","value":0}`},
		"without a partition": {func(s *unstructured.Unstructured) {
			unstructured.RemoveNestedField(s.Object, "spec", "updateStrategy", "rollingUpdate")
		}, `{"op":"add","path":"/spec/updateStrategy/rollingUpdate","value":{"partition":0}}`},
	} {
		s := guardedStatefulSet(int64(v1alpha1.PartitionHold))
		c.change(s)
		got, err := bypassOf(s, "outage", map[string]string{"app": "a:2"})
		if err != nil || got.annotation != "7: outage" || !strings.Contains(string(got.patch), c.want) || strings.Contains(string(got.patch), "paused") {
			t.Errorf("%s: %s, %v, want %s", name, got.patch, err, c.want)
		}
	}
	r := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "checkout"}, Spec: v1alpha1.RolloutSpec{WorkloadRef: ofStatefulSets}, Status: v1alpha1.RolloutStatus{Stable: &v1alpha1.Revision{Revision: "aaaaaaaaaa", Image: "a:1"}}}
	other := v1alpha1.Revision{Revision: "bbbbbbbbbb", Image: "a:2"}
	for partition, want := range map[int64]string{0: "StatefulSet checkout rolls out 2 already", 2: "", int64(v1alpha1.PartitionHold): ""} {
		if got := needless(r, guardedStatefulSet(partition), other, false); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("partition %d: %q, want %q", partition, got, want)
		}
	}
}

// TestTheOtherKindIsNamed where the name is a StatefulSet's.
func TestTheOtherKindIsNamed(t *testing.T) {
	types, err := scheme()
	if err != nil {
		t.Fatal(err)
	}
	s := &session{Client: fake.NewClientBuilder().WithScheme(types).WithObjects(guardedStatefulSet(0)).Build(), namespace: "shop"}
	for name, want := range map[string]string{"checkout": "but a StatefulSet: kubectl belay init statefulset/checkout -n shop", "cart": "read Deployment cart in namespace shop"} {
		_, err := s.sightsee(t.Context(), v1alpha1.WorkloadRef{Kind: v1alpha1.KindDeployment, Name: name})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	e := &examination{session: s}
	r := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout"}, Spec: v1alpha1.RolloutSpec{WorkloadRef: v1alpha1.WorkloadRef{Name: "checkout"}}}
	if _, err := e.workloadOf(t.Context(), r); err != nil || !strings.Contains(fmt.Sprint(e.report), "but a StatefulSet of its name does") {
		t.Errorf("doctor: %v, %v", e.report, err)
	}
}

// TestWorkloadsAsTheyAreNamed, in the ways that kubectl takes.
func TestWorkloadsAsTheyAreNamed(t *testing.T) {
	for _, c := range []struct{ kind, name, want string }{
		{"", "ledger", "Deployment ledger"}, {"", "deploy/ledger", "Deployment ledger"}, {"", "deployments.apps/ledger", "Deployment ledger"},
		{"", "statefulset/ledger", "StatefulSet ledger"}, {"", "sts/ledger", "StatefulSet ledger"}, {"", "statefulsets.v1.apps/ledger", "StatefulSet ledger"},
		{"StatefulSet", "ledger", "StatefulSet ledger"}, {"sts", "statefulset/ledger", "StatefulSet ledger"},
		{"Deployment", "sts/ledger", "different kinds"}, {"DaemonSet", "ledger", "DaemonSet is no kind that a Rollout can name"}, {"", "pod/ledger", "pod is no kind"},
	} {
		ref, err := workloadNamed(c.kind, c.name)
		got := ref.Kind + " " + ref.Name
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("--kind %q %s: %s, want %s", c.kind, c.name, got, c.want)
		}
	}
}

// TestInitMeasuresAStatefulSet by the pods that have its name and a number, and no others.
func TestInitMeasuresAStatefulSet(t *testing.T) {
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	e := enginetest.New(noon)
	for pod, bad := range map[string]int{"checkout-0": 20, "checkout-1": 20, "checkout-7d9f6b5c4-aaaaa": 9000, "checkout-worker-0": 9000} {
		e.Scrape(t, fmt.Sprintf("up 1\nhttp_requests_total{code=\"200\"} 9980\nhttp_requests_total{code=\"500\"} %d\n# EOF\n", bad), map[string]string{"namespace": "shop", "pod": pod, "instance": pod + ":80"})
	}
	seen := around()
	seen.object, seen.replicaSets = guardedStatefulSet(0), nil
	m := &metricsFlags{address: e.Serve(t), labels: v1alpha1.MetricSourceLabels{Namespace: "namespace", Pod: "pod"}}
	if err := seen.measure(t.Context(), m, func() time.Time { return noon }); err != nil {
		t.Fatal(err)
	}
	if len(seen.slos) == 0 || seen.slos[0].name != "availability" || !strings.Contains(seen.slos[0].found, "of 20000 requests") {
		t.Errorf("found %+v, want the requests of two pods", seen.slos)
	}
}

// TestInitOfAStatefulSet: no traffic, whatever routes there are, and steps of whole pods.
func TestInitOfAStatefulSet(t *testing.T) {
	seen := around()
	seen.object, seen.replicaSets = guardedStatefulSet(0), nil
	golden(t, "init.statefulset.yaml", seen.manifests(), 140)
	unstructured.RemoveNestedField(seen.object.Object, "spec", "replicas")
	if err := unstructured.SetNestedMap(seen.object.Object, map[string]any{"type": "OnDelete"}, "spec", "updateStrategy"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"is OnDelete, which holds nothing", "fewer than 2 replicas"} {
		if !strings.Contains(strings.ReplaceAll(seen.manifests(), "\n# ", " "), want) {
			t.Errorf("want %q in\n%s", want, seen.manifests())
		}
	}
}

// TestTheTemplateOfAStatefulSetsVersion comes from its ControllerRevisions where no run has it, and
// never from those of another workload of that name.
func TestTheTemplateOfAStatefulSetsVersion(t *testing.T) {
	keeps := func(name, kind, image string) *unstructured.Unstructured {
		cr := &unstructured.Unstructured{Object: map[string]any{"revision": int64(1), "data": map[string]any{"spec": map[string]any{"template": map[string]any{
			"$patch": "replace", "metadata": map[string]any{"labels": map[string]any{"app": "checkout"}}, "spec": map[string]any{"containers": []any{map[string]any{"name": "app", "image": image}}}}}}}}
		cr.SetAPIVersion("apps/v1")
		cr.SetKind("ControllerRevision")
		cr.SetNamespace("shop")
		cr.SetName(name)
		cr.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: "checkout", UID: "u"}})
		return cr
	}
	mine, foreign := keeps("checkout-1", v1alpha1.KindStatefulSet, "a:1"), keeps("checkout-2", "DaemonSet", "a:2")
	s := &session{Client: fake.NewClientBuilder().WithObjects(mine, foreign).Build(), namespace: "shop"}
	r := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}, Spec: v1alpha1.RolloutSpec{WorkloadRef: ofStatefulSets}}
	for _, c := range []struct {
		of   *unstructured.Unstructured
		want string
	}{{mine, ""}, {foreign, "no run and no ControllerRevision has the template"}} {
		declared, err := workload.VersionTemplate(c.of)
		if err != nil {
			t.Fatal(err)
		}
		revision, err := workload.RevisionOf(declared)
		if err != nil {
			t.Fatal(err)
		}
		template, err := s.templateOf(t.Context(), r, revision, nil)
		switch {
		case c.want != "":
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.of.GetName(), err, c.want)
			}
		case err != nil || template["$patch"] != nil || !isOf(template, revision):
			t.Errorf("%s: %v, %v", c.of.GetName(), template, err)
		}
	}
}
