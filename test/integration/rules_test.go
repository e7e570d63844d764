package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/test/build"
)

// valid is one acceptable object of each kind, with everything that a rule
// looks at; cases change one thing in it.
var valid = map[string]string{
	"Rollout": `{apiVersion: belay.dev/v1alpha1, kind: Rollout, metadata: {name: rules, namespace: shop}, spec: {
		workloadRef: {name: rules}, traffic: {service: rules, routes: [{name: rules}], drain: 2s}, stepDeadline: 1h,
		steps: [{weight: 10, hold: 1m}, {weight: 50, hold: 1m}], guardrails: [{name: rules}], promotion: {bake: 1m}}}`,
	// Its pods are replaced, so that a weight may be all of them.
	"Rollout of a StatefulSet": `{apiVersion: belay.dev/v1alpha1, kind: Rollout, metadata: {name: rules, namespace: shop}, spec: {
		workloadRef: {kind: StatefulSet, name: rules}, steps: [{weight: 34}, {weight: 67}, {weight: 100}], promotion: {bake: 1m}}}`,
	"Guardrail":        `{apiVersion: belay.dev/v1alpha1, kind: Guardrail, metadata: {name: rules, namespace: shop}, spec: {source: default, ` + guardrail + `}}`,
	"ClusterGuardrail": `{apiVersion: belay.dev/v1alpha1, kind: ClusterGuardrail, metadata: {name: rules}, spec: {source: default, ` + guardrail + `}}`,
	"MetricSource": `{apiVersion: belay.dev/v1alpha1, kind: MetricSource, metadata: {name: rules}, spec: {address: "https://prometheus.example:9090", scrapeInterval: 15s,
		auth: {oauth2: {tokenURL: "https://tokens.example", clientID: belay, clientSecret: {name: s, key: k}}},
		tls: {cert: {name: s, key: c}, key: {name: s, key: k}}, headers: [{name: X-Scope-OrgID, value: a}, {name: X-Api-Key, valueFrom: {name: s, key: k}}],
		parameters: [{name: "extra_label", value: team=shop}, {name: nocache}], proxy: {url: "http://proxy.example:3128", basic: {username: u, password: {name: s, key: k}}},
		labels: {namespace: k8s.namespace.name, pod: exported_pod}, limits: {timeout: 7s}}}`,
	"CheckEndpoint": `{apiVersion: belay.dev/v1alpha1, kind: CheckEndpoint, metadata: {name: rules}, spec: {address: "https://checks.example:8443/belay",
		auth: {oauth2: {tokenURL: "https://tokens.example", clientID: belay, clientSecret: {name: s, key: k}}},
		tls: {cert: {name: s, key: c}, key: {name: s, key: k}}, headers: [{name: X-Tenant, value: a}, {name: X-Api-Key, valueFrom: {name: s, key: k}}],
		proxy: {url: "http://proxy.example:3128", basic: {username: u, password: {name: s, key: k}}}}}`,
	"RolloutRun": `{apiVersion: belay.dev/v1alpha1, kind: RolloutRun, metadata: {name: rules, namespace: shop}, spec: {
		rollout: {name: rules, uid: u, generation: 1}, workload: rules, revision: aaaaaaaaaa, template: {}, stable: {revision: bbbbbbbbbb, template: {}},
		traffic: {service: rules, routes: [{name: rules}]}, steps: [{weight: 10, hold: 1m}], controller: {version: v}, startedAt: "2026-01-01T00:00:00Z",
		guardrails: [{kind: Guardrail, name: rules, uid: u, hash: "sha256:` + strings.Repeat("a", 64) + `", spec: {source: default, ` + guardrail + `}}]}}`,
}

const guardrail = `
	slos: [{name: availability, objective: "99.9", indicator: {requests: {total: {metric: requests_total, matchers: [{name: code, op: "=~", value: ".*"}]}, bad: {metric: requests_total, matchers: [{name: code, op: "=~", value: "5.."}]}}}},
		{name: latency, objective: "99", period: 28d, indicator: {latency: {histogram: request_duration_seconds, threshold: 300ms}}}],
	invariants: [{name: ledger, violations: {metric: violations_total}, checks: {metric: checks_total}}],
	triggers: [{name: burn, slo: availability, burn: {rate: "14.4", long: 5m, short: 1m}}, {name: ledger, invariant: ledger}, {name: pods, pods: {readyWithin: 5m}},
		{name: regression, slo: availability, regression: {worseThan: "1.5", burn: "2", falseAlarm: "0.001", exclude: "4", excludeConfidence: "99"}},
		{name: budget, slo: latency, budgetSpent: "2", mode: Observe, whenBlind: {hold: 1m, then: Rollback}},
		{name: memory, warmUp: 2m, saturation: {gauge: {metric: container_memory_working_set_bytes, matchers: [{name: container, op: "!="}]}, per: {metric: container_spec_memory_limit_bytes}, worseThan: "1.5", max: "0.9", for: 5m}},
		{name: throttling, saturation: {rate: {metric: container_cpu_cfs_throttled_periods_total}, max: "0"}},
		{name: smoke, check: {job: {cronJob: smoke}, timeout: 5m, retries: 0, each: Run}}, {name: load, check: {webhook: {endpoint: load, path: /a/b.c}}}], mode: Enforce,
	preflight: {budgetRemaining: "10", onViolation: Hold, recorded: [{slo: availability, sloth: {service: shop, slo: availability}}]}, whenBlind: {hold: 10m, then: Hold}`

// change sets a path of an object; a nil value removes it.
type change struct {
	path  string
	value any
}

// ruleCase breaks exactly one rule: base is accepted, base plus the changes is
// refused with the message. A before is stored first, for rules of transition.
type ruleCase struct {
	kinds   []string
	message string
	before  []change
	breaks  []change
}

// guardrails are the kinds with a guardrail's spec in them. A run pins one as it was
// accepted, without rules.
var guardrails = []string{"Guardrail", "ClusterGuardrail"}

// ordered is a Rollout of a StatefulSet.
var ordered = []string{"Rollout of a StatefulSet"}

// otel leaves the metrics to a preset.
var otel = []change{
	{"spec.slos.0.indicator", map[string]any{"preset": "otel-http", "requests": map[string]any{"matchers": []any{map[string]any{"name": "http_route", "value": "/pay"}}}}},
	{"spec.slos.1.indicator", map[string]any{"preset": "otel-http", "latency": map[string]any{"threshold": "300ms", "unit": "Seconds"}}},
}

// endpoints are the kinds with an address and how Belay authenticates there.
var endpoints = []string{"MetricSource", "CheckEndpoint"}

// routed counts by what a gateway says, and names the destination in one label.
var routed = []change{
	{"spec.slos.0.indicator.by", "Service"},
	{"spec.slos.0.indicator.destination", map[string]any{"label": "service", "value": "$(namespace)-$(service)-*@kubernetesgateway"}},
	{"spec.slos.1.indicator.by", "Workload"},
	{"spec.slos.1.indicator.destination", map[string]any{"label": "k8s_replicaset_name", "value": "$(replicaSet)", "namespaceLabel": "k8s_namespace_name"}},
}

// grpcToo has a GRPCRoute beside the HTTPRoute.
var grpcToo = change{"spec.traffic.routes", []any{map[string]any{"name": "rules"}, map[string]any{"kind": "GRPCRoute", "name": "rules"}}}

// matching is a step's match of one kind of condition.
func matching(by string) map[string]any {
	return map[string]any{by: []any{map[string]any{"name": "x-canary", "value": "1"}}}
}

func phase(p string) change { return change{"status.phase", p} }

func history(runs ...string) change {
	var entries []any
	for _, run := range runs {
		name, message, _ := strings.Cut(run, "=")
		entries = append(entries, map[string]any{"run": name, "revision": "r", "outcome": "Promoted", "message": message,
			"startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:01:00Z"})
	}
	return change{"status.history", entries}
}

func decisions(whys ...string) change {
	var records []any
	for i, why := range whys {
		records = append(records, map[string]any{"seq": int64(i + 1), "at": "2026-01-01T00:00:00Z", "rule": "R", "why": why, "phase": "Stepping", "hash": "sha256:" + strings.Repeat("a", 64)})
	}
	return change{"status.decisions", records}
}

func objectives(n int) []any {
	var slos []any
	for i := range n {
		slos = append(slos, map[string]any{"name": fmt.Sprint("s", i), "objective": "99",
			"indicator": map[string]any{"promQL": map[string]any{"total": "a", "bad": "b"}}})
	}
	return slos
}

var ruleCases = []ruleCase{
	{guardrails, "a trigger names an slo that this guardrail does not define", nil, []change{{"spec.triggers.0.slo", "other"}}},
	{guardrails, "a trigger names an invariant that this guardrail does not define", nil, []change{{"spec.triggers.1.invariant", "other"}}},
	{guardrails, "objective must be a percentage from 1 to below 100", nil, []change{{"spec.slos.0.objective", "0.999"}}},
	{guardrails, `objective must be a percentage from 1 to below 100, with at most 6 decimals: "99.9"`, nil, []change{{"spec.slos.0.objective", "99.9%"}}},
	{guardrails, "period must be a number of days, such as 30d", nil, []change{{"spec.slos.1.period", "4 weeks"}}},
	{guardrails, "bad has the metric of total and no matcher that total lacks", nil, []change{{"spec.slos.0.indicator.requests.bad.matchers", nil}}},
	{guardrails, "bad has the metric of total and no matcher that total lacks", nil, []change{{"spec.slos.0.indicator.requests.bad.matchers.0.value", ".*"}}},
	{guardrails, "total and bad are the same", nil, []change{{"spec.preflight", nil}, {"spec.slos.0.indicator", map[string]any{"promQL": map[string]any{"total": "a", "bad": "a"}}}}},
	{guardrails, "the label le is set by Belay: remove this matcher, and set threshold", nil, []change{{"spec.slos.1.indicator.latency.matchers", []any{map[string]any{"name": "le", "value": "1"}}}}},
	{guardrails, "labels that begin with __, vm_account_id and vm_project_id select a tenant", nil, []change{{"spec.slos.0.indicator.requests.total.matchers.0.name", "__tenant_id__"}}},
	{guardrails, `value looks like a regular expression, but = and != compare it as plain text: write op: "=~"`, nil, []change{{"spec.slos.0.indicator.requests.total.matchers.0.op", "="}}},
	{guardrails, "value must be a valid RE2 regular expression", nil, []change{{"spec.slos.0.indicator.requests.total.matchers.0.value", "5.(.|x"}}},
	{guardrails, "namespace, pod and __name__ are set by Belay: remove this matcher", nil, []change{{"spec.slos.0.indicator.requests.total.matchers.0.name", "pod"}}},
	{guardrails, "set exactly one of requests, latency and promQL", nil, []change{{"spec.slos.0.indicator.promQL", map[string]any{"total": "a", "bad": "b"}}}},
	{guardrails, "destination says how a gateway names the destination", routed, []change{{"spec.slos.0.indicator.by", nil}}},
	{guardrails, "by Service and Workload need destination", routed, []change{{"spec.slos.0.indicator.destination", nil}}},
	{guardrails, "by Service needs $(service) in destination.value", routed, []change{{"spec.slos.0.indicator.by", "Service"}, {"spec.slos.0.indicator.destination.value", "$(namespace)-$(replicaSet)"}}},
	{guardrails, "by Workload needs $(replicaSet) in destination.value", routed, []change{{"spec.slos.0.indicator.by", "Workload"}}},
	{guardrails, "the series must name the namespace once", routed, []change{{"spec.slos.0.indicator.destination.namespaceLabel", "namespace"}}},
	{guardrails, "label and namespaceLabel must be two labels", routed, []change{{"spec.slos.0.indicator.destination.value", "$(service)"}, {"spec.slos.0.indicator.destination.namespaceLabel", "service"}}},
	{guardrails, "instance, le and k do not name a destination", routed, []change{{"spec.slos.0.indicator.destination.label", "__tenant_id__"}}},
	{guardrails, "instance, le and k do not name a namespace", routed, []change{{"spec.slos.0.indicator.destination.value", "$(service)"}, {"spec.slos.0.indicator.destination.namespaceLabel", "vm_account_id"}}},
	{guardrails, "need a separator between them", routed, []change{{"spec.slos.0.indicator.destination.value", "$(namespace)$(service)"}}},
	{guardrails, "value needs $(service) or $(replicaSet) once", routed, []change{{"spec.slos.0.indicator.destination.value", "$(namespace)-$(service)-$(service)"}}},
	{guardrails, "promQL counts by pod", nil, []change{{"spec.slos.0.indicator", map[string]any{"by": "Service", "destination": map[string]any{"label": "a", "value": "$(service)", "namespaceLabel": "b"}, "promQL": map[string]any{"total": "a", "bad": "b"}}}}},
	{guardrails, "a preset fills in requests or latency", otel, []change{{"spec.slos.0.indicator", map[string]any{"preset": "otel-http", "promQL": map[string]any{"total": "a", "bad": "b"}}}}},
	{guardrails, "requests needs total and bad, each with a metric", otel, []change{{"spec.slos.0.indicator.preset", nil}, {"spec.slos.0.indicator.requests.matchers", nil}}},
	{guardrails, "requests.matchers is for a preset", nil, []change{{"spec.slos.0.indicator.requests.matchers", []any{map[string]any{"name": "route", "value": "/pay"}}}}},
	{guardrails, "latency needs histogram, the metric's name without _bucket", otel, []change{{"spec.slos.1.indicator.preset", nil}}},
	{guardrails, "threshold must be above 0s and at most 1h", nil, []change{{"spec.slos.1.indicator.latency.threshold", "2h"}}},
	{guardrails, "set slos, invariants or triggers", nil, []change{{"spec.triggers", nil}, {"spec.slos", nil}, {"spec.invariants", nil}}},
	{guardrails, "without triggers there may be at most 15 slos and invariants", nil, []change{{"spec.triggers", nil}, {"spec.slos", objectives(15)}}},
	{guardrails, "without triggers, each slo and invariant becomes a trigger of its name", nil, []change{{"spec.triggers", nil}, {"spec.slos.0.name", "ledger"}}},
	{guardrails, "regression.burn times the budget must stay below 90 percent", nil, []change{{"spec.triggers.3.regression.burn", "950"}}},
	{guardrails, "regression.burn times the budget must stay below 90 percent", nil, []change{{"spec.slos.0.objective", "50"}}},
	{guardrails, "without triggers, each slo gets a regression trigger with burn 2", nil, []change{{"spec.triggers", nil}, {"spec.slos.0.objective", "50"}}},
	{guardrails, "burn.rate times the budget must stay below 100 percent", nil, []change{{"spec.triggers.3.slo", "latency"}, {"spec.slos.0.objective", "93"}}},
	{guardrails, `rate must be above 0, such as "14.4"`, nil, []change{{"spec.triggers.0.burn.rate", "0.0"}}},
	{guardrails, "preflight does not support promQL", []change{{"spec.slos.0.indicator", map[string]any{"promQL": map[string]any{"total": "a", "bad": "b"}}}}, []change{{"spec.preflight.recorded", nil}, {"spec.slos.0.indicator", map[string]any{"promQL": map[string]any{"total": "a", "bad": "b"}}}}},
	{guardrails, "budgetRemaining must be at most 100 percent", nil, []change{{"spec.preflight.budgetRemaining", "101"}}},
	{guardrails, `preflight.onViolation: Unsupported value: "Rollback": supported values: "Hold"`, nil, []change{{"spec.preflight.onViolation", "Rollback"}}},
	{guardrails, "preflight.recorded names an slo that this guardrail does not define", nil, []change{{"spec.preflight.recorded.0.slo", "other"}}},
	{guardrails, "set exactly one of sloth, pyrra and promQL", nil, []change{{"spec.preflight.recorded.0.pyrra", map[string]any{"slo": "shop"}}}},
	{guardrails, "worseThan must be at least 1", nil, []change{{"spec.triggers.3.regression.worseThan", "0.9"}}},
	{guardrails, "burn must be above 0", nil, []change{{"spec.triggers.3.regression.burn", "0"}}},
	{guardrails, `exclude must be above 0, such as "4"`, nil, []change{{"spec.triggers.3.regression.exclude", "0"}}},
	{guardrails, `excludeConfidence must be at least 50 percent and below 100, such as "95"`, nil, []change{{"spec.triggers.3.regression.excludeConfidence", "49"}}},
	{guardrails, "falseAlarm must be between 0.000001 and 0.1", nil, []change{{"spec.triggers.3.regression.falseAlarm", "0.5"}}},
	{guardrails, "budgetSpent must be above 0 and at most 100 percent", nil, []change{{"spec.triggers.4.budgetSpent", "101"}}},
	{guardrails, "pods uses the API server and no source: remove whenBlind", nil, []change{{"spec.triggers.2.whenBlind", map[string]any{"then": "Rollback"}}}},
	{guardrails, "set exactly one of gauge and rate: a gauge for what rises and falls, a rate for a counter", nil, []change{{"spec.triggers.5.saturation.rate", map[string]any{"metric": "m"}}}},
	{guardrails, "set exactly one of gauge and rate", nil, []change{{"spec.triggers.6.saturation.rate", nil}}},
	{guardrails, "set worseThan, max or both: without them no value is too high", nil, []change{{"spec.triggers.6.saturation.max", nil}}},
	{guardrails, `worseThan must be at least 1, such as "1.5"`, nil, []change{{"spec.triggers.5.saturation.worseThan", "0.9"}}},
	{guardrails, `max must be a plain number in the unit of the metric, such as "0.9" or "1500000000"`, nil, []change{{"spec.triggers.5.saturation.max", "2Gi"}}},
	{guardrails, "for must be between 10s and 24h, with a unit, such as 90s or 5m", nil, []change{{"spec.triggers.5.saturation.for", "5s"}}},
	{guardrails, "regression, burn and budgetSpent need slo; saturation, invariant, pods and check must not have it", nil, []change{{"spec.triggers.5.slo", "latency"}}},
	{guardrails, "set exactly one of regression, burn, budgetSpent, saturation, invariant, pods and check", nil, []change{{"spec.triggers.5.invariant", "ledger"}}},
	{guardrails, "warmUp is for regression, burn and saturation: remove it from this trigger", nil, []change{{"spec.triggers.1.warmUp", "10s"}}},
	{guardrails, "set exactly one of regression, burn, budgetSpent, saturation, invariant, pods and check", nil, []change{{"spec.triggers.2.invariant", "ledger"}}},
	{guardrails, "regression, burn and budgetSpent need slo; saturation, invariant, pods and check must not have it", nil, []change{{"spec.triggers.2.slo", "availability"}}},
	{guardrails, "a check without a result always holds the step: remove whenBlind", nil, []change{{"spec.triggers.7.whenBlind", map[string]any{"then": "Rollback"}}}},
	{guardrails, "set exactly one of job and webhook", nil, []change{{"spec.triggers.7.check.webhook", map[string]any{"endpoint": "load"}}}},
	{guardrails, "set exactly one of job and webhook", nil, []change{{"spec.triggers.7.check.job", nil}}},
	{guardrails, "timeout must be between 1s and 1h", nil, []change{{"spec.triggers.7.check.timeout", "2h"}}},
	{guardrails, "path must be segments", nil, []change{{"spec.triggers.8.check.webhook.path", "/a/../b"}}},
	{guardrails, "path must be segments", nil, []change{{"spec.triggers.8.check.webhook.path", "/a?b"}}},
	{guardrails, "path must be segments", nil, []change{{"spec.triggers.8.check.webhook.path", "@other.example"}}},
	{guardrails, "path must be segments", nil, []change{{"spec.triggers.8.check.webhook.path", "//other.example"}}},
	{guardrails, "path must be segments", nil, []change{{"spec.triggers.8.check.webhook.path", "/a/%2e%2e"}}},
	{[]string{"CheckEndpoint"}, "google is for MetricSources", nil, []change{{"spec.auth", map[string]any{"google": map[string]any{}}}}},
	{guardrails, "short must not be longer than long", nil, []change{{"spec.triggers.0.burn.short", "6m"}}},
	{guardrails, "long must be between 10s and 24h", nil, []change{{"spec.triggers.0.burn.long", "25h"}}},
	{guardrails, "long must be between 10s and 24h, with a unit, such as 30s, 5m or 1h30m", nil, []change{{"spec.triggers.0.burn.long", "5 minutes"}}},
	{guardrails, "short must be between 5s and 2h", nil, []change{{"spec.triggers.0.burn.short", "1s"}}},
	{guardrails, "readyWithin must be between 1s and 24h", nil, []change{{"spec.triggers.2.pods.readyWithin", "0s"}}},
	{guardrails, "warmUp must be between 0s and 10m", nil, []change{{"spec.warmUp", "11m"}}},
	{guardrails, "warmUp must be between 0s and 10m", nil, []change{{"spec.triggers.0.warmUp", "11m"}}},
	{guardrails, `spec.mode: Unsupported value: "Off": supported values: "Enforce", "Observe"`, []change{{"spec.mode", "Observe"}}, []change{{"spec.mode", "Off"}}},
	{guardrails, `mode: Unsupported value: "Off": supported values: "Enforce", "Observe"`, []change{{"spec.triggers.0.mode", "Observe"}}, []change{{"spec.triggers.0.mode", "Off"}}},
	{guardrails, "hold must be between 30s and 168h", nil, []change{{"spec.whenBlind.hold", "29s"}}},
	{endpoints, "address must be an http or https URL", nil, []change{{"spec.address", "https://user@prometheus.example"}}},
	{[]string{"MetricSource"}, "scrapeInterval must be between 1s and 10m", nil, []change{{"spec.scrapeInterval", "11m"}}},
	{endpoints, "set both accessKey and secretKey, or neither", nil, []change{{"spec.auth.oauth2", nil}, {"spec.auth.sigV4", map[string]any{"region": "r", "accessKey": map[string]any{"name": "s", "key": "k"}}}}},
	{endpoints, "set exactly one of basic, authorization, oauth2, sigV4 and google", nil, []change{{"spec.auth.authorization", map[string]any{"credentials": map[string]any{"name": "s", "key": "k"}}}}},
	{endpoints, "tokenURL must be an http or https URL", nil, []change{{"spec.auth.oauth2.tokenURL", "ftp://tokens.example"}}},
	{endpoints, "set both cert and key, or neither", nil, []change{{"spec.tls.key", nil}}},
	{endpoints, "this header is set by auth or by the client", nil, []change{{"spec.headers.0.name", "Authorization"}}},
	{endpoints, "set exactly one of value and valueFrom", nil, []change{{"spec.headers.1.value", "x"}}},
	{[]string{"MetricSource"}, "this parameter is set by Belay, or would change what a query returns", nil, []change{{"spec.parameters.0.name", "time"}}},
	{endpoints, "url must be an http or https URL", nil, []change{{"spec.proxy.url", "http://user@proxy.example"}}},
	{[]string{"MetricSource"}, "namespace and pod must be different labels", nil, []change{{"spec.labels.pod", "k8s.namespace.name"}}},
	{[]string{"MetricSource"}, "this label has another meaning: name the one that has a pod's namespace", nil, []change{{"spec.labels.namespace", "__tenant_id__"}}},
	{[]string{"MetricSource"}, "this label has another meaning: name the one that has a pod's name", nil, []change{{"spec.labels.pod", "instance"}}},
	{[]string{"MetricSource"}, "timeout must be between 100ms and 2m", nil, []change{{"spec.limits.timeout", "3m"}}},
	{[]string{"Rollout"}, "the name must have at most 52 characters", nil, []change{{"metadata.name", strings.Repeat("n", 53)}}},
	{[]string{"Rollout"}, "the name must consist of lower-case letters, digits and '-', and begin with a letter", nil, []change{{"metadata.name", "shop.api"}}},
	{[]string{"Rollout"}, "step weights must not decrease", nil, []change{{"spec.steps.1.weight", int64(5)}}},
	{[]string{"Rollout"}, "a step's weight can be at most 50", []change{{"spec.traffic", nil}}, []change{{"spec.steps.1.weight", int64(51)}}},
	{ordered, "a step's weight can be at most 50", nil, []change{{"spec.workloadRef.kind", "Deployment"}}},
	{ordered, "a step of weight 0 would start no pod", nil, []change{{"spec.steps.0.weight", int64(0)}}},
	{ordered, "step weights must not decrease", nil, []change{{"spec.steps.1.weight", int64(33)}}},
	{ordered, "a step's match is carried out by a route", nil, []change{{"spec.steps.0.match", matching("headers")}}},
	{ordered, "the pods of a StatefulSet are replaced one by one, and the number of the replaced ones is the weight: remove traffic", nil, []change{{"spec.traffic", map[string]any{"service": "rules", "routes": []any{map[string]any{"name": "rules"}}}}}},
	{[]string{"Rollout"}, "the pods of a StatefulSet are replaced one by one, and the number of the replaced ones is the weight: remove traffic", nil, []change{{"spec.workloadRef.kind", "StatefulSet"}}},
	{ordered, "a StatefulSet is promoted by its partition, which is the only mode that it has: remove promotion.mode", []change{{"spec.promotion.mode", "HandOver"}}, []change{{"spec.promotion.mode", "Native"}}},
	{[]string{"Rollout"}, "a StatefulSet is promoted by its partition, which is the only mode that it has: remove promotion.mode", nil, []change{{"spec.workloadRef.kind", "StatefulSet"}, {"spec.traffic", nil}, {"spec.promotion.mode", "Native"}}},
	{ordered, "workloadRef is immutable: delete this Rollout (the workload keeps running)", []change{{"metadata.labels", map[string]any{}}}, []change{{"spec.workloadRef.kind", "Deployment"}, {"spec.steps.1.weight", int64(50)}, {"spec.steps.2.weight", int64(50)}}},
	{[]string{"Rollout"}, `spec.workloadRef.kind: Unsupported value: "DaemonSet": supported values: "Deployment", "StatefulSet"`, nil, []change{{"spec.workloadRef.kind", "DaemonSet"}}},
	{[]string{"Rollout"}, "a step of weight 0 would start no pod", []change{{"spec.traffic", nil}, {"spec.steps.0.weight", int64(1)}}, []change{{"spec.steps.0.weight", int64(0)}}},
	{[]string{"Rollout"}, "a step's match is carried out by a route, which a StatefulSet cannot have: name the Service and its routes in traffic, or remove match from the steps", []change{{"spec.steps.1.match", matching("headers")}}, []change{{"spec.traffic", nil}}},
	{[]string{"Rollout"}, "a GRPCRoute matches headers alone: use match.headers in every step, or name only HTTPRoutes", []change{grpcToo, {"spec.steps.1.match", matching("headers")}}, []change{{"spec.steps.1.match", matching("cookies")}}},
	{[]string{"Rollout"}, "a GRPCRoute matches headers alone", []change{{"spec.steps.1.match", matching("queryParams")}}, []change{grpcToo}},
	{[]string{"Rollout", "RolloutRun"}, "a step with match needs a weight below 100: at 100 everybody reaches the candidate", nil, []change{{"spec.steps.0.match", matching("headers")}, {"spec.steps.0.weight", int64(100)}}},
	{[]string{"Rollout", "RolloutRun"}, "match.cookies is itself a match of the header Cookie: remove that header from match.headers", nil, []change{{"spec.steps.0.match", map[string]any{
		"cookies": []any{map[string]any{"name": "a", "value": "b"}}, "headers": []any{map[string]any{"name": "COOKIE", "value": "a=b"}}}}}},
	{[]string{"Rollout", "RolloutRun"}, "match.headers must have each name once", nil, []change{{"spec.steps.0.match", map[string]any{
		"headers": []any{map[string]any{"name": "X-Canary", "value": "1"}, map[string]any{"name": "x-canary", "value": "2"}}}}}},
	{[]string{"Rollout", "RolloutRun"}, "a step with mirror gives users the stable version's answers alone: set weight: 0", nil, []change{{"spec.steps.0.mirror", int64(10)}, {"spec.steps.0.weight", int64(5)}}},
	{[]string{"Rollout", "RolloutRun"}, "a step has either mirror or match: write two steps", nil, []change{{"spec.steps.0.weight", int64(0)}, {"spec.steps.0.mirror", int64(100)}, {"spec.steps.0.match", matching("headers")}}},
	{[]string{"Rollout"}, "a step's mirror is carried out by a route, which a StatefulSet cannot have: name the Service and its HTTPRoutes in traffic, or remove mirror", []change{{"spec.steps.0.weight", int64(0)}, {"spec.steps.0.mirror", int64(1)}}, []change{{"spec.traffic", nil}}},
	{[]string{"Rollout"}, "only HTTPRoutes can mirror a share of the requests: name only HTTPRoutes in traffic.routes", []change{{"spec.steps.0.weight", int64(0)}, {"spec.steps.0.mirror", int64(10)}}, []change{grpcToo}},
	{[]string{"Rollout"}, "nothing is sent to traffic.comparer: add a step with weight: 0 and mirror", []change{{"spec.steps.0.weight", int64(0)}, {"spec.steps.0.mirror", int64(10)}, {"spec.traffic.comparer", map[string]any{"service": "shop-comparer"}}}, []change{{"spec.steps.0.mirror", nil}}},
	{[]string{"Rollout"}, "traffic.comparer.service is one of the Services that Belay makes for a version", nil, []change{{"spec.steps.0.weight", int64(0)}, {"spec.steps.0.mirror", int64(10)}, {"spec.traffic.comparer", map[string]any{"service": "green-canary"}}, {"metadata.name", "green"}}},
	{[]string{"Rollout", "RolloutRun"}, "comparer must be another Service than service", nil, []change{{"spec.steps.0.weight", int64(0)}, {"spec.steps.0.mirror", int64(10)}, {"spec.traffic.comparer", map[string]any{"service": "rules"}}}},
	{[]string{"Rollout"}, "spec.steps[0].mirror: Invalid value: 101: spec.steps[0].mirror in body should be less than or equal to 100", nil, []change{{"spec.steps.0.weight", int64(0)}, {"spec.steps.0.mirror", int64(101)}}},
	{[]string{"Rollout"}, "spec.steps[0].match: Invalid value: 0: spec.steps[0].match in body should have at least 1 properties", nil, []change{{"spec.steps.0.match", map[string]any{}}}},
	{[]string{"Rollout"}, `spec.steps[0].match.headers[1]: Duplicate value`, nil, []change{{"spec.steps.0.match", map[string]any{"headers": []any{map[string]any{"name": "a", "value": "b"}, map[string]any{"name": "a", "value": "c"}}}}}},
	{[]string{"Rollout"}, "spec.steps[0].match.cookies: Too many: 2: must have at most 1 item", nil, []change{{"spec.steps.0.match", map[string]any{"cookies": []any{map[string]any{"name": "a", "value": "b"}, map[string]any{"name": "b", "value": "c"}}}}}},
	{[]string{"Rollout"}, "spec.steps[0].match.cookies[0].value: Invalid value", nil, []change{{"spec.steps.0.match", map[string]any{"cookies": []any{map[string]any{"name": "a", "value": "b; c=d"}}}}}},
	{[]string{"Rollout"}, `spec.steps[0].match.headers[0].type: Unsupported value: "Prefix": supported values: "Exact", "RegularExpression"`, nil, []change{{"spec.steps.0.match", map[string]any{"headers": []any{map[string]any{"type": "Prefix", "name": "a", "value": "b"}}}}}},
	{[]string{"Rollout"}, "traffic.service is the name of the Service that traffic.preview creates: name the Service that your callers use", nil, []change{{"spec.traffic.preview", "Enabled"}, {"spec.traffic.service", "green-preview"}, {"metadata.name", "green"}}},
	{[]string{"Rollout"}, `spec.traffic.preview: Unsupported value: "On": supported values: "Disabled", "Enabled"`, []change{{"spec.traffic.preview", "Enabled"}}, []change{{"spec.traffic.preview", "On"}}},
	{[]string{"Rollout"}, "spec.traffic.service: Required value", nil, []change{{"spec.traffic", map[string]any{"directCallers": "Stable"}}}},
	{[]string{"Rollout"}, "stepDeadline must be between 10s and 168h", nil, []change{{"spec.stepDeadline", "5s"}}},
	{[]string{"Rollout"}, `rejectBy: Unsupported value: "Digest": supported values: "Template", "Image"`, []change{{"spec.rejectBy", "Image"}}, []change{{"spec.rejectBy", "Digest"}}},
	{[]string{"Rollout"}, "unattended must be between 1m and 168h, with a unit, such as 15m or 1h30m", []change{{"spec.unattended", "1m"}}, []change{{"spec.unattended", "59s"}}},
	{[]string{"Rollout"}, "settle must be between 0s and 10m, with a unit, such as 30s or 2m", []change{{"spec.settle", "10m"}}, []change{{"spec.settle", "11m"}}},
	{[]string{"Rollout"}, "settle must be between 0s and 10m, with a unit, such as 30s or 2m", []change{{"spec.settle", "0s"}}, []change{{"spec.settle", "30"}}},
	{[]string{"Rollout"}, "each of restartAnnotations must be the key of an annotation in spec.template.metadata.annotations", []change{{"spec.restartAnnotations", []any{"kubectl.kubernetes.io/restartedAt", "checksum/config", "restarted_At.2", "Example.com/a"}}}, []change{{"spec.restartAnnotations", []any{"restartedAt=now"}}}},
	{[]string{"Rollout"}, "without its value, such as kubectl.kubernetes.io/restartedAt or checksum-config", []change{{"spec.restartAnnotations", []any{strings.Repeat("n", 63)}}}, []change{{"spec.restartAnnotations", []any{strings.Repeat("n", 64)}}}},
	{[]string{"Rollout"}, "each of restartAnnotations must be", nil, []change{{"spec.restartAnnotations", []any{"a/b/c"}}}},
	{[]string{"Rollout"}, "each of restartAnnotations must be", nil, []change{{"spec.restartAnnotations", []any{"/restartedAt"}}}},
	{[]string{"Rollout"}, `Duplicate value: "a"`, nil, []change{{"spec.restartAnnotations", []any{"a", "a"}}}},
	{[]string{"Rollout", "RolloutRun"}, "drain must be between 0s and 1h", nil, []change{{"spec.traffic.drain", "2h"}}},
	{[]string{"Rollout", "RolloutRun"}, "hold must be between 0s and 168h", nil, []change{{"spec.steps.0.hold", "169h"}}},
	{[]string{"Rollout", "RolloutRun"}, "hold must be between 0s and 168h, with a unit, such as 30s, 5m or 1h30m", nil, []change{{"spec.steps.0.hold", "5"}}},
	{[]string{"Rollout"}, `approval: Unsupported value: "No": supported values: "NotRequired", "Required"`, []change{{"spec.steps.0.approval", "Required"}}, []change{{"spec.steps.0.approval", "No"}}},
	{[]string{"Rollout", "RolloutRun"}, `approval: Unsupported value: "Yes": supported values: "NotRequired", "Required"`, nil, []change{{"spec.steps.0.approval", "Yes"}}},
	{[]string{"Rollout"}, "bake must be between 0s and 168h", nil, []change{{"spec.promotion.bake", "169h"}}},
	{[]string{"Rollout"}, "workloadRef is immutable", []change{{"metadata.labels", map[string]any{}}}, []change{{"spec.workloadRef.name", "other"}}},
	{[]string{"Rollout"}, "epoch must not decrease", []change{{"status.epoch", int64(7)}}, []change{{"status", nil}}},
	{[]string{"Rollout"}, "phase", []change{phase("Stable")}, []change{phase("Promoting")}},
	{[]string{"Rollout"}, "a Rollout starts in phase Stable", []change{{"status.message", "m"}}, []change{phase("Stepping")}},
	{[]string{"Rollout"}, "entries of history must not change", []change{history("a=one", "b=two")}, []change{history("a=changed", "b=two")}},
	{[]string{"RolloutRun"}, "status is evidence and must not be removed", []change{decisions("one")}, []change{{"status", nil}}},
	{[]string{"RolloutRun"}, "spec is immutable", []change{{"metadata.labels", map[string]any{}}}, []change{{"spec.image", "other"}}},
	{[]string{"RolloutRun"}, "outcome must not change", []change{{"status.outcome", "RolledBack"}}, []change{{"status.outcome", "Promoted"}}},
	{[]string{"RolloutRun"}, "decisions must not be removed", []change{decisions("one", "two")}, []change{decisions("one")}},
}

func TestRules(t *testing.T) {
	for i, c := range ruleCases {
		for _, kind := range c.kinds {
			t.Run(fmt.Sprintf("%s/%s", kind, c.message), func(t *testing.T) { c.check(t, kind, fmt.Sprintf("rules-%d", i)) })
		}
	}
}

func (c ruleCase) check(t *testing.T, kind, name string) {
	base := object(t, valid[kind])
	base.SetName(name)
	if err := author(t, kind).Create(t.Context(), base); err != nil {
		t.Fatalf("an acceptable %s was refused: %v", kind, err)
	}
	if kind == "ClusterGuardrail" {
		// It would bind the Rollouts of other tests.
		t.Cleanup(func() { _ = admin.Delete(context.WithoutCancel(t.Context()), base) })
	}
	if len(c.before) == 0 {
		broken := object(t, valid[kind])
		broken.SetName(name + "-broken")
		apply(t, broken, c.breaks)
		c.refused(t, author(t, kind).Create(t.Context(), broken))
		return
	}
	apply(t, base, c.before)
	if err := c.update(t, base); err != nil {
		t.Fatalf("an acceptable change was refused: %v", err)
	}
	apply(t, base, c.breaks)
	c.refused(t, c.update(t, base))
}

// update writes the part of the object that the case is about.
func (c ruleCase) update(t *testing.T, object *unstructured.Unstructured) error {
	t.Helper()
	if strings.HasPrefix(c.breaks[0].path, "status") {
		return author(t, "").Status().Update(t.Context(), object)
	}
	return author(t, object.GetKind()).Update(t.Context(), object)
}

// author is who may write a kind: runs, and every status, are the controller's.
// With the rights of an administrator on top, so that the rules decide and not RBAC.
func author(t *testing.T, kind string) client.Client {
	t.Helper()
	if kind == "RolloutRun" || kind == "" {
		return as(t, controller, "system:masters")
	}
	return admin
}

func (c ruleCase) refused(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatalf("accepted, want %q", c.message)
	}
	if !strings.Contains(err.Error(), c.message) {
		t.Fatalf("got %v, want %q", err, c.message)
	}
}

// TestEveryRuleHasACase: a rule that nothing proves would be a promise.
func TestEveryRuleHasACase(t *testing.T) {
	definitions, err := build.Config("crd")
	if err != nil {
		t.Fatal(err)
	}
	for _, definition := range definitions {
		var crd apiextensionsv1.CustomResourceDefinition
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(definition.Object, &crd); err != nil {
			t.Fatal(err)
		}
		messages := map[string]bool{}
		collect(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, messages)
		for _, message := range slices.Sorted(maps.Keys(messages)) {
			if !slices.ContainsFunc(ruleCases, func(c ruleCase) bool {
				return slices.Contains(c.kinds, crd.Spec.Names.Kind) && strings.Contains(message, c.message)
			}) {
				t.Errorf("%s: no case breaks the rule %q", crd.Spec.Names.Kind, message)
			}
		}
	}
}

func collect(schema *apiextensionsv1.JSONSchemaProps, into map[string]bool) {
	for _, rule := range schema.XValidations {
		into[rule.Message] = true
	}
	for _, property := range schema.Properties {
		collect(&property, into)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		collect(schema.Items.Schema, into)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		collect(schema.AdditionalProperties.Schema, into)
	}
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	out := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(text, "\t", " ")), &out.Object); err != nil {
		t.Fatal(err)
	}
	return out
}

func apply(t *testing.T, object *unstructured.Unstructured, changes []change) {
	t.Helper()
	for _, c := range changes {
		object.Object = set(t, object.Object, strings.Split(c.path, "."), c.value).(map[string]any)
	}
}

// set returns node with the value at the path; numbers index lists.
func set(t *testing.T, node any, path []string, value any) any {
	t.Helper()
	if len(path) == 0 {
		return value
	}
	switch n := node.(type) {
	case []any:
		var i int
		if err := json.Unmarshal([]byte(path[0]), &i); err != nil || i >= len(n) {
			t.Fatalf("no element %q", path[0])
		}
		n[i] = set(t, n[i], path[1:], value)
		return n
	case map[string]any:
		if len(path) == 1 && value == nil {
			delete(n, path[0])
			return n
		}
		n[path[0]] = set(t, n[path[0]], path[1:], value)
		return n
	default:
		return set(t, map[string]any{}, path, value)
	}
}
