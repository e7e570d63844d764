// Package process starts the cluster's children so that they outlive the
// command, remembers which ones they are, and stops exactly those.
package process

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"belay.dev/belay/hack/cluster/internal/state"
)

// Spec is a child to run.
type Spec struct {
	Name string
	Path string
	Args []string
	// Inputs are files the child reads once at start: when one changes, the
	// next `up` restarts the child.
	Inputs []string
}

// record is what is written down about a started child.
type record struct {
	identity
	Fingerprint string    `json:"fingerprint"`
	Started     time.Time `json:"started"`
	Command     []string  `json:"command"`
}

// Table is the set of children of one state folder.
type Table struct{ dir state.Dir }

// NewTable returns the table of a state folder.
func NewTable(dir state.Dir) Table { return Table{dir: dir} }

// marker is an environment variable's beginning; every child carries it with
// its own name behind, and so do the children it starts.
func (t Table) marker() string { return "BELAY_CLUSTER_CHILD=" + t.dir.Root + "#" }

// Log is the path of a child's log.
func (t Table) Log(name string) string { return t.dir.Path("logs", name+".log") }

// Running returns a child's pid.
func (t Table) Running(name string) (pid int, ok bool) {
	r, err := t.read(name)
	if err != nil || !r.alive() {
		return 0, false
	}
	return r.PID, true
}

// Started is when a child was started, zero if it never was.
func (t Table) Started(name string) time.Time {
	r, err := t.read(name)
	if err != nil {
		return time.Time{}
	}
	return r.Started
}

// Ensure starts the child unless it already runs with the same binary,
// arguments and inputs; one that runs with others is stopped first.
func (t Table) Ensure(spec Spec) (started bool, err error) {
	print := fingerprint(spec)
	if r, err := t.read(spec.Name); err == nil && r.alive() && r.Fingerprint == print {
		return false, nil
	}
	// Also catches a child whose record a kill -9 prevented.
	// Little grace: an API server whose etcd has just gone would use all of it.
	if err := t.Stop(spec.Name, 4*time.Second); err != nil {
		return false, err
	}
	return true, t.start(spec, print)
}

func (t Table) start(spec Spec, print string) error {
	if err := os.MkdirAll(t.dir.Path("logs"), 0o755); err != nil {
		return fmt.Errorf("create the log folder: %w", err)
	}
	_ = os.Rename(t.Log(spec.Name), t.Log(spec.Name)+".1")
	log, err := os.OpenFile(t.Log(spec.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", spec.Name, err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Dir = t.dir.Root
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), t.marker()+spec.Name)
	// Its own session: ^C on `up` must not reach it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s (%s): %w", spec.Name, spec.Path, err)
	}
	id, err := identify(cmd.Process.Pid)
	if err != nil {
		return fmt.Errorf("%s ended at once; its log is %s:\n%s", spec.Name, t.Log(spec.Name), t.Tail(spec.Name, 15))
	}
	// Reap it if it ends while this command still runs.
	go func() { _ = cmd.Wait() }()
	raw, err := json.MarshalIndent(record{
		identity: id, Fingerprint: print, Started: time.Now().UTC(), Command: append([]string{spec.Path}, spec.Args...),
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the record of %s: %w", spec.Name, err)
	}
	return state.WriteFile(t.recordPath(spec.Name), raw, 0o644)
}

// Stop ends a child: politely, then after `grace` by force. A pid that no
// longer belongs to the recorded process is left alone.
func (t Table) Stop(name string, grace time.Duration) error {
	var targets []identity
	if r, err := t.read(name); err == nil && r.alive() {
		targets = append(targets, r.identity)
	}
	for id, child := range marked(t.marker()) {
		// A container shim carries containerd's mark but must outlive its restart.
		if child == name && !isShim(id.PID) && (len(targets) == 0 || targets[0] != id) {
			targets = append(targets, id)
		}
	}
	for _, id := range targets {
		if err := end(id, grace); err != nil {
			return fmt.Errorf("stop %s: %w", name, err)
		}
	}
	_ = os.Remove(t.recordPath(name))
	return nil
}

// StopStrays ends every process that carries this cluster's mark.
func (t Table) StopStrays(grace time.Duration) (stopped int, err error) {
	for id := range marked(t.marker()) {
		if err := end(id, grace); err != nil {
			return stopped, err
		}
		stopped++
	}
	return stopped, nil
}

// Any says whether any process carries this cluster's mark.
func (t Table) Any() bool { return len(marked(t.marker())) > 0 }

func isShim(pid int) bool {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && strings.HasPrefix(filepath.Base(exe), "containerd-shim")
}

// end terminates one process. The identity is compared again before every
// signal, because the pid may have become another's meanwhile.
func end(id identity, grace time.Duration) error {
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, grace}, {syscall.SIGKILL, 10 * time.Second}} {
		if !id.alive() {
			return nil
		}
		if err := syscall.Kill(id.PID, step.signal); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("send %v to process %d: %w", step.signal, id.PID, err)
		}
		for deadline := time.Now().Add(step.wait); time.Now().Before(deadline); {
			if !id.alive() {
				return nil
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return fmt.Errorf("process %d survived SIGKILL: it is stuck in the kernel, see /proc/%d/stack", id.PID, id.PID)
}

func (t Table) recordPath(name string) string { return t.dir.Path("run", name+".json") }

func (t Table) read(name string) (record, error) {
	var r record
	raw, err := os.ReadFile(t.recordPath(name))
	if err != nil {
		return r, fmt.Errorf("read the record of %s: %w", name, err)
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, fmt.Errorf("read %s: %w", t.recordPath(name), err)
	}
	return r, nil
}

// Tail returns the last lines of a child's log, for error messages.
func (t Table) Tail(name string, lines int) string {
	raw, err := os.ReadFile(t.Log(name))
	if err != nil {
		return "(no log)"
	}
	all := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return "  | " + strings.Join(all, "\n  | ")
}

// fingerprint identifies binary (by size and time), arguments and inputs.
func fingerprint(spec Spec) string {
	text := fmt.Sprintf("%q %q", spec.Path, spec.Args)
	if info, err := os.Stat(spec.Path); err == nil {
		text += fmt.Sprintf(" %d %d", info.Size(), info.ModTime().UnixNano())
	}
	for _, path := range spec.Inputs {
		content, _ := os.ReadFile(path) // absent is an input like any other
		text += fmt.Sprintf(" %s %x", path, sha256.Sum256(content))
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:12])
}
