package sources

import (
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"belay.dev/belay/analysis"
	"belay.dev/belay/controllers/plan"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources/sourcestest"
)

// TestAnHourWithoutTheSource: a thousand runs ask a source that answers 503 for
// an hour of polls. Each poll is an Error for each of them, which holds; the
// breaker is open; nothing grows; and the first answer serves all of them again.
func TestAnHourWithoutTheSource(t *testing.T) {
	const runs, every = 1000, 15 * time.Second
	now := time.Now()
	f := newFleet(t, now)
	var down atomic.Bool
	inner := f.Config.Handler
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		inner.ServeHTTP(w, r)
	})
	c := clocktesting.NewFakeClock(now)
	a, breaker := NewQuerier(NewClients(nil, "belay", 100*time.Hour), c, time.Second), NewBreaker()
	source := f.source(10_000)
	look := func(at time.Time) (answered int) {
		for run, own := range poll(t, a, c, source, runs, sourcestest.Requests("errors")) {
			breaker.Note(source.Name, types.UID(rune(run)), own[0].Err != nil, at)
			if own[0].Err == nil {
				answered++
				continue
			}
			if o := own[0].Err.Reason.Outcome(); o != analysis.Error {
				t.Fatalf("without the source a run is %s", o)
			}
		}
		return answered
	}
	if got := look(now); got != runs {
		t.Fatalf("%d of %d runs are answered before the outage", got, runs)
	}
	down.Store(true)
	look(now)
	before := heap()
	for poll := range int(time.Hour / every) {
		if got := look(now.Add(time.Duration(poll) * every)); got != 0 {
			t.Fatalf("%d runs got an answer from a source that is down", got)
		}
	}
	if grown := heap() - before; grown > 2<<20 {
		t.Errorf("the heap grew by %d KiB in an hour's outage", grown>>10)
	}
	if !isOutage(breaker.Blind(source.Name, now.Add(time.Hour))) {
		t.Error("the breaker does not know of the outage")
	}
	blind := plan.Armed{Guardrail: "shop", Trigger: "errors", Blind: v1alpha1.WhenBlind{Then: v1alpha1.Hold}, Verdict: &v1alpha1.TriggerAnalysis{Outcome: v1alpha1.VerdictError, Reason: string(analysis.HTTP5xx)}}
	if v := plan.Sum([]plan.Armed{blind}, now, now.Add(time.Hour)); v.Outcome == v1alpha1.VerdictPass || v.Outcome == v1alpha1.VerdictFail || v.BlindRollback {
		t.Errorf("an hour's outage decides: %+v", v)
	}
	down.Store(false)
	c.SetTime(now)
	if got := look(now.Add(time.Hour)); got != runs {
		t.Errorf("%d of %d runs are answered when the source is back", got, runs)
	}
	if isOutage(breaker.Blind(source.Name, now.Add(time.Hour))) {
		t.Error("the breaker stays open")
	}
}

// heap is what is in use after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
