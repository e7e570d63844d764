// Package controlplane says how to run etcd and the Kubernetes control plane:
// certificates, kubeconfigs and arguments. It starts nothing.
package controlplane

import (
	"fmt"

	"belay.dev/belay/hack/cluster/internal/pki"
	"belay.dev/belay/hack/cluster/internal/process"
	"belay.dev/belay/hack/cluster/internal/state"
)

// Plan is what every component's arguments are made of.
type Plan struct {
	Dir   state.Dir
	CA    *pki.Authority
	Mode  string
	Ports map[string]int
}

// Server is the API server's address for clients on this machine.
func (p Plan) Server() string { return fmt.Sprintf("https://127.0.0.1:%d", p.Ports["kube-apiserver"]) }

// Clients are the components' users; RBAC's default roles know most of them.
var clients = []pki.Leaf{
	{Name: "admin", User: "belay-admin", Groups: []string{"system:masters"}},
	{Name: "kube-controller-manager", User: "system:kube-controller-manager"},
	{Name: "kube-scheduler", User: "system:kube-scheduler"},
	{Name: "kubelet", User: "system:node:" + state.NodeName, Groups: []string{"system:nodes"}},
	{Name: "apiserver-to-kubelet", User: "belay-apiserver", Groups: []string{"system:masters"}},
	{Name: "prometheus", User: "belay-prometheus"},
	{Name: "gateway", User: "belay-gateway"},
	{Name: "kwok", User: "belay-kwok", Groups: []string{"system:masters"}},
}

// Identities issues certificates and writes the kubeconfigs that use them.
func (p Plan) Identities() error {
	leaves := append([]pki.Leaf{
		{Name: "apiserver", User: "kube-apiserver", Hosts: []string{
			"127.0.0.1", state.BridgeIP, state.ServiceIP, "localhost",
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		}},
		{Name: "kubelet-serving", User: "system:node:" + state.NodeName, Hosts: []string{state.BridgeIP, state.NodeName}},
	}, clients...)
	for _, leaf := range leaves {
		if err := p.CA.Ensure(leaf); err != nil {
			return err
		}
	}
	if err := p.CA.EnsureKey("service-accounts"); err != nil {
		return err
	}
	for _, client := range clients {
		component := client.Name
		if component == "admin" {
			component = ""
		}
		raw, err := p.CA.Kubeconfig(p.Server(), client.User, pki.Credential{Certificate: client.Name})
		if err != nil {
			return err
		}
		if err := state.WriteFile(p.Dir.Kubeconfig(component), raw, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Etcd runs the store without fsync: a power cut may lose it, a test does not care.
func (p Plan) Etcd() process.Spec {
	client := fmt.Sprintf("http://127.0.0.1:%d", p.Ports["etcd"])
	peer := fmt.Sprintf("http://127.0.0.1:%d", p.Ports["etcd-peer"])
	return process.Spec{Name: "etcd", Path: p.Dir.Bin("etcd"), Args: []string{
		"--name=local", "--data-dir=" + p.Dir.Path("etcd"), "--unsafe-no-fsync",
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=local=" + peer,
	}}
}

// APIServer listens on loopback only; the relay brings pods to it.
func (p Plan) APIServer() process.Spec {
	port := p.Ports["kube-apiserver"]
	args := []string{
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", p.Ports["etcd"]),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port),
		"--tls-cert-file=" + p.CA.CertFile("apiserver"), "--tls-private-key-file=" + p.CA.KeyFile("apiserver"),
		"--client-ca-file=" + p.CA.CertFile("ca"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged",
		"--service-cluster-ip-range=" + state.ServiceCIDR,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + p.CA.KeyFile("service-accounts"),
		"--service-account-signing-key-file=" + p.CA.KeyFile("service-accounts"),
		"--kubelet-client-certificate=" + p.CA.CertFile("apiserver-to-kubelet"),
		"--kubelet-client-key=" + p.CA.KeyFile("apiserver-to-kubelet"),
		"--kubelet-certificate-authority=" + p.CA.CertFile("ca"), "--kubelet-preferred-address-types=InternalIP",
	}
	if p.Mode == state.Real {
		args = append(args, "--advertise-address="+state.BridgeIP)
	} else {
		// Nothing but loopback exists, which Endpoints may not name.
		args = append(args, "--endpoint-reconciler-type=none", "--advertise-address=127.0.0.1")
	}
	return process.Spec{Name: "kube-apiserver", Path: p.Dir.Bin("kube-apiserver"), Args: args, Inputs: []string{p.CA.CertFile("apiserver")}}
}

// ControllerManager runs every controller under its own service account.
func (p Plan) ControllerManager() process.Spec {
	config := p.Dir.Kubeconfig("kube-controller-manager")
	args := []string{
		"--kubeconfig=" + config, "--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", p.Ports["kube-controller-manager"]),
		"--cert-dir=" + p.Dir.Path("kube-controller-manager"), "--leader-elect=false",
		"--use-service-account-credentials", "--root-ca-file=" + p.CA.CertFile("ca"),
		"--service-account-private-key-file=" + p.CA.KeyFile("service-accounts"),
		"--cluster-signing-cert-file=" + p.CA.CertFile("ca"), "--cluster-signing-key-file=" + p.CA.KeyFile("ca"),
	}
	if p.Mode == state.Kwok {
		// The default of 20 requests a second would hide what a fleet's rollouts cost.
		args = append(args, "--kube-api-qps=2000", "--kube-api-burst=4000")
	}
	return process.Spec{Name: "kube-controller-manager", Path: p.Dir.Bin("kube-controller-manager"), Args: args, Inputs: []string{config}}
}

// Scheduler writes the scheduler's configuration and says how to run it.
func (p Plan) Scheduler() (process.Spec, error) {
	config := p.Dir.Kubeconfig("kube-scheduler")
	limits := ""
	if p.Mode == state.Kwok {
		limits = `, "qps": 2000, "burst": 4000`
	}
	file := p.Dir.Path("kube-scheduler", "config.yaml")
	err := state.WriteFile(file, fmt.Appendf(nil, `{
  "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
  "clientConnection": {"kubeconfig": %q%s}, "leaderElection": {"leaderElect": false}
}
`, config, limits), 0o644)
	return process.Spec{Name: "kube-scheduler", Path: p.Dir.Bin("kube-scheduler"), Inputs: []string{file, config}, Args: []string{
		"--config=" + file, "--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", p.Ports["kube-scheduler"]), "--cert-dir=" + p.Dir.Path("kube-scheduler"),
	}}, err
}
