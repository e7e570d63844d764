package indicators

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// excludes demands that more than 0.4 % errors are excluded.
func excludes(s *v1alpha1.GuardrailSpec) {
	s.WarmUp = &metav1.Duration{Duration: time.Minute}
	s.Triggers = []v1alpha1.Trigger{{Name: "errors", SLO: "availability", Regression: &v1alpha1.RegressionTrigger{WorseThan: "1.5", Burn: "2", Exclude: "4"}}}
}

// with gives a Rollout a step of 5 %.
func with(objects []client.Object, hold time.Duration) []client.Object {
	spec := &objects[0].(*v1alpha1.Rollout).Spec
	spec.Steps = []v1alpha1.Step{{Weight: 5, Hold: metav1.Duration{Duration: hold}}}
	spec.StepDeadline.Duration = time.Hour
	return objects
}

// after lets a probe come at this time since the last one, with so many requests in all.
func (w *world) after(d time.Duration, total int) (*metav1.Condition, v1alpha1.GuardrailStatus) {
	w.clock.Step(d)
	w.mu.Lock()
	w.series = map[string]string{"0": "4", "1,1": "4", "total": fmt.Sprint(total), "bad": "0"}
	w.mu.Unlock()
	_, status := w.look()
	return meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionExclusionReachable), status
}

// TestStepsTooShortForWhatMustBeExcluded: 20 requests/s give a step of 5 % one a second. To
// exclude 0.4 % takes about 1,830 (docs/analysis.md), and a minute of warm-up: 32 minutes.
func TestStepsTooShortForWhatMustBeExcluded(t *testing.T) {
	w := newWorld(t, append(append(with(app(0, 1), time.Hour), with(app(1, 1), 30*time.Minute)...), guardrailOf(excludes))...)
	if c, _ := w.after(0, 1000); c == nil || c.Reason != v1alpha1.ReasonRateUnknown || c.Status != metav1.ConditionUnknown {
		t.Fatalf("after one probe: %+v", c)
	}
	c, status := w.after(2*every, 1000+20*600)
	if c.Status != metav1.ConditionFalse || c.Reason != v1alpha1.ReasonHoldTooShort || !strings.Contains(c.Message, "trigger errors: Rollout shop/app-1: at about 20 requests/s step 1 of 1 (5 % for 30m0s) gives the candidate about 1740 after its warm-up of 1m0s") ||
		!strings.Contains(c.Message, "it will hold for about 32m: let it hold as long") {
		t.Errorf("%s %s: %s", c.Status, c.Reason, c.Message)
	}
	if len(status.Exclusions) != 1 || status.Exclusions[0].Rollout != "shop/app-1" || status.Exclusions[0].Trigger != "errors" {
		t.Errorf("exclusions are %+v", status.Exclusions)
	}
	if ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady); ready.Status != metav1.ConditionTrue {
		t.Errorf("a warning makes it %s", ready.Reason)
	}
	// A rate that is about the same changes no message; one of another process is not known yet.
	first := c.Message
	w.loop.paces = paces{}
	for i, total := range []int{13000, 13000 + 18*600, 13000 + 36*600} {
		if c, _ = w.after(2*every, total); i < 1 && c.Message != first {
			t.Errorf("after a restart: %s", c.Message)
		}
		if i == 2 && !strings.Contains(c.Message, "at about 18 requests/s") {
			t.Errorf("from its second probe on: %s", c.Message)
		}
	}
	first = c.Message
	if c, _ = w.after(2*every, 13000+36*600+20*600); c.Message != first {
		t.Errorf("with about the same rate: %s", c.Message)
	}
	// Fewer than before say nothing: pods have gone.
	if c, _ = w.after(2*every, 5000); c.Message != first {
		t.Errorf("with fewer requests than before: %s", c.Message)
	}
	if c, status = w.after(2*every, 5000+100*600); c.Status != metav1.ConditionTrue || c.Reason != v1alpha1.ReasonHoldsSuffice || status.Exclusions != nil {
		t.Errorf("with 100 requests/s it is %s: %s", c.Reason, c.Message)
	}
	w.loop.paces = paces{}
	if c, _ = w.after(2*every, 65000); c.Reason != v1alpha1.ReasonHoldsSuffice {
		t.Errorf("after another restart it is %s: %s", c.Reason, c.Message)
	}
	if c, _ = w.after(2*every, 65000); c.Reason != v1alpha1.ReasonNoRequests {
		t.Errorf("without requests it is %s: %s", c.Reason, c.Message)
	}
}

// TestAnExclusionThatIsGone goes from the status: with its Rollout, and with the demand.
func TestAnExclusionThatIsGone(t *testing.T) {
	w := newWorld(t, append(append(with(app(0, 1), time.Hour), with(app(1, 1), time.Minute)...), guardrailOf(excludes))...)
	w.after(0, 0)
	if _, status := w.after(2*every, 12000); len(status.Exclusions) != 1 {
		t.Fatalf("exclusions are %+v", status.Exclusions)
	}
	if err := w.client.Delete(t.Context(), with(app(1, 1), time.Minute)[0]); err != nil {
		t.Fatal(err)
	}
	if c, status := w.after(2*every, 24000); len(status.Exclusions) != 0 || c.Status != metav1.ConditionTrue {
		t.Errorf("without the Rollout: %s %+v", c.Reason, status.Exclusions)
	}
	g := &v1alpha1.Guardrail{}
	name := types.NamespacedName{Namespace: "shop", Name: "shop"}
	if err := w.client.Get(t.Context(), name, g); err != nil {
		t.Fatal(err)
	}
	g.Spec.Triggers[0].Regression.Exclude = ""
	if err := w.client.Update(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if c, _ := w.after(2*every, 36000); c != nil {
		t.Errorf("without the demand it is %s", c.Reason)
	}
	if err := w.client.Delete(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if _, err := w.loop.Reconcile(t.Context(), kindGuardrail, name); err != nil || len(w.loop.paces.all) != 0 {
		t.Errorf("of a guardrail that is gone it keeps %+v, %v", w.loop.paces.all, err)
	}
}
