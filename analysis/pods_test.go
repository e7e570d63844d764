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
	if v, ok := q.JudgeShare(l); ok || v.Reason != PartialCoverage {
		t.Errorf("%s, want %s", v.Reason, PartialCoverage)
	}
	l = l.Advance(canary(60, pod("b", 59, 90, 0)), start)
	if v, ok := q.JudgeShare(l); !ok {
		t.Errorf("%s of a pod that has ended", v.Reason)
	}
}

// A Deployment is promoted 200 pods at a time: each new pod takes the place of an old one.
// Half of maxPods is of each version.
func TestLedgerMakesRoomForNewPods(t *testing.T) {
	for _, n := range []int{1000, maxPods / 2} {
		var l Ledger
		var want Counts
		for second := 0; second <= 1500; second += 60 {
			p := canary(second)
			rolled := min(n, 200*max(0, second-60)/60)
			for i := range n {
				switch served := float64(second); {
				case i >= rolled:
					p.Stable = append(p.Stable, pod(fmt.Sprintf("s%d", i), second, served, 0))
				default:
					p.Canary = append(p.Canary, pod(fmt.Sprintf("d%d", i), second, served, 1))
				}
			}
			for i := range n / 10 {
				p.Canary = append(p.Canary, pod(fmt.Sprintf("c%d", i), second, float64(second), 0))
			}
			if second > 0 {
				want.Total += 60 * float64(n/10+min(n, 200*max(0, second-120)/60))
			}
			l = l.Advance(p, start)
			if v, ok := l.Answers(p); !ok {
				t.Fatalf("%d pods, second %d: %s %s", n, second, v.Reason, v.Message)
			}
			if len(l.Pods) > maxPods {
				t.Fatalf("%d pods are held", len(l.Pods))
			}
		}
		if l.Canary != want {
			t.Errorf("%d pods: counted %v, want %v", n, l.Canary, want)
		}
	}
}

func TestLedgerDropsFirstWhatIsLongestGone(t *testing.T) {
	crowd := func(second int, names ...string) Poll {
		p := canary(second)
		for _, name := range names {
			p.Canary = append(p.Canary, pod(name, second, float64(second), 0))
		}
		return p
	}
	all := make([]string, maxPods-2)
	for i := range all {
		all[i] = fmt.Sprint("p", i)
	}
	l := Ledger{}.Advance(crowd(5, "old"), start).Advance(crowd(10, "younger"), start).Advance(crowd(15, all...), start)
	l = l.Advance(crowd(20, append(all[1:], "new")...), start)
	for name, want := range map[string]bool{"old": false, "younger": true, "p0": true, "new": true} {
		if _, kept := l.Pods[name]; kept != want {
			t.Errorf("%s is kept: %v, want %v", name, kept, want)
		}
	}
}

func TestALedgerWithoutItsPodsGoesOn(t *testing.T) {
	l := replay(canary(5, pod("a", 4, 10, 1)), canary(20, pod("a", 19, 20, 1)))
	l = l.WithoutPods().Advance(canary(35, pod("a", 34, 35, 9)), start).Advance(canary(50, pod("a", 49, 50, 9)), start)
	if want := (Counts{35, 1}); l.Canary != want {
		t.Errorf("counted %v, want %v: all but what came before the baseline", l.Canary, want)
	}
}
