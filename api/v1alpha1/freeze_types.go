package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Freeze is when no Rollout of its namespace starts a run or goes on to more requests: a
// holiday, a sale, the weekend. It never holds a rollback. An SRE writes it; app teams can
// read it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=fz,categories=belay
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Active",type=boolean,JSONPath=`.status.active`
// +kubebuilder:printcolumn:name="Opens",type=string,JSONPath=`.status.nextOpens`
// +kubebuilder:printcolumn:name="Closes",type=string,JSONPath=`.status.nextCloses`
// +kubebuilder:printcolumn:name="Rollouts",type=integer,JSONPath=`.status.rollouts`
// +kubebuilder:printcolumn:name="Owner",type=string,JSONPath=`.spec.owner`
// +kubebuilder:printcolumn:name="Why",type=string,priority=1,JSONPath=`.spec.reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Freeze struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is when it holds, what, and why.
	// +required
	Spec FreezeSpec `json:"spec,omitzero"`

	// status is what Belay sees of it. Belay sets it.
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status FreezeStatus `json:"status,omitempty"`
}

// ClusterFreeze is a Freeze for every Rollout that its selectors match, in any namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=cfz,categories=belay
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Active",type=boolean,JSONPath=`.status.active`
// +kubebuilder:printcolumn:name="Opens",type=string,JSONPath=`.status.nextOpens`
// +kubebuilder:printcolumn:name="Closes",type=string,JSONPath=`.status.nextCloses`
// +kubebuilder:printcolumn:name="Rollouts",type=integer,JSONPath=`.status.rollouts`
// +kubebuilder:printcolumn:name="Owner",type=string,JSONPath=`.spec.owner`
// +kubebuilder:printcolumn:name="Why",type=string,priority=1,JSONPath=`.spec.reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClusterFreeze struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is where and when it holds, what, and why.
	// +required
	Spec ClusterFreezeSpec `json:"spec,omitzero"`

	// status is what Belay sees of it. Belay sets it.
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status FreezeStatus `json:"status,omitempty"`
}

// ClusterFreezeSpec is a FreezeSpec with the selector of namespaces.
type ClusterFreezeSpec struct {
	FreezeSpec `json:",inline"`

	// namespaceSelector selects namespaces by label; empty selects all.
	// +optional
	NamespaceSelector metav1.LabelSelector `json:"namespaceSelector,omitempty"`
}

// FreezeSpec is windows in time, and whom to ask about them.
type FreezeSpec struct {
	// reason is shown wherever the freeze holds something, such as "Black Friday".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	Reason string `json:"reason,omitempty"`

	// owner is whom to ask about it: a team, a channel or an address.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	Owner string `json:"owner,omitempty"`

	// expires is when it holds nothing any more, whatever its windows say.
	// +optional
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[01][0-9]-[0-3][0-9]T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[-+]([01][0-9]|2[0-3]):[0-5][0-9])$`
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:XValidation:rule="self > timestamp('2000-01-01T00:00:00Z')",message="expires must be a date and time after 2000 with seconds and zone, such as 2026-11-30T08:00:00Z"
	Expires *metav1.Time `json:"expires,omitempty"`

	// rolloutSelector selects Rollouts by label; empty selects all.
	// +optional
	RolloutSelector metav1.LabelSelector `json:"rolloutSelector,omitempty"`

	// windows are when it holds: in any of them.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Windows []FreezeWindow `json:"windows,omitempty"`
}

// FreezeWindow is one time from one date until another, or a time that recurs.
//
// +kubebuilder:validation:XValidation:rule="has(self.from) == has(self.until) && has(self.from) != has(self.recurrence)",message="set from and until, or recurrence with start, duration and timeZone"
// +kubebuilder:validation:XValidation:rule="has(self.recurrence) == has(self.start) && has(self.recurrence) == has(self.duration) && has(self.recurrence) == has(self.timeZone)",message="recurrence needs start, duration and timeZone, and from and until go without them"
// +kubebuilder:validation:XValidation:rule="!has(self.from) || !has(self.until) || self.from < self.until",message="until must be after from"
type FreezeWindow struct {
	// from is when a single window begins.
	// +optional
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[01][0-9]-[0-3][0-9]T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[-+]([01][0-9]|2[0-3]):[0-5][0-9])$`
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:XValidation:rule="self > timestamp('2000-01-01T00:00:00Z')",message="from must be a date and time after 2000 with seconds and zone, such as 2026-11-30T08:00:00Z"
	From *metav1.Time `json:"from,omitempty"`

	// until is when a single window ends.
	// +optional
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[01][0-9]-[0-3][0-9]T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[-+]([01][0-9]|2[0-3]):[0-5][0-9])$`
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:XValidation:rule="self > timestamp('2000-01-01T00:00:00Z')",message="until must be a date and time after 2000 with seconds and zone, such as 2026-11-30T08:00:00Z"
	Until *metav1.Time `json:"until,omitempty"`

	// recurrence is when windows begin, as an RRULE of RFC 5545 (section 3.3.10) with FREQ
	// DAILY, WEEKLY, MONTHLY or YEARLY, and INTERVAL, BYMONTH, BYMONTHDAY, BYDAY, BYHOUR,
	// BYMINUTE and WKST. The end of it is expires.
	// +optional
	// +kubebuilder:validation:MinLength=10
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^FREQ=(DAILY|WEEKLY|MONTHLY|YEARLY)(;[A-Z]+=[-+,0-9A-Z]+)*$')",message="recurrence must be an RRULE that begins with FREQ=DAILY, WEEKLY, MONTHLY or YEARLY, such as FREQ=WEEKLY;BYDAY=FR"
	// +kubebuilder:validation:XValidation:rule="!self.matches(';(COUNT|UNTIL)=')",message="recurrence has no end of its own: remove COUNT and UNTIL, and set spec.expires"
	// +kubebuilder:validation:XValidation:rule="self.matches('^FREQ=[A-Z]+(;(COUNT|UNTIL|INTERVAL|BYMONTH|BYMONTHDAY|BYDAY|BYHOUR|BYMINUTE|WKST)=[-+,0-9A-Z]+)*$') || !self.matches('^FREQ=(DAILY|WEEKLY|MONTHLY|YEARLY)(;[A-Z]+=[-+,0-9A-Z]+)*$')",message="recurrence may have INTERVAL, BYMONTH, BYMONTHDAY, BYDAY, BYHOUR, BYMINUTE and WKST after FREQ"
	Recurrence string `json:"recurrence,omitempty"`

	// start is the local date and time from which windows recur, such as 2026-11-27T16:00. It
	// is also what recurrence does not say: the time of day without BYHOUR and BYMINUTE, and
	// the day without a rule for days.
	// +optional
	// +kubebuilder:validation:MinLength=16
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^20[2-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]$') && !format.datetime().validate(self + ':00Z').hasValue()",message="start must be a local date and time from 2020 on, without seconds and zone, such as 2026-11-27T16:00"
	Start string `json:"start,omitempty"`

	// duration of each window by the local clock: one of 16h that begins at 16:00 ends at 08:00,
	// also in the night in which the clocks change.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s))+$') && duration(self) >= duration('1m') && duration(self) <= duration('768h')",message="duration must be between 1m and 768h (32 days), with a unit, such as 64h"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s))+$`
	// +kubebuilder:validation:Type=string
	Duration *metav1.Duration `json:"duration,omitempty"`

	// timeZone is the IANA name of the zone in which start and recurrence are read, such as
	// Europe/Berlin or UTC.
	// +optional
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$') && self != 'Local'",message="timeZone must be an IANA name, such as Europe/Berlin, America/New_York or UTC"
	TimeZone string `json:"timeZone,omitempty"`
}

// FreezeStatus is what Belay sees of a freeze.
type FreezeStatus struct {
	// conditions of the freeze. Ready is False when a window or a selector cannot be read:
	// then it holds what it may be for, until it is corrected.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// active is whether it holds now.
	// +optional
	Active *bool `json:"active,omitempty"`

	// nextOpens is when it ends to hold, while it is active. Windows that touch count as one.
	// +optional
	NextOpens *metav1.Time `json:"nextOpens,omitempty"`

	// nextCloses is when it begins to hold, while it is not active; empty when that is more
	// than 366 days away, or never.
	// +optional
	NextCloses *metav1.Time `json:"nextCloses,omitempty"`

	// rollouts is how many Rollouts it is for.
	// +optional
	Rollouts *int32 `json:"rollouts,omitempty"`
}

// FreezeList is a list of Freezes.
// +kubebuilder:object:root=true
type FreezeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Freeze `json:"items"`
}

// ClusterFreezeList is a list of ClusterFreezes.
// +kubebuilder:object:root=true
type ClusterFreezeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterFreeze `json:"items"`
}
