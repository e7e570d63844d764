package main

import (
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"belay.dev/belay/analysis"
)

// pollEvery is Belay's: as often as the source scrapes.
const pollEvery = scrapeEvery

// clock is the moment a second of the simulation stands for.
func clock(second float64) time.Time {
	return time.UnixMilli(1_700_000_000_000 + int64(math.Round(second*1000)))
}

// poll is what Belay's query answers at a second.
func (w world) poll(now float64) analysis.Poll {
	return analysis.Poll{
		EvaluatedAt: clock(now), Canary: newest("c", w.canary, now), Stable: newest("s", w.stable, now),
		ScrapeInterval: scrapeEvery * time.Second,
	}
}

func newest(name string, pods [][]sample, now float64) []analysis.PodCounter {
	var out []analysis.PodCounter
	for i, samples := range pods {
		for k := len(samples) - 1; k >= 0; k-- {
			if s := samples[k]; s.at <= now {
				out = append(out, analysis.PodCounter{
					Pod:    name + strconv.Itoa(i),
					Counts: analysis.Counts{Total: s.total, Bad: s.bad}, SampledAt: clock(s.at),
				})
				break
			}
		}
	}
	return out
}

// belay polls a run into a ledger and asks a judge after every poll. The judge
// returned by start keeps the state of one run.
func belay(start func() func(analysis.Ledger) analysis.Verdict) judge {
	return func(o *observed, _ *rand.Rand) float64 {
		ask := start()
		var l analysis.Ledger
		for now := 0.0; now <= runFor; now += pollEvery {
			l = l.Advance(o.poll(now), clock(0))
			if ask(l).Outcome() == analysis.Fail {
				return now
			}
		}
		return never
	}
}

// belayBurn is the burn trigger with the API's defaults.
func belayBurn() func(analysis.Ledger) analysis.Verdict {
	return analysis.Burn{Budget: budget, Rate: 14.4, Long: 5 * time.Minute, Short: time.Minute}.Judge
}

func belayRegression() func(analysis.Ledger) analysis.Verdict {
	r := analysis.Regression{Budget: budget, Worse: 1.5, Allowed: 2, Alpha: 0.001}
	var s analysis.RegressionState
	return func(l analysis.Ledger) analysis.Verdict {
		s = r.Observe(s, l)
		return r.Judge(s, l)
	}
}

func belayDefault() func(analysis.Ledger) analysis.Verdict {
	d := analysis.Default(budget, 1, 0)
	// Every load leaves a part to stable; how large it is makes no difference.
	d.Given(analysis.Quality{ScrapeInterval: scrapeEvery * time.Second, ReadyPods: canaryPods, Weight: 20}, 0, "")
	var s analysis.CombinedState
	return func(l analysis.Ledger) analysis.Verdict {
		s = d.Observe(s, l)
		return d.Judge(s, l)
	}
}

// naive is the fixed-sample test that peeking breaks: a one-sided z-test of two
// proportions at 5 % on the counts so far.
func naive() func(analysis.Ledger) analysis.Verdict {
	return func(l analysis.Ledger) analysis.Verdict {
		c, s := l.Canary, l.Stable
		pooled := c.Add(s).Ratio()
		deviation := math.Sqrt(pooled * (1 - pooled) * (1/c.Total + 1/s.Total))
		if c.Total > 0 && s.Total > 0 && deviation > 0 && (c.Ratio()-s.Ratio())/deviation > 1.645 {
			return analysis.Verdict{Reason: analysis.RegressionFound}
		}
		return analysis.Verdict{Reason: analysis.Healthy}
	}
}
