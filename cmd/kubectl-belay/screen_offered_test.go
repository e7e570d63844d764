package main

import (
	"slices"
	"strings"
	"testing"
	"time"

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
			FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"f:metadata":{"f:annotations":{"f:belay.dev/action-token":{}}}}`)}}}
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
	containers := in.Deployment.Object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)["containers"].([]any)
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
	declared, err := workload.Describe(workload.Template(in.Deployment))
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
