package checks

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"belay.dev/belay/api/v1alpha1"
)

// maxCalls is how many requests may be open at once. Beyond it an attempt starts when there
// is room, and is looked at again after whenFull.
const (
	maxCalls = 256
	whenFull = 5 * time.Second
)

// calls are the requests to endpoints that are open, or whose outcome is not recorded yet.
// No worker waits for one.
type calls struct {
	mu   sync.Mutex
	open map[string]*call
	done chan event.GenericEvent
}

type call struct {
	run    types.NamespacedName
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

func (c *calls) hasRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open) < maxCalls
}

// begin makes a request in the background. It ends within that time, or with the run.
func (c *calls) begin(ctx context.Context, key string, run *v1alpha1.RolloutRun, within time.Duration, request func(context.Context) *outcome) {
	done := c.ended()
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	this := &call{run: client.ObjectKeyFromObject(run), cancel: cancel}
	if c.open == nil {
		c.open = map[string]*call{}
	}
	c.open[key] = this
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

// outcomeOf returns the outcome of a request, and whether there is a request.
func (c *calls) outcomeOf(key string) (*outcome, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	this := c.open[key]
	if this == nil {
		return nil, false
	}
	return this.outcome, true
}

// forget drops a request whose outcome is recorded.
func (c *calls) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, key)
}

// cancelRun ends the requests of a run.
func (c *calls) cancelRun(run types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, this := range c.open {
		if this.run == run {
			this.cancel()
			delete(c.open, key)
		}
	}
}
