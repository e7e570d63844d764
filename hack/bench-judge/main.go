// Bench-judge measures how often judges roll back a good canary, and how soon they
// notice a bad one, in a simulated service scraped by a simulated Prometheus. Belay's
// judges are the real ones; the peers follow their docs.
package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"time"
)

// options are the command's.
type options struct {
	seed  uint64
	runs  int
	cell  string
	load  string
	json  string
	peers bool
	bar   bool
}

func main() {
	var o options
	flag.Uint64Var(&o.seed, "seed", 20261126, "of all random draws")
	flag.IntVar(&o.runs, "runs", 1000, "of every null under every load; a tenth, at least 100, of the others")
	flag.StringVar(&o.cell, "cell", "", "only rows whose whole name matches this regular expression")
	flag.StringVar(&o.load, "load", "", "only loads whose whole name, such as 100 rps 20 %, matches this regular expression")
	flag.StringVar(&o.json, "json", "", "also write the results to this file")
	flag.BoolVar(&o.peers, "peers", false, "measure the peers' rules too")
	flag.BoolVar(&o.bar, "bar", false, "exit with 1 when a target is missed")
	flag.Parse()
	// Judging a poll leaves some garbage; there is little else in memory.
	debug.SetGCPercent(800)
	began, before := time.Now(), cpuSeconds()
	b, err := report(os.Stdout, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-judge:", err)
		os.Exit(2)
	}
	fmt.Fprintf(os.Stderr, "%d runs in %.1f s, %.0f a second of CPU, by %d workers\n",
		b.measured, time.Since(began).Seconds(), float64(b.measured)/(cpuSeconds()-before), runtime.GOMAXPROCS(0))
	if o.bar && len(b.missed) > 0 {
		os.Exit(1)
	}
}

// report prints the tables and returns what was measured.
func report(out io.Writer, o options) (*bench, error) {
	if o.runs < 1 {
		return nil, fmt.Errorf("-runs %d: must be at least 1", o.runs)
	}
	chosen, err := choose(rows(), o.cell, o.load)
	if err != nil {
		return nil, err
	}
	b := &bench{out: out, seed: o.seed, runs: o.runs, judges: []column{{belayName, false, belay(startDefault)}}}
	fmt.Fprintf(out, "Simulated canaries of %d s after the first request or the onset; %d runs of a null under each load, %d of a fault; seed %d: run n of a row draws from PCG(seed, FNV-1a of \"row load n\").\n",
		runFor, b.runsOf(true), b.runsOf(false), o.seed)
	if o.peers {
		fmt.Fprintln(out)
		for _, p := range peers {
			b.judges = append(b.judges, p.column)
			fmt.Fprintf(out, "- %s: %s.\n", p.name, p.says)
		}
	}
	b.nulls(chosen)
	b.detections(chosen)
	fmt.Fprintf(out, "\n%d targets missed.\n", len(b.missed))
	for _, m := range b.missed {
		fmt.Fprintf(out, "- %s\n", m)
	}
	if o.json != "" {
		return b, write(o.json, b.results)
	}
	return b, nil
}

// choose returns the rows and loads whose whole names match regular expressions; empty ones
// match every name.
func choose(all []row, cell, loads string) ([]row, error) {
	var only [2]*regexp.Regexp
	for i, f := range []struct{ flag, text string }{{"cell", cell}, {"load", loads}} {
		re, err := regexp.Compile("^(?:" + cmp.Or(f.text, ".*") + ")$")
		if err != nil {
			return nil, fmt.Errorf("-%s: %w", f.flag, err)
		}
		only[i] = re
	}
	var chosen []row
	for _, r := range all {
		if !only[0].MatchString(r.name) {
			continue
		}
		r.loads = slices.DeleteFunc(slices.Clone(r.loads), func(l load) bool { return !only[1].MatchString(l.String()) })
		if len(r.loads) > 0 {
			chosen = append(chosen, r)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no row is named %q with a load named %q", cell, loads)
	}
	return chosen, nil
}

// cpuSeconds is how long this process has been running on a CPU: others use them too.
func cpuSeconds() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return math.NaN()
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}

func write(file string, results []result) error {
	raw, err := json.MarshalIndent(results, "", " ")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := os.WriteFile(file, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}
