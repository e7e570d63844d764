package analysis

import (
	"math"
	"testing"
	"time"
)

// step is what stable's pods use at each look of a step, 15 s apart. NaN is a look without
// their samples, and +Inf a poll without a response.
type step struct {
	weight int
	values []float64
}

// TestWhatStableLastedAt: with a For of five minutes a window is 100 s, which are eight looks.
func TestWhatStableLastedAt(t *testing.T) {
	gap, blind := math.NaN(), math.Inf(1)
	join := func(all ...[]float64) (out []float64) {
		for _, a := range all {
			out = append(out, a...)
		}
		return out
	}
	of := func(n int, v float64) (out []float64) {
		for range n {
			out = append(out, v)
		}
		return out
	}
	cases := map[string]struct {
		steps []step
		want  float64
	}{
		"one value":                         {[]step{{50, of(20, 10)}}, 10},
		"one peak":                          {[]step{{50, join(of(10, 10), of(1, 90), of(30, 10))}}, 10},
		"a peak of a minute":                {[]step{{50, join(of(10, 10), of(4, 90), of(30, 10))}}, 10},
		"a peak at the end of a step":       {[]step{{50, join(of(20, 10), of(3, 90))}, {100, of(4, 0)}}, 10},
		"a rise that lasts":                 {[]step{{50, join(of(10, 10), of(20, 30))}}, 30},
		"a rise that lasted":                {[]step{{50, join(of(10, 10), of(20, 30), of(20, 10))}}, 30},
		"a slow rise":                       {[]step{{50, join(of(8, 10), of(8, 20), of(8, 30), of(20, 40))}}, 40},
		"a peak before a rise that lasts":   {[]step{{50, join(of(10, 10), of(1, 90), of(20, 30))}}, 30},
		"the first step had the most":       {[]step{{10, of(10, 100)}, {50, of(10, 60)}, {75, of(10, 25)}, {100, of(10, 1)}}, 100},
		"the last step had the most":        {[]step{{10, of(10, 10)}, {50, of(10, 100)}}, 100},
		"steps that are shorter":            {[]step{{10, of(4, 100)}, {50, of(4, 60)}, {100, of(1, 0)}}, 100},
		"a peak in a short step":            {[]step{{10, join(of(2, 50), of(1, 90), of(2, 50))}, {100, of(1, 0)}}, 50},
		"a rise within a short step":        {[]step{{10, join(of(2, 50), of(3, 90))}, {100, of(1, 0)}}, 50},
		"a short step after a long one":     {[]step{{10, of(10, 50)}, {50, of(3, 70)}, {100, of(1, 0)}}, 70},
		"the rest of a long step":           {[]step{{10, join(of(10, 50), of(3, 90))}, {50, of(10, 20)}}, 50},
		"one scrape is no time":             {[]step{{10, of(1, 50)}, {100, of(10, 0)}}, 0},
		"a look without samples in between": {[]step{{50, join(of(4, 30), of(1, gap), of(4, 30))}}, 30},
		"polls without a response":          {[]step{{50, join(of(4, 30), of(3, blind), of(4, 30))}}, 30},
		"a peak on both sides of a gap":     {[]step{{50, join(of(8, 10), of(2, 90), of(10, gap), of(2, 90), of(8, 10))}}, 10},
		"a gap begins another window":       {[]step{{50, join(of(4, 90), of(10, gap), of(4, 90), of(20, 10))}}, 10},
		"pods that begin anew":              {[]step{{50, join(of(4, 30), of(1, 3), of(12, 30))}}, 30},
		"a value of 0 ends a window":        {[]step{{50, join(of(10, 10), of(4, 90), of(1, 0), of(4, 90), of(10, 10))}}, 10},
		"always 0":                          {[]step{{50, of(20, 0)}}, 0},
		"at weight 100":                     {[]step{{100, of(20, 50)}}, 0},
		"without an acknowledged weight":    {[]step{{0, of(20, 50)}}, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rule, state, now := memoryRule(nil), SaturationState{}, saturationStart
			for _, step := range tc.steps {
				from := now
				for _, value := range step.values {
					now = now.Add(15 * time.Second)
					l := Loads{EvaluatedAt: now, StageFrom: from, Weight: step.weight, Canary: using("c", now, 1), Stable: using("s", now, value)}
					if math.IsInf(value, 1) {
						state = rule.Missed(state, now)
						continue
					}
					if math.IsNaN(value) {
						l.Stable = unsampled(l.Stable)
					}
					state, _ = rule.Judge(state, l)
					state = restored(t, state)
				}
			}
			if got := state.Stable.Value; got != tc.want {
				t.Errorf("lasted at %v, want %v: %+v", got, tc.want, state.Stable)
			}
		})
	}
}

// TestALastingValueIsOfSampleTimes: polls see a scrape again until the next one, and what was
// scraped before a step, or over a time that began before it, says nothing about it.
func TestALastingValueIsOfSampleTimes(t *testing.T) {
	rule := memoryRule(func(s *Saturation) { s.ScrapeInterval = time.Minute })
	poll := func(seconds, sampled int) Loads {
		now, at := saturationStart.Add(time.Duration(seconds)*time.Second), saturationStart.Add(time.Duration(sampled)*time.Second)
		return Loads{EvaluatedAt: now, StageFrom: saturationStart, Weight: 50, Canary: using("c", at, 1), Stable: using("s", at, 50)}
	}
	for name, tc := range map[string]struct {
		window time.Duration
		// scraped are the seconds of stable's scrapes, the newest of which every poll sees.
		scraped []int
		until   int
		want    float64
	}{
		"one scrape":                    {0, []int{5}, 120, 0},
		"scrapes over a whole window":   {0, []int{5, 65, 125}, 125, 50},
		"one too few":                   {0, []int{5, 65, 125}, 120, 0},
		"one from before the step":      {0, []int{-10, 50, 110}, 110, 0},
		"a rate from before the step":   {time.Minute, []int{5, 65, 125}, 180, 0},
		"a rate that began in the step": {time.Minute, []int{5, 65, 125, 185}, 185, 50},
	} {
		t.Run(name, func(t *testing.T) {
			rule, state := rule, SaturationState{}
			rule.Window = tc.window
			for second := 0; second <= tc.until; second += 5 {
				newest := -60
				for _, at := range tc.scraped {
					if at <= second {
						newest = at
					}
				}
				state, _ = rule.Judge(state, poll(second, newest))
			}
			if got := state.Stable.Value; got != tc.want {
				t.Errorf("lasted at %v, want %v: %+v", got, tc.want, state.Stable)
			}
		})
	}
}

// TestACandidateThatUsesWhatStableUsed is not above its bound for For, whatever stable used and
// when: peaks of any length.
func TestACandidateThatUsesWhatStableUsed(t *testing.T) {
	for _, peak := range []int{1, 5, 8, 12, 16, 20, 22, 26, 40} {
		for offset := range 8 {
			rule, state := memoryRule(nil), SaturationState{}
			uses := func(i int) float64 {
				if i >= 20+offset && i < 20+offset+peak {
					return 100
				}
				return 10
			}
			for i := range 200 {
				now := saturationStart.Add(time.Duration(i) * 15 * time.Second)
				l := Loads{EvaluatedAt: now, StageFrom: saturationStart, Weight: 50, Canary: using("c", now, 10), Stable: using("s", now, uses(i))}
				if i >= 100 {
					l.Weight, l.StageFrom = 100, saturationStart.Add(100*15*time.Second)
					l.Canary, l.Stable = using("c", now, uses(i-100)), using("s", now, 0)
				}
				var v Verdict
				if state, v = rule.Judge(state, l); v.Outcome() == Fail {
					t.Errorf("a peak of %d looks, %d looks later: %s", peak, offset, v.Message)
					break
				}
			}
		}
	}
}
