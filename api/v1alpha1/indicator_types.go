package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Indicator counts requests and the bad ones among them, from cumulative counters. Belay
// restricts every selector to the pods of a version.
//
// +kubebuilder:validation:XValidation:rule="[has(self.requests), has(self.latency), has(self.promQL)].filter(x, x).size() == 1",message="set exactly one of requests, latency and promQL"
type Indicator struct {
	// requests has a counter of all requests and one of the bad ones.
	// +optional
	Requests *RequestsIndicator `json:"requests,omitempty"`
	// latency counts requests that took longer than a threshold as bad. "p99 below 300 ms"
	// is objective "99" with threshold 300ms.
	// +optional
	Latency *LatencyIndicator `json:"latency,omitempty"`
	// promQL counts by your own expressions.
	// +optional
	PromQL *PromQLIndicator `json:"promQL,omitempty"`
}

// LatencyIndicator is a classic histogram in seconds, and a threshold that is one of its
// bucket bounds.
type LatencyIndicator struct {
	// histogram is the name of the metric, without _bucket and _count.
	// +required
	// +kubebuilder:validation:Pattern=`^[a-zA-Z_:][a-zA-Z0-9_:./-]*$`
	// +kubebuilder:validation:MaxLength=190
	Histogram string `json:"histogram"`

	// matchers select series by their labels. Belay sets namespace and pod itself.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Matchers []Matcher `json:"matchers,omitempty"`

	// threshold above which a request is bad. The histogram must have a bucket with this
	// upper bound.
	// +required
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s|ms))+$') && duration(self) > duration('0s') && duration(self) <= duration('1h')",message="threshold must be above 0s and at most 1h, with a unit, such as 30s, 5m or 1h30m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms|us))+$`
	// +kubebuilder:validation:Type=string
	Threshold metav1.Duration `json:"threshold"`
}

// PromQLIndicator is two expressions that return cumulative counters. Belay adds matchers
// for the namespace and the pods of a version to every selector and sums by pod. It
// refuses an expression that it cannot restrict in this way.
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

// Series selects time series of one metric.
type Series struct {
	// metric name.
	// +required
	// +kubebuilder:validation:Pattern=`^[a-zA-Z_:][a-zA-Z0-9_:./-]*$`
	// +kubebuilder:validation:MaxLength=200
	Metric string `json:"metric"`

	// matchers select series by their labels. Belay sets namespace and pod itself.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Matchers []Matcher `json:"matchers,omitempty"`
}

// Matcher is one label matcher of a selector.
type Matcher struct {
	// name of the label; not namespace or pod, which Belay sets itself.
	// +required
	// +kubebuilder:validation:Pattern=`^[a-zA-Z_][a-zA-Z0-9_./-]*$`
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="!(self in ['namespace', 'pod', '__name__'])",message="namespace, pod and __name__ are set by Belay: remove this matcher"
	Name string `json:"name"`

	// op is the operator that compares the label with value.
	// +optional
	// +kubebuilder:default="="
	Op MatchOp `json:"op,omitempty"`

	// value to compare with; for =~ and !~ an RE2 regular expression.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Value string `json:"value,omitempty"`
}

// MatchOp is a PromQL label matching operator.
// +kubebuilder:validation:Enum="=";"!=";"=~";"!~"
type MatchOp string
