// Command server is a gRPC service of one version, which its image's environment chooses:
//
//	MESH_VERSION     what it answers with
//	MESH_ERROR_RATE  share of calls that fail with INTERNAL, e.g. 0.3 (default 0)
//
// It serves gRPC and its health on :8080, metrics on :9090.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	middleware "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testing "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// drain is how long it serves after SIGTERM: callers learn a little later than it does that
// its pod ends.
const drain = 5 * time.Second

type service struct {
	testing.UnimplementedTestServiceServer

	version string
	errors  float64
}

func (s *service) UnaryCall(context.Context, *testing.SimpleRequest) (*testing.SimpleResponse, error) {
	if rand.Float64() < s.errors { // #nosec G404 -- a fault's chance, no secret
		return nil, status.Error(codes.Internal, s.version)
	}
	return &testing.SimpleResponse{ServerId: s.version}, nil
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	s := &service{version: os.Getenv("MESH_VERSION")}
	if text := os.Getenv("MESH_ERROR_RATE"); text != "" {
		var err error
		if s.errors, err = strconv.ParseFloat(text, 64); err != nil {
			return fmt.Errorf("read MESH_ERROR_RATE: %w", err)
		}
	}
	counts := middleware.NewServerMetrics()
	prometheus.MustRegister(counts)
	server, alive := grpc.NewServer(grpc.UnaryInterceptor(counts.UnaryServerInterceptor())), health.NewServer()
	testing.RegisterTestServiceServer(server, s)
	healthpb.RegisterHealthServer(server, alive)
	// Every method and code is there from the start, as 0.
	counts.InitializeMetrics(server)
	listener, err := net.Listen("tcp", ":8080")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	failed := make(chan error, 2)
	go func() { failed <- server.Serve(listener) }()
	metrics := &http.Server{Addr: ":9090", Handler: promhttp.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { failed <- metrics.ListenAndServe() }()
	log.Printf("version %s serves on %s", s.version, listener.Addr())
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	alive.Shutdown()
	select {
	case err := <-failed:
		return fmt.Errorf("serve during the drain: %w", err)
	case <-time.After(drain):
	}
	server.GracefulStop()
	if err := metrics.Close(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("stop the metrics: %w", err)
	}
	return nil
}
