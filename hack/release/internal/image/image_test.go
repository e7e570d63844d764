package image

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"belay.dev/belay/hack/release/internal/program"
)

// TestPushKeepsDigestAndReferrers: what is pulled from a registry is what was written,
// and each platform's image has its bill of materials, with both kinds of registries.
func TestPushKeepsDigestAndReferrers(t *testing.T) {
	image, folder := written(t)
	want, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for kind, lists := range map[string]bool{"with the referrers API": true, "without the referrers API": false} {
		t.Run(kind, func(t *testing.T) {
			server := httptest.NewServer(registry.New(registry.WithReferrersSupport(lists), registry.Logger(log.New(io.Discard, "", 0))))
			defer server.Close()
			repository := strings.TrimPrefix(server.URL, "http://") + "/belay/tool"
			pushed, err := Push(context.Background(), folder, repository)
			if err != nil {
				t.Fatal(err)
			}
			if len(pushed) != 1 || pushed[0] != repository+":v0.1.0@"+want {
				t.Errorf("pushed %s, want digest %s", pushed, want)
			}
			at, err := name.ParseReference(repository + ":v0.1.0")
			if err != nil {
				t.Fatal(err)
			}
			index, err := remote.Index(at)
			if err != nil {
				t.Fatal(err)
			}
			manifest, err := index.IndexManifest()
			if err != nil {
				t.Fatal(err)
			}
			for _, platform := range manifest.Manifests {
				requireBill(t, at.Context().Digest(platform.Digest.String()))
			}
		})
	}
}

func requireBill(t *testing.T, of name.Digest) {
	t.Helper()
	referrers, err := remote.Referrers(of)
	if err != nil {
		t.Fatal(err)
	}
	list, err := referrers.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Manifests) != 1 {
		t.Fatalf("%s has %d referrers, want its bill of materials", of, len(list.Manifests))
	}
	artifact, err := remote.Image(of.Context().Digest(list.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := artifact.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.ArtifactType != program.BillType || manifest.Subject.Digest.String() != of.DigestStr() {
		t.Errorf("the referrer of %s is %+v", of, manifest)
	}
	layers, err := artifact.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	bill := struct {
		Format string `json:"bomFormat"`
	}{}
	if err := json.NewDecoder(content).Decode(&bill); err != nil || bill.Format != "CycloneDX" {
		t.Errorf("got %+v, %v", bill, err)
	}
}

// written packs this test's own binary and writes it as an OCI layout.
func written(t *testing.T) (Image, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	binary := program.Binary{Name: "tool", Version: "v0.1.0", Platform: program.Platform{OS: "linux", Arch: runtime.GOARCH}, Content: content}
	if binary.Bill, err = program.Bill(binary, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	image, err := Pack([]program.Binary{binary}, About{Title: "tool", Version: "v0.1.0", Created: time.Unix(0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "layout")
	if err := Write(folder, image); err != nil {
		t.Fatal(err)
	}
	return image, folder
}

func TestABinaryThatNeedsLibrariesIsRefused(t *testing.T) {
	for file, want := range map[string]string{"/bin/sh": "CGO_ENABLED=0", "/etc/hostname": "want a binary for Linux"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Pack([]program.Binary{{Name: "tool", Platform: program.Platform{OS: "linux", Arch: "amd64"}, Content: content}}, About{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", file, err, want)
		}
	}
}

// TestPushHasTheCredentialsOfDockerLogin: those of the file that it writes.
func TestPushHasTheCredentialsOfDockerLogin(t *testing.T) {
	_, folder := written(t)
	accepts := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "releaser" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		accepts.ServeHTTP(w, r)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	login := t.TempDir()
	t.Setenv("DOCKER_CONFIG", login)
	if _, err := Push(t.Context(), folder, host+"/tool"); err == nil {
		t.Error("pushed without credentials")
	}
	config := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, base64.StdEncoding.EncodeToString([]byte("releaser:secret")))
	if err := os.WriteFile(filepath.Join(login, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Push(t.Context(), folder, host+"/tool"); err != nil {
		t.Error(err)
	}
}

func TestPushOfNothing(t *testing.T) {
	if _, err := Push(t.Context(), t.TempDir(), "registry.example.com/tool"); err == nil || !strings.Contains(err.Error(), "make images") {
		t.Errorf("got %v, want what makes a layout", err)
	}
}
