package v1alpha1

import (
	"slices"
	"time"
)

// Reasons of checks. The set is closed, and each has one outcome.
const (
	// ReasonCheckPassed: Pass. The Job completed, or the endpoint said Pass.
	ReasonCheckPassed = "CheckPassed"
	// ReasonCheckFailed: Fail. The Job's container exited with an error, or the endpoint
	// said Fail.
	ReasonCheckFailed = "CheckFailed"
	// ReasonCheckRunning: Inconclusive. There is no result yet.
	ReasonCheckRunning = "CheckRunning"
	// ReasonCheckInconclusive: Inconclusive. The check itself said so.
	ReasonCheckInconclusive = "CheckInconclusive"
	// ReasonCheckTimedOut: Inconclusive. There was no result within the timeout.
	ReasonCheckTimedOut = "CheckTimedOut"
	// ReasonCheckDisrupted: Inconclusive. The cluster ended the Job, not the check.
	ReasonCheckDisrupted = "CheckDisrupted"
	// ReasonCheckNotStarted: Inconclusive. Its template or endpoint cannot be used, or its Job
	// completed without a pod.
	ReasonCheckNotStarted = "CheckNotStarted"
	// ReasonCheckNoAnswer: Inconclusive. The endpoint gave no usable response.
	ReasonCheckNoAnswer = "CheckNoAnswer"
)

// ExitInconclusive is the exit code by which a check's container says Inconclusive.
const ExitInconclusive = 3

// MaxChecks is how many attempts a run keeps: the limit of RolloutRunStatus.Checks.
const MaxChecks = 100

// DefaultCheckTimeout is that of a check which does not set one.
const DefaultCheckTimeout = 5 * time.Minute

// TimeoutOrDefault is how long an attempt may take.
func (c *CheckTrigger) TimeoutOrDefault() time.Duration {
	if c.Timeout.Duration <= 0 {
		return DefaultCheckTimeout
	}
	return c.Timeout.Duration
}

// StartWithin is how long the start of an attempt is tried: its timeout, at least
// DefaultCheckTimeout, so that what refuses it for a few minutes, such as a quota, does not
// end the check.
func (c *CheckTrigger) StartWithin() time.Duration {
	return max(c.TimeoutOrDefault(), DefaultCheckTimeout)
}

// Attempts is how many attempts a check may have in a step, in all.
func (c *CheckTrigger) Attempts() int32 {
	if c.Retries == nil {
		return 3
	}
	return *c.Retries + 1
}

// Is reports whether an attempt is one of a guardrail's trigger.
func (c *CheckStatus) Is(kind, guardrail, trigger string) bool {
	return c.Kind == kind && c.Guardrail == guardrail && c.Trigger == trigger
}

// Started reports whether the attempt's Job was created, or its request sent.
func (c *CheckStatus) Started() bool { return c.Job != "" || c.Endpoint != "" }

// Check returns the attempt of a trigger that counts in a stage, as CheckStage numbers
// them; nil when there is none yet. A Fail is final for a run.
func (s *RolloutRunStatus) Check(kind, guardrail string, t Trigger, stage int32) *CheckStatus {
	if t.Check == nil {
		return nil
	}
	for i := range s.Checks {
		if c := &s.Checks[i]; c.Outcome == VerdictFail && c.Is(kind, guardrail, t.Name) {
			return c
		}
	}
	for i := range slices.Backward(s.Checks) {
		if c := &s.Checks[i]; c.Is(kind, guardrail, t.Name) && (t.Check.Each == EachRun || c.Step == stage) {
			return c
		}
	}
	return nil
}

// CheckStage numbers the stages in which checks are asked: the steps from 0, and the bake
// as one more than the last of a run's steps. It also reports whether the stage's weight was
// acknowledged: no check starts before. It follows StageStart.
func (s *RolloutStatus) CheckStage(steps int) (stage int32, acknowledged bool) {
	if p := s.Promotion; p != nil {
		switch {
		case p.SettledAt != nil, p.FullAt != nil:
			return int32(steps), true //nolint:gosec // at most 50
		case s.Phase != PhaseHandingOver:
			return int32(steps), false //nolint:gosec // at most 50
		}
	}
	if s.Step == nil {
		return 0, false
	}
	return s.Step.Index, s.Step.AcknowledgedAt != nil
}
