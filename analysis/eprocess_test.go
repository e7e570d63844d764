package analysis

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// interval is what both versions served between two polls.
type interval struct{ canary, stable Counts }

func served(nc, ec, ns, es float64) interval { return interval{Counts{nc, ec}, Counts{ns, es}} }

var (
	regressed = []interval{served(200, 10, 800, 1), served(200, 9, 800, 0), served(200, 12, 800, 1), served(200, 8, 800, 2)}
	incident  = []interval{served(200, 10, 800, 40), served(200, 11, 800, 38), served(200, 9, 800, 44)}
	healthy   = []interval{served(200, 0, 800, 1), served(200, 0, 800, 0), served(200, 1, 800, 1), served(200, 0, 800, 2)}
)

func betOn(parts []interval, b bets) EProcess {
	var p EProcess
	var c, s Counts
	for _, i := range parts {
		c, s = c.Add(i.canary), s.Add(i.stable)
		p = p.observe(c, s, b)
	}
	return p
}

func near(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance }

// The values were computed by a program of its own, from the formulas. Those of the design
// note are with a clip, which is no longer there.
func TestEProcessVectors(t *testing.T) {
	cases := map[string]struct {
		parts                      []interval
		wantRelative, wantAbsolute float64
	}{
		"regression after 1": {regressed[:1], 8.245250, 19.942023},
		"regression after 2": {regressed[:2], 19.057273, 38.945646},
		"regression after 3": {regressed[:3], 31.129939, 68.037923},
		"regression after 4": {regressed[:4], 36.348717, 83.569730},
		"shared incident":    {incident, -1.383630, 64.596242},
		"healthy":            {healthy, -0.963429, -1.173321},
	}
	for name, c := range cases {
		if got := betOn(c.parts, betRelative(1.5)).LogE(); !near(got, c.wantRelative, 1e-5) {
			t.Errorf("%s: ln E relative = %.6f, want %.6f", name, got, c.wantRelative)
		}
		if got := betOn(c.parts, betAbsolute(0.002)).LogE(); !near(got, c.wantAbsolute, 1e-5) {
			t.Errorf("%s: ln E absolute = %.6f, want %.6f", name, got, c.wantAbsolute)
		}
	}
}

func TestLikelihoodRatioVectors(t *testing.T) {
	if got := logRelative(Counts{200, 3}, Counts{800, 1}, 1.5, 4); !near(got, 1.7675350803, 1e-9) {
		t.Errorf("relative ℓ = %.10f, want 1.7675350803", got)
	}
	if got := logAbsolute(Counts{200, 3}, 0.002, 4); !near(got, 2.9709397851, 1e-9) {
		t.Errorf("absolute ℓ = %.10f, want 2.9709397851", got)
	}
}

// Exact expectations, by summing over every outcome of a small interval: a bet
// is fair or losing wherever its null holds, and wins where it does not.
func TestBetsAreFairUnderTheirNull(t *testing.T) {
	const nc, ns = 7, 12
	for _, stable := range []float64{0.0001, 0.01, 0.1, 0.3, 0.6} {
		for _, worse := range []float64{1, 1.5} {
			for _, share := range []float64{0, 0.5, 1} {
				p := min(1, stable*worse*share)
				for _, g := range relativeFactors {
					got := expect(nc, p, ns, stable, func(c, s Counts) float64 { return logRelative(c, s, worse, g) })
					if got > 1+1e-9 {
						t.Errorf("E[exp ℓ] = %v for the relative bet ×%v at p_c %v, p_s %v, ρ %v: want at most 1", got, g, p, stable, worse)
					}
				}
			}
		}
	}
	for _, limit := range []float64{0.0001, 0.002, 0.1, 0.5} {
		for _, share := range []float64{0, 0.5, 1} {
			for _, m := range absoluteFactors {
				got := expect(nc, limit*share, 0, 0, func(c, _ Counts) float64 { return logAbsolute(c, limit, m) })
				if got > 1+1e-9 {
					t.Errorf("E[exp ℓ] = %v for the absolute bet ×%v at p_c %v, limit %v: want at most 1", got, m, limit*share, limit)
				}
			}
		}
	}
	if got := expect(nc, 0.4, ns, 0.1, func(c, s Counts) float64 { return logRelative(c, s, 1.5, 2) }); got <= 1 {
		t.Errorf("E[exp ℓ] = %v for a candidate four times as bad as stable: want above 1", got)
	}
}

// expect is E[exp ℓ] over independent binomial counts.
func expect(nc int, pc float64, ns int, ps float64, ratio func(c, s Counts) float64) float64 {
	sum := 0.0
	for ec := range nc + 1 {
		for es := range ns + 1 {
			weight := binomial(nc, ec, pc) * binomial(ns, es, ps)
			sum += weight * math.Exp(ratio(Counts{float64(nc), float64(ec)}, Counts{float64(ns), float64(es)}))
		}
	}
	return sum
}

func binomial(n, k int, p float64) float64 {
	choose := 1.0
	for i := range k {
		choose = choose * float64(n-i) / float64(i+1)
	}
	return choose * math.Pow(p, float64(k)) * math.Pow(1-p, float64(n-k))
}

func TestEProcessContinuesWhereItWasStored(t *testing.T) {
	want := betOn(regressed, betRelative(1.5))
	var p EProcess
	var c, s Counts
	for _, i := range regressed {
		c, s = c.Add(i.canary), s.Add(i.stable)
		p = restored(t, p).observe(c, s, betRelative(1.5))
		p = p.observe(c, s, betRelative(1.5)) // the same poll again
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("stored and polled twice (-want +got):\n%s", diff)
	}
}

func TestEProcessCarriesOverWhatCannotBeCompared(t *testing.T) {
	if got := betOn([]interval{served(200, 10, 0, 0), served(0, 0, 0, 0)}, betRelative(1.5)); !cmp.Equal(got, EProcess{}) {
		t.Errorf("looked at %+v without stable requests, want to wait", got)
	}
	want := betOn([]interval{served(200, 10, 800, 1)}, betRelative(1.5))
	got := betOn([]interval{served(150, 7, 0, 0), served(0, 0, 300, 1), served(50, 3, 500, 0)}, betRelative(1.5))
	// The second poll completes the first; the third stands for itself.
	if got.Looks != 2 || got.Canary != want.Canary || got.Stable != want.Stable {
		t.Errorf("carried over: %+v, want 2 looks at the same counts as %+v", got, want)
	}
	if got = betOn([]interval{served(150, 7, 0, 0), served(50, 3, 800, 1)}, betRelative(1.5)); !cmp.Equal(got, want) {
		t.Errorf("one interval in two polls (-want +got):\n%s", cmp.Diff(want, got))
	}
}

func TestEProcessSurvivesWhatItCannotUse(t *testing.T) {
	before := betOn(regressed, betRelative(1.5))
	damaged := before
	damaged.LogBets = []float64{1, 2}
	cases := map[string]struct {
		from           EProcess
		canary, stable Counts
		want           func(EProcess) bool
	}{
		"no number":         {before, Counts{math.NaN(), 0}, Counts{4000, 4}, func(p EProcess) bool { return cmp.Equal(p, before) }},
		"infinity":          {before, Counts{math.Inf(1), 0}, Counts{4000, 4}, func(p EProcess) bool { return cmp.Equal(p, before) }},
		"more bad than all": {before, Counts{900, 901}, Counts{4000, 4}, func(p EProcess) bool { return cmp.Equal(p, before) }},
		"a new ledger is a baseline": {before, Counts{10, 10}, Counts{10, 0}, func(p EProcess) bool {
			return p.LogE() == before.LogE() && p.Canary == Counts{10, 10} && p.Looks == before.Looks
		}},
		"another grid starts anew and says so": {damaged, Counts{1000, 60}, Counts{4000, 4}, func(p EProcess) bool {
			return p.Restarts == 1 && p.Looks == 1 && len(p.LogBets) == len(relativeFactors)
		}},
	}
	for name, c := range cases {
		if got := c.from.observe(c.canary, c.stable, betRelative(1.5)); !c.want(got) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestEProcessStaysFiniteAndSmall(t *testing.T) {
	extremes := []interval{
		served(1e12, 1e12, 1e12, 0), served(1e12, 0, 1e12, 1e12), served(1, 1, 1e15, 0), served(1e15, 0, 1, 1), served(1e12, 0, 1e12, 0),
	}
	for name, b := range map[string]bets{"relative": betRelative(1.5), "absolute": betAbsolute(0.002)} {
		p := betOn(extremes, b)
		if math.IsNaN(p.LogE()) || !p.continues(len(p.LogBets)) {
			t.Errorf("%s: %+v", name, p)
		}
		stored, err := json.Marshal(p)
		if err != nil || len(stored) > 512 {
			t.Errorf("%s: %d bytes, %v; want at most 512", name, len(stored), err)
		}
	}
}

// Every life has its own threshold. What they may all spend together is the
// alpha that is promised, of which the first life has nine tenths.
func TestRestartsSpendTheFalseAlarmOnce(t *testing.T) {
	promised, spent := 0.01, 0.0
	for lives := range 60 {
		// The wealth of 1/alpha, times what the restarts cost, is reached this often.
		spent += firstLife * promised * math.Exp(-EProcess{Restarts: lives}.restartCost())
	}
	if !near(spent, promised, 1e-9) {
		t.Errorf("60 lives spend %v, want %v", spent, promised)
	}
	p := betOn(regressed, betRelative(1.5))
	p.Restarts = 2
	if want := p.LogE() - math.Log(9) - 2*math.Ln2; !near(p.net(), want, 1e-12) {
		t.Errorf("after two restarts %v, want %v", p.net(), want)
	}
}
