package analysis

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// wandering are the ledgers of a run as they come: incidents of one version and
// of both, idle times, a stable version that is missing for a while, and counts
// that are not whole numbers.
func wandering(n int) []Ledger {
	rng := rand.New(rand.NewPCG(3, 4))
	out := make([]Ledger, n)
	var l Ledger
	for i := range out {
		l.EvaluatedAt = at(15 * i)
		if rng.IntN(4) > 0 {
			l.Canary = l.Canary.Add(Counts{40 + rng.Float64(), float64(rng.IntN(2) * (i / 40 % 3))})
		}
		if i/10%4 > 0 {
			l.Stable = l.Stable.Add(Counts{400, float64(rng.IntN(1 + i/40%2*9))})
		}
		out[i] = l
	}
	return out
}

// What is stored says how it came about, bit for bit: through forgotten looks, a
// rule that changes, a ledger that begins anew, and states lost.
func TestATrailRecomputesTheEvidence(t *testing.T) {
	type event struct {
		triggers int
		restart  bool
	}
	events := map[int]event{0: {triggers: 1}, 70: {triggers: 2}, 500: {triggers: 2, restart: true}, 650: {triggers: 3}}
	for lost := range 2 {
		s, d, base := AfterLosing(lost), Combined{}, Ledger{}
		for i, l := range wandering(800) {
			if e, ok := events[i]; ok {
				d = Default(0.001, e.triggers, 0)
				if e.restart {
					base = l
				}
			}
			l.Canary, l.Stable = l.Canary.minus(base.Canary), l.Stable.minus(base.Stable)
			s = d.Observe(d.Observe(s, l), l)
			raw, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			var stored CombinedState
			if err := json.Unmarshal(raw, &stored); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(stored.evidence(), stored.Trail.Recompute()); diff != "" {
				t.Fatalf("poll %d (-stored +recomputed):\n%s", i, diff)
			}
			if len(s.Trail.Looks) > maxLooks || len(raw) > 10<<10 {
				t.Fatalf("poll %d: %d looks, %d bytes", i, len(s.Trail.Looks), len(raw))
			}
			s = stored
		}
		if s.Trail.Before == nil || len(s.Trail.Looks) < maxLooks/2 || s.Outage.Evidence.Relative.Looks < 300 {
			t.Errorf("%d looks after the last change: this test must forget some", len(s.Trail.Looks))
		}
	}
}

// A state that is kept with its trail and one without come to the same.
func TestATrailDoesNotChangeTheEvidence(t *testing.T) {
	d := Default(0.001, 1, 0)
	var s CombinedState
	var quick, patient RegressionState
	for _, l := range twoPods(repeat(Counts{40, 1}, 300), repeat(Counts{1000, 1}, 300)) {
		s = d.Observe(s, l)
		quick, patient = d.Outage.Evidence.Observe(quick, l), d.Regression.Observe(patient, l)
	}
	if diff := cmp.Diff(Evidence{quick, patient}, s.evidence()); diff != "" {
		t.Errorf("without a trail (-want +got):\n%s", diff)
	}
}

// A run of ten minutes scraped every 15 s, and one of six hours scraped every 5 s.
func TestAnIndicatorsStateIsBounded(t *testing.T) {
	for name, c := range map[string]struct{ polls, every, most int }{
		"ten minutes": {40, 15, 4 << 10}, "six hours": {6 * 3600 / 5, 5, 11 << 10},
	} {
		d := Default(0.001, 1, 0)
		var l Ledger
		var s CombinedState
		for i := 1; i <= c.polls; i++ {
			l = l.Advance(both(i*c.every, pod("shop-7d9f8b6c5d-abcde", i*c.every-1, float64(100*i), float64(i/10)),
				pod("shop-5f4c9d7b8-fghij", i*c.every-2, float64(1000*i), float64(i))), start)
			s = d.Observe(s, l)
		}
		raw, err := json.Marshal(map[string]any{"ledger": l, "evidence": s})
		if err != nil || len(raw) > c.most {
			t.Errorf("%s: %d bytes, %v; want at most %d", name, len(raw), err, c.most)
		}
		t.Logf("%s: %d bytes, %d bins, %d looks", name, len(raw), len(l.Bins), len(s.Trail.Looks))
	}
}

func TestWhatIsStoredIsReadStrictly(t *testing.T) {
	for _, raw := range []string{"{}", "[]", "[1,2]", "[1,2,3,4,5,6]", `["a",1,2,3,4]`, "null1"} {
		var b Bin
		var k Look
		var c lastCounter
		if json.Unmarshal([]byte(raw), &b) == nil || json.Unmarshal([]byte(raw), &k) == nil || json.Unmarshal([]byte(raw), &c) == nil {
			t.Errorf("read %s as a bin, a look or a pod's counters", raw)
		}
	}
}

// A state with a part that cannot be continued is lost as a whole, so that both
// judges go on from the same looks.
func TestADamagedStateIsLostAsAWhole(t *testing.T) {
	d := Default(0.001, 1, 0)
	all := twoPods(repeat(Counts{40, 1}, 10), repeat(Counts{1000, 1}, 10))
	var s CombinedState
	for _, l := range all[:9] {
		s = d.Observe(s, l)
	}
	s.Regression.Relative.LogBets = s.Regression.Relative.LogBets[:3]
	s = d.Observe(s, all[9])
	for name, p := range map[string]EProcess{
		"outage, relative": s.Outage.Evidence.Relative, "outage, absolute": s.Outage.Evidence.Absolute,
		"regression, relative": s.Regression.Relative, "regression, absolute": s.Regression.Absolute,
	} {
		if p.Restarts != 1 || p.Looks != 1 {
			t.Errorf("%s: %d restarts, %d looks; want 1 and 1", name, p.Restarts, p.Looks)
		}
	}
	if diff := cmp.Diff(s.evidence(), s.Trail.Recompute()); diff != "" {
		t.Errorf("stored and recomputed differ:\n%s", diff)
	}
}
