package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SaturationTrigger fires when the candidate's pods use more of something than they should:
// memory, a queue, the lag of a consumer, throttled CPU time. The value of a pod is the sum
// over its series, that of a version the mean over its ready pods past their warm-up.
//
// +kubebuilder:validation:XValidation:rule="has(self.gauge) != has(self.rate)",message="set exactly one of gauge and rate: a gauge for what rises and falls, a rate for a counter"
// +kubebuilder:validation:XValidation:rule="has(self.worseThan) || has(self.max)",message="set worseThan, max or both: without them no value is too high"
type SaturationTrigger struct {
	// gauge is a metric that rises and falls, such as
	// container_memory_working_set_bytes.
	// +optional
	Gauge *Series `json:"gauge,omitempty"`

	// rate is a cumulative counter, such as container_cpu_cfs_throttled_periods_total. Its
	// increase per second counts, over four scrape intervals, at least 1m.
	// +optional
	Rate *Series `json:"rate,omitempty"`

	// per divides each pod's value, such as the pod's limit or all its periods. It is a gauge
	// beside gauge, and a counter beside rate.
	// +optional
	Per *Series `json:"per,omitempty"`

	// worseThan is how many times the value of stable's pods at the same time the candidate
	// may have. With max too, both must be exceeded.
	// +optional
	// +kubebuilder:validation:Pattern=`^[0-9]{1,3}(\.[0-9]{1,4})?$`
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]+([.][0-9]+)?$') && double(self) >= 1.0",message=`worseThan must be at least 1, such as "1.5"`
	WorseThan string `json:"worseThan,omitempty"`

	// max is the value that the candidate may have, in the metric's own unit; with per, as a
	// ratio. When stable has no ready pods or shows 0, it decides alone.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]+([.][0-9]+)?$')",message=`max must be a plain number in the unit of the metric, such as "0.9" or "1500000000"`
	// +kubebuilder:validation:Pattern=`^[0-9]{1,18}(\.[0-9]{1,9})?$`
	// +kubebuilder:validation:MaxLength=32
	Max string `json:"max,omitempty"`

	// for is how long the value must be too high, without a break.
	// +optional
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s|ms))+$') && duration(self) >= duration('10s') && duration(self) <= duration('24h')",message="for must be between 10s and 24h, with a unit, such as 90s or 5m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	For metav1.Duration `json:"for,omitempty,omitzero"`
}

// Value is the series whose value is judged: gauge or rate; the zero value when neither is
// set.
func (t SaturationTrigger) Value() Series {
	switch {
	case t.Gauge != nil:
		return *t.Gauge
	case t.Rate != nil:
		return *t.Rate
	default:
		return Series{}
	}
}
