package rollout

import (
	"context"
	"errors"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
)

// TestARunThatLosesPartsOfItsStepsDoesNotGoOn: the API server has the RolloutRuns of an older Belay,
// and drops steps[].approval and steps[].match. The run pins what is left: nobody would be asked,
// and no tester would reach the candidate.
func TestARunThatLosesPartsOfItsStepsDoesNotGoOn(t *testing.T) {
	older := interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
		if run, ok := o.(*v1alpha1.RolloutRun); ok {
			for i := range run.Spec.Steps {
				run.Spec.Steps[i].Approval, run.Spec.Steps[i].Match = "", nil
			}
			if run.Spec.Traffic != nil {
				run.Spec.Traffic.Preview = ""
			}
		}
		return c.Create(ctx, o, opts...)
	}}
	r, w, api := inRun(t, older)
	w.input.Spec.Steps = []v1alpha1.Step{{Weight: 10, Approval: v1alpha1.ApprovalRequired}}
	w.recorded.Spec.Steps, w.rollout.Spec.Steps = w.input.Spec.Steps, w.input.Spec.Steps
	if err := r.createRun(t.Context(), w); !errors.Is(err, errNoApproval) {
		t.Errorf("it says %v, and goes on by these steps: %+v", err, w.run)
	}
	runs := &v1alpha1.RolloutRunList{}
	if err := api.List(t.Context(), runs); err != nil || len(runs.Items) != 0 {
		t.Errorf("%v: a run was made that asks nobody: %+v", err, runs.Items)
	}
	w.input.Spec.Steps[0].Approval = v1alpha1.ApprovalNotRequired
	w.input.Spec.Steps[0].Match = &v1alpha1.StepMatch{Headers: []v1alpha1.HeaderMatch{{Name: "x-canary", Value: "1"}}}
	if err := r.createRun(t.Context(), w); !errors.Is(err, errNoMatch) {
		t.Errorf("it says %v, and no tester would reach the candidate", err)
	}
	w.input.Spec.Steps[0].Match = nil
	w.input.Spec.Traffic = &v1alpha1.Traffic{Service: "shop", Preview: v1alpha1.PreviewEnabled}
	if err := r.createRun(t.Context(), w); !errors.Is(err, errNoPreview) {
		t.Errorf("it says %v, and the preview would not lead to the candidate", err)
	}
	w.input.Spec.Traffic = nil
	if err := r.createRun(t.Context(), w); err != nil {
		t.Errorf("nobody has to be asked, and the run waits: %v", err)
	}
}
