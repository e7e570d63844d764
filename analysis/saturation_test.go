package analysis

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var saturationStart = time.UnixMilli(1_800_000_000_000)

// using are ready pods, all old and sampled just now, with these values.
func using(side string, at time.Time, values ...float64) []Load {
	var out []Load
	for i, v := range values {
		out = append(out, Load{Pod: fmt.Sprintf("%s-%d", side, i), Value: v, SampledAt: at, ReadyAt: at.Add(-time.Hour)})
	}
	return out
}

func look(canary, stable []Load) Loads {
	return Loads{EvaluatedAt: saturationStart, Canary: canary, Stable: stable}
}

func memoryRule(change func(*Saturation)) Saturation {
	s := Saturation{WorseThan: 1.5, For: 5 * time.Minute, WarmUp: time.Minute, ScrapeInterval: 15 * time.Second, Metric: "memory_bytes"}
	if change != nil {
		change(&s)
	}
	return s
}

func maxOf(v float64) func(*Saturation) { return func(s *Saturation) { s.Max = &v } }

func only(v float64) func(*Saturation) {
	return func(s *Saturation) { s.WorseThan, s.Max = 0, &v }
}

// aged makes samples older.
func aged(pods []Load, by time.Duration) []Load {
	for i := range pods {
		pods[i].SampledAt = pods[i].SampledAt.Add(-by)
	}
	return pods
}

func readyFor(pods []Load, d time.Duration) []Load {
	for i := range pods {
		pods[i].ReadyAt = saturationStart.Add(-d)
	}
	return pods
}

// unsampled are ready pods without a sample.
func unsampled(pods []Load) []Load {
	for i := range pods {
		pods[i].SampledAt, pods[i].Value = time.Time{}, 0
	}
	return pods
}

func undivided(pods []Load) []Load {
	for i := range pods {
		pods[i].Undivided = true
	}
	return pods
}

func TestSaturationOfOneLook(t *testing.T) {
	now := saturationStart
	cases := map[string]struct {
		rule Saturation
		l    Loads
		want Reason
		text string
	}{
		"below stable's multiple": {memoryRule(nil), look(using("c", now, 1e9, 1.4e9), using("s", now, 1e9)), Healthy,
			`canary 1.2G (2 pods, highest 1.4G in pod "c-1"), stable 1G; 20.0 % below 1.5 times stable's (1.5G)`},
		"as much as it may have": {memoryRule(nil), look(using("c", now, 15), using("s", now, 10)), Healthy,
			"canary 15, stable 10; at 1.5 times stable's (15), not above"},
		"above it": {memoryRule(nil), look(using("c", now, 16), using("s", now, 10)), Pending,
			"canary 16, stable 10; above 1.5 times stable's (15) for 0s of 5m0s: the candidate is rolled back if that lasts"},
		"the mean decides": {memoryRule(nil), look(using("c", now, 10, 19), using("s", now, 10)), Healthy,
			`canary 14.5 (2 pods, highest 19 in pod "c-1"), stable 10; 3.3 % below 1.5 times stable's (15)`},
		"below max":                   {memoryRule(only(0.9)), look(using("c", now, 0.45), nil), Healthy, "canary 0.45, stable has no ready pods; 50.0 % below max 0.9"},
		"above max, alone":            {memoryRule(only(0.9)), look(using("c", now, 0.95), nil), Pending, "above max 0.9"},
		"above max 0":                 {memoryRule(only(0)), look(using("c", now, 1), nil), Pending, "above max 0 for"},
		"at max 0":                    {memoryRule(only(0)), look(using("c", now, 0), nil), Healthy, "at max 0, not above"},
		"above the multiple, not max": {memoryRule(maxOf(100)), look(using("c", now, 50), using("s", now, 10)), Healthy, "50.0 % below max 100"},
		"above max, not the multiple": {memoryRule(maxOf(20)), look(using("c", now, 25), using("s", now, 20)), Healthy, "16.7 % below 1.5 times stable's (30)"},
		"above both":                  {memoryRule(maxOf(20)), look(using("c", now, 40), using("s", now, 20)), Pending, "above 1.5 times stable's (30)"},
		"stable is gone, with max":    {memoryRule(maxOf(20)), look(using("c", now, 40), nil), Pending, "stable has no ready pods; above max 20"},
		"stable is gone, without max": {memoryRule(nil), look(using("c", now, 40), nil), BaselineMissing, "stable has no ready pods past their warm-up to compare with: without max the trigger cannot judge"},
		"stable has no samples": {memoryRule(nil), look(using("c", now, 40), unsampled(using("s", now, 1, 1))), BaselineMissing,
			"canary 40, stable is not known; 0 of stable's 2 ready pods have a fresh value, 90 % are needed to compare with"},
		"stable has too few samples":         {memoryRule(maxOf(20)), look(using("c", now, 40), append(unsampled(using("u", now, 1)), using("s", now, 1)...)), BaselineMissing, "1 of stable's 2 ready pods"},
		"below max without stable's samples": {memoryRule(maxOf(20)), look(using("c", now, 10), unsampled(using("s", now, 1))), Healthy, "50.0 % below max 20"},
		"stable's samples are old":           {memoryRule(nil), look(using("c", now, 40), aged(using("s", now, 10), 33*time.Second)), BaselineMissing, "0 of stable's 1 ready pods"},
		"stable shows 0":                     {memoryRule(nil), look(using("c", now, 3), using("s", now, 0)), BaselineMissing, "stable shows 0, and a multiple of that is no bound: set max in the trigger"},
		"both show 0":                        {memoryRule(nil), look(using("c", now, 0), using("s", now, 0)), Healthy, "canary 0, stable 0"},
		"0 needs no comparison":              {memoryRule(nil), look(using("c", now, 0), nil), Healthy, "canary 0, stable has no ready pods"},
		"stable has nothing to divide by":    {memoryRule(nil), look(using("c", now, 40), append(undivided(using("u", now, 9)), using("s", now, 10)...)), BaselineMissing, "1 of stable's 2 ready pods"},
		"numbers below ten thousand":         {memoryRule(nil), look(using("c", now, 1500), using("s", now, 9999)), Healthy, "canary 1500, stable 9999; 90.0 % below 1.5 times stable's (15k)"},
		"stable shows 0, below max":          {memoryRule(maxOf(20)), look(using("c", now, 3), using("s", now, 0)), Healthy, "85.0 % below max 20"},
		"stable shows 0, above max":          {memoryRule(maxOf(20)), look(using("c", now, 30), using("s", now, 0)), Pending, "above max 20"},
		"no pods":                            {memoryRule(nil), look(nil, using("s", now, 1)), Pending, "the candidate has no ready pods"},
		"no samples of any":                  {memoryRule(nil), look(unsampled(using("c", now, 1)), nil), PartialCoverage, "the source has no series memory_bytes for any pod"},
		"no samples of the candidate":        {memoryRule(nil), look(unsampled(using("c", now, 1)), using("s", now, 1)), PartialCoverage, "only for stable's"},
		"old samples":                        {memoryRule(nil), look(aged(using("c", now, 40), 33*time.Second), using("s", now, 1)), Stale, "33s old, at most 32s is allowed"},
		"samples just not too old":           {memoryRule(nil), look(aged(using("c", now, 1), 32*time.Second), using("s", now, 1)), Healthy, "33.3 % below"},
		"half of the pods have samples":      {memoryRule(nil), look(append(unsampled(using("u", now, 1)), using("c", now, 40)...), using("s", now, 1)), PartialCoverage, "1 of the candidate's 2 ready pods"},
		"nothing to divide by": {memoryRule(nil), look(append(undivided(using("u", now, 1)), using("c", now, 40)...), using("s", now, 1)), PartialCoverage,
			"1 of the candidate's 2 ready pods have a value, but nothing above 0 in per to divide it by: check the series of per"},
		"all pods are young": {memoryRule(nil), look(readyFor(using("c", now, 40, 40), 59*time.Second), using("s", now, 1)), Pending,
			"all of the candidate's 2 ready pods are within their warm-up of 1m0s: the trigger does not judge these"},
		"a young pod is left out": {memoryRule(nil), look(append(readyFor(using("y", now, 400), 59*time.Second), using("c", now, 10, 10, 10, 10, 10, 10, 10, 10, 10)...), using("s", now, 10)), Healthy,
			`canary 10 (9 pods, highest 10 in pod "c-0"), stable 10`},
		"a young pod of nine": {memoryRule(nil), look(append(readyFor(using("y", now, 400), 59*time.Second), using("c", now, 10, 10, 10, 10, 10, 10, 10, 10)...), using("s", now, 10)), Pending,
			"stable 10; 1 of the candidate's 9 ready pods are within their warm-up of 1m0s: a pass needs 90 % past it"},
		"a fail does not wait for the young": {memoryRule(nil), look(append(readyFor(using("y", now, 1), 59*time.Second), using("c", now, 16)...), using("s", now, 10)), Pending, "canary 16, stable 10; above 1.5 times"},
		"a pod is old after its warm-up":     {memoryRule(nil), look(append(readyFor(using("y", now, 40), 60*time.Second), using("c", now, 10)...), using("s", now, 10)), Pending, "canary 25 (2 pods"},
		"a young pod without samples":        {memoryRule(nil), look(append(unsampled(readyFor(using("y", now, 400), time.Second)), using("c", now, 10)...), using("s", now, 10)), Pending, "canary 10, stable 10; 1 of the candidate's 2 ready pods are within their warm-up"},
		"a young pod of stable's":            {memoryRule(nil), look(using("c", now, 14), append(readyFor(using("y", now, 0), time.Second), using("s", now, 10)...)), Healthy, "stable 10;"},
		"a rate is young for longer":         {memoryRule(func(s *Saturation) { s.Window = time.Minute }), look(readyFor(using("c", now, 40), 119*time.Second), using("s", now, 1)), Pending, "warm-up of 2m0s"},
		"it is not known since when":         {memoryRule(nil), look([]Load{{Pod: "c", Value: 1, SampledAt: now}}, using("s", now, 1)), Healthy, "canary 1, stable 1"},
		"sampled before the weight":          {memoryRule(nil), Loads{now, using("c", now.Add(-time.Second), 1), using("s", now, 1), now, 50}, Pending, "a pass needs samples that were taken at the present weight"},
		"one sampled before the weight":      {memoryRule(nil), Loads{now, append(using("c", now, 1), using("d", now.Add(-time.Second), 1)...), using("s", now, 1), now, 50}, Pending, "a pass needs samples"},
		"a rate from before the weight":      {memoryRule(func(s *Saturation) { s.Window = time.Minute }), Loads{now, using("c", now, 1), using("s", now, 1), now.Add(-59 * time.Second), 50}, Pending, "a pass needs samples"},
		"a rate of the weight":               {memoryRule(func(s *Saturation) { s.Window = time.Minute }), Loads{now, using("c", now, 1), using("s", now, 1), now.Add(-60 * time.Second), 0}, Healthy, "canary 1"},
		"one look below weight 100":          {memoryRule(nil), Loads{now, using("c", now, 1), using("s", now, 1), now.Add(-60 * time.Second), 50}, Pending, "a pass needs two samples of stable's at one weight, to compare with at weight 100"},
		"above, sampled before the weight":   {memoryRule(nil), Loads{now, using("c", now.Add(-time.Second), 9), using("s", now, 1), now, 50}, Pending, "above 1.5 times stable's"},
		"a source of an unknown interval":    {memoryRule(func(s *Saturation) { s.ScrapeInterval = 0 }), look(aged(using("c", now, 1), 32*time.Second), using("s", now, 1)), Healthy, "canary 1"},
		"neither of the two bounds is set":   {Saturation{For: time.Minute}, look(using("c", now, 1), nil), BadQuery, "neither worseThan nor max"},
		"numbers as people write them down":  {memoryRule(maxOf(1.5e12)), look(using("c", now, 123456), using("s", now, 9999.6)), Healthy, "canary 123.5k, stable 10k; 100.0 % below max 1.5T"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			state, v := tc.rule.Judge(SaturationState{}, tc.l)
			if v.Reason != tc.want || !strings.Contains(v.Message, tc.text) {
				t.Errorf("got %s: %s\nwant %s: %s", v.Reason, v.Message, tc.want, tc.text)
			}
			if above := strings.Contains(v.Message, "above"+" ") && !strings.Contains(v.Message, "nothing above 0"); above == state.Since.IsZero() {
				t.Errorf("the time above is %v in %s", state, v.Message)
			}
		})
	}
}

// TestSaturationNeedsAllOfItsTime plays looks every 15 s; a value is what the candidate
// shows beside stable's 10, NaN a look without samples, and +Inf a poll without a response.
func TestSaturationNeedsAllOfItsTime(t *testing.T) {
	gap, blind := math.NaN(), math.Inf(1)
	many := func(n int, v float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = v
		}
		return out
	}
	join := func(all ...[]float64) (out []float64) {
		for _, a := range all {
			out = append(out, a...)
		}
		return out
	}
	cases := map[string]struct {
		values []float64
		want   Reason
	}{
		"one look short":             {many(20, 16), Pending},
		"all of five minutes":        {many(21, 16), Saturated},
		"a fall in between":          {join(many(20, 16), many(1, 15), many(20, 16)), Pending},
		"five minutes after a fall":  {join(many(20, 16), many(1, 15), many(21, 16)), Saturated},
		"samples missing in between": {join(many(20, 16), many(1, gap), many(20, 16)), Pending},
		"a poll without a response":  {join(many(10, 16), many(1, blind), many(10, 16)), Saturated},
		"three without a response":   {join(many(10, 16), many(3, blind), many(10, 16)), Pending},
		"it ends with a gap":         {join(many(20, 16), many(1, gap)), PartialCoverage},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rule, state, v := memoryRule(nil), SaturationState{}, Verdict{}
			for i, value := range tc.values {
				now := saturationStart.Add(time.Duration(i) * 15 * time.Second)
				canary := using("c", now, value)
				switch {
				case math.IsInf(value, 1):
					state = rule.Missed(state, now)
					continue
				case math.IsNaN(value):
					canary = unsampled(canary)
				}
				if v.Reason == Saturated {
					t.Fatalf("it failed before the last look: %s", v.Message)
				}
				state, v = rule.Judge(state, Loads{EvaluatedAt: now, Canary: canary, Stable: using("s", now, 10)})
			}
			if v.Reason != tc.want {
				t.Errorf("got %s: %s, want %s", v.Reason, v.Message, tc.want)
			}
		})
	}
}

// TestTheTimeAboveOutlivesARestart, but not a long absence of the judge.
func TestTheTimeAboveOutlivesARestart(t *testing.T) {
	for name, tc := range map[string]struct {
		lasts, away time.Duration
		want        time.Duration
	}{
		"as long as a restart takes":          {5 * time.Minute, time.Minute, 3 * time.Minute},
		"longer":                              {5 * time.Minute, 61 * time.Second, 0},
		"longer than half of the time needed": {80 * time.Second, 41 * time.Second, 0},
		"as old as samples may be":            {10 * time.Second, 32 * time.Second, 152 * time.Second},
		"a clock that was set back":           {5 * time.Minute, -time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			since := saturationStart.Add(-2 * time.Minute)
			now := saturationStart.Add(tc.away)
			rule := memoryRule(func(s *Saturation) { s.For = tc.lasts })
			state, v := rule.Judge(SaturationState{Since: since, Last: saturationStart, Looked: saturationStart}, Loads{EvaluatedAt: now, Canary: using("c", now, 16), Stable: using("s", now, 10)})
			if got := state.Last.Sub(state.Since); got != tc.want || !state.Last.Equal(now) {
				t.Errorf("above for %s, want %s: %s", got, tc.want, v.Message)
			}
		})
	}
}

func TestSaturationsNumbers(t *testing.T) {
	now := saturationStart
	since := now.Add(-5 * time.Minute)
	_, v := memoryRule(nil).Judge(SaturationState{Since: since, Last: now.Add(-15 * time.Second), Looked: now.Add(-15 * time.Second)}, look(using("c", now, 15, 19), using("s", now, 9, 11)))
	want := Verdict{
		Saturated, `canary 17 (2 pods, highest 19 in pod "c-1"), stable 10 (2 pods, highest 11 in pod "s-1"); above 1.5 times stable's (15) for 5m0s without a break`,
		[]Statistic{{"canary", 17}, {"stable", 10}, {"bound", 15}, {"since", float64(since.Unix())}},
	}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestOneScrapeIsNoTime: every poll sees a sample again until the next scrape, which may be
// long after for. One scrape of either version, or of one pod, shows nothing about that time.
func TestOneScrapeIsNoTime(t *testing.T) {
	at := func(seconds int) time.Time { return saturationStart.Add(time.Duration(seconds) * time.Second) }
	// Scraped every minute: the newest scrape at a time, of a pod whose first is at offset.
	scrape := func(second, offset int) time.Time { return at(offset + (second-offset)/60*60) }
	cases := map[string]struct {
		canary, stable func(second int) []Load
		// fires is the first second at which it must fail; 0 for never in two minutes.
		fires int
	}{
		"one sample of the candidate": {
			canary: func(int) []Load { return using("c", at(0), 16) },
			stable: func(s int) []Load { return using("s", scrape(s, 0), 10) },
		},
		"two samples of the candidate": {
			canary: func(s int) []Load { return using("c", scrape(s, 0), 16) },
			stable: func(s int) []Load { return using("s", scrape(s, 0), 10) },
			fires:  60,
		},
		"one sample of one pod of two": {
			canary: func(s int) []Load {
				high := 10.0
				if s >= 50 && s < 110 {
					high = 30
				}
				return append(using("c", scrape(s, 0), 10), using("d", scrape(s, -10), high)...)
			},
			stable: func(s int) []Load { return using("s", scrape(s, 0), 10) },
		},
		"one low sample of stable": {
			canary: func(s int) []Load { return using("c", scrape(s, 0), 16) },
			stable: func(s int) []Load {
				if s >= 30 && s < 90 {
					return using("s", at(30), 10)
				}
				return using("s", scrape(s, -30), 16)
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rule := memoryRule(func(s *Saturation) { s.For, s.ScrapeInterval = 10*time.Second, time.Minute })
			state, fired := SaturationState{}, 0
			for second := 0; second <= 120 && fired == 0; second += 5 {
				var v Verdict
				if state, v = rule.Judge(state, Loads{EvaluatedAt: at(second), Canary: tc.canary(second), Stable: tc.stable(second)}); v.Outcome() == Fail {
					fired = second
				}
			}
			if fired != tc.fires {
				t.Errorf("fails at %d s, want %d (0 is never)", fired, tc.fires)
			}
		})
	}
}

// TestAnIdleStableIsComparedAsItWas: at weight 100 it gets no requests, and what it uses then
// says nothing about the candidate.
func TestAnIdleStableIsComparedAsItWas(t *testing.T) {
	now := saturationStart
	at := func(canary float64, stable []Load) Loads {
		return Loads{EvaluatedAt: now, StageFrom: now.Add(-time.Hour), Weight: 100, Canary: using("c", now, canary), Stable: stable}
	}
	idle := using("s", now, 0)
	early := at(40, idle)
	early.StageFrom = now.Add(time.Second)
	cases := map[string]struct {
		rule Saturation
		// before is what stable lasted at.
		before float64
		last   Loads
		want   Reason
		text   string
	}{
		"as much as stable had":   {memoryRule(maxOf(100)), 150, at(150, idle), Healthy, "canary 150, stable at most 150 before weight 100, peaks left out; 33.3 % below 1.5 times stable's (225)"},
		"more than stable had":    {memoryRule(maxOf(100)), 150, at(300, idle), Pending, "stable at most 150 before weight 100, peaks left out; above 1.5 times stable's (225) for"},
		"nothing to compare with": {memoryRule(nil), 0, at(40, undivided(using("s", now, 0))), BaselineMissing, "canary 40, stable gets no requests; stable was not seen above 0 for long enough below weight 100 to compare with: without max the trigger cannot judge"},
		"nor at this weight":      {memoryRule(nil), 0, early, BaselineMissing, "stable gets no requests; stable was not seen above 0"},
		"max decides alone":       {memoryRule(maxOf(20)), 0, at(40, idle), Pending, "canary 40, stable gets no requests; above max 20 for"},
		"below max":               {memoryRule(maxOf(20)), 0, at(10, idle), Healthy, "canary 10, stable gets no requests; 50.0 % below max 20"},
		"max is the only bound":   {memoryRule(only(20)), 0, at(40, idle), Pending, "canary 40, stable 0; above max 20"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			state := SaturationState{Stable: Lasting{Value: tc.before}}
			if _, v := tc.rule.Judge(state, tc.last); v.Reason != tc.want || !strings.Contains(v.Message, tc.text) {
				t.Errorf("got %s: %s\nwant %s: %s", v.Reason, v.Message, tc.want, tc.text)
			}
		})
	}
}

// TestABakeFailsByWhatStableUsed, although nothing was sampled of it at that weight.
func TestABakeFailsByWhatStableUsed(t *testing.T) {
	state, v := SaturationState{Stable: Lasting{Value: 10}}, Verdict{}
	for i := range 21 {
		now := saturationStart.Add(time.Duration(i) * 15 * time.Second)
		state, v = memoryRule(nil).Judge(state, Loads{EvaluatedAt: now, Weight: 100, Canary: using("c", now, 16), Stable: using("s", now, 0)})
	}
	if v.Reason != Saturated {
		t.Errorf("got %s: %s", v.Reason, v.Message)
	}
}
