package delay

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// server is a real API server with the Rollouts, and the webhook that hangs.
type server struct {
	config *rest.Config
	admin  client.Client
	scheme *runtime.Scheme
	// swallowed counts the dry-runs that the webhook never answered.
	swallowed atomic.Int64
	burst     int64
}

// hang installs a webhook for Deployments that lets everything pass but dry-runs:
// those it never answers.
func (s *server) hang(b *testing.B) {
	b.Helper()
	webhook := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := &admissionv1.AdmissionReview{}
		if err := json.NewDecoder(r.Body).Decode(review); err != nil || review.Request == nil {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		if dry := review.Request.DryRun; dry != nil && *dry {
			s.swallowed.Add(1)
			<-r.Context().Done()
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		_ = json.NewEncoder(w).Encode(review)
	}))
	b.Cleanup(webhook.Close)
	none, fail, seconds := registrationv1.SideEffectClassNone, registrationv1.Fail, int32(10)
	must(b, s.admin.Create(b.Context(), &registrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "hangs"},
		Webhooks: []registrationv1.ValidatingWebhook{{
			Name: "hangs.example.com", SideEffects: &none, FailurePolicy: &fail, TimeoutSeconds: &seconds, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: registrationv1.WebhookClientConfig{
				URL: &webhook.URL, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: webhook.Certificate().Raw}),
			},
			Rules: []registrationv1.RuleWithOperations{{
				Operations: []registrationv1.OperationType{registrationv1.Update},
				Rule:       registrationv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
			}},
		}},
	}))
}

// fill makes the idle Rollouts with their labelled Deployments, and the trial.
func (s *server) fill(b *testing.B, idle int) {
	b.Helper()
	must(b, s.admin.Create(b.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
	guardrail := &v1alpha1.Guardrail{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "house"}}
	guardrail.Spec.Triggers = []v1alpha1.Trigger{{Name: "pods", Pods: &v1alpha1.PodsTrigger{ReadyWithin: metav1.Duration{Duration: time.Minute}}}}
	guardrail.Spec.WhenBlind.Hold = metav1.Duration{Duration: time.Minute}
	must(b, s.admin.Create(b.Context(), guardrail))
	names := make(chan string)
	failed := make(chan error, 16)
	var makers sync.WaitGroup
	for range 16 {
		makers.Go(func() {
			for name := range names {
				if err := s.make(b, name, v1alpha1.PhaseStable); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	for i := range idle {
		select {
		case names <- fmt.Sprintf("idle-%d", i):
		case err := <-failed:
			b.Fatal(err)
		}
	}
	close(names)
	makers.Wait()
	must(b, s.make(b, trial, v1alpha1.PhaseStable, v1alpha1.PhaseGating, v1alpha1.PhaseStepping))
	s.makeRun(b)
}

func (s *server) make(b *testing.B, name string, phases ...v1alpha1.Phase) error {
	labels := map[string]string{"app": name}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{v1alpha1.LabelRollout: name}},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "shop:1"}}},
			},
		},
	}
	rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	rollout.Spec.WorkloadRef.Name = name
	rollout.Spec.Traffic = &v1alpha1.Traffic{Service: name, Routes: []v1alpha1.RouteRef{{Name: name}}, Drain: metav1.Duration{Duration: time.Second}}
	rollout.Spec.Steps = []v1alpha1.Step{{Weight: 10, Hold: metav1.Duration{Duration: time.Minute}}}
	rollout.Spec.Guardrails = []v1alpha1.GuardrailRef{{Name: "house"}}
	rollout.Spec.Promotion.Bake = metav1.Duration{Duration: time.Minute}
	rollout.Spec.StepDeadline = metav1.Duration{Duration: time.Hour}
	for _, o := range []client.Object{deployment, rollout} {
		if err := s.admin.Create(b.Context(), o); err != nil {
			return err
		}
	}
	for _, phase := range phases {
		rollout.Status.Phase, rollout.Status.Run = phase, name+"-1"
		if err := s.admin.Status().Update(b.Context(), rollout); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) makeRun(b *testing.B) {
	b.Helper()
	template := runtime.RawExtension{Raw: []byte(`{"spec":{"containers":[]}}`)}
	run := &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: trial + "-1", Labels: map[string]string{v1alpha1.LabelRollout: trial}}}
	run.Spec = v1alpha1.RolloutRunSpec{
		Rollout: v1alpha1.RolloutIdentity{Name: trial, UID: "u", Generation: 1}, Workload: trial, Revision: "9fd21c3b07", Template: template,
		Stable:  v1alpha1.PinnedRevision{Revision: v1alpha1.Revision{Revision: "6c77698f9a"}, Template: template},
		Traffic: &v1alpha1.Traffic{Service: trial, Routes: []v1alpha1.RouteRef{{Name: trial}}}, Steps: []v1alpha1.Step{{Weight: 10}},
		Controller: v1alpha1.ControllerIdentity{Version: "test"}, StartedAt: metav1.Now(),
	}
	must(b, s.admin.Create(b.Context(), run))
	s.judge(b, v1alpha1.VerdictPass)
}

// judge writes a verdict as the analysis loop does.
func (s *server) judge(b *testing.B, verdict v1alpha1.VerdictOutcome) {
	b.Helper()
	s.patch(b, &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: trial + "-1"}}, true,
		fmt.Sprintf(`{"status":{"analysis":{"verdict":%q}}}`, verdict))
}

// touchGuardrail changes the guardrail that every Rollout names.
func (s *server) touchGuardrail(b *testing.B) {
	b.Helper()
	s.burst++
	s.patch(b, &v1alpha1.Guardrail{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "house"}}, false,
		fmt.Sprintf(`{"metadata":{"annotations":{"burst":"%d"}}}`, s.burst))
}

func (s *server) patch(b *testing.B, o client.Object, status bool, body string) {
	b.Helper()
	patch := client.RawPatch("application/merge-patch+json", []byte(body))
	if status {
		must(b, s.admin.Status().Patch(b.Context(), o, patch))
		return
	}
	must(b, s.admin.Patch(b.Context(), o, patch))
}
