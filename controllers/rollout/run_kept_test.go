package rollout

import (
	"context"
	"errors"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
)

// TestARunThatLosesPartsDoesNotGoOn: the API server has the RolloutRuns of an older Belay, and drops
// what newer ones have. The run pins what is left: nobody would be asked, and no tester and no copy
// would reach the candidate.
func TestARunThatLosesPartsDoesNotGoOn(t *testing.T) {
	for name, tc := range map[string]struct {
		step    v1alpha1.Step
		traffic *v1alpha1.Traffic
		drops   func(*v1alpha1.RolloutRun)
		want    error
	}{
		"approvals": {v1alpha1.Step{Weight: 10, Approval: v1alpha1.ApprovalRequired}, nil, func(r *v1alpha1.RolloutRun) { r.Spec.Steps[0].Approval = "" }, errNoApproval},
		"matches": {v1alpha1.Step{Match: &v1alpha1.StepMatch{Headers: []v1alpha1.HeaderMatch{{Name: "x-canary", Value: "1"}}}}, nil,
			func(r *v1alpha1.RolloutRun) { r.Spec.Steps[0].Match = nil }, errNoMatch},
		// What is left of the match would invite more than the testers.
		"a part of a match": {v1alpha1.Step{Match: &v1alpha1.StepMatch{Headers: []v1alpha1.HeaderMatch{{Name: "x-canary", Value: "1"}}, QueryParams: []v1alpha1.QueryParamMatch{{Name: "beta", Value: "1"}}}}, nil,
			func(r *v1alpha1.RolloutRun) { r.Spec.Steps[0].Match.QueryParams = nil }, errNoMatch},
		"mirrors":  {v1alpha1.Step{Mirror: 10}, nil, func(r *v1alpha1.RolloutRun) { r.Spec.Steps[0].Mirror = 0 }, errNoMirror},
		"previews": {v1alpha1.Step{}, &v1alpha1.Traffic{Service: "shop", Preview: v1alpha1.PreviewEnabled}, func(r *v1alpha1.RolloutRun) { r.Spec.Traffic.Preview = "" }, errNoPreview},
		"comparers": {v1alpha1.Step{Mirror: 10}, &v1alpha1.Traffic{Service: "shop", Comparer: &v1alpha1.Comparer{Service: "audit", Port: 8080}},
			func(r *v1alpha1.RolloutRun) { r.Spec.Traffic.Comparer = nil }, errNoComparer},
		"what no step needs": {v1alpha1.Step{Weight: 10, Approval: v1alpha1.ApprovalNotRequired}, nil,
			func(r *v1alpha1.RolloutRun) { r.Spec.Steps[0].Approval = "" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			older := interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				if run, ok := o.(*v1alpha1.RolloutRun); ok {
					tc.drops(run)
				}
				return c.Create(ctx, o, opts...)
			}}
			r, w, api := inRun(t, older)
			w.input.Spec.Steps, w.input.Spec.Traffic = []v1alpha1.Step{tc.step}, tc.traffic
			w.recorded.Spec.Steps, w.rollout.Spec.Steps = w.input.Spec.Steps, w.input.Spec.Steps
			if err := r.createRun(t.Context(), w); !errors.Is(err, tc.want) {
				t.Errorf("it says %v, and goes on by %+v; want %v", err, w.run, tc.want)
			}
			runs := &v1alpha1.RolloutRunList{}
			if err := api.List(t.Context(), runs); err != nil || tc.want != nil && len(runs.Items) != 0 {
				t.Errorf("%v: a run was made: %+v", err, runs.Items)
			}
		})
	}
}

// TestAWayBackNeedsNoneOfTheSteps: what the API server drops of them keeps no fast revert and no
// bypass from its run, without which a fast revert gets no request.
func TestAWayBackNeedsNoneOfTheSteps(t *testing.T) {
	for _, phase := range []v1alpha1.Phase{v1alpha1.PhasePromoting, v1alpha1.PhaseHandingOver} {
		older := interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if run, ok := o.(*v1alpha1.RolloutRun); ok {
				run.Spec.Steps[0].Approval, run.Spec.Traffic.Preview = "", ""
			}
			return c.Create(ctx, o, opts...)
		}}
		r, w, _ := inRun(t, older)
		w.recorded.Status.Phase = phase
		w.input.Spec.Traffic = &v1alpha1.Traffic{Service: "shop", Preview: v1alpha1.PreviewEnabled}
		w.recorded.Spec.Steps = []v1alpha1.Step{{Approval: v1alpha1.ApprovalRequired}}
		if err := r.createRun(t.Context(), w); err != nil {
			t.Errorf("in %s: %v", phase, err)
		}
	}
}
