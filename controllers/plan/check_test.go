package plan

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// TestVerdictsOfChecks: a result counts in its own step, and a Fail in all of them.
func TestVerdictsOfChecks(t *testing.T) {
	at := metav1.NewTime(time.Unix(1_800_000_000, 0))
	check := func(step, attempt int32, outcome v1alpha1.VerdictOutcome, reason string) v1alpha1.CheckStatus {
		c := v1alpha1.CheckStatus{Kind: "Guardrail", Guardrail: "shop", Trigger: "smoke", Step: step, Attempt: attempt, Job: "smoke-1", StartedAt: at, Outcome: outcome, Reason: reason, Message: "it says so"}
		if outcome != "" {
			c.FinishedAt = &at
		}
		return c
	}
	of := func(change func(*v1alpha1.CheckStatus)) v1alpha1.CheckStatus {
		c := check(1, 1, v1alpha1.VerdictPass, v1alpha1.ReasonCheckPassed)
		change(&c)
		return c
	}
	const pass, fail, unknown = v1alpha1.VerdictPass, v1alpha1.VerdictFail, v1alpha1.VerdictInconclusive
	passed, failed := check(1, 1, pass, v1alpha1.ReasonCheckPassed), check(0, 1, fail, v1alpha1.ReasonCheckFailed)
	inconclusive := func(attempt int32) v1alpha1.CheckStatus {
		return check(1, attempt, unknown, v1alpha1.ReasonCheckTimedOut)
	}
	retried, full, pulls := check(1, 1, "", v1alpha1.ReasonCheckNotStarted), check(1, 1, "", v1alpha1.ReasonCheckNotStarted), check(1, 1, "", v1alpha1.ReasonCheckNotStarted)
	retried.Job, retried.RetryAt = "", &at
	full.Job = ""
	for name, tc := range map[string]struct {
		each    v1alpha1.CheckEach
		checks  []v1alpha1.CheckStatus
		outcome v1alpha1.VerdictOutcome
		reason  string
		says    string
	}{
		"nothing yet":                {v1alpha1.EachStep, nil, unknown, v1alpha1.ReasonCheckRunning, "the check has not started"},
		"of the step before":         {v1alpha1.EachStep, []v1alpha1.CheckStatus{check(0, 1, pass, "x")}, unknown, v1alpha1.ReasonCheckRunning, "the check has not started"},
		"of the step before, by run": {v1alpha1.EachRun, []v1alpha1.CheckStatus{check(0, 1, pass, v1alpha1.ReasonCheckPassed)}, pass, v1alpha1.ReasonCheckPassed, "it says so"},
		"running":                    {v1alpha1.EachStep, []v1alpha1.CheckStatus{check(1, 1, "", "")}, unknown, v1alpha1.ReasonCheckRunning, `attempt 1 of 2, Job "smoke-1", has no result yet and may take 1m0s`},
		"cannot start":               {v1alpha1.EachStep, []v1alpha1.CheckStatus{retried}, unknown, v1alpha1.ReasonCheckNotStarted, "attempt 1 of 2 has not started: it says so; that is tried again until 08:05:00Z"},
		"has no place":               {v1alpha1.EachStep, []v1alpha1.CheckStatus{full}, unknown, v1alpha1.ReasonCheckNotStarted, "attempt 1 of 2 has not started: it says so"},
		"does not run yet":           {v1alpha1.EachStep, []v1alpha1.CheckStatus{pulls}, unknown, v1alpha1.ReasonCheckNotStarted, `attempt 1 of 2, Job "smoke-1", does not run yet: it says so; it may take 1m0s in all`},
		"passed":                     {v1alpha1.EachStep, []v1alpha1.CheckStatus{passed}, pass, v1alpha1.ReasonCheckPassed, "it says so"},
		"failed before":              {v1alpha1.EachStep, []v1alpha1.CheckStatus{failed, passed}, fail, v1alpha1.ReasonCheckFailed, "it says so"},
		"to be tried again":          {v1alpha1.EachStep, []v1alpha1.CheckStatus{inconclusive(1)}, unknown, v1alpha1.ReasonCheckTimedOut, "attempt 1 of 2: it says so; another one follows"},
		"tried again":                {v1alpha1.EachStep, []v1alpha1.CheckStatus{inconclusive(1), check(1, 2, pass, v1alpha1.ReasonCheckPassed)}, pass, v1alpha1.ReasonCheckPassed, "it says so"},
		"no attempt is left":         {v1alpha1.EachStep, []v1alpha1.CheckStatus{inconclusive(1), inconclusive(2)}, unknown, v1alpha1.ReasonCheckTimedOut, "attempt 2 of 2: it says so; no attempt is left and the step holds"},
		"of another trigger":         {v1alpha1.EachStep, []v1alpha1.CheckStatus{of(func(c *v1alpha1.CheckStatus) { c.Trigger = "load" })}, unknown, v1alpha1.ReasonCheckRunning, "not started"},
		"of another guardrail":       {v1alpha1.EachStep, []v1alpha1.CheckStatus{of(func(c *v1alpha1.CheckStatus) { c.Guardrail = "web" })}, unknown, v1alpha1.ReasonCheckRunning, "not started"},
		"of another kind":            {v1alpha1.EachStep, []v1alpha1.CheckStatus{of(func(c *v1alpha1.CheckStatus) { c.Kind = "ClusterGuardrail" })}, unknown, v1alpha1.ReasonCheckRunning, "not started"},
		"a long message":             {v1alpha1.EachStep, []v1alpha1.CheckStatus{of(func(c *v1alpha1.CheckStatus) { c.Message = strings.Repeat("é", 300) })}, pass, v1alpha1.ReasonCheckPassed, "éé"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			trigger := v1alpha1.Trigger{Name: "smoke", Check: &v1alpha1.CheckTrigger{Each: tc.each, Timeout: metav1.Duration{Duration: time.Minute}, Retries: new(int32(1))}}
			status := &v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStepping, Step: &v1alpha1.StepStatus{Index: 1, AcknowledgedAt: &at}}
			run := &v1alpha1.RolloutRun{Spec: v1alpha1.RolloutRunSpec{Steps: make([]v1alpha1.Step, 2)}, Status: v1alpha1.RolloutRunStatus{Checks: tc.checks}}
			v := JudgeCheck("Guardrail", "shop", trigger, status, run)
			g.Expect(v.Outcome).To(Equal(tc.outcome))
			g.Expect(v.Reason).To(Equal(tc.reason))
			g.Expect(v.Message).To(ContainSubstring(tc.says))
			g.Expect(len(v.Message)).To(BeNumerically("<=", 512))

			sum := Sum([]Armed{{Kind: "Guardrail", Guardrail: "shop", Trigger: trigger.Name, Verdict: v,
				Blind: v1alpha1.WhenBlind{Then: v1alpha1.Rollback}}}, at.Time, at.Add(24*time.Hour))
			g.Expect(sum.Outcome).To(Equal(tc.outcome), "however old it is")
			g.Expect(sum.BlindRollback).To(BeFalse(), "a check without a result never rolls back")
		})
	}
}
