package sources

import (
	"fmt"
	"maps"
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

	mu      sync.Mutex
	sources map[string]*sights
}

// sights is what the runs that ask one source last saw of it.
type sights struct {
	// since is when this process first heard of the source.
	since time.Time
	runs  map[types.UID]sight
	// blind counts the runs that saw nothing.
	blind int
	open  bool
	// swept is when runs that no longer ask were last forgotten.
	swept time.Time
}

type sight struct {
	at    time.Time
	blind bool
}

// A source is out when at least outageRuns runs are blind, and at least half of
// those that ask it. What a run saw counts for sightFor.
const (
	outageRuns = 3
	sightFor   = 2 * time.Minute
	sweepEvery = 15 * time.Second
)

// knowsAfter is how long every run in progress has to say what it sees: a poll
// and a query's deadline, several times.
const knowsAfter = time.Minute

// NewBreaker returns a Breaker that knows of no run.
func NewBreaker() *Breaker {
	return &Breaker{Changed: make(chan event.GenericEvent, 64), sources: map[string]*sights{}}
}

// Note records what a run saw of a source.
func (b *Breaker) Note(source string, run types.UID, blind bool, now time.Time) {
	b.mu.Lock()
	s := b.of(source, now)
	s.see(run, sight{now, blind})
	if now.Sub(s.swept) >= sweepEvery {
		s.sweep(now)
	}
	open := isOutage(s.blind, len(s.runs))
	flipped := open != s.open
	s.open = open
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
	s := b.of(source, now)
	s.sweep(now)
	return s.blind, len(s.runs)
}

// Knows reports whether every run has had the time to say what it sees since
// this process first heard of the source. Until then silence ends no outage that
// an earlier process found: its runs would be rolled back for being blind.
func (b *Breaker) Knows(source string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Sub(b.of(source, now).since) >= knowsAfter
}

// Forget drops a source that is gone.
func (b *Breaker) Forget(source string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.sources, source)
}

func (b *Breaker) of(source string, now time.Time) *sights {
	s := b.sources[source]
	if s == nil {
		s = &sights{since: now, swept: now, runs: map[types.UID]sight{}}
		b.sources[source] = s
	}
	return s
}

func (s *sights) see(run types.UID, is sight) {
	if s.runs[run].blind {
		s.blind--
	}
	if is.blind {
		s.blind++
	}
	s.runs[run] = is
}

func (s *sights) sweep(now time.Time) {
	s.swept = now
	maps.DeleteFunc(s.runs, func(_ types.UID, is sight) bool {
		old := now.Sub(is.at) > sightFor
		if old && is.blind {
			s.blind--
		}
		return old
	})
}

func isOutage(blind, runs int) bool { return blind >= outageRuns && 2*blind >= runs }

// outageMessage says what an outage means for the runs.
func outageMessage(blind, runs int) string {
	return fmt.Sprintf("%d of %d runs that ask this source get no usable answer: all of them hold, and none is rolled back for being blind", blind, runs)
}
