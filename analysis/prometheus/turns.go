package prometheus

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// turns limits how many queries to a source run at once, and decides which runs next.
// Neither the queries that several tenants share nor those of single tenants can take all
// places, and one tenant gets at most half of them, so that slow queries of one delay
// the others little.
type turns struct {
	places int

	mu      sync.Mutex
	running int
	// byTenant counts the running queries of each tenant; "" is for shared ones.
	byTenant map[string]int
	// waiting in the order of arrival.
	waiting []*turn
	// served is when each tenant that waits or runs last got a place, as a number that
	// grows.
	served map[string]uint64
	clock  uint64
}

// turn is a query that waits for a place.
type turn struct {
	tenant string
	begin  chan struct{}
}

func newTurns(places int) *turns {
	return &turns{places: max(1, places), byTenant: map[string]int{}, served: map[string]uint64{}}
}

// wait returns when a query of the tenant may run, or an error when ctx ends first. The
// caller calls done when the query has ended.
func (t *turns) wait(ctx context.Context, tenant string) (done func(), err error) {
	mine := &turn{tenant, make(chan struct{})}
	t.mu.Lock()
	t.waiting = append(t.waiting, mine)
	t.next()
	t.mu.Unlock()
	done = func() { t.end(tenant) }
	select {
	case <-mine.begin:
		return done, nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	i := slices.Index(t.waiting, mine)
	if i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
		t.forget(tenant)
	}
	t.mu.Unlock()
	if i < 0 {
		// It got its place at the same moment.
		done()
	}
	return nil, ctx.Err()
}

func (t *turns) end(tenant string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
	t.byTenant[tenant]--
	t.next()
	t.forget(tenant)
}

// next gives the free places to those that wait: to shared queries first, then to the
// tenant with the fewest running queries, then to the one whose last turn is longest ago.
func (t *turns) next() {
	for {
		var chosen *turn
		for _, w := range t.waiting {
			if t.mayRun(w.tenant) && (chosen == nil || t.before(w, chosen)) {
				chosen = w
			}
		}
		if chosen == nil {
			return
		}
		t.waiting = slices.DeleteFunc(t.waiting, func(w *turn) bool { return w == chosen })
		t.running++
		t.byTenant[chosen.tenant]++
		t.clock++
		t.served[chosen.tenant] = t.clock
		close(chosen.begin)
	}
}

func (t *turns) before(a, b *turn) bool {
	if (a.tenant == "") != (b.tenant == "") {
		return a.tenant == ""
	}
	return cmp.Or(cmp.Compare(t.byTenant[a.tenant], t.byTenant[b.tenant]), cmp.Compare(t.served[a.tenant], t.served[b.tenant])) < 0
}

func (t *turns) mayRun(tenant string) bool {
	shared := t.byTenant[""]
	most := max(1, t.places-t.places/4)
	switch {
	case t.running >= t.places:
		return false
	case tenant == "":
		return shared < most
	default:
		return t.running-shared < most && t.byTenant[tenant] < max(1, t.places/2)
	}
}

// forget drops what is known of a tenant that neither waits nor runs.
func (t *turns) forget(tenant string) {
	if t.byTenant[tenant] == 0 && !slices.ContainsFunc(t.waiting, func(w *turn) bool { return w.tenant == tenant }) {
		delete(t.byTenant, tenant)
		delete(t.served, tenant)
	}
}
