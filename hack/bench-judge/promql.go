package main

import "sort"

// series is one counter of one pod.
type series struct{ at, value []float64 }

// answer is what Prometheus keeps of one version: a counter of good and one of
// bad requests for every pod. A client library creates the bad one with its
// first increment, so a new pod's is born late, at a value above 0.
type answer struct{ good, bad []series }

// remember fills the answer with a version's pods. Its memory is reused.
func (a *answer) remember(s *side) {
	a.good, a.bad = again(a.good, len(s.pods)), again(a.bad, len(s.pods))
	for i := range s.pods {
		p, good, bad := &s.pods[i], &a.good[i], &a.bad[i]
		for k, at := range p.at {
			good.at, good.value = append(good.at, at), append(good.value, p.total[k]-p.failed[k])
			if p.failed[k] > 0 || at < 0 {
				bad.at, bad.value = append(bad.at, at), append(bad.value, p.failed[k])
			}
		}
	}
}

func again(of []series, n int) []series {
	for len(of) < n {
		of = append(of, series{})
	}
	of = of[:n]
	for i := range of {
		of[i] = series{of[i].at[:0], of[i].value[:0]}
	}
	return of
}

// function is rate or irate: a counter's increase per second in a window.
type function func(s series, now, window float64) float64

// errorRatio is sum(of(bad[window]))/sum(of(all[window])). ok is false when there is no
// such number.
func (a *answer) errorRatio(of function, now, window float64) (ratio float64, ok bool) {
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
	end = first + sort.Search(len(s.at)-first, func(i int) bool { return s.at[first+i] > now })
	return first, end
}

// rate extrapolates as Prometheus 3 does (promql/functions.go, extrapolatedRate).
func rate(s series, now, window float64) float64 {
	first, end := s.within(now, window)
	if end-first < 2 {
		return 0
	}
	from, to := s.at[first], s.at[end-1]
	increase, sampled := s.value[end-1]-s.value[first], to-from
	for i := first + 1; i < end; i++ {
		if s.value[i] < s.value[i-1] {
			increase += s.value[i-1]
		}
	}
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
	increase := s.value[end-1] - s.value[end-2]
	if increase < 0 {
		increase = s.value[end-1]
	}
	return increase / (s.at[end-1] - s.at[end-2])
}
