package analysis

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var start = time.Date(2026, time.November, 24, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// pod is a counter sampled at the second given.
func pod(name string, second int, total, bad float64) PodCounter {
	return PodCounter{Pod: name, Counts: Counts{total, bad}, SampledAt: at(second)}
}

func canary(second int, pods ...PodCounter) Poll {
	return Poll{EvaluatedAt: at(second), Canary: pods}
}

func both(second int, c, s PodCounter) Poll {
	return Poll{EvaluatedAt: at(second), Canary: []PodCounter{c}, Stable: []PodCounter{s}}
}

// born is a poll in which the candidate's pods of a later one have served nothing yet.
func born(p Poll) Poll {
	var pods []PodCounter
	for _, c := range p.Canary {
		pods = append(pods, pod(c.Pod, 0, 0, 0))
	}
	return canary(0, pods...)
}

// replay is the ledger after polls of a candidate whose pods were ready at second 0.
func replay(polls ...Poll) Ledger {
	l := Ledger{}.Advance(born(polls[0]), start)
	for _, p := range polls {
		l = l.Advance(p, start)
	}
	return l
}

func TestLedgerCounts(t *testing.T) {
	cases := map[string]struct {
		polls                  []Poll
		wantCanary, wantStable Counts
		wantPolls              int
	}{
		"every pod counts from its baseline": {
			polls: []Poll{
				both(5, pod("c", 4, 100, 2), pod("s", 4, 9000, 9)),
				both(10, pod("c", 9, 150, 3), pod("s", 9, 9400, 10)),
			},
			wantCanary: Counts{150, 3}, wantStable: Counts{400, 1}, wantPolls: 2,
		},
		"a stable pod that the first polls missed brings no history": {
			polls: []Poll{
				both(5, pod("c", 4, 1, 0), pod("s1", 4, 10, 0)),
				both(10, pod("c", 9, 2, 0), pod("s2", 9, 1e9, 5e6)),
				both(15, pod("c", 14, 3, 0), pod("s2", 14, 1e9+7, 5e6+1)),
			},
			wantCanary: Counts{3, 0}, wantStable: Counts{7, 1}, wantPolls: 3,
		},
		"a canary pod that joins later counts from its baseline too": {
			polls:      []Poll{canary(5, pod("a", 4, 10, 1)), canary(10, pod("a", 9, 20, 1), pod("b", 9, 7, 2)), canary(15, pod("a", 9, 20, 1), pod("b", 14, 17, 3))},
			wantCanary: Counts{30, 2}, wantPolls: 3,
		},
		"a counter that fell counts from its new value": {
			polls:      []Poll{canary(5, pod("a", 4, 100, 10)), canary(10, pod("a", 9, 30, 1)), canary(15, pod("a", 14, 50, 2))},
			wantCanary: Counts{120, 11}, wantPolls: 3,
		},
		"a counter that fell and came back was incomplete": {
			polls:      []Poll{canary(5, pod("a", 4, 2000, 20)), canary(10, pod("a", 9, 1010, 10)), canary(15, pod("a", 14, 2040, 21))},
			wantCanary: Counts{2040, 21}, wantPolls: 3,
		},
		"a target that is missing for three polls, of a pod that is no younger": {
			polls: []Poll{
				canary(5, pod("a", 4, 2000, 20)), canary(10, pod("a", 9, 1010, 10)), canary(15, pod("a", 14, 1020, 10)),
				canary(20, pod("a", 19, 1030, 10)), canary(25, pod("a", 24, 2080, 22)),
			},
			wantCanary: Counts{2080, 22}, wantPolls: 5,
		},
		"two replicas without sample times, one of which lags": {
			polls: []Poll{
				canary(15, pod("a", 15, 1000, 9)), canary(30, pod("a", 30, 850, 8)), canary(45, pod("a", 45, 950, 9)),
				canary(60, pod("a", 60, 1300, 9)), canary(75, pod("a", 75, 1150, 9)),
			},
			wantCanary: Counts{1300, 9}, wantPolls: 5,
		},
		"a bad row that is missing for some polls": {
			polls: []Poll{
				canary(5, pod("a", 4, 1000, 5)), canary(10, pod("a", 9, 2000, 0)), canary(15, pod("a", 14, 2500, 0)),
				canary(20, pod("a", 19, 2800, 0)), canary(25, pod("a", 24, 3000, 6)),
			},
			wantCanary: Counts{3000, 6}, wantPolls: 5,
		},
		"a restart after which total has overtaken its old value": {
			polls: []Poll{
				canary(5, pod("a", 4, 100, 10)), canary(10, pod("a", 9, 120, 1)), canary(15, pod("a", 14, 140, 1)),
				canary(20, pod("a", 19, 160, 2)), canary(25, pod("a", 24, 180, 2)),
			},
			wantCanary: Counts{180, 11}, wantPolls: 5,
		},
		"one fallen sample that is polled again and again stays one": {
			polls:      []Poll{canary(5, pod("a", 4, 100, 1)), canary(6, pod("a", 5, 50, 1)), canary(7, pod("a", 5, 50, 1)), canary(8, pod("a", 5, 50, 1))},
			wantCanary: Counts{100, 1}, wantPolls: 4,
		},
		"a pod that restarts twice": {
			polls: []Poll{
				canary(5, pod("a", 4, 100, 1)), canary(10, pod("a", 9, 50, 1)), canary(15, pod("a", 14, 20, 1)), canary(20, pod("a", 19, 30, 1)),
			},
			wantCanary: Counts{110, 1}, wantPolls: 4,
		},
		"more new errors than new requests are of earlier requests": {
			polls:      []Poll{canary(5, pod("a", 4, 10, 0)), canary(10, pod("a", 9, 15, 15))},
			wantCanary: Counts{15, 15}, wantPolls: 2,
		},
		"a dead pod keeps what it served and adds nothing": {
			polls: []Poll{
				canary(5, pod("a", 4, 100, 9), pod("b", 4, 100, 0)), canary(10, pod("a", 9, 120, 20), pod("b", 9, 150, 0)),
				canary(15, pod("a", 9, 120, 20), pod("b", 14, 200, 0)), canary(330, pod("b", 329, 300, 1)),
			},
			wantCanary: Counts{420, 21}, wantPolls: 4,
		},
		"a bad series born late counts from zero": {
			polls:      []Poll{canary(5, pod("a", 4, 100, 0)), canary(10, pod("a", 9, 200, 5))},
			wantCanary: Counts{200, 5}, wantPolls: 2,
		},
		"a pod that vanishes and returns loses and repeats nothing": {
			polls:      []Poll{canary(5, pod("a", 4, 100, 1)), canary(10), canary(15), canary(20, pod("a", 19, 180, 4))},
			wantCanary: Counts{180, 4}, wantPolls: 4,
		},
		"a pod that is gone keeps what it served": {
			polls:      []Poll{canary(5, pod("a", 4, 100, 1)), canary(10, pod("b", 9, 5, 0)), canary(15, pod("b", 14, 9, 0))},
			wantCanary: Counts{104, 1}, wantPolls: 3,
		},
		"a poll repeated changes nothing": {
			polls:      []Poll{canary(5, pod("a", 4, 10, 1)), canary(5, pod("a", 4, 10, 1)), canary(5, pod("a", 5, 999, 999))},
			wantCanary: Counts{10, 1}, wantPolls: 1,
		},
		"a poll from the past changes nothing": {
			polls:      []Poll{canary(10, pod("a", 9, 10, 1)), canary(5, pod("b", 4, 99, 9))},
			wantCanary: Counts{10, 1}, wantPolls: 1,
		},
		"polls between two scrapes see one scrape": {
			polls:      []Poll{canary(5, pod("a", 4, 10, 1)), canary(6, pod("a", 4, 10, 1)), canary(7, pod("a", 4, 10, 1))},
			wantCanary: Counts{10, 1}, wantPolls: 3,
		},
		"a lost poll is in the next delta": {
			polls:      []Poll{canary(5, pod("a", 4, 10, 1)), canary(60, pod("a", 59, 500, 3))},
			wantCanary: Counts{500, 3}, wantPolls: 2,
		},
		"a replica that lags is no reset": {
			polls:      []Poll{canary(5, pod("a", 4, 100, 5)), canary(10, pod("a", 2, 60, 3)), canary(15, pod("a", 14, 140, 6))},
			wantCanary: Counts{140, 6}, wantPolls: 3,
		},
		"a sample without a time counts once": {
			polls: []Poll{
				canary(5, PodCounter{Pod: "a", Counts: Counts{10, 1}}),
				canary(10, PodCounter{Pod: "a", Counts: Counts{20, 2}}),
				canary(15, pod("a", 14, 30, 3)),
			},
			wantCanary: Counts{30, 3}, wantPolls: 3,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			l := replay(c.polls...)
			got := []any{l.Canary, l.Stable, l.Polls - 1}
			want := []any{c.wantCanary, c.wantStable, c.wantPolls}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("canary, stable, polls (-want +got):\n%s", diff)
			}
			if got := l.touching(time.Hour); got != c.wantCanary {
				t.Errorf("the bins sum to %v, want %v", got, c.wantCanary)
			}
		})
	}
}

// Answers with holes: pods that are missing, pods of which one of two targets or
// the bad row is missing for a sample, and restarts between. What is counted is
// never more than what was served, and in the end no less than that but for what
// a restart took along.
func TestLedgerStageCountsFromEachPodsFirstSampleAfterItsStart(t *testing.T) {
	l := Ledger{}.Advance(canary(5, pod("a", 4, 100, 9)), at(0))
	if want := (Counts{}); l.Stage != want {
		t.Errorf("the first poll of a stage counts %v, want %v: it may hold requests from before", l.Stage, want)
	}
	l = l.Advance(canary(10, pod("a", 9, 150, 10)), at(0))
	if want := (Counts{50, 1}); l.Stage != want {
		t.Errorf("stage = %v, want %v", l.Stage, want)
	}
	l = l.Advance(canary(15, pod("a", 14, 180, 11)), at(12))
	l = l.Advance(canary(20, pod("a", 19, 200, 12)), at(12))
	if want := (Counts{20, 1}); l.Stage != want || !l.StageFrom.Equal(at(12)) {
		t.Errorf("stage = %v from %v, want %v from %v", l.Stage, l.StageFrom, want, at(12))
	}
	// The sample of the poll after the stage's start is from before it.
	l = l.Advance(canary(35, pod("a", 22, 300, 13)), at(30))
	l = l.Advance(canary(50, pod("a", 37, 400, 20), pod("b", 37, 9, 9)), at(30))
	if l.Stage != (Counts{}) {
		t.Errorf("stage = %v, want nothing: it reaches back to the sample before the stage", l.Stage)
	}
	l = l.Advance(canary(65, pod("a", 52, 450, 21), pod("b", 52, 19, 9)), at(30))
	if want := (Counts{60, 1}); l.Stage != want {
		t.Errorf("stage = %v, want %v", l.Stage, want)
	}
}

func TestLedgerContinuesFromItsJSON(t *testing.T) {
	polls := []Poll{
		both(5, pod("c", 4, 10, 1), pod("s", 4, 1000, 1)),
		both(10, pod("c", 9, 20, 1), pod("s", 9, 1500, 2)),
		both(15, pod("c", 14, 5, 1), pod("s", 14, 900, 2)),
		both(16, pod("c", 14, 5, 1), pod("s", 15, 901, 2)),
		both(20, pod("c", 19, 40, 3), pod("s", 19, 2100, 4)),
	}
	stored := Ledger{}.Advance(born(polls[0]), start)
	for _, p := range polls {
		stored = restored(t, stored)
		stored = stored.Advance(p, start)
	}
	if diff := cmp.Diff(replay(polls...), stored, cmp.AllowUnexported(lastCounter{})); diff != "" {
		t.Errorf("a ledger stored between polls differs (-kept +stored):\n%s", diff)
	}
}

func TestLedgerAdvanceLeavesItsReceiverAlone(t *testing.T) {
	l := replay(canary(5, pod("a", 4, 10, 1)))
	before, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	l.Advance(canary(10, pod("a", 9, 20, 2), pod("b", 9, 1, 0)), at(8))
	after, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Errorf("Advance changed its receiver:\n%s\n%s", before, after)
	}
}

// After a long silence every pod is old, also those that have just answered.
func TestLedgerBinsAreBoundedAndLoseNothing(t *testing.T) {
	l := Ledger{}.Advance(canary(0, pod("a", 0, 0, 0)), start)
	const polls = 20_000
	for i := 1; i <= polls; i++ {
		l = l.Advance(canary(i, pod("a", i, float64(10*i), float64(i))), start)
		if len(l.Bins) > maxBins {
			t.Fatalf("%d bins after %d polls, at most %d are allowed", len(l.Bins), i, maxBins)
		}
	}
	if want := (Counts{10 * polls, polls}); l.Window(24*time.Hour) != want {
		t.Errorf("the bins hold %v, want %v", l.Window(24*time.Hour), want)
	}
	for _, seconds := range []float64{20, 60, 300, 3600, 3 * 3600} {
		got := l.Window(time.Duration(seconds) * time.Second)
		if most, least := 10*(seconds+grace.Seconds()), 10*seconds*(1-1.0/resolution); got.Total > most || got.Total < least {
			t.Errorf("%v s hold %v requests, want between %v and %v", seconds, got.Total, least, most)
		}
	}
}

func TestLedgerWindowTakesWhatBeganInIt(t *testing.T) {
	l := replay(canary(10, pod("a", 9, 10, 1)), canary(20, pod("a", 19, 30, 2)), canary(30, pod("a", 29, 60, 3)))
	cases := map[time.Duration]Counts{
		10 * time.Second: {30, 1},
		11 * time.Second: {30, 1},
		// A poll may come a little late.
		19 * time.Second: {50, 2},
		20 * time.Second: {50, 2},
		time.Hour:        {60, 3},
		0:                {},
	}
	for window, want := range cases {
		if got := l.Window(window); got != want {
			t.Errorf("window %s = %v, want %v", window, got, want)
		}
	}
}

func TestAPodWhoseCountersCannotBeUsedIsLeftOut(t *testing.T) {
	cases := map[string]struct {
		counts Counts
		want   string
	}{
		"counts":              {Counts{10, 10}, ""},
		"none":                {Counts{}, ""},
		"more bad than total": {Counts{10, 11}, "subset"},
		"bad before total":    {Counts{0, 1}, "subset"},
		"NaN total":           {Counts{math.NaN(), 0}, "finite"},
		"NaN bad":             {Counts{1, math.NaN()}, "finite"},
		"infinite total":      {Counts{math.Inf(1), 0}, "finite"},
		"negative bad":        {Counts{1, -1}, "finite"},
		"negative total":      {Counts{-1, 0}, "finite"},
		// count * (1 - fraction) of a native histogram.
		"rounded below 0":       {Counts{1e6, -1e-10}, ""},
		"rounded above total":   {Counts{1e6, 1e6 + 1e-10}, ""},
		"rounded, of one":       {Counts{1, 1 + 1e-15}, ""},
		"one more, of a lot":    {Counts{1e6, 1e6 + 1}, "subset"},
		"one less, of a lot":    {Counts{1e6, -1}, "finite"},
		"as good as none of it": {Counts{0, 1e-15}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			odd := PodCounter{Pod: "odd", Counts: c.counts, SampledAt: at(19)}
			if got := odd.Fault(); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("fault %q, want %q", got, c.want)
			}
			first := both(5, pod("c", 4, 10, 1), pod("s", 4, 100, 1))
			p := both(20, pod("c", 19, 30, 2), pod("s", 19, 300, 2))
			first.Canary, first.Stable = append(first.Canary, pod("odd", 4, 0, 0)), append(first.Stable, pod("odd2", 4, 0, 0))
			p.Canary = append(p.Canary, odd)
			odd.Pod = "odd2"
			p.Stable = append(p.Stable, odd)
			l := Ledger{}.Advance(first, start).Advance(p, start)
			more, unusable := Counts{}, 1
			if c.want == "" {
				more, unusable = c.counts.rounded(), 0
			}
			if l.Canary != (Counts{20, 1}).Add(more) || l.Stable != (Counts{200, 1}).Add(more) || l.Unusable != unusable || !l.EvaluatedAt.Equal(at(20)) {
				t.Errorf("counted %v and %v, %d unusable", l.Canary, l.Stable, l.Unusable)
			}
			if l.Canary.Bad < 1 || !l.Canary.sound() {
				t.Errorf("%v are not counts", l.Canary)
			}
			if note := p.LeftOut(); (note != "") != (c.want != "") || c.want != "" && !strings.HasPrefix(note, "pods left out: 2 (pod ") {
				t.Errorf("left out: %q", note)
			}
		})
	}
}

// Stable serves nothing, or it counts what cannot be used: who knows.
func TestAPodWhoseCountersCannotBeUsedIsNotIdle(t *testing.T) {
	q := Quality{ScrapeInterval: 5 * time.Second, ReadyPods: 1, Weight: 5}
	p := both(5, pod("c", 4, 10, 1), pod("s", 4, 0, 0))
	if l := (Ledger{}).Advance(p, start); !q.knowsSilence(l) {
		t.Error("every pod of stable serves nothing, and that is not known")
	}
	p.Stable = append(p.Stable, pod("odd", 4, 0, 1))
	if l := (Ledger{}).Advance(p, start); q.knowsSilence(l) {
		t.Error("a pod of stable has served nobody knows what, and that is silence")
	}
}
