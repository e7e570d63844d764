package plan_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"belay.dev/belay/controllers/plan"
)

// TestTheDocsListTheRules holds docs/rules.md to the table: the same names in the
// same order.
func TestTheDocsListTheRules(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range regexp.MustCompile(`(?m)^\| ([A-Z][A-Za-z]+) \|`).FindAllStringSubmatch(string(page), -1) {
		listed = append(listed, m[1])
	}
	listed = slices.DeleteFunc(listed, func(name string) bool { return name == "Rule" })
	if diff := cmp.Diff(plan.Rules(), listed); diff != "" {
		t.Errorf("docs/rules.md differs from the rules (-rules +docs):\n%s", diff)
	}
}
