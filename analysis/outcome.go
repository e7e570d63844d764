// Package analysis turns counters into evidence and evidence into verdicts, each with a
// reason from a closed set and a message with the numbers. It is pure: it queries no
// source, reads no clock, and writes nothing.
package analysis

// Outcome of one evaluation. The zero value is not an outcome.
type Outcome string

// When the result is not known, the outcome is Inconclusive (the data does not decide) or
// Error (no usable response). Neither promotes, and neither rolls back by itself.
const (
	Pass         Outcome = "Pass"
	Fail         Outcome = "Fail"
	Inconclusive Outcome = "Inconclusive"
	Error        Outcome = "Error"
)

var precedence = map[Outcome]int{Pass: 1, Inconclusive: 2, Error: 3, Fail: 4}

// Worst returns the worst outcome: Fail > Error > Inconclusive > Pass. Without arguments,
// and for a value that is not an outcome, it is Error.
func Worst(outcomes ...Outcome) Outcome {
	worst := Outcome("")
	for _, o := range outcomes {
		if _, known := precedence[o]; !known {
			o = Error
		}
		if precedence[o] > precedence[worst] {
			worst = o
		}
	}
	if worst == "" {
		return Error
	}
	return worst
}

// Reason is why an evaluation has its outcome. The set is closed.
type Reason string

// Reasons, by the outcome they belong to.
const (
	Healthy Reason = "Healthy"

	BurnRateExceeded Reason = "BurnRateExceeded"
	RegressionFound  Reason = "Regression"
	// RegressionWithoutBaseline is found while stable serves nothing to compare with.
	RegressionWithoutBaseline Reason = "RegressionWithoutBaseline"
	BudgetExceeded            Reason = "BudgetSpent"
	InvariantViolated         Reason = "InvariantViolated"
	Saturated                 Reason = "Saturated"
	BudgetLow                 Reason = "BudgetLow"
	AlertFiring               Reason = "AlertFiring"

	Pending               Reason = "Pending"
	NoTraffic             Reason = "NoTraffic"
	BelowMinSamples       Reason = "BelowMinSamples"
	Stale                 Reason = "Stale"
	PartialCoverage       Reason = "PartialCoverage"
	EnvironmentIncident   Reason = "EnvironmentIncident"
	InvariantNotExercised Reason = "InvariantNotExercised"
	WeightMismatch        Reason = "WeightMismatch"
	NotExcludedYet        Reason = "NotExcludedYet"
	BaselineMissing       Reason = "BaselineMissing"
	UnknownLabel          Reason = "UnknownLabel"
	NeverSeen             Reason = "NeverSeen"
	// NoSeries is said of an app that never had a series of the metric; a source that had
	// some, and has none now, is PartialCoverage.
	NoSeries Reason = "NoSeries"
	// EverythingBad is said of an indicator, never of a run.
	EverythingBad Reason = "EverythingBad"
	NotRouted             Reason = "NotRouted"

	Timeout       Reason = "Timeout"
	Unreachable   Reason = "Unreachable"
	TLSFailure    Reason = "TLSFailure"
	Auth          Reason = "Auth"
	HTTP5xx       Reason = "HTTP5xx"
	Overload      Reason = "Overload"
	BadQuery      Reason = "BadQuery"
	Redirected    Reason = "Redirected"
	TooLarge      Reason = "TooLarge"
	TooManySeries Reason = "TooManySeries"
	Warning       Reason = "Warning"
	ClockSkew     Reason = "ClockSkew"
	Truncated     Reason = "Truncated"
	Malformed     Reason = "Malformed"
	WrongType     Reason = "WrongType"
	SourceMissing Reason = "SourceMissing"
)

var outcomes = map[Reason]Outcome{
	Healthy: Pass,

	BurnRateExceeded: Fail, RegressionFound: Fail, RegressionWithoutBaseline: Fail, BudgetExceeded: Fail, BudgetLow: Fail, AlertFiring: Fail, InvariantViolated: Fail, Saturated: Fail,

	Pending: Inconclusive, NoTraffic: Inconclusive, BelowMinSamples: Inconclusive, Stale: Inconclusive,
	PartialCoverage: Inconclusive, EnvironmentIncident: Inconclusive, InvariantNotExercised: Inconclusive, WeightMismatch: Inconclusive, BaselineMissing: Inconclusive,
	NotExcludedYet: Inconclusive, UnknownLabel: Inconclusive, NeverSeen: Inconclusive, NoSeries: Inconclusive, EverythingBad: Inconclusive, NotRouted: Inconclusive,

	Timeout: Error, Unreachable: Error, TLSFailure: Error, Auth: Error, HTTP5xx: Error, Overload: Error,
	BadQuery: Error, Redirected: Error, TooLarge: Error, TooManySeries: Error, Warning: Error,
	ClockSkew: Error, Truncated: Error, Malformed: Error, WrongType: Error, SourceMissing: Error,
}

// Outcome is the outcome that a reason belongs to; Error for an unknown reason.
func (r Reason) Outcome() Outcome {
	if o, ok := outcomes[r]; ok {
		return o
	}
	return Error
}

// Verdict is the result of an evaluation.
type Verdict struct {
	Reason  Reason
	Message string
	// Statistics are the numbers behind the message.
	Statistics []Statistic
}

// Statistic is a named number.
type Statistic struct {
	Name  string
	Value float64
}

// Outcome of the verdict.
func (v Verdict) Outcome() Outcome { return v.Reason.Outcome() }
