package workload

import (
	"context"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"belay.dev/belay/api/v1alpha1"
)

// apply sends a patch to a server that holds an object, and returns what it then
// holds. The object's own resource version is the one tested.
func apply(t testing.TB, held *unstructured.Unstructured, kind types.PatchType, patch []byte) (*unstructured.Unstructured, error) {
	t.Helper()
	server := fake.NewClientBuilder().WithScheme(runtime.NewScheme()).WithObjects(held.DeepCopy()).Build()
	patched := held.DeepCopy()
	err := server.Patch(context.Background(), patched, client.RawPatch(kind, patch))
	return patched, err
}

// builder is any of the patches, on one object.
type builder func(*unstructured.Unstructured) ([]byte, error)

// goesThrough builds a patch from the object and applies it to the same.
func goesThrough(t testing.TB, object *unstructured.Unstructured, kind types.PatchType, build builder) *unstructured.Unstructured {
	t.Helper()
	before := asJSON(t, object)
	patch, err := build(object)
	if err != nil || patch == nil {
		t.Fatalf("patch %s, %v", patch, err)
	}
	if asJSON(t, object) != before {
		t.Fatal("the given object was changed")
	}
	after, err := apply(t, object, kind, patch)
	if err != nil {
		t.Fatalf("%s: %v", patch, err)
	}
	again, err := build(after)
	if err != nil || again != nil {
		t.Errorf("built again after it went through: %s, %v", again, err)
	}
	return after
}

// refused builds a patch from what was read, and applies it to what is there by
// then.
func refused(t testing.TB, read *unstructured.Unstructured, kind types.PatchType, build builder, meanwhile ...func(*unstructured.Unstructured)) {
	t.Helper()
	patch, err := build(read)
	if err != nil || patch == nil {
		t.Fatalf("patch %s, %v", patch, err)
	}
	for i, change := range meanwhile {
		held := read.DeepCopy()
		change(held)
		if _, err := apply(t, held, kind, patch); err == nil {
			t.Errorf("change %d in between, and the patch goes through: %s", i, patch)
		}
	}
}

func field(value any, path ...string) func(*unstructured.Unstructured) {
	return func(u *unstructured.Unstructured) {
		if err := unstructured.SetNestedField(u.Object, runtime.DeepCopyJSONValue(value), path...); err != nil {
			panic(err)
		}
	}
}

func without(path ...string) func(*unstructured.Unstructured) {
	return func(u *unstructured.Unstructured) { unstructured.RemoveNestedField(u.Object, path...) }
}

func otherOwner(u *unstructured.Unstructured) {
	owners := u.GetOwnerReferences()
	owners[1].UID = "another"
	u.SetOwnerReferences(owners)
}

func TestLockAndUnlock(t *testing.T) {
	lock := func(u *unstructured.Unstructured) ([]byte, error) { return Lock(u, "run-1") }
	locked := goesThrough(t, deployment(t), types.JSONPatchType, lock)
	if got := locked.GetLabels(); got["belay.dev/handover"] != "run-1" || got["team"] != "a" {
		t.Errorf("labels %v", got)
	}
	refused(t, deployment(t), types.JSONPatchType, lock, field("990", "metadata", "resourceVersion"))
	bare := deployment(t)
	bare.SetLabels(nil)
	if got := goesThrough(t, bare, types.JSONPatchType, lock).GetLabels(); got["belay.dev/handover"] != "run-1" {
		t.Errorf("labels %v", got)
	}
	if _, err := Lock(locked, "run-2"); err == nil || !strings.Contains(err.Error(), "run-1") {
		t.Errorf("locked for two runs: %v", err)
	}
	unlocked := goesThrough(t, locked, types.JSONPatchType, Unlock)
	if got := asJSON(t, unlocked.GetLabels()); got != `{"team":"a"}` {
		t.Errorf("labels %s", got)
	}
	refused(t, locked, types.JSONPatchType, Unlock, field("run-2", "metadata", "labels", "belay.dev/handover"))
}

func TestUnpauseTestsWhatRolls(t *testing.T) {
	d := deployment(t)
	d.SetLabels(map[string]string{"team": "a", "belay.dev/handover": "run-1"})
	declared := revision(t, Template(d))
	unpause := func(u *unstructured.Unstructured) ([]byte, error) { return Unpause(u, declared) }
	after := goesThrough(t, d, types.JSONPatchType, unpause)
	if Paused(after) || asJSON(t, after.GetLabels()) != `{"team":"a"}` {
		t.Errorf("paused %v, labels %v", Paused(after), after.GetLabels())
	}
	refused(t, d, types.JSONPatchType, unpause,
		field("d-2", "metadata", "uid"),
		field("shop:3", "spec", "template", "spec", "nodeName"),
		without("spec", "template", "spec", "aField"),
		field("run-2", "metadata", "labels", "belay.dev/handover"))
	patch, err := Unpause(d, declared)
	if err != nil {
		t.Fatal(err)
	}
	scaled := d.DeepCopy()
	field(int64(9), "spec", "replicas")(scaled)
	scaled.SetResourceVersion("99")
	if _, err := apply(t, scaled, types.JSONPatchType, patch); err != nil {
		t.Errorf("a change of size in between stops it: %v", err)
	}
	if _, err := Unpause(d, "0123456789"); err == nil || !strings.Contains(err.Error(), "stays paused") {
		t.Errorf("unpaused on another revision: %v", err)
	}
	unlocked := deployment(t)
	if got := goesThrough(t, unlocked, types.JSONPatchType, unpause); Paused(got) {
		t.Error("a Deployment without a lock stays paused")
	}
}

// TestStringsAreEscapedAsTheAPIServerDoes: its JSON patch library
// (gopkg.in/evanphx/json-patch.v4, lazyNode.equal) compares bytes, and what it
// compares with comes from encoding/json.
func TestStringsAreEscapedAsTheAPIServerDoes(t *testing.T) {
	d := deployment(t)
	field("sh -c 'a && b < c > d'", "spec", "template", "metadata", "annotations", "a")(d)
	patch, err := Unpause(d, revision(t, Template(d)))
	if err != nil || !strings.Contains(string(patch), `"sh -c 'a \u0026\u0026 b \u003c c \u003e d'"`) {
		t.Errorf("%s, %v", patch, err)
	}
}

func TestPause(t *testing.T) {
	d := deployment(t)
	without("spec", "paused")(d)
	if after := goesThrough(t, d, types.JSONPatchType, Pause); !Paused(after) {
		t.Error("it rolls on")
	}
	refused(t, d, types.JSONPatchType, Pause, field("d-2", "metadata", "uid"), field("x", "spec", "template", "spec", "hostname"))
}

func TestGiveOwner(t *testing.T) {
	d := deployment(t)
	give := func(u *unstructured.Unstructured) ([]byte, error) { return GiveOwner(u, d) }
	canary := set(t, "RolloutRun", "r-1", 3)
	// Somebody has taken the label belay.dev/run away.
	canary.SetLabels(map[string]string{"app": "shop", "belay.dev/borrowed": "true"})
	for name, annotations := range map[string]map[string]string{"no annotations": nil, "others": {"a": "b", "deployment.kubernetes.io/desired-replicas": "9"}} {
		canary.SetAnnotations(annotations)
		after := goesThrough(t, canary, types.JSONPatchType, give)
		owners := after.GetOwnerReferences()
		if len(owners) != 2 || owners[0].UID != "c-1" {
			t.Fatalf("%s: owners %+v", name, owners)
		}
		if o := owners[1]; o.APIVersion != "apps/v1" || o.Kind != "Deployment" || o.Name != "shop" || o.UID != "d-1" || !*o.Controller || !*o.BlockOwnerDeletion {
			t.Errorf("%s: owner %+v", name, o)
		}
		if got := after.GetAnnotations(); got["deployment.kubernetes.io/desired-replicas"] != "3" || got["deployment.kubernetes.io/max-replicas"] != "4" || got["a"] != annotations["a"] {
			t.Errorf("%s: annotations %v", name, got)
		}
		if got := asJSON(t, after.GetLabels()); got != `{"app":"shop","belay.dev/role":"stable","belay.dev/run":"its-owner"}` {
			t.Errorf("%s: labels %s", name, got)
		}
	}
	refused(t, canary, types.JSONPatchType, give, otherOwner, field("990", "metadata", "resourceVersion"), field(int64(2), "spec", "replicas"))
	for _, owner := range []string{"Rollout", "Deployment"} {
		if patch, err := GiveOwner(set(t, owner, "x-1", 3), d); err == nil {
			t.Errorf("a set of a foreign %s was given away: %s", owner, patch)
		}
	}
	orphan := set(t, "RolloutRun", "r-1", 3)
	orphan.SetOwnerReferences(nil)
	if patch, err := GiveOwner(orphan, d); err == nil {
		t.Errorf("a set without owner was given away: %s", patch)
	}
}

func TestBorrowAndReturn(t *testing.T) {
	d, r := deployment(t), run(t)
	take := func(u *unstructured.Unstructured) ([]byte, error) { return TakeOwner(u, d, r) }
	idle := set(t, "Deployment", "d-1", 0)
	borrowed := goesThrough(t, idle, types.JSONPatchType, take)
	read, err := ReadSet(borrowed)
	if err != nil {
		t.Fatal(err)
	}
	if read.ControllerKind != "RolloutRun" || read.ControllerUID != "r-1" || read.ControllerName != r.Name || !read.Borrowed || read.Run != v1alpha1.RunLabel(r.Name) || borrowed.GetLabels()["belay.dev/rollout"] != "the-rollout" {
		t.Errorf("borrowed as %+v", read)
	}
	refused(t, idle, types.JSONPatchType, take, otherOwner, field("990", "metadata", "resourceVersion"), field(int64(2), "spec", "replicas"))
	busy := set(t, "Deployment", "d-1", 0)
	field(int64(1), "status", "replicas")(busy)
	for name, s := range map[string]*unstructured.Unstructured{"wants pods": set(t, "Deployment", "d-1", 2), "has pods": busy, "another Deployment's": set(t, "Deployment", "d-2", 0)} {
		if patch, err := TakeOwner(s, d, r); err == nil {
			t.Errorf("%s, and it is borrowed: %s", name, patch)
		}
	}

	back := func(u *unstructured.Unstructured) ([]byte, error) { return Return(u, d) }
	returned := goesThrough(t, borrowed, types.JSONPatchType, back)
	read, err = ReadSet(returned)
	if err != nil {
		t.Fatal(err)
	}
	if read.ControllerUID != "d-1" || read.Borrowed || read.Run != "" || returned.GetLabels()["belay.dev/role"] != "" {
		t.Errorf("returned as %+v", read)
	}
	refused(t, borrowed, types.JSONPatchType, back, otherOwner, field(int64(1), "spec", "replicas"), field("990", "metadata", "resourceVersion"))
	for name, change := range map[string]func(*unstructured.Unstructured){
		"wants pods": field(int64(1), "spec", "replicas"), "has pods": field(int64(1), "status", "replicas"), "was not borrowed": without("metadata", "labels"),
	} {
		s := borrowed.DeepCopy()
		change(s)
		if patch, err := Return(s, d); err == nil {
			t.Errorf("%s, and it is given back: %s", name, patch)
		}
	}
}

func TestTakeBack(t *testing.T) {
	d, r := deployment(t), run(t)
	back := func(u *unstructured.Unstructured) ([]byte, error) { return TakeBack(u, d, r) }
	adopted := set(t, "Deployment", d.GetUID(), 3)
	adopted.SetLabels(map[string]string{"app": "shop", "belay.dev/run": v1alpha1.RunLabel(r.Name), "belay.dev/role": "canary"})
	orphan := adopted.DeepCopy()
	orphan.SetOwnerReferences(orphan.GetOwnerReferences()[:1])
	for name, u := range map[string]*unstructured.Unstructured{"adopted": adopted, "orphan": orphan} {
		owners := goesThrough(t, u, types.JSONPatchType, back).GetOwnerReferences()
		if len(owners) != 2 || owners[0].UID != "c-1" || owners[1].UID != r.UID || !*owners[1].Controller {
			t.Errorf("%s: owners %+v", name, owners)
		}
		refused(t, u, types.JSONPatchType, back, field("990", "metadata", "resourceVersion"))
	}
	refused(t, adopted, types.JSONPatchType, back, otherOwner)
	foreign := set(t, "Rollout", "x-1", 3)
	foreign.SetLabels(adopted.GetLabels())
	unmarked := set(t, "Deployment", d.GetUID(), 3)
	for name, u := range map[string]*unstructured.Unstructured{"somebody else's": foreign, "of no run": unmarked} {
		if patch, err := TakeBack(u, d, r); err == nil {
			t.Errorf("%s was taken: %s", name, patch)
		}
	}
}

func TestResize(t *testing.T) {
	resize := func(u *unstructured.Unstructured) ([]byte, error) { return Resize(u, 0) }
	canary := set(t, "RolloutRun", "r-1", 3)
	after := goesThrough(t, canary, types.JSONPatchType, resize)
	if size(after) != 0 || after.GetAnnotations() != nil {
		t.Errorf("size %d, annotations %v", size(after), after.GetAnnotations())
	}
	refused(t, canary, types.JSONPatchType, resize, otherOwner, field("s-2", "metadata", "uid"), field(int64(2), "spec", "replicas"))
	patch, err := Resize(canary, 0)
	if err != nil {
		t.Fatal(err)
	}
	changed := canary.DeepCopy()
	changed.SetResourceVersion("99")
	if _, err := apply(t, changed, types.JSONPatchType, patch); err != nil {
		t.Errorf("a change of status in between stops it: %v", err)
	}
}

func TestResizeWithTheDeployment(t *testing.T) {
	d := deployment(t)
	field(int64(10), "spec", "replicas")(d)
	resize := func(u *unstructured.Unstructured) ([]byte, error) { return ResizeWith(u, d) }
	own := set(t, "Deployment", "d-1", 8)
	own.SetAnnotations(map[string]string{"deployment.kubernetes.io/desired-replicas": "8", "deployment.kubernetes.io/max-replicas": "10"})
	after := goesThrough(t, own, types.JSONPatchType, resize)
	if got := after.GetAnnotations(); size(after) != 10 || got["deployment.kubernetes.io/desired-replicas"] != "10" || got["deployment.kubernetes.io/max-replicas"] != "13" {
		t.Errorf("size %d, annotations %v", size(after), got)
	}
	refused(t, own, types.JSONPatchType, resize, otherOwner, field(int64(2), "spec", "replicas"))
	stale := after.DeepCopy()
	stale.SetAnnotations(map[string]string{"deployment.kubernetes.io/desired-replicas": "8"})
	if patch, err := ResizeWith(stale, d); err != nil || patch == nil {
		t.Errorf("stale annotations at the right size are left: %s, %v", patch, err)
	}
}

func TestMarks(t *testing.T) {
	all := v1alpha1.Marks{Rollout: "shop", Rejected: "0123456789", Run: strings.Repeat("r", 70), Narrowed: "svc"}
	mark := func(m v1alpha1.Marks) builder {
		return func(u *unstructured.Unstructured) ([]byte, error) { return Mark(u, m) }
	}
	marked := goesThrough(t, deployment(t), types.JSONPatchType, mark(all))
	if got := asJSON(t, marked.GetLabels()); got != `{"belay.dev/narrowed":"svc","belay.dev/rejected":"0123456789","belay.dev/rollout":"shop","belay.dev/run":"`+strings.Repeat("r", 63)+`","team":"a"}` {
		t.Errorf("labels %s", got)
	}
	idle := goesThrough(t, marked, types.JSONPatchType, mark(v1alpha1.Marks{Rollout: "shop"}))
	if got := asJSON(t, idle.GetLabels()); got != `{"belay.dev/rollout":"shop","team":"a"}` {
		t.Errorf("labels %s", got)
	}
	newer := field("990", "metadata", "resourceVersion")
	refused(t, marked, types.JSONPatchType, mark(v1alpha1.Marks{}), newer)
	refused(t, deployment(t), types.JSONPatchType, mark(all), newer)
	another := v1alpha1.Marks{Rollout: "shop", Run: "run-2"}
	refused(t, idle, types.JSONPatchType, mark(another), field("d-2", "metadata", "uid"), field("other", "metadata", "labels", "belay.dev/rollout"))
	refused(t, marked, types.JSONPatchType, mark(another), field("run-1", "metadata", "labels", "belay.dev/run"))
	if patch, err := Mark(deployment(t), v1alpha1.Marks{}); patch != nil || err != nil {
		t.Errorf("nothing to remove, and it is removed: %s, %v", patch, err)
	}
	marked.SetLabels(map[string]string{"team": "a", "belay.dev/rollout": "shop", "belay.dev/handover": "run-1"})
	free := goesThrough(t, marked, types.JSONPatchType, Unlabel)
	if got := asJSON(t, free.GetLabels()); got != `{"team":"a"}` {
		t.Errorf("labels %s", got)
	}
	refused(t, marked, types.JSONPatchType, Unlabel, field("d-2", "metadata", "uid"), field("other", "metadata", "labels", "belay.dev/rollout"))

	role := func(u *unstructured.Unstructured) ([]byte, error) { return MarkSet(u, "shop", "stable") }
	if got := goesThrough(t, set(t, "Deployment", "d-1", 1), types.MergePatchType, role).GetLabels(); got["belay.dev/role"] != "stable" || got["belay.dev/rollout"] != "shop" {
		t.Errorf("labels %v", got)
	}
}
