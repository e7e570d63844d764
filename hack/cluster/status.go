package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"belay.dev/belay/hack/cluster/internal/process"
	"belay.dev/belay/hack/cluster/internal/state"
)

// children in the order they start; `down` goes backwards.
var children = []string{
	"registry", "etcd", "kube-apiserver", "containerd", "kube-controller-manager", "kube-scheduler",
	"relay", "kubelet", "kwok", "prometheus", "gateway",
}

func status(_ context.Context, args []string) error {
	flags, stateDir := newFlags("status")
	dir, err := parse(flags, stateDir, args)
	if err != nil {
		return err
	}
	cluster, err := dir.Load()
	if err != nil {
		return err
	}
	table := process.NewTable(dir)
	running := 0
	for _, name := range children {
		if (name == "kwok") != (cluster.Mode == state.Kwok) && slices.Contains([]string{"kwok", "kubelet", "containerd", "relay"}, name) {
			continue
		}
		pid, ok := table.Running(name)
		if !ok {
			fmt.Printf("%-24s stopped\n", name)
			continue
		}
		running++
		var ports []string
		for _, listener := range listeners {
			if listener.owner == name {
				ports = append(ports, fmt.Sprint(cluster.Ports[listener.port]))
			}
		}
		fmt.Printf("%-24s pid %-8d ports %-14s log %s\n", name, pid, strings.Join(ports, " "), table.Log(name))
	}
	if running == 0 {
		fmt.Println("\nNothing runs; `up` starts it.")
		return nil
	}
	fmt.Printf("\n%s", summary(cluster, dir))
	return nil
}

// stop ends one process, as a fault for tests.
func stop(_ context.Context, args []string) error {
	flags, stateDir := newFlags("stop")
	dir, err := parse(flags, stateDir, args)
	if err != nil {
		return err
	}
	if flags.NArg() != 1 || !slices.Contains(children, flags.Arg(0)) {
		return fmt.Errorf("stop needs one name of %s", strings.Join(children, ", "))
	}
	return process.NewTable(dir).Stop(flags.Arg(0), 5*time.Second)
}

// summary lists what a user of the cluster needs.
func summary(cluster state.Cluster, dir state.Dir) string {
	host, inPods := state.BridgeIP, "   (in pods: https://"+state.ServiceIP+")"
	if cluster.Mode == state.Kwok {
		host, inPods = "127.0.0.1", ""
	}
	return fmt.Sprintf(`API server   https://127.0.0.1:%d%s
Prometheus   http://%s:%d
Gateway      http://%s:%d      (gateway/local, class belay-local)
Registry     127.0.0.1:%d
kubeconfig   %s
environment  %s
`, cluster.Ports["kube-apiserver"], inPods, host, cluster.Ports["prometheus"], host, cluster.Ports["gateway"],
		cluster.Ports["registry"], dir.Kubeconfig(""), dir.Path("env"))
}

func markOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:8])
}
