// Package simulation says how to run simulated nodes: kwok answers for
// kubelets that do not exist, so that a fleet fits on one machine.
package simulation

import (
	"fmt"
	"strings"

	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	heartbeat "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"

	"belay.dev/belay/hack/cluster/internal/process"
	"belay.dev/belay/hack/cluster/internal/state"
)

// leaseSeconds must be set: without renewed leases the nodes go NotReady after
// 40 s and take every pod's readiness with them.
const leaseSeconds = 40

// Kwok writes kwok's stages and says how to run it.
func Kwok(dir state.Dir) (process.Spec, error) {
	stages := strings.Join([]string{
		nodefast.DefaultNodeInit, heartbeat.DefaultNodeHeartbeatWithLease,
		podfast.DefaultPodReady, podfast.DefaultPodComplete, podfast.DefaultPodDelete,
	}, "\n---\n")
	file := dir.Path("kwok", "stages.yaml")
	if err := state.WriteFile(file, []byte(stages), 0o644); err != nil {
		return process.Spec{}, err
	}
	kubeconfig := dir.Kubeconfig("kwok")
	return process.Spec{Name: "kwok", Path: dir.Bin("kwok"), Inputs: []string{file, kubeconfig}, Args: []string{
		"--kubeconfig=" + kubeconfig, "--config=" + file, "--manage-all-nodes=true",
		// Room for 260 000 pods; the default of 254 is not a fleet.
		"--cidr=10.128.0.0/14", "--node-ip=10.192.0.1",
		fmt.Sprintf("--node-lease-duration-seconds=%d", leaseSeconds),
	}}, nil
}

// Nodes renders the simulated Node objects.
func Nodes(count int) string {
	var out strings.Builder
	for i := range count {
		fmt.Fprintf(&out, `apiVersion: v1
kind: Node
metadata:
  name: kwok-%[1]d
  annotations: {kwok.x-k8s.io/node: fake}
  labels: {type: kwok, kubernetes.io/hostname: kwok-%[1]d, kubernetes.io/os: linux}
status:
  capacity: {cpu: "64", memory: 256Gi, pods: "1000"}
  allocatable: {cpu: "64", memory: 256Gi, pods: "1000"}
---
`, i)
	}
	return out.String()
}
