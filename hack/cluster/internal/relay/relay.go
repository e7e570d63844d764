// Package relay stands in for kube-proxy's only indispensable job: it carries
// connections to the API server's service address to the API server.
package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"time"
)

// Run accepts on every address and joins each connection to target until ctx ends.
func Run(ctx context.Context, addresses []string, target string) error {
	failed := make(chan error, len(addresses))
	for _, address := range addresses {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("listen on %s (is the bridge up?): %w", address, err)
		}
		context.AfterFunc(ctx, func() { _ = listener.Close() })
		go func() { failed <- accept(listener, target) }()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

func accept(listener net.Listener, target string) error {
	for {
		client, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept on %s: %w", listener.Addr(), err)
		}
		go join(client, target)
	}
}

func join(client net.Conn, target string) {
	defer func() { _ = client.Close() }()
	server, err := net.DialTimeout("tcp", target, 5*time.Second)
	if err != nil {
		log.Printf("%s wanted %s: %v", client.RemoteAddr(), target, err)
		return
	}
	defer func() { _ = server.Close() }()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			_, _ = io.Copy(way[1], way[0])
			// Half-close: the other direction may still have something to say.
			if half, ok := way[1].(*net.TCPConn); ok {
				_ = half.CloseWrite()
			}
		})
	}
	both.Wait()
}
