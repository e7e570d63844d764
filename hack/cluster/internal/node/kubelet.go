package node

import (
	"fmt"

	"belay.dev/belay/hack/cluster/internal/process"
	"belay.dev/belay/hack/cluster/internal/state"
)

// Kubelet writes the kubelet's configuration and says how to run it.
func Kubelet(dir state.Dir, caFile, certFile, keyFile string, port, healthPort int) (process.Spec, error) {
	socket, err := dir.Socket()
	if err != nil {
		return process.Spec{}, err
	}
	// JSON is YAML. The unusual settings: v1 hosts and swap are accepted; no
	// per-QoS cgroups and no node allocatable, which need a delegated hierarchy;
	// image collection is off, as the only registry is ours.
	config := fmt.Sprintf(`{
  "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
  "address": %q, "port": %d, "healthzBindAddress": "127.0.0.1", "healthzPort": %d,
  "tlsCertFile": %q, "tlsPrivateKeyFile": %q,
  "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": true}, "x509": {"clientCAFile": %q}},
  "authorization": {"mode": "Webhook"},
  "containerRuntimeEndpoint": "unix://%s",
  "failCgroupV1": false, "failSwapOn": false, "cgroupDriver": "cgroupfs",
  "cgroupsPerQOS": false, "enforceNodeAllocatable": [], "localStorageCapacityIsolation": false, "oomScoreAdj": 0,
  "imageGCHighThresholdPercent": 100, "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%%", "imagefs.available": "1%%"},
  "maxPods": 200, "kubeAPIQPS": 100, "kubeAPIBurst": 200, "serializeImagePulls": false, "registryPullQPS": 0,
  "podLogsDir": %q, "volumePluginDir": %q, "resolvConf": "/etc/resolv.conf"
}
`, state.BridgeIP, port, healthPort, certFile, keyFile, caFile, socket,
		dir.Path("pods-logs"), dir.Path("kubelet", "volume-plugins"))
	file := dir.Path("kubelet", "config.yaml")
	if err := state.WriteFile(file, []byte(config), 0o644); err != nil {
		return process.Spec{}, err
	}
	return process.Spec{
		Name: "kubelet", Path: dir.Bin("kubelet"), Inputs: []string{file, dir.Kubeconfig("kubelet"), certFile},
		Args: []string{
			"--config=" + file, "--kubeconfig=" + dir.Kubeconfig("kubelet"), "--root-dir=" + dir.Path("kubelet"),
			"--cert-dir=" + dir.Path("kubelet", "pki"), "--hostname-override=" + state.NodeName, "--node-ip=" + state.BridgeIP,
		},
	}, nil
}
