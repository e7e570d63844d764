package images

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestAPushedImageSurvivesARestartOfTheRegistry(t *testing.T) {
	dir, binary := t.TempDir(), filepath.Join(t.TempDir(), "app")
	if err := os.WriteFile(binary, []byte("static"), 0o755); err != nil {
		t.Fatal(err)
	}
	first, err := NewRegistry(dir)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(first)
	recipe := Recipe{Binary: binary, Env: []string{"A=b"}, Labels: map[string]string{"k": "v"}}
	pushed, err := Push(t.Context(), strings.TrimPrefix(server.URL, "http://"), "shop:v1", recipe)
	server.Close()
	if err != nil {
		t.Fatal(err)
	}
	_, digest, _ := strings.Cut(pushed, "@")

	second, err := NewRegistry(dir)
	if err != nil {
		t.Fatal(err)
	}
	server = httptest.NewServer(second)
	defer server.Close()
	for _, reference := range []string{"shop:v1", "shop@" + digest} {
		ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/" + reference)
		if err != nil {
			t.Fatal(err)
		}
		img, err := remote.Image(ref)
		if err != nil {
			t.Fatalf("%s is gone: %v", reference, err)
		}
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Config.User != "65532:65532" || config.Config.Entrypoint[0] != "/app" || config.Config.Labels["k"] != "v" {
			t.Errorf("%s has config %+v", reference, config.Config)
		}
		if got, _ := img.Digest(); got.String() != digest {
			t.Errorf("%s has digest %s, want %s", reference, got, digest)
		}
	}
}

func TestADynamicBinaryIsRefused(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "app")
	if err := os.WriteFile(binary, []byte("\x7fELF /lib64/ld-linux-x86-64.so.2"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := pack(Recipe{Binary: binary}); err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=0") {
		t.Errorf("got %v, want advice about CGO_ENABLED=0", err)
	}
}
