package sim

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/test/world"
)

var (
	update = flag.Bool("sim.update", false, "write the golden logs anew")
	seeds  = flag.Uint64("sim.seeds", 4, "how many seeds each story is told with")
	full   = flag.Bool("sim.full", false, "every way to stop at every write of every story; about an hour")
)

// tell plays a story and returns what is wrong with it.
func tell(s world.Story, seed uint64, fault world.Fault) (*world.World, []string) {
	w := s.Begin(seed, fault)
	w.Run()
	return w, s.Ends(w)
}

// TestGoldenLogs holds every decision of each story, its time and its sentence,
// to what was reviewed. go test ./test/sim -sim.update writes them anew.
func TestGoldenLogs(t *testing.T) {
	for _, s := range world.Stories() {
		t.Run(s.Name, func(t *testing.T) {
			w, wrong := tell(s, 1, world.Fault{})
			report(t, "undisturbed", w, wrong)
			if !strings.Contains(s.Name, "/") {
				golden(t, s.Name+".log", w.Log())
			}
		})
	}
}

// TestGoldenEnds holds the course of every story to what was reviewed, in one line
// each: how long it took, how many decisions, how its runs ended, what it stalled on.
func TestGoldenEnds(t *testing.T) {
	var lines []string
	for _, s := range world.Stories() {
		w, _ := tell(s, 1, world.Fault{})
		lines = append(lines, s.Summary(w))
	}
	golden(t, "stories.txt", lines)
}

func golden(t *testing.T, name string, lines []string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the decisions differ from %s; they are now:\n%s", path, got)
	}
}

func report(t *testing.T, name string, w *world.World, wrong []string) {
	t.Helper()
	if len(wrong) > 0 {
		t.Errorf("%s:\n  %s\n%s", name, strings.Join(wrong, "\n  "), strings.Join(w.Log(), "\n"))
	}
}

// most bounds the writes at which a story is stopped: those that only repeat a
// refused effect have hundreds.
const most = 120

// crashPoints are tried at every write; the times are when a controller that was
// suspended goes on beside the one that took its place.
var crashPoints = []world.Fault{
	{Crash: world.BeforeEffect}, {Crash: world.WithinEffect}, {Crash: world.AfterEffect},
	{Crash: world.BeforeRecord, GoesOn: world.Lease + 10*time.Second},
	{Crash: world.BeforeEffect, GoesOn: world.Lease + 500*time.Millisecond}, {Crash: world.BeforeEffect, GoesOn: world.Lease + 12*time.Second}, {Crash: world.BeforeEffect, GoesOn: 3 * time.Minute},
}

// TestEveryCrashPoint stops the controller at each of its writes and lets another
// one go on; the first may come back late, with what it had decided. Each write
// meets one of the ways to stop, another one in the next story; in stories that are
// about a race, or with -sim.full, it meets all of them.
func TestEveryCrashPoint(t *testing.T) {
	for i, s := range world.Stories() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			undisturbed, _ := tell(s, 1, world.Fault{})
			for n := 1; n <= min(undisturbed.Writes(), most); n++ {
				for k, fault := range crashPoints {
					if !*full && s.Or == "" && k != (n+i)%len(crashPoints) {
						continue
					}
					fault.CrashAt = n
					w, wrong := tell(s, 1, fault)
					report(t, fmt.Sprintf("write %d of %d, %s, goes on after %s", n, undisturbed.Writes(), fault.Crash, fault.GoesOn), w, wrong)
				}
			}
		})
	}
}

// TestDelaysAndLosses tells each story with other delays, with a cache that lags
// and with watch events that never come.
func TestDelaysAndLosses(t *testing.T) {
	for _, s := range world.Stories() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			for seed := range *seeds {
				crash := crashPoints[seed%uint64(len(crashPoints))]
				crash.Stale, crash.CrashAt = true, 1+int(seed%25)
				for _, fault := range []world.Fault{{}, {Stale: true}, {LostEvents: true}, {Stale: true, LostEvents: true}, crash} {
					w, wrong := tell(s, seed, fault)
					report(t, fmt.Sprintf("seed %d, %+v", seed, fault), w, wrong)
				}
			}
		})
	}
}
