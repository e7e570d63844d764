package sim

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var (
	update = flag.Bool("sim.update", false, "write the golden logs anew")
	seeds  = flag.Uint64("sim.seeds", 20, "how many seeds each story is told with")
)

// tell plays a story and returns what is wrong with it.
func tell(s Story, seed uint64, fault Fault) (*World, []string) {
	w := New(seed, fault, s.Script()...)
	w.Run()
	return w, s.Ends(w)
}

// TestGoldenLogs holds every decision of each story, its time and its sentence,
// to what was reviewed. go test ./test/sim -sim.update writes them anew.
func TestGoldenLogs(t *testing.T) {
	for _, s := range Stories() {
		t.Run(s.Name, func(t *testing.T) {
			w, wrong := tell(s, 1, Fault{})
			for _, v := range wrong {
				t.Error(v)
			}
			path := filepath.Join("testdata", s.Name+".log")
			got := strings.Join(w.log, "\n") + "\n"
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
		})
	}
}

// TestEveryCrashPoint stops the controller at each of its writes, before and
// after the effect, and lets another one go on.
func TestEveryCrashPoint(t *testing.T) {
	for _, s := range Stories() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			undisturbed, _ := tell(s, 1, Fault{})
			for n := 1; n <= undisturbed.writes; n++ {
				for _, after := range []bool{false, true} {
					w, wrong := tell(s, 1, Fault{CrashAt: n, AfterEffect: after})
					report(t, fmt.Sprintf("crash at write %d of %d, after the effect: %t", n, undisturbed.writes, after), w, wrong)
				}
			}
		})
	}
}

// TestDelaysAndLosses tells each story with other delays, with a cache that lags
// and with watch events that never come.
func TestDelaysAndLosses(t *testing.T) {
	for _, s := range Stories() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			for seed := range *seeds {
				for _, fault := range []Fault{{}, {Stale: true}, {LostEvents: true}, {Stale: true, LostEvents: true}, {Stale: true, CrashAt: 1 + int(seed%25), AfterEffect: seed%2 == 0}} {
					w, wrong := tell(s, seed, fault)
					report(t, fmt.Sprintf("seed %d, %+v", seed, fault), w, wrong)
				}
			}
		})
	}
}

// TestTheWorldSeesHarm takes the canary's pods away under traffic: a judge that
// stays silent then proves nothing anywhere else.
func TestTheWorldSeesHarm(t *testing.T) {
	w := New(1, Fault{}, push, event{atStep(1), (*World).removeCanary})
	w.Run()
	if len(w.violations) == 0 {
		t.Error("the canary went under traffic, and nothing was reported")
	}
}

func report(t *testing.T, name string, w *World, wrong []string) {
	t.Helper()
	if len(wrong) > 0 {
		t.Errorf("%s:\n  %s\n%s", name, strings.Join(wrong, "\n  "), strings.Join(w.log, "\n"))
	}
}
