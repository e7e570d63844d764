package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MetricSource is a Prometheus-compatible endpoint that the platform team provides.
// Tenants refer to it by name; they cannot set URLs or credentials.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=ms,categories=belay
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.spec.address`
// +kubebuilder:printcolumn:name="Reachable",type=string,JSONPath=`.status.conditions[?(@.type=="Reachable")].status`
// +kubebuilder:printcolumn:name="Interval",type=string,JSONPath=`.status.scrapeInterval.interval`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.serverVersion`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MetricSource struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the endpoint and how it may be used.
	// +required
	Spec MetricSourceSpec `json:"spec"`

	// status is whether the source responds.
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status MetricSourceStatus `json:"status,omitempty"`
}

// MetricSourceSpec is the endpoint, its credentials and its limits.
type MetricSourceSpec struct {
	// address is the base URL of the HTTP API, without credentials.
	// +required
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != '' && !self.contains('@') && !self.contains('?') && !self.contains('#')",message="address must be an http or https URL without user, query or fragment, such as https://prometheus.monitoring:9090"
	Address string `json:"address"`

	// scrapeInterval of the series that Belay queries. It determines how old samples may
	// be and how often Belay polls. Absent, it is derived from the source's samples:
	// status.scrapeInterval.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s|ms))+$') && duration(self) >= duration('1s') && duration(self) <= duration('10m')",message="scrapeInterval must be between 1s and 10m, with a unit, such as 30s, 5m or 1h30m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	ScrapeInterval metav1.Duration `json:"scrapeInterval,omitempty,omitzero"`

	// auth is how Belay authenticates. Secrets are read from Belay's own namespace
	// only.
	// +optional
	Auth *MetricSourceAuth `json:"auth,omitempty"`

	// tls configures certificates.
	// +optional
	TLS *MetricSourceTLS `json:"tls,omitempty"`

	// headers are sent with every request, such as a tenant id.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Headers []Header `json:"headers,omitempty"`

	// parameters are added to every query, such as partial_response=false of Thanos. Belay
	// itself sends nocache=1 and max_lookback, which VictoriaMetrics needs for new samples.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Parameters []Parameter `json:"parameters,omitempty"`

	// proxy carries the requests to the source; absent means none. Proxies of the
	// environment are not used.
	// +optional
	Proxy *MetricSourceProxy `json:"proxy,omitempty"`

	// labels are the names of the labels by which series name their namespace and pod.
	// +optional
	// +kubebuilder:default={namespace: namespace, pod: pod}
	Labels MetricSourceLabels `json:"labels,omitempty"`

	// namespaceSelector selects the namespaces whose guardrails may use this source;
	// empty selects all.
	// +optional
	NamespaceSelector metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	// limits bound the cost of queries.
	// +optional
	// +kubebuilder:default={}
	Limits MetricSourceLimits `json:"limits,omitempty"`
}

// MetricSourceAuth is one way to authenticate.
//
// +kubebuilder:validation:XValidation:rule="[has(self.basic), has(self.authorization), has(self.oauth2), has(self.sigV4), has(self.google)].filter(x, x).size() == 1",message="set exactly one of basic, authorization, oauth2, sigV4 and google"
type MetricSourceAuth struct {
	// basic is HTTP basic authentication.
	// +optional
	Basic *BasicAuth `json:"basic,omitempty"`
	// authorization sends an Authorization header.
	// +optional
	Authorization *Authorization `json:"authorization,omitempty"`
	// oauth2 is the client credentials flow.
	// +optional
	OAuth2 *OAuth2 `json:"oauth2,omitempty"`
	// sigV4 signs requests for Amazon Managed Service for Prometheus.
	// +optional
	SigV4 *SigV4 `json:"sigV4,omitempty"`
	// google gets access tokens for Google Cloud Managed Service for Prometheus.
	// +optional
	Google *GoogleAuth `json:"google,omitempty"`
}

// SigV4 is AWS Signature Version 4. Without keys, the credentials are those of Belay's own
// pod: a role of its ServiceAccount (IRSA, Pod Identity) or of its node.
//
// +kubebuilder:validation:XValidation:rule="has(self.accessKey) == has(self.secretKey)",message="set both accessKey and secretKey, or neither"
type SigV4 struct {
	// region such as eu-central-1.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Region string `json:"region,omitempty"`
	// service that requests are signed for.
	// +optional
	// +kubebuilder:default=aps
	// +kubebuilder:validation:MaxLength=64
	Service string `json:"service,omitempty"`
	// accessKey is read from a Secret.
	// +optional
	AccessKey *SecretKeyRef `json:"accessKey,omitempty"`
	// secretKey is read from a Secret.
	// +optional
	SecretKey *SecretKeyRef `json:"secretKey,omitempty"`
	// roleARN is a role to assume with the credentials.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	RoleARN string `json:"roleARN,omitempty"`
}

// GoogleAuth gets tokens of the scope monitoring.read. Without credentials they are those of
// Belay's own pod: Workload Identity, or the node's service account.
type GoogleAuth struct {
	// credentials is a JSON key of a service account in a Secret.
	// +optional
	Credentials *SecretKeyRef `json:"credentials,omitempty"`
}

// BasicAuth is a user name and a reference to the password.
type BasicAuth struct {
	// username to send.
	// +required
	// +kubebuilder:validation:MaxLength=256
	Username string `json:"username"`
	// password is read from a Secret.
	// +required
	Password SecretKeyRef `json:"password,omitzero"`
}

// Authorization is a type and a reference to the credentials.
type Authorization struct {
	// type of the credentials.
	// +optional
	// +kubebuilder:default=Bearer
	// +kubebuilder:validation:MaxLength=64
	Type string `json:"type,omitempty"`
	// credentials are read from a Secret.
	// +required
	Credentials SecretKeyRef `json:"credentials,omitzero"`
}

// OAuth2 is the client credentials flow (RFC 6749, 4.4).
type OAuth2 struct {
	// clientID to send.
	// +required
	// +kubebuilder:validation:MaxLength=256
	ClientID string `json:"clientID"`
	// clientSecret is read from a Secret.
	// +required
	ClientSecret SecretKeyRef `json:"clientSecret,omitzero"`
	// tokenURL is the URL of the token endpoint.
	// +required
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https']",message="tokenURL must be an http or https URL"
	TokenURL string `json:"tokenURL"`
	// scopes to request.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=256
	Scopes []string `json:"scopes,omitempty"`
}

// MetricSourceTLS has the certificates of the endpoint and of the client.
//
// +kubebuilder:validation:XValidation:rule="has(self.cert) == has(self.key)",message="set both cert and key, or neither"
type MetricSourceTLS struct {
	// ca is a PEM bundle in a Secret; absent means the system's roots.
	// +optional
	CA *SecretKeyRef `json:"ca,omitempty"`
	// cert is a PEM client certificate in a Secret.
	// +optional
	Cert *SecretKeyRef `json:"cert,omitempty"`
	// key is its PEM private key in a Secret.
	// +optional
	Key *SecretKeyRef `json:"key,omitempty"`
	// serverName to verify in place of the address's host.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServerName string `json:"serverName,omitempty"`
}

// Header is sent with every request.
//
// +kubebuilder:validation:XValidation:rule="has(self.value) != has(self.valueFrom)",message="set exactly one of value and valueFrom"
type Header struct {
	// name of the header.
	// +required
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9-]+$`
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="!(self.lowerAscii() in ['authorization', 'host', 'content-length', 'accept-encoding'])",message="this header is set by auth or by the client: remove it"
	Name string `json:"name"`
	// value of the header.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Value string `json:"value,omitempty"`
	// valueFrom reads the value from a Secret.
	// +optional
	ValueFrom *SecretKeyRef `json:"valueFrom,omitempty"`
}

// Parameter is added to every query.
type Parameter struct {
	// name of the parameter.
	// +required
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_.\[\]-]+$`
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="!(self in ['query', 'time', 'timeout', 'lookback_delta', 'max_lookback', 'limit', 'stats', 'step'])",message="this parameter is set by Belay, or would change what a query returns: remove it"
	Name string `json:"name"`
	// value of the parameter. An empty value removes a parameter that Belay sends by itself.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Value string `json:"value,omitempty"`
}

// MetricSourceProxy is an HTTP proxy.
type MetricSourceProxy struct {
	// url of the proxy, without credentials.
	// +required
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != '' && !self.contains('@') && !self.contains('?') && !self.contains('#')",message="url must be an http or https URL without user, query or fragment, such as http://proxy.example:3128"
	URL string `json:"url"`
	// basic is how Belay authenticates to the proxy.
	// +optional
	Basic *BasicAuth `json:"basic,omitempty"`
}

// MetricSourceLabels are the names of labels in a source. Names in UTF-8, such as
// k8s.pod.name, need a source with Prometheus' quoted selectors.
//
// +kubebuilder:validation:XValidation:rule="!has(self.namespace) || !has(self.pod) || self.namespace != self.pod",message="namespace and pod must be different labels"
type MetricSourceLabels struct {
	// namespace is the label that has a pod's namespace, such as exported_namespace or
	// k8s_namespace_name.
	// +optional
	// +kubebuilder:default=namespace
	// +kubebuilder:validation:Pattern=`^[a-zA-Z_][a-zA-Z0-9_./-]*$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('__') && !(self in ['k', 'instance', 'le', 'vm_account_id', 'vm_project_id'])",message="this label has another meaning: name the one that has a pod's namespace"
	Namespace string `json:"namespace,omitempty"`
	// pod is the label that has a pod's name, such as exported_pod or k8s_pod_name.
	// +optional
	// +kubebuilder:default=pod
	// +kubebuilder:validation:Pattern=`^[a-zA-Z_][a-zA-Z0-9_./-]*$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('__') && !(self in ['k', 'instance', 'le', 'vm_account_id', 'vm_project_id'])",message="this label has another meaning: name the one that has a pod's name"
	Pod string `json:"pod,omitempty"`
}

// SecretKeyRef names a key of a Secret in Belay's own namespace.
type SecretKeyRef struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
	// key in the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// MetricSourceLimits bound the cost of queries to a source.
type MetricSourceLimits struct {
	// timeout of one query.
	// +optional
	// +kubebuilder:default="7s"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s|ms))+$') && duration(self) >= duration('100ms') && duration(self) <= duration('2m')",message="timeout must be between 100ms and 2m, with a unit, such as 30s, 5m or 1h30m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	Timeout metav1.Duration `json:"timeout,omitempty"`
	// series is how many scraped targets of pods a response may have, mostly one for each
	// pod. A promotion of 5,000 pods has 10,000.
	// +optional
	// +kubebuilder:default=12000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=50000
	Series int32 `json:"series,omitempty"`
	// bytes is how many bytes a decompressed response may have.
	// +optional
	// +kubebuilder:default=16777216
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=67108864
	Bytes int64 `json:"bytes,omitempty"`
	// inFlight is how many queries may run at once.
	// +optional
	// +kubebuilder:default=8
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	InFlight int32 `json:"inFlight,omitempty"`
}

// MetricSourceStatus is whether the source responds.
type MetricSourceStatus struct {
	// conditions are Reachable, Outage, and Ready for GitOps tools.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// scrapeInterval is the one that Belay uses, and where it is from.
	// +optional
	ScrapeInterval *ScrapeIntervalStatus `json:"scrapeInterval,omitempty"`
	// serverVersion as the source reports it.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ServerVersion string `json:"serverVersion,omitempty"`
}

// ScrapeIntervalStatus is the scrape interval that Belay uses.
type ScrapeIntervalStatus struct {
	// interval between the samples of a series.
	// +required
	Interval metav1.Duration `json:"interval"`
	// from is where it is from.
	// +required
	From ScrapeIntervalFrom `json:"from,omitempty"`
	// checkedAt is when the samples were last counted.
	// +optional
	CheckedAt *metav1.Time `json:"checkedAt,omitempty"`
}

// ScrapeIntervalFrom is where a scrape interval is from: spec.scrapeInterval, the number of
// samples that pods' targets (the series up) have in 10 minutes, or the default of 15 s,
// when the source has no such series.
// +kubebuilder:validation:Enum=Spec;Samples;Default
type ScrapeIntervalFrom string

// Where a scrape interval is from.
const (
	IntervalFromSpec    ScrapeIntervalFrom = "Spec"
	IntervalFromSamples ScrapeIntervalFrom = "Samples"
	IntervalFromDefault ScrapeIntervalFrom = "Default"
)

// DefaultScrapeInterval is used when none is given or can be derived.
const DefaultScrapeInterval = 15 * time.Second

// Interval is the scrape interval to use.
func (s *MetricSource) Interval() time.Duration {
	switch derived := s.Status.ScrapeInterval; {
	case s.Spec.ScrapeInterval.Duration > 0:
		return s.Spec.ScrapeInterval.Duration
	case derived != nil && derived.Interval.Duration > 0:
		return derived.Interval.Duration
	default:
		return DefaultScrapeInterval
	}
}

// MetricSourceList is a list of MetricSources.
// +kubebuilder:object:root=true
type MetricSourceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MetricSource `json:"items"`
}
