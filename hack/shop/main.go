// Command shop is the demo's service: real HTTP, real metrics, and faults
// chosen by the environment baked into its image:
//
//	SHOP_VERSION             reported in x-shop-version (default dev)
//	SHOP_ERROR_RATE          share of requests answered with 500, e.g. 0.05
//	SHOP_ADDED_LATENCY       added to every request, e.g. 300ms
//	SHOP_DOUBLE_CHARGE_RATE  share of checkouts charged twice, answered with 200
//	SHOP_CRASH_AFTER         exit with status 1 after this long
//	SHOP_COLD_START          how long after its start the shop is cold, e.g. 20s
//	SHOP_COLD_ERROR_RATE     share of requests that fail besides while it is cold
//	SHOP_COLD_LATENCY        added besides to every request while it is cold
//	SHOP_DRAIN               how long to serve after SIGTERM (default 3s)
//	SHOP_DATA                a folder, such as a volume, whose file "starts" gets a line for each
//	                         start of a shop there: its host and its version
//
// It listens on :8080; SHOP_LISTEN changes that outside of a container.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	address := os.Getenv("SHOP_LISTEN")
	if address == "" {
		address = ":8080"
	}
	if err := run(address); err != nil {
		log.Fatal(err)
	}
}

func run(address string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	f, err := readFaults(os.Getenv)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	if folder := os.Getenv("SHOP_DATA"); folder != "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("ask for the host's name: %w", err)
		}
		if err := noteStart(folder, host, f.version); err != nil {
			return err
		}
	}
	if f.crashAfter > 0 {
		time.AfterFunc(f.crashAfter, func() { log.Fatalf("crashing after %s, as this version does", f.crashAfter) })
	}
	log.Printf("shop %s serves on %s", f.version, listener.Addr())
	return serve(ctx, newShop(f, randomChance, ageSince(time.Now())), listener)
}

// noteStart adds a line about this start to those of earlier ones in a folder that outlives them.
func noteStart(folder, host, version string) error {
	file, err := os.OpenFile(filepath.Join(folder, "starts"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // others read it
	if err != nil {
		return fmt.Errorf("note the start: %w", err)
	}
	_, err = fmt.Fprintln(file, host, version)
	return errors.Join(err, file.Close())
}

// ageSince returns how long ago a time is.
func ageSince(start time.Time) func() time.Duration {
	return func() time.Duration { return time.Since(start) }
}

// serve ends without failing a request: first readiness goes, so that no new
// ones are sent; those still sent during the drain are served; then the rest
// finishes.
func serve(ctx context.Context, s *shop, listener net.Listener) error {
	server := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.ready.Store(false)
	time.Sleep(s.faults.drain)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
