package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/config"
)

// TestWhatDiffers: defaults that the API server fills in do not, what is missing or changed
// does, and its place is told.
func TestWhatDiffers(t *testing.T) {
	manifest := map[string]any{"a": []any{map[string]any{"n": float64(1000000), "s": "x\n"}}, "description": "old", "on": true}
	for want, object := range map[string]map[string]any{
		"":       {"a": []any{map[string]any{"n": int64(1000000), "s": "x", "default": true}}, "on": true, "description": "new"},
		"a[0].n": {"a": []any{map[string]any{"n": int64(2), "s": "x"}}, "on": true},
		"a[0].s": {"a": []any{map[string]any{"n": int64(1000000)}}, "on": true},
		"a":      {"a": []any{}, "on": true},
		"on":     {"a": []any{map[string]any{"n": int64(1000000), "s": "x"}}},
	} {
		if got := difference(manifest, object, ""); got != want {
			t.Errorf("%v differs at %q, want %q", object, got, want)
		}
	}
}

// TestTheManifestsNameTheIdentity, in every policy that exempts the controller.
func TestTheManifestsNameTheIdentity(t *testing.T) {
	for _, folder := range []string{"crd", "guard", "rbac"} {
		objects, err := config.Objects(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			if differs(o, o) != "" {
				t.Errorf("%s differs from itself at %s", o.GetName(), differs(o, o))
			}
			if o.GetName() != "belay-guard-hold" || o.GetKind() != "MutatingAdmissionPolicy" {
				continue
			}
			other := renamed(o, "system:serviceaccount:ops:belay")
			if at := identityIn(other); at != "system:serviceaccount:ops:belay" {
				t.Errorf("the identity in %s is %s", o.GetName(), at)
			}
			if at := differs(o, other); !strings.Contains(at, "matchConditions") {
				t.Errorf("with another identity %s differs at %q", o.GetName(), at)
			}
		}
	}
}

func TestTagsThatAreVersions(t *testing.T) {
	for image, want := range map[string]string{
		"registry.example.com:5000/belay/belay-controller:v0.1.0": "v0.1.0", "belay-controller": "", "a:latest": "",
		"registry.example.com:5000/belay": "", "a@sha256:ab": "", "a:0.2.0@sha256:ab": "0.2.0",
	} {
		if got := tagOf(image); got != want {
			t.Errorf("the tag of %s is %q, want %q", image, got, want)
		}
	}
}

func TestFindingsAreOneLineEach(t *testing.T) {
	e := &examination{}
	e.found("Service shop", "create it", "it does\nnot exist\x1b[2J.")
	e.note("Kubernetes %s.", "v1.37.2")
	const want = "Service shop  it does not exist[2J  →  create it\nnote: Kubernetes v1.37.2.\n1 finding.\n"
	if got := findingsScreen(terminal{width: 40}, e.report); got != want {
		t.Errorf("%q", got)
	}
	if got := findingsScreen(terminal{width: 40}, report{}); got != "Nothing is wrong.\n" {
		t.Errorf("%q", got)
	}
}

func TestBackendsOfARoute(t *testing.T) {
	route := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"rules": []any{
		map[string]any{}, map[string]any{"backendRefs": []any{map[string]any{"name": "a"}, map[string]any{"name": "b"}}}}}}}
	if got := strings.Join(backends(route), ","); got != "a,b" {
		t.Error(got)
	}
}

// TestConditionsThatAreFindings: those that are not as they should be, and why it waits.
func TestConditionsThatAreFindings(t *testing.T) {
	rollout := func(conditions ...metav1.Condition) *v1alpha1.Rollout {
		return &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "shop", Generation: 2}, Status: v1alpha1.RolloutStatus{ObservedGeneration: 2, Conditions: conditions}}
	}
	is := func(name string, status metav1.ConditionStatus, reason string) metav1.Condition {
		return metav1.Condition{Type: name, Status: status, Reason: reason, Message: "a message"}
	}
	stale, stopped := rollout(), rollout()
	stale.Status.ObservedGeneration = 1
	stopped.Spec.Paused = true
	for name, c := range map[string]struct {
		rollout *v1alpha1.Rollout
		want    string
	}{
		"healthy": {rollout(is(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonStable), is(v1alpha1.ConditionGuarded, metav1.ConditionTrue, v1alpha1.ReasonGuardProven),
			is(v1alpha1.ConditionStalled, metav1.ConditionFalse, v1alpha1.ReasonStable), is(v1alpha1.ConditionTrafficConflict, metav1.ConditionFalse, v1alpha1.ReasonNoConflict)), ""},
		"goes on":      {rollout(is(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonBaking)), ""},
		"stalled":      {rollout(is(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonRolledBack)), "Stalled is True (RolledBack): a message"},
		"not guarded":  {rollout(is(v1alpha1.ConditionGuarded, metav1.ConditionFalse, v1alpha1.ReasonGuardMissing)), "Guarded is False (GuardMissing)"},
		"not proven":   {rollout(is(v1alpha1.ConditionGuarded, metav1.ConditionUnknown, v1alpha1.ReasonGuardUnproven)), "Guarded is Unknown (GuardUnproven)"},
		"conflict":     {rollout(is(v1alpha1.ConditionTrafficConflict, metav1.ConditionTrue, v1alpha1.ReasonForeignWrite)), "TrafficConflict is True (ForeignWrite)"},
		"self-check":   {rollout(is(v1alpha1.ConditionInvariantViolated, metav1.ConditionTrue, v1alpha1.ReasonSelfCheckFailed)), "InvariantViolated is True"},
		"holds":        {rollout(is(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonHolding)), "it waits (Holding): a message"},
		"not observed": {stale, "(generation 2, observed 1)"},
		"paused":       {stopped, "spec.paused is true"},
	} {
		e := &examination{}
		e.conditions(c.rollout)
		if c.want == "" && len(e.Findings) > 0 || c.want != "" && (len(e.Findings) != 1 || !strings.Contains(e.Findings[0].Wrong, c.want) || e.Findings[0].Do == "") {
			t.Errorf("%s: %+v, want %q", name, e.Findings, c.want)
		}
	}
}

func TestWhoOwnsAField(t *testing.T) {
	entry := metav1.ManagedFieldsEntry{FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:paused":{},"f:template":{"f:spec":{}}}}`)}
	for path, want := range map[string]bool{"spec": true, "spec paused": true, "spec template spec": true, "spec replicas": false, "status": false} {
		if got := owns(entry, strings.Fields(path)...); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	if owns(metav1.ManagedFieldsEntry{}, "spec") || owns(metav1.ManagedFieldsEntry{FieldsV1: metav1.NewFieldsV1("{")}, "spec") {
		t.Error("nobody's fields")
	}
}

// TestARoleBesideOneThatMayNotBeRead: what the ClusterRole gives is not known then, and so not
// what the Role beside it lacks.
func TestARoleBesideOneThatMayNotBeRead(t *testing.T) {
	types, err := scheme()
	if err != nil {
		t.Fatal(err)
	}
	manifest := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": map[string]any{"name": controllerName},
		"rules": []any{map[string]any{"apiGroups": []any{""}, "resources": []any{"nodes"}, "verbs": []any{"get"}}}}}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: controllerName + "-watched"}}
	for name, refuses := range map[string]bool{"refused": true, "missing": false} {
		reads := interceptor.NewClient(fake.NewClientBuilder().WithScheme(types).WithObjects(role).Build(), interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
				if _, of := o.(*rbacv1.ClusterRole); of && refuses {
					return apierrors.NewForbidden(schema.GroupResource{Resource: "clusterroles"}, key.Name, nil)
				}
				return c.Get(ctx, key, o, opts...)
			},
		})
		e := &examination{session: &session{Client: reads}}
		if err := e.watched(t.Context(), manifest, &installed{watched: []string{"shop"}}); err != nil {
			t.Fatal(err)
		}
		if e.Incomplete != refuses || (len(e.Findings) == 0) != refuses {
			t.Errorf("%s: incomplete %v, %v", name, e.Incomplete, e.Findings)
		}
	}
}

// TestRolesFitAnInstallation: accounts, namespaces and names of accounts are read from the
// controller's Deployment, and fill in the manifests.
func TestRolesFitAnInstallation(t *testing.T) {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "ops"}}
	d.Spec.Template.Spec.ServiceAccountName = "belay"
	d.Spec.Template.Spec.Containers = []corev1.Container{{Args: []string{"--leader-elect", "--guard-probe-user=system:serviceaccount:ops:probe", "--namespaces=shop,bank"}}}
	in := installedBy(d)
	if in.controller.user() != "system:serviceaccount:ops:belay" || in.probe != (account{"ops", "probe"}) || !slices.Equal(in.watched, []string{"shop", "bank"}) {
		t.Errorf("%+v", in)
	}
	d.Spec.Template.Spec.Containers[0].Args = []string{"--namespaces="}
	if in := installedBy(d); in.probe != (account{"ops", "guard-probe"}) || in.watched != nil {
		t.Errorf("%+v", in)
	}
	objects, err := config.Objects("rbac")
	if err != nil {
		t.Fatal(err)
	}
	own := 0
	for _, manifest := range objects {
		before := manifest.DeepCopy()
		raw, err := json.Marshal(in.fitted(manifest).Object)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(raw); strings.Contains(text, `"namespace":"belay"`) || strings.Contains(text, `"name":"controller"`) || strings.Contains(text, `"guard-probe"`) {
			t.Errorf("%s %s names accounts of config/manager: %s", manifest.GetKind(), manifest.GetName(), text)
		}
		if !equality.Semantic.DeepEqual(before, manifest) {
			t.Errorf("%s was changed", manifest.GetName())
		}
		if manifest.GetNamespace() != "" {
			own++
		}
	}
	if own != 2 {
		t.Errorf("%d Roles and RoleBindings of the controller's own namespace, want 2", own)
	}
}

func TestLackingRights(t *testing.T) {
	rule := func(verbs ...string) []rbacv1.PolicyRule {
		return []rbacv1.PolicyRule{{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: verbs}}
	}
	if got := lacking(rule("get", "patch"), append(rule("get"), rule("list")...)); !slices.Equal(got, []string{"patch deployments"}) {
		t.Errorf("%q", got)
	}
	if got := lacking(rule("get", "patch"), append(rule("get"), rule("patch")...)); len(got) > 0 {
		t.Errorf("%q", got)
	}
	one := rule("get")
	one[0].ResourceNames = []string{"checkout"}
	if got := lacking(rule("get"), one); len(got) != 1 {
		t.Errorf("a right on one object counts for all: %q", got)
	}
}

// TestVersionsOfControllerAndProgram: the leader's own word counts, then the tag; a version that
// is not known is not taken for the same.
func TestVersionsOfControllerAndProgram(t *testing.T) {
	defer func(was string) { version = was }(version)
	for name, c := range map[string]struct {
		lease, image, program string
		finding               bool
		want                  string
	}{
		"the same":             {"v0.2.0", "belay@sha256:ab", "0.2.0", false, "The controller has version v0.2.0, as the leader says, as this program has."},
		"another, in a lease":  {"v0.1.0", "belay:v0.2.0", "v0.2.0", true, "the controller has version v0.1.0, as the leader says, and this program v0.2.0"},
		"another, by its tag":  {"", "belay:v0.1.0", "v0.2.0", true, "by the tag of its image"},
		"a digest alone":       {"", "belay@sha256:ab", "v0.2.0", false, "Which version the controller has is not known"},
		"a development build":  {"v0.1.0", "", "development", false, "This program is a development build"},
		"one in the cluster":   {"development", "", "v0.2.0", true, "the controller has version development"},
		"both are development": {"development", "", "development", false, "as this program has"},
	} {
		version = c.program
		e := &examination{}
		d := &appsv1.Deployment{}
		d.Spec.Template.Spec.Containers = []corev1.Container{{Image: c.image}}
		lease := &coordinationv1.Lease{}
		if c.lease != "" {
			lease.Labels = map[string]string{"app.kubernetes.io/version": c.lease}
		}
		e.sameVersion(d, lease)
		if said := findingsScreen(terminal{width: 100}, e.report); len(e.Findings) > 0 != c.finding || !strings.Contains(said, c.want) {
			t.Errorf("%s: %s", name, said)
		}
	}
}
