package node

import (
	"fmt"
	"os"
	"os/exec"

	"belay.dev/belay/hack/cluster/internal/process"
	"belay.dev/belay/hack/cluster/internal/state"
)

// Containerd writes containerd's configuration and says how to run it: with
// its own root, state and socket, beside any containerd the host has.
func Containerd(dir state.Dir, sandboxImage string) (process.Spec, error) {
	if err := writeCNI(dir); err != nil {
		return process.Spec{}, err
	}
	// The bridge plugin allocates from here; an absent folder is its own error.
	if err := os.MkdirAll(dir.Path("cni", "networks"), 0o755); err != nil {
		return process.Spec{}, fmt.Errorf("create the pod address folder: %w", err)
	}
	socket, err := dir.Socket()
	if err != nil {
		return process.Spec{}, err
	}
	path, err := exec.LookPath("containerd")
	if err != nil {
		return process.Spec{}, fmt.Errorf("find containerd: %w", err)
	}
	config := fmt.Sprintf(`version = 2
root = %[1]q
state = %[2]q
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = %[3]q
[plugins."io.containerd.internal.v1.opt"]
  path = %[4]q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[5]q
  stream_server_address = "127.0.0.1"
  restrict_oom_score_adj = %[6]t
  tolerate_missing_hugetlb_controller = true
  # Under our own state folder, so that nothing of ours is in /run/netns.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %[7]q
    conf_dir = %[8]q
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
`, dir.Path("containerd", "root"), dir.Path("containerd", "state"), socket, dir.Path("containerd", "opt"),
		sandboxImage, !mayRaisePriority(), cniPlugins, dir.Path("cni", "net.d"))
	file := dir.Path("containerd", "config.toml")
	if err := state.WriteFile(file, []byte(config), 0o644); err != nil {
		return process.Spec{}, err
	}
	return process.Spec{Name: "containerd", Path: path, Args: []string{"--config", file}, Inputs: []string{file}}, nil
}
