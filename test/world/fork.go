package world

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// fork is a copy of the world that goes on by itself: what happens in the one does
// not show in the other, and with nothing else done to them both go the same way.
func (w *World) fork() *World {
	f := *w
	source := *w.source
	f.source, f.random = &source, rand.New(&source)
	f.cluster = w.clone()
	f.seen, f.timers = slices.Clone(w.seen), slices.Clone(w.timers)
	f.hooks, f.allowed, f.bypassed = maps.Clone(w.hooks), maps.Clone(w.allowed), maps.Clone(w.bypassed)
	f.log, f.ends, f.stalls, f.violations = slices.Clip(w.log), slices.Clip(w.ends), slices.Clip(w.stalls), slices.Clip(w.violations)
	f.trace, f.atWrite, f.records = nil, nil, nil
	return &f
}
