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

// Client asks one source. It may be used from several goroutines at once; at
// most the source's inFlight queries run, and the others wait for their turn or
// their deadline.
type Client struct {
	// base makes the URLs; its Do would hold an answer whole.
	base     api.Client
	http     http.Client
	timeout  time.Duration
	scrape   time.Duration
	limits   limits
	inFlight chan struct{}
}

// Answer is what a counts query returned.
type Answer struct {
	// Counters of the pods' targets.
	Counters []Counter
	// Faults are the pods of which the answer says what cannot be used. They are
	// theirs alone: the others of the answer are not in doubt.
	Faults []Fault
	// Skew is the source's clock minus ours; 0 when it did not say.
	Skew time.Duration
}

// Counter is what one scraped target of a pod counts. Most pods have one.
type Counter struct {
	analysis.PodCounter
	// Instance is the target's, by the source's word; empty when it did not say.
	Instance string
}

// Fault is what is wrong with one pod's counters.
type Fault struct {
	Namespace, Pod string
	Err            *QueryError
}

// receipt is what is kept of an answer beside its data.
type receipt struct {
	envelope
	// date by the source's clock.
	date time.Time
}

// NewClient builds a client from a MetricSource's spec. It returns an error for
// a spec or a Secret that cannot be used; it does not connect.
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

// lookbackScrapes is how many scrape intervals a sample may be old to be in an
// answer at all.
const lookbackScrapes = 3

// Counts sends a query made by CountsQuery for the evaluation time at, which is
// expected to be answered for so many pods. now is our clock, for comparison with
// the source's. The error is a *QueryError.
func (c *Client) Counts(ctx context.Context, query string, expected int, at, now time.Time) (Answer, error) {
	pods := newCollector(at, min(expected, c.limits.series))
	answer, err := c.ask(ctx, query, at, now, pods.take)
	if err == nil {
		pods.finish(&answer)
	}
	return answer, err
}

// ask sends an instant query within the source's limits, gives the rows of its
// answer to take, and checks whatever an answer must keep to before they count.
func (c *Client) ask(ctx context.Context, query string, at, now time.Time, take func(*sample) *QueryError) (Answer, error) {
	rows := &vectorReader{limit: c.limits.rows(), take: take}
	got, err := c.send(ctx, http.MethodPost, "/api/v1/query", url.Values{
		"query": {query}, "time": {strconv.FormatFloat(float64(at.UnixNano())/1e9, 'f', -1, 64)},
		"timeout": {c.timeout.String()}, "lookback_delta": {(lookbackScrapes * c.scrape).String()},
	}, rows.read)
	answer := Answer{}
	if err != nil {
		return answer, err
	}
	if !got.date.IsZero() {
		answer.Skew = got.date.Sub(now.Truncate(time.Second))
		// now is from before the query: what it took looks like a clock ahead.
		if answer.Skew < -maxSkew || answer.Skew > maxSkew+c.timeout {
			return answer, failed(analysis.ClockSkew, "the source's clock differs from ours by %s", answer.Skew)
		}
	}
	if got.warned {
		// A warning means a partial answer: truncated, or from some replicas only.
		return answer, failed(analysis.Warning, "the source warns: %s", quote(got.warning))
	}
	return answer, rows.outcome()
}

// send asks once, within the query timeout and the source's limits, and reads
// the answer's data with data. The error is a *QueryError.
func (c *Client) send(ctx context.Context, method, path string, form url.Values, data func(*jsontext.Decoder) error) (receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	done, err := c.turn(ctx)
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
		// Not sent: it tells net/http that a query may be sent again on a connection
		// that turns out to be dead.
		request.Header["Idempotency-Key"] = nil
	}
	return c.http.Do(request)
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
		return "", failed(analysis.Malformed, "the source says its version is %s", quote(found))
	}
	return found, nil
}
