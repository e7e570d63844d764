package main

import (
	"fmt"
	"sync"
)

// account names one side of an entry.
type account string

const (
	customer account = "customer"
	revenue  account = "revenue"
)

// entry moves an amount between two accounts; it is the double in double-entry.
type entry struct {
	order  uint64
	debit  account
	credit account
	cents  int64
}

// ledger keeps the entries of the newest orders and the balances of all.
type ledger struct {
	mu       sync.Mutex
	limit    int
	orders   map[uint64][]entry
	arrival  []uint64
	balances map[account]int64
}

func newLedger(limit int) *ledger {
	return &ledger{limit: limit, orders: map[uint64][]entry{}, balances: map[account]int64{}}
}

// charge posts one charge. It does not ask whether the order was charged
// before: that is the invariant's job, as in the services this one imitates.
func (l *ledger) charge(order uint64, cents int64) error {
	if cents <= 0 {
		return fmt.Errorf("charge order %d: %d cents is not a price", order, cents)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.orders[order]; !known {
		l.arrival = append(l.arrival, order)
		if len(l.arrival) > l.limit {
			delete(l.orders, l.arrival[0])
			l.arrival = l.arrival[1:]
		}
	}
	l.orders[order] = append(l.orders[order], entry{order: order, debit: customer, credit: revenue, cents: cents})
	l.balances[customer] -= cents
	l.balances[revenue] += cents
	return nil
}

// chargedOnce is the invariant no-double-charge for one order: exactly one
// charge, of the order's price, and books that sum to zero.
func (l *ledger) chargedOnce(order uint64, cents int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries := l.orders[order]
	return len(entries) == 1 && entries[0].cents == cents && l.balances[customer]+l.balances[revenue] == 0
}
