// Package world runs the planner against a simulated world: a Deployment with the
// Deployment controller's own rules, ReplicaSets and pods, the guard, Services,
// a route and the gateway that follows it, all in virtual time. No Kubernetes, no
// goroutine, no clock: a seed decides every delay, so that a failure repeats.
package world

import (
	"slices"
	"time"

	"belay.dev/belay/controllers/plan"
)

// deployment is the user's workload, a Deployment or a StatefulSet. version is its
// resourceVersion without the status, which the writes of Belay do not depend on.
type deployment struct {
	statefulSet
	// uid is 0 while there is no Deployment.
	uid                  int
	version              int
	generation, observed int
	declared             string
	paused, recreate     bool
	replicas, history    int32
	minReady             time.Duration
	marks                plan.Marks
	lock                 string
	pushedBy             string
	bypass               plan.Bypass
	// unavailableSince is set while no pod of it is available.
	unavailableSince time.Time
}

// set is a ReplicaSet, or a ControllerRevision of a StatefulSet. Its controller is a Deployment by uid, or a run by name,
// or nobody: an orphan.
type set struct {
	name string
	// created orders the sets by age.
	created  int
	template string
	hash     string
	uid      int
	owner    int
	ownerRun string
	// run is the label; it stays when the owner changes.
	run              string
	borrowed, former bool
	// marked is set while the stable set carries Belay's labels.
	marked bool
	// changed says what admission made of the template, which then is no longer
	// the Deployment's.
	changed string
	size    int32
	// desired and limit are the annotations desired-replicas and max-replicas; -1
	// when absent. number is the annotation revision; 0 when absent.
	desired, limit int32
	number         int
	version        int
	epoch          int64
}

// equals is EqualIgnoreHash of the Deployment controller.
func (s *set) equals(template string) bool {
	return s.template == template && s.changed == "" && !s.former
}

// pod of a set. goes is when it begins to terminate, leaves when it is no
// endpoint any more, end when it is gone; all are zero for one that stays.
type pod struct {
	set                 int
	template, hash, run string
	// ordinal and uid are those of a StatefulSet's pod.
	ordinal, uid        int
	readyAt, endpointAt time.Time
	goes, leaves, end   time.Time
}

func (p pod) stays(at time.Time) bool  { return p.goes.IsZero() || at.Before(p.goes) }
func (p pod) ready(at time.Time) bool  { return p.stays(at) && !at.Before(p.readyAt) }
func (p pod) exists(at time.Time) bool { return p.end.IsZero() || at.Before(p.end) }

// endpoint is whether a Service lists the pod and it answers: a little later than
// it is ready, and for a little while after it began to terminate.
func (p pod) endpoint(at time.Time) bool {
	return !at.Before(p.endpointAt) && (p.goes.IsZero() || at.Before(p.leaves))
}

// cluster is everything outside of the controller. Each object has a version that
// rises with every write, as a stale writer's must fail.
type cluster struct {
	at         time.Time
	deployment deployment
	sets       []set
	pods       []pod
	// born counts sets and Deployments, for uids and ages.
	born    int
	network network
	rollout rollout
	history runList
}

func (c *cluster) clone() *cluster {
	d := *c
	d.sets, d.pods = slices.Clone(c.sets), slices.Clone(c.pods)
	d.network.inFlight = slices.Clone(c.network.inFlight)
	d.history.runs = slices.Clone(c.history.runs)
	return &d
}

func (c *cluster) count(match func(pod) bool) int32 {
	var n int32
	for i := range c.pods {
		if match(c.pods[i]) {
			n++
		}
	}
	return n
}

// find returns the set that matches and was created first, or nil.
func (c *cluster) find(match func(*set) bool) *set {
	var found *set
	for i := range c.sets {
		if s := &c.sets[i]; match(s) && (found == nil || s.created < found.created) {
			found = s
		}
	}
	return found
}

func (c *cluster) named(name string) *set {
	return c.find(func(s *set) bool { return s.name == name })
}

// own is whether the Deployment that exists controls the set.
func (c *cluster) own(s *set) bool { return s.owner != 0 && s.owner == c.deployment.uid }

// canary is the set of a run, whoever controls it.
func (c *cluster) canary(run string) *set {
	if run == "" {
		return nil
	}
	return c.find(func(s *set) bool { return s.run == run || s.ownerRun == run })
}

// stable is the Deployment's own set of a revision: one with a size before one
// without.
func (c *cluster) stable(revision string) *set {
	matches := func(s *set) bool { return c.own(s) && s.equals(revision) }
	if active := c.find(func(s *set) bool { return matches(s) && s.size > 0 }); active != nil {
		return active
	}
	return c.find(matches)
}

// tally is the status of a set, as its pods make it.
type tally struct{ pods, ready, available int32 }

func (c *cluster) tally(s *set) tally {
	var t tally
	for i := range c.pods {
		p := &c.pods[i]
		if p.set != s.uid || !p.stays(c.at) {
			continue
		}
		t.pods++
		if c.at.Before(p.readyAt) {
			continue
		}
		t.ready++
		if !c.at.Before(p.readyAt.Add(c.deployment.minReady)) {
			t.available++
		}
	}
	return t
}

func (c *cluster) podsOf(s *set) int32 { return c.tally(s).pods }

func (c *cluster) readyOf(s *set) int32 { return c.tally(s).ready }

func (c *cluster) availableOf(s *set) int32 { return c.tally(s).available }

// readyWith counts the ready pods of one version, whoever made them.
func (c *cluster) readyWith(template string) int32 {
	return c.count(func(p pod) bool { return p.template == template && p.ready(c.at) })
}

// sides of the Deployment controller: the set of the declared template, the oldest
// of equal ones, and all the others; oldest first.
func (c *cluster) sides() (current *set, others []*set) {
	current = c.find(func(s *set) bool { return c.own(s) && s.equals(c.deployment.declared) })
	for i := range c.sets {
		if s := &c.sets[i]; c.own(s) && s != current {
			others = append(others, s)
		}
	}
	slices.SortFunc(others, func(a, b *set) int { return a.created - b.created })
	return current, others
}

// digest tells two looks at the cluster apart. It covers what the controllers
// react to, not the passing of time.
func (c *cluster) digest() uint64 {
	h := hash(offset)
	write := h.add
	c.digestWorkload(write)
	n := &c.network
	write(n.routeVersion, n.serviceVersion, n.pairVersion, truth(n.acknowledged(c.at)))
	if n.preview.version > 0 {
		write(n.preview.version, truth(c.at.Before(n.preview.selectsAt)))
	}
	for _, selected := range []string{n.pairNow(c.at).stable, n.pairNow(c.at).canary, n.narrowedAt(c.at), ""} {
		write(int(c.endpoints(selected)))
		for _, b := range []byte(selected) {
			write(int(b))
		}
	}
	write(c.rollout.version, c.history.version)
	return uint64(h)
}

// hash is FNV-1a over numbers.
type hash uint64

const offset = 14695981039346656037

func (h *hash) add(values ...int) {
	for _, v := range values {
		*h = (*h ^ hash(v)) * 1099511628211
	}
}

func (c *cluster) digestWorkload(write func(...int)) {
	d := &c.deployment
	write(d.uid, d.version, d.observed)
	for i := range c.sets {
		s := &c.sets[i]
		t := c.tally(s)
		write(s.uid, s.version, int(t.pods), int(t.ready), int(t.available))
	}
	if d.recreate || d.ordered {
		write(len(c.pods))
	}
	if d.ordered {
		for _, b := range []byte(d.current + "/" + d.update) {
			write(int(b))
		}
		for i := range c.pods {
			p := &c.pods[i]
			write(p.uid, truth(p.stays(c.at)))
		}
	}
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}
