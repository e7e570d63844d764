package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	. "github.com/onsi/gomega"
	. "github.com/onsi/gomega/gstruct"
)

// revised is the time of the revision that the tests release.
var revised = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// from is a release of a copy of a repository, whose files have the given age. Without
// a config of its own it has this repository's.
func from(t *testing.T, repository string, age time.Duration) release {
	t.Helper()
	root := filepath.Join(t.TempDir(), "a-folder-of-its-own")
	if err := os.CopyFS(root, os.DirFS(repository)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "config")); err != nil {
		if err := os.CopyFS(filepath.Join(root, "config"), os.DirFS("../../config")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "hack", "stage")); err != nil {
		if err := os.CopyFS(filepath.Join(root, "hack", "stage", "manifests"), os.DirFS("../stage/manifests")); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, time.Now().Add(-age), time.Now().Add(-age))
	})
	if err != nil {
		t.Fatal(err)
	}
	return release{
		source:   source{root: root, version: "v0.1.0", revision: "0123abc", created: revised},
		registry: "registry.example.com/belay", downloadsAt: "https://example.com/belay", out: filepath.Join(t.TempDir(), "dist"), say: io.Discard,
	}
}

// contents are the hashes of all files below a folder.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, folder)] = fmt.Sprintf("%x", sha256.Sum256(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTheSameSourceGivesTheSameRelease(t *testing.T) {
	g := NewWithT(t)
	repository := filepath.Join("testdata", "hello")
	// The real one takes minutes: two platforms from nothing.
	if os.Getenv("BELAY_EXTENDED") != "" {
		repository = tracked(t)
	}
	first, second := from(t, repository, 0), from(t, repository, 300*24*time.Hour)
	g.Expect(first.makeAll(t.Context())).To(Succeed())
	g.Expect(second.makeAll(t.Context())).To(Succeed())
	files := contents(t, first.out)
	g.Expect(contents(t, second.out)).To(Equal(files))
	for _, name := range []string{
		"images/belay-controller/index.json", "images/belay-comparer/index.json", "images/kubectl-belay/index.json", "images/shop/index.json", "images.txt", "install.yaml", "example.yaml", "belay-0.1.0.tgz", "SHA256SUMS",
		"sbom/belay-controller_v0.1.0_linux_amd64.cdx.json", "sbom/belay-controller_v0.1.0_linux_arm64.cdx.json",
		"kubectl-belay_v0.1.0_linux_amd64.tar.gz", "kubectl-belay_v0.1.0_linux_arm64.tar.gz", "kubectl-belay_v0.1.0_darwin_amd64.tar.gz",
		"kubectl-belay_v0.1.0_darwin_arm64.tar.gz", "kubectl-belay_v0.1.0_windows_amd64.zip", "sbom/kubectl-belay_v0.1.0_windows_amd64.cdx.json",
		"completions/_kubectl-belay", "completions/kubectl-belay.ps1", "man/kubectl-belay.1", "krew/belay.yaml",
	} {
		g.Expect(files).To(HaveKey("/" + name))
	}
	images, err := os.ReadFile(filepath.Join(first.out, imagesList))
	g.Expect(err).NotTo(HaveOccurred())
	ours, _, _ := strings.Cut(string(images), "\n")
	_, digest, _ := strings.Cut(ours, "@")
	install, err := os.ReadFile(filepath.Join(first.out, "install.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(install)).To(ContainSubstring("image: registry.example.com/belay/belay-controller@" + digest + "\n"))

	other := from(t, repository, 0)
	other.version = "v0.1.1"
	g.Expect(other.makeImages(t.Context())).To(Succeed())
	g.Expect(contents(t, other.out)["/images.txt"]).NotTo(Equal(files["/images.txt"]))
}

func TestAReleaseForSomePlatforms(t *testing.T) {
	g := NewWithT(t)
	var err error
	of := from(t, filepath.Join("testdata", "hello"), 0)
	of.only, err = platformsOf("linux/arm64, darwin/arm64")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(of.makeAll(t.Context())).To(Succeed())
	files := contents(t, of.out)
	for _, name := range []string{"install.yaml", "belay-0.1.0.tgz", "sbom/belay-controller_v0.1.0_linux_arm64.cdx.json", "kubectl-belay_v0.1.0_linux_arm64.tar.gz", "kubectl-belay_v0.1.0_darwin_arm64.tar.gz", "SHA256SUMS"} {
		g.Expect(files).To(HaveKey("/" + name))
	}
	for name := range files {
		g.Expect(name).NotTo(Or(ContainSubstring("amd64"), ContainSubstring("windows")))
	}
	_, image := imageOf(t, of)
	manifest, err := image.IndexManifest()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(manifest.Manifests).To(ConsistOf(HaveField("Platform", PointTo(Equal(v1.Platform{OS: "linux", Architecture: "arm64"})))))

	for list, want := range map[string]string{
		"linux/riscv64": `"linux/riscv64" is no platform of a release`, "linux": `"linux" is no platform`, "linux/amd64,": `"" is no platform`,
		"darwin/arm64": "no platform for images: add some of [linux/amd64 linux/arm64]",
	} {
		_, err := platformsOf(list)
		g.Expect(err).To(MatchError(ContainSubstring(want)), list)
	}
}

// tracked is a copy of this repository as git has it.
func tracked(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	archive := exec.Command("sh", "-c", `git -C ../.. archive HEAD | tar -x -C "$0"`, root)
	if said, err := archive.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return root
}

func TestTheImageHoldsWhatItNeeds(t *testing.T) {
	g := NewWithT(t)
	made := from(t, filepath.Join("testdata", "hello"), 0)
	g.Expect(made.makeImages(t.Context())).To(Succeed())
	entry, platforms := imageOf(t, made)
	g.Expect(entry.Annotations).To(HaveKeyWithValue("org.opencontainers.image.ref.name", "v0.1.0"))
	list, err := os.ReadFile(filepath.Join(made.out, imagesList))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(list)).To(HavePrefix("registry.example.com/belay/belay-controller:v0.1.0@" + entry.Digest.String() + "\nregistry.example.com/belay/shop:v1@sha256:"))

	manifest, err := platforms.IndexManifest()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(manifest.Manifests).To(HaveLen(2))
	for i, arch := range []string{"amd64", "arm64"} {
		g.Expect(*manifest.Manifests[i].Platform).To(Equal(v1.Platform{OS: "linux", Architecture: arch}))
		image, err := platforms.Image(manifest.Manifests[i].Digest)
		g.Expect(err).NotTo(HaveOccurred())
		config, err := image.ConfigFile()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(config.Architecture).To(Equal(arch))
		g.Expect(config.Created.Time).To(Equal(revised))
		g.Expect(config.Config.User).To(Equal("65532:65532"))
		g.Expect(config.Config.Entrypoint).To(Equal([]string{"/belay-controller"}))
		for _, labels := range []map[string]string{config.Config.Labels, manifest.Annotations} {
			g.Expect(labels).To(And(HaveKeyWithValue("org.opencontainers.image.revision", "0123abc"),
				HaveKeyWithValue("org.opencontainers.image.version", "v0.1.0"), HaveKeyWithValue("org.opencontainers.image.licenses", "Apache-2.0")))
		}
		files := filesOf(t, image)
		g.Expect(x509.NewCertPool().AppendCertsFromPEM(files["etc/ssl/certs/ca-certificates.crt"])).To(BeTrue())
		g.Expect(bytes.Count(files["etc/ssl/certs/ca-certificates.crt"], []byte("BEGIN CERTIFICATE"))).To(BeNumerically(">", 100))
		if arch == runtime.GOARCH {
			g.Expect(said(t, files["belay-controller"])).To(Equal("version v0.1.0\n"))
		}
	}
}

// imageOf is the controller's image, and its entry in the layout.
func imageOf(t *testing.T, of release) (v1.Descriptor, v1.ImageIndex) {
	t.Helper()
	g := NewWithT(t)
	index, err := layout.ImageIndexFromPath(filepath.Join(of.out, imagesFolder, controllerName))
	g.Expect(err).NotTo(HaveOccurred())
	top, err := index.IndexManifest()
	g.Expect(err).NotTo(HaveOccurred())
	image, err := index.ImageIndex(top.Manifests[0].Digest)
	g.Expect(err).NotTo(HaveOccurred())
	return top.Manifests[0], image
}

// TestTheExampleIsComplete: its image is one that a push brings to the registry, and only
// the Gateway's name is left to fill in.
func TestTheExampleIsComplete(t *testing.T) {
	g := NewWithT(t)
	made := from(t, filepath.Join("testdata", "hello"), 0)
	made.only = servers[:1]
	g.Expect(made.makeAll(t.Context())).To(Succeed())
	raw, err := os.ReadFile(filepath.Join(made.out, "example.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	example := string(raw)
	g.Expect(example).To(ContainSubstring("image: registry.example.com/belay/shop:v1\n"))
	g.Expect(regexp.MustCompile(`\b[A-Z_]{4,}\b`).FindAllString(example, -1)).To(ConsistOf("GATEWAY_NAME", "GATEWAY_NAMESPACE"))
	g.Expect(example).NotTo(ContainSubstring("belay.dev/stage"))
	index, err := layout.ImageIndexFromPath(filepath.Join(made.out, imagesFolder, exampleName))
	g.Expect(err).NotTo(HaveOccurred())
	top, err := index.IndexManifest()
	g.Expect(err).NotTo(HaveOccurred())
	var tags []string
	for _, entry := range top.Manifests {
		tag := entry.Annotations["org.opencontainers.image.ref.name"]
		if tag == "" {
			continue
		}
		tags = append(tags, tag)
		platforms, err := index.ImageIndex(entry.Digest)
		g.Expect(err).NotTo(HaveOccurred())
		manifest, err := platforms.IndexManifest()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(manifest.Manifests).To(HaveLen(1))
		image, err := platforms.Image(manifest.Manifests[0].Digest)
		g.Expect(err).NotTo(HaveOccurred())
		config, err := image.ConfigFile()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(config.Config.Env).To(ContainElements("PATH=/", "SHOP_VERSION="+tag))
	}
	g.Expect(tags).To(Equal([]string{"v1", "v2", "v3", "v4"}))
}

func filesOf(t *testing.T, image v1.Image) map[string][]byte {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, layer := range layers {
		packed, err := layer.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		unzipped, err := gzip.NewReader(packed)
		if err != nil {
			t.Fatal(err)
		}
		reader := tar.NewReader(unzipped)
		header, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(reader); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// said is what a binary prints.
func said(t *testing.T, binary []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "binary")
	if err := os.WriteFile(path, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestAProgramThatIsNotThereFailsTheRelease(t *testing.T) {
	made := from(t, filepath.Join("testdata", "hello"), 0)
	_, err := made.build(t.Context(), released{name: "kubectl-nothing"}, servers)
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("build ./cmd/kubectl-nothing for linux/amd64")))
}

func TestWhatIsNoRelease(t *testing.T) {
	for name, c := range map[string]struct{ version, revision, want string }{
		"a release":            {"v0.1.0", "0123abc", ""},
		"a candidate":          {"v0.1.0-rc.1", "0123abc", ""},
		"no version":           {"", "0123abc", `"" is not a version`},
		"a version without v":  {"0.1.0", "0123abc", `"0.1.0" is not a version`},
		"a description by git": {"v0.1.0-3-g0123abc_x", "0123abc", "is not a version"},
		"uncommitted changes":  {"v0.1.0", "0123abc-dirty", "not committed"},
	} {
		t.Run(name, func(t *testing.T) {
			err := source{version: c.version, revision: c.revision}.requireRelease()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestTwoReleasesAreNotMixed(t *testing.T) {
	made := from(t, filepath.Join("testdata", "hello"), 0)
	g := NewWithT(t)
	g.Expect(made.write("install.yaml", nil)).To(Succeed())
	g.Expect(made.makeImages(t.Context())).To(MatchError(ContainSubstring("is not empty")))
}

func TestSumsNameEveryFile(t *testing.T) {
	g := NewWithT(t)
	made := from(t, filepath.Join("testdata", "hello"), 0)
	g.Expect(made.write("install.yaml", []byte("a\n"))).To(Succeed())
	g.Expect(made.write("sbom/b.json", []byte("b\n"))).To(Succeed())
	g.Expect(made.write("images/x/index.json", []byte("c\n"))).To(Succeed())
	g.Expect(made.sums()).To(Succeed())
	check := exec.Command("sha256sum", "-c", "SHA256SUMS")
	check.Dir = made.out
	out, err := check.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(strings.Fields(string(out))).To(ConsistOf("install.yaml:", "OK", "sbom/b.json:", "OK"))
}

func TestSourceOfARepository(t *testing.T) {
	g := NewWithT(t)
	root := t.TempDir()
	t.Setenv("SOURCE_DATE_EPOCH", "")
	for _, variable := range []string{"GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"} {
		t.Setenv(variable, "2026-11-26T12:00:00Z")
	}
	for _, args := range [][]string{{"init", "-q"}, {"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "--allow-empty", "-m", "First"}} {
		_, err := git(t.Context(), root, args...)
		g.Expect(err).NotTo(HaveOccurred())
	}
	clean, err := sourceOf(t.Context(), root, "")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(clean.created).To(Equal(revised))
	g.Expect(clean.revision).To(HavePrefix(clean.version))
	g.Expect(os.WriteFile(filepath.Join(root, "new"), nil, 0o644)).To(Succeed())
	dirty, err := sourceOf(t.Context(), root, "v1.0.0")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(dirty.revision).To(Equal(clean.revision + "-dirty"))
	g.Expect(dirty.version).To(Equal("v1.0.0"))
	t.Setenv("SOURCE_DATE_EPOCH", "0")
	dated, err := sourceOf(t.Context(), root, "v1.0.0")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(dated.created).To(Equal(time.Unix(0, 0).UTC()))
}
