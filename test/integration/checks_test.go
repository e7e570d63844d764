package integration

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/checks"
	"belay.dev/belay/controllers/runs"
)

// TestChecksOnAnAPIServer: the loop of checks, with the controller's own rights, creates a
// Job that the API server accepts and calls an endpoint, records both beside what other
// loops write, and deletes what runs when the run is rolled back. No Job controller runs
// here: the test sets the Job's status, and Jobs have no pods.
func TestChecksOnAnAPIServer(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	namespace := newNamespace(t)
	asked := make(chan string, 8)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Namespace, IdempotencyKey string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		if body.IdempotencyKey == r.Header.Get("Idempotency-Key") {
			asked <- body.Namespace + r.URL.Path
		}
		_, _ = io.WriteString(w, `{"outcome":"Pass","message":"fine"}`)
	}))
	t.Cleanup(server.Close)
	run, setStatus := checkedRun(t, namespace, server.URL)
	startChecks(t)
	mine := as(t, controller)
	g.Expect(runs.ApplyStatus(ctx, mine, run, "", v1alpha1.RolloutRunStatus{Analysis: &v1alpha1.AnalysisStatus{Verdict: v1alpha1.VerdictPass}}, v1alpha1.AnalysisFieldManager)).To(Succeed())
	setStatus(`{"phase":"Stepping","run":"checked-aaaaaaaaaa-1","step":{"index":0,"enteredAt":"2026-01-01T00:00:00Z","acknowledgedAt":"2026-01-01T00:00:00Z"}}`)

	statusOf := func(trigger string, step int32) *v1alpha1.CheckStatus {
		now := &v1alpha1.RolloutRun{}
		g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(run), now)).To(Succeed())
		g.Expect(now.Status.Analysis).NotTo(BeNil(), "the judge's part stays")
		return now.Status.Check("Guardrail", "checked", v1alpha1.Trigger{Name: trigger, Check: &v1alpha1.CheckTrigger{}}, step)
	}
	within := func(condition func(g Gomega)) {
		t.Helper()
		g.Eventually(condition).WithTimeout(soon).WithPolling(20 * time.Millisecond).Should(Succeed())
	}
	within(func(g Gomega) { g.Expect(statusOf("load", 0)).To(HaveField("Outcome", v1alpha1.VerdictPass)) })
	g.Expect(asked).To(Receive(Equal(namespace + "/checkout")))

	job := &batchv1.Job{}
	within(func(g Gomega) {
		c := statusOf("smoke", 0)
		g.Expect(c).NotTo(BeNil())
		g.Expect(admin.Get(ctx, types.NamespacedName{Namespace: namespace, Name: c.Job}, job)).To(Succeed())
	})
	g.Expect(metav1.IsControlledBy(job, run)).To(BeTrue())
	g.Expect(job.Spec.Template.Spec.Containers[0].Env).To(ContainElement(corev1.EnvVar{Name: "BELAY_SERVICE", Value: "checked-canary"}))
	at := metav1.Now()
	job.Status = batchv1.JobStatus{StartTime: &at, CompletionTime: &at, Succeeded: 1, UncountedTerminatedPods: &batchv1.UncountedTerminatedPods{}, Ready: new(int32)}
	for _, kind := range []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete} {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: at})
	}
	g.Expect(admin.Status().Update(ctx, job)).To(Succeed())
	within(func(g Gomega) { g.Expect(statusOf("smoke", 0)).To(HaveField("Outcome", v1alpha1.VerdictPass)) })

	setStatus(`{"step":{"index":1,"enteredAt":"2026-01-01T00:00:00Z","acknowledgedAt":"2026-01-01T00:00:00Z"}}`)
	second := &batchv1.Job{}
	within(func(g Gomega) {
		c := statusOf("smoke", 1)
		g.Expect(c).NotTo(BeNil())
		g.Expect(c.Job).NotTo(Equal(job.Name))
		g.Expect(admin.Get(ctx, types.NamespacedName{Namespace: namespace, Name: c.Job}, second)).To(Succeed())
	})
	setStatus(`{"phase":"RollingBack"}`)
	within(func(g Gomega) {
		g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(second), second)).To(Succeed())
		g.Expect(second.DeletionTimestamp).NotTo(BeNil())
		g.Expect(second.Finalizers).To(ContainElement(metav1.FinalizerDeleteDependents), "its pods go first")
	})
	g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(job), job)).To(Succeed())
	g.Expect(job.DeletionTimestamp).To(BeNil(), "a finished one stays")
}

// checkedRun is a run with one check of each sort, and what sets the status of its Rollout.
func checkedRun(t *testing.T, namespace, address string) (*v1alpha1.RolloutRun, func(string)) {
	t.Helper()
	g, ctx := NewWithT(t), t.Context()
	in := func(text string) client.Object {
		o := object(t, text)
		o.SetNamespace(namespace)
		return o
	}
	const triggers = `triggers: [{name: smoke, check: {job: {cronJob: smoke}}}, {name: load, check: {webhook: {endpoint: checked, path: /checkout}}}]`
	endpoint := object(t, `{apiVersion: belay.dev/v1alpha1, kind: CheckEndpoint, metadata: {name: checked}, spec: {address: "`+address+`"}}`)
	t.Cleanup(func() { _ = admin.Delete(t.Context(), endpoint) })
	for _, o := range []client.Object{endpoint,
		in(`{apiVersion: batch/v1, kind: CronJob, metadata: {name: smoke}, spec: {suspend: true, schedule: "0 0 1 1 *", jobTemplate: {spec: {backoffLimit: 0,
			template: {spec: {restartPolicy: Never, containers: [{name: smoke, image: "smoke:1"}]}}}}}}`),
		in(`{apiVersion: belay.dev/v1alpha1, kind: Guardrail, metadata: {name: checked}, spec: {` + triggers + `}}`),
		in(`{apiVersion: belay.dev/v1alpha1, kind: Rollout, metadata: {name: checked}, spec: {workloadRef: {name: checked}, traffic: {service: checked, routes: [{name: checked}]},
			steps: [{weight: 10}, {weight: 50}], guardrails: [{name: checked}]}}`)} {
		g.Expect(admin.Create(ctx, o)).To(Succeed())
	}
	mine := as(t, controller)
	rollout := &v1alpha1.Rollout{}
	g.Expect(admin.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "checked"}, rollout)).To(Succeed())
	o := in(`{apiVersion: belay.dev/v1alpha1, kind: RolloutRun, metadata: {name: checked-aaaaaaaaaa-1}, spec: {rollout: {name: checked, uid: ` + string(rollout.UID) + `, generation: 1},
		workload: checked, revision: aaaaaaaaaa, template: {}, stable: {revision: bbbbbbbbbb, template: {}}, traffic: {service: checked, routes: [{name: checked}]},
		steps: [{weight: 10}, {weight: 50}], controller: {version: v}, startedAt: "2026-01-01T00:00:00Z"}}`)
	g.Expect(mine.Create(ctx, o)).To(Succeed())
	run := &v1alpha1.RolloutRun{}
	g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(o), run)).To(Succeed())
	setStatus := func(status string) {
		t.Helper()
		g.Expect(mine.Status().Patch(ctx, rollout.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"status":`+status+`}`)))).To(Succeed())
	}
	setStatus(`{"phase":"Stable"}`)
	setStatus(`{"phase":"Gating"}`)
	return run, setStatus
}

func startChecks(t *testing.T) {
	t.Helper()
	to := rest.CopyConfig(config)
	to.Impersonate = rest.ImpersonationConfig{UserName: controller}
	again := true
	mgr, err := ctrl.NewManager(to, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, Controller: ctrlconfig.Controller{SkipNameValidation: &again}})
	if err != nil {
		t.Fatal(err)
	}
	loop := &checks.Reconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Namespace: "belay", Clock: clock.RealClock{}, Workers: 2}
	if err := loop.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(t.Context()) }()
	t.Cleanup(func() {
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}
