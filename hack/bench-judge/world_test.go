package main

import (
	"math"
	"math/rand/v2"
	"testing"
)

func built(s scenario, l load, seed uint64) *world {
	var w world
	s.build(&w, l, scrapeUsual, rand.New(rand.NewPCG(seed, 1))) // #nosec G404 -- a test must repeat
	return &w
}

// last is what a pod has counted at its last scrape.
func (p *pod) last() (total, failed float64) {
	if len(p.at) == 0 {
		return 0, 0
	}
	return p.total[len(p.at)-1], p.failed[len(p.at)-1]
}

func (s *side) counted() (total, failed float64) {
	for i := range s.pods {
		t, f := s.pods[i].last()
		total, failed = total+t, failed+f
	}
	return total, failed
}

// near fails when a sum of Poisson draws is not near its mean.
func near(t *testing.T, what string, got, mean float64) {
	t.Helper()
	if math.Abs(got-mean) > 5*math.Sqrt(mean)+1e-9 {
		t.Errorf("%s = %v, want about %v", what, got, mean)
	}
}

func TestDrawsHaveTheirMeanAndVariance(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2)) // #nosec G404 -- a test must repeat
	const draws = 100_000
	for _, mean := range []float64{0.1, 5, 9.9, 10, 80, 3000} {
		sum, squares, above := 0.0, 0.0, 0
		for range draws {
			n := poisson(mean, rng)
			sum, squares = sum+n, squares+(n-mean)*(n-mean)
			if n > mean+3*math.Sqrt(mean) {
				above++
			}
		}
		near(t, "sum", sum, mean*draws)
		if got := squares / draws / mean; math.Abs(got-1) > 5*math.Sqrt((2+1/mean)/draws) {
			t.Errorf("variance of poisson(%v) = %v of its mean", mean, got)
		}
		tail := 1.0
		for k := 0.0; k <= mean+3*math.Sqrt(mean); k++ {
			factorial, _ := math.Lgamma(k + 1)
			tail -= math.Exp(k*math.Log(mean) - mean - factorial)
		}
		near(t, "draws three deviations above the mean", float64(above), tail*draws)
	}
}

func TestVersionsGetTheirShares(t *testing.T) {
	s := good()
	s.healthy, s.alone = 0.02, 240
	w := built(s, load{1000, 0.2}, 3)
	canary, failed := w.canary.counted()
	// The last scrapes are up to an interval before the end.
	most, least := 240*200+360*1000.0, 240*200+345*1000.0
	if canary > most+5*math.Sqrt(most) || canary < least-5*math.Sqrt(least) {
		t.Errorf("the canary counted %v requests, want %v to %v", canary, least, most)
	}
	near(t, "bad requests of the canary", failed, 0.02*canary)
	stable, failed := w.stable.counted()
	near(t, "requests of stable", stable, 300*1000+240*800)
	near(t, "bad requests of stable", failed, 0.02*stable)
}

// A young pod's errors are those of the seconds since its first requests.
func TestYoungPodsFail(t *testing.T) {
	s := cold(good(), 0.5, 30)
	s.healthy, s.second, s.idle = 0, 100, 20
	w := built(s, load{2000, 0.5}, 4)
	// The first pod serves all of the canary's requests in its first 30 s, the second half.
	for i, want := range []float64{0.5 * 30 * 1000, 0.5 * 30 * 500} {
		_, failed := w.canary.pods[i].last()
		near(t, "bad requests of "+w.canary.pods[i].name, failed, want)
		p := &w.canary.pods[i]
		for k, at := range p.at {
			if first := max(0, p.ready); at <= first && p.total[k] > 0 {
				t.Errorf("%s counted %v requests at %v, before the first at %v", p.name, p.total[k], at, first)
			}
		}
	}
	if _, failed := w.stable.counted(); failed > 0 {
		t.Errorf("stable's old pods failed %v requests", failed)
	}
}

func TestBurstsFallWhereTheyReach(t *testing.T) {
	for reaches, want := range map[reach]float64{onePod: 1, oneVersion: 1, byWeight: 0.2} {
		inCanary, pods := 0.0, 0
		const runs = 50
		for n := range runs {
			s := withBurst(400, 20, reaches)
			s.healthy, s.pods = 0, 4
			w := built(s, load{100, 0.2}, uint64(n))
			_, failed := w.canary.counted()
			inCanary += failed
			for i := range w.canary.pods {
				if _, failed := w.canary.pods[i].last(); failed > 0 {
					pods++
				}
			}
		}
		// A burst after a pod's last scrape is not seen: at most 15 of 600 s.
		if got := inCanary / (400 * runs); got > want+0.03 || got < want-0.06 {
			t.Errorf("reach %d: %v of the bad requests are the canary's, want about %v", reaches, got, want)
		}
		if hit := float64(pods) / runs; (reaches == onePod) != (hit <= 1) {
			t.Errorf("reach %d: %v pods are hit on average", reaches, hit)
		}
	}
}

// A pod that pauses loses its readiness, and its counters go on with failed probes.
func TestPausesFailProbes(t *testing.T) {
	s := good()
	s.pauses, s.probes = 1, true
	w := built(s, load{1, 0.5}, 5)
	p := &w.canary.pods[0]
	before, after := 0, len(p.at)-1
	for p.at[before+1] < p.restart.from-failedProbes*p.probeEvery {
		before++
	}
	for p.at[after-1] > p.restart.ready {
		after--
	}
	most := p.probes(p.restart.from-failedProbes*p.probeEvery, p.restart.ready)
	if got := p.failed[after] - p.failed[before]; got < most {
		t.Errorf("%v requests failed in a pause, want at least its %v probes", got, most)
	}
	for k := 1; k < len(p.at); k++ {
		if p.total[k] < p.total[k-1] {
			t.Errorf("the counter fell at %v", p.at[k])
		}
	}
	if p.serves(p.restart.from+0.5) || !p.serves(p.restart.ready) || p.startedAt(w.length) != p.created {
		t.Error("a pod that pauses is ready, or has restarted")
	}
}

// A restarted container counts from 0, and a scrape while it is down leaves no sample.
func TestRestartsBeginAtZero(t *testing.T) {
	s := good()
	s.restarts = 1
	w := built(s, load{1000, 0.5}, 5)
	p := &w.canary.pods[0]
	falls := 0
	for k := 1; k < len(p.at); k++ {
		if p.at[k] >= p.restart.from && p.at[k] < p.restart.up {
			t.Errorf("a sample at %v, while the container was down from %v to %v", p.at[k], p.restart.from, p.restart.up)
		}
		if p.total[k] < p.total[k-1] {
			falls++
			near(t, "requests after the restart", p.total[k], max(0, p.at[k]-p.restart.ready)*250)
		}
	}
	if falls != 1 {
		t.Errorf("the counter fell %d times", falls)
	}
	if got := p.readySince(w.length); got != p.restart.ready {
		t.Errorf("ready since %v, want %v", got, p.restart.ready)
	}
	if _, ok := p.sampled(p.at[len(p.at)-1]+scrapeUsual+1, scrapeUsual); ok {
		t.Error("a sample is valid although the scrape after it failed")
	}
}

func TestClumpsHaveTheRatio(t *testing.T) {
	s := scenario{budget: errorBudget, healthy: 0.01, clump: 10}
	total, failed := 0.0, 0.0
	for n := range 20 {
		w := built(s, load{1000, 0.5}, uint64(n))
		t, f := w.canary.counted()
		total, failed = total+t, failed+f
	}
	if got := failed / total; math.Abs(got-0.01) > 0.001 {
		t.Errorf("%v of the requests failed, want 0.01", got)
	}
}

func TestARampsArea(t *testing.T) {
	r := ramp{10, 20, 0, 1}
	for _, c := range []struct{ from, to, want float64 }{{0, 30, 5}, {0, 15, 1.25}, {15, 20, 3.75}, {20, 30, 0}, {12, 12, 0}} {
		if got := r.area(c.from, c.to); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("area from %v to %v = %v, want %v", c.from, c.to, got, c.want)
		}
	}
}
