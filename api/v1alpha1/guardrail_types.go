package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Guardrail is what a candidate must pass: objectives, invariants, and the triggers that
// roll it back. An SRE writes it; app teams name it in their Rollouts, but cannot weaken
// it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=gr,categories=belay
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Rollouts",type=integer,JSONPath=`.status.rollouts`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Source",type=string,JSONPath=`.spec.source`
// +kubebuilder:printcolumn:name="Triggers",type=string,priority=1,JSONPath=`.spec.triggers[*].name`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Guardrail struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is measured and what rolls a candidate back.
	// +required
	Spec GuardrailSpec `json:"spec"`

	// status is what Belay sees of it. Belay sets it.
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status GuardrailStatus `json:"status,omitempty"`
}

// ClusterGuardrail applies to every Rollout that its selectors match, in addition to the
// guardrails that the Rollout names. App teams cannot weaken it or opt out.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=cgr,categories=belay
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Rollouts",type=integer,JSONPath=`.status.rollouts`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Source",type=string,JSONPath=`.spec.source`
// +kubebuilder:printcolumn:name="Triggers",type=string,priority=1,JSONPath=`.spec.triggers[*].name`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClusterGuardrail struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is where it applies, what is measured and what rolls a candidate back.
	// +required
	Spec ClusterGuardrailSpec `json:"spec"`

	// status is what Belay sees of it. Belay sets it.
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status GuardrailStatus `json:"status,omitempty"`
}

// ClusterGuardrailSpec is a GuardrailSpec with the selectors of Rollouts.
type ClusterGuardrailSpec struct {
	GuardrailSpec `json:",inline"`

	// namespaceSelector selects namespaces by label; empty selects all.
	// +optional
	NamespaceSelector metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	// rolloutSelector selects Rollouts by label; empty selects all.
	// +optional
	RolloutSelector metav1.LabelSelector `json:"rolloutSelector,omitempty"`
}

// GuardrailSpec is objectives, invariants and triggers.
//
// +kubebuilder:validation:XValidation:rule="has(self.triggers) || has(self.slos) || has(self.invariants)",message="set slos, invariants or triggers: without any there is nothing to check"
// +kubebuilder:validation:XValidation:rule="has(self.triggers) || (has(self.slos) ? self.slos.size() : 0) + (has(self.invariants) ? self.invariants.size() : 0) <= 15",message="without triggers there may be at most 15 slos and invariants: set triggers"
// +kubebuilder:validation:XValidation:rule="has(self.triggers) || ((!has(self.slos) || self.slos.all(s, s.name != 'pods')) && (!has(self.invariants) || self.invariants.all(i, i.name != 'pods' && (!has(self.slos) || self.slos.all(s, s.name != i.name)))))",message="without triggers, each slo and invariant becomes a trigger of its name: the names must differ, and pods is taken"
// +kubebuilder:validation:XValidation:rule="!has(self.triggers) || self.triggers.all(t, !has(t.slo) || (has(self.slos) && self.slos.exists(s, s.name == t.slo)))",message="a trigger names an slo that this guardrail does not define"
// +kubebuilder:validation:XValidation:rule=`!has(self.triggers) || !has(self.slos) || self.triggers.all(t, !has(t.regression) || !has(t.slo) || !t.regression.burn.matches('^[0-9]+([.][0-9]+)?$') || self.slos.all(s, s.name != t.slo || !s.objective.matches('^[0-9]+([.][0-9]+)?$') || double(t.regression.burn) * (100.0 - double(s.objective)) < 90.0))`,message=`regression.burn times the budget must stay below 90 percent of all requests: lower burn, or raise the objective`
// +kubebuilder:validation:XValidation:rule=`has(self.triggers) || !has(self.slos) || self.slos.all(s, !s.objective.matches('^[0-9]+([.][0-9]+)?$') || 2.0 * (100.0 - double(s.objective)) < 90.0)`,message=`without triggers, each slo gets a regression trigger with burn 2, and 2 times its budget must stay below 90 percent of all requests: raise the objective above 55, or write triggers with a lower burn`
// +kubebuilder:validation:XValidation:rule=`!has(self.triggers) || !has(self.slos) || self.triggers.all(t, !has(t.burn) || !has(t.slo) || !t.burn.rate.matches('^[0-9]+([.][0-9]+)?$') || self.slos.all(s, s.name != t.slo || !s.objective.matches('^[0-9]+([.][0-9]+)?$') || double(t.burn.rate) * (100.0 - double(s.objective)) < 100.0))`,message=`burn.rate times the budget must stay below 100 percent of all requests, or the trigger can never fire: lower rate, or raise the objective`
// +kubebuilder:validation:XValidation:rule=`!has(self.preflight) || !has(self.slos) || self.slos.all(s, !has(s.indicator.promQL) || has(self.preflight.recorded) && self.preflight.recorded.exists(r, r.slo == s.name))`,message=`preflight does not support promQL: use requests or latency in this slo, name its recording rules in preflight.recorded, or move it to a guardrail without preflight`
// +kubebuilder:validation:XValidation:rule="!has(self.triggers) || self.triggers.all(t, !has(t.invariant) || (has(self.invariants) && self.invariants.exists(i, i.name == t.invariant)))",message="a trigger names an invariant that this guardrail does not define"
// +kubebuilder:validation:XValidation:rule="!has(self.preflight) || !has(self.preflight.recorded) || self.preflight.recorded.all(r, has(self.slos) && self.slos.exists(s, s.name == r.slo))",message="preflight.recorded names an slo that this guardrail does not define"
type GuardrailSpec struct {
	// source is the name of the MetricSource to query.
	// +optional
	// +kubebuilder:default=default
	// +kubebuilder:validation:MaxLength=63
	Source string `json:"source,omitempty"`

	// slos are the objectives that triggers refer to.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	SLOs []SLO `json:"slos,omitempty"`

	// invariants are things that must never happen, counted by the app.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Invariants []Invariant `json:"invariants,omitempty"`

	// triggers are the only reasons for a rollback. Without any, there are default
	// triggers: a regression for each slo and a trigger for each invariant, with their
	// names, and one for the canary's pods, named pods. A run pins them as if they were
	// written here.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Triggers []Trigger `json:"triggers,omitempty"`

	// mode is Enforce, or Observe: the triggers are judged, recorded and counted, and hold
	// and roll back nothing; preflight is not checked. A trigger may have its own.
	// +optional
	// +kubebuilder:default=Enforce
	Mode Mode `json:"mode,omitempty"`

	// minimumSamples is how many requests the candidate must have served since the present
	// weight was acknowledged before an slo trigger can pass.
	// +optional
	// +kubebuilder:default=200
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000000
	MinimumSamples int64 `json:"minimumSamples,omitempty"`

	// warmUp is how long after a canary pod is ready what it serves counts as young: until
	// then slow or failing requests may be those of a cold start, and do not roll back by
	// themselves. It is for regression and burn; 0s is none. A trigger may have its own. It is
	// not for triggers of the preset comparer: a wrong answer is no cold start.
	// +optional
	// +kubebuilder:default="60s"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s|ms))+$') && duration(self) >= duration('0s') && duration(self) <= duration('10m')",message="warmUp must be between 0s and 10m, with a unit, such as 90s or 2m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	WarmUp *metav1.Duration `json:"warmUp,omitempty"`

	// preflight is the error budget that must be left before a run starts.
	// +optional
	Preflight *Preflight `json:"preflight,omitempty"`

	// whenBlind is what to do while there is no usable response from the source. A
	// trigger may have its own.
	// +optional
	// +kubebuilder:default={}
	WhenBlind WhenBlind `json:"whenBlind,omitempty"`
}

// SLO is an objective for the ratio of good requests.
type SLO struct {
	// name that triggers refer to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// objective is the percentage of requests that must be good, from 1 to below 100,
	// such as "99.9".
	// +required
	// +kubebuilder:validation:Pattern=`^[0-9]{1,2}(\.[0-9]{1,6})?$`
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{1,2}([.][0-9]{1,6})?$') && double(self) >= 1.0",message=`objective must be a percentage from 1 to below 100, with at most 6 decimals: "99.9", not the ratio "0.999"`
	Objective string `json:"objective"`

	// period over which the error budget is counted, in days, such as "30d".
	// +optional
	// +kubebuilder:default="30d"
	// +kubebuilder:validation:XValidation:rule="self.matches('^[1-9][0-9]{0,2}d$')",message="period must be a number of days, such as 30d"
	// +kubebuilder:validation:Pattern=`^[1-9][0-9]{0,2}d$`
	// +kubebuilder:validation:MaxLength=16
	Period string `json:"period,omitempty"`

	// indicator is how all requests and the bad ones are counted.
	// +required
	Indicator Indicator `json:"indicator"`
}

// Invariant is something that must never happen. The app counts the violations, and how
// often it checked: without a check there is no pass.
type Invariant struct {
	// name that triggers refer to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// violations counts the violations; a single one on the candidate's pods fails.
	// +required
	Violations Series `json:"violations"`

	// checks counts how often the invariant was checked.
	// +required
	Checks Series `json:"checks"`

	// missingViolations is what it means that no pod of the service has a series of the
	// violations' metric, when that is another metric than the one of checks.
	// +optional
	// +kubebuilder:default=Inconclusive
	MissingViolations MissingSeries `json:"missingViolations,omitempty"`
}

// Trigger is one reason to roll a candidate back.
//
// +kubebuilder:validation:XValidation:rule="[has(self.regression), has(self.burn), has(self.budgetSpent), has(self.saturation), has(self.invariant), has(self.pods), has(self.check)].filter(x, x).size() == 1",message="set exactly one of regression, burn, budgetSpent, saturation, invariant, pods and check"
// +kubebuilder:validation:XValidation:rule="(has(self.regression) || has(self.burn) || has(self.budgetSpent)) == has(self.slo)",message="regression, burn and budgetSpent need slo; saturation, invariant, pods and check must not have it"
// +kubebuilder:validation:XValidation:rule="!has(self.pods) || !has(self.whenBlind)",message="pods uses the API server and no source: remove whenBlind from it"
// +kubebuilder:validation:XValidation:rule="!has(self.check) || !has(self.whenBlind)",message="a check without a result always holds the step: remove whenBlind from it"
// +kubebuilder:validation:XValidation:rule="!has(self.warmUp) || has(self.regression) || has(self.burn) || has(self.saturation)",message="warmUp is for regression, burn and saturation: remove it from this trigger"
type Trigger struct {
	// name of the trigger, unique in the guardrail.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// slo is the name of the objective for regression, burn or budgetSpent.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	SLO string `json:"slo,omitempty"`

	// regression fires when there is enough evidence that the candidate is worse than
	// stable and uses too much of its error budget.
	// +optional
	Regression *RegressionTrigger `json:"regression,omitempty"`

	// burn fires when the candidate burns its error budget faster than rate in
	// both windows.
	// +optional
	Burn *BurnTrigger `json:"burn,omitempty"`

	// budgetSpent fires when this run alone has spent more than this percentage of the
	// slo's error budget for its period. It counts the candidate's bad requests in excess
	// of stable's error ratio.
	// +optional
	// +kubebuilder:validation:Pattern=`^[0-9]{1,3}(\.[0-9]{1,4})?$`
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]+([.][0-9]+)?$') && double(self) > 0.0 && double(self) <= 100.0",message=`budgetSpent must be above 0 and at most 100 percent, such as "2"`
	BudgetSpent string `json:"budgetSpent,omitempty"`

	// saturation fires when the candidate's pods use more of something than stable's, or
	// than they may, for some time.
	// +optional
	Saturation *SaturationTrigger `json:"saturation,omitempty"`

	// invariant is the name of an invariant; the trigger fires on any violation.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Invariant string `json:"invariant,omitempty"`

	// pods fires when canary pods fail. It uses the API server and no metrics.
	// +optional
	Pods *PodsTrigger `json:"pods,omitempty"`

	// check fires when a Job or an HTTP endpoint says that the candidate fails. It uses no
	// metrics.
	// +optional
	Check *CheckTrigger `json:"check,omitempty"`

	// mode of this trigger, in place of the guardrail's.
	// +optional
	Mode Mode `json:"mode,omitempty"`

	// whenBlind of this trigger, in place of the guardrail's.
	// +optional
	WhenBlind *WhenBlind `json:"whenBlind,omitempty"`

	// warmUp of this trigger, in place of the guardrail's.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s|ms))+$') && duration(self) >= duration('0s') && duration(self) <= duration('10m')",message="warmUp must be between 0s and 10m, with a unit, such as 90s or 2m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	WarmUp *metav1.Duration `json:"warmUp,omitempty"`
}

// RegressionTrigger compares the candidate with stable and with the error budget. Its
// statistical tests stay valid however often they are evaluated.
type RegressionTrigger struct {
	// worseThan is how many times stable's error ratio the candidate may have.
	// +optional
	// +kubebuilder:default="1.5"
	// +kubebuilder:validation:Pattern=`^[0-9]{1,3}(\.[0-9]{1,4})?$`
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]+([.][0-9]+)?$') && double(self) >= 1.0",message=`worseThan must be at least 1, such as "1.5"`
	WorseThan string `json:"worseThan,omitempty"`

	// burn is how many times the ratio of bad requests that the objective allows the
	// candidate may have.
	// +optional
	// +kubebuilder:default="2"
	// +kubebuilder:validation:Pattern=`^[0-9]{1,4}(\.[0-9]{1,4})?$`
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]+([.][0-9]+)?$') && double(self) > 0.0",message=`burn must be above 0, such as "2"`
	Burn string `json:"burn,omitempty"`

	// falseAlarm is the proven upper bound for the ratio of healthy candidates that all
	// regression triggers of a run together roll back, also of those that are only just
	// healthy. For candidates as good as stable it is much lower: see docs/analysis.md.
	// +optional
	// +kubebuilder:default="0.01"
	// +kubebuilder:validation:Pattern=`^0\.[0-9]{1,9}$`
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]+([.][0-9]+)?$') && double(self) >= 0.000001 && double(self) <= 0.1",message=`falseAlarm must be between 0.000001 and 0.1, such as "0.01"`
	FalseAlarm string `json:"falseAlarm,omitempty"`

	// exclude holds a step until more than this multiple of the ratio of bad requests that
	// the objective allows is excluded, by what the candidate's pods served in the run after
	// their warm-up; such as "4". Without it a pass says what it excludes, and holds for
	// nothing.
	// +optional
	// +kubebuilder:validation:Pattern=`^[0-9]{1,4}(\.[0-9]{1,4})?$`
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]+([.][0-9]+)?$') && double(self) > 0.0",message=`exclude must be above 0, such as "4"`
	Exclude string `json:"exclude,omitempty"`

	// excludeConfidence is the confidence of what is excluded, in percent. It holds however
	// often it is computed.
	// +optional
	// +kubebuilder:default="95"
	// +kubebuilder:validation:Pattern=`^[0-9]{2}(\.[0-9]{1,4})?$`
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]+([.][0-9]+)?$') && double(self) >= 50.0",message=`excludeConfidence must be at least 50 percent and below 100, such as "95"`
	ExcludeConfidence string `json:"excludeConfidence,omitempty"`
}

// BurnTrigger is a multi-window burn-rate rule (Google SRE Workbook, ch. 5).
//
// +kubebuilder:validation:XValidation:rule="!self.short.matches('^([0-9]+(h|m|s|ms))+$') || !self.long.matches('^([0-9]+(h|m|s|ms))+$') || duration(self.short) <= duration(self.long)",message="short must not be longer than long"
type BurnTrigger struct {
	// rate is the burn rate that both windows must exceed; 1 spends the budget in
	// exactly its period.
	// +optional
	// +kubebuilder:default="14.4"
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]+([.][0-9]+)?$') && double(self) > 0.0",message=`rate must be above 0, such as "14.4"`
	// +kubebuilder:validation:Pattern=`^[0-9]{1,4}(\.[0-9]{1,4})?$`
	// +kubebuilder:validation:MaxLength=16
	Rate string `json:"rate,omitempty"`

	// long window, which shows that the burn is significant. In a run that is shorter,
	// it covers the whole run.
	// +optional
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s|ms))+$') && duration(self) >= duration('10s') && duration(self) <= duration('24h')",message="long must be between 10s and 24h, with a unit, such as 30s, 5m or 1h30m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	Long metav1.Duration `json:"long,omitempty"`

	// short window, which shows that the burn is still going on.
	// +optional
	// +kubebuilder:default="1m"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s|ms))+$') && duration(self) >= duration('5s') && duration(self) <= duration('2h')",message="short must be between 5s and 2h, with a unit, such as 30s, 5m or 1h30m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	Short metav1.Duration `json:"short,omitempty"`
}

// PodsTrigger judges the canary's pods by their status in the API server.
type PodsTrigger struct {
	// maxRestarts is how many restarts each container may have.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	MaxRestarts *int32 `json:"maxRestarts,omitempty"`

	// readyWithin is how long a canary pod may take to become ready.
	// +optional
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s|ms))+$') && duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="readyWithin must be between 1s and 24h, with a unit, such as 30s, 5m or 1h30m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	ReadyWithin metav1.Duration `json:"readyWithin,omitempty"`
}

// Preflight keeps a run from starting while the service has too little error budget left,
// or while its burn rate is above 14.4 over one hour and five minutes. It counts the
// requests of all versions. Without a response from the source no run starts either.
type Preflight struct {
	// budgetRemaining is how many percent of each slo's error budget for its period must
	// be left.
	// +optional
	// +kubebuilder:default="10"
	// +kubebuilder:validation:Pattern=`^[0-9]{1,3}(\.[0-9]{1,4})?$`
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]+([.][0-9]+)?$') && double(self) <= 100.0",message=`budgetRemaining must be at most 100 percent, such as "10"`
	BudgetRemaining string `json:"budgetRemaining,omitempty"`

	// recorded names recording rules for the check of some slos. Without it the check
	// computes increases over the slo's whole period, which takes a source long for
	// thousands of series.
	// +optional
	// +listType=map
	// +listMapKey=slo
	// +kubebuilder:validation:MaxItems=16
	Recorded []RecordedSLO `json:"recorded,omitempty"`

	// onViolation is what to do when it is not met: Hold waits until it is.
	// +optional
	// +kubebuilder:default=Hold
	OnViolation PreflightAction `json:"onViolation,omitempty"`
}

// RecordedSLO is where recording rules keep the error budget of an slo.
//
// +kubebuilder:validation:XValidation:rule="[has(self.sloth), has(self.pyrra), has(self.promQL)].filter(x, x).size() == 1",message="set exactly one of sloth, pyrra and promQL"
type RecordedSLO struct {
	// slo is the name of an slo of this guardrail.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	SLO string `json:"slo,omitempty"`

	// sloth reads the rules that Sloth generates: slo:period_error_budget_remaining:ratio
	// and slo:current_burn_rate:ratio.
	// +optional
	Sloth *SlothSLO `json:"sloth,omitempty"`

	// pyrra reads the generic rules of Pyrra (its flag --generic-rules):
	// pyrra_availability, pyrra_objective, pyrra_requests_total and pyrra_errors_total.
	// +optional
	Pyrra *PyrraSLO `json:"pyrra,omitempty"`

	// promQL reads any other series, by two expressions that return one series each.
	// +optional
	PromQL *RecordedPromQL `json:"promQL,omitempty"`
}

// SlothSLO is an SLO of Sloth by its names.
type SlothSLO struct {
	// service as in Sloth's spec.service, the label sloth_service.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Service string `json:"service,omitempty"`
	// slo as in Sloth's spec.slos[].name, the label sloth_slo.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	SLO string `json:"slo,omitempty"`
}

// PyrraSLO is a ServiceLevelObjective of Pyrra by its name.
type PyrraSLO struct {
	// slo is the name of the ServiceLevelObjective, the label slo.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SLO string `json:"slo,omitempty"`
}

// RecordedPromQL is two expressions. In a Guardrail, Belay restricts them to series whose
// label namespace is the Rollout's; in a ClusterGuardrail it does not.
type RecordedPromQL struct {
	// budgetRemaining is the part of the period's error budget that is left: 1 is all, 0
	// none, and below 0 more than all was spent.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	BudgetRemaining string `json:"budgetRemaining,omitempty"`
	// burnRate is how many times faster than allowed the budget is spent now; 1 spends it
	// in exactly its period.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	BurnRate string `json:"burnRate,omitempty"`
}

// PreflightAction is what to do while a pre-flight check does not pass.
// +kubebuilder:validation:Enum=Hold
type PreflightAction string

// PreflightHold waits until the check passes.
const PreflightHold PreflightAction = "Hold"

// WhenBlind is what to do while there is no usable response from a source.
type WhenBlind struct {
	// hold is how long to keep the weight and query again. It must be at least 30 s:
	// that is how long Belay needs to notice that other runs have the same problem.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s|ms))+$') && duration(self) >= duration('30s') && duration(self) <= duration('168h')",message="hold must be between 30s and 168h, with a unit, such as 90s or 5m: Belay needs two polls to notice that other runs have the same problem"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	Hold metav1.Duration `json:"hold,omitempty"`

	// then is what happens after hold: Hold keeps holding, Rollback rolls back.
	// +optional
	// +kubebuilder:default=Hold
	Then HoldOrRollback `json:"then,omitempty"`
}

// GuardrailList is a list of Guardrails.
// +kubebuilder:object:root=true
type GuardrailList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Guardrail `json:"items"`
}

// ClusterGuardrailList is a list of ClusterGuardrails.
// +kubebuilder:object:root=true
type ClusterGuardrailList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterGuardrail `json:"items"`
}
