package world

import (
	"fmt"
	"strings"
	"testing"
)

// given is a world of ReplicaSets whose pods are all there and ready, with nobody
// but the Deployment controller at work.
func given(d deployment, sets ...set) *World {
	w := newWorld(1, func(w *World) { w.deployment.replicas = 0 })
	w.sets, w.pods = nil, nil
	d.uid, d.generation = w.deployment.uid, 1
	w.deployment = d
	w.allow(second)
	w.allow(third)
	w.disturbedUntil = w.at.Add(limitTime)
	for _, s := range sets {
		if s.ownerRun == "" {
			s.owner = d.uid
		}
		s.name, s.hash = "shop-"+s.template, s.template
		made := w.createSet(s)
		for range s.size {
			w.createPod(made)
		}
	}
	for i := range w.pods {
		w.pods[i].readyAt, w.pods[i].endpointAt = w.at, w.at
	}
	return w
}

// sizesOf is what the sets have come to: name, size, number.
func sizesOf(w *World) string {
	var out []string
	for _, s := range w.byAge() {
		out = append(out, fmt.Sprintf("%s=%d/%d", s.template[:1], s.size, s.number))
	}
	return strings.Join(out, " ")
}

func heldAt(n int32) deployment {
	return deployment{declared: second, paused: true, replicas: n, history: 10}
}

// TestDeploymentControllerLooks holds single looks of the Deployment controller to
// what the one of Kubernetes 1.37.2 does in one sync; the cases are those that the
// handover rests on.
func TestDeploymentControllerLooks(t *testing.T) {
	a := func(size, desired int32) set {
		return set{template: first, size: size, number: 1, desired: desired, limit: desired + (desired+3)/4}
	}
	b := func(size, desired int32) set {
		s := a(size, desired)
		s.template, s.number = second, 0
		return s
	}
	older := set{template: third, desired: -1, limit: -1}
	with := func(d deployment, change func(*deployment)) deployment { change(&d); return d }
	for _, c := range []struct {
		name string
		d    deployment
		sets []set
		want string
	}{
		{"a held one follows spec.replicas with its one active set", heldAt(6), []set{a(4, 4)}, "a=6/1"},
		{"and makes no set of the declared template", heldAt(4), []set{a(4, 4)}, "a=4/1"},
		{"a run's set is nobody's business", heldAt(4), []set{a(4, 4), {template: second, size: 4, ownerRun: "run"}}, "a=4/1 b=4/0"},
		{"a saturated set that was handed over empties the others", heldAt(4), []set{a(4, 4), b(4, 4)}, "a=0/1 b=4/2"},
		{"without its annotation it is not saturated: both are scaled", heldAt(4), []set{a(4, 4), b(4, -1)}, "a=2/1 b=3/2"},
		{"a size changed in between is spread over both", heldAt(8), []set{a(4, 4), b(4, 4)}, "a=4/1 b=6/2"},
		{"Recreate leaves two sets alone while held", with(heldAt(8), func(d *deployment) { d.recreate = true }), []set{a(4, 4), b(4, 4)}, "a=4/1 b=4/2"},
		{"from 0 the set of the declared template comes up", heldAt(4), []set{older, a(0, 4), b(0, 4)}, "c=0/0 a=0/1 b=4/2"},
		{"else the newest", heldAt(4), []set{a(0, 4), older}, "a=0/1 c=4/0"},
		{"at 0 the history is cleaned up, stable's set with it", with(heldAt(0), func(d *deployment) { d.history = 0 }), []set{a(0, 4)}, ""},
		{"a history of 1 keeps the highest number", with(heldAt(0), func(d *deployment) { d.history = 1 }), []set{older, a(0, 4)}, "a=0/1"},
		{"the oldest of equal sets is the declared one", heldAt(4), []set{b(0, 4), a(4, 4), b(0, 4)}, "b=0/2 a=4/1 b=0/0"},
		{"unpaused, a stale annotation ends every look early", with(heldAt(4), func(d *deployment) { d.paused = false }), []set{a(4, 8), b(4, 4)}, "a=0/1 b=4/2"},
		{"unpaused, a rolling update makes the set of the template", with(heldAt(4), func(d *deployment) { d.paused = false }), []set{a(4, 4)}, "a=4/1 b=1/2"},
		{"unpaused with a saturated set nothing is left but to empty the others", with(heldAt(4), func(d *deployment) { d.paused = false }), []set{a(4, 4), b(4, 4)}, "a=0/1 b=4/2"},
		{"Recreate empties the old set first", with(heldAt(4), func(d *deployment) { d.paused, d.recreate = false, true }), []set{a(4, 4)}, "a=0/1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := given(c.d, c.sets...)
			w.syncDeployment()
			if got := sizesOf(w); got != c.want {
				t.Errorf("the sets are %q, not %q", got, c.want)
			}
		})
	}
}

// TestDeploymentRollsByItself plays a rolling update and a recreation to their
// ends, never below what the strategy keeps.
func TestDeploymentRollsByItself(t *testing.T) {
	for _, recreate := range []bool{false, true} {
		t.Run(fmt.Sprintf("recreate %t", recreate), func(t *testing.T) {
			least := int32(8)
			w := newWorld(1, func(w *World) {
				w.deployment.replicas, w.deployment.recreate, w.mayBeDown = 8, recreate, true
				w.rollout.gone = true
				w.trace = func(w *World) { least = min(least, w.count(func(p pod) bool { return p.ready(w.at) })) }
			}, event{always, func(w *World) { w.declare(second) }})
			w.Run()
			if ready := w.readyWith(second); ready != 8 || len(w.pods) != 8 {
				t.Errorf("%d of 8 pods run the second version, %d in all", ready, len(w.pods))
			}
			if want := map[bool]int32{false: 6, true: 0}[recreate]; least != want {
				t.Errorf("%d pods were ready at the least, not %d", least, want)
			}
		})
	}
}
