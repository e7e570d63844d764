package main

import (
	"context"
	"fmt"
	"strings"

	"belay.dev/belay/hack/cluster/internal/binaries"
	"belay.dev/belay/hack/cluster/internal/controlplane"
	"belay.dev/belay/hack/cluster/internal/node"
	"belay.dev/belay/hack/cluster/internal/pki"
	"belay.dev/belay/hack/cluster/internal/process"
	"belay.dev/belay/hack/cluster/internal/state"
)

// local is a cluster while it is being brought up.
type local struct {
	*progress
	dir     state.Dir
	table   process.Table
	cluster state.Cluster
	plan    controlplane.Plan
}

func up(ctx context.Context, args []string) error {
	flags, stateDir := newFlags("up")
	mode := flags.String("nodes", state.Real, "real (kubelet and containers) or kwok (simulated)")
	count := flags.Int("kwok-count", 10, "simulated nodes, with --nodes=kwok")
	dir, err := parse(flags, stateDir, args)
	if err != nil {
		return err
	}
	if *mode != state.Real && *mode != state.Kwok {
		return fmt.Errorf("--nodes=%s: want real or kwok", *mode)
	}
	l := &local{progress: newProgress(), dir: dir, table: process.NewTable(dir)}
	release, err := dir.Lock(ctx, func() { l.say("waiting for another cluster command to end") })
	if err != nil {
		return err
	}
	defer release()
	if l.cluster, err = dir.Load(); err != nil {
		return err
	}
	if old := l.cluster.Mode; old != "" && old != *mode {
		return fmt.Errorf("this cluster was made with --nodes=%s: run `down --purge` first, or use another --state", old)
	}
	l.cluster.Mode = *mode
	if *mode == state.Kwok {
		l.cluster.KwokNodes = *count
	}
	for _, step := range []func(context.Context) error{
		l.prepareHost, l.buildBinaries, l.prepareFiles, l.startControlPlane, l.startNodes, l.startAddons, l.awaitAll, l.finish,
	} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepareHost must run before anything listens: the bridge carries addresses
// that servers bind.
func (l *local) prepareHost(ctx context.Context) error {
	if l.cluster.Mode == state.Kwok {
		return nil
	}
	if err := node.Install(ctx, l.say); err != nil {
		return err
	}
	if l.cluster.IPForward == "" {
		l.cluster.IPForward = node.ForwardingNow()
	}
	// Before the bridge exists, so that an interruption can be undone.
	if err := l.dir.Save(l.cluster); err != nil {
		return err
	}
	if err := node.EnsureBridge(l.dir, inUse); err != nil {
		return err
	}
	l.say("host ready: cgroup v%d, bridge %s", node.CgroupVersion(), state.Bridge)
	return nil
}

func (l *local) buildBinaries(ctx context.Context) error {
	if err := binaries.Build(ctx, l.dir, binaries.For(l.cluster.Mode), l.say); err != nil {
		return err
	}
	l.say("binaries ready in %s", l.dir.Path("bin"))
	return nil
}

// listeners are the ports and the children that own them, in the order they
// are chosen, so that an idle machine always gets the same ones.
var listeners = []struct{ port, owner string }{
	{"kube-apiserver", "kube-apiserver"}, {"prometheus", "prometheus"}, {"gateway", "gateway"}, {"registry", "registry"},
	{"etcd", "etcd"}, {"etcd-peer", "etcd"},
	{"kube-controller-manager", "kube-controller-manager"}, {"kube-scheduler", "kube-scheduler"},
	{"kubelet", "kubelet"}, {"kubelet-health", "kubelet"},
}

func (l *local) prepareFiles(context.Context) error {
	for _, listener := range listeners {
		_, running := l.table.Running(listener.owner)
		if listener.port == "kube-apiserver" {
			// The relay has the same port on the bridge: an API server that is started
			// again keeps it, and with it everybody's kubeconfig.
			_, relayed := l.table.Running("relay")
			running = running || relayed
		}
		if _, err := l.cluster.Port(listener.port, running); err != nil {
			return err
		}
	}
	if err := l.dir.Save(l.cluster); err != nil {
		return err
	}
	ca, err := pki.Open(l.dir.Path("pki"))
	if err != nil {
		return err
	}
	l.plan = controlplane.Plan{Dir: l.dir, CA: ca, Mode: l.cluster.Mode, Ports: l.cluster.Ports}
	return l.plan.Identities()
}

// ensure starts a child and says so if it did not run already.
func (l *local) ensure(spec process.Spec) error {
	started, err := l.table.Ensure(spec)
	if started {
		l.say("started %s", spec.Name)
	}
	return err
}

// host is the address that host and pods share.
func (l *local) host() string {
	if l.cluster.Mode == state.Kwok {
		return "127.0.0.1"
	}
	return state.BridgeIP
}

// addresses are where a server for host and pods listens on the named port.
func (l *local) addresses(port string) []string {
	all := []string{fmt.Sprintf("127.0.0.1:%d", l.cluster.Ports[port])}
	if l.cluster.Mode == state.Real {
		all = append(all, fmt.Sprintf("%s:%d", state.BridgeIP, l.cluster.Ports[port]))
	}
	return all
}

func (l *local) registry() string { return fmt.Sprintf("127.0.0.1:%d", l.cluster.Ports["registry"]) }
func (l *local) url(port string) string {
	return fmt.Sprintf("http://%s:%d", l.host(), l.cluster.Ports[port])
}

func (l *local) finish(context.Context) error {
	env := fmt.Sprintf(`# Made by `+"`up`"+`; source it.
export KUBECONFIG=%[1]q
export KUBEBUILDER_ASSETS=%[2]q
export BELAY_PROMETHEUS_URL=%[3]q
export BELAY_GATEWAY_URL=%[4]q
export BELAY_REGISTRY=%[5]q
case ":$PATH:" in *":$KUBEBUILDER_ASSETS:"*) ;; *) export PATH="$KUBEBUILDER_ASSETS:$PATH" ;; esac
`, l.dir.Kubeconfig(""), l.dir.Path("bin"), l.url("prometheus"), l.url("gateway"), l.registry())
	if err := state.WriteFile(l.dir.Path("env"), []byte(env), 0o644); err != nil {
		return err
	}
	l.say("cluster is up\n\n%s\nNext: . %s && kubectl get nodes", indent(summary(l.cluster, l.dir)), l.dir.Path("env"))
	return nil
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ") + "\n"
}

// inUse says whether a command is changing the cluster in a folder, or its
// children run.
func inUse(root string) bool {
	dir := state.Dir{Root: root}
	return dir.Locked() || process.NewTable(dir).Any()
}
