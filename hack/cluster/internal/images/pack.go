// Package images packs static binaries into container images and serves them
// from a registry on this machine, so that digests and pulls are real.
package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nonroot is the user id distroless images made customary.
const nonroot = 65532

// Recipe says what goes into an image.
type Recipe struct {
	Binary string
	Env    []string // K=V
	Labels map[string]string
}

// Push packs the recipe, pushes it to registry/name and returns the reference
// with its digest. The same recipe always gives the same digest.
func Push(ctx context.Context, registry, image string, recipe Recipe) (string, error) {
	ref, err := name.ParseReference(registry+"/"+image, name.Insecure)
	if err != nil {
		return "", fmt.Errorf("parse the image name %q (want NAME:TAG): %w", image, err)
	}
	img, err := pack(recipe)
	if err != nil {
		return "", err
	}
	if err := remote.Write(ref, img, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("push %s (is the cluster up?): %w", ref, err)
	}
	digest, err := img.Digest()
	if err != nil {
		return "", fmt.Errorf("digest %s: %w", ref, err)
	}
	return ref.Context().Name() + "@" + digest.String(), nil
}

func pack(recipe Recipe) (v1.Image, error) {
	layer, err := layerOf(recipe.Binary)
	if err != nil {
		return nil, err
	}
	base := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	base = mutate.ConfigMediaType(base, types.OCIConfigJSON)
	img, err := mutate.Append(base, mutate.Addendum{Layer: layer, MediaType: types.OCILayer})
	if err != nil {
		return nil, fmt.Errorf("add %s to an image: %w", recipe.Binary, err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the new image's config: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config = v1.Config{
		Entrypoint: []string{"/app"}, User: fmt.Sprintf("%d:%d", nonroot, nonroot), WorkingDir: "/",
		Env: append([]string{"PATH=/"}, recipe.Env...), Labels: recipe.Labels,
	}
	img, err = mutate.ConfigFile(img, config)
	if err != nil {
		return nil, fmt.Errorf("write the new image's config: %w", err)
	}
	return img, nil
}

// layerOf makes a layer of one file, /app, plus an empty world-writable /tmp.
func layerOf(binary string) (v1.Layer, error) {
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("read the binary to pack: %w", err)
	}
	if bytes.Contains(content[:min(len(content), 8192)], []byte("/ld-linux")) {
		return nil, fmt.Errorf("%s is dynamically linked and the image holds no libraries: build it with CGO_ENABLED=0", binary)
	}
	var packed bytes.Buffer
	// The fastest level: the layer travels over loopback only.
	zip, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("compress %s: %w", binary, err)
	}
	archive := tar.NewWriter(zip)
	err = errors.Join(
		archive.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}),
		archive.WriteHeader(&tar.Header{Name: "app", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content))}),
	)
	if err == nil {
		_, err = archive.Write(content)
	}
	if err := errors.Join(err, archive.Close(), zip.Close()); err != nil {
		return nil, fmt.Errorf("archive %s: %w", binary, err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(packed.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("make a layer of %s: %w", binary, err)
	}
	return layer, nil
}
