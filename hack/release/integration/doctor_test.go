package integration

import (
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// examined lets kubectl belay doctor look at what was installed without running pods: it knows the
// installation's names, and finds nothing wrong with definitions, policies and roles.
func examined(t *testing.T, config *rest.Config) {
	t.Helper()
	g := NewWithT(t)
	binary, kubeconfig := filepath.Join(t.TempDir(), "kubectl-belay"), filepath.Join(t.TempDir(), "kubeconfig")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/kubectl-belay")
	build.Dir = root
	said, err := build.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(said))
	g.Expect(clientcmd.WriteToFile(clientcmdapi.Config{
		CurrentContext: "admin", Contexts: map[string]*clientcmdapi.Context{"admin": {Cluster: "test", AuthInfo: "admin"}},
		Clusters:  map[string]*clientcmdapi.Cluster{"test": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{"admin": {ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}},
	}, kubeconfig)).To(Succeed())
	command := exec.CommandContext(t.Context(), binary, "doctor", "-o", "json", "--kubeconfig", kubeconfig, "--cache-dir", t.TempDir())
	out, err := command.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var report struct {
		Findings []struct{ Place, Wrong string }
	}
	g.Expect(json.Unmarshal(out, &report)).To(Succeed(), string(out))
	g.Expect(report.Findings).NotTo(BeEmpty(), "no pod of the controller is ready")
	for _, f := range report.Findings {
		if !strings.HasPrefix(f.Place, "Deployment delivery/belay-controller") && !strings.HasPrefix(f.Place, "Lease delivery/belay-controller") {
			t.Errorf("%s  %s", f.Place, f.Wrong)
		}
	}
}
