package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/hack/load"
	"belay.dev/belay/hack/stage"
)

// summarize shows what came of it, and is an error when the story did not go
// as told.
func (d *demo) summarize(ctx context.Context) error {
	tally := load.Count(d.load.Since(time.Time{}))
	d.out.title("Summary")
	err := d.requests(tally)
	for _, c := range d.ended {
		err = errors.Join(err, d.chapter(c, tally.By[c.version]))
	}
	for _, command := range []string{"history", "status", "why"} {
		args := []string{command, stage.Name, "-n", d.shop.Namespace}
		d.out.lines("", d.out.bold("$ kubectl belay "+strings.Join(args, " ")))
		// To the terminal itself: the command line sees how wide it is.
		err = errors.Join(err, d.stage.Run(ctx, d.out.to, d.kubectlBelay, args...))
	}
	d.out.lines("",
		"Each run keeps every decision with its reason, each verdict with its exact query, time and counts, and the",
		"digests of what ran: kubectl belay log, show, verify. To try them: KEEP=1 make demo, or docs/guide.md.")
	if err != nil {
		return fmt.Errorf("the demo did not end as expected: %w", err)
	}
	d.out.lines("", d.out.bold("The story went as told."))
	return nil
}

// requests checks that nobody but a bad canary failed anybody.
func (d *demo) requests(tally load.Tally) error {
	bad := 0
	for _, c := range d.ended {
		if c.outcome == v1alpha1.OutcomeRolledBack {
			bad += tally.By[c.version].Failed
		}
	}
	d.out.lines(fmt.Sprintf("requests   %d sent at %d/s, %d failed: %d answered by the bad canaries, %d otherwise", tally.Sent, d.rate, tally.Failed, bad, tally.Failed-bad))
	if tally.Failed == bad {
		return nil
	}
	return fmt.Errorf("%d requests failed that no bad canary answered (first of them: %v)", tally.Failed-bad, tally.Unanswered)
}

func (d *demo) chapter(c chapter, a load.Answers) error {
	line := fmt.Sprintf("%s         %s", c.version, c.entry.Outcome)
	if c.entry.Trigger != "" {
		line += " by " + c.entry.Trigger
	}
	if !a.FirstBad.IsZero() {
		// The last request that the canary answered: from then on its weight is 0.
		line += fmt.Sprintf(", %.1f s from the first bad response to weight 0 (%d bad of %d)", a.Last.Sub(a.FirstBad).Seconds(), a.Bad, a.Count)
	}
	d.out.lines(line)
	if c.zero != "" {
		d.out.lines("           " + c.zero)
	}
	if c.entry.Outcome != c.outcome || c.entry.Trigger != c.trigger {
		return fmt.Errorf("%s ended %s by %q, expected %s by %q: %s", c.version, c.entry.Outcome, c.entry.Trigger, c.outcome, c.trigger, c.entry.Message)
	}
	return nil
}

// explore says how to look around.
func (d *demo) explore() {
	ns := d.shop.Namespace
	d.out.title("Left running (KEEP=1)")
	if d.stage.Own {
		d.out.lines("  . " + filepath.Join(d.stage.Root, ".cluster", "env") + "      # kubectl and its configuration")
	}
	d.out.lines(
		"  export PATH="+filepath.Dir(d.kubectlBelay)+":$PATH      # kubectl belay",
		"  kubectl belay status shop -n "+ns+" -w",
		"  kubectl belay why shop -n "+ns+"                         # log and show have every decision and verdict; history the other runs",
		"  kubectl belay rollback shop -n "+ns+" --reason 'a try'   # declares the version before again",
		"  kubectl -n "+ns+" set image deployment/shop shop="+d.images["v3"]+"   # held: rejected before",
		"  kubectl -n belay logs deployment/belay-controller",
	)
	if d.stage.Own {
		d.out.lines("  make cluster-down                                      # the end")
		return
	}
	d.out.lines("  make demo                                              # once more, and clears up: the cluster itself is yours")
}
