package main

import "fmt"

// row is a scenario under at most four loads, which the tables show as one.
type row struct {
	// name is unique, and part of the seeds.
	name string
	// says what happens.
	says string
	scenario
	loads []load
	// scrape is the source's interval in seconds.
	scrape float64
	// null is set when the candidate is no worse than stable: every rollback is a false one.
	null bool
	// bars are what has to be reached.
	bars []bar
}

// bar is a target for some loads of a row, all of them when at is nil.
type bar struct {
	at *load
	// most is the greatest value: percent rolled back of a null, otherwise seconds.
	most float64
	what measureOf
}

type measureOf string

const (
	rolledBack measureOf = "rolled back"
	median     measureOf = "median"
	tail       measureOf = "95th percentile"
)

// covers reports whether a bar is for a load.
func (b bar) covers(l load) bool { return b.at == nil || *b.at == l }

// The loads that most rows have.
var (
	low5   = load{100, 0.05}
	low20  = load{100, 0.2}
	half10 = load{10, 0.5}
	thou10 = load{1000, 0.1}
	usual  = []load{half10, low5, low20, thou10}
	// unusual is very little and very much traffic.
	unusual = []load{{2, 0.5}, {10, 0.05}, {10000, 0.05}, {10000, 0.5}}
)

// scrapeUsual is the scrape interval of rows that say nothing else.
const scrapeUsual = 15

const (
	// errorBudget is that of the objective 99.9 %, and errorBase a good pod's errors.
	errorBudget = 0.001
	errorBase   = 0.0005
	// slowBudget is that of 99 % below 300 ms. slowBase is a service far below it, and
	// slowTail one whose requests take a log-normal time with median 120 ms and 99th
	// percentile 300 ms; with 100 ms more, slowLater of them are slow.
	slowBudget = 0.01
	slowBase   = 0.0005
	slowTail   = 0.01
	slowLater  = 0.0974
)

// good is a scenario of errors in which nothing happens, slow one of latency.
func good() scenario { return scenario{budget: errorBudget, healthy: errorBase} }
func slow() scenario { return scenario{budget: slowBudget, healthy: slowBase} }

// rows are all cells of the bench.
func rows() []row {
	all := append(nulls(), detections()...)
	for i := range all {
		if all[i].loads == nil {
			all[i].loads = usual
		}
		if all[i].scrape == 0 {
			all[i].scrape = scrapeUsual
		}
	}
	return all
}

// name of a load, for people.
func (l load) String() string { return fmt.Sprintf("%g rps %g %%", l.rps, 100*l.weight) }
