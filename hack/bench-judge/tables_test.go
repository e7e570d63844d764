package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func tables(seed uint64) string {
	var out strings.Builder
	report(&out, seed, 1)
	return out.String()
}

func TestOneSeedGivesOneReport(t *testing.T) {
	first := tables(1)
	if again := tables(1); first != again {
		t.Errorf("seed 1 gave two reports:\n%s\n%s", first, again)
	}
	if !strings.Contains(first, "seed 1.") {
		t.Errorf("the report does not state its seed:\n%s", first)
	}
	if strings.ReplaceAll(tables(2), "seed 2.", "seed 1.") == first {
		t.Error("seeds 1 and 2 gave one report")
	}
}

// A row must not depend on which others are measured before it.
func TestRunsDrawFromTheirOwnSource(t *testing.T) {
	loads := []load{{100, 0.2}, {1000, 0.05}}
	both := measure(worse("1 %", 0.01), loads, columns, 7, 2)
	second := measure(worse("1 %", 0.01), loads[1:], columns, 7, 2)
	for k := range columns {
		if !slices.Equal(both[k][2:], second[k]) {
			t.Errorf("%s: %v with another load before it, %v alone", columns[k].name, both[k][2:], second[k])
		}
	}
}

func TestDrawsHaveTheirMean(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2)) // #nosec G404 -- a test must repeat
	const draws = 20000
	for _, mean := range []float64{0.1, 5, 29, 80} {
		sum, failed := 0, 0
		for range draws {
			n := poisson(mean, rng)
			sum += n
			failed += binomial(n, 0.05, rng)
		}
		if got := float64(sum) / draws; math.Abs(got-mean) > 5*math.Sqrt(mean/draws) {
			t.Errorf("mean of poisson(%v) = %v", mean, got)
		}
		if got := float64(failed) / draws; math.Abs(got-mean/20) > 5*math.Sqrt(mean/20/draws) {
			t.Errorf("mean of 5 %% of poisson(%v) = %v", mean, got)
		}
	}
}

// A counter scraped every 15 s that grows by 1 a second has rate 1. A window's
// start does not belong to it, and beyond an end that is more than 1.1 intervals
// away, half an interval is extrapolated.
func TestRateExtrapolatesAsPrometheus(t *testing.T) {
	var s series
	for at := 5.0; at <= 65; at += 15 {
		s.at, s.value = append(s.at, at), append(s.value, 100+at)
	}
	for now, want := range map[float64]float64{65: 1, 72: 1, 95: (15 + 15 + 7.5) / 60} {
		if got := rate(s, now, 60); math.Abs(got-want) > 1e-9 {
			t.Errorf("rate at %v = %v, want %v", now, got, want)
		}
	}
	if got := irate(s, 65, 300); got != 1 {
		t.Errorf("irate = %v, want 1", got)
	}
	if got := rate(s, 10, 60); got != 0 {
		t.Errorf("rate of one sample = %v, want none", got)
	}
}
