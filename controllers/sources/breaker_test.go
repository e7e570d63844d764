package sources

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"belay.dev/belay/api/v1alpha1"
)

func TestBreaker(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	see := func(b *Breaker, runs, blind int) {
		for i := range runs {
			b.Note("default", types.UID(fmt.Sprint(i)), i < blind, now)
		}
	}
	for name, tc := range map[string]struct {
		runs, blind int
		want        bool
	}{
		"nobody asks":         {0, 0, false},
		"two runs, both":      {2, 2, false},
		"three runs, all":     {3, 3, true},
		"half of many":        {10, 5, true},
		"fewer than half":     {10, 4, false},
		"one of a thousand":   {1000, 1, false},
		"all of a thousand":   {1000, 1000, true},
		"everybody sees well": {10, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBreaker()
			see(b, tc.runs, tc.blind)
			if got := isOutage(b.Blind("default", now)); got != tc.want {
				t.Errorf("outage %v, want %v", got, tc.want)
			}
			if got := isOutage(b.Blind("other", now)); got {
				t.Error("another source is out, too")
			}
		})
	}
}

// TestBreakerTellsOnceAndForgets: the source is told when its outage begins and
// when it ends, not at every poll; runs that no longer ask do not count.
func TestBreakerTellsOnceAndForgets(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	b := NewBreaker()
	poll := func(blind bool) {
		now = now.Add(15 * time.Second)
		for i := range 5 {
			b.Note("default", types.UID(fmt.Sprint(i)), blind, now)
		}
	}
	for _, blind := range []bool{false, true, true, true, false, false} {
		poll(blind)
	}
	if got := len(b.Changed); got != 2 {
		t.Errorf("told %d times, want once when it began and once when it ended", got)
	}
	poll(true)
	if _, runs := b.Blind("default", now.Add(reportFor+time.Second)); runs != 0 {
		t.Errorf("%d runs remembered that ask no more", runs)
	}
}

// TestAnOutageOutlivesTheControllerThatFoundIt: a new process has seen no run
// yet. Until all of them have had the time to ask, what the source's status says
// goes on, or the runs would be rolled back for being blind.
func TestAnOutageOutlivesTheControllerThatFoundIt(t *testing.T) {
	c := clocktesting.NewFakeClock(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))
	source := &v1alpha1.MetricSource{}
	source.Name = "default"
	found := &Reconciler{Breaker: NewBreaker(), Clock: c}
	for i := range 3 {
		found.Breaker.Note("default", types.UID(fmt.Sprint(i)), true, c.Now())
	}
	out := func(r *Reconciler) bool {
		r.setOutage(source)
		return meta.IsStatusConditionTrue(source.Status.Conditions, v1alpha1.ConditionOutage)
	}
	if !out(found) {
		t.Fatal("three blind runs are no outage")
	}
	next := &Reconciler{Breaker: NewBreaker(), Clock: c}
	if !out(next) {
		t.Error("the next process ends the outage before it has heard of any run")
	}
	next.Breaker.Note("default", "0", true, c.Now())
	c.Step(knowsAfter - time.Second)
	if !out(next) {
		t.Error("one run's word ends the outage")
	}
	c.Step(time.Second)
	if out(next) {
		t.Error("the outage goes on though only one run is blind")
	}
}

// TestASightReplacesTheLast: a run counts once, as what it saw last.
func TestASightReplacesTheLast(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	b := NewBreaker()
	for _, blind := range []bool{true, true, false, true} {
		b.Note("default", "a", blind, now)
	}
	b.Note("default", "b", false, now)
	if blind, runs := b.Blind("default", now); blind != 1 || runs != 2 {
		t.Errorf("%d of %d blind, want 1 of 2", blind, runs)
	}
	if blind, runs := b.Blind("default", now.Add(reportFor+time.Second)); blind != 0 || runs != 0 {
		t.Errorf("%d of %d are left of runs that ask no more", blind, runs)
	}
}
