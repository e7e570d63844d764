package plan_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"belay.dev/belay/controllers/plan"
)

// TestTheDocsListTheRules holds docs/rules.md to the tables: a section for each,
// in their order, that begins with what the table says about itself and has its
// rules in the same order.
func TestTheDocsListTheRules(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| ([A-Z][A-Za-z]+) \|`)
	var documented []plan.Section
	for _, text := range strings.Split(string(page), "\n## ")[1:] {
		name, body, _ := strings.Cut(text, "\n")
		about, _, _ := strings.Cut(strings.TrimSpace(body), "\n")
		s := plan.Section{Name: name, About: about}
		for _, m := range row.FindAllStringSubmatch(body, -1) {
			if m[1] != "Rule" {
				s.Rules = append(s.Rules, m[1])
			}
		}
		documented = append(documented, s)
	}
	if diff := cmp.Diff(plan.Sections(), documented); diff != "" {
		t.Errorf("docs/rules.md differs from the tables (-tables +docs):\n%s", diff)
	}
}

// TestTablesStayShort keeps each table readable at one look, and each rule in one
// place.
func TestTablesStayShort(t *testing.T) {
	const most = 20
	in := map[string]string{}
	for _, s := range plan.Sections() {
		if len(s.Rules) > most {
			t.Errorf("table %q has %d rules, more than %d", s.Name, len(s.Rules), most)
		}
		for _, rule := range s.Rules {
			if other, twice := in[rule]; twice {
				t.Errorf("rule %s is in table %q and in table %q", rule, other, s.Name)
			}
			in[rule] = s.Name
		}
	}
}
