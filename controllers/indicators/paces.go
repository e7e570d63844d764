package indicators

import (
	"math"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/analysis"
)

// paces are how many requests the stable pods of Rollouts get, from two probes each. They are
// for guardrails that demand that something is excluded, and are lost with the process. The
// zero value is empty.
type paces struct {
	mu  sync.Mutex
	all map[guardrailKey]map[paceKey]*pace
}

type guardrailKey struct {
	kind string
	name types.NamespacedName
}

type paceKey struct{ rollout, slo string }

// pace is an slo's requests per second and ratio of bad ones on a Rollout's stable pods.
type pace struct {
	rate, ratio float64
	// known is set after the second probe.
	known bool
	last  probed
}

// probed is what one probe has counted: series fall when pods go, and then the counts say
// nothing.
type probed struct {
	at time.Time
	// stable names what has counted: the ReplicaSet, the Service, or a StatefulSet's pods.
	stable string
	series int
	analysis.Counts
}

// steady is the part of a rate that it may differ from the one before and still be taken for
// the same, so that messages do not change with every probe.
const steady = 0.25

// note takes a probe's counts. Those of a probe that came less than least after the one before
// tell no rate.
func (p *paces) note(kind string, guardrail types.NamespacedName, rollout, slo string, c probed, least time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := guardrailKey{kind, guardrail}
	if p.all == nil {
		p.all = map[guardrailKey]map[paceKey]*pace{}
	}
	if p.all[of] == nil {
		p.all[of] = map[paceKey]*pace{}
	}
	known := p.all[of][paceKey{rollout, slo}]
	if known == nil {
		p.all[of][paceKey{rollout, slo}] = &pace{last: c}
		return
	}
	elapsed := c.at.Sub(known.last.at)
	switch {
	case c.stable != known.last.stable || c.series < known.last.series || c.Total < known.last.Total:
		known.last = c
	case elapsed >= least:
		rate := (c.Total - known.last.Total) / elapsed.Seconds()
		if !known.known || math.Abs(rate-known.rate) > steady*known.rate {
			known.rate = rate
		}
		if ratio := c.Ratio(); !known.known || math.Abs(ratio-known.ratio) > steady*known.ratio {
			known.ratio = ratio
		}
		known.known, known.last = true, c
	}
}

// of returns what is known of a Rollout; ok is false before its second probe.
func (p *paces) of(kind string, guardrail types.NamespacedName, rollout, slo string) (pace, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.all[guardrailKey{kind, guardrail}][paceKey{rollout, slo}]
	if known == nil || !known.known {
		return pace{}, false
	}
	return *known, true
}

// keep forgets the Rollouts of a guardrail that are not among these, which are sorted.
func (p *paces) keep(kind string, guardrail types.NamespacedName, rollouts []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key := range p.all[guardrailKey{kind, guardrail}] {
		if _, bound := slices.BinarySearch(rollouts, key.rollout); !bound {
			delete(p.all[guardrailKey{kind, guardrail}], key)
		}
	}
}

// forget drops a guardrail that is gone.
func (p *paces) forget(kind string, guardrail types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, guardrailKey{kind, guardrail})
}

func nameIn(o client.Object) types.NamespacedName { return client.ObjectKeyFromObject(o) }
