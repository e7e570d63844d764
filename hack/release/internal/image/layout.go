package image

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// tagAnnotation names an entry of a layout.
const tagAnnotation = "org.opencontainers.image.ref.name"

// Write puts images with their tags, and what refers to them, into a new OCI layout in
// the folder.
func Write(folder string, images ...Image) error {
	path, err := layout.Write(folder, mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	if err != nil {
		return fmt.Errorf("start an OCI layout in %s: %w", folder, err)
	}
	for _, image := range images {
		if err := path.AppendIndex(image.Index, layout.WithAnnotations(map[string]string{tagAnnotation: image.Tag})); err != nil {
			return fmt.Errorf("write the image to %s: %w", folder, err)
		}
		for _, bill := range image.Bills {
			if err := path.AppendImage(bill); err != nil {
				return fmt.Errorf("write a bill of materials to %s: %w", folder, err)
			}
		}
	}
	return nil
}

// Push copies a layout that Write made to a repository such as
// registry.example.com/belay/belay-controller, and returns the references with tag and
// digest. Credentials are those of `docker login` and the like.
func Push(ctx context.Context, folder, repository string) ([]string, error) {
	to, err := name.NewRepository(repository)
	if err != nil {
		return nil, fmt.Errorf("read the name of the repository (want HOST/PATH): %w", err)
	}
	index, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return nil, fmt.Errorf("read the OCI layout %s (make images, or make release, makes it): %w", folder, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	var pushed []string
	for _, entry := range manifest.Manifests {
		if tag, ok := entry.Annotations[tagAnnotation]; ok {
			pushed = append(pushed, to.Tag(tag).String()+"@"+entry.Digest.String())
			err = pushIndex(index, entry, to.Tag(tag), options)
		} else {
			err = pushReferrer(index, entry, to.Digest(entry.Digest.String()), options)
		}
		if err != nil {
			return nil, fmt.Errorf("push %s of %s to %s: %w", entry.Digest, folder, repository, err)
		}
	}
	if len(pushed) == 0 {
		return nil, errors.New(folder + " has no image with a tag")
	}
	return pushed, nil
}

func pushIndex(from v1.ImageIndex, entry v1.Descriptor, to name.Reference, options []remote.Option) error {
	image, err := from.ImageIndex(entry.Digest)
	if err != nil {
		return err
	}
	return remote.WriteIndex(to, image, options...)
}

func pushReferrer(from v1.ImageIndex, entry v1.Descriptor, to name.Reference, options []remote.Option) error {
	artifact, err := from.Image(entry.Digest)
	if err != nil {
		return err
	}
	return remote.Write(to, artifact, options...)
}
