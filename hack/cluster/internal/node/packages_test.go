package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// stubs puts package managers on PATH that do nothing but note their call.
func stubs(t *testing.T, audit string) (calls func() []string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "calls")
	for name, body := range map[string]string{"apt-get": "", "dpkg": `[ "$1" = --audit ] && printf '` + audit + `'; true`} {
		script := fmt.Sprintf("#!/bin/sh\necho %s \"$@\" >>%s\n%s\n", name, log, body)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil { //nolint:gosec // a script is run
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	return func() []string {
		raw, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(raw)), "\n")
	}
}

func TestInstallFinishesAnInterruptedInstallationFirst(t *testing.T) {
	const options = "-o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "
	empty, used := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(used, "0001"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		audit, journal string
		want           []string
	}{
		"whole":       {"", empty, []string{"dpkg --audit"}},
		"interrupted": {"half configured", empty, []string{"dpkg --audit", "dpkg --configure -a"}},
		"killed":      {"", used, []string{"dpkg --audit", "dpkg --configure -a"}},
	} {
		t.Run(name, func(t *testing.T) {
			calls, said := stubs(t, c.audit), ""
			err := installPackages(t.Context(), []string{"runc", "iptables"}, c.journal, func(format string, args ...any) { said += fmt.Sprintf(format, args...) + "\n" })
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Concat(c.want, []string{"apt-get " + options + "update", "apt-get " + options + "install -y --no-install-recommends runc iptables"})
			if got := calls(); !slices.Equal(got, want) {
				t.Errorf("ran\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if !strings.Contains(said, "installed in ") {
				t.Errorf("said %q", said)
			}
		})
	}
}

// TestAnInterruptAsksThePackageManagerToEnd: ^C does not reach it, and no kill.
func TestAnInterruptAsksThePackageManagerToEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// Opening the pipe to write waits for a reader: then the trap is set.
	ready := filepath.Join(t.TempDir(), "ready")
	if err := syscall.Mkfifo(ready, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer cancel()
		raw, err := os.ReadFile(ready)
		fields := strings.Fields(string(raw))
		if err != nil || len(fields) != 1 {
			t.Errorf("read %q: %v", raw, err)
			return
		}
		var pid int
		if _, err := fmt.Sscan(fields[0], &pid); err != nil {
			t.Error(err)
			return
		}
		if group, err := syscall.Getpgid(pid); err != nil || group != pid {
			t.Errorf("process %d is in group %d (%v), want its own", pid, group, err)
		}
	}()
	err := manage(ctx, "sh", "-c", `tail -f /dev/null & child=$!; trap 'kill $child; echo ended in order; exit 3' INT; echo $$ >`+ready+`; wait`)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(err.Error(), "ended in order") {
		t.Errorf("got %v, want exit status 3 of the trap", err)
	}
}
