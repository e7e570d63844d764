package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
)

// history is how many seconds stable has run before the candidate's first
// request, so that every peer's rates exist.
const history = 300

// forever is later than the end of any run.
const forever = 1e9

// ramp adds to the ratio of bad requests from a second on: first at the start,
// last at the end, linear between.
type ramp struct{ from, to, first, last float64 }

// during is a constant ramp.
func during(from, to, ratio float64) ramp { return ramp{from, to, ratio, ratio} }

// area is the integral of the ramp over a time.
func (r ramp) area(from, to float64) float64 {
	from, to = max(from, r.from), min(to, r.to)
	if to <= from {
		return 0
	}
	middle := ((from+to)/2 - r.from) / (r.to - r.from)
	return (r.first + (r.last-r.first)*middle) * (to - from)
}

// outage is a restart of a pod's container: nothing answers from a second until up,
// the counters begin at 0, and the pod is ready again at ready. In a pause the process stays,
// its counters go on, and its probes fail.
type outage struct {
	from, up, ready float64
	pause           bool
}

// pod is one pod of a run. Times are seconds after the candidate's first request.
type pod struct {
	name           string
	created, ready float64
	// ended is when the pod is gone.
	ended   float64
	restart outage
	// bad are its ratios of bad requests, added to those of its version.
	bad []ramp
	// probeEvery is how often the pod counts a probe of the kubelet as a request, a bad
	// one before readiness; 0 is never.
	probeEvery float64
	// flows are the requests per second that it gets.
	flows []flow
	// samples are its counters as scraped, and newest the last one that was polled.
	samples
	newest int
}

type flow struct{ from, to, rps float64 }

type samples struct{ at, total, failed []float64 }

// serves reports whether a pod gets requests at a second.
func (p *pod) serves(second float64) bool {
	return second >= p.ready && second < p.ended && (second < p.restart.from || second >= p.restart.ready)
}

// readySince is when a pod became ready at last, before a second at which it serves.
func (p *pod) readySince(second float64) float64 {
	if second >= p.restart.ready {
		return p.restart.ready
	}
	return p.ready
}

// startedAt is when the container started that runs at a second.
func (p *pod) startedAt(second float64) float64 {
	if second >= p.restart.up && !p.restart.pause {
		return p.restart.up
	}
	return p.created
}

// unreadySince is since when a pod that does not serve at a second has not been ready.
func (p *pod) unreadySince(second float64) float64 {
	if second >= p.restart.from {
		return p.restart.from
	}
	return p.created
}

// answers reports whether a scrape at a second gets through.
func (p *pod) answers(second float64) bool {
	return second >= p.created && second < p.ended && (second < p.restart.from || second >= p.restart.up)
}

// side is the pods of one version, whose names begin with its own.
type side struct {
	name string
	pods []pod
	// bad are the ratios of bad requests of every pod of the version.
	bad []ramp
}

// add returns another pod that is ready at a second. Its memory is reused.
func (s *side) add(created, ready float64) *pod {
	if len(s.pods) == cap(s.pods) {
		s.pods = slices.Grow(s.pods, 1)
	}
	s.pods = s.pods[:len(s.pods)+1]
	p := &s.pods[len(s.pods)-1]
	if p.name == "" {
		p.name = s.name + strconv.Itoa(len(s.pods))
	}
	*p = pod{
		name: p.name, created: created, ready: ready, ended: forever, restart: outage{from: forever, up: forever, ready: forever},
		bad: p.bad[:0], flows: p.flows[:0], samples: samples{p.at[:0], p.total[:0], p.failed[:0]},
	}
	return p
}

// weight is the canary's from a second on.
type weight struct{ from, share float64 }

// world is one run as Prometheus knows it. Its memory is reused from run to run.
type world struct {
	canary, stable side
	rps            float64
	weights        []weight
	scrape         float64
	// length is the second at which the run ends, started when it began: before the
	// candidate's pods exist. firstPoll is when it is judged first.
	length, started, firstPoll float64
	// answers are Prometheus' series, of canary and stable.
	answers [2]answer
	// cuts are the seconds at which the requests of a pod change.
	cuts []float64
}

// share is the canary's share of the requests at a second.
func (w *world) share(second float64) float64 {
	share := 0.0
	for _, step := range w.weights {
		if second >= step.from {
			share = step.share
		}
	}
	return share
}

// scrapes fills the pods' counters.
func (w *world) scrapes(rng *rand.Rand) {
	w.route(&w.canary, func(second float64) float64 { return w.rps * w.share(second) })
	w.route(&w.stable, func(second float64) float64 { return w.rps * (1 - w.share(second)) })
	for _, s := range []*side{&w.canary, &w.stable} {
		for i := range s.pods {
			s.pods[i].serve(s.bad, w.scrape, w.length, rng)
		}
	}
}

// route splits a version's requests evenly between its pods that are ready.
func (w *world) route(s *side, rps func(second float64) float64) {
	w.cuts = append(w.cuts[:0], -history, w.length)
	for _, step := range w.weights {
		w.cuts = append(w.cuts, step.from)
	}
	for i := range s.pods {
		p := &s.pods[i]
		w.cuts = append(w.cuts, p.ready, p.ended, p.restart.from, p.restart.ready)
	}
	slices.Sort(w.cuts)
	for i := 1; i < len(w.cuts) && w.cuts[i] <= w.length; i++ {
		from, to := w.cuts[i-1], w.cuts[i]
		if to <= from || from < -history {
			continue
		}
		serving := 0
		for k := range s.pods {
			if s.pods[k].serves(from) {
				serving++
			}
		}
		each := rps(from) / float64(serving)
		for k := range s.pods {
			if p := &s.pods[k]; p.serves(from) && each > 0 {
				p.flows = append(p.flows, flow{from, to, each})
			}
		}
	}
}

// serve draws what every scrape of a pod adds: numbers of good and of bad requests
// in the time since the scrape before, which are independent Poisson draws. The
// first scrape counts from the pod's creation.
func (p *pod) serve(version []ramp, scrape, length float64, rng *rand.Rand) {
	from := max(p.created, -history)
	for at := from + scrape*rng.Float64(); at < length; at += scrape {
		if from < p.restart.up && at >= p.restart.up && !p.restart.pause {
			// What was counted before the restart is lost.
			from = p.restart.up
		}
		requests, bad := 0.0, 0.0
		for _, f := range p.flows {
			start, end := max(from, f.from), min(at, f.to)
			if end <= start {
				continue
			}
			requests += f.rps * (end - start)
			for _, ramps := range [2][]ramp{version, p.bad} {
				for _, r := range ramps {
					bad += f.rps * r.area(start, end)
				}
			}
		}
		bad = min(bad, requests)
		failed := poisson(bad, rng)
		total := failed + poisson(requests-bad, rng)
		if p.probeEvery > 0 {
			total += p.probes(from, at)
			failed += p.probes(from, min(at, p.ready))
			if p.restart.pause {
				failed += p.probes(max(from, p.restart.from-failedProbes*p.probeEvery), min(at, p.restart.ready))
			}
		}
		p.at, p.total, p.failed = append(p.at, at), append(p.total, total), append(p.failed, failed)
		from = at
	}
}

// failedProbes are how many probes fail in a row until a pod loses its readiness.
const failedProbes = 3

func (p *pod) probes(from, to float64) float64 {
	return max(0, math.Floor(to/p.probeEvery)-math.Floor(from/p.probeEvery))
}

// fail adds bad requests of a second to the scrape of a pod that first has them.
func (p *pod) fail(second, requests float64) {
	if len(p.at) == 0 {
		return
	}
	i := 0
	if second >= p.at[0] {
		i = 1
		if len(p.at) > 1 {
			i += int((second - p.at[0]) / (p.at[1] - p.at[0]))
		}
	}
	if i < len(p.at) {
		p.total[i] += requests
		p.failed[i] += requests
	}
}

// sum turns what each scrape adds into counters. A scrape that fails leaves no
// sample, and a container that restarts begins at 0.
func (p *pod) sum() {
	kept, total, failed, before := 0, 0.0, 0.0, math.Inf(-1)
	for i, at := range p.at {
		if before < p.restart.up && at >= p.restart.up && !p.restart.pause {
			total, failed = 0, 0
		}
		before = at
		total, failed = total+p.total[i], failed+p.failed[i]
		if p.answers(at) {
			p.at[kept], p.total[kept], p.failed[kept] = at, total, failed
			kept++
		}
	}
	p.samples = samples{p.at[:kept], p.total[:kept], p.failed[:kept]}
	p.newest = -1
}

// lose drops a part of a pod's samples.
func (p *pod) lose(part float64, rng *rand.Rand) {
	kept := 0
	for i := range p.at {
		if rng.Float64() >= part {
			p.at[kept], p.total[kept], p.failed[kept] = p.at[i], p.total[i], p.failed[i]
			kept++
		}
	}
	p.samples = samples{p.at[:kept], p.total[:kept], p.failed[:kept]}
}

// sampled moves a pod to the newest scrape before a second, which must not decrease. ok is
// false when Prometheus has no sample that is still valid: the next scrape failed.
func (p *pod) sampled(second, scrape float64) (i int, ok bool) {
	for p.newest+1 < len(p.at) && p.at[p.newest+1] <= second {
		p.newest++
	}
	return p.newest, p.newest >= 0 && second-p.at[p.newest] < scrape+0.001
}
