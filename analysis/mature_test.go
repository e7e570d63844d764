package analysis

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A cold start of 60 s in each pod, the second of which joins at 60 s, and one error a
// scrape after that.
func TestALedgerWithoutItsYouth(t *testing.T) {
	warmUps := []time.Duration{time.Minute, 90 * time.Second}
	var l Ledger
	a, b := Counts{}, Counts{}
	for second := 0; second <= 240; second += 15 {
		from := at(0)
		if second > 180 {
			from = at(180)
		}
		p := canary(second, readied(0, pod("a", second, a.Total, a.Bad)))
		p.WarmUps = warmUps
		if second >= 60 {
			p.Canary = append(p.Canary, readied(60, pod("b", second, b.Total, b.Bad)))
		}
		l = restored(t, l)
		l = l.Advance(p, from)
		for i, pod := range []*Counts{&a, &b} {
			bad := 1.0
			if second < 60+60*i {
				bad = 50
			}
			*pod = pod.Add(Counts{100, bad})
		}
	}
	type seen struct{ Canary, Stage, Minute Counts }
	want := map[time.Duration]seen{
		// a has 16 intervals and b 12, of which 4 are bad in each; the stage has 4 of each.
		0:                {Counts{2800, 8*50 + 20}, Counts{800, 8}, Counts{800, 8}},
		time.Minute:      {Counts{2000, 20}, Counts{800, 8}, Counts{800, 8}},
		90 * time.Second: {Counts{1600, 16}, Counts{800, 8}, Counts{800, 8}},
	}
	for warmUp, want := range want {
		m := l.Mature(warmUp)
		if diff := cmp.Diff(want, seen{m.Canary, m.Stage, m.Window(time.Minute)}); diff != "" {
			t.Errorf("after a warm-up of %s (-want +got):\n%s", warmUp, diff)
		}
	}
	for warmUp, want := range map[time.Duration]int{time.Minute: 2, 200 * time.Second: 1, 5 * time.Minute: 0} {
		if got := len(l.Mature(warmUp).Fresh); got != want {
			t.Errorf("%d fresh scrapes after a warm-up of %s, want %d", got, warmUp, want)
		}
	}
	if got := l.Mature(5 * time.Minute).Canary; got != (Counts{}) {
		t.Errorf("%v are said to be mature by a warm-up that no poll had", got)
	}
}
