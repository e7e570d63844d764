// Command demo runs Belay's main job for a newcomer to watch: a good release is
// promoted and two bad ones are rolled back, with real pods, real traffic
// through a real gateway and a real Prometheus.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"belay.dev/belay/hack/load"
	"belay.dev/belay/hack/stage"
)

const usage = `Four releases of a shop, watched by Belay: v2 is good and gets promoted; v3 fails
5 % of its requests, v4 charges some customers twice, and v5 charges coupons twice,
which shows only when it already serves everybody: all three get rolled back.

  make demo            start a local cluster, play, clean up
  KEEP=1 make demo     leave everything running, with the commands to explore it
  KUBECONFIG=… make demo
                       play on a cluster that already has Gateway API and Prometheus:
                       BELAY_PROMETHEUS_URL   Prometheus, as pods reach it
                       BELAY_GATEWAY          the Gateway's namespace/name
                       BELAY_GATEWAY_URL      the Gateway, as this machine reaches it
                       BELAY_REGISTRY         registry to push the shop's images to
                       A Belay that is there is used as it is. Namespace shop must be free.

The exit status is 0 only if the story went as told.

Flags:
`

func main() {
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	keep := flag.Bool("keep", os.Getenv("KEEP") == "1", "leave everything running at the end (KEEP=1)")
	rate := flag.Int("rate", 100, "requests per second through the gateway")
	flag.Parse()
	if err := play(*keep, *rate); err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

// play sets the stage, tells the story and clears up, whatever happened.
func play(keep bool, rate int) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out := newScreen(os.Stdout, term.IsTerminal(int(os.Stdout.Fd())), time.Now)
	out.title("Setting the stage")
	s, err := stage.Open(ctx, out)
	if err != nil {
		return err
	}
	d := &demo{stage: s, shop: s.Shop("shop"), out: out, rate: rate, images: map[string]string{}}
	defer func() {
		if keep {
			d.explore()
			return
		}
		// An interrupted demo clears up too, but not forever.
		clear, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Minute)
		defer cancel()
		err = errors.Join(err, d.clear(clear))
	}()
	if err := d.prepare(ctx); err != nil {
		return err
	}
	d.load = &load.Generator{URL: s.Addresses.Gateway, Host: d.shop.Host(), Rate: rate}
	d.load.Start(ctx)
	defer d.load.Stop()
	for _, r := range releases {
		if err := d.release(ctx, r); err != nil {
			return err
		}
	}
	d.load.Stop()
	return d.summarize(ctx)
}
