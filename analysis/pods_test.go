package analysis

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestLedgerNeverCountsMoreThanWasServed(t *testing.T) {
	const pods, polls = 5, 400
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var l Ledger
		var served, lost Counts
		now, shown, holed := [pods]Counts{}, [pods]Counts{}, [pods]bool{}
		for i := 1; i <= polls; i++ {
			p := canary(5 * i)
			for k := range pods {
				d := Counts{Total: float64(10 + rng.IntN(10)), Bad: float64(rng.IntN(4))}
				if !holed[k] && i > 10 && rng.IntN(60) == 0 {
					lost, now[k], shown[k] = lost.Add(now[k].minus(shown[k])), Counts{}, Counts{}
				}
				served, now[k] = served.Add(d), now[k].Add(d)
				seen, whole := now[k], holed[k] || i == polls || i <= 10
				switch fault := rng.IntN(12); {
				case whole || fault > 2:
					holed[k], shown[k] = false, now[k]
				case fault == 0:
					continue
				case fault == 1:
					seen, holed[k] = Counts{now[k].Total, 0}, now[k].Bad > 0
				default:
					seen, holed[k] = Counts{math.Floor(now[k].Total / 2), math.Floor(now[k].Bad / 2)}, true
				}
				p.Canary = append(p.Canary, pod(fmt.Sprint(k), 5*i-1, seen.Total, seen.Bad))
			}
			l = l.Advance(p, start)
			if l.Canary.Total > served.Total || l.Canary.Bad > served.Bad {
				t.Fatalf("seed %d, poll %d: counted %v of %v", seed, i, l.Canary, served)
			}
		}
		if short := served.minus(l.Canary); short.Total > lost.Total+0.04*served.Total {
			t.Errorf("seed %d: counted %v of %v, restarts took %v", seed, l.Canary, served, lost)
		}
	}
}

func TestLedgerNeverCountsAPodItCannotRemember(t *testing.T) {
	crowd := func(second int, total float64) Poll {
		p := canary(second)
		for i := range maxPods + 50 {
			p.Canary = append(p.Canary, pod(fmt.Sprintf("p%d", i), second, total, 0))
		}
		return p
	}
	l := replay(crowd(5, 10), crowd(10, 11), crowd(15, 12))
	if want := (Counts{12 * maxPods, 0}); l.Canary != want || len(l.Pods) != maxPods || l.Unheld != 50 {
		t.Errorf("counted %v on %d pods, %d unheld; want %v on %d, and 50", l.Canary, len(l.Pods), l.Unheld, want, maxPods)
	}
	if v, ok := l.Answers(canary(15)); ok || v.Reason != TooManySeries {
		t.Errorf("judged as %s, want %s", v.Reason, TooManySeries)
	}
	if l = l.Advance(canary(20, pod("p0", 20, 20, 0)), start); l.Unheld != 0 {
		t.Errorf("%d unheld of one pod", l.Unheld)
	}
	if v, ok := l.Answers(canary(20)); !ok {
		t.Errorf("a poll that is held: %s", v.Message)
	}
	if v, ok := l.Answers(canary(19)); ok || v.Reason != Stale {
		t.Errorf("a ledger that is newer than the response: %s, want %s", v.Reason, Stale)
	}
}

func TestLedgerForgetsNoPodThatIsInThePoll(t *testing.T) {
	crowd := func(second int, total, bad float64) Poll {
		p := canary(second)
		for i := range maxPods/2 + 10 {
			p.Canary = append(p.Canary, pod(fmt.Sprintf("c%d", i), second, total, bad))
		}
		return p
	}
	l := replay(crowd(5, 1000, 3), crowd(20, 1010, 3), crowd(20+20*60, 1100, 3))
	if want := (Counts{1100 * (maxPods/2 + 10), 3 * (maxPods/2 + 10)}); l.Canary != want {
		t.Errorf("counted %v, want %v", l.Canary, want)
	}
}

func TestAPodInDoubtHoldsAPass(t *testing.T) {
	l := replay(canary(5, pod("a", 4, 1000, 5), pod("b", 4, 10, 0)), canary(10, pod("a", 9, 2000, 0), pod("b", 9, 20, 0)))
	q := Quality{ScrapeInterval: 5 * time.Second, ReadyPods: 2, Weight: 100}
	if v, ok := q.JudgeShare(l, 1); ok || v.Reason != PartialCoverage {
		t.Errorf("%s, want %s", v.Reason, PartialCoverage)
	}
	l = l.Advance(canary(60, pod("b", 59, 90, 0)), start)
	if v, ok := q.JudgeShare(l, 1); !ok {
		t.Errorf("%s of a pod that has ended", v.Reason)
	}
}

func TestLedgerMakesRoomForNewPodsWhenOldOnesHaveEnded(t *testing.T) {
	var l Ledger
	var want Counts
	second := 0
	for generation := range 6 {
		second += int(forgetAfter/time.Second) + 60
		for i := range 2 {
			p := canary(second + i)
			for k := range maxPods / 2 {
				p.Canary = append(p.Canary, pod(fmt.Sprintf("g%d-p%d", generation, k), second+i, float64(10*i), float64(i)))
			}
			l = l.Advance(p, start)
		}
		want = want.Add(Counts{10 * maxPods / 2, maxPods / 2})
	}
	if l.Canary != want || len(l.Pods) > maxPods {
		t.Errorf("counted %v on %d pods, want %v on at most %d", l.Canary, len(l.Pods), want, maxPods)
	}
}
