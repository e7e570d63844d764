package analysis

import (
	"math"
	"testing"
)

func TestIntervalVectors(t *testing.T) {
	cases := []struct {
		counts    Counts
		low, high float64
	}{
		{Counts{3000, 63}, .012533, .032531},
		{Counts{1000, 0}, 0, .006998},
		{Counts{50000, 50}, .000522, .001707},
		{Counts{100, 0}, 0, .057029},
		{Counts{100, 100}, 1 - .057029, 1},
	}
	for _, c := range cases {
		low, high := Interval(c.counts, 0.05)
		if !near(low, c.low, 1e-6) || !near(high, c.high, 1e-6) {
			t.Errorf("Interval(%v) = [%.6f, %.6f], want [%.6f, %.6f]", c.counts, low, high, c.low, c.high)
		}
	}
}

func TestIntervalOfNothingIsEverything(t *testing.T) {
	for _, c := range []Counts{{}, {math.NaN(), 0}, {10, 11}, {-1, 0}, {math.Inf(1), 1}} {
		if low, high := Interval(c, 0.05); low != 0 || high != 1 {
			t.Errorf("Interval(%v) = [%v, %v], want [0, 1]", c, low, high)
		}
	}
	for _, alpha := range []float64{0, 1, -1, math.NaN()} {
		if low, high := Interval(Counts{100, 3}, alpha); low != 0 || high != 1 {
			t.Errorf("alpha %v gives [%v, %v], want [0, 1]", alpha, low, high)
		}
	}
}

func TestIntervalHoldsTheRatioAndNarrows(t *testing.T) {
	wider := 1.0
	for n := 100.0; n <= 1e9; n *= 10 {
		c := Counts{n, n / 100}
		low, high := Interval(c, 0.05)
		if !(low < c.Ratio() && c.Ratio() < high) || high-low >= wider {
			t.Errorf("Interval(%v) = [%v, %v]: want it around %v and narrower than %v", c, low, high, c.Ratio(), wider)
		}
		wider = high - low
	}
}
