package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"belay.dev/belay/analysis"
)

// told is belay, and what the judge said at last.
func runCell(name string, s scenario, l load, scrape float64, runs int, edit func(w *world, rng *rand.Rand)) (failed int, times []float64) {
	var w world
	source := rand.NewPCG(0, 0)
	rng := rand.New(source)
	j := belay(startDefault)
	for n := range runs {
		source.Seed(20261126, key(name, l, n))
		s.build(&w, l, scrape, rng)
		if edit != nil {
			edit(&w, rng)
		}
		if at := j(&w, &s, rng); at < never/2 {
			failed++
			times = append(times, at)
		}
	}
	return failed, times
}

func runs() int {
	if n, err := strconv.Atoi(os.Getenv("RUNS")); err == nil {
		return n
	}
	return 100
}

// lose drops scrapes at random.
func lose(part float64, canary, stable bool) func(w *world, rng *rand.Rand) {
	return func(w *world, rng *rand.Rand) {
		for _, side := range []*side{&w.canary, &w.stable} {
			if side == &w.canary && !canary || side == &w.stable && !stable {
				continue
			}
			for i := range side.pods {
				p := &side.pods[i]
				kept := 0
				for k := range p.at {
					if rng.Float64() >= part {
						p.at[kept], p.total[kept], p.failed[kept] = p.at[k], p.total[k], p.failed[k]
						kept++
					}
				}
				p.at, p.total, p.failed = p.at[:kept], p.total[:kept], p.failed[:kept]
			}
		}
	}
}

var _ = analysis.Fail

func TestExploreFirstWeight(t *testing.T) {
	for _, share := range []float64{1, 0.99, 0.9, 0.5} {
		for _, inc := range [][2]float64{{30, 0.05}, {30, 0.2}, {30, 0.5}, {15, 1}, {10, 1}, {60, 0.2}} {
			s := good()
			s.incident, s.around = during(0, inc[0], inc[1]), 0.001
			s.alone = 0
			f, at := runCell("first", s, load{100, share}, 15, runs(), nil)
			fmt.Printf("first weight %g, both %g%% for %g s from the change: %d of %d %v\n", share, 100*inc[1], inc[0], f, runs(), head(at))
		}
	}
}

func head(x []float64) []float64 {
	if len(x) > 5 {
		return x[:5]
	}
	return x
}

func TestExploreLost(t *testing.T) {
	for _, part := range []float64{0.1, 0.3, 0.5} {
		for _, inc := range [][2]float64{{30, 0.05}, {60, 0.2}, {10, 1}} {
			for _, l := range []load{{100, 0.05}, {100, 0.2}, {1000, 0.1}} {
				f, at := runCell("lost", incident(inc[0], inc[1]), l, 15, runs(), lose(part, false, true))
				g, _ := runCell("lost", incident(inc[0], inc[1]), l, 15, runs(), lose(part, true, true))
				fmt.Printf("lost %g, both %g%% for %g s, %s: stable's lost %d, all lost %d of %d %v\n", part, 100*inc[1], inc[0], l, f, g, runs(), head(at))
			}
		}
	}
}

func TestExploreScrape60(t *testing.T) {
	for _, scrape := range []float64{15, 30, 60} {
		for _, from := range []float64{0.05, 0.5} {
			for _, to := range []float64{0.9, 1} {
				for _, inc := range [][2]float64{{30, 0.05}, {60, 0.2}, {120, 0.2}} {
					s := good()
					s.alone, s.raised, s.around, s.incident = 300, to, 1.5*scrape+inc[0]/2, during(0, inc[0], inc[1])
					f, at := runCell("raise", s, load{100, from}, scrape, runs(), nil)
					fmt.Printf("scrape %g, %g -> %g, both %g%% for %g s around: %d of %d %v\n", scrape, from, to, 100*inc[1], inc[0], f, runs(), head(at))
				}
			}
		}
	}
}

func TestExploreLaterWeight(t *testing.T) {
	for _, from := range []float64{0.05, 0.5} {
		for _, share := range []float64{1, 0.99, 0.95, 0.9, 0.8} {
			for _, inc := range [][2]float64{{30, 0.2}, {30, 0.5}, {60, 0.2}} {
				s := good()
				s.incident, s.around = during(0, inc[0], inc[1]), 0.001
				s.alone, s.raised = 240, share
				f, at := runCell("first", s, load{100, from}, 15, runs(), nil)
				fmt.Printf("%g -> %g, both %g%% for %g s from the change: %d of %d %v\n", from, share, 100*inc[1], inc[0], f, runs(), head(at))
			}
		}
	}
}

func TestExploreLostDetect(t *testing.T) {
	for _, part := range []float64{0, 0.3, 0.5, 0.7} {
		for _, ratio := range []float64{0.05, 0.5} {
			for _, l := range []load{low5, low20, thou10} {
				f, at := runCell("lostd", worse(good(), ratio, lateOnset), l, 15, runs(), lose(part, true, false))
				g, _ := runCell("lostd", worse(slow(), ratio, lateOnset), l, 15, runs(), lose(part, true, false))
				fmt.Printf("canary's scrapes lost %g, %g%% from 300 s on, %s: %d errors, %d latency of %d %v\n", part, 100*ratio, l, f, g, runs(), head(at))
			}
		}
	}
}

func TestExploreFirstWeightNoWarmUp(t *testing.T) {
	for _, share := range []float64{1, 0.99, 0.95, 0.9} {
		for _, inc := range [][2]float64{{30, 0.05}, {30, 0.2}, {30, 0.5}} {
			for _, warm := range []float64{0.001, 30} {
				s := good()
				s.incident, s.around = during(0, inc[0], inc[1]), 0.001
				s.warmUp = warm
				f, at := runCell("first", s, load{100, share}, 15, runs(), nil)
				fmt.Printf("warmUp %g first weight %g, both %g%% for %g s from the change: %d of %d %v\n", warm, share, 100*inc[1], inc[0], f, runs(), head(at))
			}
		}
	}
}

type heard struct {
	byDefault
	from int64
	said map[string]int
	last string
}

func (h *heard) judge(l analysis.Ledger, q analysis.Quality) analysis.Outcome {
	h.Given(q, 0, "")
	h.state = h.Observe(h.state, l)
	v := h.Judge(h.state, l)
	if l.EvaluatedAt.UnixMilli() >= h.from {
		h.said[string(v.Reason)]++
		if v.Reason == analysis.Pending || h.last == "" {
			h.last = v.Message
		}
	}
	return v.Outcome()
}

func TestExploreLostPods(t *testing.T) {
	for _, pods := range []int{2, 5, 9} {
		for _, part := range []float64{0, 0.02, 0.05, 0.1, 0.2, 0.3} {
			for _, l := range []load{low20, thou10} {
				s := worse(good(), 0.05, lateOnset)
				s.pods = pods
				f, at := runCell("lostd", s, l, 15, runs(), lose(part, true, false))
				for i := range at {
					at[i] -= lateOnset
				}
				slices.Sort(at)
				med := -1.0
				if len(at) > runs()/2 {
					med = at[len(at)/2]
				}
				fmt.Printf("%d pods, lost %g, 5%% from 300 s on, %s: %d of %d, %.0f\n", pods, part, l, f, runs(), med)
			}
		}
	}
}

func TestExploreLostSaid(t *testing.T) {
	said := map[string]int{}
	var h *heard
	j := belay(func(s *scenario) rule {
		h = &heard{byDefault: *(startDefault(s).(*byDefault)), from: clock(lateOnset + 120).UnixMilli(), said: said}
		return h
	})
	var w world
	source := rand.NewPCG(0, 0)
	rng := rand.New(source)
	s := worse(good(), 0.05, lateOnset)
	for n := range runs() {
		source.Seed(20261126, key("lostd", low20, n))
		s.build(&w, low20, 15, rng)
		lose(0.5, true, false)(&w, rng)
		at := j(&w, &s, rng)
		if n < 5 {
			fmt.Println(at, h.last)
		}
	}
	fmt.Println(said)
}

func TestExploreShiftPoison(t *testing.T) {
	for _, l := range []load{{100, 0.5}, {1000, 0.5}, {100, 0.05}} {
		for _, to := range []float64{0.9, 0.95} {
			for _, blip := range []float64{0, 0.2, 0.5, 1} {
				for _, later := range []float64{0.005, 0.01, 0.02} {
					s := good()
					s.alone, s.raised = 300, to
					s.both = []ramp{during(300, forever, later)}
					if blip > 0 {
						s.both = append(s.both, during(290, 300, blip))
					}
					f, at := runCell("poison", s, l, 15, runs(), nil)
					fmt.Printf("%s -> %g, both %g%% for 10 s before the change and %g%% after: %d of %d %v\n", l, to, 100*blip, 100*later, f, runs(), head(at))
				}
			}
		}
	}
}
