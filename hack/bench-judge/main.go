// Bench-judge measures how soon judges notice a bad canary, and how often they
// roll back a good one, in a simulated service scraped by a simulated
// Prometheus. Belay's judges are the real ones; the peers follow their docs.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
)

func main() {
	seed := flag.Uint64("seed", 20261124, "of all random draws")
	runs := flag.Int("runs", 60, "of every row and load in the first table; the second has ten times as many")
	flag.Parse()
	if *runs < 1 {
		fmt.Fprintln(os.Stderr, "bench-judge: -runs must be at least 1")
		os.Exit(2)
	}
	// One core, so that it can run beside other work.
	runtime.GOMAXPROCS(1)
	report(os.Stdout, *seed, *runs)
}

// legend says what the columns are; their rules are in peers.go and belay.go.
const legend = `- Argo: the docs' irate[5m] success rate every minute, at least 95 or 99 %, failureLimit 3.
- Flagger: the docs' success rate over 1 m of at least 99 %, interval 1 m, threshold 5.
- burn alert: PromQL, 14.4 times the budget over 5 m and 1 m every 15 s; also only if twice stable's ratio.
- Belay burn: the same windows on exact counter deltas. Belay regression: two e-processes, alpha 0.1 %.
- Belay default: an outage's and a regression's judge together, what a guardrail without a trigger gets.

`

func report(out io.Writer, seed uint64, runs int) {
	fmt.Fprintf(out, "Simulated canary of %d s, %d canary and %d stable pods, scraped every %d s; objective 99.9 %%; seed %d.\n\n",
		runFor, canaryPods, stablePods, scrapeEvery, seed)
	fmt.Fprint(out, legend)
	fmt.Fprintf(out, "Detected %% / median seconds from onset, undetected counted as never (%d runs each):\n\n", runs)
	detection(out, seed, runs)
	fmt.Fprintf(out, "\nRolled back although canary = stable, %% of runs, lowest–highest of the loads (%d runs each):\n\n", 10*runs)
	falseAlarms(out, seed, 10*runs)
}
