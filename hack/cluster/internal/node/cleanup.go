package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"belay.dev/belay/hack/cluster/internal/state"
)

// WaitRuntime returns once containerd answers.
func WaitRuntime(ctx context.Context, socket string) error {
	conn, err := dialRuntime(socket)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = cri.NewRuntimeServiceClient(conn).Version(ctx, &cri.VersionRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return fmt.Errorf("ask containerd at %s for its version: %w", socket, err)
	}
	return nil
}

func dialRuntime(socket string) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("connect to containerd at %s: %w", socket, err)
	}
	return conn, nil
}

// RemoveSandboxes ends every pod through containerd: containers, shims,
// mounts, addresses and network namespaces go the way they came.
func RemoveSandboxes(ctx context.Context, socket string) (int, error) {
	conn, err := dialRuntime(socket)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	client := cri.NewRuntimeServiceClient(conn)
	list, err := client.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return 0, fmt.Errorf("list pods in containerd: %w", err)
	}
	failures := make(chan error, len(list.GetItems()))
	for _, sandbox := range list.GetItems() {
		go func() {
			_, err := client.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: sandbox.GetId()})
			if err == nil {
				_, err = client.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: sandbox.GetId()})
			}
			if err != nil {
				err = fmt.Errorf("remove pod %s/%s: %w", sandbox.GetMetadata().GetNamespace(), sandbox.GetMetadata().GetName(), err)
			}
			failures <- err
		}()
	}
	for range list.GetItems() {
		err = errors.Join(err, <-failures)
	}
	return len(list.GetItems()), err
}

// Sweep removes what a containerd that could not be asked leaves behind. It is
// safe to run when there is nothing.
func Sweep(dir state.Dir) error {
	var containers []string
	tasks, _ := os.ReadDir(containerTasks(dir))
	for _, task := range tasks {
		containers = append(containers, task.Name())
	}
	err := errors.Join(killContainers(containers), unmountBelow(dir.Root), forgetCNI(dir), removeLogLinks(dir),
		removeCgroups(containers), removeDeadSockets())
	if err != nil {
		return err
	}
	// Addresses and tasks of pods that are no more.
	return errors.Join(os.RemoveAll(containerTasks(dir)), os.RemoveAll(dir.Path("cni", "networks")))
}

// containerTasks is where containerd keeps a folder per running container; it
// survives containerd and names the cgroups that are ours.
func containerTasks(dir state.Dir) string {
	return dir.Path("containerd", "state", "io.containerd.runtime.v2.task", "k8s.io")
}

// Leftovers says whether containers run, or ran when containerd was killed.
func Leftovers(dir state.Dir) bool {
	tasks, _ := os.ReadDir(containerTasks(dir))
	return len(tasks) > 0
}

// cgroupParent is containerd's, the same for every containerd of the machine.
const cgroupParent = "k8s.io"

// cgroupFolders are the cgroups of these containers, one per v1 controller or
// one on v2.
func cgroupFolders(containers []string) []string {
	var folders []string
	for _, id := range containers {
		for _, hierarchy := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
			found, _ := filepath.Glob(filepath.Join(hierarchy, cgroupParent, id))
			folders = append(folders, found...)
		}
	}
	return folders
}

// killContainers ends what still runs in our cgroups; the kernel keeps that
// list, so no pid can be a stranger's.
func killContainers(containers []string) error {
	for attempt := 0; ; attempt++ {
		alive := 0
		for _, folder := range cgroupFolders(containers) {
			_ = filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
				if err != nil || entry.Name() != "cgroup.procs" {
					return nil //nolint:nilerr // a folder that vanished meanwhile holds nothing to end
				}
				raw, _ := os.ReadFile(path)
				for _, line := range strings.Fields(string(raw)) {
					if pid, err := strconv.Atoi(line); err == nil && pid > 1 {
						alive++
						_ = syscall.Kill(pid, syscall.SIGKILL)
					}
				}
				return nil
			})
		}
		if alive == 0 {
			return nil
		}
		if attempt == 100 {
			return fmt.Errorf("%d container processes survived SIGKILL: see %s", alive, cgroupFolders(containers))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func removeCgroups(containers []string) error {
	var failed error
	for _, folder := range cgroupFolders(containers) {
		var folders []string
		_ = filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				folders = append(folders, path)
			}
			return nil
		})
		slices.Reverse(folders) // children first: rmdir refuses a parent
		for _, path := range folders {
			if err := syscall.Rmdir(path); err != nil && !errors.Is(err, syscall.ENOENT) {
				failed = errors.Join(failed, fmt.Errorf("remove cgroup %s: %w", path, err))
			}
		}
	}
	// The parent goes when it is empty: rmdir refuses otherwise, as it should.
	for _, pattern := range []string{"/sys/fs/cgroup/" + cgroupParent, "/sys/fs/cgroup/*/" + cgroupParent} {
		parents, _ := filepath.Glob(pattern)
		for _, parent := range parents {
			_ = syscall.Rmdir(parent)
		}
	}
	return failed
}

// unmountBelow unmounts everything under root, deepest first. The mount table
// writes a space as \040.
func unmountBelow(root string) error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("read the mount table: %w", err)
	}
	defer func() { _ = f.Close() }()
	var targets []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 {
			target := strings.ReplaceAll(fields[4], `\040`, " ")
			if strings.HasPrefix(target, root+"/") {
				targets = append(targets, target)
			}
		}
	}
	var failed error
	for _, target := range slices.Backward(targets) {
		if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			failed = errors.Join(failed, fmt.Errorf("unmount %s: %w", target, err))
		}
	}
	return failed
}

// forgetCNI drops libcni's result cache of our network. Its place is fixed: it
// stays while another cluster's bridge is there, whose pods it speaks of.
func forgetCNI(dir state.Dir) error {
	if owner := ownerOfBridge(); owner != "" && owner != bridgeOwner(dir) {
		return nil
	}
	files, _ := filepath.Glob("/var/lib/cni/results/" + networkName + "-*")
	for _, file := range files {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("forget a pod's network: %w", err)
		}
	}
	return nil
}

// removeLogLinks drops the links the kubelet puts in a fixed place.
func removeLogLinks(dir state.Dir) error {
	links, _ := filepath.Glob("/var/log/containers/*.log")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, dir.Root+"/") {
			if err := os.Remove(link); err != nil {
				return fmt.Errorf("remove a container's log link: %w", err)
			}
		}
	}
	return nil
}

// shimSockets is fixed in containerd's shims.
const shimSockets = "/run/containerd/s"

// removeDeadSockets drops sockets of killed shims. A socket nobody listens on
// is of no use to anyone, whoever made it.
func removeDeadSockets() error {
	entries, _ := os.ReadDir(shimSockets)
	for _, entry := range entries {
		path := filepath.Join(shimSockets, entry.Name())
		conn, err := net.Dial("unix", path)
		if err == nil {
			_ = conn.Close()
			continue
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("remove a dead shim's socket: %w", err)
			}
		}
	}
	return nil
}
