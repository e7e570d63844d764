package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Indicator counts requests and the bad ones among them, from cumulative
// counters. Belay binds every selector to the revision's pods.
//
// +kubebuilder:validation:XValidation:rule="[has(self.requests), has(self.latency), has(self.promQL)].filter(x, x).size() == 1",message="set exactly one of requests, latency and promQL"
type Indicator struct {
	// requests counts by status: total and bad.
	// +optional
	Requests *RequestsIndicator `json:"requests,omitempty"`
	// latency counts what took longer than a threshold as bad: "p99 below 300 ms"
	// is objective "99" with threshold 300ms.
	// +optional
	Latency *LatencyIndicator `json:"latency,omitempty"`
	// promQL counts by expressions of your own.
	// +optional
	PromQL *PromQLIndicator `json:"promQL,omitempty"`
}

// LatencyIndicator is a classic histogram in seconds and a bound that is one of
// its buckets'.
type LatencyIndicator struct {
	// histogram is the metric's name without _bucket and _count.
	// +required
	// +kubebuilder:validation:Pattern=`^[a-zA-Z_:][a-zA-Z0-9_:]*$`
	// +kubebuilder:validation:MaxLength=190
	Histogram string `json:"histogram"`

	// matchers narrow the series. The labels namespace and pod are Belay's own.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Matchers []Matcher `json:"matchers,omitempty"`

	// threshold above which a request is bad. A bucket must end there: between
	// bounds a histogram knows nothing.
	// +required
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s') && duration(self) <= duration('1h')",message="threshold must be above 0s and at most 1h"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms|us))+$`
	// +kubebuilder:validation:Type=string
	Threshold metav1.Duration `json:"threshold"`
}

// PromQLIndicator is two expressions that give cumulative counters. Belay adds
// the revision's namespace and pods to every selector, sums by pod, and refuses
// an expression that it cannot bind.
type PromQLIndicator struct {
	// total counts all requests: sum by (pod) (nginx_requests_total).
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Total string `json:"total,omitempty"`
	// bad counts the bad ones among them.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Bad string `json:"bad,omitempty"`
}

// RequestsIndicator is two cumulative counters.
type RequestsIndicator struct {
	// total counts all requests.
	// +required
	Total Series `json:"total"`
	// bad counts the bad ones among them.
	// +required
	Bad Series `json:"bad"`
}

// Series picks time series of one metric. There is no free-text PromQL in it.
type Series struct {
	// metric name.
	// +required
	// +kubebuilder:validation:Pattern=`^[a-zA-Z_:][a-zA-Z0-9_:]*$`
	// +kubebuilder:validation:MaxLength=200
	Metric string `json:"metric"`

	// matchers narrow the series. The labels namespace and pod are Belay's own.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Matchers []Matcher `json:"matchers,omitempty"`
}

// Matcher is one label matcher of a selector.
type Matcher struct {
	// name of the label; not namespace or pod, which Belay sets itself.
	// +required
	// +kubebuilder:validation:Pattern=`^[a-zA-Z_][a-zA-Z0-9_]*$`
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="!(self in ['namespace', 'pod', '__name__'])",message="namespace, pod and __name__ are set by Belay: remove this matcher"
	Name string `json:"name"`

	// op compares.
	// +optional
	// +kubebuilder:default="="
	Op MatchOp `json:"op,omitempty"`

	// value or, for =~ and !~, an RE2 regular expression.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Value string `json:"value,omitempty"`
}

// MatchOp is a PromQL label matching operator.
// +kubebuilder:validation:Enum="=";"!=";"=~";"!~"
type MatchOp string
