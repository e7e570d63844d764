package gitops

import (
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

// Customization is what Argo CD is told of one kind.
type Customization struct {
	// Health is a script in Lua. Actions is a YAML text with more of them.
	Health, Actions string
}

// ArgoCD reads config/gitops/argocd-cm.yaml: what it says of each kind, by group/kind.
func ArgoCD(path string) (map[string]Customization, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read Argo CD's ConfigMap: %w", err)
	}
	var config struct {
		Data map[string]string `json:"data"`
	}
	if err := yaml.UnmarshalStrict(raw, &struct {
		APIVersion, Kind string
		Metadata         struct{ Name, Namespace string }
		Data             *map[string]string
	}{Data: &config.Data}); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	of := map[string]Customization{}
	for key, text := range config.Data {
		rest, ok := strings.CutPrefix(key, "resource.customizations.")
		what, kind, found := strings.Cut(rest, ".")
		if !ok || !found {
			return nil, fmt.Errorf("%s: Argo CD reads no key %q", path, key)
		}
		kind = strings.Replace(kind, "_", "/", 1)
		c := of[kind]
		switch what {
		case "health":
			c.Health = text
		case "actions":
			c.Actions = text
		default:
			return nil, fmt.Errorf("%s: Argo CD reads no key %q", path, key)
		}
		of[kind] = c
	}
	return of, nil
}
