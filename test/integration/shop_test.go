package integration

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/gates"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/rollout"
	"belay.dev/belay/controllers/traffic/gateway"
	bypods "belay.dev/belay/controllers/traffic/replicas"
)

// Images of the shop; the kubelet of these tests restarts a container of the
// last one again and again.
const (
	good    = "registry.example/shop:v1"
	better  = "registry.example/shop:v2"
	crashes = "registry.example/shop:crash"
)

// shop is a Deployment with everything around it, in its own namespace, and the
// real reconciler that guards it. Time is the test's own.
type shop struct {
	t          *testing.T
	namespace  string
	clock      *clocktesting.FakePassiveClock
	api        *fallible
	reconciler *rollout.Reconciler
	guard      *gates.Guard
	cluster    *cluster
	// analysis is the other loop's access.
	analysis client.Client
	// fails says when the candidate begins to fail.
	fails   func(*v1alpha1.Rollout) bool
	failing bool
	said    string
	// written is what the last release wrote, to its end.
	written []string
}

// open serves the good image, adopted and guarded, beside the shops of other tests.
func open(t *testing.T) *shop {
	t.Helper()
	t.Parallel()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-"}}
	if err := admin.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, namespace: namespace.Name, clock: clocktesting.NewFakePassiveClock(time.Now()), api: newFallible(t), analysis: as(t, controller)}
	s.cluster = &cluster{t: t, namespace: s.namespace, leaving: map[string]bool{}, made: map[string]int{}}
	s.start()
	labels := map[string]string{"app": "shop"}
	replicas := int32(2)
	create(t, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: s.namespace}, Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "shop", Image: good}}}}}})
	create(t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: s.namespace},
		Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: 80}}}})
	create(t, httpRoute(s.namespace, "shop", "shop"))
	create(t, object(t, `{apiVersion: belay.dev/v1alpha1, kind: MetricSource, metadata: {name: shops}, spec: {address: "https://prometheus.example:9090"}}`))
	create(t, object(t, fmt.Sprintf(`{apiVersion: belay.dev/v1alpha1, kind: Guardrail, metadata: {name: shop, namespace: %s}, spec: {source: shops,
		slos: [{name: errors, objective: "99.9", indicator: {requests: {total: {metric: requests_total}, bad: {metric: errors_total}}}}],
		triggers: [{name: errors, slo: errors, regression: {}}, {name: pods, pods: {maxRestarts: 1}}]}}`, s.namespace)))
	s.declareRollout()
	s.until("adopted and stable", func(r *v1alpha1.Rollout) bool {
		return r.Status.Phase == v1alpha1.PhaseStable && r.Status.Stable != nil && len(r.Finalizers) > 0 && r.Status.Message == "serving "+good
	})
	s.api.forget()
	return s
}

// start is a new process of the controller.
func (s *shop) start() {
	s.api.revive()
	s.guard = &gates.Guard{Client: admin, Probe: as(s.t, guardProbe), Clock: s.clock, Stands: time.Hour}
	s.reconciler = &rollout.Reconciler{
		Client: s.api.client, Live: s.api.client, Router: gateway.New(s.api.client, v1alpha1.FieldManager), ByPods: bypods.New(s.api.client), Guard: s.guard,
		Events: &events.FakeRecorder{}, Clock: s.clock, Version: "test", Watchdog: 10 * time.Second, SteadyFor: time.Second, ReleaseTimeout: time.Hour, Workers: 1,
	}
}

// prove is the other loop of the controller, which checks the guard until it holds.
func (s *shop) prove() {
	s.t.Helper()
	if s.guard.Last(s.rollout()).Outcome == plan.Open {
		return
	}
	if _, err := s.guard.Reconcile(s.t.Context(), reconcile.Request{NamespacedName: s.key()}); err != nil {
		s.t.Fatal(err)
	}
}

// look is one reconcile, and what the rest of the cluster makes of it. A second
// passes.
func (s *shop) look() error {
	s.t.Helper()
	s.prove()
	_, err := s.reconciler.Reconcile(s.t.Context(), reconcile.Request{NamespacedName: s.key()})
	s.clock.SetTime(s.clock.Now().Add(time.Second))
	if s.api.takeWrites() || s.cluster.moving {
		s.cluster.tick()
	}
	return err
}

// until looks again and again. Only what a test makes fail may fail.
func (s *shop) until(what string, reached func(*v1alpha1.Rollout) bool) *v1alpha1.Rollout {
	s.t.Helper()
	for range 150 {
		if err := s.look(); err != nil && !errors.Is(err, errMade) {
			s.t.Fatalf("on the way to %q: %v", what, err)
		}
		if s.api.dead {
			s.start()
		}
		r := s.rollout()
		if reached(r) {
			return r
		}
		s.judge(r)
	}
	s.t.Fatalf("never %s: %+v", what, s.rollout().Status)
	return nil
}

// release pushes a version, as its developers do.
func (s *shop) release(image string) {
	s.t.Helper()
	s.failing, s.fails = false, nil
	document := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"shop","image":%q}]}}}}`, image)
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: s.namespace}}
	if err := admin.Patch(s.t.Context(), d, client.RawPatch(types.StrategicMergePatchType, []byte(document))); err != nil {
		s.t.Fatal(err)
	}
	if !d.Spec.Paused {
		s.t.Fatal("a pushed version was not held")
	}
}

// judge writes what the analysis loop would about the run at its present
// weight: it passes, unless the test says that it fails.
func (s *shop) judge(r *v1alpha1.Rollout) {
	s.t.Helper()
	outcome, reason := v1alpha1.VerdictPass, "Healthy"
	s.failing = s.failing || s.fails != nil && s.fails(r)
	if s.failing {
		outcome, reason = v1alpha1.VerdictFail, "Regression"
	}
	said := fmt.Sprint(r.Status.Run, outcome, stageOf(r), s.clock.Now().Unix()/60)
	if said == s.said {
		return
	}
	run := s.run(r.Status.Run)
	if run == nil || run.Status.Outcome != "" {
		return
	}
	s.said = said
	now := s.clock.Now().UTC().Format(metav1.RFC3339Micro)
	u := object(s.t, fmt.Sprintf(`{apiVersion: belay.dev/v1alpha1, kind: RolloutRun, metadata: {name: %s, namespace: %s, uid: %s}, status: {analysis: {verdict: %[4]s, evaluatedAt: %[5]q,
		triggers: [{kind: Guardrail, guardrail: shop, name: errors, outcome: %[4]s, reason: %[6]s, message: "as the test says", evaluatedAt: %[5]q, samplesFrom: %[5]q}]}}}`,
		run.Name, s.namespace, run.UID, outcome, now, reason))
	err := s.analysis.Status().Apply(s.t.Context(), client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(v1alpha1.AnalysisFieldManager), client.ForceOwnership)
	if err != nil {
		s.t.Fatal(err)
	}
}

// stageOf changes when samples must be taken anew.
func stageOf(r *v1alpha1.Rollout) string {
	stage := string(r.Status.Phase)
	if r.Status.Step != nil {
		stage += fmt.Sprint(r.Status.Step.AcknowledgedAt)
	}
	if p := r.Status.Promotion; p != nil {
		stage += fmt.Sprint(p.FullAt, p.HandedAt)
	}
	return stage
}

func (s *shop) key() types.NamespacedName {
	return types.NamespacedName{Namespace: s.namespace, Name: "shop"}
}

func (s *shop) rollout() *v1alpha1.Rollout {
	s.t.Helper()
	r := &v1alpha1.Rollout{}
	if err := client.IgnoreNotFound(admin.Get(s.t.Context(), s.key(), r)); err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *shop) deployment() *appsv1.Deployment {
	s.t.Helper()
	d := &appsv1.Deployment{}
	if err := admin.Get(s.t.Context(), s.key(), d); err != nil {
		s.t.Fatal(err)
	}
	return d
}

// run is nil when there is none of that name.
func (s *shop) run(name string) *v1alpha1.RolloutRun {
	s.t.Helper()
	run := &v1alpha1.RolloutRun{}
	if name == "" || admin.Get(context.WithoutCancel(s.t.Context()), types.NamespacedName{Namespace: s.namespace, Name: name}, run) != nil {
		return nil
	}
	return run
}
