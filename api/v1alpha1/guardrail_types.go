package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Guardrail is what an SRE asks of every new version: objectives, invariants,
// and the explicit triggers that roll it back. App teams name it; they cannot
// weaken it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=gr,categories=belay
// +kubebuilder:printcolumn:name="Source",type=string,JSONPath=`.spec.source`
// +kubebuilder:printcolumn:name="Triggers",type=string,JSONPath=`.spec.triggers[*].name`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Guardrail struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what is measured and what rolls back.
	// +required
	Spec GuardrailSpec `json:"spec"`
}

// ClusterGuardrail binds to every Rollout its selectors match. It adds to what
// the Rollout names; nothing an app team writes weakens it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=cgr,categories=belay
// +kubebuilder:printcolumn:name="Source",type=string,JSONPath=`.spec.source`
// +kubebuilder:printcolumn:name="Triggers",type=string,JSONPath=`.spec.triggers[*].name`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClusterGuardrail struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says where it binds, what is measured and what rolls back.
	// +required
	Spec ClusterGuardrailSpec `json:"spec"`
}

// ClusterGuardrailSpec is a GuardrailSpec with the selectors that bind it.
type ClusterGuardrailSpec struct {
	GuardrailSpec `json:",inline"`

	// namespaceSelector picks namespaces by label; empty matches all.
	// +optional
	NamespaceSelector metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	// rolloutSelector picks Rollouts by label; empty matches all.
	// +optional
	RolloutSelector metav1.LabelSelector `json:"rolloutSelector,omitempty"`
}

// GuardrailSpec is objectives, invariants and triggers.
//
// +kubebuilder:validation:XValidation:rule="has(self.triggers) || has(self.slos) || has(self.invariants)",message="give slos, invariants or triggers: without any there is nothing to judge"
// +kubebuilder:validation:XValidation:rule="has(self.triggers) || (has(self.slos) ? self.slos.size() : 0) + (has(self.invariants) ? self.invariants.size() : 0) <= 15",message="more than 15 slos and invariants: name the triggers"
// +kubebuilder:validation:XValidation:rule="has(self.triggers) || ((!has(self.slos) || self.slos.all(s, s.name != 'pods')) && (!has(self.invariants) || self.invariants.all(i, i.name != 'pods' && (!has(self.slos) || self.slos.all(s, s.name != i.name)))))",message="without triggers, slos and invariants give them their names: each needs its own, and pods is taken"
// +kubebuilder:validation:XValidation:rule="!has(self.triggers) || self.triggers.all(t, !has(t.slo) || (has(self.slos) && self.slos.exists(s, s.name == t.slo)))",message="a trigger names an slo that this guardrail does not define"
// +kubebuilder:validation:XValidation:rule="!has(self.triggers) || !has(self.slos) || self.triggers.all(t, !has(t.regression) || self.slos.all(s, s.name != t.slo || double(t.regression.burn) * (100.0 - double(s.objective)) < 90.0))",message="regression.burn times the budget must stay below 90 percent of all requests: lower burn, or raise the objective"
// +kubebuilder:validation:XValidation:rule="!has(self.triggers) || self.triggers.all(t, !has(t.invariant) || (has(self.invariants) && self.invariants.exists(i, i.name == t.invariant)))",message="a trigger names an invariant that this guardrail does not define"
type GuardrailSpec struct {
	// source names the MetricSource that answers.
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

	// invariants are what must never happen.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Invariants []Invariant `json:"invariants,omitempty"`

	// triggers are the only things that roll back. Without any, each slo gets a
	// regression, each invariant a trigger of its name, and the canary's pods one
	// called pods; a run pins them as if they were written here.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Triggers []Trigger `json:"triggers,omitempty"`

	// minimumSamples is how many requests the candidate must have served since
	// the step began before an slo trigger can pass.
	// +optional
	// +kubebuilder:default=200
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000000
	MinimumSamples int64 `json:"minimumSamples,omitempty"`

	// preflight says what each slo's service must have left before a run starts.
	// +optional
	Preflight *Preflight `json:"preflight,omitempty"`

	// whenBlind is what to do while the source gives no usable answer. A trigger
	// may have its own.
	// +optional
	// +kubebuilder:default={}
	WhenBlind WhenBlind `json:"whenBlind,omitempty"`
}

// SLO is an objective over a share of requests.
type SLO struct {
	// name that triggers refer to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// objective is the share of good requests, in percent, above 0 and below
	// 100: "99.9".
	// +required
	// +kubebuilder:validation:Pattern=`^[0-9]{1,2}(\.[0-9]{1,6})?$`
	// +kubebuilder:validation:MaxLength=9
	// +kubebuilder:validation:XValidation:rule="double(self) > 0.0",message="objective must be above 0 and below 100 percent"
	Objective string `json:"objective"`

	// period over which the error budget is counted, in days: "30d".
	// +optional
	// +kubebuilder:default="30d"
	// +kubebuilder:validation:Pattern=`^[1-9][0-9]{0,2}d$`
	// +kubebuilder:validation:MaxLength=4
	Period string `json:"period,omitempty"`

	// indicator says how good and bad requests are counted.
	// +required
	Indicator Indicator `json:"indicator"`
}

// Invariant counts violations of what must never happen, and how often it was
// checked: a check that never ran proves nothing.
type Invariant struct {
	// name that triggers refer to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// violations counts them; any on the candidate's pods is one too many.
	// +required
	Violations Series `json:"violations"`

	// checks counts how often the invariant was checked.
	// +required
	Checks Series `json:"checks"`
}

// Trigger is one explicit reason to roll back.
//
// +kubebuilder:validation:XValidation:rule="[has(self.regression), has(self.burn), has(self.budgetSpent), has(self.invariant), has(self.pods)].filter(x, x).size() == 1",message="set exactly one of regression, burn, budgetSpent, invariant and pods"
// +kubebuilder:validation:XValidation:rule="(has(self.regression) || has(self.burn) || has(self.budgetSpent)) == has(self.slo)",message="regression, burn and budgetSpent need slo; invariant and pods do not take it"
// +kubebuilder:validation:XValidation:rule="!has(self.pods) || !has(self.whenBlind)",message="pods reads the API server, never a source: remove its whenBlind"
type Trigger struct {
	// name is unique in the guardrail.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// slo that regression, burn or budgetSpent judges.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	SLO string `json:"slo,omitempty"`

	// regression fires on evidence that the candidate is worse than stable and
	// outside its budget.
	// +optional
	Regression *RegressionTrigger `json:"regression,omitempty"`

	// burn fires when the candidate burns its error budget faster than rate in
	// both windows.
	// +optional
	Burn *BurnTrigger `json:"burn,omitempty"`

	// budgetSpent fires when this run alone has cost more than this percentage of
	// the slo's error budget for its period: the candidate's bad requests beyond
	// what stable would have had.
	// +optional
	// +kubebuilder:validation:Pattern=`^[0-9]{1,3}(\.[0-9]{1,4})?$`
	// +kubebuilder:validation:MaxLength=8
	// +kubebuilder:validation:XValidation:rule="double(self) > 0.0 && double(self) <= 100.0",message="budgetSpent must be above 0 and at most 100 percent"
	BudgetSpent string `json:"budgetSpent,omitempty"`

	// invariant fires on any violation.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Invariant string `json:"invariant,omitempty"`

	// pods fires on failing canary pods. It reads the API server only.
	// +optional
	Pods *PodsTrigger `json:"pods,omitempty"`

	// whenBlind of this trigger, instead of the guardrail's.
	// +optional
	WhenBlind *WhenBlind `json:"whenBlind,omitempty"`
}

// RegressionTrigger compares the candidate with stable and with the budget by
// always-valid tests: looking often costs no certainty.
type RegressionTrigger struct {
	// worseThan is how many times as bad as stable the candidate may be.
	// +optional
	// +kubebuilder:default="1.5"
	// +kubebuilder:validation:Pattern=`^[0-9]{1,3}(\.[0-9]{1,4})?$`
	// +kubebuilder:validation:MaxLength=8
	// +kubebuilder:validation:XValidation:rule="double(self) >= 1.0",message="worseThan must be at least 1"
	WorseThan string `json:"worseThan,omitempty"`

	// burn is how many times its budget the candidate may use up.
	// +optional
	// +kubebuilder:default="2"
	// +kubebuilder:validation:Pattern=`^[0-9]{1,4}(\.[0-9]{1,4})?$`
	// +kubebuilder:validation:MaxLength=9
	// +kubebuilder:validation:XValidation:rule="double(self) > 0.0",message="burn must be above 0"
	Burn string `json:"burn,omitempty"`

	// falseAlarm is the proven upper bound of the share of healthy rollouts, also
	// the worst of them, that all regression triggers of a run together roll back.
	// Of versions as good as stable far fewer are: see docs/analysis.md.
	// +optional
	// +kubebuilder:default="0.01"
	// +kubebuilder:validation:Pattern=`^0\.[0-9]{1,9}$`
	// +kubebuilder:validation:MaxLength=11
	// +kubebuilder:validation:XValidation:rule="double(self) >= 0.000001 && double(self) <= 0.1",message="falseAlarm must be between 0.000001 and 0.1"
	FalseAlarm string `json:"falseAlarm,omitempty"`
}

// BurnTrigger is a multi-window burn-rate rule (Google SRE Workbook, ch. 5).
//
// +kubebuilder:validation:XValidation:rule="duration(self.short) <= duration(self.long)",message="short must not be longer than long"
type BurnTrigger struct {
	// rate of budget consumption that both windows must exceed; 1 spends the
	// budget in exactly its period.
	// +optional
	// +kubebuilder:default="14.4"
	// +kubebuilder:validation:Pattern=`^[0-9]{1,4}(\.[0-9]{1,4})?$`
	// +kubebuilder:validation:MaxLength=9
	Rate string `json:"rate,omitempty"`

	// long window, which makes it significant. Of a run shorter than that, it
	// covers what there is.
	// +optional
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('24h')",message="long must be between 10s and 24h"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	Long metav1.Duration `json:"long,omitempty"`

	// short window, which makes it recent.
	// +optional
	// +kubebuilder:default="1m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('5s') && duration(self) <= duration('2h')",message="short must be between 5s and 2h"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	Short metav1.Duration `json:"short,omitempty"`
}

// PodsTrigger judges the canary's pods by what the API server says of them.
type PodsTrigger struct {
	// maxRestarts of any one container that is still tolerated.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	MaxRestarts *int32 `json:"maxRestarts,omitempty"`

	// readyWithin is how long a canary pod may take to become ready.
	// +optional
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="readyWithin must be between 1s and 24h"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	ReadyWithin metav1.Duration `json:"readyWithin,omitempty"`
}

// Preflight keeps a run from starting while the service, whatever versions serve
// it, has no error budget to spare or its burn-rate alert fires: 14.4 times over
// one hour and five minutes. Without an answer no run starts either.
type Preflight struct {
	// budgetRemaining is how many percent of each slo's budget must be left of its
	// period.
	// +optional
	// +kubebuilder:default="10"
	// +kubebuilder:validation:Pattern=`^[0-9]{1,3}(\.[0-9]{1,4})?$`
	// +kubebuilder:validation:MaxLength=8
	// +kubebuilder:validation:XValidation:rule="double(self) <= 100.0",message="budgetRemaining must be at most 100 percent"
	BudgetRemaining string `json:"budgetRemaining,omitempty"`

	// onViolation is what to do then: Hold waits until it is over.
	// +optional
	// +kubebuilder:default=Hold
	OnViolation PreflightAction `json:"onViolation,omitempty"`
}

// PreflightAction is what to do while a service cannot afford a run. There is
// nothing to roll back before one.
// +kubebuilder:validation:Enum=Hold
type PreflightAction string

// PreflightHold waits until the service can afford it.
const PreflightHold PreflightAction = "Hold"

// WhenBlind is what to do while a source gives no usable answer.
type WhenBlind struct {
	// hold is how long to keep the weight and ask again. Below 30 s a blind run
	// could not be told from a source that is out for everybody.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('30s') && duration(self) <= duration('168h')",message="hold must be between 30s and 168h: it takes two polls to tell a blind run from a source that is out"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	Hold metav1.Duration `json:"hold,omitempty"`

	// then is what follows: Hold goes on holding, Rollback rolls back.
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
