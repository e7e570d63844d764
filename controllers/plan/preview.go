package plan

import (
	"fmt"
	"strings"

	"belay.dev/belay/api/v1alpha1"
)

// The preview Service leads to the candidate alone in the steps of a run, whatever the weight,
// and to all versions at every other time. No rollback, deletion or return to a former version
// waits for it.

func (f *facts) previews() bool { return f.traffic.Preview == v1alpha1.PreviewEnabled }

func (f *facts) previewService() string { return v1alpha1.PreviewName(f.in.Name) }

// previewNot holds while the preview Service that is asked for does not select this hash, or is
// not as it should be.
func (f *facts) previewNot(hash string) bool {
	p := f.in.Route.Preview
	return f.previews() && (p == nil || p.Fault != "" || !p.Current || p.Hash != hash)
}

// previewForeign holds while somebody else's Service has the name.
func (f *facts) previewForeign() bool {
	return f.in.Route.Preview != nil && f.in.Route.Preview.Fault != ""
}

// previewUnwanted is a preview Service that nobody asks for any more.
func (f *facts) previewUnwanted() bool { return !f.previews() && f.in.Route.Preview != nil }

// previewUnsettled holds without a run while the preview Service is not as it should be then.
// Without the user's Service nobody knows its ports.
func (f *facts) previewUnsettled() bool {
	return f.previewUnwanted() || f.previewNot("") && !f.in.Route.ServiceMissing
}

func previewUnsettledAtRest(f *facts) bool {
	return f.previewUnsettled() && inStable(f) && f.declared == f.stable
}

// settlePreview makes or removes it without a run.
func settlePreview(f *facts) Decision {
	switch {
	case f.previewForeign():
		return f.stuckOnPreview()
	case f.previewUnwanted():
		return f.doing(f.phaseReason(), fmt.Sprintf("spec.traffic.preview is not Enabled: deleting Service %s", f.previewService()), RemovePreview{})
	default:
		return f.doing(f.phaseReason(), fmt.Sprintf("making Service %s, which selects all versions until a run has a canary", f.previewService()), PointPreview{})
	}
}

func (f *facts) stuckOnPreview() Decision {
	problem := v1alpha1.Bounded(f.in.Route.Preview.Fault, 512)
	if stepping(f) {
		return f.stalled(v1alpha1.ReasonServiceUnusable, problem+", or abort this run, which keeps its preview, and set spec.traffic.preview to Disabled")
	}
	return f.stalled(v1alpha1.ReasonServiceUnusable, problem+", or set spec.traffic.preview to Disabled")
}

// settlePreviewToo lets a decision without a run take it along, where it has more to say.
func (f *facts) settlePreviewToo(d *Decision) {
	if f.previewUnsettled() && !f.previewForeign() {
		d.Effects = append(d.Effects, settlePreview(f).Effects...)
	}
}

// previewMissing holds a run back until the preview Service is there.
func previewMissing(f *facts) bool { return f.previewNot("") }

// previewDue holds in the steps of a run, once there is a canary.
func (f *facts) previewDue() bool {
	return f.previews() && stepping(f) && f.in.Canary.Exists && f.in.Canary.Hash != "" && !f.in.Canary.Former
}

func previewElsewhere(f *facts) bool { return f.previewDue() && f.previewNot(f.in.Canary.Hash) }

func pointPreview(f *facts) Decision {
	if f.previewForeign() {
		return f.stuckOnPreview()
	}
	return f.doing(f.phaseReason(), fmt.Sprintf("%s: making Service %s select the canary's pods alone", f.stage(), f.previewService()), PointPreview{f.in.Canary.Hash})
}

// previewUnready holds before a step is judged while callers of the preview Service may still
// reach other pods, or none: a check by it would judge those.
func previewUnready(f *facts) bool {
	return f.previewDue() && f.step().AcknowledgedAt == nil && f.in.Workload.Replicas > 0 && f.in.Route.Preview.Ready == 0
}

func waitForPreview(f *facts) Decision {
	return f.reconciling(f.phaseReason(), fmt.Sprintf("%s: waiting for a ready endpoint of Service %s", f.stage(), f.previewService()))
}

// previewBack lets a decision that takes the candidate back, or ends its run, take along the
// return of the preview Service to all versions. Nothing waits for it: what is refused is
// repeated without a run.
func (f *facts) previewBack(d *Decision) {
	p := f.in.Route.Preview
	if !f.previews() || deleting(f) || p == nil || p.Fault != "" || p.Hash == "" {
		return
	}
	d.Effects, d.Why = append(d.Effects, PointPreview{}), fmt.Sprintf("%s; Service %s selects all versions again", d.Why, f.previewService())
}

// ExcusesLack reports whether a lack of requests is no reason to hold the step in progress: no
// user's reach the candidate in it, and what comes after it is judged by requests while weights
// are the way back. A promotion by the Deployment's own strategy is not.
func (in Input) ExcusesLack() bool {
	step := in.Status.StepIndex()
	if !in.Spec.PreviewsCandidate(step) {
		return false
	}
	return step < len(in.Spec.Steps)-1 || in.Spec.Promotion.Mode != v1alpha1.PromotionNative && in.Canary.Changed == ""
}

// excused says which triggers need not pass, because nobody sends them requests now; empty for
// none.
func (f *facts) excused() string {
	if len(f.in.Verdict.Excused) == 0 {
		return ""
	}
	because := "no route leads users to the candidate in this step and they lack requests"
	if !f.in.Spec.PreviewsCandidate(f.in.Status.StepIndex()) {
		because = "nothing is copied to the comparer now and they lack requests"
	}
	return v1alpha1.Bounded("; need not pass, because "+because+": "+strings.Join(f.in.Verdict.Excused, ", "), 256)
}

// showPreview names the preview Service in the status while it selects the candidate's pods.
func showPreview(in Input, s *v1alpha1.RolloutStatus) {
	s.Preview = nil
	p, candidate := in.Route.Preview, s.Candidate
	if p != nil && candidate != nil && s.Phase.InRun() && p.Hash != "" && p.Hash == in.Canary.Hash {
		s.Preview = &v1alpha1.PreviewStatus{Service: v1alpha1.PreviewName(in.Name), Revision: candidate.Revision}
	}
}
