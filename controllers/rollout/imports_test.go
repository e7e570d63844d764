package rollout

import (
	"go/build"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTheLoopReachesNoMetricClient, no other loop and no router of one kind, by a detour either: rollback
// depends on nothing but the API server. The linter looks at direct imports, this at theirs too.
func TestTheLoopReachesNoMetricClient(t *testing.T) {
	const module = "belay.dev/belay/"
	denied := []string{
		module + "analysis", module + "controllers/sources", module + "controllers/judge",
		module + "controllers/checks", module + "controllers/gates", module + "controllers/indicators", module + "controllers/orphans", module + "controllers/traffic/",
		"github.com/prometheus/client_golang/api", "github.com/prometheus/prometheus/",
	}
	seen := map[string]bool{}
	var look func(path string)
	look = func(path string) {
		if seen[path] {
			return
		}
		seen[path] = true
		p, err := build.ImportDir(filepath.Join("..", "..", filepath.FromSlash(strings.TrimPrefix(path, module))), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, imported := range p.Imports {
			// Presets are data.
			if imported != module+"analysis/presets" && slices.ContainsFunc(denied, func(prefix string) bool { return strings.HasPrefix(imported, prefix) }) {
				t.Errorf("%s imports %s, and the Rollout loop reaches it", path, imported)
			}
			if strings.HasPrefix(imported, module) {
				look(imported)
			}
		}
	}
	look(module + "controllers/rollout")
	if !seen[module+"controllers/guardrails"] || len(seen) < 10 {
		t.Errorf("only %d packages were looked at", len(seen))
	}
}
