package integration

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	packing "belay.dev/belay/hack/release/internal/archive"
	"belay.dev/belay/hack/release/internal/helm"
	"belay.dev/belay/hack/release/internal/manifests"
)

// newHelm is Helm with nothing of the person's: neither a kubeconfig nor the cache
// beside it.
func newHelm(t *testing.T, config *rest.Config, namespace string) helm.Helm {
	t.Helper()
	t.Setenv("KUBECONFIG", "/dev/null")
	out, err := helm.New(config, namespace, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// archived is the chart's archive of a release as Helm reads it, after a change to its
// files.
func archived(t *testing.T, version, image string, change func(name, text string) string) *chart.Chart {
	t.Helper()
	files, err := manifests.Chart(root, version, image)
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range files {
		files[i].Content = []byte(change(file.Name, string(file.Content)))
	}
	tgz, err := packing.TarGz(manifests.Pack(files), time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	of, err := helm.Load(tgz)
	if err != nil {
		t.Fatal(err)
	}
	return of
}

// TestHelmInstallsUpgradesAndUninstalls follows an installation through its life, with
// a Rollout and a run in it.
func TestHelmInstallsUpgradesAndUninstalls(t *testing.T) {
	g := NewWithT(t)
	config, admin := server(t)
	by := newHelm(t, config, "delivery")
	first := archived(t, "v0.1.0", image, func(_, text string) string { return text })
	g.Expect(by.Release(t.Context(), first, values{"replicas": 3})).To(Succeed())
	for _, o := range rendered(t, "delivery", values{"replicas": 3}) {
		g.Expect(get(t, admin, o)).To(Succeed(), "%s %s", o.GetKind(), o.GetName())
	}
	g.Expect(deployed(t, admin, "spec", "replicas")).To(BeNumerically("==", 3))

	// The guard works without a controller.
	g.Expect(admin.Create(t.Context(), object("v1", "Namespace", "", "shop"))).To(Succeed())
	guards(t, admin)
	rollout := sample(t, "rollout.yaml")
	g.Expect(admin.Create(t.Context(), rollout)).To(Succeed())
	run := sample(t, "rolloutrun.yaml")
	run.SetNamespace("shop")
	run.SetOwnerReferences(nil)
	unstructured.RemoveNestedField(run.Object, "metadata", "uid")
	controller := impersonated(t, config, "system:serviceaccount:delivery:controller")
	g.Expect(controller.Create(t.Context(), run)).To(Succeed())
	survive := func() {
		t.Helper()
		for _, before := range []*unstructured.Unstructured{rollout, run} {
			now := before.DeepCopy()
			g.Expect(get(t, admin, now)).To(Succeed())
			g.Expect(now.GetUID()).To(Equal(before.GetUID()))
			g.Expect(now.Object["spec"]).To(Equal(before.Object["spec"]))
		}
	}

	// The next version has another image and another description of a CRD.
	const next = "registry.example.com/belay/belay-controller@sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
	changed := func(name, text string) string {
		if name != "templates/crds/rollouts.belay.dev-customresourcedefinition.yaml" {
			return text
		}
		return strings.Replace(text, "\n    singular: ", "\n    categories: [deliveries]\n    singular: ", 1)
	}
	second := archived(t, "v0.2.0", next, changed)
	g.Expect(by.Release(t.Context(), second, values{"extraArgs": []any{"--zap-log-level=debug"}})).To(Succeed())
	g.Expect(deployed(t, admin, "spec", "replicas")).To(BeNumerically("==", 3), "a value of the install is lost")
	g.Expect(deployed(t, admin, "spec", "template", "spec", "containers")).To(ConsistOf(And(
		HaveKeyWithValue("image", next), HaveKeyWithValue("args", ContainElement("--zap-log-level=debug")))))
	crd := object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "rollouts.belay.dev")
	g.Expect(get(t, admin, crd)).To(Succeed())
	categories, _, err := unstructured.NestedStringSlice(crd.Object, "spec", "names", "categories")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(categories).To(ConsistOf("deliveries"))
	survive()
	guards(t, admin)

	// Uninstalled, the CRDs stay with what is in them, and nothing else does.
	g.Expect(by.Uninstall()).To(Succeed())
	for _, o := range rendered(t, "delivery", nil) {
		if o.GetKind() == "CustomResourceDefinition" {
			g.Expect(get(t, admin, o)).To(Succeed(), o.GetName())
		} else {
			g.Eventually(func() bool { return apierrors.IsNotFound(get(t, admin, o)) }).WithTimeout(soon).Should(BeTrue(), "%s %s", o.GetKind(), o.GetName())
		}
	}
	survive()

	// Installed once more it finds them, and with crds.keep=false they go.
	g.Expect(by.Release(t.Context(), second, nil)).To(Succeed())
	survive()
	guards(t, admin)
	g.Expect(by.Release(t.Context(), second, values{"crds": values{"keep": false}})).To(Succeed())
	g.Expect(by.Uninstall()).To(Succeed())
	g.Eventually(func() bool { return apierrors.IsNotFound(get(t, admin, crd)) }).WithTimeout(soon).Should(BeTrue())
}

// get reads an object again.
func get(t *testing.T, from client.Client, o *unstructured.Unstructured) error {
	t.Helper()
	return from.Get(t.Context(), client.ObjectKeyFromObject(o), o)
}

// deployed is a field of the controller's Deployment.
func deployed(t *testing.T, admin client.Client, path ...string) any {
	t.Helper()
	deployment := object("apps/v1", "Deployment", "delivery", "belay-controller")
	if err := get(t, admin, deployment); err != nil {
		t.Fatal(err)
	}
	value, _, err := unstructured.NestedFieldNoCopy(deployment.Object, path...)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// guards waits until the policies hold a new version of a Deployment with the label, and
// refuse to let it go.
func guards(t *testing.T, admin client.Client) {
	t.Helper()
	g := NewWithT(t)
	held := func() any {
		probe := deployment("guarded")
		g.Expect(client.IgnoreAlreadyExists(admin.Create(t.Context(), probe))).To(Succeed())
		defer func() { g.Expect(client.IgnoreNotFound(admin.Delete(t.Context(), probe))).To(Succeed()) }()
		containers := []any{map[string]any{"name": "app", "image": "app:v2"}}
		g.Expect(unstructured.SetNestedSlice(probe.Object, containers, "spec", "template", "spec", "containers")).To(Succeed())
		// The policies come into force one after another: a push that nothing holds yet is refused.
		if err := admin.Update(t.Context(), probe); err != nil {
			return err
		}
		paused, _, _ := unstructured.NestedBool(probe.Object, "spec", "paused")
		if !paused {
			return "the new version is not held"
		}
		err := admin.Patch(t.Context(), probe, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"paused":false}}`)), client.DryRunAll)
		if !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) {
			return err
		}
		return nil
	}
	g.Eventually(held).WithTimeout(soon).Should(BeNil())
}

// deployment has the label by which the policies know a Rollout's.
func deployment(name string) *unstructured.Unstructured {
	out := object("apps/v1", "Deployment", "shop", name)
	out.SetLabels(map[string]string{"belay.dev/rollout": name})
	out.Object["spec"] = map[string]any{
		"selector": map[string]any{"matchLabels": map[string]any{"app": name}},
		"template": map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"app": name}},
			"spec":     map[string]any{"containers": []any{map[string]any{"name": "app", "image": "app:v1"}}},
		},
	}
	return out
}
