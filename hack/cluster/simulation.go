package main

import (
	"context"
	"time"

	"belay.dev/belay/hack/cluster/internal/simulation"
)

// startSimulation runs kwok and creates the nodes it answers for.
func (l *local) startSimulation(ctx context.Context) error {
	spec, err := simulation.Kwok(l.dir)
	if err != nil {
		return err
	}
	if err := l.ensure(spec); err != nil {
		return err
	}
	apply := func(ctx context.Context) error {
		_, err := l.kubectl(ctx, simulation.Nodes(l.cluster.KwokNodes), "apply", "--server-side", "--force-conflicts", "-f", "-")
		return err
	}
	return waitFor(ctx, l.table, "kwok", "the simulated nodes to be created", 60*time.Second, apply)
}
