package v1alpha1

import (
	"slices"
	"time"
)

// MaxTriggers is how many triggers a status can have: the limit of
// RolloutStatus.Verdicts and AnalysisStatus.Triggers. No run starts with more. When a
// change adds more to a run in progress, all of them are judged, and the worst are shown.
const MaxTriggers = 64

// The judge writes unchanged verdicts of a run again when they are VerdictsRenewed old.
// Verdicts older than VerdictsSilent mean that the judge has stopped.
const (
	VerdictsRenewed = 30 * time.Second
	VerdictsSilent  = 3 * VerdictsRenewed
)

// PreflightFreshFor is how long the verdict of a pre-flight check is valid.
const PreflightFreshFor = 2 * time.Minute

// clockStep is how far clocks of Belay's processes may differ.
const clockStep = 5 * time.Second

// IsCurrent reports whether a verdict of that time may be used now. One from the future was
// made before a clock was set back: nobody knows how old it is.
func IsCurrent(at, now time.Time, fresh time.Duration) bool {
	return now.Sub(at) <= fresh && !IsFuture(at, now)
}

// IsFuture reports whether a time is later than now by more than clocks may differ.
func IsFuture(at, now time.Time) bool { return at.Sub(now) > clockStep }

// severities orders outcomes by precedence: Fail > Error > Inconclusive > Pass.
var severities = map[VerdictOutcome]int{VerdictPass: 0, VerdictInconclusive: 1, VerdictError: 2, VerdictFail: 3}

// Severity orders outcomes, Fail highest. An unknown outcome counts as Error.
func (o VerdictOutcome) Severity() int {
	if s, ok := severities[o]; ok {
		return s
	}
	return severities[VerdictError]
}

// Decisive is the outcome as far as it decides anything: that of a trigger which only
// observes counts as Pass.
func (m Mode) Decisive(o VerdictOutcome) VerdictOutcome {
	if m == ModeObserve {
		return VerdictPass
	}
	return o
}

// WorstFirst returns at most MaxTriggers elements: all in their order when there are no
// more than that, or else the most severe, most severe first. It may reorder its argument.
func WorstFirst[T any](all []T, outcome func(T) VerdictOutcome) []T {
	if len(all) <= MaxTriggers {
		return all
	}
	slices.SortStableFunc(all, func(a, b T) int { return outcome(b).Severity() - outcome(a).Severity() })
	return all[:MaxTriggers]
}

// TriggerName is how messages, records and series name a trigger: guardrail/trigger. It is
// unique among a run's triggers: a ClusterGuardrail's begins with its kind, because a
// tenant's Guardrail may have the same name, but never stands for it.
func TriggerName(kind, guardrail, trigger string) string {
	name := guardrail + "/" + trigger
	if kind == "ClusterGuardrail" {
		return kind + "/" + name
	}
	return name
}

// Trigger returns the newest evaluation of a guardrail's trigger; nil before the
// first one.
func (a *AnalysisStatus) Trigger(kind, guardrail, name string) *TriggerAnalysis {
	if a == nil {
		return nil
	}
	for i := range a.Triggers {
		if t := &a.Triggers[i]; t.Kind == kind && t.Guardrail == guardrail && t.Name == name {
			return t
		}
	}
	return nil
}

// ReasonsWithoutRequests are the reasons of an Inconclusive verdict that say only that the
// candidate has served no requests, or fewer than a verdict needs.
func ReasonsWithoutRequests() []string {
	return []string{"NoTraffic", "BelowMinSamples", "InvariantNotExercised"}
}
