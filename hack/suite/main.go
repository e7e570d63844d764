// Command suite runs Belay's tests, shows what it is doing, and ends with one
// line of totals over everything it ran.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const usage = `Runs test suites and sums them up: go run ./hack/suite [suite...]

  unit          packages, the planner's enumeration, the local cluster's own tests
  sim           the simulated world
  integration   a real API server with etcd, built on first use
  handover      Kubernetes' own Deployment controller and autoscaler, built on first use
  e2e           journeys on the real local cluster, started and stopped if needed:
                beside each other, then one by one those that break what all share

Without names, all of them in this order. The exit status is 0 only if every
test passed.

Flags:
`

// suite is one group of packages, and what it needs before it runs.
type suite struct {
	name, what string
	dir        string
	packages   []string
	flags      []string
	// processes says that Ginkgo runs the packages, in so many processes, and that their output is
	// shown as it comes: they take minutes. It is 0 where go test runs them.
	processes int
	prepare   func(context.Context) error
}

var suites = []suite{
	{name: "unit", what: "packages and the planner's enumeration", packages: []string{"./api/...", "./analysis/...", "./cmd/...", "./controllers/...", "./hack/...", "./test/build/...", "./test/delay/...", "./test/docs/...", "./test/gitops/...", "./test/metrics/..."}},
	{name: "unit", what: "the local cluster's own packages", dir: "hack/cluster", packages: []string{"./..."}},
	{name: "unit", what: "what a release is made by", dir: "hack/release", packages: []string{".", "./internal/..."}},
	{name: "sim", what: "the simulated world", packages: []string{"./test/world/...", "./test/sim/..."}},
	{name: "integration", what: "a real API server", packages: []string{"./test/integration/..."}, flags: []string{"-count=1", "-timeout=20m"}, prepare: buildAPIServer},
	{name: "integration", what: "what a release installs", dir: "hack/release", packages: []string{"./integration"}, flags: []string{"-count=1", "-timeout=10m"}, prepare: buildAPIServer},
	{name: "handover", what: "Kubernetes' own controllers", packages: []string{"./test/handover/..."}, flags: []string{"-count=1", "-parallel=6", "-timeout=60m"}, prepare: buildControlPlane},
	{name: "e2e", what: "journeys on the real local cluster", packages: []string{"./test/e2e/..."}, flags: []string{"-timeout=30m"}, processes: 3},
}

func main() {
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	run := flag.String("run", "", "run only tests (in e2e: journeys) that match this regular expression")
	flag.Parse()
	if !play(flag.Args(), *run) {
		os.Exit(1)
	}
}

func play(names []string, run string) bool {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	begin := time.Now()
	totals := totals{}
	for _, s := range suites {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		fmt.Printf("== %s: %s\n", s.name, s.what)
		if err := s.run(ctx, run, &totals); err != nil {
			fmt.Printf("%s: %v\n", s.name, err)
			totals.broken = append(totals.broken, s.name)
		}
	}
	fmt.Println()
	for _, failed := range totals.failures {
		fmt.Println(failed)
	}
	fmt.Printf("%s in %s\n", totals, time.Since(begin).Round(time.Second))
	return totals.good()
}

func (s suite) run(ctx context.Context, pattern string, t *totals) error {
	if s.prepare != nil {
		if err := s.prepare(ctx); err != nil {
			return err
		}
	}
	command, err := s.command(ctx, pattern)
	if err != nil {
		return err
	}
	command.Dir = s.dir
	// What tests started is cleaned up after an interrupt; that takes a while.
	command.WaitDelay = 2 * time.Minute
	out, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	read := t.read
	if s.processes > 0 {
		command.Stderr = command.Stdout
		read = t.readJourneys(strings.TrimSuffix(s.packages[0], "/..."))
	}
	if err := command.Start(); err != nil {
		return err
	}
	failures := read(out)
	err = command.Wait()
	if exit := (&exec.ExitError{}); errors.As(err, &exit) && failures > 0 {
		return nil
	}
	return err
}

// command runs the tests of a suite, and writes what totals read.
func (s suite) command(ctx context.Context, pattern string) (*exec.Cmd, error) {
	if s.processes > 0 {
		return s.ginkgo(ctx, pattern)
	}
	args := slices.Concat([]string{"test", "-json"}, s.flags, s.packages)
	if pattern != "" {
		args = append(args, "-run", pattern)
	}
	command := exec.CommandContext(ctx, "go", args...)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.Stderr = os.Stderr
	return command, nil
}

// ginkgo runs specs in processes beside each other; then, in one, those that are Serial.
func (s suite) ginkgo(ctx context.Context, pattern string) (*exec.Cmd, error) {
	// Not through `go tool`: it passes an interrupt on that Ginkgo gets by itself too, and a second one cuts cleaning up short.
	path, err := exec.CommandContext(ctx, "go", "tool", "-n", "ginkgo").Output()
	if err != nil {
		return nil, fmt.Errorf("build ginkgo: %w", err)
	}
	args := slices.Concat([]string{"-v", "-no-color", fmt.Sprintf("-procs=%d", s.processes)}, s.flags)
	if pattern != "" {
		args = append(args, "-focus="+pattern)
	}
	command := exec.CommandContext(ctx, strings.TrimSpace(string(path)), append(args, s.packages...)...)
	// One interrupt for each process, from here; a terminal's does not reach this group.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGINT) }
	return command, nil
}

// buildAPIServer builds what the integration tests start.
func buildAPIServer(ctx context.Context) error {
	return build(ctx, "etcd", "kube-apiserver", "kubectl")
}

// buildControlPlane builds what the handover tests start.
func buildControlPlane(ctx context.Context) error {
	return build(ctx, "etcd", "kube-apiserver", "kubectl", "kube-controller-manager")
}

// build builds programs of Kubernetes, unless KUBEBUILDER_ASSETS was given from
// outside, and says where they are.
func build(ctx context.Context, programs ...string) error {
	assets, err := filepath.Abs(filepath.Join(".cluster", "bin"))
	if err != nil {
		return err
	}
	if given := os.Getenv("KUBEBUILDER_ASSETS"); given != "" && given != assets {
		return nil
	}
	command := exec.CommandContext(ctx, "go", append([]string{"-C", "hack/cluster", "run", ".", "build"}, programs...)...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("build %s: %w", strings.Join(programs, ", "), err)
	}
	return errors.Join(os.Setenv("KUBEBUILDER_ASSETS", assets), os.Setenv("PATH", assets+string(os.PathListSeparator)+os.Getenv("PATH")))
}

// totals count tests, and specs of journeys, over all suites.
type totals struct {
	passed, failed, skipped int
	broken                  []string
	failures                []failure
}

func (t *totals) add(more totals) {
	t.passed, t.failed, t.skipped = t.passed+more.passed, t.failed+more.failed, t.skipped+more.skipped
	t.failures = append(t.failures, more.failures...)
}

func (t totals) good() bool { return t.failed == 0 && len(t.broken) == 0 }

func (t totals) String() string {
	line := fmt.Sprintf("%d passed, %d failed, %d skipped", t.passed, t.failed, t.skipped)
	if len(t.broken) > 0 {
		line += ", could not run: " + strings.Join(t.broken, ", ")
	}
	return line
}
