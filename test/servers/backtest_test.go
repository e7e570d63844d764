//go:build servers

package servers

import (
	"math"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/backtest"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

const (
	// length is how much past there is, and onset is when the candidate begins to fail.
	length = 3 * time.Hour
	onset  = 2 * time.Hour
	every  = 15 * time.Second
)

// docs/analysis.md has the 95th percentiles of 5 % errors at 100 requests/s, 20 %: 113 s from
// the first request, with the pods' warm-up, which is what a release that starts after the onset
// has; and 71 s from an onset in the middle of one. Here are more requests, at a greater weight.
// All pods are scraped at the same time and polled 11 s later, and there is a verdict at a poll
// only: at most one interval after the scrape that had enough.
const (
	firstWithin = 113*time.Second + every
	lateWithin  = 71*time.Second + every
)

// pastOf are two counters for each of six pods with 20 requests a second. The candidate's two
// have 5 % errors from the onset on, the others 0.05 %.
func pastOf() []series {
	var out []series
	for _, name := range []string{"shop-new-aaaaa", "shop-new-bbbbb", "shop-old-aaaaa", "shop-old-bbbbb", "shop-old-ccccc", "shop-old-ddddd"} {
		out = append(out,
			counter("requests_total", 20, pod("shop", name)),
			series{"errors_total", pod("shop", name), func(since time.Duration) float64 {
				bad := 20 * 0.0005 * since.Seconds()
				if since > onset && name[:8] == "shop-new" {
					bad += 20 * 0.0495 * (since - onset).Seconds()
				}
				return math.Floor(bad)
			}})
	}
	return out
}

// TestABacktestOfThreeHours: a fault of the past is found, before it none is, and a healthy
// version is never worse than itself.
func TestABacktestOfThreeHours(t *testing.T) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			g := NewWithT(t)
			// The newest sample is some minutes old, of a time that is no multiple of the interval.
			begin := time.Now().Add(-length - 10*time.Minute).Truncate(every).Add(4 * time.Second)
			query, err := prometheus.IndicatorQuery(errorsOfRequests, prometheus.Pods{Namespace: "shop", ReplicaSets: []string{"shop-new", "shop-old"}})
			g.Expect(err).NotTo(HaveOccurred())
			source := s.with(t, past{begin, length, every, pastOf()}, nil, query, 6)
			windows, err := backtest.Sliding(begin.Add(time.Minute), begin.Add(length), 15*time.Minute, 10*time.Minute, 100)
			g.Expect(err).NotTo(HaveOccurred())
			asked := backtest.Spec{
				Namespace: "shop", ScrapeInterval: every, Windows: windows, Onset: begin.Add(onset),
				Arms: backtest.Arms{Candidate: []string{"shop-new"}, Stable: []string{"shop-old"}}, Stages: []backtest.Stage{{Weight: 33}},
				Guardrail: v1alpha1.GuardrailSpec{MinimumSamples: 100, SLOs: []v1alpha1.SLO{{Name: "availability", Objective: "99.9", Period: "30d", Indicator: errorsOfRequests}}},
			}
			got, err := backtest.Run(t.Context(), source, asked, nil)
			g.Expect(err).NotTo(HaveOccurred())
			t.Log("\n" + got.Text(3))
			// Windows of 15 minutes that begin at 1, 11, 21 … minutes: the first that sees the fault
			// begins at 111, the last at 161.
			g.Expect(got.Releases).To(Equal(17))
			g.Expect(got.Unjudged).To(BeZero())
			g.Expect(got.Fired).To(Equal(6))
			g.Expect(got.Triggers[0].BeforeOnset).To(BeZero())
			g.Expect(got.Fires).To(HaveLen(6))
			for _, f := range got.Fires {
				g.Expect(f.Reason).To(Equal(string(analysis.RegressionFound)))
				from, within := f.Start, firstWithin
				if f.Start.Before(asked.Onset) {
					from, within = asked.Onset, lateWithin
				}
				g.Expect(f.At.Sub(from)).To(BeNumerically("<=", within), "the release that starts at %s", f.Start)
			}

			asked.Arms, asked.Stages, asked.Onset = backtest.Arms{Split: []string{"shop-old"}, Seeds: []uint64{1, 2, 3}}, nil, time.Time{}
			got, err = backtest.Run(t.Context(), source, asked, nil)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got.Releases).To(Equal(51))
			g.Expect(got.Fired + got.Unjudged).To(BeZero())
		})
	}
}

// TestRangeQueries: at a time of the past there is what an instant query had then, with the
// same lookback of three scrape intervals.
func TestRangeQueries(t *testing.T) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			g := NewWithT(t)
			begin := time.Now().Add(-20 * time.Minute).Truncate(every).Add(4 * time.Second)
			query, err := prometheus.IndicatorQuery(errorsOfRequests, prometheus.Pods{Namespace: "shop", ReplicaSets: []string{"shop-new", "shop-old"}})
			g.Expect(err).NotTo(HaveOccurred())
			c := s.with(t, past{begin, 10 * time.Minute, every, pastOf()}, nil, query, 6)
			// Times that are no multiples of the step: from 1 s before a sample to long after the last.
			newest := begin.Add(10 * time.Minute)
			times := prometheus.Times{From: newest.Add(-time.Second), Step: 5 * time.Second, Count: 14}
			over := make([]prometheus.Response, times.Count)
			parts := times.Parts(every)
			for n, part := range parts {
				some, err := c.CountsOver(t.Context(), "shop", query, part)
				g.Expect(err).NotTo(HaveOccurred())
				for i := range some {
					over[n+i*len(parts)] = some[i]
				}
			}
			for i, answer := range over {
				at := times.At(i)
				g.Expect(answer.At).To(BeTemporally("==", at))
				want, sampled := 6, newest
				if i == 0 {
					sampled = newest.Add(-every)
				}
				if at.Sub(newest) >= 3*every {
					want = 0
				}
				g.Expect(answer.Counters).To(HaveLen(want), "%s after the newest sample", at.Sub(newest))
				for _, counter := range answer.Counters {
					g.Expect(counter.SampledAt).To(BeTemporally("==", sampled))
					g.Expect(counter.Total).To(Equal(math.Floor(20 * sampled.Sub(begin).Seconds())))
				}
			}
		})
	}
}
