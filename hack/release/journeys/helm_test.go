package journeys

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	"helm.sh/helm/v4/pkg/kube"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/hack/release/internal/helm"
)

// TestHelm installs a release with Helm into a namespace of another name, upgrades it in
// the middle of a step to a release with the same rules, whose controller goes on with
// the same run, lets that one roll a version back, and uninstalls it.
func TestHelm(t *testing.T) {
	g := NewWithT(t)
	const namespace = "delivery"
	dist, next := released(t, "v0.1.0"), released(t, "v0.2.0")
	belay := commandLine(t, next)
	by, err := helm.New(set.Config, namespace, t.TempDir())
	g.Expect(err).NotTo(HaveOccurred())
	by.Wait, by.Timeout = kube.StatusWatcherStrategy, patience
	release := func(dist, version string, values map[string]any) {
		t.Helper()
		archive, err := os.ReadFile(filepath.Join(dist, "belay-"+version+".tgz"))
		g.Expect(err).NotTo(HaveOccurred())
		chart, err := helm.Load(archive)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(by.Release(t.Context(), chart, values)).To(Succeed())
	}
	t.Cleanup(func() { gone(t) })
	after(t, "kubectl", "delete", "namespace", namespace, "--ignore-not-found")
	after(t, "kubectl", "delete", "crd", "-l", "app.kubernetes.io/part-of=belay")
	t.Cleanup(func() {
		if err := by.Uninstall(); err != nil {
			t.Error(err)
		}
		gone(t, "customresourcedefinition")
	})
	release(dist, "0.1.0", map[string]any{"podLabels": map[string]any{"team": "delivery"}})
	does(t, "kubectl", "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
	works(t, namespace)
	g.Expect(set.OfferSource(t.Context())).To(Succeed())

	shop := open(t, "charted", "hold: 15s", "hold: 30s")
	shop.push("v2")
	started := shop.atFirstWeight()
	release(next, "0.2.0", nil)
	g.Expect(shop.Rollout(t.Context())).To(HaveField("Status.Phase", v1alpha1.PhaseStepping), "the upgrade came too late to be in the middle of a step")
	good := shop.promoted("v2")
	g.Expect(good).To(And(HaveField("Run", started.Status.Run), HaveField("Outcome", v1alpha1.OutcomePromoted)))
	g.Expect(shop.verified(belay, good.Run).Spec.Controller.Version).To(Equal("v0.1.0"), "the one that started it")
	works(t, namespace)
	nothingWrong(t, belay)

	shop.failing(belay, "v2")
	shop.noneFailed("errors")
}
