package world

import (
	"fmt"
	"slices"
	"strings"

	"belay.dev/belay/api/v1alpha1"
)

// Ordinals is a StatefulSet alone, with nobody but its controller at work: the one in memory,
// or one that Kubernetes' own controller looks after. Versions are single letters, of which the
// first is a.
type Ordinals interface {
	// Push writes the version's template, and Partition the partition, as they are told.
	Push(version string)
	Partition(partition int32)
	Scale(replicas int32)
	// Lose deletes the pod of an ordinal.
	Lose(ordinal int)
	// Break keeps the pods of a version, all still to be made, from becoming ready.
	Break(version string)
}

// OrdinalCase is what becomes of a StatefulSet under its controller. The cases are those that
// the hold by partition, its growth and its way back rest on.
type OrdinalCase struct {
	Name     string
	Replicas int32
	// Parallel is the podManagementPolicy; MaxUnavailable 0 stands for its default, 1.
	Parallel       bool
	MaxUnavailable int32
	Moves          []OrdinalMove
}

// OrdinalMove is what is done, and what has come of it once all is at rest.
type OrdinalMove struct {
	Do func(Ordinals)
	// Rests is the version of each ordinal's pod, with ! for one that is not ready and - for
	// one that is missing, and the status' current and update revision: "a a b! a>b".
	Rests string
	// Makes are the pods that were made, in their order: "b3 b2". Those of a Parallel
	// StatefulSet, which makes them in any order, are sorted.
	Makes string
}

// hold is the partition of a version that is held.
const hold = v1alpha1.PartitionHold

// does are several acts at once.
func does(all ...func(Ordinals)) func(Ordinals) {
	return func(o Ordinals) {
		for _, do := range all {
			do(o)
		}
	}
}

func pushing(version string) func(Ordinals) { return func(o Ordinals) { o.Push(version) } }

func partition(n int32) func(Ordinals) { return func(o Ordinals) { o.Partition(n) } }

func scale(n int32) func(Ordinals) { return func(o Ordinals) { o.Scale(n) } }

func lose(ordinal int) func(Ordinals) { return func(o Ordinals) { o.Lose(ordinal) } }

func breaks(version string) func(Ordinals) { return func(o Ordinals) { o.Break(version) } }

// OrdinalCases are played on the simulated StatefulSet controller, and on Kubernetes' own.
func OrdinalCases() []OrdinalCase {
	return slices.Concat(heldOrdinals(), grownOrdinals(), brokenOrdinals())
}

// heldOrdinals are StatefulSets whose new version is held, or is meant to be.
func heldOrdinals() []OrdinalCase {
	held := OrdinalMove{does(partition(hold), pushing("b")), "a a a a a>b", ""}
	of := func(name string, moves ...OrdinalMove) OrdinalCase {
		return OrdinalCase{Name: name, Replicas: 4, Moves: append([]OrdinalMove{held}, moves...)}
	}
	return []OrdinalCase{
		of("held, a scale-up and a lost pod make the former version",
			OrdinalMove{scale(6), "a a a a a a a>b", "a4 a5"},
			OrdinalMove{lose(5), "a a a a a a a>b", "a5"},
			OrdinalMove{scale(3), "a a a a>b", ""}),
		of("a newer version takes the place of one that is held",
			OrdinalMove{pushing("c"), "a a a a a>c", ""},
			OrdinalMove{lose(0), "a a a a a>c", "a0"}),
		of("what is declared again is the version that runs",
			OrdinalMove{pushing("a"), "a a a a a>a", ""},
			OrdinalMove{partition(0), "a a a a a>a", ""}),
		{Name: "the number of replicas as partition leaks the new version to new ordinals", Replicas: 4, Moves: []OrdinalMove{
			{does(partition(4), pushing("b")), "a a a a a>b", ""},
			{scale(6), "a a a a b b a>b", "b4 b5"}}},
		of("at 0 replicas the held version becomes the current one",
			OrdinalMove{scale(0), "b>b", ""},
			OrdinalMove{scale(2), "b b b>b", "b0 b1"}),
	}
}

// grownOrdinals lower the partition step by step, and raise it again.
func grownOrdinals() []OrdinalCase {
	grown := OrdinalMove{does(partition(2), pushing("b")), "a a b b a>b", "b3 b2"}
	raised := OrdinalMove{partition(hold), "a a b b a>b", ""}
	of := func(name string, moves ...OrdinalMove) OrdinalCase {
		return OrdinalCase{Name: name, Replicas: 4, Moves: append([]OrdinalMove{grown}, moves...)}
	}
	whole := OrdinalMove{partition(0), "b b b b b>b", "b1 b0"}
	return []OrdinalCase{
		of("the partition lowered replaces the last ordinals first, one at a time", whole),
		of("a lost pod comes back in the version of its ordinal",
			OrdinalMove{lose(3), "a a b b a>b", "b3"},
			OrdinalMove{lose(0), "a a b b a>b", "a0"}),
		of("a scale-up in a step makes new pods of the new version",
			OrdinalMove{scale(6), "a a b b b b a>b", "b4 b5"}),
		of("the partition raised replaces no pod: it takes a deletion",
			raised,
			OrdinalMove{lose(3), "a a b a a>b", "a3"},
			OrdinalMove{lose(2), "a a a a a>b", "a2"}),
		of("a third version is held above pods of the second",
			OrdinalMove{does(partition(hold), pushing("c")), "a a b b a>c", ""},
			OrdinalMove{lose(2), "a a a b a>c", "a2"}),
		of("not held, it takes the place of the second at once",
			OrdinalMove{pushing("c"), "a a c c a>c", "c3 c2"}),
		of("the former version declared again, and released, replaces the pods by itself",
			OrdinalMove{does(partition(hold), pushing("a")), "a a b b a>a", ""},
			OrdinalMove{partition(0), "a a a a a>a", "a3 a2"}),
		of("once all pods run the new version there is no way back to the former by the partition",
			whole,
			OrdinalMove{partition(hold), "b b b b b>b", ""},
			OrdinalMove{lose(3), "b b b b b>b", "b3"}),
		of("as long as one pod is left there is",
			OrdinalMove{partition(1), "a b b b a>b", "b1"},
			OrdinalMove{does(partition(hold), lose(3)), "a b b a a>b", "a3"},
			OrdinalMove{lose(2), "a b a a a>b", "a2"},
			OrdinalMove{lose(1), "a a a a a>b", "a1"}),
		of("a scale-down to the pods of the former version keeps it",
			OrdinalMove{scale(2), "a a a>b", ""},
			OrdinalMove{scale(4), "a a b b a>b", "b2 b3"}),
		{Name: "two at a time", Replicas: 4, MaxUnavailable: 2, Moves: []OrdinalMove{
			{does(partition(0), pushing("b")), "b b b b b>b", "b2 b3 b0 b1"}}},
		{Name: "Parallel replaces by its partition, too", Replicas: 4, Parallel: true, Moves: []OrdinalMove{
			{does(partition(2), pushing("b")), "a a b b a>b", "b2 b3"},
			{does(partition(hold), scale(6)), "a a b b a a a>b", "a4 a5"}}},
	}
}

// brokenOrdinals have pods that never get ready.
func brokenOrdinals() []OrdinalCase {
	first := func(rests, makes string) OrdinalMove {
		return OrdinalMove{does(breaks("b"), partition(0), pushing("b")), rests, makes}
	}
	of := func(name string, moves ...OrdinalMove) OrdinalCase {
		return OrdinalCase{Name: name, Replicas: 4, Moves: append([]OrdinalMove{first("a a a b! a>b", "b3")}, moves...)}
	}
	return []OrdinalCase{
		of("a pod that does not get ready keeps the others from being replaced, and the way back",
			OrdinalMove{pushing("a"), "a a a b! a>a", ""},
			OrdinalMove{lose(3), "a a a a a>a", "a3"}),
		of("and from being made: a lost one comes back, a scale-up waits",
			OrdinalMove{lose(1), "a b! a b! a>b", "b1"},
			OrdinalMove{scale(6), "a b! a b! - - a>b", ""}),
		of("held again, a lost pod comes back in the former version",
			OrdinalMove{does(partition(hold), lose(1)), "a a a b! a>b", "a1"},
			OrdinalMove{scale(5), "a a a b! - a>b", ""},
			OrdinalMove{lose(3), "a a a a a a>b", "a3 a4"}),
		of("scaled down, it goes first", OrdinalMove{scale(2), "a b! a>b", "b1"}),
		{Name: "Parallel does not wait for it on the way back", Replicas: 4, Parallel: true, Moves: []OrdinalMove{
			first("a a a b! a>b", "b3"),
			{pushing("a"), "a a a a a>a", "a3"}}},
	}
}

// ordinalWorld is the StatefulSet in memory.
type ordinalWorld struct {
	*World
	// known is the last UID that had been given out before the move.
	known int
}

// PlayOrdinals plays a case on the StatefulSet in memory, and says what is wrong with it.
func (c OrdinalCase) PlayOrdinals(seed uint64) []string {
	w := newWorld(seed, func(w *World) {
		d := &w.deployment
		d.ordered, d.replicas, d.parallel, d.maxUnavailable = true, c.Replicas, c.Parallel, c.MaxUnavailable
		w.mayBeDown, w.rollout.gone = true, true
	})
	o := ordinalWorld{w, w.born}
	w.Run()
	var wrong []string
	for i, m := range c.Moves {
		m.Do(o)
		w.wake = w.at.Add(limitTime)
		if !w.Run() {
			return append(wrong, w.violations...)
		}
		if rests, makes := o.rests(), o.makes(); rests != m.Rests || makes != m.Makes {
			wrong = append(wrong, fmt.Sprintf("after move %d it is %q, not %q; made were %q, not %q", i+1, rests, m.Rests, makes, m.Makes))
		}
		o.known = w.born
	}
	return wrong
}

// templates are the revisions of the cases' versions.
var templates = map[string]string{"a": first, "b": second, "c": third}

// Push implements Ordinals.
func (o ordinalWorld) Push(version string) {
	o.specWrite(func() { o.deployment.declared = templates[version] })
}

// Partition implements Ordinals.
func (o ordinalWorld) Partition(partition int32) {
	o.specWrite(func() { o.deployment.partition = partition })
}

// Scale implements Ordinals.
func (o ordinalWorld) Scale(replicas int32) {
	o.specWrite(func() { o.deployment.replicas = replicas })
}

// Lose implements Ordinals.
func (o ordinalWorld) Lose(ordinal int) {
	replicas, _ := o.ordinals()
	o.end(&o.pods[replicas[ordinal]], 0)
}

// Break implements Ordinals.
func (o ordinalWorld) Break(version string) {
	o.neverReady = append(o.neverReady, templates[version])
}

func (o ordinalWorld) rests() string {
	replicas, condemned := o.ordinals()
	var out []string
	for _, at := range append(replicas, condemned...) {
		switch {
		case at < 0:
			out = append(out, "-")
		case o.at.Before(o.pods[at].readyAt):
			out = append(out, o.pods[at].template[:1]+"!")
		default:
			out = append(out, o.pods[at].template[:1])
		}
	}
	letter := func(name string) string { return o.named(name).template[:1] }
	return strings.Join(append(out, letter(o.deployment.current)+">"+letter(o.deployment.update)), " ")
}

func (o ordinalWorld) makes() string {
	var out []string
	for _, p := range o.pods {
		if p.uid > o.known {
			out = append(out, fmt.Sprint(p.template[:1], p.ordinal))
		}
	}
	return Made(out, o.deployment.parallel)
}

// Made is what OrdinalMove.Makes says of pods in the order in which they were made.
func Made(pods []string, parallel bool) string {
	if parallel {
		slices.Sort(pods)
	}
	return strings.Join(pods, " ")
}
