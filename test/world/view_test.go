package world

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	screens "belay.dev/belay/controllers/view"
)

// TestEveryMomentHasAScreen: what people see of every status that the planner writes in any
// story is whole, and agrees with it.
func TestEveryMomentHasAScreen(t *testing.T) {
	states := map[screens.State]bool{}
	for _, s := range Stories() {
		t.Run(s.Name, func(t *testing.T) {
			w := s.Begin(1)
			last := ""
			w.Statuses(func(r *v1alpha1.Rollout, run *v1alpha1.RolloutRun, now time.Time) {
				screen := screens.Rollout(screens.Input{Rollout: r, Run: run, Now: now})
				states[screen.State] = true
				if says := fmt.Sprint(screen.Headline, screen.Why); says != last {
					last = says
					for _, wrong := range disagrees(&r.Status, screen) {
						t.Errorf("+%.2fs %s: %s\n%+v", now.Sub(w.start).Seconds(), r.Status.Phase, wrong, screen)
					}
				}
			})
			w.Run()
		})
	}
	for _, want := range []screens.State{screens.StateNew, screens.StateStable, screens.StateWaiting, screens.StateProgressing, screens.StateHolding, screens.StatePromoting,
		screens.StateBaking, screens.StateHandingOver, screens.StateBypassed, screens.StateRollingBack, screens.StateRolledBack, screens.StateStalled} {
		if !states[want] {
			t.Errorf("no story is ever %s", want)
		}
	}
}

func disagrees(s *v1alpha1.RolloutStatus, screen screens.Screen) (wrong []string) {
	expect := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	expect(screen.Headline != "" && screen.Why != "", "no headline or no reason")
	running := 0
	for _, step := range screen.Steps {
		if step.Progress == screens.Now {
			running++
		}
	}
	expect(!s.Phase.InRun() || s.Step == nil || running == 1, "%d steps are in progress", running)
	expect(s.Phase.InRun() || len(screen.Steps) == 0, "steps without a run")
	expect(s.Phase == "" || !screen.Since.IsZero(), "nobody knows since when")
	expect(slices.Contains(screen.Actions, "retry") == (s.Phase == v1alpha1.PhaseRolledBack), "retry is offered or not: %v", screen.Actions)
	for _, v := range screen.Versions {
		expect(v.Tag != "" && v.Percent >= -1 && v.Percent <= 100, "version %+v", v)
	}
	stalled := slices.ContainsFunc(s.Conditions, func(c metav1.Condition) bool {
		return c.Type == v1alpha1.ConditionStalled && c.Status == metav1.ConditionTrue
	})
	expect(!stalled || screen.State == screens.StateStalled || screen.State == screens.StateRolledBack, "a person is needed, and it is %s", screen.State)
	return wrong
}
