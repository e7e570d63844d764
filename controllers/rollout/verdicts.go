package rollout

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/guardrails"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/workload"
)

func (r *Reconciler) observeVerdicts(ctx context.Context, l *look) error {
	if l.run == nil || l.input.Deleting != nil || l.run.Status.Outcome != "" || !l.rollout.Status.Judged() {
		return nil
	}
	var armed []plan.Armed
	unseen, uncompared := l.input.ExcusesLack(), l.input.Spec.ComparesNothing(l.rollout.Status.StepIndex())
	for _, g := range guardrails.InForce(l.run.Spec.Guardrails, l.guardrails) {
		source, err := r.sourceOf(ctx, g)
		if err != nil {
			return err
		}
		outage := meta.IsStatusConditionTrue(source.Status.Conditions, v1alpha1.ConditionOutage)
		for _, t := range g.Spec.Triggers {
			slo, _ := g.Spec.SLO(t.SLO)
			budget, _ := slo.Budget()
			a := plan.Armed{Kind: g.Kind, Guardrail: g.Name, Trigger: t.Name, Observes: g.Spec.Observes(t), Blind: g.Spec.Blind(t),
				OfRequests: unseen && (t.SLO != "" || t.Invariant != ""), Uncompared: uncompared && g.Spec.Compares(t), Budget: budget}
			switch {
			case t.Pods != nil:
				a.Verdict = l.judgePods(g, t)
			case t.Check != nil:
				a.Verdict = plan.JudgeCheck(g.Kind, g.Name, t, &l.rollout.Status, l.run)
			default:
				a.SilentAfter = v1alpha1.VerdictsSilent
				if outage {
					// The source is at fault, not the candidate.
					a.Blind.Then = v1alpha1.Hold
				}
				a.Verdict = l.run.Status.Analysis.Trigger(g.Kind, g.Name, t.Name)
			}
			armed = append(armed, a)
		}
	}
	l.input.Verdict = plan.Sum(armed, l.rollout.Status.StageStart(l.input.Now), l.input.Now)
	l.input.Verdict.WouldRollBack = plan.WouldRollBack(armed, l.rollout.Status.WouldRollBack, l.rollout.Status.StageStart(l.input.Now), l.input.Now)
	if c := l.rollout.Status.Candidate; c != nil && l.input.Spec.Mode != v1alpha1.ModeObserve {
		moved := workload.MovedImage(c.Images, l.judgedPods)
		l.input.Verdict = l.input.Verdict.Unless(workload.ReasonImageMoved, moved)
	}
	l.input.Verdict.Shown = plan.ShownVerdicts(armed, l.rollout.Status.Verdicts)
	return nil
}

// sourceOf is empty for a source that is gone: its triggers then fall silent.
func (r *Reconciler) sourceOf(ctx context.Context, g v1alpha1.PinnedGuardrail) (*v1alpha1.MetricSource, error) {
	source := &v1alpha1.MetricSource{}
	err := r.Client.Get(ctx, types.NamespacedName{Name: g.Spec.Source}, source)
	return source, client.IgnoreNotFound(err)
}

func (l *look) judgePods(g v1alpha1.PinnedGuardrail, t v1alpha1.Trigger) *v1alpha1.TriggerAnalysis {
	v := workload.JudgePods(*t.Pods, l.canary.Set, l.judgedPods, l.input.Now)
	at := metav1.NewMicroTime(l.input.Now)
	return &v1alpha1.TriggerAnalysis{Kind: g.Kind, Guardrail: g.Name, Name: t.Name, Outcome: v.Outcome, Reason: v.Reason, Message: v.Message, EvaluatedAt: &at}
}
