package analysis

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Saturation compares what the candidate's pods use with what stable's use and with a
// bound. It fires when the candidate is above for some time without a break. The value of a
// version is the mean over its ready pods with a fresh sample, without those within their
// warm-up.
type Saturation struct {
	// WorseThan is how many times stable's value the candidate may have; 0 for no such bound.
	WorseThan float64
	// Max is the value that the candidate may have; nil for no such bound. With both, the
	// candidate must be above both.
	Max *float64
	// For is how long the candidate must be above.
	For time.Duration
	// WarmUp is how long after its readiness a pod's value is left out.
	WarmUp time.Duration
	// Window is the time before its sample that a pod's value is about; 0 for a gauge.
	Window time.Duration
	// ScrapeInterval of the source. Zero means not known; slowestScrape is used then.
	ScrapeInterval time.Duration
	// Metric that was queried, for messages.
	Metric string
}

// Load is what one ready pod uses.
type Load struct {
	Pod string
	// Value of the pod. It is not known when the pod has no sample, and when that is Undivided
	// or Unusable.
	Value float64
	// Undivided is set when there is nothing above 0 to divide the value by.
	Undivided bool
	// Unusable says why the sample cannot be used; empty for nothing.
	Unusable string
	// SampledAt is the scrape time; zero without a sample.
	SampledAt time.Time
	// ReadyAt is since when the pod has been ready; zero when that is not known.
	ReadyAt time.Time
}

// Loads are what every ready pod of both versions uses at one evaluation time.
type Loads struct {
	EvaluatedAt    time.Time
	Canary, Stable []Load
	// StageFrom is when the present stage began: what was sampled before is no pass for it.
	StageFrom time.Time
	// Weight of the candidate in percent, as the routes have it: at 100 stable gets no
	// requests. 0 without routes, and while they have not acknowledged it.
	Weight int
}

// SaturationState is for how long the candidate has been above its bound: the newest sample
// of the first look at which it was, the oldest one of the newest look, and when that look
// was. Times are zero while it is not above.
type SaturationState struct {
	Since  time.Time `json:"since,omitzero"`
	Last   time.Time `json:"last,omitzero"`
	Looked time.Time `json:"looked,omitzero"`
	// Stable is what stable has lasted at in the run. Its value falls as the weight rises, so the
	// newest one is of a part of what the candidate serves at 100.
	Stable Lasting `json:"lasting,omitzero"`
}

// lasted is the time above that samples show: a sample that every look sees again shows none.
func (s SaturationState) lasted() time.Duration { return max(0, s.Last.Sub(s.Since)) }

// longestRestart is how long the judge may not have looked while the candidate counts as
// above: its state is written every 30 s, and another process needs some time to take over.
const longestRestart = time.Minute

// Judge returns the state after a look, and the verdict. A pod whose sample cannot be used
// counts as one without a sample, and the message names it.
func (s Saturation) Judge(before SaturationState, l Loads) (SaturationState, Verdict) {
	state, v := s.judge(before, l)
	if v.Reason != PartialCoverage {
		v = v.Noting(Poll{Canary: counters(l.Canary), Stable: counters(l.Stable)})
	}
	return state, v
}

func (s Saturation) judge(before SaturationState, l Loads) (SaturationState, Verdict) {
	if s.WorseThan <= 0 && s.Max == nil {
		return SaturationState{}, Verdict{Reason: BadQuery, Message: "the trigger has neither worseThan nor max, so no value is too high"}
	}
	before.Stable = s.remember(before.Stable, l)
	stable := s.baseline(before, l)
	if v, ok := s.usable(l); !ok {
		return before.below(), v
	}
	canary := s.usage(l.Canary, l.EvaluatedAt)
	b := s.bound(stable)
	v := Verdict{Statistics: []Statistic{{"canary", canary.mean}}}
	if stable.known() {
		v.Statistics = append(v.Statistics, Statistic{"stable", stable.mean})
	}
	if b.is {
		v.Statistics = append(v.Statistics, Statistic{"bound", b.value})
	}
	seen := fmt.Sprintf("canary %s, stable %s", canary, stable)
	switch {
	case canary.mean <= b.value:
		v.Reason, v.Message = Healthy, seen+b.below(canary.mean)
		if missing := s.missing(canary, stable, before.Stable, l); missing != "" {
			v.Reason, v.Message = Pending, seen+"; "+missing
		}
		return before.below(), v
	case b.missing != "" && (!b.is || !stable.absent()):
		v.Reason, v.Message = BaselineMissing, seen+"; "+b.missing
		return before.below(), v
	}
	state := s.above(before, canary, stable, l.EvaluatedAt)
	lasted := state.lasted()
	v.Statistics = append(v.Statistics, Statistic{"since", float64(state.Since.Unix())})
	switch {
	case lasted >= s.For && lasted > 0:
		v.Reason, v.Message = Saturated, fmt.Sprintf("%s; above %s for %s without a break", seen, b.text, lasted.Round(time.Second))
	default:
		v.Reason, v.Message = Pending, fmt.Sprintf("%s; above %s for %s of %s: the candidate is rolled back if that lasts", seen, b.text, lasted.Round(time.Second), s.For)
	}
	return state, v
}

// missing says what a pass of a candidate that is not above needs besides; empty for nothing.
func (s Saturation) missing(canary, stable usage, lasting Lasting, l Loads) string {
	all := len(l.Canary)
	switch {
	case float64(canary.ready) < coverage*float64(all):
		return fmt.Sprintf("%d of the candidate's %d ready pods are within their warm-up of %s: a pass needs %.0f %% past it", all-canary.ready, all, s.WarmUp+s.Window, 100*coverage)
	case canary.oldest.Add(-s.Window).Before(l.StageFrom):
		return "a pass needs samples that were taken at the present weight"
	case s.WorseThan > 0 && l.Weight > 0 && l.Weight < 100 && stable.known() && stable.comparable() && !lasting.known():
		return "a pass needs two samples of stable's at one weight, to compare with at weight 100"
	}
	return ""
}

// baseline is what the candidate is compared with: stable's value, or the highest one that
// lasted at earlier weights while the routes send stable no requests.
func (s Saturation) baseline(before SaturationState, l Loads) usage {
	if l.Weight < 100 || s.WorseThan <= 0 {
		return s.usage(l.Stable, l.EvaluatedAt)
	}
	if before.Stable.Value <= 0 {
		return usage{idle: true}
	}
	return usage{idle: true, mean: before.Stable.Value, sampled: 1, ready: 1}
}

// below is the state after a look at which the candidate is not shown to be above.
func (s SaturationState) below() SaturationState { return SaturationState{Stable: s.Stable} }

// Missed returns the state after a poll without a usable response. The time above ends
// when the newest look is older than a sample may be.
func (s Saturation) Missed(before SaturationState, now time.Time) SaturationState {
	if now.Sub(before.Looked) > s.quality(0).freshness() {
		return before.below()
	}
	return before
}

// above continues the time above, or begins it. What is compared with counts too: one sample
// of stable's must not decide either.
func (s Saturation) above(before SaturationState, canary, stable usage, now time.Time) SaturationState {
	oldest, newest := canary.oldest, canary.newest
	if s.WorseThan > 0 && stable.known() && !stable.idle {
		oldest, newest = earlier(oldest, stable.oldest), later(newest, stable.newest)
	}
	if before.Since.IsZero() || now.Before(before.Looked) || now.Sub(before.Looked) > s.longestGap() {
		return SaturationState{newest, oldest, now, before.Stable}
	}
	return SaturationState{before.Since, later(before.Last, oldest), now, before.Stable}
}

// longestGap is the longest time between two looks over which a value is taken to last.
func (s Saturation) longestGap() time.Duration {
	return max(s.quality(0).freshness(), min(longestRestart, s.For/2))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (s Saturation) quality(ready int) Quality {
	q := Quality{ScrapeInterval: s.ScrapeInterval, ReadyPods: ready, Metric: s.Metric}
	if q.ScrapeInterval <= 0 {
		q.ScrapeInterval = slowestScrape
	}
	return q
}

// usable checks that enough of the candidate's pods have a value. ok is false when not; the
// verdict then says why.
func (s Saturation) usable(l Loads) (v Verdict, ok bool) {
	canary := s.mature(l.Canary, l.EvaluatedAt)
	if young := len(l.Canary); len(canary) == 0 && young > 0 {
		return Verdict{Reason: Pending, Message: fmt.Sprintf("all of the candidate's %d ready pods are within their warm-up of %s: the trigger does not judge these", young, s.WarmUp+s.Window)}, false
	}
	undivided, divided := 0, make([]Load, 0, len(canary))
	for _, pod := range canary {
		if pod.Undivided {
			undivided++
			continue
		}
		divided = append(divided, pod)
	}
	v, ok = s.quality(len(canary)).Judge(Poll{EvaluatedAt: l.EvaluatedAt, Canary: counters(divided), Stable: counters(l.Stable)})
	if !ok && undivided > 0 {
		v = Verdict{Reason: PartialCoverage, Message: fmt.Sprintf("%d of the candidate's %d ready pods have a value, but nothing above 0 in per to divide it by: check the series of per", undivided, len(canary))}
	}
	return v, ok
}

// counters are the samples of pods, of those that have one.
func counters(pods []Load) []PodCounter {
	var out []PodCounter
	for _, p := range pods {
		if !p.SampledAt.IsZero() || p.Unusable != "" {
			out = append(out, PodCounter{Pod: p.Pod, Counts: Counts{Total: p.Value}, SampledAt: p.SampledAt, Unusable: p.Unusable})
		}
	}
	return out
}

// mature are the pods whose values are from after their warm-up.
func (s Saturation) mature(pods []Load, now time.Time) []Load {
	var out []Load
	for _, p := range pods {
		at := p.SampledAt.Add(-s.Window)
		if p.SampledAt.IsZero() {
			at = now
		}
		if at.Sub(p.ReadyAt) >= s.WarmUp {
			out = append(out, p)
		}
	}
	return out
}

// usage is what a version uses.
type usage struct {
	mean float64
	// sampled are the pods that mean is of, ready those that should have a value.
	sampled, ready int
	// highest is the value of the pod that is named.
	highest float64
	pod     string
	// oldest and newest are the scrape times.
	oldest, newest time.Time
	// idle is set for stable at weight 100: mean is then of an earlier weight.
	idle bool
}

func (s Saturation) usage(pods []Load, now time.Time) usage {
	mature := s.mature(pods, now)
	u := usage{ready: len(mature)}
	sum, limit := 0.0, s.quality(0).freshness()
	for _, p := range mature {
		if p.Undivided || p.Unusable != "" || p.SampledAt.IsZero() || now.Sub(p.SampledAt) > limit {
			continue
		}
		u.sampled++
		sum += p.Value
		if u.pod == "" || p.Value > u.highest {
			u.highest, u.pod = p.Value, p.Pod
		}
		if u.oldest.IsZero() || p.SampledAt.Before(u.oldest) {
			u.oldest = p.SampledAt
		}
		u.newest = later(u.newest, p.SampledAt)
	}
	u.mean = sum / float64(max(1, u.sampled))
	return u
}

// absent reports whether a version has no pods that should have a value.
func (u usage) absent() bool { return u.ready == 0 }

// comparable reports whether a multiple of the value is a bound.
func (u usage) comparable() bool { return u.mean > 0 && !math.IsInf(u.mean, 1) }

// known reports whether enough of a version's pods have a fresh value.
func (u usage) known() bool {
	return u.ready > 0 && float64(u.sampled) >= coverage*float64(u.ready)
}

// String has the mean and, of several pods, the one with the highest value.
func (u usage) String() string {
	switch {
	case u.idle && u.absent():
		return "gets no requests"
	case u.idle:
		return "at most " + short(u.mean) + " before weight 100, peaks left out"
	case u.absent():
		return "has no ready pods"
	case !u.known():
		return "is not known"
	case u.sampled == 1:
		return short(u.mean)
	default:
		return fmt.Sprintf("%s (%d pods, highest %s in pod %q)", short(u.mean), u.sampled, short(u.highest), u.pod)
	}
}

// bound is the value that the candidate may have.
type bound struct {
	// is reports whether there is one. Without one, value is 0: that is never too high.
	is    bool
	value float64
	text  string
	// missing says why there is no bound by stable, although the trigger has one.
	missing string
}

// bound is the greater one of the two: above it the candidate is above both.
func (s Saturation) bound(stable usage) (b bound) {
	if s.Max != nil {
		b.is, b.value, b.text = true, *s.Max, "max "+short(*s.Max)
	}
	switch relative := s.WorseThan * stable.mean; {
	case s.WorseThan <= 0:
	case stable.idle && stable.absent():
		b.missing = "stable was not seen above 0 for long enough below weight 100 to compare with: without max the trigger cannot judge"
	case stable.absent():
		b.missing = "stable has no ready pods past their warm-up to compare with: without max the trigger cannot judge"
	case !stable.known():
		b.missing = fmt.Sprintf("%d of stable's %d ready pods have a fresh value, %.0f %% are needed to compare with", stable.sampled, stable.ready, 100*coverage)
	case stable.mean == 0:
		if !b.is {
			b.missing = "stable shows 0, and a multiple of that is no bound: set max in the trigger"
		}
	case !b.is || relative >= b.value:
		b.is, b.value, b.text = true, relative, fmt.Sprintf("%.4g times stable's (%s)", s.WorseThan, short(relative))
	}
	return b
}

// below says how far below the bound a value is.
func (b bound) below(value float64) string {
	switch {
	case !b.is:
		return ""
	case value == b.value:
		return fmt.Sprintf("; at %s, not above", b.text)
	default:
		return fmt.Sprintf("; %s below %s", percent(1-value/b.value), b.text)
	}
}

// short prints a value with four digits: k, M, G, T and P are powers of 1000.
func short(v float64) string {
	for i, unit := range []string{"P", "T", "G", "M", "k"} {
		if size := math.Pow(1000, float64(5-i)); v >= size && v >= 9999.5 {
			return strconv.FormatFloat(v/size, 'g', 4, 64) + unit
		}
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
