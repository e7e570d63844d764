package process

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/hack/cluster/internal/state"
)

func table(t *testing.T) Table {
	t.Helper()
	table := NewTable(state.Dir{Root: t.TempDir()})
	t.Cleanup(func() { _, _ = table.StopStrays(time.Second) })
	return table
}

func sleeper(seconds string) Spec {
	path, _ := exec.LookPath("sleep")
	return Spec{Name: "sleeper", Path: path, Args: []string{seconds}}
}

func ensure(t *testing.T, table Table, spec Spec, want bool) int {
	t.Helper()
	started, err := table.Ensure(spec)
	if err != nil || started != want {
		t.Fatalf("started %t, %v; want %t", started, err, want)
	}
	pid, ok := table.Running(spec.Name)
	if !ok {
		t.Fatal("not running after Ensure")
	}
	return pid
}

func TestEnsureReusesRestartsAndStops(t *testing.T) {
	table := table(t)
	first := ensure(t, table, sleeper("60"), true)
	if again := ensure(t, table, sleeper("60"), false); again != first {
		t.Errorf("a second Ensure replaced pid %d by %d", first, again)
	}
	changed := ensure(t, table, sleeper("61"), true)
	if _, err := identify(first); err == nil {
		t.Error("changed arguments left the old child running")
	}
	if !table.Any() {
		t.Error("the running child was not found by its mark")
	}
	if err := table.Stop("sleeper", time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := identify(changed); err == nil {
		t.Error("Stop left the child running")
	}
	if table.Any() {
		t.Error("a process still carries the mark of a stopped child")
	}
}

func TestEnsureFindsAChildWhoseRecordIsMissing(t *testing.T) {
	table := table(t)
	lost := ensure(t, table, sleeper("60"), true)
	// As after a kill -9 between start and record.
	if err := os.Remove(table.recordPath("sleeper")); err != nil {
		t.Fatal(err)
	}
	ensure(t, table, sleeper("60"), true)
	if _, err := identify(lost); err == nil {
		t.Error("two children run under one name")
	}
}

func TestStopSparesAPidThatBelongsToAnother(t *testing.T) {
	table := table(t)
	stranger := exec.Command("sleep", "60")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	ensure(t, table, sleeper("60"), true)
	if err := table.Stop("sleeper", time.Second); err != nil {
		t.Fatal(err)
	}
	id, err := identify(stranger.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for name, start := range map[string]string{"another start time": "1", "another boot": id.Start} {
		id := id
		if id.Start = start; name == "another boot" {
			id.Boot = "another"
		}
		if err := end(id, time.Second); err != nil {
			t.Fatal(err)
		}
		if _, err := identify(stranger.Process.Pid); err != nil {
			t.Errorf("killed a stranger despite %s", name)
		}
	}
}

func TestParseStat(t *testing.T) {
	tail := " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20"
	for name, tc := range map[string]struct{ stat, wantStart string }{
		"a plain name":                  {"12 (etcd)" + tail, "4711"},
		"a name with space and bracket": {"12 (a ) (b)" + tail, "4711"},
		"a truncated line is an error":  {"12 (etcd) S 1", ""},
		"an empty line is an error":     {"", ""},
	} {
		state, start, err := parseStat(tc.stat)
		if tc.wantStart == "" {
			if err == nil {
				t.Errorf("%s: got %s %s", name, state, start)
			}
			continue
		}
		if err != nil || state != "S" || start != tc.wantStart {
			t.Errorf("%s: got %s %s %v", name, state, start, err)
		}
	}
}

func TestTailShowsTheEnd(t *testing.T) {
	table := table(t)
	spec := Spec{Name: "talker", Path: "/bin/sh", Args: []string{"-c", "seq 1 50; sleep 60"}}
	ensure(t, table, spec, true)
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if tail := table.Tail("talker", 2); strings.HasSuffix(tail, "| 49\n  | 50") {
			return
		}
	}
	t.Errorf("the log's end is %q", table.Tail("talker", 2))
}
