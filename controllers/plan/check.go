package plan

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// JudgeCheck is the verdict of a check in the present step, by what the loop of checks has
// recorded in the run. Without a result it holds.
func JudgeCheck(kind, guardrail string, t v1alpha1.Trigger, status *v1alpha1.RolloutStatus, run *v1alpha1.RolloutRun) *v1alpha1.TriggerAnalysis {
	stage, _ := status.CheckStage(len(run.Spec.Steps))
	v := &v1alpha1.TriggerAnalysis{Kind: kind, Guardrail: guardrail, Name: t.Name, Outcome: v1alpha1.VerdictInconclusive, Reason: v1alpha1.ReasonCheckRunning}
	c := run.Status.Check(kind, guardrail, t, stage)
	if c == nil {
		v.Message = "the check has not started: it starts once the weight of the step is acknowledged"
		return v
	}
	at := metav1.NewMicroTime(c.StartedAt.Time)
	if c.FinishedAt != nil {
		at = metav1.NewMicroTime(c.FinishedAt.Time)
	}
	v.EvaluatedAt = &at
	attempt := fmt.Sprintf("attempt %d of %d", c.Attempt, t.Check.Attempts())
	switch {
	case c.Outcome == "" && c.Reason == v1alpha1.ReasonCheckNotStarted:
		v.Reason, v.Message = c.Reason, v1alpha1.Bounded(notStarted(attempt, c, t.Check), 512)
		return v
	case c.Outcome == "":
		v.Message = fmt.Sprintf("%s, %s, has no result yet and may take %s", attempt, executor(c), t.Check.TimeoutOrDefault())
		return v
	case c.Outcome != v1alpha1.VerdictInconclusive:
		v.Message = c.Message
	case c.Attempt < t.Check.Attempts():
		v.Message = fmt.Sprintf("%s: %s; another one follows", attempt, c.Message)
	default:
		v.Message = fmt.Sprintf("%s: %s; no attempt is left and the step holds: correct the check, then abort and retry", attempt, c.Message)
	}
	v.Outcome, v.Reason, v.Message = c.Outcome, c.Reason, v1alpha1.Bounded(v.Message, 512)
	return v
}

// notStarted says why an attempt does not run yet, and what follows.
func notStarted(attempt string, c *v1alpha1.CheckStatus, check *v1alpha1.CheckTrigger) string {
	switch {
	case c.Started():
		return fmt.Sprintf("%s, %s, does not run yet: %s; it may take %s in all", attempt, executor(c), c.Message, check.TimeoutOrDefault())
	case c.RetryAt != nil:
		return fmt.Sprintf("%s has not started: %s; that is tried again until %s", attempt, c.Message, clock(c.StartedAt.Add(check.StartWithin())))
	default:
		return fmt.Sprintf("%s has not started: %s", attempt, c.Message)
	}
}

// executor is what an attempt runs on.
func executor(c *v1alpha1.CheckStatus) string {
	if c.Job != "" {
		return fmt.Sprintf("Job %q", c.Job)
	}
	return fmt.Sprintf("CheckEndpoint %q", c.Endpoint)
}
