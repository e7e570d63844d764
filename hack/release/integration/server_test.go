package integration

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// soon bounds how long an API server may take to use what was just created.
const soon = 30 * time.Second

// TestAnAPIServerAcceptsBoth: install.yaml, and the chart with its own names and with
// others, monitoring aside. With other names the guard knows the controller by them.
func TestAnAPIServerAcceptsBoth(t *testing.T) {
	g := NewWithT(t)
	config, admin := server(t)
	for _, name := range []string{"belay", "delivery", "shop"} {
		g.Expect(admin.Create(t.Context(), object("v1", "Namespace", "", name))).To(Succeed())
	}
	for from, objects := range map[string][]*unstructured.Unstructured{"install.yaml": installed(t), "the chart": rendered(t, "belay", nil)} {
		for _, o := range objects {
			if o.GetKind() != "Namespace" {
				g.Expect(admin.Create(t.Context(), o, client.DryRunAll, client.FieldValidation("Strict"))).To(Succeed(), "%s: %s %s", from, o.GetKind(), o.GetName())
			}
		}
	}
	for _, o := range rendered(t, "delivery", values{"serviceAccount": values{"name": "releaser", "guardProbeName": "prober"}}) {
		g.Expect(admin.Create(t.Context(), o)).To(Succeed(), o.GetName())
	}
	examined(t, config)
	run := sample(t, "rolloutrun.yaml")
	run.SetNamespace("shop")
	create := func(as client.Client) func() error {
		return func() error { return as.Create(t.Context(), run.DeepCopy(), client.DryRunAll) }
	}
	g.Eventually(create(admin)).WithTimeout(soon).Should(MatchError(ContainSubstring("only Belay's controller may write them")))
	g.Eventually(create(impersonated(t, config, "system:serviceaccount:delivery:releaser"))).WithTimeout(soon).Should(Succeed())
	g.Expect(create(impersonated(t, config, "system:serviceaccount:belay:controller"))()).NotTo(Succeed())
}

func server(t *testing.T) (*rest.Config, client.Client) {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS is not set: run `make test-integration`")
	}
	log.SetLogger(logr.Discard())
	environment := &envtest.Environment{ControlPlaneStartTimeout: time.Minute}
	config, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Error(err)
		}
	})
	config.QPS = -1
	return config, connected(t, config)
}

func impersonated(t *testing.T, config *rest.Config, user string) client.Client {
	t.Helper()
	config = rest.CopyConfig(config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	return connected(t, config)
}

func connected(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	out, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func object(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	out := &unstructured.Unstructured{}
	out.SetAPIVersion(apiVersion)
	out.SetKind(kind)
	out.SetNamespace(namespace)
	out.SetName(name)
	return out
}

func sample(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "config", "samples", name))
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, name, text)[0]
}
