package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestWhatHappensWhenNamesTests: each test that docs/what-happens-when.md names exists, and
// has the case that follows a slash. A row without one says that it is not tested.
func TestWhatHappensWhenNamesTests(t *testing.T) {
	root := filepath.Join("..", "..")
	tests := testBodies(t, root)
	name := regexp.MustCompile("`(Test[A-Za-z0-9]+)(?:/([^`]+))?`")
	rows := 0
	for i, line := range strings.Split(pageOf(t, "what-happens-when.md"), "\n") {
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
			if body, ok := tests[m[1]]; !ok {
				t.Errorf("line %d: there is no test %s", i+1, m[1])
			} else if m[2] != "" && !hasCase(t, root, m[1], body, m[2]) {
				t.Errorf("line %d: %s has no case %q", i+1, m[1], m[2])
			}
		}
	}
	if rows < 40 {
		t.Errorf("%d rows were read, there are at least 40", rows)
	}
}

// testBodies are the tests of the controller and of test/, by name.
func testBodies(t *testing.T, root string) map[string]string {
	t.Helper()
	declared := regexp.MustCompile(`(?ms)^func (Test[A-Za-z0-9]+)\(t \*testing\.T\) \{$.*?^\}$`)
	bodies := map[string]string{}
	for _, pattern := range []string{"controllers/*/*_test.go", "test/*/*_test.go", "test/handover/*/*_test.go"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
				bodies[m[1]] += m[0]
			}
		}
	}
	return bodies
}

// hasCase: two tests have their cases elsewhere, a story's log and the rows of a table; the
// others name them themselves.
func hasCase(t *testing.T, root, test, body, name string) bool {
	t.Helper()
	switch test {
	case "TestGoldenLogs":
		_, err := os.Stat(filepath.Join(root, "test", "sim", "testdata", name+".log"))
		return err == nil
	case "TestDisturbed":
		table, err := os.ReadFile(filepath.Join(root, "test", "handover", "stories", "table_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(table), `{name: "`+name+`", `)
	}
	return strings.Contains(body, `"`+name+`"`)
}

// TestACaseOfAnotherTestIsNoneOfThisOne shows that the comparison finds what it should.
func TestACaseOfAnotherTestIsNoneOfThisOne(t *testing.T) {
	root := filepath.Join("..", "..")
	tests := testBodies(t, root)
	for _, tc := range []struct {
		test, name string
		has        bool
	}{
		{"TestDisturbed", "node drained", true},
		{"TestDisturbed", "with the candidate", false},
		{"TestGoldenLogs", "push-twice", true},
		{"TestGoldenLogs", "node drained", false},
		{"TestReplace", "with the candidate", true},
		{"TestReplace", "node drained", false},
	} {
		if got := hasCase(t, root, tc.test, tests[tc.test], tc.name); got != tc.has {
			t.Errorf("%s has a case %q: %v, want %v", tc.test, tc.name, got, tc.has)
		}
	}
}
