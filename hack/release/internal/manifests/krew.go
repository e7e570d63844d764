package manifests

import "sigs.k8s.io/yaml"

// KrewPlatform is a download of a kubectl plugin.
type KrewPlatform struct {
	// OS and Arch are in Go's words.
	OS, Arch string
	// Binary is the executable in the archive, beside LICENSE.
	Binary string
	// URI is where the archive will be, SHA256 its checksum in hex.
	URI, SHA256 string
}

type (
	krewPlugin struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Metadata   map[string]string `json:"metadata"`
		Spec       krewSpec          `json:"spec"`
	}
	krewSpec struct {
		Version          string         `json:"version"`
		Homepage         string         `json:"homepage"`
		ShortDescription string         `json:"shortDescription"`
		Description      string         `json:"description"`
		Platforms        []krewPlatform `json:"platforms"`
	}
	krewPlatform struct {
		Selector krewSelector `json:"selector"`
		URI      string       `json:"uri"`
		SHA256   string       `json:"sha256"`
		Bin      string       `json:"bin"`
		Files    []krewFile   `json:"files"`
	}
	krewSelector struct {
		MatchLabels map[string]string `json:"matchLabels"`
	}
	krewFile struct {
		From string `json:"from"`
		To   string `json:"to"`
	}
)

const krewDescription = `Says what Belay does with a Deployment and why: what is rolled out, which share
of the requests it gets, what was measured against which bound, and what comes
next. Rolls a version back, lets a rejected one run again, and waits for a release
with exit codes for scripts.

Belay must be installed in the cluster.
`

// Krew is the manifest by which krew installs a kubectl plugin. The types are those of
// sigs.k8s.io/krew/pkg/index v0.4.3, whose module cannot stand beside a current
// client-go; a test gives the manifest to krew itself.
func Krew(plugin, short, version string, platforms []KrewPlatform) ([]byte, error) {
	out := krewPlugin{
		APIVersion: "krew.googlecontainertools.github.com/v1alpha2", Kind: "Plugin", Metadata: map[string]string{"name": plugin},
		Spec: krewSpec{Version: version, Homepage: "https://belay.dev", ShortDescription: short, Description: krewDescription},
	}
	for _, platform := range platforms {
		out.Spec.Platforms = append(out.Spec.Platforms, krewPlatform{
			Selector: krewSelector{MatchLabels: map[string]string{"os": platform.OS, "arch": platform.Arch}},
			URI:      platform.URI, SHA256: platform.SHA256, Bin: platform.Binary,
			Files: []krewFile{{From: platform.Binary, To: "."}, {From: "LICENSE", To: "."}},
		})
	}
	return yaml.Marshal(out)
}
