package workload

import (
	"reflect"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"

	"belay.dev/belay/api/v1alpha1"
)

func TestTheCanaryIsTheDeploymentsNextReplicaSet(t *testing.T) {
	d, r := deployment(t), run(t)
	before := asJSON(t, d)
	canary, err := Canary(r, d, 2)
	if err != nil {
		t.Fatal(err)
	}
	if asJSON(t, d) != before {
		t.Error("the Deployment was changed")
	}
	if canary.GetName() != "shop-"+r.Spec.Revision || canary.GetNamespace() != "team" || canary.GetAPIVersion() != "apps/v1" || canary.GetKind() != "ReplicaSet" {
		t.Errorf("made %s %s %s/%s", canary.GetAPIVersion(), canary.GetKind(), canary.GetNamespace(), canary.GetName())
	}

	// The template is the Deployment's but for the one label.
	template := runtime.DeepCopyJSON(Template(canary))
	hash, _, _ := unstructured.NestedString(template, "metadata", "labels", "pod-template-hash")
	unstructured.RemoveNestedField(template, "metadata", "labels", "pod-template-hash")
	if hash != r.Spec.Revision || !reflect.DeepEqual(template, Template(d)) {
		t.Errorf("hash %q, and the rest is %s", hash, asJSON(t, template))
	}
	if podLabels := asJSON(t, Template(canary)["metadata"]); strings.Contains(podLabels, "belay") {
		t.Errorf("pods carry a mark of Belay: %s", podLabels)
	}

	var typed appsv1.ReplicaSet
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(canary.Object, &typed); err != nil {
		t.Fatal(err)
	}
	if *typed.Spec.Replicas != 2 || typed.Spec.MinReadySeconds != 7 {
		t.Errorf("%d replicas, minReadySeconds %d", *typed.Spec.Replicas, typed.Spec.MinReadySeconds)
	}
	selector, err := metav1.LabelSelectorAsSelector(typed.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	if !selector.Matches(labels.Set(typed.Spec.Template.Labels)) || selector.Matches(labels.Set{"app": "shop", "pod-template-hash": "other"}) || len(typed.Spec.Selector.MatchExpressions) != 1 {
		t.Errorf("selector %s", selector)
	}
	wantLabels := map[string]string{"app": "shop", "pod-template-hash": r.Spec.Revision, "belay.dev/rollout": "the-rollout", "belay.dev/role": "canary", "belay.dev/run": v1alpha1.RunLabel(r.Name)}
	if !reflect.DeepEqual(typed.Labels, wantLabels) {
		t.Errorf("labels %v, want %v", typed.Labels, wantLabels)
	}
	owner := metav1.GetControllerOf(&typed)
	if owner == nil || owner.Kind != "RolloutRun" || owner.UID != "r-1" || owner.APIVersion != "belay.dev/v1alpha1" || owner.BlockOwnerDeletion == nil || !*owner.BlockOwnerDeletion {
		t.Errorf("controlled by %+v", owner)
	}
	if got := Difference(Template(d), Template(canary)); got != "" {
		t.Errorf("difference %q", got)
	}
}

func TestACanaryIsOfTheRunsRevision(t *testing.T) {
	d := deployment(t)
	if err := unstructured.SetNestedField(d.Object, "x", "spec", "template", "spec", "hostname"); err != nil {
		t.Fatal(err)
	}
	if _, err := Canary(run(t), d, 1); err == nil || !strings.Contains(err.Error(), "declares revision") {
		t.Errorf("a canary of another template: %v", err)
	}
}

func TestACanaryOfATemplateWithoutLabels(t *testing.T) {
	d, r := deployment(t), run(t)
	unstructured.RemoveNestedField(d.Object, "spec", "template", "metadata")
	r.Spec.Revision = revision(t, Template(d))
	canary, err := Canary(r, d, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := asJSON(t, Template(canary)["metadata"]); got != `{"labels":{"pod-template-hash":"`+r.Spec.Revision+`"}}` {
		t.Errorf("template metadata %s", got)
	}
}

func TestCanaryNamesFit(t *testing.T) {
	for _, name := range []string{"shop", strings.Repeat("a", 242), strings.Repeat("a", 253), strings.Repeat("a", 240) + ".-" + strings.Repeat("b", 11)} {
		got := CanaryName(name, "0123456789")
		if errs := validation.IsDNS1123Subdomain(got); len(errs) > 0 || !strings.HasSuffix(got, "-0123456789") {
			t.Errorf("%d characters become %q: %v", len(name), got, errs)
		}
	}
}

func TestStableIsMadeAgainFromTheRun(t *testing.T) {
	d, r := deployment(t), run(t)
	again, err := StableAgain(r, d, r.Spec.Stable.Revision.Revision, 3)
	if err != nil {
		t.Fatal(err)
	}
	read, err := ReadSet(again)
	if err != nil {
		t.Fatal(err)
	}
	stable := r.Spec.Stable.Revision.Revision
	if read.Revision != stable || read.Hash != stable || read.ControllerKind != "Deployment" || read.ControllerUID != "d-1" || read.Desired != 3 || *read.ScaledFor != 3 {
		t.Errorf("made %+v", read)
	}
	if got := again.GetLabels()["belay.dev/role"]; got != "stable" {
		t.Errorf("role %q", got)
	}
	if again.GetAnnotations()["deployment.kubernetes.io/max-replicas"] != "4" {
		t.Errorf("annotations %v", again.GetAnnotations())
	}
	r.Spec.Stable.Template.Raw = []byte(theTemplate)
	if _, err := StableAgain(r, d, r.Spec.Stable.Revision.Revision, 3); err == nil {
		t.Error("a template of another revision was made stable")
	}
}

func TestDifferenceSaysWhatAdmissionChanged(t *testing.T) {
	d, r := deployment(t), run(t)
	canary, err := Canary(r, d, 1)
	if err != nil {
		t.Fatal(err)
	}
	containers := []any{
		map[string]any{"name": "app", "image": "shop:2", "resources": map[string]any{"limits": map[string]any{"cpu": "2"}}},
		map[string]any{"name": "istio-proxy", "image": "proxy:1"},
	}
	if err := unstructured.SetNestedSlice(canary.Object, containers, "spec", "template", "spec", "containers"); err != nil {
		t.Fatal(err)
	}
	if err := unstructured.SetNestedField(canary.Object, "yes", "spec", "template", "metadata", "annotations", "sidecar.istio.io/inject"); err != nil {
		t.Fatal(err)
	}
	want := `metadata.annotations["sidecar.istio.io/inject"]: absent -> "yes"; spec.containers[0].resources.limits.cpu: "1" -> "2"; spec.containers[1]: absent -> {"image":"proxy:1","name":"istio-proxy","resourc…`
	if got := Difference(Template(d), Template(canary)); got != want {
		t.Errorf("difference\n%s, want\n%s", got, want)
	}
	// What is written differently and means the same is no difference.
	if err := unstructured.SetNestedSlice(canary.Object, []any{map[string]any{"name": "app", "image": "shop:2", "args": []any{}, "resources": map[string]any{"limits": map[string]any{"cpu": "1000m"}}}}, "spec", "template", "spec", "containers"); err != nil {
		t.Fatal(err)
	}
	unstructured.RemoveNestedField(canary.Object, "spec", "template", "metadata", "annotations", "sidecar.istio.io/inject")
	if got := Difference(Template(d), Template(canary)); got != "" {
		t.Errorf("1000m is not 1: %q", got)
	}
}

func TestDifferencesAreBoundedAndQuoted(t *testing.T) {
	a, b := map[string]any{}, map[string]any{}
	for i := range 10 {
		key := strings.Repeat("\u202e\x1b[31m", 20) + string(rune('a'+i))
		a[key], b[key] = strings.Repeat("x\n", 500), map[string]any{"k": strings.Repeat("\u202e", 100)}
	}
	got := difference(a, b)
	if len(got) > maxDifferenceLength || strings.ContainsAny(got, "\n\x1b\u202e") || !strings.Contains(difference(map[string]any{"a": "1", "b": "1", "c": "1", "d": "1", "e": "1"}, nil), "and 2 more") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
	if got := difference(map[string]any{"n": int64(1), "l": []any{"a"}, "gone": true}, map[string]any{"n": float64(1), "l": []any{"a", "b"}}); got != `gone: true -> absent; l[1]: absent -> "b"` {
		t.Error(got)
	}
}
