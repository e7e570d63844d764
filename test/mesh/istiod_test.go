//go:build mesh

package mesh

import (
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"belay.dev/belay/test/programs"
)

// istioNamespace is where istiod keeps its leases.
const istioNamespace = "istio-system"

type istiod struct {
	*programs.Program
	// address of its xDS.
	address string
}

// startIstiod starts the mesh's control plane. It has no certificates, no webhooks and no
// gateways: it reads Services, endpoints and routes, answers in the routes' status and serves
// xDS.
func startIstiod(t *testing.T) *istiod {
	t.Helper()
	kubeconfig := programs.Account(t, set, istioNamespace, "istiod")
	local := func() string { return "127.0.0.1:" + programs.FreePort(t) }
	i := &istiod{address: local()}
	i.Program = programs.Run(t, set, []string{
		"POD_NAMESPACE=" + istioNamespace, "POD_NAME=istiod", "PILOT_CERT_PROVIDER=none", "ENABLE_CA_SERVER=false",
		"PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER=false", "PILOT_ENABLE_GATEWAY_API_GATEWAYCLASS_CONTROLLER=false",
	}, "pilot-discovery", "discovery", "--kubeconfig="+kubeconfig, "--registries=Kubernetes", "--grpcAddr="+i.address,
		"--secureGRPCAddr=", "--httpsAddr=", "--httpAddr="+local(), "--monitoringAddr="+local(), "--ctrlz_port=0", "--log_output_level=all:warn")
	NewWithT(t).Eventually(func() error {
		c, err := net.DialTimeout("tcp", i.address, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err
	}).Should(Succeed(), "istiod serves xDS when it has read the cluster")
	return i
}

// pause stops the process where it is, as a control plane that hangs. It goes on at the latest
// when the test is over, so that the routes can be given back.
func (i *istiod) pause(t *testing.T) {
	t.Helper()
	i.Signal(t, syscall.SIGSTOP)
	t.Cleanup(func() { i.resume(t) })
}

func (i *istiod) resume(t *testing.T) {
	t.Helper()
	i.Signal(t, syscall.SIGCONT)
}

// bootstrap is what a proxyless gRPC application of a namespace knows of the mesh.
func (i *istiod) bootstrap(namespace string) string {
	return fmt.Sprintf(`{"xds_servers":[{"server_uri":%q,"channel_creds":[{"type":"insecure"}],"server_features":["xds_v3"]}],
		"node":{"id":"sidecar~127.0.0.1~caller.%[2]s~%[2]s.svc.cluster.local","metadata":{"GENERATOR":"grpc","NAMESPACE":%[2]q,"CLUSTER_ID":"Kubernetes"}}}`, i.address, namespace)
}
