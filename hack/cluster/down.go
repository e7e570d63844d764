package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"belay.dev/belay/hack/cluster/internal/node"
	"belay.dev/belay/hack/cluster/internal/process"
	"belay.dev/belay/hack/cluster/internal/state"
)

func down(ctx context.Context, args []string) error {
	flags, stateDir := newFlags("down")
	purge := flags.Bool("purge", false, "also remove the cluster's data; only STATE/bin stays")
	all := flags.Bool("purge-binaries", false, "with --purge, also remove STATE/bin")
	dir, err := parse(flags, stateDir, args)
	if err != nil {
		return err
	}
	p := newProgress()
	release, err := dir.Lock(ctx, func() { p.say("waiting for another cluster command to end") })
	if err != nil {
		return err
	}
	defer release()
	cluster, err := dir.Load()
	if err != nil && !*purge {
		return err
	}
	if err != nil {
		p.say("cluster.json cannot be read: clearing up as after a real cluster; net.ipv4.ip_forward stays as it is")
	}
	l := &local{progress: p, dir: dir, table: process.NewTable(dir), cluster: cluster}
	if err := l.stopAll(ctx); err != nil {
		return err
	}
	if *purge {
		return forget(dir, *all)
	}
	return nil
}

// stopAll removes as much as it can: one failure must not keep the rest alive.
func (l *local) stopAll(ctx context.Context) error {
	var failed error
	note := func(err error) { failed = errors.Join(failed, err) }
	// The kubelet first, or it would start again what is being removed; no
	// grace is worth waiting for in the others, their data is disposable.
	for _, name := range []string{"kubelet", "gateway", "prometheus", "kwok"} {
		note(l.table.Stop(name, 5*time.Second))
	}
	note(l.removePods(ctx))
	for _, name := range slices.Backward(children) {
		note(l.table.Stop(name, 10*time.Second))
	}
	strays, err := l.table.StopStrays(5 * time.Second)
	note(err)
	if strays > 0 {
		l.say("stopped %d processes an interrupted command had left", strays)
	}
	if os.Geteuid() == 0 && mayHaveTouchedHost(l.cluster) {
		note(node.Sweep(l.dir))
		note(node.RemoveBridge(l.dir, l.cluster.IPForward))
	}
	if failed != nil {
		return fmt.Errorf("%w\n`down` may be repeated", failed)
	}
	l.cluster.IPForward = ""
	if err := l.dir.Save(l.cluster); err != nil {
		return err
	}
	l.say("cluster is down")
	return nil
}

// mayHaveTouchedHost is false for a simulated cluster alone. A state that cannot
// be read, or is not there, may be a real one's: its mounts must be gone before
// its folder goes.
func mayHaveTouchedHost(c state.Cluster) bool { return c.Mode != state.Kwok }

// removePods asks containerd, started again if need be, to undo its pods. What
// this leaves, Sweep removes by force; so its failure is told, not fatal.
func (l *local) removePods(ctx context.Context) error {
	if _, err := os.Stat(l.dir.Path("containerd", "config.toml")); err != nil || os.Geteuid() != 0 {
		return nil
	}
	socket, err := l.dir.Socket()
	if err != nil {
		return err
	}
	if _, running := l.table.Running("containerd"); !running {
		if !node.Leftovers(l.dir) {
			return nil
		}
		spec, err := node.Containerd(l.dir, fmt.Sprintf("127.0.0.1:%d/pause:1", l.cluster.Ports["registry"]))
		if err == nil {
			err = l.ensure(spec)
		}
		if err != nil {
			l.say("containerd does not start (%v): removing its containers by force", err)
			return nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	pods, err := node.RemoveSandboxes(ctx, socket)
	if err != nil {
		l.say("containerd did not remove every pod (%v): removing the rest by force", err)
		return nil
	}
	if pods > 0 {
		l.say("removed %d pods", pods)
	}
	return nil
}

// forget removes the data but not the lock that this command holds.
func forget(dir state.Dir, binaries bool) error {
	entries, err := os.ReadDir(dir.Root)
	if err != nil {
		return fmt.Errorf("list the state folder: %w", err)
	}
	for _, entry := range entries {
		if entry.Name() == "lock" || (entry.Name() == "bin" && !binaries) {
			continue
		}
		if err := os.RemoveAll(dir.Path(entry.Name())); err != nil {
			return fmt.Errorf("purge %s: %w", entry.Name(), err)
		}
	}
	return nil
}
