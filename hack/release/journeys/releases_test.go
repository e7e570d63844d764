package journeys

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"belay.dev/belay/hack/release/internal/image"
	"belay.dev/belay/hack/release/internal/manifests"
	"belay.dev/belay/hack/release/internal/program"
)

// here is what the cluster's node runs.
var here = program.Platform{OS: "linux", Arch: runtime.GOARCH}

// source is a copy of this repository at a commit. What is not committed is not in it.
func source(t *testing.T, commit string) string {
	t.Helper()
	if _, err := run(t.Context(), "git", "cat-file", "-e", commit+"^{commit}"); err != nil {
		t.Fatalf("this repository does not have commit %s, which is released here: fetch its history (git fetch --unshallow): %v", commit, err)
	}
	folder := t.TempDir()
	does(t, "git", "clone", "--quiet", "--no-checkout", "--shared", set.Root, folder)
	does(t, "git", "-C", folder, "checkout", "--quiet", "--detach", commit)
	return folder
}

// released is what `make release` and `make push` make of the present commit, for the
// platform of the node alone. Tests share it.
func released(t *testing.T, version string) (dist string) {
	t.Helper()
	dist = filepath.Join(releases, version)
	// It comes last: a release without it is not whole.
	if _, err := os.Stat(filepath.Join(dist, "SHA256SUMS")); err == nil {
		return dist
	}
	commit, registry := head(t), set.Addresses.Registry+"/belay"
	t.Logf("releasing %s as %s", commit, version)
	does(t, "go", "-C", "hack/release", "run", ".", "all", "-root", source(t, commit), "-out", dist, "-version", version, "-registry", registry, "-platforms", here.String())
	does(t, "go", "-C", "hack/release", "run", ".", "push", "-out", dist, "-registry", registry)
	return dist
}

// head is the present commit.
func head(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(does(t, "git", "rev-parse", "HEAD"))
}

// installYAML is install.yaml of the source in a folder, by the release's own code and
// without a command line, which a former source made in another way. Its image is in the
// cluster's registry.
func installYAML(t *testing.T, root, version string) string {
	t.Helper()
	g := NewWithT(t)
	const name = "belay-controller"
	binary, err := program.Build(t.Context(), root, "./cmd/"+name, version, here)
	g.Expect(err).NotTo(HaveOccurred())
	binary.Bill, err = program.Bill(binary, time.Unix(0, 0))
	g.Expect(err).NotTo(HaveOccurred())
	packed, err := image.Pack([]program.Binary{binary}, image.About{Title: name, Version: version, Created: time.Unix(0, 0)})
	g.Expect(err).NotTo(HaveOccurred())
	layout := t.TempDir()
	g.Expect(image.Write(layout, packed)).To(Succeed())
	repository := set.Addresses.Registry + "/belay/" + name
	_, err = image.Push(t.Context(), layout, repository)
	g.Expect(err).NotTo(HaveOccurred())
	digest, err := packed.Digest()
	g.Expect(err).NotTo(HaveOccurred())
	text, err := manifests.Install(root, repository+"@"+digest)
	g.Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(t.TempDir(), "install.yaml")
	g.Expect(os.WriteFile(path, text, 0o644)).To(Succeed())
	return path
}

// apply installs or upgrades as docs/install.md says.
func apply(t *testing.T, install string) {
	t.Helper()
	does(t, "kubectl", "apply", "--server-side", "-f", install)
	does(t, "kubectl", "wait", "--for=condition=Established", "--timeout=60s", "crd", "-l", "app.kubernetes.io/part-of=belay")
	does(t, "kubectl", "-n", "belay", "rollout", "status", "deployment/belay-controller", "--timeout=2m")
}

// uninstallAfter uninstalls as docs/install.md says, when the test is over.
func uninstallAfter(t *testing.T, install string) {
	after(t, "kubectl", "delete", "-f", install, "--ignore-not-found", "--timeout=90s")
	after(t, "kubectl", "delete", "mutatingadmissionpolicybindings,validatingadmissionpolicybindings", "-l", "app.kubernetes.io/part-of=belay")
}
