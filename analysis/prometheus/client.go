package prometheus

import (
	"context"
	"fmt"
	"io"
	"maps"
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
// source's inFlight queries run, and the others wait for their turn.
type Client struct {
	// base builds the URLs; its Do would buffer whole responses.
	base    api.Client
	http    http.Client
	timeout time.Duration
	scrape  time.Duration
	limits  limits
	turns   *turns
	// parameters are added to every query.
	parameters url.Values
	labels     labelNames
	// destinations is set when the label of pods names destinations, and metrics has the names
	// of what is queried; see Reading.
	destinations bool
	metrics      metrics
	// patience is how long a query waits for its turn.
	patience time.Duration
}

// turnWithin is how long a query waits for its turn, at most. It does not count towards
// the query's timeout: a source with more queries than places is asked less often, and
// no query fails because others are slow.
const turnWithin = 30 * time.Second

// Clock is the controller's time. A query is evaluated at the time when its turn comes.
type Clock func() time.Time

// Response is the result of a counts query.
type Response struct {
	// Counters of the pods' targets.
	Counters []Counter
	// Faults are the pods whose series are not those that were queried: an indicator that does
	// not fit them is the cause. A value that cannot be used is not among them; see Counter.
	Faults []Fault
	// At is the evaluation time; zero when the query was not sent.
	At time.Time
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
	// Counts since the container started. Of a load, Total is the value, and Bad what to
	// divide it by: 0 for none.
	analysis.Counts
	// SampledAt is the scrape time.
	SampledAt time.Time
	// Unusable says which value of the sample cannot be used, such as NaN, and why; empty when
	// all can. The values are then as the source has them. Such a sample says no more than a
	// scrape that failed.
	Unusable string
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
		parameters: parametersOf(spec), labels: labelsOf(spec.Labels),
		base: base, http: http.Client{Transport: carrier}, timeout: spec.Limits.Timeout.Duration, scrape: spec.ScrapeInterval.Duration,
		limits: l, turns: newTurns(int(spec.Limits.InFlight)), patience: turnWithin,
	}, nil
}

// parametersOf are those that a query has beside its text and time. VictoriaMetrics
// evaluates a query 30 s before its time (-search.latencyOffset) without nocache, and takes
// max_lookback for Prometheus' lookback_delta (its documentation, "Prometheus querying API
// enhancements"). Other sources ignore both.
func parametersOf(spec v1alpha1.MetricSourceSpec) url.Values {
	lookback := (lookbackScrapes * spec.ScrapeInterval.Duration).String()
	form := url.Values{"lookback_delta": {lookback}, "max_lookback": {lookback}, "nocache": {"1"}}
	for _, p := range spec.Parameters {
		form[p.Name] = []string{p.Value}
		if p.Value == "" {
			delete(form, p.Name)
		}
	}
	return form
}

// lookbackScrapes is how many scrape intervals old a sample may be to be part of a
// response.
const lookbackScrapes = 3

// Counts sends a query made by IndicatorQuery. tenant is the namespace that it is for; empty
// when several share it. expected is how many pods the response is expected to have. The
// error is a *QueryError.
func (c *Client) Counts(ctx context.Context, tenant, query string, expected int, clock Clock) (Response, error) {
	done, err := c.turn(ctx, tenant)
	if err != nil {
		return Response{}, err
	}
	defer done()
	at := evaluationTime(clock)
	pods := c.collector(at, min(expected, c.limits.series))
	answer, err := c.query(ctx, query, at, pods.take)
	if err == nil {
		pods.finish(&answer)
	}
	return answer, err
}

// evaluationTime is now. Sources take milliseconds: the recorded time is the one that was
// queried.
func evaluationTime(clock Clock) time.Time { return clock().Truncate(time.Millisecond) }

// query sends an instant query for the time at, which is now, passes the series of the
// response to take, and checks the response as a whole.
func (c *Client) query(ctx context.Context, query string, at time.Time, take func(*sample) *QueryError) (Response, error) {
	return c.read(ctx, query, at, &vectorReader{limit: c.limits.rows(), labels: c.labels, take: take})
}

func (c *Client) read(ctx context.Context, query string, at time.Time, rows *vectorReader) (Response, error) {
	form := maps.Clone(c.parameters)
	form.Set("query", query)
	form.Set("time", strconv.FormatFloat(float64(at.UnixNano())/1e9, 'f', -1, 64))
	form.Set("timeout", c.timeout.String())
	got, err := c.send(ctx, http.MethodPost, "/api/v1/query", form, rows.read)
	answer := Response{At: at}
	if err != nil {
		return answer, err
	}
	if !got.date.IsZero() {
		answer.Skew = got.date.Sub(at.Truncate(time.Second))
		// at is from before the query: its duration looks like a clock that is ahead.
		if answer.Skew < -maxSkew || answer.Skew > maxSkew+c.timeout {
			return answer, failed(analysis.ClockSkew, "the source's clock differs from the controller's by %s", answer.Skew)
		}
	}
	if err := got.incomplete(); err != nil {
		return answer, err
	}
	return answer, rows.outcome()
}

// send makes one request within the query timeout and the source's limits, and
// reads the data of the response with data. The error is a *QueryError.
func (c *Client) send(ctx context.Context, method, path string, form url.Values, data func(*jsontext.Decoder) error) (receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
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

// turn waits until a query of the tenant may run. The caller calls done when it has
// ended. The error is a *QueryError.
func (c *Client) turn(ctx context.Context, tenant string) (done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	done, err = c.turns.wait(ctx, tenant)
	if err != nil {
		return nil, failed(analysis.Timeout, "the query waited %s for its turn: too many queries are in flight to this source (spec.limits.inFlight)", c.patience)
	}
	return done, nil
}

// version is the form of a version that is accepted from a source.
var version = regexp.MustCompile(`^[0-9A-Za-z][-+.~_0-9A-Za-z]{0,63}$`)

// Version reads the source's version, which may be empty. The error is a *QueryError.
func (c *Client) Version(ctx context.Context) (string, error) {
	done, err := c.turn(ctx, "")
	if err != nil {
		return "", err
	}
	defer done()
	var found string
	known := false
	_, err = c.send(ctx, http.MethodGet, "/api/v1/status/buildinfo", nil, func(d *jsontext.Decoder) error {
		_, err := object(d, func(name []byte) error {
			if string(name) != "version" {
				return d.SkipValue()
			}
			known = d.PeekKind() == '"'
			return setText(d, &found)
		})
		return err
	})
	if err != nil {
		return "", err
	}
	if known && found == "" {
		// A Prometheus that was built without a version.
		return "", nil
	}
	if !version.MatchString(found) {
		return "", failed(analysis.Malformed, "the source reports a version that is not one: %s", quote(found))
	}
	return found, nil
}
