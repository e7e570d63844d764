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
	"strings"
	"syscall"
	"time"
)

const usage = `Runs test suites and sums them up: go run ./hack/suite [suite...]

  unit          packages, the planner's enumeration, the local cluster's own tests
  sim           the simulated world
  integration   a real API server with etcd, built on first use
  handover      Kubernetes' own Deployment controller and autoscaler, built on first use
  e2e           journeys on the real local cluster, started and stopped if needed

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
	// live suites take minutes: their output is shown as it comes.
	live    bool
	prepare func(context.Context) error
}

var suites = []suite{
	{name: "unit", what: "packages and the planner's enumeration", packages: []string{"./api/...", "./analysis/...", "./cmd/...", "./controllers/...", "./hack/...", "./test/build/...", "./test/delay/...", "./test/docs/...", "./test/gitops/...", "./test/metrics/..."}},
	{name: "unit", what: "the local cluster's own packages", dir: "hack/cluster", packages: []string{"./..."}},
	{name: "unit", what: "what a release is made by", dir: "hack/release", packages: []string{".", "./internal/..."}},
	{name: "sim", what: "the simulated world", packages: []string{"./test/world/...", "./test/sim/..."}},
	{name: "integration", what: "a real API server", packages: []string{"./test/integration/..."}, flags: []string{"-count=1", "-timeout=20m"}, prepare: buildAPIServer},
	{name: "integration", what: "what a release installs", dir: "hack/release", packages: []string{"./integration"}, flags: []string{"-count=1", "-timeout=10m"}, prepare: buildAPIServer},
	{name: "handover", what: "Kubernetes' own controllers", packages: []string{"./test/handover/..."}, flags: []string{"-count=1", "-parallel=6", "-timeout=60m"}, prepare: buildControlPlane},
	{name: "e2e", what: "journeys on the real local cluster", packages: []string{"./test/e2e/..."}, flags: []string{"-count=1", "-timeout=30m"}, live: true},
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
		if len(names) > 0 && !contains(names, s.name) {
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

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

func (s suite) run(ctx context.Context, pattern string, t *totals) error {
	if s.prepare != nil {
		if err := s.prepare(ctx); err != nil {
			return err
		}
	}
	args := append([]string{"test", "-json"}, s.flags...)
	args = append(args, s.packages...)
	if s.live {
		args = append(args, "-args", "-ginkgo.v")
		if pattern != "" {
			args = append(args, "-ginkgo.focus="+pattern)
		}
	} else if pattern != "" {
		args = append(args, "-run", pattern)
	}
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = s.dir
	// The journeys clean up after an interrupt; that takes a while.
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 2 * time.Minute
	command.Stderr = os.Stderr
	events, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	failures := t.read(events, s.live)
	err = command.Wait()
	if exit := (&exec.ExitError{}); errors.As(err, &exit) && failures > 0 {
		return nil
	}
	return err
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

func (t totals) good() bool { return t.failed == 0 && len(t.broken) == 0 }

func (t totals) String() string {
	line := fmt.Sprintf("%d passed, %d failed, %d skipped", t.passed, t.failed, t.skipped)
	if len(t.broken) > 0 {
		line += ", could not run: " + strings.Join(t.broken, ", ")
	}
	return line
}
