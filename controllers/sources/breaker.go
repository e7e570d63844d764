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

// Breaker tells an outage of a source from missing data of one run. When many runs get
// no usable response from one source at the same time, the cause is the source and not
// their candidates. Then all of them hold, whatever their whenBlind says, so that an
// outage of a metrics backend does not roll back many runs at once.
type Breaker struct {
	// Changed gets a MetricSource whose outage may have begun or ended.
	Changed chan event.GenericEvent

	mu      sync.Mutex
	sources map[string]*reports
}

// reports are the newest reports of the runs that query one source.
type reports struct {
	// since is when this process first had a report about the source.
	since time.Time
	runs  map[types.UID]report
	// blind counts the runs without a usable response.
	blind int
	open  bool
	// swept is when reports of runs that no longer query the source were last dropped.
	swept time.Time
}

type report struct {
	at    time.Time
	blind bool
}

// A source has an outage when at least outageRuns runs are blind, and at least half of
// those that query it. A report is valid for reportFor.
const (
	outageRuns = 3
	reportFor  = 2 * time.Minute
	sweepEvery = 15 * time.Second
)

// knowsAfter is how long it takes until every run in progress has reported: several
// times a poll's interval and a query's timeout.
const knowsAfter = time.Minute

// NewBreaker returns a Breaker without reports.
func NewBreaker() *Breaker {
	return &Breaker{Changed: make(chan event.GenericEvent, 64), sources: map[string]*reports{}}
}

// Note records whether a run got a usable response from a source.
func (b *Breaker) Note(source string, run types.UID, blind bool, now time.Time) {
	b.mu.Lock()
	s := b.of(source, now)
	s.add(run, report{now, blind})
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
		// The channel is full; the next periodic reconcile finds the change.
	}
}

// Blind counts the runs that query a source, and those of them without a usable
// response.
func (b *Breaker) Blind(source string, now time.Time) (blind, runs int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.of(source, now)
	s.sweep(now)
	return s.blind, len(s.runs)
}

// Knows reports whether every run has had the time to report since this process first
// had a report about the source. Until then, missing reports do not end an outage that
// an earlier process found: its runs would be rolled back by whenBlind.
func (b *Breaker) Knows(source string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Sub(b.of(source, now).since) >= knowsAfter
}

// Forget drops a source that was deleted.
func (b *Breaker) Forget(source string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.sources, source)
}

func (b *Breaker) of(source string, now time.Time) *reports {
	s := b.sources[source]
	if s == nil {
		s = &reports{since: now, swept: now, runs: map[types.UID]report{}}
		b.sources[source] = s
	}
	return s
}

func (s *reports) add(run types.UID, is report) {
	if s.runs[run].blind {
		s.blind--
	}
	if is.blind {
		s.blind++
	}
	s.runs[run] = is
}

func (s *reports) sweep(now time.Time) {
	s.swept = now
	maps.DeleteFunc(s.runs, func(_ types.UID, is report) bool {
		old := now.Sub(is.at) > reportFor
		if old && is.blind {
			s.blind--
		}
		return old
	})
}

func isOutage(blind, runs int) bool { return blind >= outageRuns && 2*blind >= runs }

// outageMessage says what an outage means for the runs that query the source.
func outageMessage(blind, runs int) string {
	return fmt.Sprintf("%d of %d runs that query this source get no usable response: all of them hold, and whenBlind rolls none of them back", blind, runs)
}

// noOutage is the message when there is none. It must stay the same while numbers change.
var noOutage = fmt.Sprintf("no outage: it takes at least %d runs, and half of those that query this source, without a usable response", outageRuns)
