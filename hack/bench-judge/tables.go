package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
)

// column is a judge of the tables.
type column struct {
	name string
	judge
}

var columns = []column{
	{"Argo 95 %", argo(0.95)},
	{"Argo 99 %", argo(0.99)},
	{"Flagger 99 %", flagger},
	{"burn alert", burnAlert(0)},
	{"burn alert, 2x stable", burnAlert(2)},
	{"Belay burn", belay(belayBurn)},
	{"Belay regression", belay(belayRegression)},
	{"**Belay default**", belay(belayDefault)},
}

// row is a scenario under loads that the table shows as one.
type row struct {
	scenario
	label string
	loads []load
}

func grid() (loads []load) {
	for _, rps := range []float64{10, 100, 1000} {
		for _, weight := range []float64{0.05, 0.2, 0.5} {
			loads = append(loads, load{rps, weight})
		}
	}
	return loads
}

// healthy is the error ratio of a good version.
const healthy = 0.001

func worse(name string, p float64) scenario {
	return scenario{name: name, canary: always(p), stable: always(healthy)}
}

func detectionRows() []row {
	tiny, small, one, five, half := worse("0.2 % (2x)", 0.002), worse("0.5 %", 0.005), worse("1 %", 0.01), worse("5 %", 0.05), worse("50 %", 0.5)
	late := scenario{name: "5 % from 300 s", canary: during(300, runFor, 0.05, healthy), stable: always(healthy), onset: 300}
	clumps := scenario{name: "1 % clumped", canary: always(0.01), stable: always(healthy), clump: 10}
	return []row{
		{tiny, "all", grid()},
		{small, "100, 20 %", []load{{100, 0.2}}},
		{small, "1000, 5 %", []load{{1000, 0.05}}},
		{small, "1000, 50 %", []load{{1000, 0.5}}},
		{one, "10, 50 %", []load{{10, 0.5}}},
		{one, "100, 5 %", []load{{100, 0.05}}},
		{one, "100, 20 %", []load{{100, 0.2}}},
		{one, "1000, 5 %", []load{{1000, 0.05}}},
		{five, "10, 5 %", []load{{10, 0.05}}},
		{five, "100, 5 %", []load{{100, 0.05}}},
		{five, "100, 20 %", []load{{100, 0.2}}},
		{five, "1000, 50 %", []load{{1000, 0.5}}},
		{half, "10, 5 %", []load{{10, 0.05}}},
		{half, "≥ 100, all", grid()[3:]},
		{late, "100, 20 %", []load{{100, 0.2}}},
		{clumps, "1000, 20 %", []load{{1000, 0.2}}},
	}
}

// nulls are the scenarios in which every rollback is a false one.
func nulls() []scenario {
	good := always(healthy)
	return []scenario{
		{name: "0.1 % independent", canary: good, stable: good},
		{name: "0.1 % clumped (≤ 50)", canary: good, stable: good, clump: 10},
		{name: "shared 30 s at 5 %", canary: good, stable: good, incident: 0.05},
		{name: "both versions at 2 %", canary: always(0.02), stable: always(0.02)},
	}
}

// measure returns every column's seconds from onset, over all runs and loads.
// Each run draws from its own source, so a row does not depend on the others.
func measure(s scenario, loads []load, judges []column, seed uint64, runs int) [][]float64 {
	out := make([][]float64, len(judges))
	for _, l := range loads {
		for n := range runs {
			rng := rand.New(rand.NewPCG(seed, key(s, l, n))) // #nosec G404 -- a simulation must repeat
			o := observe(simulate(s, l, rng))
			for k, j := range judges {
				out[k] = append(out[k], j.judge(o, rng)-float64(s.onset))
			}
		}
	}
	return out
}

// key names a run: FNV-1a over what makes it.
func key(s scenario, l load, n int) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range []byte(fmt.Sprint(s.name, l.rps, l.weight, n)) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h
}

func detection(out io.Writer, seed uint64, runs int) {
	header(out, []string{"canary errors", "rps, weight"}, columns)
	for _, r := range detectionRows() {
		fmt.Fprintf(out, "| %s | %s |", r.name, r.label)
		for _, seconds := range measure(r.scenario, r.loads, columns, seed, runs) {
			fmt.Fprintf(out, " %s |", detected(seconds))
		}
		fmt.Fprintln(out)
	}
}

// detected prints the share of runs a judge noticed, and the median time when
// that is at least half of them. What is noticed before the onset is not.
func detected(seconds []float64) string {
	slices.Sort(seconds)
	noticed := 0
	for _, s := range seconds {
		if s > 0 && s <= runFor {
			noticed++
		}
	}
	text := fmt.Sprintf("%.3g", 100*float64(noticed)/float64(len(seconds)))
	if median := seconds[(len(seconds)-1)/2]; median > 0 && median <= runFor {
		text += fmt.Sprintf(" / %.0f", median)
	}
	return text
}

func falseAlarms(out io.Writer, seed uint64, runs int) {
	judges := append(slices.Clone(columns), column{"z-test, peeking", belay(naive)})
	header(out, []string{"canary = stable"}, judges)
	for _, s := range nulls() {
		lowest, highest := make([]float64, len(judges)), make([]float64, len(judges))
		for i, l := range grid() {
			for k, seconds := range measure(s, []load{l}, judges, seed, runs) {
				fired := 0
				for _, second := range seconds {
					if second <= runFor {
						fired++
					}
				}
				percent := 100 * float64(fired) / float64(runs)
				if i == 0 {
					lowest[k] = percent
				}
				lowest[k], highest[k] = min(lowest[k], percent), max(highest[k], percent)
			}
		}
		fmt.Fprintf(out, "| %s |", s.name)
		for k := range judges {
			fmt.Fprintf(out, " %s |", span(lowest[k], highest[k]))
		}
		fmt.Fprintln(out)
	}
}

func span(low, high float64) string {
	if low == high {
		return fmt.Sprintf("%.3g", low)
	}
	return fmt.Sprintf("%.2g–%.3g", low, high)
}

func header(out io.Writer, first []string, judges []column) {
	names := slices.Clone(first)
	for _, j := range judges {
		names = append(names, j.name)
	}
	fmt.Fprintf(out, "| %s |\n|%s\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
}
