package prometheus

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/api"
	prom "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// SecretKey looks up one key of a Secret in Belay's own namespace.
type SecretKey func(ref v1alpha1.SecretKeyRef) (string, error)

// Client asks one source. It may be used from several goroutines at once; at
// most the source's inFlight queries run, and the others wait for their turn or
// their deadline.
type Client struct {
	api      prom.API
	timeout  time.Duration
	scrape   time.Duration
	limits   limits
	inFlight chan struct{}
}

// Answer is what a counts query returned.
type Answer struct {
	// Pods by name.
	Pods []analysis.PodCounter
	// SHA256 of the raw body, as sha256:hex; empty when no whole body came.
	SHA256 string
	// Skew is the source's clock minus ours; 0 when it did not say.
	Skew time.Duration
}

// NewClient builds a client from a MetricSource's spec. It returns an error for
// a spec or a Secret that cannot be used; it does not connect.
func NewClient(spec v1alpha1.MetricSourceSpec, secret SecretKey) (*Client, error) {
	transport, err := transportOf(spec, secret)
	if err != nil {
		return nil, err
	}
	l := limitsOf(spec.Limits)
	urls, err := api.NewClient(api.Config{Address: spec.Address})
	if err != nil {
		return nil, fmt.Errorf("read the address: %w", err)
	}
	return &Client{
		api:     prom.NewAPI(&reader{Client: urls, http: &http.Client{Transport: &bounded{next: transport, limits: l}}}),
		timeout: spec.Limits.Timeout.Duration, scrape: spec.ScrapeInterval.Duration,
		limits: l, inFlight: make(chan struct{}, max(1, int(spec.Limits.InFlight))),
	}, nil
}

// lookbackScrapes is how many scrape intervals a sample may be old to be in an
// answer at all.
const lookbackScrapes = 3

// Counts sends a query made by CountsQuery for the evaluation time at. now is
// our clock, for comparison with the source's. The error is a *QueryError.
func (c *Client) Counts(ctx context.Context, query string, at, now time.Time) (Answer, error) {
	value, answer, err := c.ask(ctx, query, at, now)
	if err != nil {
		return answer, err
	}
	answer.Pods, err = podsOf(value, at, c.limits)
	return answer, err
}

// ask sends an instant query within the source's limits and checks whatever an
// answer must keep to before its rows are read.
func (c *Client) ask(ctx context.Context, query string, at, now time.Time) (model.Value, Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	done, err := c.turn(ctx)
	if err != nil {
		return nil, Answer{}, err
	}
	defer done()
	kept := &receipt{}
	value, warnings, _, err := c.api.Query(context.WithValue(ctx, receiptKey{}, kept), query, at,
		prom.WithTimeout(c.timeout), prom.WithLookbackDelta(lookbackScrapes*c.scrape))
	answer := Answer{SHA256: kept.sha256}
	if err != nil {
		return nil, answer, queryError(ctx, err)
	}
	if !kept.date.IsZero() {
		answer.Skew = kept.date.Sub(now.Truncate(time.Second))
		// now is from before the query: what it took looks like a clock ahead.
		if answer.Skew < -maxSkew || answer.Skew > maxSkew+c.timeout {
			return nil, answer, failed(analysis.ClockSkew, "the source's clock differs from ours by %s", answer.Skew)
		}
	}
	if len(warnings) > 0 {
		// A warning means a partial answer: truncated, or from some replicas only.
		return nil, answer, failed(analysis.Warning, "the source warns: %s", quote(warnings[0]))
	}
	return value, answer, nil
}

// turn waits until a query may run and returns what ends it.
func (c *Client) turn(ctx context.Context) (done func(), err error) {
	select {
	case c.inFlight <- struct{}{}:
		return func() { <-c.inFlight }, nil
	case <-ctx.Done():
		return nil, failed(analysis.Timeout, "no turn within the query timeout: too many queries wait for this source")
	}
}

// version is what a source may call its version.
var version = regexp.MustCompile(`^[0-9A-Za-z][-+.~_0-9A-Za-z]{0,63}$`)

// Version asks the source for its version. The error is a *QueryError.
func (c *Client) Version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	done, err := c.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	info, err := c.api.Buildinfo(ctx)
	if err != nil {
		return "", queryError(ctx, err)
	}
	if !version.MatchString(info.Version) {
		return "", failed(analysis.Malformed, "the source says its version is %s", quote(info.Version))
	}
	return info.Version, nil
}
