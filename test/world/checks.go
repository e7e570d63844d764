package world

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// smoke is the trigger of the stories with a check. Its Job takes checkTakes.
var smoke = v1alpha1.Trigger{Name: "smoke", Check: &v1alpha1.CheckTrigger{
	Job: &v1alpha1.JobCheck{CronJob: "shop-smoke"}, Timeout: duration(time.Minute), Retries: new(int32(1)), Each: v1alpha1.EachStep,
}}

const checkTakes = 40 * time.Second

// checks are stories of a release with a check in each step and in the bake.
func checks() []Story {
	fails := func(in int32) func(*World) {
		return answersInStage(in, func(int32) v1alpha1.VerdictOutcome { return v1alpha1.VerdictFail })
	}
	inconclusive := func(attempts int32) func(*World) {
		return answersInStage(1, func(attempt int32) v1alpha1.VerdictOutcome {
			if attempt <= attempts {
				return v1alpha1.VerdictInconclusive
			}
			return v1alpha1.VerdictPass
		})
	}
	return []Story{
		rejection("check-fails", script()).with(fails(1)),
		rejection("check-fails-in-bake", script()).with(fails(2)),
		story("check-inconclusive-once", second, promoted, script()).with(inconclusive(1)),
		// It holds until a person decides.
		rejection("check-inconclusive", script(event{stalled(v1alpha1.ReasonDeadlineExceeded), commands(v1alpha1.ActionAbort)})).
			with(inconclusive(2)).stalling(v1alpha1.ReasonDeadlineExceeded),
	}
}

// answersInStage lets the check pass in all stages but one.
func answersInStage(one int32, in func(attempt int32) v1alpha1.VerdictOutcome) func(*World) {
	return func(w *World) {
		w.checked = func(stage, attempt int32) v1alpha1.VerdictOutcome {
			if stage == one {
				return in(attempt)
			}
			return v1alpha1.VerdictPass
		}
	}
}

// runChecks is the loop of checks, which retries at once here, and the Jobs.
func (w *World) runChecks() {
	status := w.rollout.status
	run := w.history.named(status.Run)
	if w.checked == nil || run == nil || run.Status.Outcome != "" || !status.Judged() {
		return
	}
	stage, acknowledged := status.CheckStage(len(run.Spec.Steps))
	last := run.Status.Check("Guardrail", "shop", smoke, stage)
	next := v1alpha1.CheckStatus{Kind: "Guardrail", Guardrail: "shop", Trigger: smoke.Name, Step: stage, Attempt: 1, Job: "smoke", StartedAt: metav1.NewTime(w.at)}
	changed := run.DeepCopy()
	switch {
	case last == nil && acknowledged:
		changed.Status.Checks = append(changed.Status.Checks, next)
	case last == nil:
		return
	case last.Outcome == "" && !w.at.Before(last.StartedAt.Add(checkTakes)):
		at, c := metav1.NewTime(w.at), &changed.Status.Checks[len(changed.Status.Checks)-1]
		c.FinishedAt, c.Outcome = &at, w.checked(stage, c.Attempt)
		c.Reason, c.Message = wordsOfCheck(c.Outcome)
	case last.Outcome == v1alpha1.VerdictInconclusive && last.Attempt < smoke.Check.Attempts() && acknowledged:
		next.Attempt = last.Attempt + 1
		changed.Status.Checks = append(changed.Status.Checks, next)
	default:
		return
	}
	w.timers = append(w.timers, w.at.Add(checkTakes))
	w.history.put(changed)
}

func wordsOfCheck(outcome v1alpha1.VerdictOutcome) (reason, message string) {
	switch outcome {
	case v1alpha1.VerdictFail:
		return v1alpha1.ReasonCheckFailed, `Job "smoke": container "smoke" exited with code 1`
	case v1alpha1.VerdictInconclusive:
		return v1alpha1.ReasonCheckInconclusive, `Job "smoke": container "smoke" exited with code 3, which means inconclusive`
	default:
		return v1alpha1.ReasonCheckPassed, `Job "smoke" completed`
	}
}
