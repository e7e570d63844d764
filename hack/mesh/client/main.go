// Command client is the data plane of test/mesh: grpc-go's xds client, which asks a mesh's
// control plane by the Service's name where a call goes, as any application that uses
// proxyless gRPC. It makes calls at a rate until it is stopped, and prints each as a line of
// JSON. GRPC_XDS_BOOTSTRAP_CONFIG names the control plane.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testing "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	_ "google.golang.org/grpc/xds" // resolves xds:///
)

// limit of one call, far beyond what an answer from this machine takes.
const limit = 20 * time.Second

// call is one line of the output. Error has the gRPC status of a call that failed; the
// service's own failures have the version in Message.
type call struct {
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
	Version string    `json:"version,omitempty"`
	Error   string    `json:"error,omitempty"`
	Message string    `json:"message,omitempty"`
}

func main() {
	target := flag.String("target", "", "what to call, e.g. xds:///shop.default.svc.cluster.local:80")
	rate := flag.Int("rate", 100, "calls a second")
	flag.Parse()
	if *target == "" || *rate < 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*target, *rate); err != nil {
		log.Fatal(err)
	}
}

func run(target string, rate int) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("use %s: %w", target, err)
	}
	defer func() { _ = connection.Close() }()
	out := &printer{to: json.NewEncoder(os.Stdout)}
	service := testing.NewTestServiceClient(connection)
	every := time.NewTicker(time.Second / time.Duration(rate))
	defer every.Stop()
	var open sync.WaitGroup
	for {
		select {
		case <-ctx.Done():
			open.Wait()
			return out.failed()
		case <-every.C:
			open.Go(func() { out.print(one(context.WithoutCancel(ctx), service)) })
		}
	}
}

func one(ctx context.Context, service testing.TestServiceClient) call {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c := call{Began: time.Now()}
	response, err := service.UnaryCall(ctx, &testing.SimpleRequest{})
	c.Ended, c.Version = time.Now(), response.GetServerId()
	if err != nil {
		c.Error, c.Message = status.Code(err).String(), status.Convert(err).Message()
	}
	return c
}

// printer writes whole lines, also from several calls at once.
type printer struct {
	mu  sync.Mutex
	to  *json.Encoder
	err error
}

func (p *printer) print(c call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.to.Encode(c); err != nil && p.err == nil {
		p.err = err
	}
}

func (p *printer) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return fmt.Errorf("print the calls: %w", p.err)
	}
	return nil
}
