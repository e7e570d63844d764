package prometheus

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// queue lets queries of these tenants wait for a place, in this order, and returns how
// each ends.
func queue(t *testing.T, turns *turns, tenants ...string) (begun chan string, done map[string]chan func()) {
	t.Helper()
	g := NewWithT(t)
	begun, done = make(chan string, len(tenants)), map[string]chan func(){}
	for _, tenant := range tenants {
		if done[tenant] == nil {
			done[tenant] = make(chan func(), len(tenants))
		}
	}
	for i, tenant := range tenants {
		go func() {
			if end, err := turns.wait(t.Context(), tenant); err == nil {
				done[tenant] <- end
				begun <- tenant
			}
		}()
		g.Eventually(func() int {
			turns.mu.Lock()
			defer turns.mu.Unlock()
			return len(turns.waiting) + turns.running
		}).Should(Equal(i + 1))
	}
	return begun, done
}

func running(turns *turns) map[string]int {
	turns.mu.Lock()
	defer turns.mu.Unlock()
	out := map[string]int{}
	for tenant, n := range turns.byTenant {
		if n > 0 {
			out[tenant] = n
		}
	}
	return out
}

func TestNoTenantTakesAllPlaces(t *testing.T) {
	g := NewWithT(t)
	turns := newTurns(8)
	tenants := []string{}
	for range 20 {
		tenants = append(tenants, "a")
	}
	begun, done := queue(t, turns, append(tenants, "b", "c", "d", "", "", "")...)
	g.Expect(running(turns)).To(Equal(map[string]int{"a": 4, "b": 1, "c": 1, "": 2}), "half for one tenant, three quarters for all single ones")
	for range 8 {
		<-begun
	}
	// The place that a shared query leaves is for the next shared one, and that of b is for d.
	(<-done[""])()
	g.Expect(<-begun).To(Equal(""))
	(<-done["b"])()
	g.Expect(<-begun).To(Equal("d"))
	(<-done["c"])()
	g.Consistently(begun, 50*time.Millisecond).ShouldNot(Receive(), "a has its half")
	(<-done["a"])()
	g.Expect(<-begun).To(Equal("a"))
}

func TestSharedQueriesLeavePlacesForSingleOnes(t *testing.T) {
	g := NewWithT(t)
	turns := newTurns(8)
	queue(t, turns, "", "", "", "", "", "", "", "", "a")
	g.Expect(running(turns)).To(Equal(map[string]int{"": 6, "a": 1}))
}

func TestTenantsGetTheirTurnsInRotation(t *testing.T) {
	g := NewWithT(t)
	turns := newTurns(1)
	begun, done := queue(t, turns, "a", "a", "a", "b", "b", "c", "")
	var order []string
	for range 7 {
		tenant := <-begun
		order = append(order, tenant)
		(<-done[tenant])()
	}
	g.Expect(order).To(Equal([]string{"a", "", "b", "c", "a", "b", "a"}))
	g.Expect(turns.byTenant).To(BeEmpty())
	g.Expect(turns.served).To(BeEmpty())
}

func TestAQueryThatGivesUpLeavesItsPlace(t *testing.T) {
	g := NewWithT(t)
	turns := newTurns(1)
	first, err := turns.wait(t.Context(), "a")
	g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = turns.wait(ctx, "b")
	g.Expect(err).To(MatchError(context.Canceled))
	g.Expect(turns.waiting).To(BeEmpty())
	first()
	g.Expect(turns.running).To(BeZero())
	g.Expect(turns.served).To(BeEmpty())
}
