package rollout

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// What an API server with the RolloutRuns of an older Belay does.
var (
	errNoApproval = errors.New("the API server drops spec.steps[].approval of RolloutRuns, so nobody would be asked: apply the CustomResourceDefinitions of this version (config/crd)")
	errNoMatch    = errors.New("the API server drops spec.steps[].match of RolloutRuns, so no tester would reach the candidate: apply the CustomResourceDefinitions of this version (config/crd)")
	errNoMirror   = errors.New("the API server drops spec.steps[].mirror of RolloutRuns, so no request would be copied to the candidate: apply the CustomResourceDefinitions of this version (config/crd)")
	errNoComparer = errors.New("the API server drops spec.traffic.comparer of RolloutRuns, so no answers would be compared: apply the CustomResourceDefinitions of this version (config/crd)")
	errNoPreview  = errors.New("the API server drops spec.traffic.preview of RolloutRuns, so the preview Service would not lead to the candidate: apply the CustomResourceDefinitions of this version (config/crd)")
)

// newer are the parts of a run's steps and traffic that an older Belay does not have, or has not
// whole, each with the error of an API server that drops it; nil where a run does without.
var newer = []struct {
	of      func(v1alpha1.Step, v1alpha1.Traffic) any
	dropped error
}{
	{func(s v1alpha1.Step, _ v1alpha1.Traffic) any {
		return wanted(s.Approval == v1alpha1.ApprovalRequired, s.Approval)
	}, errNoApproval},
	{func(s v1alpha1.Step, _ v1alpha1.Traffic) any { return wanted(s.Match != nil, s.Match) }, errNoMatch},
	{func(s v1alpha1.Step, _ v1alpha1.Traffic) any { return wanted(s.Mirror > 0, s.Mirror) }, errNoMirror},
	{func(_ v1alpha1.Step, t v1alpha1.Traffic) any {
		return wanted(t.Preview == v1alpha1.PreviewEnabled, t.Preview)
	}, errNoPreview},
	{func(_ v1alpha1.Step, t v1alpha1.Traffic) any { return wanted(t.Comparer != nil, t.Comparer) }, errNoComparer},
}

func wanted(asked bool, what any) any {
	if !asked {
		return nil
	}
	return what
}

// lost is the error of what one spec has and the other has not, or has otherwise; nil for nothing.
func lost(from, kept *v1alpha1.RolloutRunSpec) error {
	had, has := ptr.Deref(from.Traffic, v1alpha1.Traffic{}), ptr.Deref(kept.Traffic, v1alpha1.Traffic{})
	for _, part := range newer {
		for i, step := range from.Steps {
			asked := part.of(step, had)
			if asked != nil && (i >= len(kept.Steps) || !equality.Semantic.DeepEqual(asked, part.of(kept.Steps[i], has))) {
				return part.dropped
			}
		}
	}
	return nil
}

// keepsSteps asks by a dry-run whether the API server keeps what the run needs. The run pins what
// is kept, so it is not created to find out.
func (r *Reconciler) keepsSteps(ctx context.Context, run *v1alpha1.RolloutRun) error {
	if lost(&run.Spec, &v1alpha1.RolloutRunSpec{}) == nil {
		return nil
	}
	kept := run.DeepCopy()
	if err := r.Client.Create(ctx, kept, client.DryRunAll, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
		// It may be there already.
		return client.IgnoreAlreadyExists(err)
	}
	return lost(&run.Spec, &kept.Spec)
}
