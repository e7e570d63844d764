// Package binaries builds what the cluster runs from the modules pinned in
// hack/cluster/go.mod. A stamp beside each binary makes a warm build instant.
package binaries

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"belay.dev/belay/hack/cluster/internal/state"
)

// Clients refuse a server whose version they cannot parse, hence the -X flags;
// the version itself is read from go.mod.
const versionPackage = "k8s.io/component-base/version"

type binary struct {
	name, pkg, tags string
	// sources are this module's folders it is made of; empty for other modules'
	// programs. Listed so that a change of the command restarts no gateway.
	sources []string
}

var all = []binary{
	{name: "etcd", pkg: "go.etcd.io/etcd/server/v3"},
	{name: "kube-apiserver", pkg: "k8s.io/kubernetes/cmd/kube-apiserver"},
	{name: "kubectl", pkg: "k8s.io/kubernetes/cmd/kubectl"},
	{name: "kube-controller-manager", pkg: "k8s.io/kubernetes/cmd/kube-controller-manager"},
	{name: "kube-scheduler", pkg: "k8s.io/kubernetes/cmd/kube-scheduler"},
	{name: "kubelet", pkg: "k8s.io/kubernetes/cmd/kubelet"},
	// The other discovery plugins are tens of cloud SDKs.
	{name: "prometheus", pkg: "github.com/prometheus/prometheus/cmd/prometheus", tags: "remove_all_sd,enable_kubernetes_sd"},
	{name: "promtool", pkg: "github.com/prometheus/prometheus/cmd/promtool", tags: "remove_all_sd,enable_kubernetes_sd"},
	{name: "kwok", pkg: "sigs.k8s.io/kwok/cmd/kwok"},
	{name: "fixtures", pkg: "./fixtures", sources: []string{
		"fixtures", "internal/gateway", "internal/images", "internal/relay", "internal/state",
	}},
	{name: "pause", pkg: "./pause", sources: []string{"pause"}},
}

// Names lists every binary in build order.
func Names() []string {
	names := make([]string, 0, len(all))
	for _, b := range all {
		names = append(names, b.name)
	}
	return names
}

// For names the binaries a node mode needs.
func For(mode string) []string {
	return slices.DeleteFunc(Names(), func(name string) bool {
		if name == "promtool" {
			// For tests of alerts, which need no cluster.
			return true
		}
		if mode == state.Kwok {
			return name == "kubelet" || name == "pause"
		}
		return name == "kwok"
	})
}

// Build brings the named binaries up to date and reports each one it had to build.
func Build(ctx context.Context, dir state.Dir, names []string, say func(format string, args ...any)) error {
	pins, err := pins(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		at := slices.IndexFunc(all, func(b binary) bool { return b.name == name })
		if at < 0 {
			return fmt.Errorf("no binary called %q: choose from %s", name, strings.Join(Names(), ", "))
		}
		if err := build(ctx, dir, all[at], pins, say); err != nil {
			return err
		}
	}
	return nil
}

func build(ctx context.Context, dir state.Dir, b binary, pins string, say func(string, ...any)) error {
	ldflags, err := ldflags(dir)
	if err != nil {
		return err
	}
	stamp := hash(pins, ldflags, b.tags, b.pkg, runtime.Version())
	for _, folder := range b.sources {
		sources, err := ownSources(filepath.Join(dir.ModuleRoot, folder))
		if err != nil {
			return err
		}
		stamp = hash(stamp, sources)
	}
	stampFile := dir.Path("bin", ".stamps", b.name)
	old, _ := os.ReadFile(stampFile)
	if _, err := os.Stat(dir.Bin(b.name)); err == nil && string(old) == stamp {
		return nil
	}
	begin := time.Now()
	say("building %s (minutes the first time, seconds when cached)", b.name)
	// A new file renamed over the old one: the old may be running.
	next := dir.Bin(b.name) + ".next"
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", ldflags, "-tags", b.tags, "-o", next, b.pkg)
	cmd.Dir = dir.ModuleRoot
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s from %s: %w\n%s\nif modules are missing, run `go -C hack/cluster mod download` and try again",
			b.name, b.pkg, err, out)
	}
	if err := os.Rename(next, dir.Bin(b.name)); err != nil {
		return fmt.Errorf("put %s in place: %w", b.name, err)
	}
	say("built %s in %s", b.name, time.Since(begin).Round(time.Second))
	return state.WriteFile(stampFile, []byte(stamp), 0o644)
}

func ldflags(dir state.Dir) (string, error) {
	raw, err := os.ReadFile(filepath.Join(dir.ModuleRoot, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("read go.mod: %w", err)
	}
	_, rest, ok := strings.Cut(string(raw), "k8s.io/kubernetes v1.")
	version, _, _ := strings.Cut(rest, " ")
	version, _, _ = strings.Cut(version, "\n")
	minor, _, dot := strings.Cut(version, ".")
	if !ok || !dot {
		return "", fmt.Errorf("find the version of k8s.io/kubernetes in %s/go.mod: it must be required as v1.X.Y", dir.ModuleRoot)
	}
	return fmt.Sprintf("-s -w -X %[1]s.gitVersion=v1.%[2]s -X %[1]s.gitMajor=1 -X %[1]s.gitMinor=%[3]s", versionPackage, version, minor), nil
}

// pins hashes the chosen versions. Order and comments are left out: `go mod
// tidy` moves lines without changing what is built, and go.sum only verifies.
func pins(dir state.Dir) (string, error) {
	raw, err := os.ReadFile(filepath.Join(dir.ModuleRoot, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("read go.mod: %w", err)
	}
	var lines []string
	for line := range strings.Lines(string(raw)) {
		line, _, _ = strings.Cut(line, "//")
		if line = strings.TrimSpace(strings.TrimPrefix(line, "require ")); strings.Contains(line, " v") {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return hash(lines...), nil
}

func ownSources(root string) (string, error) {
	var parts []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(path)
		parts = append(parts, path, string(raw))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the sources in %s: %w", root, err)
	}
	return hash(parts...), nil
}

// hash separates the parts by their lengths, so that moving text from one to
// the next changes the result.
func hash(parts ...string) string {
	text := ""
	for _, part := range parts {
		text += fmt.Sprintf("%d:%s", len(part), part)
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
