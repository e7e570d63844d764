package integration

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"belay.dev/belay/api/v1alpha1"
)

// TestCommandLineOfAStep: somebody on call skips a step that would hold for an hour, and
// approves the next one, which waits for that. Nothing of it edits the Rollout.
func TestCommandLineOfAStep(t *testing.T) {
	s := open(t)
	me := personIn(t, s.namespace, "steps@example.com", "system:masters")
	bind(t, admin, "cli-steps", "belay-oncall")
	allowed(t, admin, "cli-steps", "approve", v1alpha1.GroupVersion.Group, "rollouts")
	oncall := me
	oncall.config = kubeconfigOf(t, envtest.User{Name: "cli-steps"})
	steps := []byte(`{"spec":{"steps":[{"name":"smoke","weight":25,"hold":"1h"},{"weight":50,"hold":"1s","approval":"Required"}]}}`)
	s.must(admin.Patch(t.Context(), s.rollout(), client.RawPatch(types.MergePatchType, steps)))
	refused := func(r *v1alpha1.Rollout) bool {
		return r.Status.LastHandledAction != nil && r.Status.LastHandledAction.Refused != ""
	}
	oncall.expect(oncall.says("skip", "shop"), 1, "There is no step to skip: the Rollout is stable")

	s.release(better)
	s.until("at 25 %", atWeight)
	oncall.expect(oncall.says("status", "shop"), 0, "kubectl belay skip shop -n "+s.namespace+" --step 1 --revision ", "○ 50 % for 1s, then approval")
	oncall.expect(oncall.during(s, commanded(s), refused, "approve", "shop", "--step", "1"), 1, "Refused: ", "step 1 of 2 (smoke) needs no approval")
	oncall.expect(oncall.during(s, commanded(s), refused, "promote", "shop"), 1, "step 2 of 2 needs an approval, and Promote does not stand for one")
	inSecond := func(r *v1alpha1.Rollout) bool { return r.Status.Step != nil && r.Status.Step.Index == 1 }
	oncall.expect(oncall.during(s, commanded(s), inSecond, "skip", "shop", "--step", "1", "--reason", "smoke is known"), 0,
		"Skip of v2 given to Rollout shop", `cli-steps skipped step 1 of 2 (smoke) at weight 25 %: "smoke is known"`)

	s.until("waiting for the approval", func(r *v1alpha1.Rollout) bool { return r.Status.Step.AwaitsApprovalSince != nil })
	for range 5 {
		s.must(s.look())
	}
	oncall.expect(oncall.says("status", "shop"), 0, "AWAITING APPROVAL of step 2/2 at 50 %", "Next: approve step 2/2", "kubectl belay approve shop -n "+s.namespace+" --step 2 --revision ")
	oncall.expect(oncall.says("skip", "shop"), 2, "--step is missing: v2 is in step 2", "kubectl belay skip shop -n ")
	oncall.expect(oncall.says("skip", "shop", "--step", "1"), 1, "Not given: it is for step 1, and v2 is in step 2")
	oncall.expect(oncall.says("approve", "shop", "--step", "2", "--revision", "other"), 1, `Not given: it is for revision "other"`)
	oncall.expect(oncall.says("list"), 0, "awaiting approval", "50 %")
	oncall.expect(oncall.during(s, commanded(s), refused, "skip", "shop", "--step", "2"), 1, "step 2 of 2 needs an approval, and Skip does not stand for one: give Approve first")
	over := func(r *v1alpha1.Rollout) bool { return r.Status.Phase != v1alpha1.PhaseStepping }
	oncall.expect(oncall.during(s, commanded(s), over, "approve", "shop", "--step", "2", "--reason", "carts are fine"), 0,
		"Approve of v2 given to Rollout shop", "Rollout shop: ")
	r := s.rollout()
	if last := r.Status.LastHandledAction; last.Action != v1alpha1.ActionApprove || last.By != "cli-steps" || last.Refused != "" {
		t.Errorf("the last command is %+v", last)
	}
	if step := r.Annotations[v1alpha1.AnnotationActionStep]; step != "2" {
		t.Errorf("the approval was for step %q", step)
	}
	if a := r.Status.Step.Approval; a == nil || a.By != "cli-steps" || a.Reason != "carts are fine" {
		t.Errorf("the approval is %+v", a)
	}
	oncall.expect(oncall.says("approve", "shop"), 1, "There is no step to approve")
	s.until("promoted", ended(better))
	me.expect(me.says("log", "shop"), 0, "not judged there: ", `approved by cli-steps at weight 50 %: "carts`, "2 of 2 triggers pass; approved by cli-steps")
	me.expect(me.says("why", "shop"), 0, "was PROMOTED", "By people", "cli-steps", "smoke is known")
	run := s.rollout().Status.Run
	me.expect(me.says("verify", run), 0)
	me.expect(me.says("replay", run), 0)
	if h := s.rollout().Status.History[0]; h.Outcome != v1alpha1.OutcomePromoted || !strings.Contains(h.Message, "cli-steps skipped step 1 of 2 (smoke)") {
		t.Errorf("the run ended as %+v", h)
	}
}
