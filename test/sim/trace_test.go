package sim

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

var trace = flag.String("sim.trace", "", "a story whose world is printed at every change")

// TestTrace prints a story for whoever looks for the reason of a failure:
// go test ./test/sim -run TestTrace -v -sim.trace promote
func TestTrace(t *testing.T) {
	for _, s := range Stories() {
		if s.Name != *trace {
			continue
		}
		w := New(1, Fault{}, s.Setup, s.Script()...)
		w.trace = printer(t)
		w.Run()
		report(t, s.Name, w, s.Ends(w))
	}
}

// printer prints the world when it differs from what was printed last.
func printer(t *testing.T) func(*World) {
	t.Helper()
	last := ""
	return func(w *World) {
		now := w.portrait()
		if now == last {
			return
		}
		last = now
		t.Logf("%9.2f %s", w.at.Sub(w.start).Seconds(), now)
	}
}

// portrait is the whole world in one line.
func (w *World) portrait() string {
	d, n := &w.deployment, &w.network
	split := "-"
	if n.split != nil {
		split = fmt.Sprint(*n.split)
	}
	var sets []string
	for _, s := range w.byAge() {
		owner := "D"
		if !w.own(s) {
			owner = s.ownerRun
		}
		sets = append(sets, fmt.Sprintf("%s(%s %d: %d pods, %d ready)", s.name, owner, s.size, w.podsOf(s), w.readyOf(s)))
	}
	return fmt.Sprintf("%-11s %-24s split %s acked %t narrowed %q declared %s paused %t replicas %d lock %q | %s | %d endpoints",
		w.rollout.status.Phase, w.last.Rule, split, n.acknowledged(w.at), n.narrowed, d.declared[:min(1, len(d.declared))], d.paused, d.replicas, d.lock,
		strings.Join(sets, " "), w.endpoints(""))
}
