package main

import "fmt"

// lateOnset is when a regression after the warm-up begins.
const lateOnset = 300

func detect(name, says string, s scenario, loads []load, bars ...bar) row {
	return row{name: name, says: says, scenario: s, loads: loads, bars: bars}
}

func within(l load, most float64, what measureOf) bar { return bar{&l, most, what} }

// worse is a candidate with more bad requests from a second on.
func worse(s scenario, ratio, onset float64) scenario {
	s.canary, s.onset = []ramp{during(onset, forever, ratio)}, onset
	return s
}

// errorRatios are the candidate's, beside those of a good one.
var errorRatios = []float64{0.005, 0.01, 0.02, 0.05, 0.2, 0.5, 1}

func detections() []row {
	first := map[float64][]bar{
		0.5: {within(low5, 30, median)}, 0.05: {within(low5, 75, median)}, 0.01: {within(low20, 150, median)},
	}
	late := map[float64][]bar{
		0.05: {within(low5, 45, median), within(low5, 90, tail)}, 0.01: {within(low20, 120, median)},
	}
	var out []row
	for _, ratio := range errorRatios {
		out = append(out, detect(fmt.Sprintf("first-%gpct", 100*ratio), fmt.Sprintf("%g %% errors from the first request", 100*ratio),
			worse(good(), ratio, 0), nil, first[ratio]...))
	}
	for _, ratio := range errorRatios {
		out = append(out, detect(fmt.Sprintf("late-%gpct", 100*ratio), fmt.Sprintf("%g %% errors from 300 s on", 100*ratio),
			worse(good(), ratio, lateOnset), nil, late[ratio]...))
	}
	out = append(out, otherFaults()...)
	out = append(out, otherPods()...)
	return append(out, otherSources()...)
}

func otherFaults() []row {
	leak := good()
	leak.canary = []ramp{{0, runFor, 0, 0.05}}
	tail := scenario{budget: slowBudget, healthy: slowTail}
	both := scenario{budget: errorBudget, healthy: 0.02}
	alone := good()
	alone.alone = aloneFrom
	most := alone
	most.raised = 0.9
	clumps := worse(scenario{budget: errorBudget, healthy: 0.001}, 0.009, 0)
	clumps.clump = 10
	busy := []load{low20, thou10, {1000, 0.2}, {10000, 0.2}}
	return []row{
		detect("leak", "errors grow from 0 to 5 % in 10 minutes", leak, nil),
		detect("endpoint-2pct", "one endpoint of 2 % of the requests fails from 300 s on", worse(good(), 0.02, lateOnset), busy),
		detect("endpoint-0.2pct", "one endpoint of 0.2 % of the requests fails from 300 s on", worse(good(), 0.002, lateOnset), busy),
		detect("slow-first", "100 ms more from the first request", worse(tail, slowLater-slowTail, 0), nil),
		detect("slow-late", "100 ms more from 300 s on", worse(tail, slowLater-slowTail, lateOnset), nil, within(low20, 150, median)),
		detect("both-bad-6pct", "6 % from 300 s on, stable has 2 %", worse(both, 0.04, lateOnset), nil),
		detect("both-bad-20pct", "20 % from 300 s on, stable has 2 %", worse(both, 0.18, lateOnset), nil),
		// At 10 requests/s two minutes have too few requests to tell 2 % from ten times the budget.
		detect("alone-2pct", "2 % at weight 100 from 300 s on", worse(alone, 0.02, lateOnset), nil,
			within(low5, 120, median), within(low20, 120, median), within(thou10, 120, median)),
		detect("alone-5pct", "5 % at weight 100 from 300 s on", worse(alone, 0.05, lateOnset), nil),
		detect("alone-50pct", "50 % at weight 100 from 300 s on", worse(alone, 0.5, lateOnset), nil),
		detect("raise-100-5pct", "5 % from when the weight becomes 100 %", worse(alone, 0.05, aloneFrom), nil),
		detect("raise-90-5pct", "5 % from when the weight becomes 90 %", worse(most, 0.05, aloneFrom), nil),
		detect("raise-90-50pct", "50 % from when the weight becomes 90 %", worse(most, 0.5, aloneFrom), nil),
		detect("before-90-5pct", "5 % from 30 s before the weight becomes 90 %", worse(most, 0.05, aloneFrom-30), nil),
		detect("before-100-5pct", "5 % from 30 s before the weight becomes 100 %", worse(alone, 0.05, aloneFrom-30), nil),
		detect("clumped-1pct", "1 % errors in clumps of 10 from the first request, stable has 0.1 %", clumps, nil),
	}
}

// otherPods are the same faults with other numbers of pods.
func otherPods() []row {
	var out []row
	for _, pods := range []int{1, 10} {
		for _, ratio := range []float64{0.01, 0.05, 0.5} {
			s := worse(good(), ratio, lateOnset)
			s.pods = pods
			out = append(out, detect(fmt.Sprintf("pods-%d-%gpct", pods, 100*ratio), fmt.Sprintf("%g %% from 300 s on, %d canary pods", 100*ratio, pods), s, nil))
		}
	}
	for _, lost := range []float64{0.1, 0.2} {
		s := worse(good(), 0.05, lateOnset)
		s.pods, s.lost = 9, lost
		out = append(out, detect(fmt.Sprintf("lost-%gpct-5pct", 100*lost), fmt.Sprintf("5 %% from 300 s on, 9 canary pods, %g %% of the scrapes fail", 100*lost), s, nil))
	}
	return out
}

// onCluster are the targets of the local cluster, which is scraped every 5 s: 50 % sooner
// than the peers tuned to 10 s checks, 5 % in 45 s.
var onCluster = map[float64]float64{0.5: 20, 0.05: 45}

// otherSources have another scrape interval, or much less or more traffic.
func otherSources() []row {
	var out []row
	for _, scrape := range []float64{5, 30, 60} {
		for _, ratio := range []float64{0.05, 0.5} {
			for _, onset := range []float64{0, lateOnset} {
				r := detect(fmt.Sprintf("scrape-%gs-%gpct-%g", scrape, 100*ratio, onset),
					fmt.Sprintf("%g %% from %g s on", 100*ratio, onset), worse(good(), ratio, onset), nil)
				r.scrape = scrape
				if most, ok := onCluster[ratio]; ok && scrape == 5 && onset == 0 {
					r.bars = []bar{within(low20, most, median)}
				}
				out = append(out, r)
			}
		}
	}
	for _, ratio := range []float64{0.01, 0.05, 0.5} {
		out = append(out, detect(fmt.Sprintf("rate-%gpct", 100*ratio), fmt.Sprintf("%g %% from 300 s on", 100*ratio), worse(good(), ratio, lateOnset), unusual))
	}
	return out
}
