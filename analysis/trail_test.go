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
		l.EvaluatedAt, l.Fresh = at(15*i), nil
		for p := range 8 {
			if rng.IntN(4) == 0 {
				continue
			}
			c := Counts{5 + rng.Float64(), float64(rng.IntN(2) * (i / 40 % 3))}
			l.Canary = l.Canary.Add(c)
			l.Fresh = append(l.Fresh, Scrape{string(rune('a' + p)), at(15*i - 15).UnixMilli(), at(15 * i).UnixMilli(), at(0).UnixMilli(), c})
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
		s, r, base := AfterLosing(lost), Regression{}, Ledger{}
		for i, l := range wandering(800) {
			if e, ok := events[i]; ok {
				r = Default(0.001, e.triggers, 0)
				if e.restart {
					base = l
				}
			}
			l.Canary, l.Stable = l.Canary.minus(base.Canary), l.Stable.minus(base.Stable)
			s = r.Observe(r.Observe(s, l), l)
			raw, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			var stored RegressionState
			if err := json.Unmarshal(raw, &stored); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(stored.Evidence, stored.Trail.Recompute()); diff != "" {
				t.Fatalf("poll %d (-stored +recomputed):\n%s", i, diff)
			}
			if i%40 == 0 && !near(r.sustained(s.Trail), r.sustained(stored.Trail), 1e-9) {
				t.Fatalf("poll %d: sustained evidence %v, stored %v", i, r.sustained(s.Trail), r.sustained(stored.Trail))
			}
			if len(s.Trail.Looks) > maxLooks || len(raw) > 32<<10 {
				t.Fatalf("poll %d: %d looks, %d bytes", i, len(s.Trail.Looks), len(raw))
			}
			s = stored
		}
		if s.Restarts() != lost {
			t.Errorf("%d restarts, want %d: a state of its own was not continued", s.Restarts(), lost)
		}
		if s.Trail.Before == nil || s.Trail.Settled == 0 || s.Relative.Looks < 300 {
			t.Errorf("%d looks settled, %d in all: this test must settle some", s.Trail.Settled, s.Relative.Looks)
		}
	}
}

// Joined looks have the same counts, and the parts of the same pods.
func TestATrailLosesNoCounts(t *testing.T) {
	r := Default(0.001, 1, 0)
	var s RegressionState
	var l Ledger
	for _, l = range wandering(500) {
		s = r.Observe(s, l)
	}
	var canary, stable Counts
	last := int64(-1)
	for j, k := range s.Trail.Looks {
		canary, stable = canary.Add(k.Canary), stable.Add(k.Stable)
		if k.After <= last || len(k.Parts) > maxParts {
			t.Errorf("look %d at %d after one at %d, with %d parts", j, k.After, last, len(k.Parts))
		}
		last = k.After
		var parts Counts
		for _, p := range k.Parts {
			parts = parts.Add(p.Counts)
			if p.From >= p.To {
				t.Errorf("look %d has a part from %d to %d", j, p.From, p.To)
			}
		}
		if !near(parts.Bad, k.Canary.Bad, 1e-6) {
			t.Errorf("look %d: %v bad requests in its parts, %v in all", j, parts.Bad, k.Canary.Bad)
		}
	}
	if !near(canary.Total, l.Canary.Total, 1e-6) || !near(stable.Total, l.Stable.Total, 1e-6) {
		t.Errorf("looks have %v and %v, the ledger %v and %v", canary, stable, l.Canary, l.Stable)
	}
}

// Of many pods those with the most bad requests are named.
func TestALooksPartsAreBounded(t *testing.T) {
	var fresh []Scrape
	var sum Counts
	for i := range 40 {
		c := Counts{100, float64(i)}
		sum = sum.Add(c)
		fresh = append(fresh, Scrape{string(rune('A' + i)), at(0).UnixMilli(), at(15).UnixMilli(), at(-100).UnixMilli(), c})
	}
	parts := partsOf(Unobserved{}.add(fresh, 0, 0), Look{After: 15000, Canary: sum}, at(0).UnixMilli())
	if len(parts) != maxParts || parts[0].Bad != 39 || parts[maxParts-1].Pod != otherPods || parts[0].Pod == otherPods {
		t.Errorf("%+v, want the worst pods, and the others as one", parts)
	}
	// Whatever one of the others has, it is less than what the named ones have: it is no
	// cause of its own.
	for _, set := range (cause{OnePod: true}).choices([]Look{{Parts: parts}}) {
		if len(set) != 1 || parts[set[0].part].Pod == otherPods {
			t.Errorf("%v is taken as one pod", set)
		}
	}
}

func TestPodsAreNamedByTheirHash(t *testing.T) {
	// Of the reference's test vectors.
	if got := podID("foobar"); got != 0xbf9cf968 {
		t.Errorf("%x, want bf9cf968", got)
	}
}

// Bad requests of polls of which the state knows nothing have no pod: they are one cause, and
// young.
func TestPartsOfPollsOfBeforeTheState(t *testing.T) {
	r := grown(10)
	r.WarmUp = 60e9
	all := twoPods(repeat(Counts{40, 4}, 12), repeat(Counts{720, 0}, 12))
	s := r.observeAll(RegressionState{}, []Ledger{all[0], all[12]})
	looks := s.Trail.Looks
	if n := len(looks[0].Parts); n != 3 || looks[0].Parts[2].Pod != unknownPod || looks[0].Parts[2].Age != 0 {
		t.Fatalf("parts %+v, want both pods' newest scrapes and an unknown pod", looks[0].Parts)
	}
	if v := r.Judge(s, all[12]); v.Outcome() == Fail {
		t.Errorf("one look at many polls fails: %s", v.Message)
	}
}

// A run of ten minutes scraped every 15 s, and one of six hours scraped every 5 s.
func TestAnIndicatorsStateIsBounded(t *testing.T) {
	for name, c := range map[string]struct{ polls, every, most int }{
		"ten minutes": {40, 15, 5 << 10}, "six hours": {6 * 3600 / 5, 5, 20 << 10},
	} {
		r := Default(0.001, 1, 0)
		var l Ledger
		var s RegressionState
		for i := 1; i <= c.polls; i++ {
			l = l.Advance(both(i*c.every, pod("shop-7d9f8b6c5d-abcde", i*c.every-1, float64(100*i), float64(i/10)),
				pod("shop-5f4c9d7b8-fghij", i*c.every-2, float64(1000*i), float64(i))), start)
			s = r.Observe(s, l)
		}
		raw, err := json.Marshal(map[string]any{"ledger": l, "evidence": s})
		if err != nil || len(raw) > c.most {
			t.Errorf("%s: %d bytes, %v; want at most %d", name, len(raw), err, c.most)
		}
		t.Logf("%s: %d bytes, %d bins, %d looks", name, len(raw), len(l.Bins), len(s.Trail.Looks))
	}
}

// However long a run is, none of its looks has much of it.
func TestOldLooksAreOfAboutTheSameTime(t *testing.T) {
	r := Default(0.001, 1, 0)
	const polls, each = 6 * 3600 / 5, 5000
	var l Ledger
	var s RegressionState
	for i := range polls {
		l.EvaluatedAt, l.Canary, l.Stable = at(5*i), l.Canary.Add(Counts{1, 0}), l.Stable.Add(Counts{20, 0})
		s = r.Observe(s, l)
		if n, settled := len(s.Trail.Looks), s.Trail.Settled; n > maxLooks || settled > maxSettled {
			t.Fatalf("poll %d: %d looks, %d of them settled", i, n, settled)
		}
	}
	before, canary := int64(-each), 0.0
	for j, k := range s.Trail.Looks {
		canary += k.Canary.Total
		if took := k.After - before; took > polls*each/20 {
			t.Errorf("look %d takes %d s of %d", j, took/1000, polls*each/1000)
		}
		before = k.After
	}
	if canary != polls {
		t.Errorf("the looks have %v of %d requests", canary, polls)
	}
}

func TestWhatIsStoredIsReadStrictly(t *testing.T) {
	for _, raw := range []string{"{}", "[]", "[1,2]", "[1,2,3,4,5,6,7,8]", `["a",1,2,3,4,5]`, "null1"} {
		var b Bin
		var k Look
		var c lastCounter
		if json.Unmarshal([]byte(raw), &b) == nil || json.Unmarshal([]byte(raw), &k) == nil || json.Unmarshal([]byte(raw), &c) == nil {
			t.Errorf("read %s as a bin, a look or a pod's counters", raw)
		}
	}
}

// A state with a part that cannot be continued is lost as a whole. So is one that an older
// version of Belay stored.
func TestAStateThatCannotBeContinuedIsLost(t *testing.T) {
	r := Default(0.001, 1, 0)
	all := twoPods(repeat(Counts{40, 1}, 10), repeat(Counts{1000, 1}, 10))
	damaged := r.observeAll(RegressionState{}, all[:9])
	damaged.Relative.LogBets = damaged.Relative.LogBets[:3]
	settled := r.observeAll(RegressionState{}, all[:9])
	settled.Trail.Settled = 99
	var older RegressionState
	if err := json.Unmarshal([]byte(`{"outage":{"evidence":{"relative":{"canary":{"n":80,"e":2},"stable":{"n":1000,"e":1},"looks":1,"bets":[1,2,3,4,5,6,7,8],"peak":0}}},
		"trail":{"rule":{"worse":1.5,"limit":0.002,"quick":{"threshold":4.7},"patient":{"threshold":5.4,"clip":1.8}},"from":1700000000000,
		"canary":{"n":0,"e":0},"stable":{"n":0,"e":0},"looks":[[0,80,2,1000,1]]}}`), &older); err == nil {
		t.Error("looks of an older version were read")
	}
	for name, s := range map[string]RegressionState{"damaged": damaged, "with looks that are not there": settled, "of an older version": {Trail: Trail{Looks: []Look{{Canary: Counts{80, 2}}}}}} {
		s = r.Observe(s, all[9])
		for _, p := range []EProcess{s.Relative, s.Absolute} {
			if p.Restarts != 1 || p.Looks != 1 {
				t.Errorf("%s: %d restarts, %d looks; want 1 and 1", name, p.Restarts, p.Looks)
			}
		}
		if diff := cmp.Diff(s.Evidence, s.Trail.Recompute()); diff != "" {
			t.Errorf("%s: stored and recomputed differ:\n%s", name, diff)
		}
	}
}
