package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryRowHasTheCellsOfItsHeading: renderers of Markdown leave out the cells beyond those
// of the heading, so their text is not seen.
func TestEveryRowHasTheCellsOfItsHeading(t *testing.T) {
	var pages []string
	for _, glob := range []string{"../../*.md", "../../docs/*.md", "../../docs/reference/*.md", "../../docs/adr/*.md"} {
		found, _ := filepath.Glob(glob)
		pages = append(pages, found...)
	}
	rule := regexp.MustCompile(`^\|( *:?-+:? *\|)+$`)
	for _, page := range pages {
		raw, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		cells, in := 0, false
		for i, line := range strings.Split(string(raw), "\n") {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "```") {
				in = !in
			}
			if in || !strings.HasPrefix(line, "|") {
				cells = 0
				continue
			}
			n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") - 1
			if rule.MatchString(line) {
				cells = n
			} else if cells > 0 && n != cells {
				t.Errorf("%s:%d: %d cells under a heading of %d: %.90s", page, i+1, n, cells, line)
			}
		}
	}
}
