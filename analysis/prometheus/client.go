package prometheus

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/prometheus/client_golang/api"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// SecretKey looks up one key of a Secret in Belay's own namespace.
type SecretKey func(ref v1alpha1.SecretKeyRef) (string, error)

// Client queries one source. Several goroutines may use it at once; at most the
// source's inFlight queries run, and the others wait until one ends or their own
// deadline passes.
type Client struct {
	// base builds the URLs; its Do would buffer whole responses.
	base     api.Client
	http     http.Client
	timeout  time.Duration
	scrape   time.Duration
	limits   limits
	inFlight chan struct{}
}

// Response is the result of a counts query.
type Response struct {
	// Counters of the pods' targets.
	Counters []Counter
	// Faults are the pods whose series cannot be used. The other pods of the response
	// are not affected.
	Faults []Fault
	// Skew is the source's clock minus the controller's; 0 when the source sent no
	// date.
	Skew time.Duration
}

// Counter is what one scraped target of a pod counts. Most pods have one.
type Counter struct {
	// Namespace of the pod; empty when the series has no such label.
	Namespace string
	Pod       string
	// Instance is the target's label instance; empty when the series has none.
	Instance string
	// Counts since the container started.
	analysis.Counts
	// SampledAt is the scrape time.
	SampledAt time.Time
}

// OfPod is the counter as that of a pod, of which nothing else is known.
func (c *Counter) OfPod() analysis.PodCounter {
	return analysis.PodCounter{Pod: c.Pod, Counts: c.Counts, SampledAt: c.SampledAt}
}

// Fault is what is wrong with one pod's counters.
type Fault struct {
	Namespace, Pod string
	Err            *QueryError
}

// receipt is what is kept of a response beside its data.
type receipt struct {
	envelope
	// date is the response's header Date, by the source's clock.
	date time.Time
}

// NewClient builds a client from a MetricSource's spec. It returns an error when the
// spec or a Secret cannot be used. It does not connect.
func NewClient(spec v1alpha1.MetricSourceSpec, secret SecretKey) (*Client, error) {
	transport, err := transportOf(spec, secret)
	if err != nil {
		return nil, err
	}
	l := limitsOf(spec.Limits)
	carrier := &bounded{next: transport, limits: l}
	base, err := api.NewClient(api.Config{Address: spec.Address, RoundTripper: carrier})
	if err != nil {
		return nil, fmt.Errorf("read the address: %w", err)
	}
	return &Client{
		base: base, http: http.Client{Transport: carrier}, timeout: spec.Limits.Timeout.Duration, scrape: spec.ScrapeInterval.Duration,
		limits: l, inFlight: make(chan struct{}, max(1, int(spec.Limits.InFlight))),
	}, nil
}

// lookbackScrapes is how many scrape intervals old a sample may be to be part of a
// response.
const lookbackScrapes = 3

// Counts sends a query made by CountsQuery for the evaluation time at. expected is
// how many pods the response is expected to have; now is the controller's clock, to
// compare with the source's. The error is a *QueryError.
func (c *Client) Counts(ctx context.Context, query string, expected int, at, now time.Time) (Response, error) {
	pods := newCollector(at, min(expected, c.limits.series))
	answer, err := c.query(ctx, query, at, now, pods.take)
	if err == nil {
		pods.finish(&answer)
	}
	return answer, err
}

// query sends an instant query within the source's limits, passes the series of the
// response to take, and checks the response as a whole.
func (c *Client) query(ctx context.Context, query string, at, now time.Time, take func(*sample) *QueryError) (Response, error) {
	rows := &vectorReader{limit: c.limits.rows(), take: take}
	got, err := c.send(ctx, http.MethodPost, "/api/v1/query", url.Values{
		"query": {query}, "time": {strconv.FormatFloat(float64(at.UnixNano())/1e9, 'f', -1, 64)},
		"timeout": {c.timeout.String()}, "lookback_delta": {(lookbackScrapes * c.scrape).String()},
	}, rows.read)
	answer := Response{}
	if err != nil {
		return answer, err
	}
	if !got.date.IsZero() {
		answer.Skew = got.date.Sub(now.Truncate(time.Second))
		// now is from before the query: its duration looks like a clock that is ahead.
		if answer.Skew < -maxSkew || answer.Skew > maxSkew+c.timeout {
			return answer, failed(analysis.ClockSkew, "the source's clock differs from the controller's by %s", answer.Skew)
		}
	}
	if got.warned {
		// A warning means a partial response: truncated, or from some replicas only.
		return answer, failed(analysis.Warning, "the source returned a warning, so its data may be incomplete: %s", quote(got.warning))
	}
	return answer, rows.outcome()
}

// send makes one request within the query timeout and the source's limits, and
// reads the data of the response with data. The error is a *QueryError.
func (c *Client) send(ctx context.Context, method, path string, form url.Values, data func(*jsontext.Decoder) error) (receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	done, err := c.acquire(ctx)
	if err != nil {
		return receipt{}, err
	}
	defer done()
	response, err := c.do(ctx, method, path, form.Encode())
	if err == nil && (response.StatusCode == http.StatusMethodNotAllowed || response.StatusCode == http.StatusNotImplemented) {
		_ = response.Body.Close()
		response, err = c.do(ctx, http.MethodGet, path, form.Encode())
	}
	if err != nil {
		return receipt{}, queryError(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	var got receipt
	got.date, _ = http.ParseTime(response.Header.Get("Date"))
	got.envelope, err = decode(response.Body, data)
	return got, err
}

func (c *Client) do(ctx context.Context, method, path, form string) (*http.Response, error) {
	target, body := c.base.URL(path, nil), io.Reader(nil)
	if method == http.MethodPost {
		body = strings.NewReader(form)
	} else {
		target.RawQuery = form
	}
	request, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		// This header is not sent: it tells net/http that it may repeat the query when
		// a connection turns out to be dead.
		request.Header["Idempotency-Key"] = nil
	}
	return c.http.Do(request)
}

// acquire waits until a query may run. The caller calls done when it has ended.
func (c *Client) acquire(ctx context.Context) (done func(), err error) {
	select {
	case c.inFlight <- struct{}{}:
		return func() { <-c.inFlight }, nil
	case <-ctx.Done():
		return nil, failed(analysis.Timeout, "the query waited for its whole timeout: too many queries are in flight to this source (spec.limits.inFlight)")
	}
}

// version is the form of a version that is accepted from a source.
var version = regexp.MustCompile(`^[0-9A-Za-z][-+.~_0-9A-Za-z]{0,63}$`)

// Version reads the source's version. The error is a *QueryError.
func (c *Client) Version(ctx context.Context) (string, error) {
	var found string
	_, err := c.send(ctx, http.MethodGet, "/api/v1/status/buildinfo", nil, func(d *jsontext.Decoder) error {
		_, err := object(d, func(name []byte) error {
			if string(name) != "version" {
				return d.SkipValue()
			}
			return setText(d, &found)
		})
		return err
	})
	if err != nil {
		return "", err
	}
	if !version.MatchString(found) {
		return "", failed(analysis.Malformed, "the source reports a version that is not one: %s", quote(found))
	}
	return found, nil
}
