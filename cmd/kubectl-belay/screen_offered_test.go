package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
	"belay.dev/belay/controllers/workload"
)

// TestACommandWithoutAnAnswerIsShown: until Belay has answered, the guard refuses all but an
// Abort (the policy belay-guard-commands), so nothing else is offered, and the screen says why.
func TestACommandWithoutAnAnswerIsShown(t *testing.T) {
	for action, want := range map[v1alpha1.Action][]string{v1alpha1.ActionAbort: {"rollback"}, v1alpha1.ActionPause: {"abort", "rollback"}} {
		in := read(t, "progressing")
		in.Rollout.Annotations = map[string]string{v1alpha1.AnnotationAction: string(action), v1alpha1.AnnotationActionToken: "new",
			v1alpha1.AnnotationActionReason: "customers see errors", v1alpha1.AnnotationActionBy: "ann"}
		in.Rollout.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: commandManager, Time: &metav1.Time{Time: in.Now.Add(-10 * time.Second)},
			FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:annotations":{"f:belay.dev/action-token":{}}}}`)}}
		screen := view.Rollout(in)
		if !slices.Equal(screen.Actions, want) {
			t.Errorf("while %s waits, %q is offered, want %q", action, screen.Actions, want)
		}
		text := statusScreen(terminal{width: 400}, screen, in.Now, nil)
		if want := "Waits for Belay's answer: " + string(action) + ", by ann, at 14:05:03Z (10s ago): customers see errors."; !strings.Contains(text, want) {
			t.Errorf("the screen does not say %q:\n%s", want, text)
		}
		in.Rollout.Status.Remember(v1alpha1.HandledAction{Token: "new"})
		if screen := view.Rollout(in); !slices.Contains(screen.Actions, "promote") {
			t.Errorf("after the answer only %q is offered", screen.Actions)
		}
	}
}

// pushed is a moment at which the Deployment declares 1.5.1, and Belay has not looked at it.
func pushed(t *testing.T, name string) view.Input {
	in := read(t, name)
	containers := in.Workload.Object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)["containers"].([]any)
	containers[0].(map[string]any)["image"] = "registry.example.com/shop/checkout:1.5.1"
	return in
}

// TestAPushThatNobodyLookedAtCanBeTakenBack: kubectl belay rollback declares the stable version
// again, without the controller, also when there is a version before it.
func TestAPushThatNobodyLookedAtCanBeTakenBack(t *testing.T) {
	for _, before := range []bool{false, true} {
		in := pushed(t, "promoted")
		if !before {
			in.Rollout.Status.Previous = nil
		}
		screen, stable := view.Rollout(in), in.Rollout.Status.Stable
		if target, err := targetOf(in.Rollout, "another", "", nil); err != nil || target != stable.Revision {
			t.Fatalf("%s, %v", target, err)
		}
		if want := []string{"rollback", "bypass"}; !slices.Equal(screen.Actions, want) || screen.Effects["rollback"] != "the Deployment declares "+view.Tag(stable)+" again" {
			t.Errorf("offered is %q, rollback: %q", screen.Actions, screen.Effects["rollback"])
		}
	}
	// A push of a version that was stable before is a return, which rollback does not undo.
	in := pushed(t, "promoted")
	declared, err := workload.Describe(workload.Template(in.Workload))
	if err != nil {
		t.Fatal(err)
	}
	in.Rollout.Status.Previous = []v1alpha1.PreviousRevision{{Revision: declared.Revision}}
	if screen := view.Rollout(in); slices.Contains(screen.Actions, "rollback") {
		t.Errorf("of a return, rollback is offered, and would be refused: %q", screen.Actions)
	}
}

// TestWhyOffersWhatStatusOffers: both tell a person what to do next about the same Rollout.
func TestWhyOffersWhatStatusOffers(t *testing.T) {
	for name := range moments {
		in := read(t, name)
		if in.Run == nil {
			continue
		}
		if status, why := view.Rollout(in).Actions, view.Explain(in).Actions; !slices.Equal(status, why) {
			t.Errorf("%s: status offers %q, why %q", name, status, why)
		}
	}
}

// TestABadCanaryDoesNotOnlyWaitForRequests: the recorded v3 has 100 of 100 of what its trigger
// needs to fire. The first sentence says so, with one time, and the number is whole in 100 columns.
func TestABadCanaryDoesNotOnlyWaitForRequests(t *testing.T) {
	in := read(t, "recorded-step")
	screen := view.Rollout(in)
	want := "shop/availability measures 5.9 % (10/170), wanted ≤ 0.2 % or 1.5x stable: evidence enough to roll back, if it lasts. " +
		"Waiting for requests: 170 of 200 at this weight, about 15s at the present rate (shop/availability)."
	if screen.Why != want || screen.Next != "needs 30 more requests ~15s" {
		t.Errorf("%s Next: %s", screen.Why, screen.Next)
	}
	for _, width := range []int{80, 100} {
		if text := statusScreen(terminal{width: width}, screen, in.Now, nil); !strings.Contains(text, "100 ███") {
			t.Errorf("in %d columns:\n%s", width, text)
		}
	}
}

// TestAPushThatNobodyLookedAtIsNamed, also by a command that comes too early for it.
func TestAPushThatNobodyLookedAtIsNamed(t *testing.T) {
	if got := view.Unseen(read(t, "promoted")); got != "" {
		t.Errorf("nothing was pushed: %s", got)
	}
	in := pushed(t, "promoted")
	for paused, want := range map[bool]string{true: "it does not roll out until Belay has looked at it", false: "it is not held"} {
		in.Workload.Object["spec"].(map[string]any)["paused"] = paused
		if got := view.Unseen(in); !strings.Contains(got, "The Deployment declares 1.5.1") || !strings.Contains(got, want) {
			t.Errorf("paused %t: %s", paused, got)
		}
	}
}

// TestARunThatAnotherVersionEnds: while a newer version settles the candidate goes no further, so
// that nothing is offered which Belay refuses then, and nothing is said to come next for it.
func TestARunThatAnotherVersionEnds(t *testing.T) {
	for _, moment := range []string{"progressing", "held"} {
		in := pushed(t, moment)
		push, err := workload.Describe(workload.Template(in.Workload))
		if err != nil {
			t.Fatal(err)
		}
		s := &in.Rollout.Status
		s.Message = "1.5.1 has been declared since 14:00:00Z"
		s.Declared = &v1alpha1.DeclaredStatus{Revision: push.Revision, Image: push.Image, Since: metav1.NewTime(in.Now.Add(-10 * time.Second))}
		s.Step.AwaitsApprovalSince, s.Step.NextAt = &metav1.Time{Time: in.Now}, nil
		meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSettling})
		screen := view.Rollout(in)
		if want := []string{"abort", "rollback", "bypass"}; !slices.Equal(screen.Actions, want) || !strings.Contains(screen.Effects["abort"], "is rejected, what is declared gets its run") {
			t.Errorf("%s: offered are %q, want %q: %v", moment, screen.Actions, want, screen.Effects)
		}
		if screen.State != view.StateProgressing || screen.Why != s.Message || screen.Next != "1.5.1 ends this run, once it has settled" {
			t.Errorf("%s: %s: %s Next: %s", moment, screen.State, screen.Why, screen.Next)
		}
		if got := view.Unseen(in); !strings.Contains(got, "The Deployment declares 1.5.1") || !strings.Contains(got, " since "+view.Moment(in.Now.Add(-10*time.Second), in.Now)+"; its run starts when this one is over") {
			t.Errorf("%s: %s", moment, got)
		}
		s.Phase = v1alpha1.PhaseStable
		if got := view.Unseen(in); !strings.HasSuffix(got, "; its run has not begun") {
			t.Errorf("%s, and no run: %s", moment, got)
		}
	}
}

// TestTheAuthorOfARefusedCommandIsNamed, also one that the guard has not stamped.
func TestTheAuthorOfARefusedCommandIsNamed(t *testing.T) {
	in := read(t, "progressing")
	for by, want := range map[string]string{"ann": "Last command, by ann: too late", "": "Last command, by somebody: too late"} {
		in.Rollout.Status.LastHandledAction = &v1alpha1.HandledAction{By: by, Refused: "too late", At: metav1.NewTime(in.Now)}
		if notes := view.Rollout(in).Notes; !slices.Contains(notes, want) {
			t.Errorf("%q is not among %q", want, notes)
		}
	}
}
