// Package load sends a steady stream of requests through a gateway and keeps
// what came back, by second and by version. It is an open loop: a slow answer
// does not slow the stream down, as real users' requests would not.
package load

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Result is one request's.
type Result struct {
	At time.Time
	// Code is the HTTP status; 0 when no answer came.
	Code int
	// Version is what the shop says of itself; empty when somebody else answered.
	Version string
	// Err says why no answer came.
	Err string
}

// Failed reports whether a user would call it an error.
func (r Result) Failed() bool { return r.Code == 0 || r.Code >= 500 }

// Generator sends requests until it is stopped.
type Generator struct {
	// URL of the gateway, and Host to ask it for.
	URL, Host string
	// Rate in requests per second.
	Rate int

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
	return r
}

func (g *Generator) keep(r Result) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.results = append(g.results, r)
}

// Stop ends the stream and waits for the last answers.
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

// Tally counts results by whom they came from.
type Tally struct {
	Sent int
	// ByVersion counts answers, FailedBy failures, by the version that answered;
	// the empty version is nobody's: the gateway's own, or none at all.
	ByVersion, FailedBy map[string]int
	// FirstFailure and Last answer of each version.
	FirstFailure, Last map[string]time.Time
	// Unanswered are the messages of requests nobody answered.
	Unanswered []string
}

// Count sums results up.
func Count(results []Result) Tally {
	t := Tally{ByVersion: map[string]int{}, FailedBy: map[string]int{}, FirstFailure: map[string]time.Time{}, Last: map[string]time.Time{}}
	for _, r := range results {
		t.Sent++
		t.ByVersion[r.Version]++
		if r.At.After(t.Last[r.Version]) {
			t.Last[r.Version] = r.At
		}
		if !r.Failed() {
			continue
		}
		t.FailedBy[r.Version]++
		if first, ok := t.FirstFailure[r.Version]; !ok || r.At.Before(first) {
			t.FirstFailure[r.Version] = r.At
		}
		if r.Version == "" && len(t.Unanswered) < 10 {
			t.Unanswered = append(t.Unanswered, r.Err)
		}
	}
	return t
}
