//go:build kill

package kill

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// rootOf is the folder of the module that this package is in.
func rootOf(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// TestEveryBugIsKilled seeds each bug and runs its checks until one fails. A bug that
// survives them all means that a promise can be broken unnoticed. It prints the table
// of what was killed by what.
func TestEveryBugIsKilled(t *testing.T) {
	m := &module{root: rootOf(t), green: map[check]error{}}
	var rows []string
	killed := 0
	begin := time.Now()
	for _, b := range bugs {
		t.Run(b.name, func(t *testing.T) {
			r, err := m.try(t.Context(), b)
			if err != nil {
				rows = append(rows, fmt.Sprintf("%s\n    breaks: %s\n    NOT KILLED: %s", b.name, b.breaks, firstLine(err.Error())))
				t.Fatalf("%s: %v", b.file, err)
			}
			by := r.check.pkg + " " + r.failure.test
			if r.check.golden {
				by += " (a recorded log alone)"
			}
			row := fmt.Sprintf("%s, %.0f s\n    breaks: %s\n    killed by: %s\n    which says: %s", b.name, r.took.Seconds(), b.breaks, by, shortened(r.failure.said, 240))
			rows, killed = append(rows, row), killed+1
			t.Log(row)
		})
	}
	if len(rows) > 0 {
		t.Logf("%d of %d bugs are killed, in %s:\n\n%s", killed, len(rows), time.Since(begin).Round(time.Second), strings.Join(rows, "\n"))
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func shortened(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "..."
}

// TestTheTableIsUsable: names are unique, and every bug says what it breaks, still has
// its place in the code, changes something, and has a check.
func TestTheTableIsUsable(t *testing.T) {
	m := &module{root: rootOf(t)}
	var names []string
	for _, b := range bugs {
		if _, err := m.seed(b, t.TempDir()); err != nil {
			t.Errorf("bug %q: %v", b.name, err)
		}
		if b.breaks == "" || b.old == b.is || len(b.checks) == 0 {
			t.Errorf("bug %q is incomplete", b.name)
		}
		if slices.Contains(names, b.name) {
			t.Errorf("there are two bugs %q", b.name)
		}
		names = append(names, b.name)
		golden := slices.IndexFunc(b.checks, func(c check) bool { return c.golden })
		if golden >= 0 && golden != len(b.checks)-1 {
			t.Errorf("bug %q: a recorded log is the last check to ask", b.name)
		}
	}
}

// TestWhatCountsAsKilled tries bugs in a module of its own: only a test that fails
// because of the bug has killed it.
func TestWhatCountsAsKilled(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":  "module example.com/toy\n\ngo 1.26\n",
		"toy.go":  "package toy\n\nfunc Double(n int) int { return 2 * n }\n\nfunc Unused() int { return 1 }\n",
		"loop.go": "package toy\n\nfunc Index(n int) int { return []int{7}[n-1] }\n",
		"toy_test.go": `package toy

import "testing"

func TestDouble(t *testing.T) {
	if got := Double(2); got != 4 {
		t.Errorf("double of 2 is %d", got)
	}
}

func TestIndex(t *testing.T) {
	if Index(1) != 7 {
		t.Error("not 7")
	}
}

func TestRed(t *testing.T) { t.Error("always") }
`,
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all := []check{{pkg: ".", skip: "Red"}}
	for name, c := range map[string]struct {
		bug bug
		// killedBy is the test; empty where says is in the error.
		killedBy, says string
	}{
		"killed":            {bug{file: "toy.go", old: "2 * n", is: "3 * n", checks: all}, "TestDouble", ""},
		"killed by a panic": {bug{file: "loop.go", old: "n-1", is: "n", checks: all}, "TestIndex", ""},
		"survives":          {bug{file: "toy.go", old: "return 1 ", is: "return 2 ", checks: all}, "", errSurvived.Error()},
		"does not compile":  {bug{file: "toy.go", old: "2 * n", is: "m", checks: all}, "", "does not compile"},
		"its tests do not":  {bug{file: "toy.go", old: "func Double(n int)", is: "func Double(n, m int)", checks: all}, "", "the tests do not compile"},
		"its place is gone": {bug{file: "toy.go", old: "4 * n", is: "3 * n", checks: all}, "", "has the text 0 times"},
		"it has two places": {bug{file: "toy.go", old: "return", is: "panic", checks: all}, "", "has the text 2 times"},
		"its file is gone":  {bug{file: "gone.go", old: "2", is: "3", checks: all}, "", "the bug's place is gone"},
		"it is in a test":   {bug{file: "toy_test.go", old: "4", is: "5", checks: all}, "", "is a test"},
		"red without it":    {bug{file: "toy.go", old: "2 * n", is: "3 * n", checks: []check{{pkg: "."}}}, "", "fails without a bug: TestRed"},
		"no subtests":       {bug{file: "toy.go", old: "2 * n", is: "3 * n", checks: []check{{pkg: ".", run: "TestIndex/gone"}}}, "", "has no tests"},
		"no tests":          {bug{file: "toy.go", old: "2 * n", is: "3 * n", checks: []check{{pkg: ".", run: "TestGone"}}}, "", "has no tests"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &module{root: root, green: map[check]error{}}
			before, _ := os.ReadFile(filepath.Join(root, "toy.go"))
			r, err := m.try(t.Context(), c.bug)
			if c.killedBy != "" && (err != nil || r.failure.test != c.killedBy || r.failure.said == "") {
				t.Errorf("killed by %q, %v", r.failure, err)
			}
			if c.killedBy == "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("killed by %q, %v, want %q", r.failure, err, c.says)
			}
			if errors.Is(err, errSurvived) != (name == "survives") {
				t.Errorf("%v", err)
			}
			if after, _ := os.ReadFile(filepath.Join(root, "toy.go")); string(after) != string(before) {
				t.Error("the product was changed")
			}
		})
	}
}
