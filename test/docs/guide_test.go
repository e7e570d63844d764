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
	APIVersion, Kind string
	Metadata         struct{ Name, Namespace string }
	Spec             struct{ Guardrails []struct{ Name string } }
}

// isBelays tells Belay's Rollout from Argo's.
func (m manifest) isBelays() bool {
	return kinds[m.Kind] != nil && m.APIVersion == v1alpha1.GroupVersion.String()
}

// kinds are what people copy from a page and apply.
var kinds = map[string]func() any{
	"Rollout": func() any { return &v1alpha1.Rollout{} }, "Guardrail": func() any { return &v1alpha1.Guardrail{} },
	"ClusterGuardrail": func() any { return &v1alpha1.ClusterGuardrail{} }, "MetricSource": func() any { return &v1alpha1.MetricSource{} },
	"CheckEndpoint": func() any { return &v1alpha1.CheckEndpoint{} },
}

// manifestBlock is a block of YAML, or one that a command reads up to EOF.
var manifestBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```|<<EOF\n(.*?)\nEOF\n")

// TestManifestsOfPagesCanBeApplied: their fields exist, and a page or the samples have every
// Guardrail that a Rollout of theirs names: without it the Rollout is held, with
// GuardrailNotFound.
func TestManifestsOfPagesCanBeApplied(t *testing.T) {
	read := func(path string) string {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	root := filepath.Join("..", "..")
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	for _, page := range pages {
		for _, block := range manifestBlock.FindAllStringSubmatch(read(page), -1) {
			sources[filepath.Base(page)] += "\n---\n" + block[1] + block[2]
		}
	}
	for _, name := range []string{"guardrail.yaml", "rollout.yaml", "rollout-without-traffic.yaml", "rollout-of-a-statefulset.yaml"} {
		sources["samples"] += "\n---\n" + read(filepath.Join(root, "config", "samples", name))
	}
	seen := map[string]int{}
	for page, text := range sources {
		manifestsOf(t, page, text, seen)
	}
	for _, want := range []string{"samples Rollout", "concepts.md Rollout", "guardrails.md Guardrail", "guide.md MetricSource"} {
		if seen[want] == 0 {
			t.Errorf("found no %s, only %v", want, seen)
		}
	}
}

func manifestsOf(t *testing.T, page, text string, seen map[string]int) {
	t.Helper()
	var defined []string
	var rollouts []manifest
	for part := range strings.SplitSeq(text, "\n---\n") {
		var m manifest
		if yaml.Unmarshal([]byte(part), &m) != nil || !m.isBelays() {
			continue
		}
		seen[page+" "+m.Kind]++
		if err := yaml.UnmarshalStrict([]byte(part), kinds[m.Kind]()); err != nil {
			t.Errorf("%s: %s %s: %v", page, m.Kind, m.Metadata.Name, err)
		}
		switch m.Kind {
		case "Guardrail":
			defined = append(defined, m.Metadata.Namespace+"/"+m.Metadata.Name)
		case "Rollout":
			rollouts = append(rollouts, m)
		}
	}
	for _, m := range rollouts {
		for _, g := range m.Spec.Guardrails {
			if !slices.Contains(defined, m.Metadata.Namespace+"/"+g.Name) {
				t.Errorf("%s: Rollout %s names Guardrail %q, which is defined nowhere there: it stays Blocked", page, m.Metadata.Name, g.Name)
			}
		}
	}
}
