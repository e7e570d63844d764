package world

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/controllers/plan"
)

// TestTheWorldSeesHarmByOrdinals does to a StatefulSet what Belay must never do, in the middle of
// a story.
func TestTheWorldSeesHarmByOrdinals(t *testing.T) {
	lowered := func(partition int32) func(*World) {
		return func(w *World) { w.specWrite(func() { w.deployment.partition = partition }) }
	}
	deletes := func(names ...string) func(*World) {
		return func(w *World) {
			var taken []pod
			for _, p := range w.placed(w.deployment.replicas) {
				for _, name := range names {
					if podName(p.ordinal) == name {
						taken = append(taken, p)
					}
				}
			}
			w.judgeReplacement(taken)
		}
	}
	for _, c := range []struct {
		name string
		when func(*World) bool
		do   func(*World)
		says string
	}{
		{"a held version that rolls", held, lowered(0), "the StatefulSet makes a pod of bbbbbbbbbb, its number 1, and 0 are allowed"},
		{"a partition below the step", atStep(0), lowered(2), "the partition 2 gives the candidate 2 pods, 1 are allowed"},
		{"a write of such a partition", atStep(0), func(w *World) { w.judgePartition(1) }, "the partition 1 gives bbbbbbbbbb 3 pods, 1 are allowed"},
		{"the last pod before the bake has passed", baking, func(w *World) { away(5 * time.Minute)(w); lowered(0)(w) }, "the StatefulSet makes a pod of bbbbbbbbbb, its number 4, and 3 are allowed"},
		{"a pod deleted that runs what it should", atStep(1), deletes("shop-3"), "pod shop-3 is deleted, which runs bbbbbbbbbb as it should"},
		{"two pods that serve deleted at once", goingBack, deletes("shop-3", "shop-2"), "2 pods that serve are deleted, and 2 of 4 would be missing: 1 may"},
		{"a partition that stays after a trigger fired", atStep(1), func(w *World) {
			w.fail()
			w.failedAt = w.at.Add(-reaction)
		}, "the partition 2 still gives the candidate 2 pods"},
		{"a rollback that counts on pods that are gone", goingBack, func(w *World) {
			status := w.rollout.status.DeepCopy()
			at := metav1.NewTime(w.at)
			status.Rollback.ZeroAt = &at
			w.writeStatus(status)
		}, "2 pods run the candidate, and the rollback counts on none"},
		{"a rejected version that runs at rest", rolledBack, func(w *World) {
			w.pods[0].template = second
			w.pods[0].goes = time.Time{}
		}, "no run is in progress, and pod shop-"},
		{"pods deleted without need", guarded, func(w *World) {
			_ = w.act(plan.ReplacePods{Names: []string{"shop-0"}}, w.view(), w.rollout.status)
			deletes("shop-0")(w)
		}, "pod shop-0 is deleted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fails := event{when: func(w *World) bool { return c.when(w) || atStep(1)(w) && !baking(w) }, do: func(w *World) {
				if atStep(1)(w) && !c.when(w) && c.name != "the last pod before the bake has passed" {
					w.fail()
				}
			}}
			w := newWorld(1, asStatefulSet, event{guarded, func(w *World) {
				if !c.when(w) {
					w.declare(second)
				}
			}}, fails, event{c.when, c.do})
			w.Run()
			if !strings.Contains(strings.Join(w.violations, "\n"), c.says) {
				t.Errorf("nobody said %q; said was %q", c.says, w.violations)
			}
		})
	}
}
