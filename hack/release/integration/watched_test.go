package integration

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// process is the real controller, with the rights and the arguments of the chart.
type process struct {
	command *exec.Cmd
	ended   chan error

	mu   sync.Mutex
	said bytes.Buffer
}

func (p *process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(text)
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// exitCode waits until the process has ended.
func (p *process) exitCode(t *testing.T) int {
	t.Helper()
	select {
	case err := <-p.ended:
		p.ended <- err
		exit := (*exec.ExitError)(nil)
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		return 0
	case <-time.After(2 * soon):
		t.Fatalf("the controller goes on:\n%s", p.log())
		return -1
	}
}

// start runs the controller as the chart's Deployment in namespace delivery does.
func start(t *testing.T, binary string, config *rest.Config, admin client.Client) *process {
	t.Helper()
	g := NewWithT(t)
	account := &corev1.ServiceAccount{}
	account.Namespace, account.Name = "delivery", "controller"
	token := &authenticationv1.TokenRequest{}
	g.Expect(admin.SubResource("token").Create(t.Context(), account, token)).To(Succeed())
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	g.Expect(clientcmd.WriteToFile(clientcmdapi.Config{
		CurrentContext: "controller", Contexts: map[string]*clientcmdapi.Context{"controller": {Cluster: "test", AuthInfo: "controller"}},
		Clusters:  map[string]*clientcmdapi.Cluster{"test": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{"controller": {Token: token.Status.Token}},
	}, kubeconfig)).To(Succeed())
	containers, ok := deployed(t, admin, "spec", "template", "spec", "containers").([]any)
	g.Expect(ok).To(BeTrue())
	args, _, err := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
	g.Expect(err).NotTo(HaveOccurred())
	p := &process{ended: make(chan error, 1)}
	p.command = exec.Command(binary, append(args, "--metrics-bind-address=0", "--health-probe-bind-address=0")...)
	p.command.Env, p.command.Stdout, p.command.Stderr = append(os.Environ(), "KUBECONFIG="+kubeconfig), p, p
	g.Expect(p.command.Start()).To(Succeed())
	go func() { p.ended <- p.command.Wait() }()
	t.Cleanup(func() {
		_ = p.command.Process.Signal(syscall.SIGTERM)
		p.exitCode(t)
	})
	return p
}

// TestSomeNamespacesOnly: with watchNamespaces the controller works with the rights that
// the chart gives it there. It has none elsewhere, and leaves a Rollout there alone. Then
// a newer Belay writes a run: the controller ends, and does not start again.
func TestSomeNamespacesOnly(t *testing.T) {
	g := NewWithT(t)
	config, admin := server(t)
	binary := filepath.Join(t.TempDir(), "belay-controller")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/belay-controller")
	build.Dir = root
	said, err := build.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(said))
	for _, name := range []string{"delivery", "shop", "bank"} {
		g.Expect(admin.Create(t.Context(), object("v1", "Namespace", "", name))).To(Succeed())
	}
	for _, o := range rendered(t, "delivery", values{"watchNamespaces": []any{"shop", "delivery"}}) {
		g.Expect(admin.Create(t.Context(), o)).To(Succeed(), o.GetKind()+" "+o.GetName())
	}
	guards(t, admin)
	examined(t, config)
	rollouts := map[string]*unstructured.Unstructured{}
	for _, namespace := range []string{"bank", "shop"} {
		workload := deployment("checkout")
		workload.SetNamespace(namespace)
		workload.SetLabels(nil)
		g.Expect(admin.Create(t.Context(), workload)).To(Succeed())
		rollouts[namespace] = sample(t, "rollout-without-traffic.yaml")
		rollouts[namespace].SetNamespace(namespace)
		rollouts[namespace].SetName("checkout")
		g.Expect(unstructured.SetNestedField(rollouts[namespace].Object, "checkout", "spec", "workloadRef", "name")).To(Succeed())
		g.Eventually(func() error { return admin.Create(t.Context(), rollouts[namespace]) }).WithTimeout(soon).Should(Succeed())
	}

	running := start(t, binary, config, admin)
	observed := func(namespace string) func() (int64, error) {
		return func() (int64, error) {
			seen := rollouts[namespace].DeepCopy()
			err := get(t, admin, seen)
			at, _, _ := unstructured.NestedInt64(seen.Object, "status", "observedGeneration")
			return at, err
		}
	}
	g.Eventually(observed("shop")).WithTimeout(2*soon).Should(BeNumerically(">=", 1), func() string { return running.log() })
	g.Expect(running.log()).NotTo(ContainSubstring("forbidden"))
	lease := object("coordination.k8s.io/v1", "Lease", "delivery", "belay-controller")
	g.Expect(get(t, admin, lease)).To(Succeed())
	g.Expect(lease.GetLabels()).To(HaveKeyWithValue("app.kubernetes.io/version", "development"))
	left := rollouts["bank"].DeepCopy()
	g.Expect(get(t, admin, left)).To(Succeed())
	g.Expect(left).To(Equal(rollouts["bank"]))

	for _, user := range []string{"controller", "guard-probe"} {
		as := impersonated(t, config, "system:serviceaccount:delivery:"+user)
		touch := func(namespace string) error {
			workload := deployment("checkout")
			workload.SetNamespace(namespace)
			return as.Patch(t.Context(), workload, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"a":"b"}}}`)), client.DryRunAll)
		}
		g.Expect(touch("shop")).To(Succeed())
		g.Expect(apierrors.IsForbidden(touch("bank"))).To(BeTrue(), user)
	}
	controller := impersonated(t, config, "system:serviceaccount:delivery:controller")
	for _, list := range []*unstructured.Unstructured{object("belay.dev/v1alpha1", "Rollout", "", ""), object("v1", "Pod", "", ""), object("v1", "Service", "", ""), object("apps/v1", "ReplicaSet", "", "")} {
		all := &unstructured.UnstructuredList{Object: map[string]any{}}
		all.SetGroupVersionKind(list.GroupVersionKind())
		g.Expect(controller.List(t.Context(), all, client.InNamespace("shop"))).To(Succeed())
		for _, elsewhere := range []string{"bank", ""} {
			g.Expect(apierrors.IsForbidden(controller.List(t.Context(), all, client.InNamespace(elsewhere)))).To(BeTrue(), "%s in %q", list.GetKind(), elsewhere)
		}
	}

	newer := sample(t, "rolloutrun.yaml")
	newer.SetOwnerReferences(nil)
	newer.SetNamespace("shop")
	g.Expect(unstructured.SetNestedField(newer.Object, int64(1000), "spec", "controller", "planner")).To(Succeed())
	g.Expect(controller.Create(t.Context(), newer)).To(Succeed())
	for _, refused := range []*process{running, start(t, binary, config, admin)} {
		g.Expect(refused.exitCode(t)).To(Equal(1))
		g.Expect(refused.log()).To(And(ContainSubstring("with version 1000 of the rules"), ContainSubstring("a downgrade is refused")))
	}
}
