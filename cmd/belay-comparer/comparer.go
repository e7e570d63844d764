package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// service is one of the Rollout's generated Services, by its name in the metrics, and where its
// version answers.
type service struct {
	name string
	url  *url.URL
}

func serviceOf(name string, port int, at string) (service, error) {
	if at == "" {
		return service{name: name, url: &url.URL{Scheme: "http", Host: fmt.Sprintf("%s:%d", name, port)}}, nil
	}
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" {
		return service{}, fmt.Errorf("%.100q must be a scheme and a host, such as http://%s:%d", at, name, port)
	}
	return service{name: name, url: u}, nil
}

// comparer takes copies of requests. All of it but running is set before the first.
type comparer struct {
	stable, candidate service
	paths             []path
	methods           []string
	timeout           time.Duration
	maxBody           int64
	client            *http.Client
	// slots bounds the comparisons at once.
	slots    chan struct{}
	counts   *counts
	examples examples
	running  sync.WaitGroup
	// decoding is held by the one comparison whose answers are decoded: that takes many times
	// their memory.
	decoding sync.Mutex
}

// request is a copy that is sent to both versions.
type request struct {
	method, host string
	url          *url.URL
	header       http.Header
	body         []byte
}

// path is for the log, bounded, without the query: it may have users' data.
func (r request) path() string { return v1alpha1.Bounded(r.url.Path, 200) }

// at is the request's URL at a version. The copy says nothing about where it goes.
func (r request) at(of service) string {
	return (&url.URL{Scheme: of.url.Scheme, Host: of.url.Host, Path: r.url.Path, RawPath: r.url.RawPath, RawQuery: r.url.RawQuery, ForceQuery: r.url.ForceQuery}).String()
}

// answer of a version; with err there was none.
type answer struct {
	status int
	body   []byte
	err    error
}

// Why a request is not compared. It is a label of a metric: a closed set.
const (
	skippedMethod      = "method"
	skippedTarget      = "target"
	skippedBusy        = "busy"
	skippedTooLarge    = "too-large"
	skippedCutOff      = "cut-off"
	skippedNoReference = "stable-gave-no-answer"
	skippedNoCandidate = "no-candidate"
)

// errTooLarge is a body above the bound.
var errTooLarge = errors.New("larger than --max-body")

// ServeHTTP takes one copy. The gateway drops the answer, so it comes before the comparison.
func (c *comparer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer w.WriteHeader(http.StatusNoContent)
	if !slices.Contains(c.methods, r.Method) {
		c.counts.skip(skippedMethod)
		return
	}
	if !strings.HasPrefix(r.URL.Path, "/") {
		c.counts.skip(skippedTarget)
		return
	}
	select {
	case c.slots <- struct{}{}:
	default:
		c.counts.skip(skippedBusy)
		return
	}
	body, err := bounded(r.Body, c.maxBody)
	if err != nil {
		<-c.slots
		reason := skippedCutOff
		if errors.Is(err, errTooLarge) {
			reason = skippedTooLarge
		}
		c.counts.skip(reason)
		return
	}
	copied := request{method: r.Method, host: unshadowed(r.Host), url: r.URL, header: forwarded(r.Header), body: body}
	// The copy's context ends with its answer.
	ctx := context.WithoutCancel(r.Context())
	c.running.Go(func() {
		defer func() { <-c.slots }()
		c.compare(ctx, copied)
	})
}

// unshadowed is a host without what Envoy appends to that of a request that it copies, before a
// port. https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto
func unshadowed(host string) string {
	const shadow = "-shadow"
	if at := strings.LastIndex(host, ":"); at >= 0 && strings.HasSuffix(host[:at], shadow) {
		return strings.TrimSuffix(host[:at], shadow) + host[at:]
	}
	return strings.TrimSuffix(host, shadow)
}

// forwarded is a request's header without what is between two neighbours (RFC 9110, section
// 7.6.1), and without Accept-Encoding: an answer is compared as it is before its compression.
func forwarded(header http.Header) http.Header {
	out := header.Clone()
	for _, listed := range header.Values("Connection") {
		for name := range strings.SplitSeq(listed, ",") {
			out.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Accept-Encoding", "Content-Length"} {
		out.Del(name)
	}
	out.Set("Belay-Compared", "true")
	return out
}

// compare asks stable twice and the candidate once, all at the same time, so that none of them
// sees later data. How often stable differs from itself is what its answers vary by anyway: the
// guardrail compares the candidate with that.
func (c *comparer) compare(ctx context.Context, r request) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var reference, again, candidate answer
	var all sync.WaitGroup
	all.Go(func() { reference = c.ask(ctx, c.stable, r) })
	all.Go(func() { again = c.ask(ctx, c.stable, r) })
	all.Go(func() { candidate = c.ask(ctx, c.candidate, r) })
	all.Wait()
	c.judge(r, reference, again, candidate)
}

// judge counts the answers, or skips the request for both versions.
func (c *comparer) judge(r request, reference, again, candidate answer) {
	switch {
	case unreachable(candidate.err):
		// Between runs nobody is there. A candidate that crashes fails by its pods.
		c.counts.skip(skippedNoCandidate)
	case errors.Is(reference.err, errTooLarge):
		// Where only another answer is too large, the two differ.
		c.counts.skip(skippedTooLarge)
	case reference.err != nil, unreachable(again.err):
		c.counts.skip(skippedNoReference)
	default:
		c.decoding.Lock()
		defer c.decoding.Unlock()
		c.count(r, c.stable, reference, again)
		c.count(r, c.candidate, reference, candidate)
	}
}

func (c *comparer) count(r request, of service, reference, other answer) {
	c.counts.requests.WithLabelValues(of.name).Inc()
	if d := differenceOf(reference, other, c.paths); d.in != "" {
		c.counts.different.WithLabelValues(of.name, d.in).Inc()
		c.examples.show(r, of, d)
	}
}

// ask sends a request to a version.
func (c *comparer) ask(ctx context.Context, of service, r request) answer {
	sent, err := http.NewRequestWithContext(ctx, r.method, r.at(of), bytes.NewReader(r.body))
	if err != nil {
		return answer{err: err}
	}
	sent.Header, sent.Host = r.header.Clone(), r.host
	response, err := c.client.Do(sent)
	// The client's own error names the whole URL, with users' data.
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	a := answer{status: response.StatusCode}
	if len(c.paths) > 0 {
		a.body, a.err = bounded(response.Body, c.maxBody)
	}
	return a
}

// bounded reads a body whole.
func bounded(body io.Reader, most int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(body, most+1))
	if err == nil && int64(len(raw)) > most {
		return nil, errTooLarge
	}
	return raw, err
}

// unreachable means that no connection was made: there is no pod, or no such Service.
func unreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
