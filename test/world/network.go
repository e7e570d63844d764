package world

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"belay.dev/belay/api/v1alpha1"
)

// pair is what the two generated Services select; empty while there is none.
type pair struct{ stable, canary string }

// everything in the place of a hash is a Service whose selector has none, formerStable
// the first edition's, which selects by labels of Belay's.
const everything, formerStable = "*", "former-stable"

// distribution is what a route says: the canary's weight, nil when the route names the user's
// Service, whose requests all go to the canary, and how many percent are copied to it.
type distribution struct {
	split   *int32
	testers *v1alpha1.StepMatch
	mirror  int32
}

func (d distribution) same(o distribution) bool {
	return (d.split == nil) == (o.split == nil) && (d.split == nil || *d.split == *o.split) && equality.Semantic.DeepEqual(d.testers, o.testers) && d.mirror == o.mirror
}

// beside is, in words, what reaches the canary beside its weight.
func (d distribution) beside() string {
	if d.mirror > 0 {
		return fmt.Sprintf("copies of %d %%", d.mirror)
	}
	return fmt.Sprintf("testers (%s)", d.testers)
}

// sends reports whether anybody, or a copy, reaches the canary by the route.
func (d distribution) sends() bool {
	return d.split != nil && (*d.split > 0 || d.testers != nil || d.mirror > 0)
}

// network is the Services, the route, and the gateway that follows them later.
type network struct {
	// declared pair is in the endpoints from selectsAt on; until then before is.
	declared, before pair
	selectsAt        time.Time
	pairVersion      int

	// narrowed is the hash in the selector of the user's Service; until narrowsAt
	// its endpoints are those of wide.
	narrowed, wide string
	narrowedBy     string
	narrowsAt      time.Time
	serviceVersion int

	preview preview

	// distribution is the route's. Until acknowledgedAt the gateway may follow any of inFlight.
	distribution
	inFlight       []distribution
	acknowledgedAt time.Time
	routeVersion   int
	// routeGone and serviceGone are while the user's objects are missing.
	routeGone, serviceGone bool
	routeEpoch             int64
}

func (n *network) acknowledged(at time.Time) bool { return !at.Before(n.acknowledgedAt) }

// pairNow is what the endpoints of the generated Services are made from. The
// gateway keeps the old ones until it has the new ones.
func (n *network) pairNow(at time.Time) pair {
	if at.Before(n.selectsAt) {
		return n.before
	}
	return n.declared
}

func (n *network) narrowedAt(at time.Time) string {
	if at.Before(n.narrowsAt) {
		return n.wide
	}
	return n.narrowed
}

// endpoints counts the pods with a hash that a Service reaches; all of the
// Deployment's and the canary's with an empty one.
func (c *cluster) endpoints(hash string) int32 {
	all := hash == "" || hash == everything
	return c.count(func(p pod) bool {
		return (all || p.hash == hash || hash == formerStable && p.run == "") && p.endpoint(c.at)
	})
}

// side counts the endpoints of one of the generated Services: none while it does
// not exist.
func (c *cluster) side(hash string) int32 {
	if hash == "" {
		return 0
	}
	return c.endpoints(hash)
}

// behindService counts the endpoints of the user's Service.
func (c *cluster) behindService() int32 {
	if c.network.serviceGone {
		return 0
	}
	return c.endpoints(c.network.narrowedAt(c.at))
}

// setRoute writes the route. The gateway follows some time later; a silent one
// only when it is back.
func (w *World) setRoute(to distribution, epoch int64) {
	n := &w.network
	n.routeEpoch = max(n.routeEpoch, epoch)
	n.routeVersion++
	if to.same(n.distribution) {
		return
	}
	if w.gatewayBehind {
		// It has followed the write before this one, and reports no more.
		n.inFlight = []distribution{n.distribution}
	}
	n.distribution = to
	n.inFlight = append(n.inFlight, to)
	n.acknowledgedAt = w.at.Add(w.delay(0.02, 4) + w.gatewaySlow)
	if w.gatewaySilent || w.gatewayBehind {
		n.acknowledgedAt = w.at.Add(2 * limitTime)
	}
}

// point makes the pair of Services; their endpoints follow.
func (w *World) point(p pair) {
	n := &w.network
	n.before, n.declared = n.pairNow(w.at), p
	n.selectsAt = w.at.Add(w.delay(0.01, 2))
	n.pairVersion++
}

// narrow changes the selector of the user's Service; its endpoints follow.
func (w *World) narrow(hash, by string) {
	n := &w.network
	n.wide, n.narrowed, n.narrowedBy = n.narrowedAt(w.at), hash, by
	n.narrowsAt = w.at.Add(w.delay(0.01, 2))
	n.serviceVersion++
}

// silenceGateway keeps it from acknowledging anything; speakGateway ends that.
func (w *World) silenceGateway() { w.gatewaySilent = true }

func (w *World) speakGateway() {
	w.gatewaySilent = false
	if !w.network.acknowledged(w.at) {
		w.network.acknowledgedAt = w.at.Add(w.delay(0.02, 4))
	}
}
