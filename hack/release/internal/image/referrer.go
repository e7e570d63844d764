package image

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// emptyConfig is what OCI wants of an artifact without a configuration.
const (
	emptyConfig                     = "{}"
	emptyConfigType types.MediaType = "application/vnd.oci.empty.v1+json"
)

// refer wraps content as an OCI artifact of its own media type about the subject, so
// that registries list it among the subject's referrers.
func refer(subject v1.Descriptor, mediaType string, content []byte, created time.Time) (v1.Image, error) {
	layer := static.NewLayer(content, types.MediaType(mediaType))
	described, err := partial.Descriptor(layer)
	if err != nil {
		return nil, err
	}
	configDigest, size, err := v1.SHA256(bytes.NewReader([]byte(emptyConfig)))
	if err != nil {
		return nil, err
	}
	manifest := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: mediaType,
		Config:      v1.Descriptor{MediaType: emptyConfigType, Digest: configDigest, Size: size},
		Layers:      []v1.Descriptor{*described},
		Subject:     &v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations: map[string]string{"org.opencontainers.image.created": created.UTC().Format(time.RFC3339)},
	}
	raw, err := json.Marshal(manifest)
	if err != nil {
		return nil, err
	}
	return partial.CompressedToImage(&artifact{manifest: raw, layer: layer})
}

// artifact is the part of an image that the rest follows from.
type artifact struct {
	manifest []byte
	layer    v1.Layer
}

// RawConfigFile implements partial.CompressedImageCore.
func (a *artifact) RawConfigFile() ([]byte, error) { return []byte(emptyConfig), nil }

// MediaType implements partial.CompressedImageCore.
func (a *artifact) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// RawManifest implements partial.CompressedImageCore.
func (a *artifact) RawManifest() ([]byte, error) { return a.manifest, nil }

// LayerByDigest implements partial.CompressedImageCore.
func (a *artifact) LayerByDigest(digest v1.Hash) (partial.CompressedLayer, error) {
	if own, err := a.layer.Digest(); err != nil || own != digest {
		return nil, fmt.Errorf("the artifact has no layer %s", digest)
	}
	return a.layer, nil
}
