package v1alpha1

// Condition types of a Rollout.
const (
	// ConditionReady is True when the declared version serves, has passed its guardrails
	// and its bake.
	ConditionReady = "Ready"
	// ConditionReconciling is True while Belay works towards the declared version.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when a person has to act before it can go on.
	ConditionStalled = "Stalled"
	// ConditionGuarded is True when dry-runs have shown that the guard pauses the
	// Deployment when its template changes, and that a bypass needs the verb bypass.
	ConditionGuarded = "Guarded"
	// ConditionTrafficConflict is True when something else changes the route.
	ConditionTrafficConflict = "TrafficConflict"
	// ConditionInvariantViolated is True when a self-check has failed: the observed state
	// or a decision breaks one of Belay's invariants. Increases are held back, rollbacks
	// are not.
	ConditionInvariantViolated = "InvariantViolated"
	// ConditionOutage of a MetricSource is True while so many runs get no usable response
	// from it that the source must be the cause: all of them hold.
	ConditionOutage = "Outage"
	// ConditionReachable of a MetricSource is True when it responded to the last check.
	ConditionReachable = "Reachable"
	// ConditionExclusionReachable of a Guardrail or ClusterGuardrail is True when the steps of
	// the Rollouts that it applies to are long enough, at their present rate of requests, for
	// what regression.exclude demands. It is absent when no trigger has that. It blocks nothing.
	ConditionExclusionReachable = "ExclusionReachable"
)

// Reasons of a Rollout's conditions. The set is closed.
const (
	ReasonStable             = "Stable"
	ReasonProgressing        = "Progressing"
	ReasonHolding            = "Holding"
	ReasonPaused             = "Paused"
	ReasonAwaitingApproval   = "AwaitingApproval"
	ReasonSettling           = "Settling"
	ReasonPromoting          = "Promoting"
	ReasonBaking             = "Baking"
	ReasonRollingBack        = "RollingBack"
	ReasonRolledBack         = "RolledBack"
	ReasonDeadlineExceeded   = "DeadlineExceeded"
	ReasonWorkloadNotFound   = "WorkloadNotFound"
	ReasonWorkloadNotReady   = "WorkloadNotReady"
	ReasonRouteNotFound      = "RouteNotFound"
	ReasonServiceNotFound    = "ServiceNotFound"
	ReasonGuardrailNotFound  = "GuardrailNotFound"
	ReasonPreflight          = "Preflight"
	ReasonTooManyTriggers    = "TooManyTriggers"
	ReasonWorkloadClaimed    = "WorkloadClaimed"
	ReasonMetricSourceDenied = "MetricSourceDenied"
	ReasonGuardProven        = "GuardProven"
	ReasonGuardMissing       = "GuardMissing"
	ReasonGuardUnproven      = "GuardUnproven"
	ReasonForeignWrite       = "ForeignWrite"
	ReasonNoConflict         = "NoConflict"
	ReasonSelfCheckPassed    = "SelfCheckPassed"
	ReasonSelfCheckFailed    = "SelfCheckFailed"
	ReasonReleasing          = "Releasing"
	ReasonAnswered           = "Answered"
	ReasonManyRunsBlind      = "ManyRunsBlind"
	ReasonNoOutage           = "NoOutage"
	ReasonHandingOver        = "HandingOver"
	ReasonScaledToZero       = "ScaledToZero"
	ReasonWrongVersionServes = "WrongVersionServes"
	ReasonRefused            = "Refused"
	ReasonNotAcknowledged    = "NotAcknowledged"
	ReasonServiceUnusable    = "ServiceUnusable"
	ReasonTriggerFired       = "TriggerFired"
	ReasonNothingServes      = "NothingServes"
	ReasonInvalidCredentials = "InvalidCredentials"
	ReasonSelectorUnreadable = "SelectorUnreadable"
	ReasonGuardrailInvalid   = "GuardrailInvalid"
	ReasonGuardrailUnchecked = "GuardrailUnchecked"
	ReasonCheckDenied        = "CheckDenied"
	ReasonFrozen             = "Frozen"
	ReasonFreezeUnclear      = "FreezeUnclear"
)

// Reasons of the condition Ready of a Guardrail or ClusterGuardrail. The set is closed.
const (
	// ReasonMeasured: True. Every indicator sees its series on the stable pods.
	ReasonMeasured = "Measured"
	// ReasonNothingToMeasure: True. No trigger uses a source.
	ReasonNothingToMeasure = "NothingToMeasure"
	// ReasonNoRollouts: True. The spec is valid, and no Rollout that it applies to has ready
	// stable pods.
	ReasonNoRollouts = "NoRollouts"
	// ReasonInvalidSpec: False. The spec cannot be used, and no run starts with it.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonUnknownLabel: False. A matcher's label exists on no series.
	ReasonUnknownLabel = "UnknownLabel"
	// ReasonNeverSeen: False. The metric of the bad requests or violations has no series.
	ReasonNeverSeen = "NeverSeen"
	// ReasonNoSeries: False. The metric of all requests or checks has no series.
	ReasonNoSeries = "NoSeries"
	// ReasonEverythingBad: False. All requests or checks of stable's are counted as bad.
	ReasonEverythingBad = "EverythingBad"
	// ReasonNoBucket: False. The histogram has no bucket with the threshold as its bound.
	ReasonNoBucket = "NoBucket"
	// ReasonNotRouted: False. An indicator counts by Service, and a Rollout has no
	// spec.traffic; or by Service or Workload, and a Rollout is for a StatefulSet.
	ReasonNotRouted = "NotRouted"
	// ReasonSourceUnusable: Unknown. The source gives no usable response.
	ReasonSourceUnusable = "SourceUnusable"
)

// Reasons of the condition Ready of a Freeze or ClusterFreeze. The set is closed.
const (
	// ReasonValid: True. Every window and selector can be read.
	ReasonValid = "Valid"
	// ReasonExpired: True. spec.expires is over, and it holds nothing any more.
	ReasonExpired = "Expired"
	// ReasonInvalid: False. A window or a selector cannot be read, and the freeze holds what it
	// may be for.
	ReasonInvalid = "Invalid"
)

// Reasons of the condition ExclusionReachable of a Guardrail or ClusterGuardrail. The set is
// closed.
const (
	// ReasonHoldsSuffice: True. Of the Rollouts whose rate of requests is known.
	ReasonHoldsSuffice = "HoldsSuffice"
	// ReasonHoldTooShort: False. A step will hold for longer than it says.
	ReasonHoldTooShort = "HoldTooShort"
	// ReasonDeadlineTooShort: False. A step will hold until its deadline.
	ReasonDeadlineTooShort = "DeadlineTooShort"
	// ReasonNoRequests: False. The service gets no requests.
	ReasonNoRequests = "NoRequests"
	// ReasonStableTooBad: False. Stable's own bad requests keep it from being excluded.
	ReasonStableTooBad = "StableTooBad"
	// ReasonRateUnknown: Unknown. It takes two probes of a Rollout.
	ReasonRateUnknown = "RateUnknown"
)
