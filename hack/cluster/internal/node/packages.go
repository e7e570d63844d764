package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// aptOptions let apt-get wait for another package manager of the machine, and
// keep it off the terminal, which a process group of its own does not own.
var aptOptions = []string{"-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0"}

// endsOrderly bounds how long an interrupted package manager may take to finish
// the package it is at.
const endsOrderly = time.Minute

func installPackages(ctx context.Context, missing []string, journal string, say func(string, ...any)) error {
	say("installing %s with apt-get", strings.Join(missing, ", "))
	start := time.Now()
	// apt-get refuses to work after an interrupted dpkg. If this fails, because
	// another one is at work, apt-get waits for that one and then says what is wrong.
	repaired := finishInterrupted(ctx, journal, say)
	install := append([]string{"install", "-y", "--no-install-recommends"}, missing...)
	for _, args := range [][]string{{"update"}, install} {
		if err := manage(ctx, "apt-get", append(aptOptions[:len(aptOptions):len(aptOptions)], args...)...); err != nil {
			return errors.Join(err, repaired)
		}
	}
	say("installed in %s", time.Since(start).Round(time.Second))
	return nil
}

// finishInterrupted lets dpkg end what an earlier one had begun.
func finishInterrupted(ctx context.Context, journal string, say func(string, ...any)) error {
	// Not ours to judge when it fails: then apt-get does.
	unfinished, err := exec.CommandContext(ctx, "dpkg", "--audit").Output()
	entries, _ := os.ReadDir(journal)
	if (err != nil || len(unfinished) == 0) && len(entries) == 0 {
		return nil
	}
	say("an earlier installation was interrupted: finishing it with dpkg --configure -a")
	return manage(ctx, "dpkg", "--configure", "-a")
}

// dpkgJournal has files while dpkg works, and after it was killed.
const dpkgJournal = "/var/lib/dpkg/updates"

// manage runs a package manager. An interrupt must not kill it: that leaves
// packages half installed. So it does not get the terminal's ^C, and is asked to
// end when ctx does.
func manage(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = endsOrderly
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
