//go:build kill

package kill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// bug is a mistake that somebody could make in one file of the product.
type bug struct {
	// name of the bug, as a test name: lower case, with hyphens.
	name string
	// breaks is the promise that does not hold with the bug.
	breaks string
	// file is the path from the module's root. old is text that it has exactly once,
	// and is what the bug makes of it.
	file, old, is string
	// checks that may notice the bug, in order of cost.
	checks []check
}

// check is a `go test` of one package.
type check struct {
	// pkg is the package's path, as ./controllers/plan; run and skip select its tests,
	// as the flags of go test do. Empty selects all. A slash in run stands between a
	// test and its subtests, and nowhere else.
	pkg, run, skip string
	// flag is given to the tests themselves, as -plan.every=59.
	flag string
	// golden says that the check compares recorded text, which changes with every
	// intended change too.
	golden bool
}

func (c check) String() string {
	text := c.pkg
	if c.run != "" {
		text += " -run " + c.run
	}
	if c.skip != "" {
		text += " -skip " + c.skip
	}
	if c.flag != "" {
		text += " " + c.flag
	}
	return text
}

// result is how a bug was noticed.
type result struct {
	check   check
	failure failure
	took    time.Duration
}

// errSurvived is a bug that no check has noticed.
var errSurvived = errors.New("no check fails")

// module is where bugs are seeded. No file of it is ever changed: the compiler is
// given another one in its place.
type module struct {
	root string
	// green remembers which checks pass without a bug.
	green map[check]error
}

// try seeds a bug and returns the first check that fails because of it. The error is
// errSurvived, or says why the bug shows nothing: its place is gone, it does not
// compile, or a check fails without it too.
func (m *module) try(ctx context.Context, b bug) (result, error) {
	begin := time.Now()
	dir, err := os.MkdirTemp("", "kill-")
	if err != nil {
		return result{}, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	overlay, err := m.seed(b, dir)
	if err != nil {
		return result{}, err
	}
	if out, err := m.command(ctx, "build", "-overlay", overlay, "./"+filepath.ToSlash(filepath.Dir(b.file))).CombinedOutput(); err != nil {
		return result{}, fmt.Errorf("the bug does not compile: %w\n%s", err, out)
	}
	for _, c := range b.checks {
		if err := m.passes(ctx, c); err != nil {
			return result{}, err
		}
		said, err := m.run(ctx, c, "-overlay", overlay)
		if err != nil {
			return result{}, fmt.Errorf("%s with the bug: %w", c, err)
		}
		if said.failure != nil {
			return result{check: c, failure: *said.failure, took: time.Since(begin)}, nil
		}
	}
	return result{took: time.Since(begin)}, errSurvived
}

// seed writes the changed file, and the overlay that puts it in the place of the
// original, into a folder. It returns the overlay's path.
func (m *module) seed(b bug, dir string) (string, error) {
	if strings.HasSuffix(b.file, "_test.go") {
		return "", fmt.Errorf("%s is a test: a bug belongs into the product", b.file)
	}
	original := filepath.Join(m.root, filepath.FromSlash(b.file))
	source, err := os.ReadFile(original)
	if err != nil {
		return "", fmt.Errorf("the bug's place is gone: %w", err)
	}
	if n := strings.Count(string(source), b.old); n != 1 {
		return "", fmt.Errorf("the bug's place is gone: %s has the text %d times, it must have it once: %q", b.file, n, b.old)
	}
	changed := filepath.Join(dir, filepath.Base(b.file))
	if err := os.WriteFile(changed, []byte(strings.Replace(string(source), b.old, b.is, 1)), 0o600); err != nil {
		return "", fmt.Errorf("write the changed file: %w", err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		return "", fmt.Errorf("encode the overlay: %w", err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, overlay, 0o600); err != nil {
		return "", fmt.Errorf("write the overlay: %w", err)
	}
	return path, nil
}

// passes runs a check without any bug, once: a check that fails by itself, or has no
// tests, shows nothing.
func (m *module) passes(ctx context.Context, c check) error {
	if err, known := m.green[c]; known {
		return err
	}
	said, err := m.run(ctx, c)
	switch {
	case err != nil:
		err = fmt.Errorf("%s without a bug: %w", c, err)
	case said.failure != nil:
		err = fmt.Errorf("%s fails without a bug: %s", c, said.failure)
	case said.passed == 0:
		err = fmt.Errorf("%s has no tests", c)
	}
	m.green[c] = err
	return err
}

// run runs a check to its first failure.
func (m *module) run(ctx context.Context, c check, flags ...string) (verdict, error) {
	args := append([]string{"test", "-json", "-count=1", "-failfast", "-vet=off", "-timeout=20m"}, flags...)
	if c.run != "" {
		args = append(args, "-run", c.run)
	}
	if c.skip != "" {
		args = append(args, "-skip", c.skip)
	}
	args = append(args, c.pkg)
	if c.flag != "" {
		args = append(args, c.flag)
	}
	command := m.command(ctx, args...)
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if exit := (&exec.ExitError{}); err != nil && !errors.As(err, &exit) {
		return verdict{}, fmt.Errorf("run go test: %w", err)
	}
	said, readErr := read(out, strings.Count(c.run, "/"))
	if readErr != nil {
		return verdict{}, fmt.Errorf("%w\n%s", readErr, &stderr)
	}
	if err != nil && said.failure == nil {
		return verdict{}, fmt.Errorf("it fails, and no test does: %w\n%s%s", err, &stderr, said.output)
	}
	return said, nil
}

func (m *module) command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = m.root
	return command
}
