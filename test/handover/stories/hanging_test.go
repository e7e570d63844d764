package stories

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/workload"
)

// webhook of somebody's for Deployments, that answers everything but dry-runs.
type webhook struct {
	// hanging counts the dry-runs that wait for an answer, and answered those that
	// got one.
	hanging, answered atomic.Int64
}

// hang puts a webhook for the namespace's Deployments in force that lets dry-runs
// wait until the test ends.
func (s *shop) hang() *webhook {
	s.T.Helper()
	w, end := &webhook{}, make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		review := &admissionv1.AdmissionReview{}
		if err := json.NewDecoder(r.Body).Decode(review); err != nil || review.Request == nil {
			http.Error(out, "no review", http.StatusBadRequest)
			return
		}
		if dry := review.Request.DryRun; dry != nil && *dry {
			w.hanging.Add(1)
			defer w.hanging.Add(-1)
			select {
			case <-r.Context().Done():
			case <-end:
			}
			return
		}
		w.answered.Add(1)
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		_ = json.NewEncoder(out).Encode(review)
	}))
	none, fail, seconds := admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.Fail, int32(30)
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "hangs-" + s.Namespace},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{Name: "hangs.example.com", SideEffects: &none, FailurePolicy: &fail, TimeoutSeconds: &seconds, AdmissionReviewVersions: []string{"v1"},
			ClientConfig:      admissionregistrationv1.WebhookClientConfig{URL: &server.URL, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": s.Namespace}},
			Rules: []admissionregistrationv1.RuleWithOperations{{Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Update},
				Rule: admissionregistrationv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}}}}}}}
	s.Must(admin.Create(s.T.Context(), configuration))
	s.T.Cleanup(func() {
		if err := admin.Delete(context.Background(), configuration); err != nil {
			s.T.Errorf("delete the webhook: %v", err)
		}
		close(end)
		server.Close()
	})
	s.Eventually("the webhook is in force", func(g Gomega) {
		document := fmt.Appendf(nil, `{"metadata":{"annotations":{"asked":"%d"}}}`, s.belay.looks.Load())
		g.Expect(admin.Patch(s.T.Context(), s.Deployment(), client.RawPatch(types.MergePatchType, document))).To(Succeed())
		g.Expect(w.answered.Load()).NotTo(BeZero())
	})
	return w
}

// idle makes a Rollout that serves its stable version, with its labelled
// Deployment of no pods, as a controller before this one would have left it.
func (s *shop) idle(name string) {
	s.T.Helper()
	none, labels := int32(0), map[string]string{"app": name}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.Namespace}, Spec: appsv1.DeploymentSpec{Replicas: &none,
		Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: *s.Deployed.Spec.Template.DeepCopy()}}
	d.Spec.Template.Labels = labels
	s.Must(admin.Create(s.T.Context(), d))
	stored := workload.NewDeployment()
	s.Must(admin.Get(s.T.Context(), client.ObjectKeyFromObject(d), stored))
	stable, err := workload.Describe(workload.Template(stored))
	s.Must(err)
	rollout := &v1alpha1.Rollout{}
	rollout.Namespace, rollout.Name = s.Namespace, name
	rollout.Spec = *s.rollout().Spec.DeepCopy()
	rollout.Spec.WorkloadRef.Name, rollout.Spec.Traffic.Service = name, name
	s.Must(admin.Create(s.T.Context(), rollout))
	raw, err := json.Marshal(map[string]any{"status": map[string]any{"phase": v1alpha1.PhaseStable, "stable": stable}})
	s.Must(err)
	s.Must(s.analysis.Status().Patch(s.T.Context(), rollout, client.RawPatch(types.MergePatchType, raw)))
}

// TestARollbackWaitsForNoDryRun: somebody's webhook lets the dry-runs hang that are
// to prove the guard of 80 other Rollouts. None of them ends before the rollback.
func TestARollbackWaitsForNoDryRun(t *testing.T) {
	t.Parallel()
	const others = 80
	s := open(t, 2, nil)
	s.verdict(always(v1alpha1.VerdictInconclusive))
	s.Push("v2")
	s.atStep()
	s.belay.wire.patient.Store(true)
	hook := s.hang()
	for i := range others {
		s.idle(fmt.Sprintf("idle-%d", i))
	}
	guarded := func(g Gomega) (labelled, proven int) {
		all := &v1alpha1.RolloutList{}
		g.Expect(admin.List(t.Context(), all, client.InNamespace(s.Namespace))).To(Succeed())
		deployments := &appsv1.DeploymentList{}
		g.Expect(admin.List(t.Context(), deployments, client.InNamespace(s.Namespace), client.HasLabels{v1alpha1.LabelRollout})).To(Succeed())
		for i := range all.Items {
			if conditionOf(&all.Items[i], v1alpha1.ConditionGuarded) == metav1.ConditionTrue {
				proven++
			}
		}
		return len(deployments.Items), proven
	}
	s.Eventually("all are guarded, and their proofs wait", func(g Gomega) {
		labelled, proven := guarded(g)
		g.Expect(labelled).To(Equal(others + 1))
		g.Expect(proven).To(Equal(1), "the shop's alone")
		g.Expect(hook.hanging.Load()).NotTo(BeZero())
	})
	s.verdict(always(v1alpha1.VerdictFail))
	s.until("rolled back", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseRolledBack))
		g.Expect(s.backends()).To(Equal("shop"))
		g.Expect(s.Set("v2")).To(BeNil())
	})
	if _, proven := guarded(NewWithT(t)); proven != 1 {
		t.Errorf("%d Rollouts are proven: the webhook answered before the rollback was done", proven)
	}
	s.Served()
}
