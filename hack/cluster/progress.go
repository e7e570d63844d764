package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"belay.dev/belay/hack/cluster/internal/process"
)

// progress prints what happens and how long each step took.
type progress struct{ begin time.Time }

func newProgress() *progress { return &progress{begin: time.Now()} }

func (p *progress) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.1fs  %s\n", time.Since(p.begin).Seconds(), fmt.Sprintf(format, args...))
}

// waitFor asks again until the probe succeeds. It gives up at once when the
// child it waits for has ended, because then no amount of waiting helps.
func waitFor(ctx context.Context, table process.Table, child, what string, limit time.Duration, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		if _, ok := table.Running(child); child != "" && !ok {
			return fmt.Errorf("%s ended before %s; the end of %s:\n%s", child, what, table.Log(child), table.Tail(child, 15))
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			message := fmt.Errorf("waited %s for %s: %w", limit, what, err)
			if child != "" {
				message = fmt.Errorf("%w\nthe end of %s:\n%s\ntry `down`, then `up`", message, table.Log(child), table.Tail(child, 15))
			}
			return message
		case <-time.After(150 * time.Millisecond):
		}
	}
}
