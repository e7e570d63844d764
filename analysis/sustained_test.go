package analysis

import (
	"math"
	"testing"
	"time"
)

// steady are looks every 15 s at two pods, each with 5 bad requests of 100.
func steady(n int) []Look {
	out := make([]Look, n)
	for j := range out {
		to := int64(15000 * j)
		out[j] = Look{After: to, Weight: 20, Canary: Counts{200, 10}, Stable: Counts{800, 0}, Parts: []Part{
			{2, to - 15000, to, 600000, Counts{100, 5}}, {3, to - 15000, to, 600000, Counts{100, 5}},
		}}
	}
	return out
}

// The values were computed by a program of its own, from the formula.
func TestSustainedVectors(t *testing.T) {
	young, sick := steady(4), steady(4)
	for j := range young {
		for i := range young[j].Parts {
			young[j].Parts[i].Age = 0
		}
		sick[j].Stable.Bad = 1.6 // Worse times 0.2 % are 0.3 %.
	}
	cases := map[string]struct {
		looks  []Look
		youth  youth
		causes []cause
		want   float64
	}{
		"nothing is taken away":             {steady(4), youth{}, nil, 89.884708},
		"three scrapes of one of two pods":  {steady(4), youth{}, []cause{{OnePod: true, Lasts: 20 * time.Second}}, 56.177943},
		"a moment of all pods":              {steady(4), youth{}, []cause{{}}, 67.413532},
		"two moments":                       {steady(4), youth{}, []cause{{Again: true}}, 44.942354},
		"no surplus":                        {steady(4), youth{}, []cause{{Surplus: true, Lasts: time.Minute}}, 89.884708},
		"all of it":                         {steady(4), youth{}, []cause{{Lasts: time.Minute}}, 0},
		"stable is bad too":                 {sick, youth{}, nil, 75.802390},
		"all of it may be the pods' youth":  {young, youth{time.Minute, 1}, nil, 0},
		"as much may be":                    {young, youth{time.Minute, 0.05}, nil, 0},
		"no looks":                          {nil, youth{}, nil, 0},
		"more than a moment, less than all": {steady(4), youth{}, []cause{{}, {OnePod: true, Lasts: 20 * time.Second}}, 56.177943},
	}
	for name, c := range cases {
		got := sustained{0.002, 1.5, []youth{c.youth}, c.causes}.of(c.looks)
		if !near(got, c.want, 1e-5) {
			t.Errorf("%s: %.6f, want %.6f", name, got, c.want)
		}
	}
}

// Of 8 looks one has 300 requests more than the weight of 20 % explains.
func TestASurplusExplainsItsBadRequests(t *testing.T) {
	looks := steady(8)
	for j := range looks {
		for i := range looks[j].Parts {
			looks[j].Parts[i].Bad = 0
		}
		looks[j].Canary.Bad = 0
	}
	looks[4].Canary = Counts{500, 300}
	looks[4].Parts[0].Counts, looks[4].Parts[1].Counts = Counts{250, 150}, Counts{250, 150}
	s := sustained{0.002, 1.5, []youth{{}}, []cause{{Surplus: true, Lasts: 30 * time.Second}}}
	if got := s.of(looks); got != 0 {
		t.Errorf("%v is left of a burst beside the usual requests, want 0", got)
	}
	// The same bad requests as a part of the usual ones.
	looks[4].Canary.Total, looks[4].Parts[0].Total, looks[4].Parts[1].Total = 300, 150, 150
	for j := range looks {
		looks[j].Stable.Total = 1200
	}
	if got := s.of(looks); got < 100 {
		t.Errorf("%v is left of bad requests within the candidate's share, want nearly all", got)
	}
}

// cookieBurst are looks every poll milliseconds at two pods, one scraped at every multiple of
// 15 s and one 5 s later, and at stable's, which are scraped 10 s later. In 15 s each pod of
// the candidate has 80 requests, and stable has 640. From second 66 to 74 each pod of the
// candidate has 40 more, which fail. Before second 15 none of the candidate's are counted.
func cookieBurst(poll int64) []Look {
	var out []Look
	for after := poll; after <= 90_000; after += poll {
		l := Look{After: after, Weight: 20}
		for to := after - poll + 1; to <= after; to++ {
			switch phase := to % 15_000; {
			case phase == 10_000:
				l.Stable.Total += 640
			case to > 15_000 && (phase == 0 || phase == 5_000):
				bad := float64(max(0, min(to, 74_000)-max(to-15_000, 66_000))) * 0.005
				p := Part{uint32(2 + phase), to - 15_000, to, 600_000, Counts{80 + bad, bad}}
				if l.Canary = l.Canary.Add(p.Counts); bad > 0 {
					l.Parts = append(l.Parts, p)
				}
			}
		}
		out = append(out, l)
	}
	return out
}

// A burst is recognised by the requests that came with it, whatever is counted of stable
// beside it, and however often is polled.
func TestASurplusIsOfTheSameScrapes(t *testing.T) {
	s := sustained{0.002, 1.5, []youth{{}}, []cause{{Surplus: true, Lasts: 30 * time.Second}}}
	for _, poll := range []int64{5_000, 15_000} {
		looks := cookieBurst(poll)
		if got := s.of(looks); got > 1e-9 {
			t.Errorf("polls every %d ms: %v is left of a burst beside the usual requests, want 0", poll, got)
		}
		for j := range looks {
			looks[j].Canary.Total -= looks[j].Canary.Bad
			for i := range looks[j].Parts {
				looks[j].Parts[i].Total -= looks[j].Parts[i].Bad
			}
		}
		if got := s.of(looks); got < 100 {
			t.Errorf("polls every %d ms: %v is left of bad requests within the candidate's share, want nearly all", poll, got)
		}
	}
	// The same just after the first counts: stable has many more that were counted before.
	looks := cookieBurst(15_000)[3:] // Of the seconds from 45 on.
	looks[0].Canary, looks[0].Stable = Counts{}, Counts{10_000, 0}
	if got := s.of(looks); got > 1e-9 {
		t.Errorf("%v is left of a burst in the first scrapes, want 0", got)
	}
}

// A surplus may be small beside the usual requests: 60 more of 1,000, which have a standard
// deviation of 35.
func TestASmallSurplusExplainsItsBadRequests(t *testing.T) {
	s := sustained{0.002, 1.5, []youth{{}}, []cause{{Surplus: true, Lasts: 30 * time.Second}}}
	looks := []Look{{After: 15_000, Weight: 20, Canary: Counts{1060, 60}, Stable: Counts{4000, 0}, Parts: []Part{
		{2, 0, 15_000, 600_000, Counts{530, 30}}, {3, 0, 15_000, 600_000, Counts{530, 30}},
	}}}
	if got := s.of(looks); got > 1e-9 {
		t.Errorf("%v is left, want 0", got)
	}
	looks[0].Stable.Total = 4200
	if got := s.of(looks); got < 50 {
		t.Errorf("%v is left of bad requests with 10 more than the share, want nearly all", got)
	}
}

func TestUsual(t *testing.T) {
	looks := make([]Look, 20)
	for j := range looks {
		looks[j] = Look{After: int64(15000 * j), Stable: Counts{1000, float64(j % 2 * 2)}}
	}
	calm := usualOf(looks)
	if !near(calm.ratio, 0.001, 1e-9) || calm.dispersion != 1 {
		t.Errorf("ratio %v, dispersion %v; want 0.001 and 1", calm.ratio, calm.dispersion)
	}
	looks[10].Stable.Bad = 500
	incident := usualOf(looks)
	if !near(incident.ratio, 0.001, 1e-3) || !near(incident.excess[10], 499, 1) || incident.excess[9] != 0 {
		t.Errorf("ratio %v, excess %v; want the incident apart", incident.ratio, incident.excess)
	}
	if incident.dispersion != maxDispersion {
		t.Errorf("dispersion %v, want at most %v", incident.dispersion, maxDispersion)
	}
	during := Part{From: 135000, To: 150000}
	if got := incident.around(looks, during); got < 0.3 {
		t.Errorf("stable may have had %v around its incident, want more than 0.3", got)
	}
	before := Part{From: 60000, To: 75000}
	if got := incident.around(looks, before); !near(got, incident.ratio, 1e-12) {
		t.Errorf("stable may have had %v long before its incident, want %v", got, incident.ratio)
	}
}

// Ten that fail together are one cause: the variance is what a Poisson process of
// clumps has.
func TestDispersionIsTheSizeOfClumps(t *testing.T) {
	looks := make([]Look, 100)
	for j := range looks {
		looks[j] = Look{Stable: Counts{1000, 0}}
		if j%10 == 0 {
			looks[j].Stable.Bad = 10
		}
	}
	// Mean 1, variance 0.1·81 + 0.9·1 = 9, and four looks without dispersion.
	if got, want := usualOf(looks).dispersion, (9*100.0+4)/104; !near(got, want, 1e-9) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Evidence of requests that fail ten at a time is worth less.
func TestSustainedEvidenceIsDividedByTheDispersion(t *testing.T) {
	calm, clumped := steady(20), steady(20)
	clumped[3].Stable.Bad, clumped[11].Stable.Bad = 10, 10
	s := sustained{0.002, 0, []youth{{}}, nil}
	d := usualOf(clumped).dispersion
	if got, want := s.of(clumped), s.of(calm)/d; d < 5 || !near(got, want, 1e-9) {
		t.Errorf("%v with a dispersion of %v, want %v", got, d, want)
	}
}

func TestYouths(t *testing.T) {
	r := Regression{WarmUp: time.Minute}
	want := map[time.Duration]float64{15 * time.Second: 0.24, 20 * time.Second: 0.165, 30 * time.Second: 0.09, 45 * time.Second: 0.03, time.Minute: 0.015}
	if got := r.youths(); len(got) != len(want) {
		t.Errorf("%d youths, want %d", len(got), len(want))
	}
	for _, y := range r.youths() {
		if y.Ratio != want[y.Until] {
			t.Errorf("up to %v for %s, want %v", y.Ratio, y.Until, want[y.Until])
		}
	}
	half := youth{time.Minute, 0.1}
	cases := map[string]struct {
		part Part
		want float64
	}{
		"young":            {Part{From: 0, To: 15000, Age: 0}, 0.1},
		"half of its time": {Part{From: 0, To: 20000, Age: 50000}, 0.05},
		"grown":            {Part{From: 0, To: 20000, Age: 60000}, 0},
	}
	for name, c := range cases {
		if got := half.forgives(c.part); !near(got, c.want, 1e-12) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	r.SlowStart = true
	if got := r.youths(); len(got) != 1 || got[0] != (youth{time.Minute, 1}) {
		t.Errorf("slow requests: %v, want all forgiven for the warm-up", got)
	}
	if r.WarmUp = 0; len(r.youths()) != 1 || r.youths()[0] != (youth{}) {
		t.Errorf("without a warm-up: %v, want nothing forgiven", r.youths())
	}
}

// With every limit and any counts it stays a number.
func TestSustainedStaysFinite(t *testing.T) {
	for _, limit := range []float64{1e-9, 0.002, 0.5, 0.89999, 0.9, 1, 5} {
		looks := steady(6)
		looks[3].Canary, looks[3].Parts[0].Counts = Counts{1e12, 1e12}, Counts{1e12, 1e12}
		got := sustained{limit, 1.5, Default(0.001, 1, 0).youths(), []cause{{}, {OnePod: true}}}.of(looks)
		if math.IsNaN(got) || math.IsInf(got, 0) || got < 0 {
			t.Errorf("limit %v: %v", limit, got)
		}
	}
}
