package sim

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"belay.dev/belay/test/world"
)

var (
	update = flag.Bool("sim.update", false, "write the golden logs anew")
	seeds  = flag.Uint64("sim.seeds", 4, "how many seeds each story is told with")
	sparse = flag.Int("sim.sparse", 47, "stories beside the core ones meet one disturbance in so many")
	full   = flag.Bool("sim.full", false, "every disturbance at every write of every story; about an hour")
	one    = flag.String("sim.plan", "", "the plan that TestPlan plays, such as promote/crash-after-effect@7")
)

// tell plays a story undisturbed and returns what is wrong with it.
func tell(s world.Story) (*world.World, []string) {
	w := s.Begin(1)
	w.Run()
	return w, s.Ends(w)
}

// TestGoldenLogs holds every decision of each story, its time and its sentence,
// to what was reviewed. go test ./test/sim -sim.update writes them anew.
func TestGoldenLogs(t *testing.T) {
	for _, s := range world.Stories() {
		t.Run(s.Name, func(t *testing.T) {
			w, wrong := tell(s)
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
		w, _ := tell(s)
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

// core stories meet every disturbance at every write; the others one of several, and
// another one at the next write and in the next story.
var core = []string{"promote", "rollback-in-step", "rollback-in-bake", "native"}

// rare disturbances mean something at few writes, and are played at all of them.
var rare = []string{"edit-service-selector", "edit-route-to-other-testers", "edit-route-to-more-copies", "edit-preview-selector", "delete-preview"}

// TestSingleDisturbances plays single-disturbance plans: none violates an invariant,
// and all end where the undisturbed story ends.
func TestSingleDisturbances(t *testing.T) {
	begin := time.Now()
	var mu sync.Mutex
	plans := map[string]int{}
	t.Run("stories", func(t *testing.T) {
		for i, s := range world.Stories() {
			t.Run(s.Name, func(t *testing.T) {
				t.Parallel()
				all := *full || slices.Contains(core, s.Name)
				counts := map[string]int{}
				s.Each(1, func(d world.Disturbance, nth int) bool {
					// A race is about when something stops.
					stops := s.Or != "" && (strings.HasPrefix(d.Kind, "crash") || strings.HasPrefix(d.Kind, "resumes"))
					return all || d.At <= most && (stops || slices.Contains(rare, d.Kind) || (nth+i)%*sparse == 0)
				}, func(p world.Played) {
					counts[p.Disturbances[0].Kind]++
					complain(t, p.Plan, p.World, p.Wrong)
				})
				mu.Lock()
				defer mu.Unlock()
				for kind, n := range counts {
					plans[kind] += n
				}
			})
		}
	})
	total := 0
	var summary []string
	for _, kind := range world.Kinds() {
		total += plans[kind]
		summary = append(summary, fmt.Sprintf("%s %d", kind, plans[kind]))
	}
	if all := flag.Lookup("test.run").Value.String() == ""; all && total < 10_000 {
		t.Errorf("only %d plans were played", total)
	}
	t.Logf("%d plans in %.0f s: %s", total, time.Since(begin).Seconds(), strings.Join(summary, ", "))
}

// most bounds the writes at which a story is disturbed: those that only repeat a
// refused effect have hundreds.
const most = 120

func complain(t *testing.T, p world.Plan, w *world.World, wrong []string) {
	t.Helper()
	if len(wrong) > 0 {
		t.Errorf("go test ./test/sim -run TestPlan -v -sim.plan=%s\n  %s", p, strings.Join(wrong, "\n  "))
	}
}

// TestPlan plays one plan, and prints the world whenever it changes.
func TestPlan(t *testing.T) {
	if *one == "" {
		t.Skip("no -sim.plan")
	}
	p, err := world.ParsePlan(*one)
	if err != nil {
		t.Fatal(err)
	}
	w, err := p.World()
	if err != nil {
		t.Fatal(err)
	}
	w.Trace(func(line string) { t.Log(line) })
	w.Run()
	report(t, p.String(), w, p.Judge(w))
}

// TestPlansReadAsWritten: what a failure prints plays the same plan.
func TestPlansReadAsWritten(t *testing.T) {
	for _, text := range []string{"promote/crash-after-effect@7", "supersede/held/lagging-caches@0+crash-before-record@3#4", "native/undisturbed"} {
		p, err := world.ParsePlan(text)
		if err != nil || p.String() != text {
			t.Errorf("%s is read as %s: %v", text, p, err)
		}
	}
	for _, text := range []string{"promote", "promote/earthquake@1", "promote/crash-after-effect", "promote/crash-after-effect@-1", "promote/undisturbed#x"} {
		if _, err := world.ParsePlan(text); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

// TestAPlanPlaysFromItsBeginningToo: the course up to a write, which plans share,
// changes nothing of what follows.
func TestAPlanPlaysFromItsBeginningToo(t *testing.T) {
	s := world.Stories()[0]
	s.Each(1, func(_ world.Disturbance, nth int) bool { return nth%37 == 0 }, func(p world.Played) {
		w, err := p.Plan.World()
		if err != nil {
			t.Fatal(err)
		}
		w.Run()
		if !slices.Equal(w.Log(), p.World.Log()) {
			t.Errorf("%s differs when it is played from its beginning:\n%s\nfrom the write:\n%s", p.Plan, strings.Join(w.Log(), "\n"), strings.Join(p.World.Log(), "\n"))
		}
	})
}

// TestDelaysAndLosses tells each story with other delays, with caches that lag, with
// watch events that never come, and with both and a crash.
// endsByChance holds for stories whose end, as they tell it, rests on a look that comes in time:
// Kubernetes forgets the former version of a StatefulSet at 0 replicas, and when its last pod
// is ready. Without events that may be before or after the look. What such an end should be
// is not told yet.
func endsByChance(story string) bool {
	return strings.HasPrefix(story, "ordered-scale-to-zero") || story == "ordered-delete-rollout/last-pod"
}

func TestDelaysAndLosses(t *testing.T) {
	lags, noEvents := world.Disturbance{Kind: "lagging-caches"}, world.Disturbance{Kind: "no-events"}
	crashes := []string{"crash-before-effect", "crash-within-effect", "crash-after-effect", "resumes-before-record-30s", "resumes-before-effect-20s", "resumes-before-effect-32s", "resumes-before-effect-3m"}
	for _, s := range world.Stories() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			for seed := range *seeds {
				crash := world.Disturbance{Kind: crashes[seed%uint64(len(crashes))], At: 1 + int(seed%25)}
				delays := [][]world.Disturbance{nil, {lags}, {lags, crash}}
				if !endsByChance(s.Name) {
					delays = append(delays, []world.Disturbance{noEvents}, []world.Disturbance{lags, noEvents})
				}
				for _, all := range delays {
					p := world.Plan{Story: s.Name, Seed: seed, Disturbances: all}
					w := s.Begin(seed, all...)
					w.Run()
					complain(t, p, w, s.Judge(w, p))
				}
			}
		})
	}
}
