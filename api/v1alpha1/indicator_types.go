package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Indicator counts requests and the bad ones among them, from cumulative counters. Belay
// restricts every selector to the series of a version: those of its pods, or those by which a
// gateway or mesh names it as the destination.
//
// +kubebuilder:validation:XValidation:rule="[has(self.requests), has(self.latency), has(self.promQL)].filter(x, x).size() == 1",message="set exactly one of requests, latency and promQL"
// +kubebuilder:validation:XValidation:rule="!has(self.destination) || (has(self.by) && self.by != 'Pod')",message="destination says how a gateway names the destination: set by to Service or Workload, or remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.by) || self.by == 'Pod' || !has(self.promQL)",message="promQL counts by pod: for by Service and Workload write requests or latency"
// +kubebuilder:validation:XValidation:rule="!has(self.by) || self.by == 'Pod' || has(self.preset) || has(self.destination)",message="by Service and Workload need destination: the label that names the destination"
// +kubebuilder:validation:XValidation:rule=`!has(self.by) || !has(self.destination) || self.by != 'Service' || self.destination.value.contains('$(service)')`,message="by Service needs $(service) in destination.value"
// +kubebuilder:validation:XValidation:rule=`!has(self.by) || !has(self.destination) || self.by != 'Workload' || self.destination.value.contains('$(replicaSet)')`,message="by Workload needs $(replicaSet) in destination.value"
// +kubebuilder:validation:XValidation:rule="!has(self.preset) || !has(self.promQL)",message="a preset fills in requests or latency: remove preset, or write requests: {} in place of promQL"
// +kubebuilder:validation:XValidation:rule="has(self.preset) || !has(self.requests) || has(self.requests.total) && has(self.requests.bad)",message="requests needs total and bad, each with a metric; or set preset to what counts them, such as otel-http"
// +kubebuilder:validation:XValidation:rule="has(self.preset) || !has(self.requests) || !has(self.requests.matchers)",message="requests.matchers is for a preset: write these matchers in total and in bad, or set preset"
// +kubebuilder:validation:XValidation:rule="has(self.preset) || !has(self.latency) || has(self.latency.histogram)",message="latency needs histogram, the metric's name without _bucket; or set preset to what measures it, such as otel-http"
type Indicator struct {
	// preset is what exposes the metrics. It fills in the metrics, matchers and unit that
	// requests or latency do not have: see docs/metrics.md. A run pins them as if they
	// were written here.
	// +optional
	Preset Preset `json:"preset,omitempty"`

	// histograms is the kind of the histograms whose durations or counts are read. Native
	// is for sources with native histograms: Belay reads a target's native or classic ones,
	// whichever it has.
	// +optional
	Histograms HistogramKind `json:"histograms,omitempty"`

	// by is who counts. Pod: the pods of a version, in series with the labels of namespace and
	// pod. Service: a gateway or mesh, in series that name the destination; the stable and the
	// canary Service of a run tell the versions apart, so the Rollout needs spec.traffic.
	// Workload: series that name the ReplicaSet. Empty means Pod.
	// +optional
	By CountedBy `json:"by,omitempty"`
	// destination is how the series name the destination, for Service and Workload.
	// +optional
	Destination *Destination `json:"destination,omitempty"`
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

// CountedBy is who counts the requests of an indicator.
// +kubebuilder:validation:Enum=Pod;Service;Workload
type CountedBy string

const (
	// CountedByPod is the pods of a version.
	CountedByPod CountedBy = "Pod"
	// CountedByService is a gateway or mesh that names the Service which a request was sent to.
	CountedByService CountedBy = "Service"
	// CountedByWorkload is whoever names the ReplicaSet that served a request.
	CountedByWorkload CountedBy = "Workload"
)

// Destination is how series name the destination of requests. Belay writes the names of a
// version into value, and restricts every selector to them.
//
// +kubebuilder:validation:XValidation:rule=`has(self.namespaceLabel) != self.value.contains('$(namespace)')`,message="the series must name the namespace once, so that no other namespace's are read: set namespaceLabel, or write $(namespace) in value"
// +kubebuilder:validation:XValidation:rule="!has(self.namespaceLabel) || self.namespaceLabel != self.label",message="label and namespaceLabel must be two labels"
type Destination struct {
	// label that names the destination, such as destination_service_name.
	// +required
	// +kubebuilder:validation:Pattern=`^[a-zA-Z_][a-zA-Z0-9_./-]*$`
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="!(self.startsWith('__') || self in ['vm_account_id', 'vm_project_id', 'instance', 'le', 'k'])",message="labels that begin with __, vm_account_id, vm_project_id, instance, le and k do not name a destination"
	Label string `json:"label"`

	// value of the label, as a pattern: $(service) or $(replicaSet), and $(namespace), stand for
	// the names of a version, and * for one or more characters other than those next to it,
	// such as a port: $(namespace)-$(service)-*@kubernetesgateway. Everything else is plain text.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^([a-zA-Z0-9_./:@|-]|[*]|[$][(](namespace|service|replicaSet)[)])+$`
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'[*][*$]|[)][*$]')`,message="the names in value, and *, need a separator between them, such as - or /"
	// +kubebuilder:validation:XValidation:rule=`[r'$(service)', r'$(replicaSet)'].filter(p, self.contains(p)).size() == 1 && self.split('$(').size() <= 3 && self.split('$(namespace)').size() <= 2 && self.split('*').size() <= 3`,message="value needs $(service) or $(replicaSet) once, $(namespace) at most once, and * at most twice"
	Value string `json:"value,omitempty"`

	// namespaceLabel is the label that names the namespace of the destination, unless value has
	// it.
	// +optional
	// +kubebuilder:validation:Pattern=`^[a-zA-Z_][a-zA-Z0-9_./-]*$`
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="!(self.startsWith('__') || self in ['vm_account_id', 'vm_project_id', 'instance', 'le', 'k'])",message="labels that begin with __, vm_account_id, vm_project_id, instance, le and k do not name a namespace"
	NamespaceLabel string `json:"namespaceLabel,omitempty"`
}

// Preset names what exposes metrics: an instrumentation or a client library.
// +kubebuilder:validation:Enum=otel-http;otel-http-utf8;grpc-server;grpc-java;spring-boot;aspnet;prometheus-net;go;fastapi;starlette;flask;django;istio;istio-ambient;linkerd;traefik;comparer
type Preset string

// PresetComparer is what belay-comparer exposes, while copies of requests reach it.
const PresetComparer Preset = "comparer"

// HistogramKind is how a histogram is stored.
// +kubebuilder:validation:Enum=Classic;Native
type HistogramKind string

const (
	// HistogramsClassic have a series for each bucket and one for the count. It is the default.
	HistogramsClassic HistogramKind = "Classic"
	// HistogramsNative have one series, with buckets in its samples.
	HistogramsNative HistogramKind = "Native"
)

// DurationUnit is the unit of a histogram's bucket bounds.
// +kubebuilder:validation:Enum=Seconds;Milliseconds
type DurationUnit string

const (
	// UnitSeconds is what Prometheus recommends.
	UnitSeconds DurationUnit = "Seconds"
	// UnitMilliseconds is for meshes and older conventions of OpenTelemetry.
	UnitMilliseconds DurationUnit = "Milliseconds"
)

// LatencyIndicator is a classic histogram, and a threshold that is one of its bucket
// bounds.
//
// +kubebuilder:validation:XValidation:rule="!has(self.matchers) || self.matchers.all(m, m.name != 'le')",message="the label le is set by Belay: remove this matcher, and set threshold"
type LatencyIndicator struct {
	// histogram is the name of the metric, without _bucket and _count. Only a preset can
	// fill it in.
	// +optional
	// +kubebuilder:validation:Pattern=`^[a-zA-Z_:][a-zA-Z0-9_:./-]*$`
	// +kubebuilder:validation:MaxLength=190
	Histogram string `json:"histogram,omitempty"`

	// unit of the bucket bounds: Seconds unless a preset says otherwise.
	// +optional
	Unit DurationUnit `json:"unit,omitempty"`

	// matchers select series by their labels. Belay sets namespace and pod itself. With a
	// preset they are added to its own.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Matchers []Matcher `json:"matchers,omitempty"`

	// threshold above which a request is bad. The histogram must have a bucket with this
	// upper bound.
	// +required
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s|ms|us))+$') && duration(self) > duration('0s') && duration(self) <= duration('1h')",message="threshold must be above 0s and at most 1h, with a unit, such as 300ms or 1s"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms|us))+$`
	// +kubebuilder:validation:Type=string
	Threshold metav1.Duration `json:"threshold"`
}

// PromQLIndicator is two expressions that return cumulative counters. Belay adds matchers
// for the namespace and the pods of a version to every selector and sums by pod. It
// refuses an expression that it cannot restrict in this way, or that is not cumulative,
// such as a rate: the guardrail is then not Ready, and no run starts.
//
// +kubebuilder:validation:XValidation:rule="self.total != self.bad",message="total and bad are the same, so every request would be bad: write in bad what counts only the bad ones"
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

	// missingBad is what it means that no pod of the service has a series of the metric
	// of bad, when that is another metric than the one of total, or a label that bad asks
	// for with a matcher such as error != "".
	// +optional
	// +kubebuilder:default=Inconclusive
	MissingBad MissingSeries `json:"missingBad,omitempty"`
}

// RequestsIndicator is two cumulative counters.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.total) || !has(self.bad) || self.total.metric != self.bad.metric || (has(self.bad.matchers) && self.bad.matchers.exists(b, !has(self.total.matchers) || !self.total.matchers.exists(t, t.name == b.name && t.op == b.op && (has(t.value) ? t.value : "") == (has(b.value) ? b.value : ""))))`,message="bad has the metric of total and no matcher that total lacks, so every request would be bad: add a matcher to bad, such as code =~ 5.."
type RequestsIndicator struct {
	// total counts all requests. Only a preset can fill it in.
	// +optional
	Total Series `json:"total,omitzero"`
	// bad counts the bad ones among them. Only a preset can fill it in.
	// +optional
	Bad Series `json:"bad,omitzero"`

	// matchers are added to total and bad of a preset, such as one for a route or a method.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Matchers []Matcher `json:"matchers,omitempty"`

	// missingBad is what it means that no pod of the service has a series of the metric
	// of bad, when that is another metric than the one of total, or a label that bad asks
	// for with a matcher such as error != "".
	// +optional
	// +kubebuilder:default=Inconclusive
	MissingBad MissingSeries `json:"missingBad,omitempty"`
}

// MissingSeries is what it means that a metric has no series. A metric that was never
// seen may have a name that is misspelt, or be one that the client library creates with
// its first increment.
// +kubebuilder:validation:Enum=Inconclusive;Zero
type MissingSeries string

const (
	// MissingInconclusive holds until a series was seen.
	MissingInconclusive MissingSeries = "Inconclusive"
	// MissingZero means that nothing was counted yet.
	MissingZero MissingSeries = "Zero"
)

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
//
// The first rule has the forms of regular expressions that are rare in plain values:
// 5.., .*, a|b, 5[0-9], \d+, ^a.
// +kubebuilder:validation:XValidation:rule=`!(self.op in ['=', '!=']) || !has(self.value) || !self.value.matches(r'[.][*+?]|[0-9)\]][.][.]([|)$]|$)|\[\^?([0-9]-[0-9]|a-z|A-Z)|[0-9]\[[0-9]+\]|\\([dwsDWS]([+*?{\\]|$)|[.])|\(\?|\)[*+?]|^\^|^\(?[0-9A-Za-z_/-]+([|][0-9A-Za-z_/-]+)+\)?$')`,message=`value looks like a regular expression, but = and != compare it as plain text: write op: "=~" or "!~"; if it is plain text, escape it for these: "a[.]b" stands for a.b`
// +kubebuilder:validation:XValidation:rule=`!(self.op in ['=~', '!~']) || !has(self.value) || "".matches(self.value) in [true, false]`,message="value must be a valid RE2 regular expression"
type Matcher struct {
	// name of the label; not namespace or pod, which Belay sets itself.
	// +required
	// +kubebuilder:validation:Pattern=`^[a-zA-Z_][a-zA-Z0-9_./-]*$`
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="!(self in ['namespace', 'pod', '__name__'])",message="namespace, pod and __name__ are set by Belay: remove this matcher"
	// +kubebuilder:validation:XValidation:rule="self == '__name__' || !(self.startsWith('__') || self in ['vm_account_id', 'vm_project_id'])",message="labels that begin with __, vm_account_id and vm_project_id select a tenant or the storage of a source: remove this matcher"
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
