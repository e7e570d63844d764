package controllers

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"encoding/json"

	clocktesting "k8s.io/utils/clock/testing"

	"belay.dev/belay/analysis"
)

// BenchmarkFleetPoll is one poll of all runs in progress: three indicators each,
// two pods each, asked of a fixture source over HTTP, counted and judged. The
// CPU time is the whole process's, with the fixture in it.
func BenchmarkFleetPoll(b *testing.B) {
	for _, runs := range []int{1, 100, 1000, 10_000} {
		b.Run(fmt.Sprint(runs), func(b *testing.B) {
			now := time.Now()
			f := newFleet(b, now)
			c := clocktesting.NewFakeClock(now)
			a := NewAsker(NewSources(nil, "belay", time.Hour), c, time.Second)
			source := f.source(1000)
			judge := analysis.Default(0.001, 3, 200)
			ledgers, states := make([]analysis.Ledger, 3*runs), make([]analysis.CombinedState, 3*runs)
			b.ReportAllocs()
			var asked, judged time.Duration
			for b.Loop() {
				before := cpu()
				replies := poll(b, a, c, source, runs, requests("errors"), requests("timeouts"), requests("lost"))
				between := cpu()
				// The fixture's samples do not age.
				c.SetTime(now)
				for i, own := range replies {
					for k, r := range own {
						if r.err != nil {
							b.Fatal(r.err)
						}
						n := 3*i + k
						ledgers[n] = ledgers[n].Advance(analysis.Poll{EvaluatedAt: r.at, Canary: r.pods[1:], Stable: r.pods[:1]}, now)
						states[n] = judge.Observe(states[n], ledgers[n])
						judge.Judge(states[n], ledgers[n])
					}
				}
				asked, judged = asked+between-before, judged+cpu()-between
			}
			state, err := json.Marshal(map[string]any{"ledger": ledgers[0], "evidence": states[0]})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(len(f.queries))/float64(b.N), "queries/poll")
			b.ReportMetric(float64(asked.Milliseconds())/float64(b.N), "ask-cpu-ms/poll")
			b.ReportMetric(float64(judged.Milliseconds())/float64(b.N), "judge-cpu-ms/poll")
			b.ReportMetric(float64(len(state)), "state-B/indicator")
		})
	}
}

// cpu is what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
