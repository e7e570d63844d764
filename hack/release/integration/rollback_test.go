package integration

import (
	"encoding/json"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/kube"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestHelmWaitsForTheRollout shows what docs/gitops.md says of a user's chart with a
// Deployment and its Rollout: Helm does not wait for a held Deployment, it waits for the
// Rollout, and with --rollback-on-failure it takes a version back that was rolled back.
func TestHelmWaitsForTheRollout(t *testing.T) {
	g := NewWithT(t)
	config, admin := server(t)
	for _, o := range rendered(t, "belay", nil) {
		if o.GetNamespace() == "" {
			g.Expect(admin.Create(t.Context(), o)).To(Succeed(), o.GetName())
		}
	}
	g.Expect(admin.Create(t.Context(), object("v1", "Namespace", "", "shop"))).To(Succeed())
	guards(t, admin)
	by := newHelm(t, config, "shop")
	shop := func(image string) *chart.Chart {
		workload, rollout := deployment("checkout"), sample(t, "rollout.yaml")
		g.Expect(unstructured.SetNestedSlice(workload.Object, []any{map[string]any{"name": "app", "image": image}}, "spec", "template", "spec", "containers")).To(Succeed())
		out := &chart.Chart{Metadata: &chart.Metadata{APIVersion: chart.APIVersionV2, Name: "shop", Version: "1.0.0"}}
		for name, o := range map[string]*unstructured.Unstructured{"workload": workload, "rollout": rollout} {
			text, err := json.Marshal(o.Object)
			g.Expect(err).NotTo(HaveOccurred())
			out.Templates = append(out.Templates, &common.File{Name: "templates/" + name + ".yaml", Data: text})
		}
		return out
	}
	g.Expect(by.Release(t.Context(), shop("app:v1"), nil)).To(Succeed())
	controller := impersonated(t, config, "system:serviceaccount:belay:controller")
	upgrade := func(image string) error {
		upgrade := action.NewUpgrade(by.Using)
		upgrade.Namespace, upgrade.WaitStrategy, upgrade.Timeout, upgrade.RollbackOnFailure = "shop", kube.StatusWatcherStrategy, 2*time.Second, true
		_, err := upgrade.RunWithContext(t.Context(), "belay", shop(image), nil)
		return err
	}

	// Belay has not seen the push yet: nothing is left to wait for.
	say(t, controller, "Ready")
	g.Expect(upgrade("app:v2")).To(Succeed())
	g.Expect(declared(t, admin)).To(And(HaveKeyWithValue("image", "app:v2"), HaveKeyWithValue("paused", true)))

	// During a run it waits until the time is up, and then declares the former version.
	say(t, controller, "Reconciling")
	g.Expect(upgrade("app:v3")).To(MatchError(And(ContainSubstring("Rollout/shop/checkout not ready. status: InProgress"), Not(ContainSubstring("Deployment/shop")))))
	g.Expect(declared(t, admin)).To(HaveKeyWithValue("image", "app:v2"))

	// After a rollback by Belay it does so without waiting for the time to be up.
	say(t, controller, "Stalled")
	g.Expect(upgrade("app:v4")).To(MatchError(And(ContainSubstring("Rollout/shop/checkout not ready. status: Failed"), Not(ContainSubstring("deadline")))))
	g.Expect(declared(t, admin)).To(HaveKeyWithValue("image", "app:v2"))
}

// say gives the Rollout a status with one condition that is True, as the controller
// writes it.
func say(t *testing.T, controller client.Client, condition string) {
	t.Helper()
	g := NewWithT(t)
	rollout := object("belay.dev/v1alpha1", "Rollout", "shop", "checkout")
	g.Expect(get(t, controller, rollout)).To(Succeed())
	var conditions []any
	for _, kind := range []string{"Ready", "Reconciling", "Stalled"} {
		state := "False"
		if kind == condition {
			state = "True"
		}
		conditions = append(conditions, map[string]any{"type": kind, "status": state, "reason": "Test", "message": "for a test", "lastTransitionTime": "2026-11-26T12:00:00Z"})
	}
	status, err := json.Marshal(map[string]any{"status": map[string]any{"observedGeneration": rollout.GetGeneration(), "conditions": conditions}})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(controller.Status().Patch(t.Context(), rollout, client.RawPatch("application/merge-patch+json", status))).To(Succeed())
}

// declared is the image of the Deployment, and whether it is held.
func declared(t *testing.T, admin client.Client) map[string]any {
	t.Helper()
	g := NewWithT(t)
	workload := object("apps/v1", "Deployment", "shop", "checkout")
	g.Expect(get(t, admin, workload)).To(Succeed())
	paused, _, err := unstructured.NestedBool(workload.Object, "spec", "paused")
	g.Expect(err).NotTo(HaveOccurred())
	containers, _, err := unstructured.NestedSlice(workload.Object, "spec", "template", "spec", "containers")
	g.Expect(err).NotTo(HaveOccurred())
	container, _ := containers[0].(map[string]any)
	return map[string]any{"image": container["image"], "paused": paused}
}
