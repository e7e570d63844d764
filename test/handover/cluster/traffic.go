package cluster

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// maxFailures bounds how many failures are kept in words.
const maxFailures = 20

// answers are what the endpoints of one Service made of one request to each.
type answers struct {
	service string
	share   float64
	byImage map[string]int
	alive   int
	dead    []string
}

// Counts are requests by the image that answered them, in parts of a request.
type Counts struct {
	Answered map[string]float64
	last     answers
}

func (c *Counts) add(a answers) {
	c.last = a
	for image, n := range a.byImage {
		c.Answered[image] += a.share * float64(n) / float64(a.alive+len(a.dead))
	}
}

// Traffic is what became of the requests to one namespace's application.
type Traffic struct {
	service string
	route   string
	open    bool
	routed  Counts
	direct  Counts
	// failed counts requests without an answer; failures are the first of them.
	failed   int
	failures []string
}

func (t *Traffic) fail(now time.Time, how string, a answers) {
	what := ""
	switch {
	case len(a.dead) > 0:
		what = "listed as ready but not answering: " + strings.Join(a.dead, ", ")
	case a.alive == 0:
		what = "no ready endpoint"
	default:
		return
	}
	t.failed++
	what = fmt.Sprintf("%s to Service %s: %s", how, a.service, what)
	if n := len(t.failures); n < maxFailures && (n == 0 || !strings.HasSuffix(t.failures[n-1], what)) {
		t.failures = append(t.failures, now.Format("15:04:05.000")+" "+what)
	}
}

// Open begins to send requests to a namespace's Service, directly and through the
// HTTPRoute and the GRPCRoute of a name, and to count what becomes of them. What was counted before stays.
func (g *Gateway) Open(namespace, service, route string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.traffic[namespace]; t != nil {
		t.open = true
		return
	}
	g.traffic[namespace] = &Traffic{service: service, route: route, open: true, routed: Counts{Answered: map[string]float64{}}, direct: Counts{Answered: map[string]float64{}}}
}

// Close sends no more requests there.
func (g *Gateway) Close(namespace string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.traffic[namespace]; t != nil {
		t.open = false
	}
}

// Report is what has become of the requests so far.
type Report struct {
	// Routed and Direct are answered requests by image, through routes and by
	// callers of the Service itself.
	Routed, Direct map[string]float64
	// Failed counts requests without an answer; Failures describes the first.
	Failed   int
	Failures []string
}

// Report of a namespace since it was opened.
func (g *Gateway) Report(namespace string) Report {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.traffic[namespace]
	if t == nil {
		return Report{}
	}
	return Report{Routed: maps.Clone(t.routed.Answered), Direct: maps.Clone(t.direct.Answered), Failed: t.failed, Failures: append([]string(nil), t.failures...)}
}
