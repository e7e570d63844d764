// Bench-judge measures how often judges roll back a good canary, and how soon they
// notice a bad one, in a simulated service scraped by a simulated Prometheus. Belay's
// judges are the real ones; the peers follow their docs.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
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
	settings
}

// parse reads the command's flags.
func parse(args []string, out io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench-judge", flag.ContinueOnError)
	f.SetOutput(out)
	f.Uint64Var(&o.seed, "seed", 20261126, "of all random draws")
	f.IntVar(&o.runs, "runs", 1000, "of every null under every load; a tenth, at least 100, of the others")
	f.StringVar(&o.cell, "cell", "", "only rows whose whole name matches this regular expression")
	f.StringVar(&o.load, "load", "", "only loads whose whole name, such as 100 rps 20 %, matches this regular expression")
	f.StringVar(&o.json, "json", "", "also write the results to this file")
	f.BoolVar(&o.peers, "peers", false, "measure the peers' rules too")
	f.BoolVar(&o.bar, "bar", false, "exit with 1 when a target is missed")
	f.Func("set", "a setting of the judge in place of its default, as name=value: warm-up=30s (of rows that have none of their own), burst=10s, what one pod may have, or bar=4, the sustained evidence that a rollback needs, as a logarithm; 0 is none. May be repeated", o.set)
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q: every option begins with -", f.Arg(0))
	case o.bar && len(o.texts) > 0:
		return o, errors.New("-bar and -set: the targets are for the default settings; use one of them")
	}
	return o, nil
}

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench-judge:", err)
		os.Exit(2)
	}
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
	for i := range chosen {
		chosen[i].warmUp = cmp.Or(chosen[i].warmUp, o.warmUp.Seconds())
	}
	b := &bench{out: out, seed: o.seed, runs: o.runs, judges: []column{{belayName, false, belay(o.start)}}}
	fmt.Fprintf(out, "Simulated canaries of %d s after the first request or the onset; %d runs of a null under each load, %d of a fault; seed %d: run n of a row draws from PCG(seed, FNV-1a of \"row load n\").\n",
		runFor, b.runsOf(true), b.runsOf(false), o.seed)
	if len(o.texts) > 0 {
		fmt.Fprintf(out, "\nWith -set %s: the targets are for the defaults.\n", strings.Join(o.texts, " -set "))
	}
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
