package stage

import (
	"io"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// TestAStageIsShared: another process reaches the same cluster, and does not end it.
func TestAStageIsShared(t *testing.T) {
	g := NewWithT(t)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	g.Expect(clientcmd.WriteToFile(api.Config{
		Clusters: map[string]*api.Cluster{"c": {Server: "https://cluster.example"}},
		Contexts: map[string]*api.Context{"c": {Cluster: "c"}}, CurrentContext: "c",
	}, kubeconfig)).To(Succeed())
	first := &Stage{Own: true, environ: []string{
		envKubeconfig + "=" + kubeconfig, envPrometheus + "=http://prometheus.example", envGateway + "=http://gateway.example", envRegistry + "=registry.example"}}
	g.Expect(first.connect()).To(Succeed())

	second, err := Join(first.Environ(), io.Discard)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(second.Addresses).To(Equal(first.Addresses))
	g.Expect(second.Config.Host).To(Equal("https://cluster.example"))
	g.Expect(second.Own).To(BeFalse())

	_, err = Join(first.Environ()[:2], io.Discard)
	g.Expect(err).To(MatchError(ContainSubstring("describe the cluster")))
}
