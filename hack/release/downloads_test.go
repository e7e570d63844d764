package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// packedFile is what an archive holds.
type packedFile struct {
	mode    fs.FileMode
	content []byte
}

// unpack reads an archive of a release as its ending says.
func unpack(t *testing.T, path string) map[string]packedFile {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]packedFile{}
	if strings.HasSuffix(path, ".zip") {
		archive, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range archive.File {
			content, err := fs.ReadFile(archive, file.Name)
			if err != nil {
				t.Fatal(err)
			}
			out[file.Name] = packedFile{file.Mode(), content}
		}
		return out
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for reader := tar.NewReader(unzipped); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		out[header.Name] = packedFile{header.FileInfo().Mode(), content}
	}
}

func TestDownloads(t *testing.T) {
	made := from(t, filepath.Join("testdata", "hello"), 0)
	if err := made.makeAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("hold what a person needs", func(t *testing.T) { archivesAreWhole(t, made) })
	t.Run("are installed by krew", func(t *testing.T) { krewInstalls(t, made) })
}

// archivesAreWhole: the binary for the platform, the licence, completions and man pages
// with the time of the revision.
func archivesAreWhole(t *testing.T, made release) {
	t.Helper()
	g := NewWithT(t)
	licence, err := os.ReadFile(filepath.Join(made.root, "LICENSE"))
	g.Expect(err).NotTo(HaveOccurred())
	page := []byte("version v0.1.0 of 1795694400 \n")
	g.Expect(os.ReadFile(filepath.Join(made.out, "man", "kubectl-belay.1"))).To(Equal(page))
	g.Expect(os.ReadFile(filepath.Join(made.out, "completions", "kubectl-belay.bash"))).To(Equal([]byte("completion for bash\n")))
	for name, magic := range map[string]string{
		"linux_amd64.tar.gz": "\x7fELF", "linux_arm64.tar.gz": "\x7fELF", "darwin_amd64.tar.gz": "\xcf\xfa\xed\xfe", "darwin_arm64.tar.gz": "\xcf\xfa\xed\xfe", "windows_amd64.zip": "MZ",
	} {
		files := unpack(t, filepath.Join(made.out, "kubectl-belay_v0.1.0_"+name))
		want := map[string]fs.FileMode{
			"kubectl-belay": 0o755, "kubectl_complete-belay": 0o755, "LICENSE": 0o644, "man/man1/kubectl-belay.1": 0o644,
			"completions/kubectl-belay.bash": 0o644, "completions/_kubectl-belay": 0o644, "completions/kubectl-belay.fish": 0o644, "completions/kubectl-belay.ps1": 0o644,
		}
		binary := "kubectl-belay"
		if strings.HasPrefix(name, "windows") {
			binary = "kubectl-belay.exe"
			delete(want, "kubectl-belay")
			delete(want, "kubectl_complete-belay")
			want[binary] = 0o755
		}
		got := map[string]fs.FileMode{}
		for file, packed := range files {
			got[file] = packed.mode
		}
		g.Expect(got).To(Equal(want), name)
		g.Expect(string(files[binary].content)).To(HavePrefix(magic), name)
		g.Expect(files["LICENSE"].content).To(Equal(licence))
		g.Expect(files["man/man1/kubectl-belay.1"].content).To(Equal(page))
		g.Expect(string(files["completions/_kubectl-belay"].content)).To(Equal("completion for zsh\n"))
	}
}

// krewInstalls: krew's own validation accepts the manifest, and krew itself installs
// each archive by it.
func krewInstalls(t *testing.T, made release) {
	t.Helper()
	g := NewWithT(t)
	tools := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", tools+"/", "sigs.k8s.io/krew/cmd/krew", "sigs.k8s.io/krew/cmd/validate-krew-manifest")
	build.Dir = filepath.Join("testdata", "krew")
	said, err := build.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(said))
	manifest := filepath.Join(made.out, "krew", "belay.yaml")
	said, err = exec.CommandContext(t.Context(), filepath.Join(tools, "validate-krew-manifest"), "-manifest", manifest, "-skip-install").CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(said))
	text, err := os.ReadFile(manifest)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(text)).To(ContainSubstring("uri: https://example.com/belay/v0.1.0/kubectl-belay_v0.1.0_linux_amd64.tar.gz\n"))

	for _, platform := range desktops {
		home, archive := t.TempDir(), filepath.Join(made.out, "kubectl-belay_v0.1.0_"+platform.OS+"_"+platform.Arch)
		binary := "kubectl-belay"
		if platform.OS == "windows" {
			archive, binary = archive+".zip", binary+".exe"
		} else {
			archive += ".tar.gz"
		}
		install := exec.CommandContext(t.Context(), filepath.Join(tools, "krew"), "install", "--manifest="+manifest, "--archive="+archive)
		install.Env = append(os.Environ(), "KREW_ROOT="+home, "KREW_OS="+platform.OS, "KREW_ARCH="+platform.Arch, "KREW_NO_UPGRADE_CHECK=1")
		said, err := install.CombinedOutput()
		g.Expect(err).NotTo(HaveOccurred(), "%s: %s", platform, said)
		for _, file := range []string{binary, "LICENSE"} {
			g.Expect(filepath.Join(home, "store", "belay", "v0.1.0", file)).To(BeAnExistingFile())
		}
	}

	// An archive that the manifest is not of.
	install := exec.CommandContext(t.Context(), filepath.Join(tools, "krew"), "install", "--manifest="+manifest, "--archive="+filepath.Join(made.out, "kubectl-belay_v0.1.0_darwin_arm64.tar.gz"))
	install.Env = append(os.Environ(), "KREW_ROOT="+t.TempDir(), "KREW_OS=linux", "KREW_ARCH=amd64", "KREW_NO_UPGRADE_CHECK=1")
	said, err = install.CombinedOutput()
	g.Expect(err).To(HaveOccurred())
	g.Expect(string(said)).To(ContainSubstring("checksum"))
}
