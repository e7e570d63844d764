package main

import "sort"

// series is one counter of one pod.
type series struct{ at, value []float64 }

// answer is what Prometheus keeps of one version: a counter of good and one of
// bad requests for every pod. A client library creates the bad one with its
// first increment, so a new pod's is born late, at a value above 0.
type answer struct{ good, bad []series }

func remembered(pods [][]sample) answer {
	var out answer
	for _, samples := range pods {
		var good, bad series
		for _, s := range samples {
			good.at, good.value = append(good.at, s.at), append(good.value, s.total-s.bad)
			if s.bad > 0 || s.at < 0 {
				bad.at, bad.value = append(bad.at, s.at), append(bad.value, s.bad)
			}
		}
		out.good, out.bad = append(out.good, good), append(out.bad, bad)
	}
	return out
}

// rule is rate or irate: a counter's increase per second in a window.
type rule func(s series, now, window float64) float64

// errorRatio is sum(rule(bad[window]))/sum(rule(all[window])). ok is false when
// there is no such number.
func (a answer) errorRatio(of rule, now, window float64) (ratio float64, ok bool) {
	var good, bad float64
	for i := range a.good {
		good += of(a.good[i], now, window)
		bad += of(a.bad[i], now, window)
	}
	if good+bad == 0 {
		return 0, false
	}
	return bad / (good + bad), true
}

// within are the samples in (now−window, now].
func (s series) within(now, window float64) (first, end int) {
	first = sort.Search(len(s.at), func(i int) bool { return s.at[i] > now-window })
	end = sort.Search(len(s.at), func(i int) bool { return s.at[i] > now })
	return first, end
}

// rate extrapolates as Prometheus 3 does (promql/functions.go, extrapolatedRate);
// counters here never reset.
func rate(s series, now, window float64) float64 {
	first, end := s.within(now, window)
	if end-first < 2 {
		return 0
	}
	from, to := s.at[first], s.at[end-1]
	increase, sampled := s.value[end-1]-s.value[first], to-from
	average := sampled / float64(end-first-1)
	toStart, toEnd := from-(now-window), now-to
	if toStart >= 1.1*average {
		toStart = average / 2
	}
	if increase > 0 {
		toStart = min(toStart, sampled*s.value[first]/increase)
	}
	if toEnd >= 1.1*average {
		toEnd = average / 2
	}
	return increase * (sampled + toStart + toEnd) / sampled / window
}

// irate looks at the last two samples.
func irate(s series, now, window float64) float64 {
	first, end := s.within(now, window)
	if end-first < 2 {
		return 0
	}
	return (s.value[end-1] - s.value[end-2]) / (s.at[end-1] - s.at[end-2])
}
