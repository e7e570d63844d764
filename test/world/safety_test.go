package world

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// TestTheWorldSeesHarm does what Belay must never do, in the middle of a story: a
// judge that stays silent then proves nothing anywhere else.
func TestTheWorldSeesHarm(t *testing.T) {
	canary := func(w *World) *set { return w.canary(w.rollout.status.Run) }
	weight := func(n int32) func(*World) { return func(w *World) { w.setRoute(distribution{split: &n}, 0) } }
	killStable := func(w *World) {
		for i := range w.pods {
			if p := &w.pods[i]; p.template == first {
				p.goes, p.leaves, p.end = w.at, w.at, w.at.Add(time.Second)
			}
		}
	}
	reject := func(w *World) {
		status := w.rollout.status.DeepCopy()
		status.Rejected = []v1alpha1.RejectedRevision{{Revision: first}}
		w.writeStatus(status)
	}
	for _, c := range []struct {
		name string
		// run is whether there is one in progress.
		run  bool
		when func(*World) bool
		do   func(*World)
		says string
	}{
		{"a canary deleted under traffic", true, atStep(1), func(w *World) { w.deleteSet(canary(w).uid) }, "go to a canary without endpoints"},
		{"a canary removed before its drain", true, atStep(1), func(w *World) { w.judgeRemoval(canary(w)) }, "the canary goes"},
		{"more than the step allows", true, atStep(0), weight(90), "90 % go to the candidate, 10 % are allowed"},
		{"the stable set emptied under traffic", true, atStep(0), killStable, "go to a stable side without endpoints"},
		{"stable emptied in the bake", true, baking, func(w *World) { w.deployment.paused = false; w.stable(first).size = 0; canary(w).size = 0 }, "pods serve, 3 at least should"},
		{"the stable Service pointed at nobody", true, atStep(0), func(w *World) { w.network.declared.stable, w.network.selectsAt = "nobody", w.at }, "go to a stable side without endpoints"},
		{"the user's Service narrowed to nobody", true, held, func(w *World) { w.network.narrowed, w.network.narrowsAt = "nobody", w.at }, "selects no ready pod"},
		{"the Service left narrowed", false, guarded, func(w *World) { w.narrow("hash-"+first, "") }, "the Service is narrowed"},
		{"testers whom no step names", true, atStep(0), func(w *World) { n := int32(0); w.setRoute(distribution{split: &n, testers: header("x-other")}, 0) }, "testers (header x-other: 1) reach the candidate"},
		{"copies that no step names", true, atStep(0), func(w *World) { n := int32(0); w.setRoute(distribution{split: &n, mirror: 10}, 0) }, "copies of 10 % reach the candidate"},
		{"a split left over", false, guarded, weight(0), "the route is split"},
		{"an unjudged version rolled out", true, held, func(w *World) { w.specWrite(func() { w.deployment.paused = false }) }, "which nobody judged or let through"},
		{"an unjudged version unpaused", true, held, func(w *World) { w.judgeUnpause(second) }, "unpaused at"},
		{"an unjudged version handed over", true, atStep(0), func(w *World) { w.judgeHandOver(canary(w), plan.HandOver{Replicas: 4}) }, "is handed over unjudged"},
		{"a handover while stable serves", true, atStep(0), func(w *World) { w.judgeHandOver(canary(w), plan.HandOver{Replicas: 4}) }, "while stable pods take requests"},
		{"a pod replaced in the bake", true, baking, func(w *World) { w.createPod(w.stable(first)) }, "where no pod is to be replaced"},
		{"a rejected version that serves", false, guarded, reject, "rejected revision " + first + " serves"},
		{"a canary left behind", false, guarded, func(w *World) { w.createSet(set{name: "left", template: second, ownerRun: "gone"}) }, "ReplicaSet left of run gone is left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(1, nil, event{guarded, func(w *World) {
				if c.run {
					w.declare(second)
				}
			}}, event{c.when, c.do})
			w.Run()
			if !strings.Contains(strings.Join(w.violations, "\n"), c.says) {
				t.Errorf("nobody said %q; said was %q", c.says, w.violations)
			}
		})
	}
}

// TestTheWorldSeesHarmByPods is the same where no route is named.
func TestTheWorldSeesHarmByPods(t *testing.T) {
	canary := func(w *World) *set { return w.canary(w.rollout.status.Run) }
	sized := func(n int32) func(*World) {
		return func(w *World) {
			s := canary(w)
			s.size = n
			s.version++
		}
	}
	for _, c := range []struct {
		name string
		when func(*World) bool
		do   func(*World)
		says string
	}{
		{"more pods than the step allows", atStep(0), sized(3), "the canary has 3 pods beside 4, 10 % are allowed"},
		{"a route that nobody named", atStep(0), func(w *World) { _ = w.act(plan.ReleaseRoute{}, w.view(), w.rollout.status) }, "no route is named"},
		{"a rollback that counts on pods that are gone", goingBack, func(w *World) {
			status := w.rollout.status.DeepCopy()
			at := metav1.NewTime(w.at)
			status.Rollback.ZeroAt = &at
			w.writeStatus(status)
		}, "canary pods take requests"},
		{"pods that stay after a trigger fired", atStep(1), func(w *World) {
			w.fail()
			w.failedAt = w.at.Add(-reaction)
		}, "canary pods are still wanted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fails := event{when: func(w *World) bool { return c.when(w) || atStep(1)(w) }, do: func(w *World) {
				if !c.when(w) {
					w.fail()
				}
			}}
			w := newWorld(1, replicaWeighted, push, fails, event{c.when, c.do})
			w.Run()
			if !strings.Contains(strings.Join(w.violations, "\n"), c.says) {
				t.Errorf("nobody said %q; said was %q", c.says, w.violations)
			}
		})
	}
}
