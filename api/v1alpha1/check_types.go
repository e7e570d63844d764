package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CheckTrigger asks a Job or an HTTP endpoint about the candidate. Pass and Fail are its
// result; anything else, such as a timeout, is Inconclusive and holds the step. It starts
// once the weight of a step is acknowledged.
//
// +kubebuilder:validation:XValidation:rule="has(self.job) != has(self.webhook)",message="set exactly one of job and webhook"
type CheckTrigger struct {
	// job runs a Job in the Rollout's namespace.
	// +optional
	Job *JobCheck `json:"job,omitempty"`

	// webhook sends a request to a CheckEndpoint.
	// +optional
	Webhook *WebhookCheck `json:"webhook,omitempty"`

	// timeout of one attempt, which is then Inconclusive.
	// +optional
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s|ms))+$') && duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="timeout must be between 1s and 1h, with a unit, such as 30s or 5m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	Timeout metav1.Duration `json:"timeout,omitempty,omitzero"`

	// retries is how many attempts follow an Inconclusive one. A Fail is final.
	// +optional
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10
	Retries *int32 `json:"retries,omitempty"`

	// each is how often it is asked: once in each step and in the bake, or once in the run.
	// +optional
	// +kubebuilder:default=Step
	Each CheckEach `json:"each,omitempty"`
}

// JobCheck names the template of a Job.
type JobCheck struct {
	// cronJob is the name of a CronJob in the Rollout's namespace, whose jobTemplate is
	// used. It must have spec.suspend: true, so that it is a template and nothing else.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=52
	CronJob string `json:"cronJob,omitempty"`
}

// WebhookCheck names an endpoint and a path at it.
type WebhookCheck struct {
	// endpoint is the name of a CheckEndpoint.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Endpoint string `json:"endpoint,omitempty"`

	// path is added to the endpoint's address.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$')",message="path must be segments of letters, digits and . _ ~ - that do not begin with a dot, such as /checkout/smoke"
	Path string `json:"path,omitempty"`
}

// CheckEach is how often a check is asked.
// +kubebuilder:validation:Enum=Step;Run
type CheckEach string

const (
	// EachStep asks once in each step, and in the bake.
	EachStep CheckEach = "Step"
	// EachRun asks once, in the first step.
	EachRun CheckEach = "Run"
)

// CheckStatus is one attempt of a check.
type CheckStatus struct {
	// kind of the guardrail: Guardrail or ClusterGuardrail.
	// +required
	// +kubebuilder:validation:Enum=Guardrail;ClusterGuardrail
	Kind string `json:"kind,omitempty"`
	// guardrail the trigger belongs to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Guardrail string `json:"guardrail,omitempty"`
	// trigger name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Trigger string `json:"trigger,omitempty"`
	// step that it is for, from 0; in the bake the number of steps.
	// +required
	// +kubebuilder:validation:Minimum=0
	Step int32 `json:"step"`
	// attempt counts from 1 in each step.
	// +required
	// +kubebuilder:validation:Minimum=1
	Attempt int32 `json:"attempt,omitempty"`
	// job is the name of the Job, once it was created.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Job string `json:"job,omitempty"`
	// endpoint is the name of the CheckEndpoint, once the request was sent.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Endpoint string `json:"endpoint,omitempty"`
	// startedAt is when the attempt was started, or since when that is tried.
	// +required
	StartedAt metav1.Time `json:"startedAt"`
	// retryAt is when a start that failed is tried again.
	// +optional
	RetryAt *metav1.Time `json:"retryAt,omitempty"`
	// finishedAt is when its outcome was recorded.
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
	// outcome is absent while it runs, and when the run ended before.
	// +optional
	Outcome VerdictOutcome `json:"outcome,omitempty"`
	// reason from a closed set.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason,omitempty"`
	// message says what the check found, or why it does not run yet.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Message string `json:"message,omitempty"`
}

// CheckEndpoint is an HTTP endpoint for checks that the platform team provides. Tenants
// refer to it by name; they cannot set addresses or credentials.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=ce,categories=belay
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.spec.address`
// +kubebuilder:printcolumn:name="Proxy",type=string,priority=1,JSONPath=`.spec.proxy.url`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type CheckEndpoint struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the endpoint and who may use it.
	// +required
	Spec CheckEndpointSpec `json:"spec"`
}

// CheckEndpointSpec is the endpoint, its credentials and who may use it.
type CheckEndpointSpec struct {
	// address is the base URL, without credentials. Guardrails may name any path below it.
	// +required
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != '' && !self.contains('@') && !self.contains('?') && !self.contains('#')",message="address must be an http or https URL without user, query or fragment, such as https://checks.platform:8443"
	Address string `json:"address"`

	// auth is how Belay authenticates. Secrets are read from Belay's own namespace only.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.google)",message="google is for MetricSources, its tokens may only read metrics: use another way"
	Auth *MetricSourceAuth `json:"auth,omitempty"`

	// tls configures certificates.
	// +optional
	TLS *MetricSourceTLS `json:"tls,omitempty"`

	// headers are sent with every request.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Headers []Header `json:"headers,omitempty"`

	// proxy carries the requests to the endpoint; absent means none. Proxies of the
	// environment are not used.
	// +optional
	Proxy *MetricSourceProxy `json:"proxy,omitempty"`

	// namespaceSelector selects the namespaces whose guardrails may use this endpoint;
	// empty selects all.
	// +optional
	NamespaceSelector metav1.LabelSelector `json:"namespaceSelector,omitempty"`
}

// CheckEndpointList is a list of CheckEndpoints.
// +kubebuilder:object:root=true
type CheckEndpointList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CheckEndpoint `json:"items"`
}
