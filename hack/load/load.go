// Package load sends a steady stream of requests through a gateway and keeps
// what came back, by second and by version. It is an open loop: a slow answer
// does not slow the stream down, as real users' requests would not.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Result is one request's.
type Result struct {
	At time.Time
	// Code is the HTTP status; 0 when no answer came.
	Code int
	// Version is what the shop says of itself; empty when somebody else answered.
	Version string
	// Charges is how often the shop charged the order: once, or this is a bug.
	Charges int
	// Err says why no answer came.
	Err string
}

// Failed reports whether a user would call it an error.
func (r Result) Failed() bool { return r.Code == 0 || r.Code >= 500 }

// Bad reports whether a user was harmed: an error, or an order charged twice.
func (r Result) Bad() bool { return r.Failed() || r.Charges > 1 }

// Generator sends requests until it is stopped.
type Generator struct {
	// URL of the gateway, and Host to ask it for.
	URL, Host string
	// Rate in requests per second.
	Rate int
	// Header is sent with each request.
	Header http.Header
	// Coupons makes customers come with a coupon, from when it is set.
	Coupons atomic.Bool

	mu      sync.Mutex
	results []Result
	cancel  context.CancelFunc
	done    chan struct{}
}

// Start begins the stream.
func (g *Generator) Start(ctx context.Context) {
	ctx, g.cancel = context.WithCancel(ctx)
	g.done = make(chan struct{})
	client := &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 64, DialContext: (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		},
	}
	go g.run(ctx, client)
}

func (g *Generator) run(ctx context.Context, client *http.Client) {
	defer close(g.done)
	ticker := time.NewTicker(time.Second / time.Duration(g.Rate))
	defer ticker.Stop()
	var pending sync.WaitGroup
	defer pending.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			pending.Go(func() { g.keep(g.once(client)) })
		}
	}
}

// once sends one request. It is not tied to the stream's context: stopping the
// stream must not turn the last requests into failures.
func (g *Generator) once(client *http.Client) Result {
	r := Result{At: time.Now()}
	request, err := http.NewRequest(http.MethodPost, g.URL+"/checkout", nil)
	if err != nil {
		r.Err = err.Error()
		return r
	}
	request.Host = g.Host
	maps.Copy(request.Header, g.Header)
	if g.Coupons.Load() {
		request.Header.Set("X-Shop-Coupon", "SPRING")
	}
	response, err := client.Do(request)
	if err != nil {
		r.Err = err.Error()
		return r
	}
	_, err = io.Copy(io.Discard, response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		r.Err = err.Error()
		return r
	}
	r.Code, r.Version = response.StatusCode, response.Header.Get("X-Shop-Version")
	// An answer without a receipt counts no charges.
	r.Charges, _ = strconv.Atoi(response.Header.Get("X-Shop-Charges"))
	return r
}

func (g *Generator) keep(r Result) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.results = append(g.results, r)
}

// Stop ends the stream and waits for the last answers. A second Stop does nothing.
func (g *Generator) Stop() {
	g.cancel()
	<-g.done
}

// Since returns the results of requests sent at or after a time.
func (g *Generator) Since(t time.Time) []Result {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []Result
	for _, r := range g.results {
		if !r.At.Before(t) {
			out = append(out, r)
		}
	}
	return out
}

// Tally counts results by who answered.
type Tally struct {
	Sent, Failed int
	// By version; the empty version is nobody's: the gateway's own answer, or none.
	By map[string]Answers
	// Unanswered are up to ten messages of requests nobody answered.
	Unanswered []string
}

// Answers are one version's.
type Answers struct {
	Count, Failed, Bad int
	// First and Last are the times of the first and the last answer, FirstBad that
	// of the first bad one.
	First, FirstBad, Last time.Time
}

// Count sums results up.
func Count(results []Result) Tally {
	t := Tally{By: map[string]Answers{}}
	for _, r := range results {
		t.Sent++
		a := t.By[r.Version]
		a.add(r)
		t.By[r.Version] = a
		if r.Failed() {
			t.Failed++
		}
		if r.Version == "" && len(t.Unanswered) < 10 {
			t.Unanswered = append(t.Unanswered, fmt.Sprintf("%s %d %s", r.At.UTC().Format("15:04:05.000"), r.Code, r.Err))
		}
	}
	return t
}

func (a *Answers) add(r Result) {
	a.Count++
	if a.First.IsZero() || r.At.Before(a.First) {
		a.First = r.At
	}
	if r.At.After(a.Last) {
		a.Last = r.At
	}
	if r.Failed() {
		a.Failed++
	}
	if r.Bad() {
		a.Bad++
		if a.FirstBad.IsZero() || r.At.Before(a.FirstBad) {
			a.FirstBad = r.At
		}
	}
}
