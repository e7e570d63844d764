// Bench-cluster measures the judge on a real cluster: seconds from a bad
// version's first bad response until it answers nothing any more, and how many
// good versions are rolled back. Every version is judged by the default triggers.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"

	"belay.dev/belay/hack/stage"
)

const usage = `Releases good and bad versions of the shop on a real cluster, over and over, and
prints how soon the bad ones were out of service and how many good ones were
rolled back. It takes about a minute a run and shop; the cluster is the one of
make demo, or KUBECONFIG's.

Flags:
`

// kind of version to release.
type kind struct {
	name   string
	faults map[string]string
	bad    bool
}

var kinds = []kind{
	{name: "50 % errors", faults: map[string]string{"SHOP_ERROR_RATE": "0.5"}, bad: true},
	{name: "5 % errors", faults: map[string]string{"SHOP_ERROR_RATE": "0.05"}, bad: true},
	{name: "+300 ms", faults: map[string]string{"SHOP_ADDED_LATENCY": "300ms"}, bad: true},
	{name: "healthy"},
	{name: "healthy, cold start", faults: coldStart(nil)},
	{name: "5 % errors, cold start", faults: coldStart(map[string]string{"SHOP_ERROR_RATE": "0.05"}), bad: true},
	{name: "50 % errors, cold start", faults: coldStart(map[string]string{"SHOP_ERROR_RATE": "0.5"}), bad: true},
}

// coldStart adds what a JVM may do in its first 20 s: some errors, and slow requests.
func coldStart(faults map[string]string) map[string]string {
	out := map[string]string{"SHOP_COLD_START": "20s", "SHOP_COLD_ERROR_RATE": "0.05", "SHOP_COLD_LATENCY": "250ms"}
	maps.Copy(out, faults)
	return out
}

// followed is the kind whose longest run is drawn.
const followed = "5 % errors"

func main() {
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	only := flag.String("kinds", ".", "release only the kinds whose name matches this regular expression")
	runs := flag.Int("runs", 10, "of each kind of bad version")
	healthy := flag.Int("healthy", 50, "runs of good versions")
	shops := flag.Int("shops", 2, "shops that release at the same time, each under its own load")
	set := setting{}
	flag.IntVar(&set.rate, "rate", 100, "requests per second to each shop")
	flag.IntVar(&set.weight, "weight", 20, "traffic of the first step, in percent")
	flag.IntVar(&set.replicas, "replicas", 8, "pods of each shop; the first step has weight/100 of them, rounded up")
	flag.StringVar(&set.warmUp, "warm-up", "", "warmUp of the Guardrail, such as 0s; without it the default applies")
	pictures := flag.String("pictures", "", "folder for pictures of the seconds and of one run's evidence; none without")
	flag.Parse()
	if err := choose(*only); err != nil {
		fmt.Fprintf(os.Stderr, "bench-cluster: %v\n", err)
		os.Exit(2)
	}
	if err := bench(*runs, *healthy, *shops, set, *pictures); err != nil {
		fmt.Fprintf(os.Stderr, "bench-cluster: %v\n", err)
		os.Exit(1)
	}
}

// choose leaves only the kinds whose name matches a regular expression.
func choose(pattern string) error {
	match, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("-kinds: %w", err)
	}
	kinds = slices.DeleteFunc(kinds, func(k kind) bool { return !match.MatchString(k.name) })
	if len(kinds) == 0 {
		return fmt.Errorf("-kinds %q matches no kind of version", pattern)
	}
	return nil
}

func bench(runs, healthy, shops int, set setting, pictures string) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := stage.Open(ctx, os.Stderr)
	if err != nil {
		return err
	}
	defer func() {
		clear, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Minute)
		defer cancel()
		err = errors.Join(err, s.Close(clear))
	}()
	binary, err := s.Build(ctx, "./hack/shop")
	if err != nil {
		return err
	}
	if _, err := s.Push(ctx, "shop:bench", binary); err != nil {
		return err
	}
	if err := s.Install(ctx); err != nil {
		return err
	}
	releases := make(chan kind)
	go func() {
		defer close(releases)
		for i := range max(runs, healthy) {
			for _, k := range kinds {
				if k.bad && i < runs || !k.bad && i < healthy {
					releases <- k
				}
			}
		}
	}()
	results, moments, err := playAll(ctx, s, releases, shops, set)
	table(results, set)
	if err != nil || pictures == "" {
		return err
	}
	return errors.Join(drawEvidence(pictures, moments), drawSeconds(pictures, results))
}

// playAll lets every shop take the next release whenever it is done with one.
func playAll(ctx context.Context, s *stage.Stage, releases <-chan kind, shops int, set setting) (map[string][]result, []moment, error) {
	var mu sync.Mutex
	var wait sync.WaitGroup
	results, failures, moments := map[string][]result{}, []error(nil), []moment(nil)
	for i := range shops {
		wait.Go(func() {
			shop := &shop{Shop: s.Shop(fmt.Sprintf("bench-%d", i)), stage: s, setting: set}
			err := shop.play(ctx, releases, func(k kind, r result) {
				mu.Lock()
				defer mu.Unlock()
				results[k.name] = append(results[k.name], r)
				if k.name == followed && r.rolledBack && len(r.moments) > len(moments) {
					moments = r.moments
				}
				fmt.Fprintf(os.Stderr, "%-12s %-12s %s  %s\n", k.name, r.outcome, seconds(r.took), r.message)
			})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures = append(failures, err)
			}
		})
	}
	wait.Wait()
	return results, moments, errors.Join(failures...)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%5.1f s", d.Seconds()) }

func table(results map[string][]result, set setting) {
	fmt.Printf("\nReal cluster, %d requests/s a shop, %d of %d pods at weight %d %%, 5 s scrape, default triggers, warmUp %s.\n\n",
		set.rate, (set.replicas*set.weight+99)/100, set.replicas, set.weight, cmp.Or(set.warmUp, "by default"))
	fmt.Println("| version | runs | rolled back | median to weight 0 | fastest | slowest |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, k := range kinds {
		var took []time.Duration
		back := 0
		for _, r := range results[k.name] {
			if r.rolledBack {
				back++
				took = append(took, r.took)
			}
		}
		slices.Sort(took)
		row := fmt.Sprintf("| %s | %d | %d |", k.name, len(results[k.name]), back)
		if len(took) > 0 && k.bad {
			row += fmt.Sprintf(" %s | %s | %s |", seconds(median(took)), seconds(took[0]), seconds(took[len(took)-1]))
		} else {
			row += " | | |"
		}
		fmt.Println(row)
	}
}

func median(sorted []time.Duration) time.Duration {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
