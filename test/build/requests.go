package build

import (
	"maps"
	"net/http"
	"strings"
	"sync"
)

// Requests counts what a process asks of the API server, by verb and resource. Not
// counted are watches, leases, and what clients ask to learn the server's types.
// Requests that met a conflict are counted apart.
type Requests struct {
	mu                sync.Mutex
	counts, conflicts map[string]int
}

// Wrap counts the requests that go through under.
func (c *Requests) Wrap(under http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		row := rowOf(r)
		response, err := under.RoundTrip(r)
		if row == "" {
			return response, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.counts == nil {
			c.counts, c.conflicts = map[string]int{}, map[string]int{}
		}
		if err == nil && response.StatusCode == http.StatusConflict {
			c.conflicts[row]++
		} else {
			c.counts[row]++
		}
		return response, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls the function.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Reset forgets what was counted.
func (c *Requests) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts, c.conflicts = nil, nil
}

// Counts returns the numbers of requests by row, such as "PATCH rollouts/status" or
// "PATCH deployments (dry run)": of those that met no conflict, and of those that
// did.
func (c *Requests) Counts() (rows, conflicts map[string]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts), maps.Clone(c.conflicts)
}

// rowOf is empty for a request that is not counted. A path is
// /api/v1/… or /apis/GROUP/VERSION/…, then [namespaces/NAMESPACE/]RESOURCE[/NAME[/SUBRESOURCE]].
func rowOf(r *http.Request) string {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	prefix := map[string]int{"api": 2, "apis": 3}[parts[0]]
	if prefix == 0 || len(parts) <= prefix || r.URL.Query().Get("watch") == "true" {
		return ""
	}
	parts = parts[prefix:]
	if parts[0] == "namespaces" && len(parts) > 2 {
		parts = parts[2:]
	}
	verb, resource := r.Method, parts[0]
	if resource == "leases" {
		return ""
	}
	if verb == http.MethodGet && len(parts) == 1 {
		verb = "LIST"
	}
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	if r.URL.Query().Has("dryRun") {
		resource += " (dry run)"
	}
	return verb + " " + resource
}
