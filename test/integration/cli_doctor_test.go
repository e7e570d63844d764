package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/build"
)

// clinic is an API server of its own with an installation, parts of which tests break.
type clinic struct {
	t       *testing.T
	c       client.Client
	server  *envtest.Environment
	manager client.Client
}

func (k *clinic) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// install puts Belay in place, as if its controller ran: ready, leading, with a source that
// answers.
func (k *clinic) install() {
	k.t.Helper()
	ctx := k.t.Context()
	k.must(install(ctx, k.c, "guard", "rbac"))
	objects, err := build.Config("manager")
	k.must(err)
	for _, o := range objects {
		if err := k.c.Create(ctx, o); err != nil && !apierrors.IsAlreadyExists(err) {
			k.t.Fatal(err)
		}
	}
	k.ready(2)
	k.renewed(0)
	k.must(k.c.Create(ctx, object(k.t, `{apiVersion: belay.dev/v1alpha1, kind: MetricSource, metadata: {name: default}, spec: {address: "https://prometheus.example:9090"}}`)))
	k.answers("True", "Answered", "Prometheus 3.7 answered")
}

func (k *clinic) controller() *appsv1.Deployment {
	k.t.Helper()
	d := &appsv1.Deployment{}
	k.must(k.c.Get(k.t.Context(), types.NamespacedName{Namespace: "belay", Name: "belay-controller"}, d))
	return d
}

func (k *clinic) ready(pods int32) {
	k.t.Helper()
	d := k.controller()
	d.Status.Replicas, d.Status.ReadyReplicas = 2, pods
	k.must(k.c.Status().Update(k.t.Context(), d))
}

// renewed writes when the leader renewed its lease last.
func (k *clinic) renewed(ago time.Duration) {
	k.t.Helper()
	holder, lasts, at := "belay-controller-1", int32(15), metav1.NewMicroTime(time.Now().Add(-ago))
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "belay", Name: "belay-controller"}}
	err := k.c.Get(k.t.Context(), client.ObjectKeyFromObject(l), l)
	l.Spec = coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &lasts, RenewTime: &at}
	if apierrors.IsNotFound(err) {
		k.must(k.c.Create(k.t.Context(), l))
		return
	}
	k.must(k.c.Update(k.t.Context(), l))
}

func (k *clinic) answers(status, reason, message string) {
	k.t.Helper()
	document := fmt.Sprintf(`{"status":{"conditions":[{"type":"Reachable","status":%q,"reason":%q,"message":%q,"lastTransitionTime":"2026-11-20T12:00:00Z"}]}}`, status, reason, message)
	source := &v1alpha1.MetricSource{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	k.must(k.manager.Status().Patch(k.t.Context(), source, client.RawPatch(types.MergePatchType, []byte(document))))
}

// object reads one that a manifest made: of NAME, or NAMESPACE/NAME.
func (k *clinic) object(kind, name string) *unstructured.Unstructured {
	k.t.Helper()
	u := &unstructured.Unstructured{}
	group := map[string]string{"CustomResourceDefinition": "apiextensions.k8s.io", "ClusterRole": "rbac.authorization.k8s.io", "ClusterRoleBinding": "rbac.authorization.k8s.io",
		"Role": "rbac.authorization.k8s.io", "RoleBinding": "rbac.authorization.k8s.io"}[kind]
	if group == "" {
		group = "admissionregistration.k8s.io"
	}
	u.SetAPIVersion(group + "/v1")
	u.SetKind(kind)
	namespace, own, namespaced := strings.Cut(name, "/")
	if !namespaced {
		namespace, own = "", name
	}
	k.must(k.c.Get(k.t.Context(), types.NamespacedName{Namespace: namespace, Name: own}, u))
	return u
}

// gone deletes an object, waits until it is no more, and returns how it is made again.
func (k *clinic) gone(kind, name string) func() {
	k.t.Helper()
	u := k.object(kind, name)
	k.must(k.c.Delete(k.t.Context(), u.DeepCopy()))
	k.absent(u)
	u.SetResourceVersion("")
	u.SetUID("")
	unstructured.RemoveNestedField(u.Object, "status")
	return func() {
		k.t.Helper()
		k.must(k.c.Create(k.t.Context(), u.DeepCopy()))
	}
}

// leaving deletes an object that a finalizer keeps, and returns how it goes and is made again.
func (k *clinic) leaving(kind, name string) func() {
	k.t.Helper()
	u := k.object(kind, name)
	k.must(k.c.Patch(k.t.Context(), u.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":["example.com/keep"]}}`))))
	k.must(k.c.Delete(k.t.Context(), u.DeepCopy()))
	return func() {
		k.t.Helper()
		k.must(k.c.Patch(k.t.Context(), u.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))
		k.absent(u)
		u.SetResourceVersion("")
		u.SetUID("")
		unstructured.RemoveNestedField(u.Object, "status")
		k.must(k.c.Create(k.t.Context(), u))
	}
}

// absent waits until an object is no more: a definition goes a moment after its deletion.
func (k *clinic) absent(u *unstructured.Unstructured) {
	k.t.Helper()
	for deadline := time.Now().Add(soon); time.Now().Before(deadline); {
		err := k.c.Get(k.t.Context(), client.ObjectKeyFromObject(u), u.DeepCopy())
		if apierrors.IsNotFound(err) {
			return
		}
		k.must(err)
	}
	k.t.Fatalf("%s %s is still there", u.GetKind(), u.GetName())
}

// changed edits an object, and returns how it is undone.
func (k *clinic) changed(kind, name string, edit func(map[string]any)) func() {
	k.t.Helper()
	before := k.object(kind, name)
	// The API server writes the status of a definition beside us.
	update := func(edit func(map[string]any)) {
		k.t.Helper()
		k.must(retry.RetryOnConflict(retry.DefaultBackoff, func() error {
			now := k.object(kind, name)
			edit(now.Object)
			return k.c.Update(k.t.Context(), now)
		}))
	}
	update(edit)
	return func() {
		k.t.Helper()
		update(func(now map[string]any) {
			for _, part := range []string{"spec", "rules"} {
				if before.Object[part] == nil {
					delete(now, part)
				} else {
					now[part] = before.Object[part]
				}
			}
		})
	}
}

func written(t *testing.T, value any, path ...string) func(map[string]any) {
	return func(o map[string]any) {
		if err := unstructured.SetNestedField(o, value, path...); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDoctor looks at a cluster before and after an installation, and at one fault after the
// other.
func TestDoctor(t *testing.T) {
	t.Parallel()
	server, to, c := ownServer(t)
	k := &clinic{t: t, c: c, server: server, manager: impersonated(t, to, c, controller)}
	me := personOn(t, server, "default", "platform@example.com", "system:masters")

	me.expect(me.says("doctor", "--before-install"), 0, "Nothing is wrong.", "Kubernetes v1.", "Gateway API v1.", "No Service looks like Prometheus")
	nobody := personOn(t, server, "default", "dev@example.com")
	nobody.expect(nobody.says("doctor", "--before-install"), 1, "your rights", "you may not create customresourcedefinitions", "install as cluster-admin")
	k.must(c.Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "prometheus-server"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 9090}}}}))
	me.expect(me.says("doctor", "--before-install"), 0, "http://prometheus-server.default:9090 looks like a source of metrics")
	me.expect(me.says("doctor"), 1, "no Deployment has the label app=belay-controller", "MutatingAdmissionPolicy belay-guard-hold  it is missing")

	k.install()
	me.expect(me.says("doctor"), 0, "The controller belay/belay-controller has 2 of 2 pods ready", "Nothing is wrong.")
	me.expect(me.says("doctor", "-o", "json"), 0, `"findings": []`)
	me.expect(me.says("doctor", "--before-install"), 1, "a controller of Belay is there already")
	nobody.expect(nobody.says("doctor"), 3, "Not looked at: you may not read CustomResourceDefinitions")
	for name, fault := range map[string]struct {
		seed  func() (mend func())
		words []string
	}{
		"a missing definition": {func() func() { return k.gone("CustomResourceDefinition", "checkendpoints.belay.dev") },
			[]string{"CustomResourceDefinition checkendpoints.belay.dev  it is missing", "kubectl apply --server-side"}},
		"a definition that is being deleted": {func() func() { return k.leaving("CustomResourceDefinition", "checkendpoints.belay.dev") },
			[]string{"CustomResourceDefinition checkendpoints.belay.dev  it is being deleted, and then missing", "kubectl apply --server-side"}},
		"a definition of an older version": {func() func() {
			return k.changed("CustomResourceDefinition", "guardrails.belay.dev", func(o map[string]any) {
				versions, _, _ := unstructured.NestedSlice(o, "spec", "versions")
				unstructured.RemoveNestedField(versions[0].(map[string]any), "schema", "openAPIV3Schema", "properties", "spec", "properties", "mode")
				written(t, versions, "spec", "versions")(o)
			})
		}, []string{"CustomResourceDefinition guardrails.belay.dev  it differs", "properties.spec.properties.mode", "lost without a word"}},
		"a missing policy": {func() func() { return k.gone("MutatingAdmissionPolicy", "belay-guard-hold") },
			[]string{"MutatingAdmissionPolicy belay-guard-hold  it is missing: a pushed version may roll out unjudged"}},
		"a missing binding": {func() func() { return k.gone("ValidatingAdmissionPolicyBinding", "belay-guard-release") },
			[]string{"ValidatingAdmissionPolicyBinding belay-guard-release  it is missing"}},
		"a policy that fails open": {func() func() {
			return k.changed("ValidatingAdmissionPolicy", "belay-guard-release", written(t, "Ignore", "spec", "failurePolicy"))
		}, []string{"ValidatingAdmissionPolicy belay-guard-release  it differs", "at spec.failurePolicy"}},
		"a binding that only audits": {func() func() {
			return k.changed("ValidatingAdmissionPolicyBinding", "belay-guard-release", written(t, []any{"Audit"}, "spec", "validationActions"))
		}, []string{"ValidatingAdmissionPolicyBinding belay-guard-release  it differs", "spec.validationActions"}},
		"a role that lacks rights": {func() func() {
			return k.changed("ClusterRole", "belay-controller", func(o map[string]any) { o["rules"] = o["rules"].([]any)[1:] })
		}, []string{"ClusterRole belay-controller  it differs", "lack rights"}},
		"a missing binding of a role": {func() func() { return k.gone("ClusterRoleBinding", "belay-guard-probe") },
			[]string{"ClusterRoleBinding belay-guard-probe  it is missing", "lack rights"}},
		"a missing role of its own namespace": {func() func() { return k.gone("Role", "belay/belay-controller") },
			[]string{"Role belay/belay-controller  it is missing", "lack rights"}},
		"a role that reads no Secrets": {func() func() {
			return k.changed("Role", "belay/belay-controller", func(o map[string]any) { o["rules"] = o["rules"].([]any)[:2] })
		}, []string{"Role belay/belay-controller  it differs"}},
		"a binding for another account": {func() func() {
			subjects := func(name string) func(map[string]any) {
				return written(t, []any{map[string]any{"kind": "ServiceAccount", "name": name, "namespace": "belay"}}, "subjects")
			}
			k.changed("RoleBinding", "belay/belay-controller", subjects("somebody"))
			return func() { k.changed("RoleBinding", "belay/belay-controller", subjects("controller")) }
		}, []string{"RoleBinding belay/belay-controller  it differs", "at subjects[0].name"}},
		"some namespaces only, without roles there": {func() func() {
			flags := func(further ...string) {
				d := k.controller()
				c := &d.Spec.Template.Spec.Containers[0]
				c.Args = append(slices.DeleteFunc(c.Args, func(arg string) bool { return strings.HasPrefix(arg, "--namespaces") }), further...)
				k.must(k.c.Update(t.Context(), d))
			}
			flags("--namespaces=default")
			return func() { flags() }
		}, []string{"Role default/belay-controller-watched  it is missing: the controller watches namespace default and has no rights there", "RoleBinding default/belay-guard-probe-watched  it is missing"}},
		"a controller without a ready pod": {func() func() { k.ready(0); return func() { k.ready(2) } },
			[]string{"Deployment belay/belay-controller  the controller has no ready pod (2 wanted)", "kubectl -n belay logs"}},
		"a leader that is gone": {func() func() { k.renewed(5 * time.Minute); return func() { k.renewed(0) } },
			[]string{"Lease belay/belay-controller", "has not renewed its lease for 5m"}},
		"a source that does not answer": {func() func() {
			k.answers("False", "Unreachable", "connection refused")
			return func() { k.answers("True", "Answered", "it answered") }
		}, []string{"MetricSource default  not Reachable (Unreachable): connection refused"}},
		"policies for another identity": {func() func() {
			account := func(name string) {
				d := k.controller()
				d.Spec.Template.Spec.ServiceAccountName = name
				k.must(c.Update(t.Context(), d))
			}
			account("belay")
			return func() { account("controller") }
		}, []string{"it exempts system:serviceaccount:belay:controller, and the controller is system:serviceaccount:belay:belay"}},
		"two controllers": {func() func() {
			d := k.controller()
			other := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: d.Name, Labels: d.Labels}, Spec: d.Spec}
			k.must(c.Create(t.Context(), other))
			return func() { k.must(c.Delete(t.Context(), other)) }
		}, []string{"2 Deployments have the label app=belay-controller", "one Belay serves a cluster"}},
	} {
		t.Run(name, func(t *testing.T) {
			me := me
			me.t = t
			mend := fault.seed()
			got := me.says("doctor")
			mend()
			me.expect(got, 1, fault.words...)
		})
	}
	// The mended definition is served again after a moment.
	me.eventually(0, "Nothing is wrong.", "doctor")
	k.must(c.Delete(t.Context(), k.controller()))
	me.expect(me.says("doctor", "--before-install"), 1, "admission policies", "of a former installation are in force without a controller")
}

// eventually repeats a command until it ends with this code and word.
func (p person) eventually(code int, word string, args ...string) {
	p.t.Helper()
	var got said
	for deadline := time.Now().Add(soon); time.Now().Before(deadline); {
		if got = p.says(args...); got.code == code && strings.Contains(got.out, word) {
			return
		}
	}
	p.expect(got, code, word)
}

// TestDoctorOfARollout finds nothing in a healthy shop, and each fault by its name.
func TestDoctorOfARollout(t *testing.T) {
	s := open(t)
	me := personIn(t, s.namespace, "oncall@example.com", "system:masters")
	me.expect(me.says("doctor", "shop"), 0, "Nothing is wrong.", "You may give: abort, pause, resume, promote, skip, approve, retry, override-freeze, rollback, bypass.")
	bind(t, admin, "doctor-viewer", "belay-view")
	viewer := personIn(t, s.namespace, "doctor-viewer")
	allowed(t, admin, "doctor-viewer", "list", v1alpha1.GroupVersion.Group, "rollouts")
	viewer.expect(viewer.says("doctor", "shop"), 3, "Not looked at: you may not read Deployments", "You may not give: abort (lacks patch rollouts, abort rollouts), pause (lacks patch rollouts, pause rollouts)", "get deployments, patch deployments). Roles: docs/security.md.")

	ctx := t.Context()
	s.must(admin.Create(ctx, &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "shop"}, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		MaxReplicas: 5, ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "shop"}}}))
	h := &autoscalingv2.HorizontalPodAutoscaler{}
	s.must(admin.Get(ctx, s.key(), h))
	h.Status.Conditions = []autoscalingv2.HorizontalPodAutoscalerCondition{{Type: autoscalingv2.ScalingActive, Status: corev1.ConditionFalse, Reason: "FailedGetResourceMetric", Message: "no metrics"}}
	s.must(admin.Status().Update(ctx, h))
	me.expect(me.says("doctor", "shop"), 1, "HorizontalPodAutoscaler shop  ScalingActive is False (FailedGetResourceMetric): no metrics", "1 finding.")
	s.must(admin.Delete(ctx, h))

	s.must(admin.Patch(ctx, s.rollout(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"paused":true,"guardrails":[{"name":"shop"},{"name":"absent"}]}}`))))
	s.must(admin.Patch(ctx, s.deployment(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}`))))
	route := httpRoute(s.namespace, "shop", "another")
	s.must(admin.Patch(ctx, httpRoute(s.namespace, "shop", "shop"), client.RawPatch(types.MergePatchType, mustJSON(t, map[string]any{"spec": map[string]any{"rules": route.Spec.Rules}}))))
	s.must(admin.Patch(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "shop"}}, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"selector":{"app":"store"}}}`))))
	me.expect(me.says("doctor", "shop"), 1, "Rollout shop  spec.paused is true", "Rollout shop  the controller has not looked at its present spec",
		"Guardrail absent  it does not exist", "Deployment shop  its strategy is Recreate", "HTTPRoute shop  no backendRef of it names Service shop",
		"Service shop  its selector app=store does not match the pods of Deployment shop")
	s.must(admin.Delete(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "shop"}}))
	s.must(admin.Delete(ctx, route))
	me.expect(me.says("doctor", "shop"), 1, "Service shop  it does not exist", "HTTPRoute shop  it does not exist")
}

func mustJSON(t *testing.T, value any) []byte {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
