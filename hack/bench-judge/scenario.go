package main

import (
	"cmp"
	"math/rand/v2"
)

// load is how much traffic there is, in requests per second, and how much of it the
// canary gets.
type load struct{ rps, weight float64 }

// scenario is what the two versions and their pods do. Times are seconds after the
// candidate's first request.
type scenario struct {
	// budget is 1 − objective, and healthy the ratio of bad requests of a good pod.
	budget, healthy float64
	// pods of the canary, 0 for 2. Stable has twice as many, at least 4.
	pods int
	// second is how long after the first the canary's second pod is ready, and idle how
	// long before the first request all of them are; 0 is a few seconds.
	second, idle float64
	// probes is set when pods count probes as requests.
	probes bool
	// canary and both add to the ratio of bad requests of the canary's pods, or of all.
	canary, both []ramp
	// young adds to that of every pod that starts in the run, by the seconds since its
	// first requests; vary draws it anew for every run.
	young []ramp
	vary  func(rng *rand.Rand) []ramp
	// incident is what both versions have from a second on that is drawn: at any time after
	// alone, or within around of it, before or after.
	incident ramp
	around   float64
	// raisedAgain is the weight from a second change on, leastApart to mostApart after that to
	// raised; 0 for none. around then reaches from the first change to the second. until is set
	// when the incident ends with the newest change.
	raisedAgain           float64
	leastApart, mostApart float64
	until                 bool
	// burst, or varyBurst drawn anew for every run.
	burst     burst
	varyBurst func(rng *rand.Rand) burst
	// clump is the mean number of requests that fail together; 0 makes them independent.
	clump float64
	// alone is when the weight becomes raised, 0 for 100 %; 0 is never.
	alone, raised float64
	// restarts and joins are pods of each version that restart, or are added, at a second
	// that is drawn; leaves is set when as many are removed later.
	restarts, joins int
	// pauses are pods of each version that lose their readiness once, and do not restart.
	pauses int
	leaves bool
	// lost is the part of all pods' scrapes that fail, at random: they leave no sample.
	lost float64
	// warmUp of the guardrail in seconds, 0 for the default.
	warmUp float64
	// onset is when a regression begins. The run lasts runFor after it.
	onset float64
}

// runFor is how long a canary is judged, in seconds.
const runFor = 600

// burst is bad requests beside the others, spread over a time that begins at a second
// that is drawn.
type burst struct {
	requests int
	lasts    float64
	reaches  reach
}

// reach is whose pods a burst falls on.
type reach int

const (
	// onePod of the canary: the client keeps its connection.
	onePod reach = iota
	// anyPod: the same, and by the weight the pod is the canary's or stable's.
	anyPod
	// oneVersion: all pods of the canary, the client has its cookie.
	oneVersion
	// byWeight: all pods of both versions, as the gateway spreads other requests.
	byWeight
	reaches
)

// build makes a run of a scenario in w.
func (s *scenario) build(w *world, l load, scrape float64, rng *rand.Rand) {
	w.rps, w.scrape, w.length = l.rps, scrape, s.onset+runFor
	w.weights = append(w.weights[:0], weight{0, l.weight})
	changed := s.alone
	if s.alone > 0 {
		w.weights = append(w.weights, weight{s.alone, cmp.Or(s.raised, 1)})
	}
	if s.raisedAgain > 0 {
		changed = s.alone + between(s.leastApart, s.mostApart, rng)
		w.weights = append(w.weights, weight{changed, s.raisedAgain})
	}
	s.deploy(w, rng)
	w.firstPoll = w.started + min(scrape, slowestPoll)*rng.Float64()
	w.canary.bad = append(append(w.canary.bad[:0], during(-history, forever, s.healthy)), s.both...)
	w.stable.bad = append(append(w.stable.bad[:0], during(-history, forever, s.healthy)), s.both...)
	if s.incident.to > 0 {
		// When stable serves nothing is when the candidate could be blamed.
		at := between(max(s.alone, s.onset), w.length-s.incident.to, rng)
		switch {
		case s.until:
			at = changed - s.incident.to
		case s.around > 0:
			at = between(s.alone-s.around, changed+s.around, rng)
		}
		shared := ramp{at, at + s.incident.to, s.incident.first, s.incident.last}
		w.canary.bad, w.stable.bad = append(w.canary.bad, shared), append(w.stable.bad, shared)
	}
	w.canary.bad = append(w.canary.bad, s.canary...)
	if s.clump > 0 {
		w.canary.bad, w.stable.bad = w.canary.bad[:0], w.stable.bad[:0]
	}
	w.scrapes(rng)
	s.failTogether(w, rng)
	for _, side := range []*side{&w.canary, &w.stable} {
		for i := range side.pods {
			side.pods[i].sum()
			if s.lost > 0 {
				side.pods[i].lose(s.lost, rng)
			}
		}
	}
}

// startup is how long a pod takes from its creation to readiness, at least and at most.
const (
	startupLeast = 10
	startupMost  = 40
)

// probeIntervals are the seconds between two probes of a pod.
var probeIntervals = []float64{1, 2, 5, 10}

// deploy makes the pods.
func (s *scenario) deploy(w *world, rng *rand.Rand) {
	w.canary.name, w.stable.name = "c", "s"
	w.canary.pods, w.stable.pods = w.canary.pods[:0], w.stable.pods[:0]
	n := s.pods
	if n == 0 {
		n = 2
	}
	w.started = 0
	probe := 0.0
	if s.probes {
		probe = probeIntervals[rng.IntN(len(probeIntervals))]
	}
	for i := range n {
		ready := -s.idle
		if s.idle == 0 {
			ready = -between(1, 6, rng)
		}
		if i == 1 && s.second > 0 {
			ready = s.second
		}
		created := ready - between(startupLeast, startupMost, rng)
		w.started = min(w.started, created-2)
		p := w.canary.add(created, ready)
		p.probeEvery = probe
		s.heat(p, rng)
	}
	for range max(4, 2*n) {
		w.stable.add(-forever, -forever).probeEvery = probe
	}
	for _, side := range []*side{&w.canary, &w.stable} {
		for range s.joins {
			created := between(60, w.length/2, rng)
			p := side.add(created, created+between(startupLeast, startupMost, rng))
			s.heat(p, rng)
			if s.leaves {
				p.ended = created + between(90, w.length/2, rng)
			}
		}
		for i := range min(s.restarts, len(side.pods)) {
			p := &side.pods[i]
			from := between(60, w.length-60, rng)
			up := from + between(2, 10, rng)
			p.restart = outage{from: from, up: up, ready: up + between(5, 30, rng)}
			s.heat(p, rng)
		}
		for i := range min(s.pauses, len(side.pods)) {
			p := &side.pods[i]
			from := between(60, w.length-60, rng)
			p.restart = outage{from, from, from + between(1, 40, rng), true}
			p.bad = append(p.bad, during(from-failedProbes*p.probeEvery, from, 1))
		}
	}
}

// heat gives a pod that starts in the run, or starts again, the errors of its youth.
func (s *scenario) heat(p *pod, rng *rand.Rand) {
	young := s.young
	if s.vary != nil {
		young = s.vary(rng)
	}
	first := max(0, p.ready)
	if p.restart.from < forever {
		first = p.restart.ready
	}
	for _, r := range young {
		p.bad = append(p.bad, ramp{first + r.from, first + r.to, r.first, r.last})
	}
}

// failTogether adds the bad requests that are not independent.
func (s *scenario) failTogether(w *world, rng *rand.Rand) {
	b := s.burst
	if s.varyBurst != nil {
		b = s.varyBurst(rng)
	}
	if b.requests > 0 {
		begins := between(s.alone, w.length-b.lasts, rng)
		side, i := &w.canary, rng.IntN(len(w.canary.pods))
		if b.reaches == anyPod && rng.Float64() >= w.share(begins) {
			side = &w.stable
		}
		for range b.requests {
			at := begins + b.lasts*rng.Float64()
			if b.reaches == byWeight {
				side = &w.stable
				if rng.Float64() < w.share(at) {
					side = &w.canary
				}
			}
			if b.reaches >= oneVersion {
				i = rng.IntN(len(side.pods))
			}
			side.pods[i].fail(at, 1)
		}
	}
	if s.clump > 0 {
		s.clumps(w, &w.canary, w.rps*w.share(0), 0, rng)
		s.clumps(w, &w.stable, w.rps*(1-w.share(0)), -history, rng)
	}
}

// clumpMost is the largest clump.
const clumpMost = 50

// clumps lets requests of one second fail in clumps of geometric size. They fall on all
// pods of a version alike, as the retries of one client do, and so show in several
// scrapes.
func (s *scenario) clumps(w *world, of *side, rps, from float64, rng *rand.Rand) {
	ratio := s.healthy
	if of == &w.canary {
		for _, r := range s.canary {
			ratio += r.first
		}
	}
	number := poisson(rps*(w.length-from)*ratio/s.clump, rng)
	for ; number > 0; number-- {
		begins, size := between(from, w.length-1, rng), 1
		for size < clumpMost && rng.Float64() > 1/s.clump {
			size++
		}
		for ; size > 0; size-- {
			of.pods[rng.IntN(len(of.pods))].fail(begins+rng.Float64(), 1)
		}
	}
}
