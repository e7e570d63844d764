package main

import (
	"math"
	"math/rand/v2"
	"time"

	"belay.dev/belay/analysis"
)

// slowestPoll is the controller's: a run is polled as often as its source scrapes, and
// at least this often, in seconds.
const slowestPoll = 15

// clock is the moment a second of the simulation stands for.
func clock(second float64) time.Time {
	return time.UnixMilli(1_700_000_000_000 + int64(math.Round(second*1000)))
}

// rule judges a ledger as a trigger of the API does, from poll to poll.
type rule interface {
	judge(l analysis.Ledger, q analysis.Quality) analysis.Outcome
	// skip is told of a ledger whose poll does not suffice for a verdict.
	skip(l analysis.Ledger, q analysis.Quality)
}

// belay polls a run into a ledger as controllers/judge does, and asks the rule that
// start returns after every poll.
func belay(start func(s *scenario) rule) judge {
	return func(w *world, s *scenario, _ *rand.Rand) float64 {
		asked := start(s)
		var l analysis.Ledger
		seen := newPoll(w)
		seen.counted.WarmUps = []time.Duration{s.warmsUp()}
		for now := w.firstPoll; now < w.length; now += min(w.scrape, slowestPoll) {
			seen.at(w, now)
			l = l.Advance(seen.counted, w.stage(now))
			quality := analysis.Quality{
				ScrapeInterval: seconds(w.scrape), ReadyPods: seen.ready, Weight: int(100*w.share(now) + 0.5),
			}
			_, fresh := quality.Judge(seen.judged)
			if _, ok := l.Answers(seen.judged); !ok || !fresh {
				asked.skip(l, quality)
				continue
			}
			if asked.judge(l, quality) == analysis.Fail {
				return now
			}
		}
		return never
	}
}

// defaultWarmUp is the API's, in seconds.
const defaultWarmUp = 60

// warmsUp is the guardrail's warm-up.
func (s *scenario) warmsUp() time.Duration {
	if s.warmUp > 0 {
		return seconds(s.warmUp)
	}
	return defaultWarmUp * time.Second
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// stage is when the weight that counts at a second was acknowledged.
func (w *world) stage(second float64) time.Time {
	var from time.Time
	for _, step := range w.weights {
		if second >= step.from {
			from = clock(step.from)
		}
	}
	return from
}

// poll is what the controller makes of a response: counted is everything that the run
// has served, judged of the candidate only the pods that are ready.
type poll struct {
	counted, judged analysis.Poll
	ready           int
}

// newPoll begins to poll a run from its start.
func newPoll(w *world) *poll {
	for _, side := range []*side{&w.canary, &w.stable} {
		for i := range side.pods {
			side.pods[i].newest = -1
		}
	}
	return &poll{}
}

// at is the poll at a second, later than the one before.
func (p *poll) at(w *world, now float64) {
	p.counted.EvaluatedAt, p.counted.ScrapeInterval = clock(now), seconds(w.scrape)
	p.counted.Canary, p.counted.Stable = p.counted.Canary[:0], p.counted.Stable[:0]
	p.judged = analysis.Poll{EvaluatedAt: p.counted.EvaluatedAt, Canary: p.judged.Canary[:0]}
	p.ready = 0
	for i := range w.canary.pods {
		pod := &w.canary.pods[i]
		serves := pod.serves(now)
		if serves {
			p.ready++
		}
		if c, ok := pod.counter(now, w.scrape); ok {
			p.counted.Canary = append(p.counted.Canary, c)
			if serves {
				p.judged.Canary = append(p.judged.Canary, c)
			}
		}
	}
	for i := range w.stable.pods {
		if c, ok := w.stable.pods[i].counter(now, w.scrape); ok {
			p.counted.Stable = append(p.counted.Stable, c)
		}
	}
	p.judged.Stable = p.counted.Stable
}

// counter is a pod's newest sample at a second.
func (p *pod) counter(now, scrape float64) (analysis.PodCounter, bool) {
	i, ok := p.sampled(now, scrape)
	if !ok {
		return analysis.PodCounter{}, false
	}
	c := analysis.PodCounter{
		Pod: p.name, SampledAt: clock(p.at[i]),
		Counts: analysis.Counts{Total: p.total[i], Bad: p.failed[i]},
	}
	if now >= p.ended {
		return c, true
	}
	// What the API server reports is in whole seconds, and gone with the pod.
	c.StartedAt = clock(math.Floor(p.startedAt(now)))
	if p.serves(now) {
		c.ReadyAt = clock(math.Floor(p.readySince(now)))
	} else {
		c.UnreadyAt = clock(math.Floor(p.unreadySince(now)))
	}
	return c, true
}

// byDefault is what a guardrail without a trigger gets.
type byDefault struct {
	analysis.Regression
	state analysis.RegressionState
}

func startDefault(s *scenario) rule { return byDefaultOf(s) }

func byDefaultOf(s *scenario) *byDefault {
	r := analysis.Default(s.budget, 1, 0)
	r.WarmUp, r.SlowStart = s.warmsUp(), s.budget == slowBudget
	return &byDefault{Regression: r}
}

func (d *byDefault) judge(l analysis.Ledger, q analysis.Quality) analysis.Outcome {
	d.Given(q, 0, "")
	d.state = d.Observe(d.state, l)
	return d.Judge(d.state, l).Outcome()
}

func (d *byDefault) skip(l analysis.Ledger, q analysis.Quality) {
	d.Given(q, 0, "")
	d.state = d.Skip(d.state, l)
}

// byBurn is the burn trigger with the API's defaults.
type byBurn struct {
	analysis.Burn
	warmUp time.Duration
}

func startBurn(s *scenario) rule {
	return byBurn{analysis.Burn{Budget: s.budget, Rate: 14.4, Long: 5 * time.Minute, Short: time.Minute}, s.warmsUp()}
}

func (b byBurn) judge(l analysis.Ledger, _ analysis.Quality) analysis.Outcome {
	return b.Judge(l.Mature(b.warmUp)).Outcome()
}

func (b byBurn) skip(analysis.Ledger, analysis.Quality) {}
