// Command cluster runs a real Kubernetes on one machine, built from Go
// modules: no container registry, no cluster tool, no download but modules and
// Debian packages. It is a fixture for Belay's tests and demo, not a product.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"belay.dev/belay/hack/cluster/internal/state"
)

const usage = `A real Kubernetes on this machine, from Go modules.

Run from the repository's root:

  go -C hack/cluster run . <command> [flags]

Commands:
  up          build what is missing, start the cluster, wait until it is ready
              --nodes=real   kubelet and containers (root, Linux; the default)
              --nodes=kwok   simulated nodes, --kwok-count N of them (no root)
  down        stop and remove everything that was started; --purge forgets data too
  stop        end one process, as a fault: stop prometheus; up repairs it
  status      what runs, on which ports, under which URLs
  build       build binaries only: all, or those named
              (etcd kube-apiserver kubectl are what envtest needs)
  image       pack a static binary into an image in the cluster's registry
              --name shop:v2 --binary PATH [--env K=V]... [--label k=v]...
  kubeconfig  print a kubeconfig
              --user NAME [--group G]... | --serviceaccount NAMESPACE/NAME

Every command takes --state DIR (default: .cluster in the repository's root).
After up:

  . .cluster/env      # KUBECONFIG, KUBEBUILDER_ASSETS, BELAY_* URLs, PATH
  kubectl get pods -A

up is safe to repeat and to interrupt: it reuses what runs and repairs the rest.
A command's own flags: <command> --help
`

type command func(ctx context.Context, args []string) error

func main() { os.Exit(play()) }

// play runs one command and returns the exit status.
func play() int {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer release()
	commands := map[string]command{
		"up": up, "down": down, "stop": stop, "status": status, "build": build, "image": image, "kubeconfig": kubeconfig,
	}
	if len(os.Args) < 2 || os.Args[1] == "help" || os.Args[1] == "--help" || os.Args[1] == "-h" {
		fmt.Print(usage)
		return 0
	}
	run, ok := commands[os.Args[1]]
	if !ok {
		fmt.Fprintf(os.Stderr, "cluster: no command %q\n\n%s", os.Args[1], usage)
		return 2
	}
	err := run(ctx, os.Args[2:])
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil && ctx.Err() != nil:
		fmt.Fprintf(os.Stderr, "cluster: interrupted; what was started keeps running: `up` continues, `down` removes it\n")
		return 130
	case err != nil:
		fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
		return 1
	}
	return 0
}

// newFlags returns a flag set with the flag every command has.
func newFlags(name string) (*flag.FlagSet, *string) {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	return flags, flags.String("state", "", "state folder (default .cluster in the repository's root)")
}

// parse reads flags and finds the state folder.
func parse(flags *flag.FlagSet, stateDir *string, args []string) (state.Dir, error) {
	if err := flags.Parse(args); err != nil {
		return state.Dir{}, err
	}
	return state.Locate(*stateDir)
}
