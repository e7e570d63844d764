package integration

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/analysis/prometheus/enginetest"
	"belay.dev/belay/api/v1alpha1"
)

// TestCommandLineBypasses a rejected version, as somebody who has the verb; who lacks it is
// refused before anything changes.
func TestCommandLineBypasses(t *testing.T) {
	s := open(t)
	me := personIn(t, s.namespace, "bypasser@example.com", "system:masters")
	me.expect(me.says("bypass", "shop", "--yes"), 2, "a bypass needs --reason")
	me.expect(me.says("bypass", "shop", "--reason", "outage", "--yes"), 1, "There is nothing to bypass", "v1, which is the stable version")
	s.release(better)
	s.fails = atWeight
	rejected := s.until("rolled back", ended(better)).Status.Rejected[0].Revision
	s.until("marked", func(*v1alpha1.Rollout) bool { return s.deployment().Labels[v1alpha1.LabelRejected] == rejected })
	before := s.deployment()

	me.expect(me.says("bypass", "shop", "--reason", "outage"), 2, "v2 goes to all pods of Deployment shop at once", "without being judged", "this is no terminal: --yes")
	dev(t)
	developer := personIn(t, s.namespace, "dev")
	developer.expect(developer.says("bypass", "shop", "--reason", "outage", "--yes"), 2, "nothing was bypassed", "needs the verb bypass on rollouts.belay.dev/shop")
	if d := s.deployment(); d.Generation != before.Generation || d.Annotations[v1alpha1.AnnotationBypassReason] != "" {
		t.Errorf("the Deployment was changed: generation %d to %d, annotations %v", before.Generation, d.Generation, d.Annotations)
	}

	unpaused := func() bool { return !s.deployment().Spec.Paused }
	served := func(r *v1alpha1.Rollout) bool {
		return r.Status.Phase == v1alpha1.PhaseStable && r.Status.Stable.Image == better
	}
	me.expect(me.during(s, unpaused, served, "bypass", "shop", "--reason", `the "outage"; INC-1042`, "--yes"), 0,
		"Deployment shop rolls out v2", `bypasser@example.com`, "Bypassed: v2 is the stable version and serves. It was not judged.")
	r := s.rollout()
	if h := r.Status.History[0]; h.Outcome != v1alpha1.OutcomeBypassed || r.Status.IsRejected(rejected) == nil {
		t.Errorf("history %s %q, rejected %v", h.Outcome, h.Message, r.Status.Rejected)
	}
	me.expect(me.says("why", "shop"), 0, "BYPASSED", "INC-1042")
}

// TestCommandLineBypassesWithANewVersion in the middle of a run: reason and image go in one
// write, and Services that select one version select all of them.
func TestCommandLineBypassesWithANewVersion(t *testing.T) {
	s := open(t)
	me := personIn(t, s.namespace, "sre@example.com", "system:masters")
	s.release(better)
	s.until("at 50 %", atWeight)
	me.expect(me.says("bypass", "shop", "--reason", "outage", "--image", "app="+fixed, "--yes"), 2, `has no container "app"`)
	served := func(r *v1alpha1.Rollout) bool {
		return r.Status.Phase == v1alpha1.PhaseStable && r.Status.Stable.Image == fixed
	}
	me.expect(me.during(s, declares(s, fixed), served, "bypass", "shop", "--reason", "outage", "--image", "shop="+fixed, "--yes"), 0, "v3 goes to all pods", "Bypassed: v3")
	if d := s.deployment(); d.Spec.Paused {
		t.Error("the Deployment is paused")
	}
}

// TestCommandLineBypassesWithoutTheController: nobody but the command lets the Services select
// all versions, whose pods the Deployment is about to replace.
func TestCommandLineBypassesWithoutTheController(t *testing.T) {
	s := open(t)
	me := personIn(t, s.namespace, "sre@example.com", "system:masters")
	s.must(admin.Patch(t.Context(), s.rollout(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"traffic":{"directCallers":"Stable"}}}`))))
	s.release(better)
	s.until("at 50 %", atWeight)
	narrow := func() (names []string) {
		all := &corev1.ServiceList{}
		s.must(admin.List(t.Context(), all, client.InNamespace(s.namespace)))
		for i := range all.Items {
			if all.Items[i].Spec.Selector["pod-template-hash"] != "" {
				names = append(names, all.Items[i].Name)
			}
		}
		return names
	}
	if got := narrow(); len(got) != 3 {
		t.Fatalf("the Services %v select one version, want the user's and the pair", got)
	}
	me.expect(me.says("bypass", "shop", "--reason", "outage", "--yes", "--timeout", "0"), 0, "Deployment shop rolls out v2")
	if got := narrow(); len(got) > 0 {
		t.Errorf("the Services %v select one version still", got)
	}
	if s.deployment().Spec.Paused {
		t.Error("the Deployment is paused")
	}
	me.expect(me.says("bypass", "shop", "--reason", "outage", "--yes"), 1, "There is nothing to bypass: Deployment shop rolls out v2 already")
}

// TestCommandLineInit writes manifests that the API server accepts, for a Deployment with a
// Service, a route and metrics, and for one with nothing.
func TestCommandLineInit(t *testing.T) {
	t.Parallel()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "init-"}}
	if err := admin.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	labelled := map[string]string{"app": "checkout"}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labelled}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: good}}}}
	for _, name := range []string{"checkout", "7worker"} {
		create(t, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: name},
			Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labelled}, Template: template}})
	}
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: "checkout-7d9f6b5c4", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "apps/v1", Kind: "Deployment", Name: "checkout", UID: "u"}}}, Spec: appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labelled}, Template: template}}
	create(t, set)
	set.Status.Replicas = 1
	if err := admin.Status().Update(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	create(t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: "shopfront"}, Spec: corev1.ServiceSpec{Selector: labelled, Ports: []corev1.ServicePort{{Port: 80}}}})
	create(t, httpRoute(namespace.Name, "public", "shopfront"))
	me := personIn(t, namespace.Name, "dev@example.com", "system:masters")
	engine := enginetest.New(time.Now())
	engine.Scrape(t, "up 1\nhttp_server_request_duration_seconds_count{http_response_status_code=\"200\"} 90\n"+
		"http_server_request_duration_seconds_bucket{http_response_status_code=\"200\",le=\"0.25\"} 80\nhttp_server_request_duration_seconds_bucket{http_response_status_code=\"200\",le=\"+Inf\"} 90\n# EOF\n",
		map[string]string{"namespace": namespace.Name, "pod": "checkout-7d9f6b5c4-aaaaa", "instance": "10.0.0.1:80"})

	got := me.says("init", "checkout", "--prometheus", engine.Serve(t), "--scrape-interval", "15s")
	me.expect(got, 0, "service: shopfront", "- {kind: HTTPRoute, name: public}", "preset: otel-http, requests: {}", "threshold: 250ms", "mode: Observe")
	nothing := me.says("init", "7worker")
	me.expect(nothing, 0, "name: app-7worker", "Metrics were not looked for")
	me.expect(me.says("init", "absent"), 2, "read Deployment absent")
	for _, out := range []string{got.out, nothing.out} {
		for _, part := range strings.Split(out, "\n---\n") {
			if err := tryYAML(t, part); err != nil {
				t.Errorf("%v:\n%s", err, part)
			}
		}
	}
	if n := len(strings.Split(got.out, "\n---\n")); n != 2 {
		t.Errorf("%d manifests", n)
	}
	create(t, object(t, `{apiVersion: belay.dev/v1alpha1, kind: Rollout, metadata: {name: checkout, namespace: `+namespace.Name+`}, spec: {workloadRef: {name: checkout}, steps: [{weight: 50}]}}`))
	me.expect(me.says("init", "checkout"), 2, "rollout checkout guards Deployment checkout already")
}
