package checks

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"belay.dev/belay/api/v1alpha1"
)

// How many requests may be open at once: in all, of the runs of one namespace, and to one
// endpoint. With the last two, neither a namespace with many checks nor an endpoint that
// does not respond takes all places. An attempt without a place is looked at again after
// whenFull.
const (
	maxCalls            = 512
	maxCallsOfNamespace = 64
	maxCallsToEndpoint  = 256
	whenFull            = 5 * time.Second
)

// calls are the requests to endpoints that have a place: those to be sent, those that are
// open, and those whose outcome is not recorded yet. No worker waits for one.
type calls struct {
	mu   sync.Mutex
	open map[string]*call
	done chan event.GenericEvent
}

type call struct {
	run      types.NamespacedName
	endpoint string
	// cancel is nil before the request is sent.
	cancel context.CancelFunc
	// outcome is nil while the request is open.
	outcome *outcome
}

// ended has an event of the run for each request that has ended.
func (c *calls) ended() chan event.GenericEvent {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan event.GenericEvent, maxCalls)
	}
	return c.done
}

// reserve takes a place for a request. When there is none, it says what the request has to
// wait for.
func (c *calls) reserve(key string, run *v1alpha1.RolloutRun, endpoint string) (waitsFor string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ofNamespace, toEndpoint := 0, 0
	for _, other := range c.open {
		if other.run.Namespace == run.Namespace {
			ofNamespace++
		}
		if other.endpoint == endpoint {
			toEndpoint++
		}
	}
	switch {
	case ofNamespace >= maxCallsOfNamespace:
		return fmt.Sprintf("namespace %q has %d requests to CheckEndpoints open, as many as a namespace may have; it starts when one of them ends", run.Namespace, maxCallsOfNamespace)
	case toEndpoint >= maxCallsToEndpoint:
		return fmt.Sprintf("CheckEndpoint %q has %d requests open, as many as an endpoint may have; it starts when one of them ends", endpoint, maxCallsToEndpoint)
	case len(c.open) >= maxCalls:
		return fmt.Sprintf("%d requests to CheckEndpoints are open, as many as there may be; it starts when one of them ends", maxCalls)
	}
	if c.open == nil {
		c.open = map[string]*call{}
	}
	c.open[key] = &call{run: client.ObjectKeyFromObject(run), endpoint: endpoint}
	return ""
}

// begin sends the request of a place in the background. It ends within that time, or with
// the run.
func (c *calls) begin(ctx context.Context, key string, run *v1alpha1.RolloutRun, within time.Duration, request func(context.Context) *outcome) {
	done := c.ended()
	c.mu.Lock()
	defer c.mu.Unlock()
	this := c.open[key]
	if this == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	this.cancel = cancel
	go func() {
		end := request(ctx)
		c.mu.Lock()
		this.outcome = end
		known := c.open[key] == this
		c.mu.Unlock()
		cancel()
		if known {
			done <- event.GenericEvent{Object: run}
		}
	}()
}

// outcomeOf returns the outcome of a request, and whether it has a place.
func (c *calls) outcomeOf(key string) (*outcome, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	this := c.open[key]
	if this == nil {
		return nil, false
	}
	return this.outcome, true
}

// forget gives back the places of requests that will not be sent, or whose outcome is
// recorded.
func (c *calls) forget(keys ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		delete(c.open, key)
	}
}

// cancelRun ends the requests of a run.
func (c *calls) cancelRun(run types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, this := range c.open {
		if this.run != run {
			continue
		}
		if this.cancel != nil {
			this.cancel()
		}
		delete(c.open, key)
	}
}
