package prometheus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/api"
	prom "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// rowsPerPod is how many rows a counts query returns for one pod.
const rowsPerPod = 3

// maxSkew is how far the source's clock may be from ours.
const maxSkew = 5 * time.Second

// SecretKey looks up one key of a Secret in Belay's own namespace.
type SecretKey func(ref v1alpha1.SecretKeyRef) (string, error)

// Client asks one source. It may be used from several goroutines at once; at
// most the source's inFlight queries run, and the others wait for their turn or
// their deadline.
type Client struct {
	api      prom.API
	timeout  time.Duration
	scrape   time.Duration
	series   int
	inFlight chan struct{}
}

// Answer is what a counts query returned.
type Answer struct {
	// Pods by name.
	Pods []analysis.PodCounter
	// SHA256 of the raw body, as sha256:hex.
	SHA256 string
	// Skew is the source's clock minus ours; 0 when it did not say.
	Skew time.Duration
}

// NewClient builds a client from a MetricSource's spec. It returns an error for
// a spec or a Secret that cannot be used; it does not connect.
func NewClient(spec v1alpha1.MetricSourceSpec, secret SecretKey) (*Client, error) {
	httpConfig, err := httpConfigOf(spec, secret)
	if err != nil {
		return nil, err
	}
	httpClient, err := config.NewClientFromConfig(httpConfig, "belay")
	if err != nil {
		return nil, fmt.Errorf("set up the HTTP client: %w", err)
	}
	httpClient.Transport = &bounded{next: httpClient.Transport, maxBytes: spec.Limits.Bytes, maxSeries: int(spec.Limits.Series)}
	// The client below swallows no redirect: bounded turns it into an error.
	httpClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	apiClient, err := api.NewClient(api.Config{Address: spec.Address, Client: httpClient})
	if err != nil {
		return nil, fmt.Errorf("read the address: %w", err)
	}
	return &Client{
		api: prom.NewAPI(apiClient), timeout: spec.Limits.Timeout.Duration, scrape: spec.ScrapeInterval.Duration,
		series: int(spec.Limits.Series), inFlight: make(chan struct{}, max(1, int(spec.Limits.InFlight))),
	}, nil
}

// Counts sends a query made by CountsQuery for the evaluation time at. now is
// our clock, for comparison with the source's. The error is a *QueryError.
func (c *Client) Counts(ctx context.Context, query string, at, now time.Time) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	select {
	case c.inFlight <- struct{}{}:
		defer func() { <-c.inFlight }()
	case <-ctx.Done():
		return Answer{}, failed(analysis.Timeout, "no turn within the query timeout: too many queries wait for this source")
	}
	kept := &receipt{}
	ctx = context.WithValue(ctx, receiptKey{}, kept)
	value, warnings, _, err := c.api.Query(ctx, query, at, prom.WithTimeout(c.timeout), prom.WithLookbackDelta(3*c.scrape))
	if err != nil {
		return Answer{SHA256: kept.sha256}, queryError(ctx, err)
	}
	answer := Answer{SHA256: kept.sha256}
	if !kept.date.IsZero() {
		answer.Skew = kept.date.Sub(now.Truncate(time.Second))
		if answer.Skew.Abs() > maxSkew {
			return answer, failed(analysis.ClockSkew, "the source's clock differs from ours by %s", answer.Skew)
		}
	}
	if len(warnings) > 0 {
		// A warning means a partial answer: truncated, or from some replicas only.
		return answer, failed(analysis.Warning, "the source warns: %.200q", warnings[0])
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return answer, failed(analysis.WrongType, "the source answered a %s, a vector was asked for", value.Type())
	}
	answer.Pods, err = podsOf(vector, at, c.series)
	return answer, err
}

// Version asks the source for its version.
func (c *Client) Version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	info, err := c.api.Buildinfo(ctx)
	if err != nil {
		return "", queryError(ctx, err)
	}
	if len(info.Version) > 64 {
		return info.Version[:64], nil
	}
	return info.Version, nil
}

func queryError(ctx context.Context, err error) error {
	var known *QueryError
	var wrapped *url.Error
	var said *prom.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &said) && said.Type == prom.ErrTimeout:
		return failed(analysis.Timeout, "the source gave up: %.200q", said.Msg)
	case errors.As(err, &said) && (said.Type == prom.ErrBadData || said.Type == prom.ErrExec):
		return failed(analysis.BadQuery, "the source refused the query: %.200q", said.Msg)
	case errors.As(err, &wrapped):
		return transportError(ctx, err)
	case ctx.Err() != nil:
		return failed(analysis.Timeout, "no answer within the query timeout")
	default:
		return failed(analysis.Malformed, "the answer cannot be read: %.200q", err.Error())
	}
}

func podsOf(vector model.Vector, at time.Time, limit int) ([]analysis.PodCounter, error) {
	if len(vector) > limit*rowsPerPod {
		return nil, failed(analysis.TooManySeries, "the answer has %d series, %d are allowed", len(vector), limit*rowsPerPod)
	}
	pods := map[string]*analysis.PodCounter{}
	seen := map[[2]string]bool{}
	var names []string
	for _, sample := range vector {
		pod, k, value := string(sample.Metric["pod"]), string(sample.Metric["k"]), float64(sample.Value)
		if pod == "" || len(pod) > 253 || seen[[2]string{pod, k}] {
			return nil, failed(analysis.Malformed, "the answer has a series without a pod, or two of the same")
		}
		if math.IsNaN(value) || math.IsInf(value, 0) || value < 0 {
			return nil, failed(analysis.Malformed, "pod %q reports %v", pod, value)
		}
		seen[[2]string{pod, k}] = true
		if pods[pod] == nil {
			pods[pod] = &analysis.PodCounter{Pod: pod}
			names = append(names, pod)
		}
		if err := set(pods[pod], k, value, at); err != nil {
			return nil, err
		}
	}
	out := make([]analysis.PodCounter, 0, len(names))
	for _, name := range names {
		out = append(out, *pods[name])
	}
	return out, nil
}

func set(pod *analysis.PodCounter, k string, value float64, at time.Time) error {
	switch k {
	case "total":
		pod.Total = value
	case "bad":
		pod.Bad = value
	case "ts":
		pod.SampledAt = time.UnixMilli(int64(value * 1000))
		if pod.SampledAt.Sub(at) > maxSkew {
			return failed(analysis.ClockSkew, "pod %q has a sample from the future", pod.Pod)
		}
	default:
		return failed(analysis.Malformed, "the answer has a row of unknown kind %.32q", k)
	}
	return nil
}
