package controllers

import (
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"belay.dev/belay/api/v1alpha1"
)

// Breaker tells a blind run from a blind source. When many runs get no usable
// answer from one source at the same time, the source is at fault and not the
// candidates: then all of them hold, whatever their whenBlind says, so that one
// outage of a metrics backend never rolls back a fleet.
type Breaker struct {
	// Changed gets a MetricSource whose outage may have begun or ended.
	Changed chan event.GenericEvent

	mu   sync.Mutex
	runs map[string]map[types.UID]sight
	open map[string]bool
}

// sight is what a run last saw of a source.
type sight struct {
	at    time.Time
	blind bool
}

// A source is out when at least outageRuns runs are blind, and at least half of
// those that ask it. What a run saw counts for sightFor.
const (
	outageRuns = 3
	sightFor   = 2 * time.Minute
)

// NewBreaker returns a Breaker that knows of no run.
func NewBreaker() *Breaker {
	return &Breaker{Changed: make(chan event.GenericEvent, 64), runs: map[string]map[types.UID]sight{}, open: map[string]bool{}}
}

// Note records what a run saw of a source.
func (b *Breaker) Note(source string, run types.UID, blind bool, now time.Time) {
	b.mu.Lock()
	if b.runs[source] == nil {
		b.runs[source] = map[types.UID]sight{}
	}
	b.runs[source][run] = sight{now, blind}
	open := isOutage(b.count(source, now))
	flipped := open != b.open[source]
	b.open[source] = open
	b.mu.Unlock()
	if !flipped {
		return
	}
	changed := &v1alpha1.MetricSource{}
	changed.Name = source
	select {
	case b.Changed <- event.GenericEvent{Object: changed}:
	default:
		// Nobody listens fast enough; the next periodic look finds it.
	}
}

// Blind counts the runs that ask a source, and the blind ones among them.
func (b *Breaker) Blind(source string, now time.Time) (blind, runs int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count(source, now)
}

func (b *Breaker) count(source string, now time.Time) (blind, runs int) {
	for run, s := range b.runs[source] {
		if now.Sub(s.at) > sightFor {
			delete(b.runs[source], run)
			continue
		}
		runs++
		if s.blind {
			blind++
		}
	}
	return blind, runs
}

func isOutage(blind, runs int) bool { return blind >= outageRuns && 2*blind >= runs }

// outageMessage says what an outage means for the runs.
func outageMessage(blind, runs int) string {
	return fmt.Sprintf("%d of %d runs that ask this source get no usable answer: all of them hold, and none is rolled back for being blind", blind, runs)
}
