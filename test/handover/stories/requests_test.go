package stories

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/indicators"
	"belay.dev/belay/controllers/judge"
	"belay.dev/belay/controllers/orphans"
	"belay.dev/belay/controllers/sources"
)

var update = flag.Bool("stories.update", false, "rewrite the golden files")

// measured releases are those that the median is taken of.
const measured = 3

// quiet is how long the controller must have asked for nothing before a release
// counts as over.
const quiet = 3 * time.Second

// TestRequestsOfARun counts what one release costs the API server, and fails when
// it has grown: 3 replicas, one step, no metrics. With a route the generated Services
// are there from the release before. All reconcilers run.
//
// How often the controller and Kubernetes' own controllers write the same object at
// the same time is a matter of milliseconds. So requests that met a conflict are
// shown, and not part of the total or of its bound; each row is the median of three
// releases, and a row of the golden file that has grown is measured once more.
func TestRequestsOfARun(t *testing.T) {
	route := func(spec map[string]any) {}
	pods := func(spec map[string]any) { delete(spec, "traffic") }
	t.Run("route", func(t *testing.T) { measure(t, route, "requests.txt", 32) })
	t.Run("pods", func(t *testing.T) { measure(t, pods, "requests-pods.txt", 20) })
}

// measure compares releases of a Rollout with a golden file and with the most
// requests that a release may cost in all.
func measure(t *testing.T, traffic func(spec map[string]any), golden string, budget int) {
	s := open(t, 3, nil, traffic, func(spec map[string]any) {
		delete(spec, "guardrails")
		spec["steps"], spec["historyLimit"] = []any{map[string]any{"weight": int64(50), "hold": "2s"}}, int64(20)
		spec["promotion"] = map[string]any{"bake": "2s"}
	})
	s.verdict(always(silent))
	s.belay.end()
	s.belay = startSteadyFor(t, s.Namespace, steadyFor, s.wrote, others)
	made := 1
	release := func() map[string]int {
		made++
		return s.release(fmt.Sprintf("v%d", made))
	}
	release()
	release()
	releases := func() map[string]int {
		var all []map[string]int
		for range measured {
			all = append(all, release())
		}
		return medians(all)
	}
	path := filepath.Join("testdata", golden)
	rows := releases()
	if *update {
		if err := os.WriteFile(path, []byte(textOf(rows)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if grown := grownRows(t, path, rows); len(grown) > 0 {
		t.Logf("measured once more, because of %q", grown)
		rows = releases()
	}
	t.Log("requests of one run:\n" + textOf(rows))
	for _, grown := range grownRows(t, path, rows) {
		t.Errorf("%s (%s): say why it costs more, and rewrite the file with -stories.update", grown, path)
	}
	if n := rows[whole]; n > budget {
		t.Errorf("one run costs %d requests, the budget is %d", n, budget)
	}
}

// release promotes a version and returns what it cost, with the conflicts in a row.
func (s *shop) release(version string) map[string]int {
	s.T.Helper()
	s.belay.requests.Reset()
	s.Push(version)
	s.promoted(version, 3)
	run := s.rollout().Status.History[0].Run
	var rows, conflicts map[string]int
	before, since := -1, time.Now()
	s.Eventually("the run is complete and nothing is asked any more", func(g Gomega) {
		ended := &v1alpha1.RolloutRun{}
		g.Expect(admin.Get(s.T.Context(), client.ObjectKey{Namespace: s.Namespace, Name: run}, ended)).To(Succeed())
		g.Expect(ended.Labels[v1alpha1.LabelOutcome]).To(Equal(string(v1alpha1.OutcomePromoted)))
		rows, conflicts = s.belay.requests.Counts()
		if now := total(rows); now != before {
			before, since = now, time.Now()
		}
		g.Expect(time.Since(since)).To(BeNumerically(">", quiet))
	})
	s.T.Logf("%s: %d requests, conflicts: %v", version, total(rows), conflicts)
	for _, n := range conflicts {
		rows[conflicting] += n
	}
	return rows
}

// others are the reconcilers of cmd/belay-controller that register leaves out.
func others(mgr ctrl.Manager) error {
	clients := sources.NewClients(mgr.GetAPIReader(), metav1.NamespaceDefault, time.Minute)
	prober := sources.NewProber(clients, clock.RealClock{}, time.Millisecond)
	analysis := &judge.Reconciler{Client: mgr.GetClient(), Querier: sources.NewQuerier(clients, clock.RealClock{}, time.Millisecond), Prober: prober, Breaker: sources.NewBreaker(), Clock: clock.RealClock{}, Workers: 1}
	preflight := &judge.PreflightReconciler{Client: mgr.GetClient(), Sources: clients, Clock: clock.RealClock{}, Workers: 1}
	status := &indicators.Reconciler{Client: mgr.GetClient(), Prober: prober, Clock: clock.RealClock{}, Every: time.Hour, Workers: 1}
	labels := &orphans.Labels{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: mgr.GetEventRecorder("belay"), FieldManager: v1alpha1.FieldManager, Workers: 1}
	runs := &orphans.Runs{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Clock: clock.RealClock{}, FieldManager: v1alpha1.FieldManager, Keep: time.Hour, Limit: 10}
	for _, r := range []interface{ SetupWithManager(ctrl.Manager) error }{analysis, preflight, status, labels, runs} {
		if err := r.SetupWithManager(mgr); err != nil {
			return err
		}
	}
	return nil
}

// Rows that no budget counts: events are for people and sent beside the reconcile.
const (
	events      = "POST events"
	conflicting = "(met a conflict)"
	whole       = "total, without events and conflicts"
)

func total(rows map[string]int) int {
	sum := 0
	for row, n := range rows {
		if row != events && row != conflicting && row != whole {
			sum += n
		}
	}
	return sum
}

// medians of each row, and of the totals.
func medians(all []map[string]int) map[string]int {
	out := map[string]int{}
	for _, rows := range all {
		rows[whole] = total(rows)
	}
	for _, rows := range all {
		for row := range rows {
			var counts []int
			for _, of := range all {
				counts = append(counts, of[row])
			}
			slices.Sort(counts)
			if n := counts[len(counts)/2]; n > 0 {
				out[row] = n
			}
		}
	}
	return out
}

// textOf is the golden file: a row a line, by resource, the total last.
func textOf(rows map[string]int) string {
	text := ""
	for _, row := range slices.SortedFunc(maps.Keys(rows), func(a, b string) int { return strings.Compare(byResource(a), byResource(b)) }) {
		text += fmt.Sprintf("%3d %s\n", rows[row], row)
	}
	return text
}

func byResource(row string) string {
	verb, resource, _ := strings.Cut(row, " ")
	if row == conflicting || row == whole {
		return "~" + row
	}
	return resource + " " + verb
}

// grownRows are those of which there are more than a golden file says.
func grownRows(t *testing.T, path string, rows map[string]int) (grown []string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]int{}
	for line := range strings.Lines(string(raw)) {
		count, row, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(count)
		if err != nil {
			t.Fatalf("%s: %q: %v", path, line, err)
		}
		allowed[row] = n
	}
	for _, row := range slices.Sorted(maps.Keys(rows)) {
		if n := rows[row]; n > allowed[row] && row != conflicting {
			grown = append(grown, fmt.Sprintf("%s: %d, not %d", row, n, allowed[row]))
		}
	}
	return grown
}
