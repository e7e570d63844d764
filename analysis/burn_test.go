package analysis

import (
	"math"
	"strings"
	"testing"
	"time"
)

// page is the rule of the SRE Workbook's first row on a 99.9 % objective.
var page = Burn{Budget: 0.001, Rate: 14.4, Long: time.Hour, Short: 5 * time.Minute, MinimumSamples: 100}

// traffic is a ledger of one poll per 10 s, each with the counts given.
func traffic(parts ...Counts) Ledger {
	l := Ledger{}.Advance(canary(0, pod("c", 0, 0, 0)), start)
	var sum Counts
	for i, c := range parts {
		sum = sum.Add(c)
		second := 10 * (i + 1)
		l = l.Advance(canary(second, pod("c", second, sum.Total, sum.Bad)), start)
	}
	return l
}

func repeat(c Counts, n int) []Counts {
	out := make([]Counts, n)
	for i := range out {
		out[i] = c
	}
	return out
}

func TestBurn(t *testing.T) {
	cases := map[string]struct {
		burn        Burn
		ledger      Ledger
		wantReason  Reason
		wantMessage string
	}{
		"healthy":                     {page, traffic(repeat(Counts{1000, 1}, 6)...), Healthy, "burn 1.0x over 1h0m0s, 1.0x over 5m0s"},
		"just below the rate":         {page, traffic(Counts{10000, 144}), Healthy, "burn 14.4x"},
		"just above the rate":         {page, traffic(Counts{10000, 145}), BurnRateExceeded, "the trigger fires above 14.4x in both windows"},
		"fires before enough samples": {page, traffic(Counts{10, 10}), BurnRateExceeded, "100.0 % errors (10/10)"},
		"nothing served":              {page, traffic(), NoTraffic, "no request"},
		"no ledger at all":            {page, Ledger{}, NoTraffic, "no request"},
		"too few samples":             {page, traffic(Counts{99, 0}), BelowMinSamples, "99 of 100 requests"},
		"just enough samples":         {page, traffic(Counts{100, 0}), Healthy, "0.0 % errors (0/100)"},
		"over the rate by two single requests": {
			page, traffic(Counts{100, 2}), Pending, "at least 3 bad requests are needed",
		},
		"over the rate by three": {page, traffic(Counts{100, 3}), BurnRateExceeded, ""},
		"the incident is over: long fires, short does not": {
			page, traffic(append(repeat(Counts{100, 50}, 6), repeat(Counts{100, 0}, 40)...)...), Pending, "one window is above",
		},
		"the incident is young: short fires, long does not": {
			page, traffic(append(repeat(Counts{1000, 0}, 300), Counts{1000, 600}, Counts{1000, 600})...), Pending, "one window is above",
		},
		"a budget of nothing":        {Burn{Rate: 1, Long: time.Hour, Short: time.Minute}, traffic(Counts{100, 0}), BadQuery, "budget 0"},
		"a budget of everything":     {Burn{Budget: 1, Rate: 1, Long: time.Hour, Short: time.Minute}, traffic(Counts{100, 0}), BadQuery, "budget 1"},
		"a budget that is no number": {Burn{Budget: math.NaN(), Rate: 1}, traffic(Counts{100, 0}), BadQuery, "NaN"},
		"a rate that is no number":   {Burn{Budget: 0.1, Rate: math.NaN()}, traffic(Counts{100, 0}), BadQuery, "NaN"},
		"counts that are no numbers": {page, Ledger{
			EvaluatedAt: at(10), Stage: Counts{1000, 0}, Bins: []Bin{{at(0).UnixMilli(), at(10).UnixMilli(), Counts{math.NaN(), 0}}},
		}, Malformed, "not valid counts"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			v := c.burn.Judge(c.ledger)
			if v.Reason != c.wantReason || !strings.Contains(v.Message, c.wantMessage) {
				t.Errorf("Judge() = %s %q, want %s saying %q", v.Reason, v.Message, c.wantReason, c.wantMessage)
			}
		})
	}
}

// After 20 blind minutes, what failed may have failed right at their start.
func TestBurnConvictsNobodyOfWhatFailedInAGap(t *testing.T) {
	rule := Burn{Budget: 0.001, Rate: 14.4, Long: 5 * time.Minute, Short: time.Minute, MinimumSamples: 1}
	seen := replay(canary(5, pod("a", 4, 1000, 0), pod("b", 4, 1000, 0)), canary(20, pod("a", 19, 1100, 0), pod("b", 19, 1100, 0)))
	whole := seen.Advance(canary(1220, pod("a", 1219, 5000, 500), pod("b", 1219, 1200, 0)), start)
	one := seen
	for second := 35; second < 1220; second += 15 {
		one = one.Advance(canary(second, pod("b", second-1, float64(1100+second), 0)), start)
	}
	one = one.Advance(canary(1220, pod("a", 1219, 5000, 500), pod("b", 1219, 2500, 0)), start)
	for name, l := range map[string]Ledger{"no poll": whole, "one pod missing": one} {
		if got := rule.Judge(l); got.Reason != Pending || !strings.Contains(got.Message, "too far apart to tell when") {
			t.Errorf("%s: %s %q, want Pending", name, got.Reason, got.Message)
		}
		for i := range 40 {
			second := 1235 + 15*i
			l = l.Advance(canary(second, pod("a", second-1, float64(5000+100*i), 500), pod("b", second-1, float64(2500+100*i), 0)), start)
		}
		if got := rule.Judge(l); got.Reason != Healthy {
			t.Errorf("%s, ten minutes later: %s %q, want Healthy", name, got.Reason, got.Message)
		}
	}
}

// A Guardrail edited during a run begins a ledger: what the candidate did before
// is not of the last minute, nor to be set against a stable counted from now.
func TestALedgerThatBeginsMidRunBeginsWithABaseline(t *testing.T) {
	l := Ledger{}.Advance(both(1200, pod("c", 1195, 6000, 156), pod("s", 1195, 1e6, 3000)), at(900))
	if l.Canary != (Counts{}) || l.Window(time.Hour) != (Counts{}) {
		t.Errorf("counted %v", l.Canary)
	}
	next := both(1215, pod("c", 1210, 6075, 156), pod("s", 1210, 1e6+1425, 3001))
	next.Canary = append(next.Canary, pod("new", 1210, 30, 1))
	l = l.Advance(next, at(900))
	if want := (Counts{75, 0}); l.Canary != want {
		t.Errorf("counted %v, want %v", l.Canary, want)
	}
}

// TestBurnDetectsATotalOutageInTime takes the formula detection time =
// budget × factor × long / error ratio and its vector: 52 s for a total outage
// after an hour of good traffic (SRE Workbook, chapter 5).
func TestBurnDetectsATotalOutageInTime(t *testing.T) {
	const perSecond = 100.0
	good := Counts{perSecond * 3600, 0}
	l := traffic(good)
	// The good hour lies in one poll at second 10; the outage begins there.
	for second := 1; second <= 120; second++ {
		down := perSecond * float64(second)
		l = l.Advance(canary(10+second, pod("c", 10+second, good.Total+down, down)), start)
		fired := page.Judge(l).Reason == BurnRateExceeded
		// All bins lie in the hour, so it is diluted by what was good before:
		// down/(good+down) > 1.44 % from second 53 on.
		if want := second >= 53; fired != want {
			t.Fatalf("after %d s of outage fired = %v, want %v", second, fired, want)
		}
	}
}

func TestBurnStatisticsAreTheNumbersOfTheMessage(t *testing.T) {
	v := page.Judge(traffic(Counts{1000, 20}))
	want := []Statistic{{"burnLong", 20}, {"burnShort", 20}, {"rate", 14.4}, {"budget", 0.001}, {"stageTotal", 1000}, {"stageBad", 20}}
	if len(v.Statistics) != len(want) {
		t.Fatalf("statistics = %v, want %v", v.Statistics, want)
	}
	for i, s := range v.Statistics {
		if s.Name != want[i].Name || math.Abs(s.Value-want[i].Value) > 1e-9 {
			t.Errorf("statistic %d = %v, want %v", i, s, want[i])
		}
	}
}

func TestPercent(t *testing.T) {
	for share, want := range map[float64]string{0: "0.0 %", 0.05: "5.0 %", 0.0009: "0.090 %", 0.00001: "0.001 %", 1: "100.0 %"} {
		if got := percent(share); got != want {
			t.Errorf("percent(%v) = %q, want %q", share, got, want)
		}
	}
}

// Requests of young pods are no silence, although they are in no window.
func TestBurnOfYoungPodsIsNoSilence(t *testing.T) {
	var l Ledger
	for i := range 3 {
		p := both(15*i, readied(-1, pod("c", 15*i, float64(1000*i), float64(900*i))), pod("s", 15*i, float64(1000*i), 0))
		p.WarmUps = []time.Duration{time.Minute}
		l = l.Advance(p, start)
	}
	v := Burn{Budget: 0.001, Rate: 14.4, Long: 5 * time.Minute, Short: time.Minute}.Judge(l.Mature(time.Minute))
	if v.Reason != Pending || !strings.Contains(v.Message, "2000 requests at this weight, all of pods within their warm-up") {
		t.Errorf("%s: %s", v.Reason, v.Message)
	}
}
