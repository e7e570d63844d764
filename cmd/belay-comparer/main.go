// Command belay-comparer compares the answers of two versions. A gateway sends it copies of
// requests (a RequestMirror filter); it asks the stable version twice and the candidate once,
// compares the answers, and counts the differences. It answers nothing to the copies itself, and
// decides nothing: a Guardrail with the preset comparer does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/utils/clock"

	"belay.dev/belay/api/v1alpha1"
)

// version is set at build time with -ldflags "-X main.version=…".
var version = "development"

type options struct {
	rollout, namespace string
	port               int
	stable, candidate  string
	methods, paths     list
	timeout            time.Duration
	concurrency        int
	maxBody            int64
	listen, metrics    string
}

// list is a flag that may be given several times.
type list []string

// String implements flag.Value.
func (l *list) String() string { return strings.Join(*l, ",") }

// Set implements flag.Value.
func (l *list) Set(one string) error {
	if one == "" {
		return errors.New("must not be empty")
	}
	*l = append(*l, one)
	return nil
}

const usage = `belay-comparer %s compares the answers of the stable version and of the candidate.

For each copy of a request it asks the stable version twice and the candidate once: the service
executes every request three times more. Copy only requests that change nothing.

Example:
  belay-comparer --rollout=cart --port=8080 --json='{.items[*].price}' --json='{.total}'

Flags:
`

func parse(args []string) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("belay-comparer", flag.ContinueOnError)
	flags.StringVar(&o.rollout, "rollout", "", "name of the Rollout, in this namespace: its Services ROLLOUT-stable and ROLLOUT-canary are asked (required)")
	flags.StringVar(&o.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "namespace of the Rollout, for the metrics; default: the environment's POD_NAMESPACE")
	flags.IntVar(&o.port, "port", 80, "port of these Services")
	flags.StringVar(&o.stable, "stable", "", "`URL` of the stable version, where it is not http://ROLLOUT-stable:PORT, such as https://cart-stable:8443")
	flags.StringVar(&o.candidate, "candidate", "", "`URL` of the candidate, where it is not http://ROLLOUT-canary:PORT")
	flags.Var(&o.methods, "method", "`method` of requests that are compared, all others are skipped; may be repeated (default GET and HEAD)")
	flags.Var(&o.paths, "json", "`JSONPath` of kubectl, without filters, .* and .., such as '{.items[*].price}', of what must be the same in JSON answers; may be repeated. Without any the status code alone is compared")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Second, "how long a version may take for an answer")
	flags.IntVar(&o.concurrency, "concurrency", 64, "how many requests are compared at once; more are skipped")
	flags.Int64Var(&o.maxBody, "max-body", 256<<10, "bytes of a request, or of stable's answer, above which it is skipped; a candidate's answer above it differs")
	flags.StringVar(&o.listen, "listen", ":8080", "address for the copies of requests")
	flags.StringVar(&o.metrics, "metrics", ":9090", "address of /metrics and /healthz")
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), usage, version)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if len(o.methods) == 0 {
		o.methods = list{http.MethodGet, http.MethodHead}
	}
	return o, o.check(flags.Args())
}

// check says what to write.
func (o options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%.100q is no flag: see --help", rest[0])
	case o.rollout == "":
		return errors.New("--rollout is missing: give the name of the Rollout, such as --rollout=cart")
	case o.namespace == "":
		return errors.New("--namespace is missing: set the environment variable POD_NAMESPACE by the downward API (metadata.namespace)")
	case o.port < 1 || o.port > 65535:
		return fmt.Errorf("--port %d is no port: give the port of the Service %s-stable", o.port, o.rollout)
	case o.concurrency < 1 || o.timeout <= 0 || o.maxBody < 1:
		return errors.New("--concurrency, --timeout and --max-body must be above 0")
	}
	return nil
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "belay-comparer:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	registry := prometheus.NewRegistry()
	c, err := newComparer(o, registry)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	about := http.NewServeMux()
	about.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	about.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	slog.Info("comparing", "version", version, "stable", c.stable.url.String(), "candidate", c.candidate.url.String(), "methods", o.methods.String(), "json", o.paths.String())
	if err := serve(ctx, map[string]http.Handler{o.listen: c, o.metrics: about}); err != nil {
		return err
	}
	c.running.Wait()
	return nil
}

// readWithin is how long a request may take to come in: it holds one of the slots meanwhile.
const readWithin = 10 * time.Second

func serverOf(handler http.Handler, within time.Duration) *http.Server {
	return &http.Server{Handler: handler, ReadHeaderTimeout: within, ReadTimeout: within, IdleTimeout: 5 * time.Minute}
}

// serve runs the servers until ctx ends, or one of them fails.
func serve(ctx context.Context, at map[string]http.Handler) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var servers []*http.Server
	for address, handler := range at {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("listen on %s: %w", address, err)
		}
		server := serverOf(handler, readWithin)
		servers = append(servers, server)
		go func() { stop(server.Serve(listener)) }()
	}
	<-ctx.Done()
	cause := context.Cause(ctx)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for _, server := range servers {
		if err := server.Shutdown(last); err != nil {
			return err
		}
	}
	if errors.Is(cause, context.Canceled) || errors.Is(cause, http.ErrServerClosed) {
		return nil
	}
	return cause
}

// maxHeader is how many bytes of headers a version may answer with.
const maxHeader = 64 << 10

func newComparer(o options, registry *prometheus.Registry) (*comparer, error) {
	paths, err := parsePaths(o.paths)
	if err != nil {
		return nil, err
	}
	stableName, canaryName := v1alpha1.PairNames(o.rollout)
	stable, err := serviceOf(stableName, o.port, o.stable)
	if err != nil {
		return nil, fmt.Errorf("--stable %w", err)
	}
	candidate, err := serviceOf(canaryName, o.port, o.candidate)
	if err != nil {
		return nil, fmt.Errorf("--candidate %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy, transport.MaxIdleConnsPerHost, transport.MaxResponseHeaderBytes = nil, o.concurrency, maxHeader
	return &comparer{
		stable: stable, candidate: candidate, paths: paths, methods: o.methods, timeout: o.timeout, maxBody: o.maxBody,
		// An answer that redirects is the answer.
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		slots:  make(chan struct{}, o.concurrency), counts: newCounts(registry, o.namespace, stable, candidate),
		examples: examples{clock: clock.RealClock{}, log: slog.Default()},
	}, nil
}
