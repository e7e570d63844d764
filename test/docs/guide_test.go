package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"belay.dev/belay/api/v1alpha1"
)

type manifest struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Spec     struct{ Guardrails []struct{ Name string } }
}

// TestEveryGuardrailThatARolloutNamesIsThere: a Rollout that is copied from the guide or
// the samples is held, with GuardrailNotFound, when they have no such guardrail.
func TestEveryGuardrailThatARolloutNamesIsThere(t *testing.T) {
	sources := map[string]string{}
	read := func(path ...string) string {
		raw, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	var blocks []string
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(read("docs", "guide.md"), -1) {
		blocks = append(blocks, block[1])
	}
	sources["guide.md"] = strings.Join(blocks, "\n---\n")
	var samples []string
	for _, name := range []string{"guardrail.yaml", "rollout.yaml", "rollout-without-traffic.yaml"} {
		samples = append(samples, read("config", "samples", name))
	}
	sources["samples"] = strings.Join(samples, "\n---\n")
	for name, text := range sources {
		var defined []string
		var rollouts []manifest
		for _, part := range strings.Split(text, "\n---\n") {
			var m manifest
			if err := yaml.Unmarshal([]byte(part), &m); err != nil {
				continue
			}
			switch m.Kind {
			case "Guardrail":
				defined = append(defined, m.Metadata.Namespace+"/"+m.Metadata.Name)
			case "Rollout":
				rollouts = append(rollouts, m)
				if err := yaml.UnmarshalStrict([]byte(part), &v1alpha1.Rollout{}); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		if len(rollouts) < 2 || len(defined) == 0 {
			t.Fatalf("%s: %d Rollouts, guardrails %v", name, len(rollouts), defined)
		}
		for _, m := range rollouts {
			for _, g := range m.Spec.Guardrails {
				if !slices.Contains(defined, m.Metadata.Namespace+"/"+g.Name) {
					t.Errorf("%s: Rollout %s names Guardrail %q, which is defined nowhere there: it stays Blocked", name, m.Metadata.Name, g.Name)
				}
			}
		}
	}
}
