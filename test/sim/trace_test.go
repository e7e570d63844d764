package sim

import (
	"flag"
	"testing"

	"belay.dev/belay/test/world"
)

var trace = flag.String("sim.trace", "", "a story whose world is printed at every change")

// TestTrace prints a story for whoever looks for the reason of a failure:
// go test ./test/sim -run TestTrace -v -sim.trace promote
func TestTrace(t *testing.T) {
	for _, s := range world.Stories() {
		if s.Name != *trace {
			continue
		}
		w := s.Begin(1)
		w.Trace(func(line string) { t.Log(line) })
		w.Run()
		report(t, s.Name, w, s.Ends(w))
	}
}
