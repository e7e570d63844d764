package main

import (
	"hash/fnv"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

// column is a judge of the tables.
type column struct {
	name string
	// errors is set when the rule is for an slo of errors only.
	errors bool
	judge
}

// asked reports whether a rule is for a row.
func (c column) asked(r *row) bool { return !c.errors || r.budget == errorBudget }

// result is what one judge did in all runs of a row under a load.
type result struct {
	Row    string  `json:"row"`
	RPS    float64 `json:"rps"`
	Weight float64 `json:"weight"`
	Scrape float64 `json:"scrapeSeconds"`
	Judge  string  `json:"judge"`
	// Runs is 0 when the judge's rule is not for this row.
	Runs int    `json:"runs"`
	Seed uint64 `json:"seed"`
	// RolledBack is in percent of all runs; Early is the part before the onset, or all of a
	// null.
	RolledBack float64 `json:"rolledBackPercent"`
	Early      float64 `json:"falsePercent"`
	// Median and Tail are seconds from the onset, absent when fewer runs were rolled back.
	Median *float64 `json:"medianSeconds,omitempty"`
	Tail   *float64 `json:"tailSeconds,omitempty"`
}

// measure returns what each judge did, after every run of a row under a load. Each run draws
// from a source of its own, so a row depends on no other, and on no number of workers.
func measure(r *row, l load, judges []column, seed uint64, runs int) []result {
	seconds := make([][]float64, len(judges))
	for k := range seconds {
		seconds[k] = make([]float64, runs)
	}
	answers := slices.ContainsFunc(judges, func(c column) bool { return c.name != belayName })
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			var w world
			source := rand.NewPCG(0, 0)
			rng := rand.New(source) // #nosec G404 -- a simulation must repeat
			for n := int(next.Add(1)) - 1; n < runs; n = int(next.Add(1)) - 1 {
				source.Seed(seed, key(r.name, l, n))
				r.build(&w, l, r.scrape, rng)
				if answers {
					w.answers[0].remember(&w.canary)
					w.answers[1].remember(&w.stable)
				}
				for k, j := range judges {
					if j.asked(r) {
						seconds[k][n] = j.judge(&w, &r.scenario, rng) - r.onset
					}
				}
			}
		})
	}
	workers.Wait()
	out := make([]result, len(judges))
	for k, j := range judges {
		out[k] = result{Row: r.name, RPS: l.rps, Weight: l.weight, Scrape: r.scrape, Judge: j.name, Seed: seed}
		if j.asked(r) {
			out[k].Runs = runs
			out[k].summarize(seconds[k], r.null)
		}
	}
	return out
}

// key names a run: FNV-1a over what makes it.
func key(row string, l load, n int) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(row + " " + l.String() + " " + strconv.Itoa(n)))
	return h.Sum64()
}

// summarize sorts the seconds from onset. What is rolled back before the onset is a false
// alarm and not detected.
func (r *result) summarize(seconds []float64, null bool) {
	fired, early := 0, 0
	for i, s := range seconds {
		switch {
		case s > never/2:
		case s < 0 || null:
			early++
			seconds[i] = never
		default:
			fired++
		}
	}
	slices.Sort(seconds)
	percent := 100 / float64(len(seconds))
	r.RolledBack, r.Early = percent*float64(fired+early), percent*float64(early)
	r.Median, r.Tail = quantile(seconds, 0.5), quantile(seconds, 0.95)
}

// quantile of sorted seconds; nil when it is never.
func quantile(seconds []float64, part float64) *float64 {
	at := seconds[min(len(seconds)-1, int(part*float64(len(seconds))))]
	if at > never/2 {
		return nil
	}
	return &at
}
