package v1alpha1

// Condition types of a Rollout.
const (
	// ConditionReady is True when the declared version serves, judged and baked.
	ConditionReady = "Ready"
	// ConditionReconciling is True while Belay works towards the declared version.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when only a person can make it go on.
	ConditionStalled = "Stalled"
	// ConditionGuarded is True when dry-runs have shown that a pushed template
	// comes back paused and that a bypass takes its verb.
	ConditionGuarded = "Guarded"
	// ConditionTrafficConflict is True when something else changes the route.
	ConditionTrafficConflict = "TrafficConflict"
	// ConditionInvariantViolated is True when a self-check found a state that
	// Belay must never leave behind. It changes no decision: the planner's rules
	// lead out of each such state by themselves.
	ConditionInvariantViolated = "InvariantViolated"
	// ConditionOutage of a MetricSource is True while so many runs get no usable
	// answer from it that the source must be at fault: all of them hold.
	ConditionOutage = "Outage"
	// ConditionReachable of a MetricSource is True when its last query answered.
	ConditionReachable = "Reachable"
)

// Reasons of a Rollout's conditions. The set is closed.
const (
	ReasonStable             = "Stable"
	ReasonProgressing        = "Progressing"
	ReasonHolding            = "Holding"
	ReasonPaused             = "Paused"
	ReasonPromoting          = "Promoting"
	ReasonBaking             = "Baking"
	ReasonRollingBack        = "RollingBack"
	ReasonRolledBack         = "RolledBack"
	ReasonDeadlineExceeded   = "DeadlineExceeded"
	ReasonTriggerObserved    = "TriggerObserved"
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
	ReasonServiceUnusable    = "ServiceUnusable"
	ReasonTriggerFired       = "TriggerFired"
	ReasonNothingServes      = "NothingServes"
	ReasonInvalidCredentials = "InvalidCredentials"
	ReasonSelectorUnreadable = "SelectorUnreadable"
)
