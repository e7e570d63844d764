package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestWhatHappensWhenNamesTests: each test that docs/what-happens-when.md names exists, and
// so does the row of its table or the story that follows a slash. A row without one says
// that it is not tested.
func TestWhatHappensWhenNamesTests(t *testing.T) {
	root := filepath.Join("..", "..")
	raw, err := os.ReadFile(filepath.Join(root, "docs", "what-happens-when.md"))
	if err != nil {
		t.Fatal(err)
	}
	var sources []string
	for _, pattern := range []string{"controllers/*/*_test.go", "test/*/*.go", "test/handover/*/*.go"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			sources = append(sources, string(text))
		}
	}
	code := strings.Join(sources, "\n")
	name := regexp.MustCompile("`(Test[A-Za-z0-9]+)(?:/([^`]+))?`")
	rows := 0
	for i, line := range strings.Split(string(raw), "\n") {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| You |") || strings.HasPrefix(line, "| ---") {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		shown := cells[len(cells)-1]
		found := name.FindAllStringSubmatch(shown, -1)
		if len(found) == 0 && !strings.Contains(shown, "**not tested**") {
			t.Errorf("line %d names no test and does not say that it is not tested: %s", i+1, shown)
		}
		for _, m := range found {
			if !strings.Contains(code, "func "+m[1]+"(t *testing.T)") {
				t.Errorf("line %d: there is no test %s", i+1, m[1])
			}
			if m[2] != "" && !strings.Contains(code, `"`+m[2]+`"`) {
				t.Errorf("line %d: %s has no case %q", i+1, m[1], m[2])
			}
		}
	}
	if rows < 40 {
		t.Errorf("%d rows were read, there are at least 40", rows)
	}
}
