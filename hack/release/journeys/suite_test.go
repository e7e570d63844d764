// Package journeys installs releases on the real local cluster as users do, and upgrades
// them while versions of a shop are on their way, under load: `make test-extended`.
package journeys

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"belay.dev/belay/hack/stage"
)

// versions are the shops to release: one binary, many images.
var versions = map[string][]string{"v1": nil, "v2": nil, "v3": nil, "errors": {"SHOP_ERROR_RATE=0.05"}}

// What TestMain prepares.
var (
	set    *stage.Stage
	images map[string]string
	// releases is the folder with those that were made, each under its version.
	releases string
)

// patience bounds one wait of a journey.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	status, err := play(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func play(m *testing.M) (status int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if set, err = stage.Open(ctx, os.Stderr); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, set.Close(context.WithoutCancel(ctx))) }()
	presence, err := set.Presence(ctx)
	if err != nil {
		return 1, err
	}
	if presence != stage.Absent {
		return 1, errors.New("this cluster has a Belay already, and the journeys install their own: use another cluster, or uninstall it first (docs/install.md)")
	}
	if images, err = set.Shops(ctx, versions); err != nil {
		return 1, err
	}
	if releases, err = os.MkdirTemp("", "belay-releases-"); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(releases)) }()
	return m.Run(), nil
}

// run runs a program in the repository's root against the cluster. It returns what the
// program wrote to its standard output.
func run(ctx context.Context, name string, args ...string) (string, error) {
	command := set.Command(ctx, name, args...)
	out, err := command.Output()
	if exit := (&exec.ExitError{}); errors.As(err, &exit) {
		err = fmt.Errorf("%s: %w\n%s%s", command, err, exit.Stderr, out)
	}
	return string(out), err
}

// does runs a program that has to succeed.
func does(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := run(t.Context(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// after runs a program when the test is over, which its context is then too.
func after(t *testing.T, name string, args ...string) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if _, err := run(ctx, name, args...); err != nil {
			t.Error(err)
		}
	})
}

// commandLine is kubectl-belay of a release.
func commandLine(t *testing.T, dist string) string {
	t.Helper()
	archives, err := filepath.Glob(filepath.Join(dist, "kubectl-belay_*_linux_*.tar.gz"))
	if err != nil || len(archives) != 1 {
		t.Fatalf("want one archive for linux in %s, got %v, %v", dist, archives, err)
	}
	folder := t.TempDir()
	does(t, "tar", "-xzf", archives[0], "-C", folder)
	return filepath.Join(folder, "kubectl-belay")
}

// nothingWrong waits until doctor finds nothing.
func nothingWrong(t *testing.T, belay string) {
	t.Helper()
	NewWithT(t).Eventually(func() error {
		out, err := run(t.Context(), belay, "doctor")
		if err == nil && !strings.Contains(out, "Nothing is wrong.") {
			err = errors.New("doctor ends with 0 and says:\n" + out)
		}
		return err
	}).WithTimeout(patience).WithPolling(time.Second).Should(Succeed())
}
