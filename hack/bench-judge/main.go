// Bench-judge measures how often judges roll back a good canary, and how soon they
// notice a bad one, in a simulated service scraped by a simulated Prometheus. Belay's
// judges are the real ones; the peers follow their docs.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"slices"
	"time"
)

// options are the command's.
type options struct {
	seed  uint64
	runs  int
	cell  string
	json  string
	peers bool
	bar   bool
}

func main() {
	var o options
	flag.Uint64Var(&o.seed, "seed", 20261126, "of all random draws")
	flag.IntVar(&o.runs, "runs", 200, "of every row under every load")
	flag.StringVar(&o.cell, "cell", "", "only rows whose whole name matches this regular expression")
	flag.StringVar(&o.json, "json", "", "also write the results to this file")
	flag.BoolVar(&o.peers, "peers", false, "measure the peers' rules too")
	flag.BoolVar(&o.bar, "bar", false, "exit with 1 when a target is missed")
	flag.Parse()
	missed, err := report(os.Stdout, o)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench-judge:", err)
		os.Exit(2)
	case o.bar && missed > 0:
		os.Exit(1)
	}
}

// report prints the tables and returns how many targets were missed.
func report(out io.Writer, o options) (missed int, err error) {
	only, err := regexp.Compile("^(?:" + o.cell + ")$")
	if err != nil {
		return 0, fmt.Errorf("-cell: %w", err)
	}
	if o.runs < 1 {
		return 0, fmt.Errorf("-runs %d: must be at least 1", o.runs)
	}
	chosen := slices.DeleteFunc(rows(), func(r row) bool { return o.cell != "" && !only.MatchString(r.name) })
	if len(chosen) == 0 {
		return 0, fmt.Errorf("no row is named %q", o.cell)
	}
	b := &bench{out: out, seed: o.seed, runs: o.runs, judges: []column{{belayName, belay(startDefault)}}}
	fmt.Fprintf(out, "Simulated canaries of %d s after the first request or the onset; %d runs a row and load; seed %d: run n of a row draws from PCG(seed, FNV-1a of \"row load n\").\n",
		runFor, o.runs, o.seed)
	if o.peers {
		fmt.Fprintln(out)
		for _, p := range peers {
			b.judges = append(b.judges, column{p.name, p.judge})
			fmt.Fprintf(out, "- %s: %s.\n", p.name, p.says)
		}
	}
	began := time.Now()
	b.table(chosen, true)
	b.table(chosen, false)
	took := time.Since(began).Seconds()
	runs := o.runs * len(b.results) / len(b.judges)
	fmt.Fprintf(os.Stderr, "%d runs in %.1f s: %.0f runs/s, %d workers\n", runs, took, float64(runs)/took, runtime.GOMAXPROCS(0))
	fmt.Fprintf(out, "\n%d targets missed.\n", len(b.missed))
	for _, m := range b.missed {
		fmt.Fprintf(out, "- %s\n", m)
	}
	if o.json != "" {
		return len(b.missed), write(o.json, b.results)
	}
	return len(b.missed), nil
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
