// Package image packs static binaries into container images, without Docker and
// without a base image.
package image

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"belay.dev/belay/hack/release/internal/archive"
	"belay.dev/belay/hack/release/internal/program"
)

// user is the user and group that distroless images made customary for non-root.
const user = "65532:65532"

// About describes an image. It becomes OCI labels and annotations.
type About struct {
	// Title is the program's name, Description one line for people.
	Title, Description string
	// Version and Revision are those of the source; Created is the time of the revision.
	Version, Revision string
	Created           time.Time
	// Env is the environment that the program starts with, as NAME=value.
	Env []string
}

func (a About) labels() map[string]string {
	return map[string]string{
		"org.opencontainers.image.title": a.Title, "org.opencontainers.image.description": a.Description,
		"org.opencontainers.image.version": a.Version, "org.opencontainers.image.revision": a.Revision,
		"org.opencontainers.image.created":  a.Created.UTC().Format(time.RFC3339),
		"org.opencontainers.image.licenses": "Apache-2.0", "org.opencontainers.image.vendor": "Belay",
	}
}

// Image is a program for several platforms.
type Image struct {
	// Tag is the version.
	Tag string
	// Index lists one image for each platform.
	Index v1.ImageIndex
	// Bills are the bills of materials. Each refers to one of the images.
	Bills []v1.Image
}

// Digest is what the image is pulled by.
func (i Image) Digest() (string, error) {
	digest, err := i.Index.Digest()
	return digest.String(), err
}

// Pack makes an image of one program's binaries, one for each platform. The same
// input always gives the same digest. Binaries that need libraries are refused. Each
// binary comes with its bill of materials.
func Pack(binaries []program.Binary, about About) (Image, error) {
	base := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	out := Image{Tag: about.Version}
	var added []mutate.IndexAddendum
	for _, binary := range binaries {
		packed, err := pack(binary, about)
		if err != nil {
			return Image{}, fmt.Errorf("pack %s for %s: %w", binary.Name, binary.Platform, err)
		}
		descriptor, err := partial.Descriptor(packed)
		if err != nil {
			return Image{}, err
		}
		descriptor.ArtifactType = ""
		referrer, err := refer(*descriptor, program.BillType, binary.Bill, about.Created)
		if err != nil {
			return Image{}, err
		}
		out.Bills = append(out.Bills, referrer)
		descriptor.Platform = &v1.Platform{OS: binary.Platform.OS, Architecture: binary.Platform.Arch}
		added = append(added, mutate.IndexAddendum{Add: packed, Descriptor: *descriptor})
	}
	index, ok := mutate.Annotations(mutate.AppendManifests(base, added...), about.labels()).(v1.ImageIndex)
	if !ok {
		return Image{}, errors.New("annotating an index gave no index")
	}
	out.Index = index
	return out, nil
}

func pack(binary program.Binary, about About) (v1.Image, error) {
	if err := requireStatic(binary.Content); err != nil {
		return nil, err
	}
	certificates, err := roots()
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, file := range []archive.File{
		{Name: rootsFile, Mode: 0o644, Content: certificates},
		{Name: binary.Name, Mode: 0o755, Content: binary.Content},
	} {
		layer, err := layerOf(file, about.Created)
		if err != nil {
			return nil, err
		}
		history := v1.History{Created: v1.Time{Time: about.Created.UTC()}, CreatedBy: "/" + file.Name}
		if image, err = mutate.Append(image, mutate.Addendum{Layer: layer, MediaType: types.OCILayer, History: history}); err != nil {
			return nil, err
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = binary.Platform.OS, binary.Platform.Arch
	config.Created = v1.Time{Time: about.Created.UTC()}
	config.Config = v1.Config{Entrypoint: []string{"/" + binary.Name}, User: user, WorkingDir: "/", Env: append([]string{"PATH=/"}, about.Env...), Labels: about.labels()}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, err
	}
	annotated, ok := mutate.Annotations(image, about.labels()).(v1.Image)
	if !ok {
		return nil, errors.New("annotating an image gave no image")
	}
	return annotated, nil
}

func layerOf(file archive.File, modified time.Time) (v1.Layer, error) {
	packed, err := archive.TarGz([]archive.File{file}, modified)
	if err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil }, tarball.WithMediaType(types.OCILayer))
}

// requireStatic refuses what needs a loader: the image holds none.
func requireStatic(content []byte) error {
	binary, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("want a binary for Linux: %w", err)
	}
	for _, segment := range binary.Progs {
		if segment.Type == elf.PT_INTERP {
			return errors.New("the binary is dynamically linked and the image has no libraries: build it with CGO_ENABLED=0")
		}
	}
	return nil
}
