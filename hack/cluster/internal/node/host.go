// Package node turns this machine into a Kubernetes node: packages, network,
// containerd and kubelet, and how to take every bit of it away again.
package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// cniPlugins is where Debian's containernetworking-plugins puts them.
const cniPlugins = "/usr/lib/cni"

// needs maps what must exist to the Debian package that brings it.
var needs = []struct{ path, pkg string }{
	{"containerd", "containerd"},
	{"runc", "runc"},
	{"ip", "iproute2"},
	{"iptables", "iptables"},
	{filepath.Join(cniPlugins, "bridge"), "containernetworking-plugins"},
}

// Install brings in the packages this machine lacks.
func Install(ctx context.Context, say func(string, ...any)) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("a real node needs root (namespaces, mounts, a bridge): run as root, or use --nodes=kwok")
	}
	var missing []string
	for _, need := range needs {
		if _, err := exec.LookPath(need.path); err != nil {
			missing = append(missing, need.pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("this machine lacks %s and has no apt-get: install them, or use --nodes=kwok", strings.Join(missing, ", "))
	}
	return installPackages(ctx, missing, dpkgJournal, say)
}

// cgroup2Magic is CGROUP2_SUPER_MAGIC of linux/magic.h.
const cgroup2Magic = 0x63677270

// CgroupVersion says which hierarchy carries the controllers: on a hybrid host
// /sys/fs/cgroup is a tmpfs of v1 folders and the v2 tree beside them is empty.
func CgroupVersion() int {
	var fs syscall.Statfs_t
	if err := syscall.Statfs("/sys/fs/cgroup", &fs); err == nil && fs.Type == cgroup2Magic {
		return 2
	}
	return 1
}

// capSysResource is CAP_SYS_RESOURCE of linux/capability.h.
const capSysResource = 24

// mayRaisePriority tells whether this process may lower an OOM score. Without
// it every sandbox fails unless containerd leaves the scores alone.
func mayRaisePriority() bool {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(raw), "CapEff:")
	var caps uint64
	if _, err := fmt.Sscanf(strings.TrimSpace(rest), "%x", &caps); err != nil {
		return false
	}
	return caps&(1<<capSysResource) != 0
}
