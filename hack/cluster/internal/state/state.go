// Package state owns the cluster's folder: where each thing lives, which ports
// were chosen, and what must be put back on the host by `down`. It starts
// nothing and talks to nothing.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Node modes. Real runs a kubelet and containers, Kwok simulates nodes.
const (
	Real = "real"
	Kwok = "kwok"
)

// Addresses inside the cluster. They are fixed because pods, certificates and
// routes all name them; a second cluster on one machine is refused instead.
const (
	Bridge      = "belay0"
	BridgeIP    = "10.244.0.1"
	PodCIDR     = "10.244.0.0/24"
	ServiceCIDR = "10.96.0.0/16"
	ServiceIP   = "10.96.0.1"
	NodeName    = "local"
)

// Cluster is what survives between commands.
type Cluster struct {
	Mode      string         `json:"mode"`
	KwokNodes int            `json:"kwokNodes,omitempty"`
	Ports     map[string]int `json:"ports"`
	// IPForward is the host's net.ipv4.ip_forward before the first `up`; the
	// CNI bridge plugin turns it on, `down` puts it back.
	IPForward string `json:"ipForward,omitempty"`
}

// Dir is a state folder.
type Dir struct {
	Root       string
	ModuleRoot string // hack/cluster itself, where `go build` runs
}

// Path joins below the state folder.
func (d Dir) Path(parts ...string) string {
	return filepath.Join(append([]string{d.Root}, parts...)...)
}

// Bin is the path of a built binary.
func (d Dir) Bin(name string) string { return d.Path("bin", name) }

// Kubeconfig is the path of a component's kubeconfig; the empty name is the human's.
func (d Dir) Kubeconfig(component string) string {
	if component == "" {
		return d.Path("kubeconfig")
	}
	return d.Path("kubeconfigs", component)
}

// Socket is containerd's socket. Unix socket paths end at 107 bytes, and
// containerd appends ".ttrpc".
func (d Dir) Socket() (string, error) {
	socket := d.Path("containerd", "c.sock")
	if len(socket)+len(".ttrpc") > 107 {
		return "", fmt.Errorf("containerd's socket %q is longer than the 107 bytes Linux allows: choose a shorter --state", socket)
	}
	return socket, nil
}

// Locate finds the module and the state folder. An empty root means
// `<repository>/.cluster`.
func Locate(root string) (Dir, error) {
	module, err := moduleRoot()
	if err != nil {
		return Dir{}, err
	}
	if root == "" {
		root = filepath.Join(module, "..", "..", ".cluster")
	}
	root, err = filepath.Abs(root)
	if err != nil {
		return Dir{}, fmt.Errorf("resolve the state folder %q: %w", root, err)
	}
	if err := os.MkdirAll(filepath.Join(root, "bin"), 0o755); err != nil {
		return Dir{}, fmt.Errorf("create the state folder %s (choose another with --state): %w", root, err)
	}
	return Dir{Root: root, ModuleRoot: module}, nil
}

// moduleRoot walks up from the working directory, so that both
// `go -C hack/cluster run .` and the built binary in the repository work.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("read the working directory: %w", err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		for _, candidate := range []string{at, filepath.Join(at, "hack", "cluster")} {
			if _, err := os.Stat(filepath.Join(candidate, "internal", "state", "state.go")); err == nil {
				return candidate, nil
			}
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("hack/cluster not found above %s: run this inside the repository", dir)
		}
	}
}

// Load reads what an earlier command stored; a missing file is an empty cluster.
func (d Dir) Load() (Cluster, error) {
	c := Cluster{Ports: map[string]int{}}
	raw, err := os.ReadFile(d.Path("cluster.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read the cluster's state: %w", err)
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return c, fmt.Errorf("read %s: %w; `down --purge` starts afresh", d.Path("cluster.json"), err)
	}
	if c.Ports == nil {
		c.Ports = map[string]int{}
	}
	return c, nil
}

// Save stores the cluster.
func (d Dir) Save(c Cluster) error {
	raw, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the cluster's state: %w", err)
	}
	return WriteFile(d.Path("cluster.json"), append(raw, '\n'), 0o644)
}

// WriteFile replaces a file in one step, so that an interrupted command leaves
// the old content or the new, and leaves an unchanged file's time alone.
func WriteFile(path string, content []byte, mode fs.FileMode) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == string(content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("create the folder of %s: %w", path, err)
	}
	next := path + ".next"
	if err := os.WriteFile(next, content, mode); err != nil {
		return fmt.Errorf("write %s: %w", next, err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	return nil
}
