package main

import (
	"fmt"
	"math/rand/v2"
)

// Every null may be rolled back by chance in at most rarely percent of its runs, a cold
// start and a burst that falls on the candidate alone in at most seldom.
const (
	rarely = 0.1
	seldom = 1
)

func null(name, says string, s scenario, most float64) row {
	return row{name: name, says: says, scenario: s, null: true, bars: []bar{{most: most, what: rolledBack}}}
}

func nulls() []row {
	out := []row{
		null("healthy", "nothing happens", good(), rarely),
		null("clumped", "0.1 % errors, in clumps of 10, at most 50", scenario{budget: errorBudget, healthy: 0.001, clump: 10}, rarely),
		null("bad-2pct", "both versions have 2 % errors", scenario{budget: errorBudget, healthy: 0.02}, rarely),
	}
	for _, r := range coldStarts() {
		out = append(out, r)
		patient := r
		patient.name, patient.warmUp, patient.bars = r.name+"-warm90", 90, []bar{{most: rarely, what: rolledBack}}
		out = append(out, patient)
	}
	out = append(out, bursts()...)
	out = append(out, sharedTrouble()...)
	out = append(out, aloneNulls()...)
	out = append(out, changeNulls()...)
	return append(out, otherNullSources()...)
}

// otherNullSources are nulls with another scrape interval, or much less or more traffic. The
// targets are for a scrape interval of 15 s; at others the figures stand without.
func otherNullSources() []row {
	kinds := []row{
		null("cold", "5 % in a pod's first 30 s", cold(good(), 0.05, 30), seldom),
		null("jit", "30 % slow in its first 60 s", cold(slow(), 0.3, 60), seldom),
		null("burst", "400 within 20 s on one canary pod", withBurst(400, 20, onePod), seldom),
		null("clumps", "0.1 % errors, in clumps of 10, at most 50", scenario{budget: errorBudget, healthy: 0.001, clump: 10}, rarely),
		null("incident", "both versions have 5 % for 30 s", incident(30, 0.05), rarely),
	}
	var out []row
	for _, r := range kinds {
		for _, scrape := range []float64{5, 30, 60} {
			other := r
			other.name, other.scrape, other.bars = fmt.Sprintf("scrape-%gs-%s", scrape, r.name), scrape, nil
			out = append(out, other)
		}
		r.name, r.loads = "rate-"+r.name, unusual
		out = append(out, r)
	}
	return out
}

// incident is what both versions suffer once in a run.
func incident(lasts, ratio float64) scenario {
	s := good()
	s.incident = during(0, lasts, ratio)
	return s
}

// cold is a scenario whose pods have more bad requests in their first seconds.
func cold(s scenario, ratio, lasts float64) scenario {
	s.young = []ramp{during(0, lasts, ratio)}
	return s
}

// coldAny draws how bad, how long, and whether it ends at once or fades.
func coldAny(s scenario, least, most float64) scenario {
	s.vary = func(rng *rand.Rand) []ramp {
		r := during(0, between(5, 60, rng), betweenLog(least, most, rng))
		if rng.IntN(2) == 0 {
			r.last = 0
		}
		return []ramp{r}
	}
	return s
}

func coldStarts() []row {
	idle, alone, ten := cold(good(), 0.01, 60), cold(good(), 0.05, 30), cold(good(), 0.05, 30)
	idle.idle, alone.pods, ten.pods = 30, 1, 10
	lost := coldAny(good(), 0.005, 0.2)
	lost.pods, lost.lost = 9, 0.2
	ready := good()
	ready.second, ready.probes = 40, true
	later := cold(ready, 0.03, 45)
	later.second = 25
	return []row{
		null("cold-1pct-60s", "1 % errors in a pod's first 60 s", cold(good(), 0.01, 60), seldom),
		null("cold-5pct-30s", "5 % in its first 30 s", cold(good(), 0.05, 30), seldom),
		null("cold-3pct-45s", "3 % in its first 45 s", cold(good(), 0.03, 45), seldom),
		null("cold-10pct-20s", "10 % in its first 20 s", cold(good(), 0.1, 20), seldom),
		null("cold-any", "0.5 to 20 % in its first 5 to 60 s, half of them fading", coldAny(good(), 0.005, 0.2), seldom),
		null("cold-lost", "the same of 9 canary pods, 20 % of the scrapes fail", lost, seldom),
		null("cold-idle", "1 % in the first 60 s with requests, of pods that were ready 30 s before", idle, seldom),
		null("cold-1-pod", "5 % in the first 30 s of the only canary pod", alone, seldom),
		null("cold-10-pods", "5 % in the first 30 s of ten canary pods", ten, seldom),
		null("jit-10pct-60s", "10 % slow in a pod's first 60 s", cold(slow(), 0.1, 60), seldom),
		null("jit-30pct-60s", "30 % slow in its first 60 s", cold(slow(), 0.3, 60), seldom),
		null("jit-20pct-40s", "20 % slow in its first 40 s", cold(slow(), 0.2, 40), seldom),
		null("jit-50pct-30s", "50 % slow in its first 30 s", cold(slow(), 0.5, 30), seldom),
		null("jit-any", "2 to 80 % slow in its first 5 to 60 s, of 1 % later", coldAny(scenario{budget: slowBudget, healthy: slowTail}, 0.02, 0.8), seldom),
		null("readiness-40s", "failed probes count as errors, the second pod is ready after 40 s", ready, rarely),
		null("readiness-cold", "the same after 25 s, with 3 % errors in a pod's first 45 s", later, seldom),
	}
}

func withBurst(requests int, lasts float64, reaches reach) scenario {
	s := good()
	s.burst = burst{requests, lasts, reaches}
	return s
}

func bursts() []row {
	single, ten, anyBurst := withBurst(400, 20, onePod), withBurst(400, 20, onePod), good()
	single.pods, ten.pods = 1, 10
	anyBurst.varyBurst = func(rng *rand.Rand) burst {
		return burst{int(betweenLog(50, 2000, rng)), betweenLog(0.5, 20, rng), reach(rng.IntN(int(reaches)))}
	}
	return []row{
		null("burst-pod-400-1s", "400 bad requests within 1 s on one canary pod", withBurst(400, 1, onePod), seldom),
		null("burst-pod-100-1s", "100 within 1 s on one canary pod", withBurst(100, 1, onePod), seldom),
		null("burst-pod-1000-1s", "1000 within 1 s on one canary pod", withBurst(1000, 1, onePod), seldom),
		null("burst-pod-400-20s", "400 within 20 s on one canary pod", withBurst(400, 20, onePod), seldom),
		null("burst-pod-100-5s", "100 within 5 s on one canary pod", withBurst(100, 5, onePod), seldom),
		null("burst-pod-1000-30s", "1000 within 30 s on one canary pod", withBurst(1000, 30, onePod), seldom),
		null("burst-1-pod", "400 within 20 s on the only canary pod", single, seldom),
		null("burst-10-pods", "400 within 20 s on one of ten canary pods", ten, seldom),
		null("burst-sticky-400-20s", "400 within 20 s on one pod of a version by weight", withBurst(400, 20, anyPod), seldom),
		null("burst-version-400-1s", "400 within 1 s on all canary pods, by a cookie", withBurst(400, 1, oneVersion), seldom),
		null("burst-version-400-20s", "400 within 20 s on all canary pods, by a cookie", withBurst(400, 20, oneVersion), seldom),
		null("burst-version-700-12s", "700 within 12 s on all canary pods, by a cookie", withBurst(700, 12, oneVersion), seldom),
		null("burst-version-250-25s", "250 within 25 s on all canary pods, by a cookie", withBurst(250, 25, oneVersion), seldom),
		null("burst-spread-400-1s", "400 within 1 s on both versions by weight", withBurst(400, 1, byWeight), rarely),
		null("burst-spread-400-20s", "400 within 20 s on both versions by weight", withBurst(400, 20, byWeight), rarely),
		null("burst-spread-1000-5s", "1000 within 5 s on both versions by weight", withBurst(1000, 5, byWeight), rarely),
		null("burst-any", "50 to 2000 within 0.5 to 20 s, on one pod, the canary, or by weight", anyBurst, seldom),
	}
}

func sharedTrouble() []row {
	drift := func(times float64) scenario {
		s := good()
		s.both = []ramp{{0, runFor, 0, (times - 1) * errorBase}}
		return s
	}
	lost := incident(60, 0.2)
	lost.pods, lost.lost = 9, 0.2
	restarts, joins, moves := cold(good(), 0.05, 30), cold(good(), 0.05, 30), good()
	pauses := good()
	pauses.pauses, pauses.probes = 1, true
	restarts.restarts, joins.joins, moves.joins, moves.leaves = 1, 2, 2, true
	return []row{
		null("incident-30s-5pct", "both versions have 5 % for 30 s", incident(30, 0.05), rarely),
		null("incident-60s-20pct", "both versions have 20 % for 60 s", incident(60, 0.2), rarely),
		null("incident-10s-100pct", "both versions fail for 10 s", incident(10, 1), rarely),
		null("incident-lost", "both versions have 20 % for 60 s, 9 canary pods, 20 % of the scrapes fail", lost, rarely),
		null("drift-2x", "both versions' errors double slowly", drift(2), rarely),
		null("drift-10x", "both versions' errors grow tenfold slowly", drift(10), rarely),
		null("restarts", "a pod of each version restarts, with 5 % in its first 30 s", restarts, seldom),
		null("pauses", "a pod of each version stops until it has lost its readiness, and comes back", pauses, seldom),
		null("scale-out", "two pods are added to each version, with 5 % in their first 30 s", joins, seldom),
		null("scale-in", "two pods are added to each version and removed later", moves, rarely),
	}
}

// aloneFrom is when stable serves nothing any more.
const aloneFrom = 240

func aloneNulls() []row {
	alone := func(healthy float64) scenario {
		return scenario{budget: errorBudget, healthy: healthy, alone: aloneFrom}
	}
	short, long, sticky := alone(errorBase), alone(errorBase), alone(errorBase)
	short.incident, long.incident, sticky.burst = during(0, 30, 0.05), during(0, 45, 0.02), burst{400, 20, onePod}
	out := []row{
		null("alone-healthy", "alone at weight 100 from 240 s on", alone(errorBase), rarely),
		null("alone-bad-0.5pct", "alone, both versions have 0.5 % errors", alone(0.005), rarely),
		null("alone-incident-30s", "alone, 5 % for 30 s by a cause that stable would share", short, rarely),
		null("alone-incident-45s", "alone, 2 % for 45 s by a cause that stable would share", long, rarely),
		null("alone-burst", "alone, 400 within 20 s on one canary pod", sticky, seldom),
	}
	for _, share := range raises {
		s := alone(errorBase)
		s.raised, s.around, s.incident = share, 30, during(0, 30, 0.05)
		out = append(out, null(fmt.Sprintf("raise-%g-incident", 100*share),
			fmt.Sprintf("both versions have 5 %% for 30 s, beginning at most 30 s before or after the weight becomes %g %%", 100*share), s, rarely))
	}
	return out
}

// raises are weights that leave stable few of its requests, or none.
var raises = []float64{1, 0.99, 0.9, 0.75}
