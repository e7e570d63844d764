package v1alpha1

import (
	"math"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Rollout rolls out new versions of a Deployment or a StatefulSet step by step. Creating one
// turns on the guard: from then on the workload is held whenever its pod template changes,
// until Belay has checked the new version. A Deployment is held by spec.paused, a StatefulSet
// by its partition.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=bro;brollout;brollouts,categories={belay,all}
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Step",type=string,JSONPath=`.status.step.display`
// +kubebuilder:printcolumn:name="Serving",type=string,JSONPath=`.status.serving`
// +kubebuilder:printcolumn:name="Stable",type=string,priority=1,JSONPath=`.status.stable.image`
// +kubebuilder:printcolumn:name="Candidate",type=string,JSONPath=`.status.candidate.image`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.message`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 52",message="the name must have at most 52 characters: Belay derives Service and run names from it"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="the name must consist of lower-case letters, digits and '-', and begin with a letter: Belay creates Services named NAME-stable and NAME-canary"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.traffic) || !has(self.spec.traffic.comparer) || !['-stable', '-canary', '-preview'].exists(side, self.spec.traffic.comparer.service == self.metadata.name + side)",message="traffic.comparer.service is one of the Services that Belay makes for a version, which compares nothing: name the Service of your belay-comparer"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.traffic) || !has(self.spec.traffic.preview) || self.spec.traffic.preview != 'Enabled' || self.spec.traffic.service != self.metadata.name + '-preview'",message="traffic.service is the name of the Service that traffic.preview creates: name the Service that your callers use, or name the Rollout otherwise"
type Rollout struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what to roll out, and in which steps.
	// +required
	Spec RolloutSpec `json:"spec,omitzero"`

	// status is the state of the rollout. Only Belay writes it.
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status RolloutStatus `json:"status,omitempty"`
}

// RolloutSpec is what the app team declares.
// +kubebuilder:validation:XValidation:rule="has(self.traffic) || self.workloadRef.kind == 'StatefulSet' || self.steps.all(s, s.weight <= 50)",message="without traffic, requests are shared by the number of pods, and stable keeps its pods: a step's weight can be at most 50 (as many canary pods as stable pods); lower it, or name a Service and a route in traffic",fieldPath=".steps"
// +kubebuilder:validation:XValidation:rule="has(self.traffic) || self.steps.all(s, !has(s.match))",message="a step's match is carried out by a route, which a StatefulSet cannot have: name the Service and its routes in traffic, or remove match from the steps",fieldPath=".steps"
// +kubebuilder:validation:XValidation:rule="!has(self.traffic) || self.traffic.routes.all(r, r.kind != 'GRPCRoute') || self.steps.all(s, !has(s.match) || !has(s.match.cookies) && !has(s.match.queryParams))",message="a GRPCRoute matches headers alone: use match.headers in every step, or name only HTTPRoutes in traffic.routes",fieldPath=".steps"
// +kubebuilder:validation:XValidation:rule="has(self.traffic) || self.steps.all(s, !has(s.mirror))",message="a step's mirror is carried out by a route, which a StatefulSet cannot have: name the Service and its HTTPRoutes in traffic, or remove mirror from the steps",fieldPath=".steps"
// +kubebuilder:validation:XValidation:rule="!has(self.traffic) || self.traffic.routes.all(r, r.kind != 'GRPCRoute') || self.steps.all(s, !has(s.mirror))",message="only HTTPRoutes can mirror a share of the requests: name only HTTPRoutes in traffic.routes, or remove mirror from the steps",fieldPath=".steps"
// +kubebuilder:validation:XValidation:rule="has(self.traffic) || self.steps.all(s, s.weight >= 1)",message="without traffic, every canary pod takes requests, so a step of weight 0 would start no pod and test nothing: give it a weight of at least 1, or, for a Deployment, name a Service and a route in traffic",fieldPath=".steps"
// +kubebuilder:validation:XValidation:rule="self.workloadRef.kind != 'StatefulSet' || !has(self.traffic)",message="the pods of a StatefulSet are replaced one by one, and the number of the replaced ones is the weight: remove traffic",fieldPath=".traffic"
// +kubebuilder:validation:XValidation:rule="self.workloadRef.kind != 'StatefulSet' || !has(self.promotion) || self.promotion.mode != 'Native'",message="a StatefulSet is promoted by its partition, which is the only mode that it has: remove promotion.mode",fieldPath=".promotion.mode"
// +kubebuilder:validation:XValidation:rule="!has(self.traffic) || !has(self.traffic.comparer) || self.steps.exists(s, has(s.mirror))",message="nothing is sent to traffic.comparer: add a step with weight: 0 and mirror, such as mirror: 10, or remove comparer",fieldPath=".traffic.comparer"
type RolloutSpec struct {
	// workloadRef is the Deployment or StatefulSet, in the same namespace. It cannot be
	// changed: delete the Rollout and create another one.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="workloadRef is immutable: delete this Rollout (the workload keeps running) and create one for the other workload"
	WorkloadRef WorkloadRef `json:"workloadRef,omitzero"`

	// traffic names the Service and the routes whose requests are shared out.
	// Without it requests are shared by the number of pods: Belay adds as many
	// canary pods beside the stable ones as a step's weight needs, rounded up, and
	// touches no Service and no route. Weights are then between 1 and 50. To a StatefulSet
	// no pods are added: as many of its own as the weight needs are replaced, the last
	// ordinals first. Its weights are between 1 and 100, and it can have no traffic. A run in
	// progress keeps the traffic that it started with.
	// +optional
	Traffic *Traffic `json:"traffic,omitempty"`

	// steps are taken in order. Weights must not decrease from one step to the next.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:XValidation:rule="self.all(i, s, i == 0 || s.weight >= self[i - 1].weight)",message="step weights must not decrease: sort the steps by weight"
	Steps []Step `json:"steps,omitempty"`

	// guardrails that the candidate must pass, in addition to the ClusterGuardrails that
	// select this Rollout. Any of their triggers rolls the candidate back.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Guardrails []GuardrailRef `json:"guardrails,omitempty"`

	// promotion is what happens after the last step.
	// +optional
	// +kubebuilder:default={}
	Promotion Promotion `json:"promotion,omitempty"`

	// fastRevert lets a version that was stable before return without steps.
	// +optional
	// +kubebuilder:default={}
	FastRevert FastRevert `json:"fastRevert,omitempty"`

	// restartAnnotations are keys of annotations of the pod template, such as
	// kubectl.kubernetes.io/restartedAt, or the checksum that a reloader of Secrets writes. A
	// template that differs from the stable version's in nothing but these is a restart: it is
	// guarded, judged and baked like any other version, but goes without steps, and without their
	// approvals. List only what changes nothing in what the pods run. With promotion mode Native
	// every change takes the steps. Empty means that every change does. A change applies at once,
	// but to the run in progress.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="self.all(a, a.matches('^(([A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)([.][A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",message="each of restartAnnotations must be the key of an annotation in spec.template.metadata.annotations, without its value, such as kubectl.kubernetes.io/restartedAt or checksum-config"
	RestartAnnotations []string `json:"restartAnnotations,omitempty"`

	// stepDeadline is how long a step may stay undecided, such as 30m or 1h. Then
	// onDeadline applies.
	// +optional
	// +kubebuilder:default="1h"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s|ms))+$') && duration(self) >= duration('10s') && duration(self) <= duration('168h')",message="stepDeadline must be between 10s and 168h, with a unit, such as 30s, 5m or 1h30m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	StepDeadline metav1.Duration `json:"stepDeadline,omitempty"`

	// onDeadline is what happens when a step is still undecided at its deadline: Hold
	// keeps the weight and reports it, Rollback rolls back.
	// +optional
	// +kubebuilder:default=Hold
	OnDeadline HoldOrRollback `json:"onDeadline,omitempty"`

	// unattended is for how long the candidate of a run may be without a controller that looks
	// at it, such as 15m: because none runs, none leads, or it does not reach the API server.
	// After a longer absence onUnattended applies. Known to a quarter of it, by which it may be
	// longer. Absent: the run goes on, and its guardrails judge the time of the absence, too. A
	// change applies at once.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s|ms))+$') && duration(self) >= duration('1m') && duration(self) <= duration('168h')",message="unattended must be between 1m and 168h, with a unit, such as 15m or 1h30m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	Unattended metav1.Duration `json:"unattended,omitempty,omitzero"`

	// onUnattended is what happens to a step, a promotion or a bake after an absence of the
	// controller that was longer than unattended: Rollback rolls back, Hold pauses the candidate
	// until the command Resume. Absent means Rollback.
	// +optional
	OnUnattended HoldOrRollback `json:"onUnattended,omitempty"`

	// settle is how long another template has to stand before it supersedes a run in progress,
	// such as 30s or 2m, so that several pushes in a row cost one run. The candidate keeps its
	// weight meanwhile, is judged, and goes no further; pushes that never end are waited for
	// ten times as long, at most. A run starts once its own template has stood for two seconds,
	// or for settle where that is shorter. It delays no rollback, and no return to the stable
	// version; 0s turns it off. A change applies at once.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s|ms))+$') && duration(self) >= duration('0s') && duration(self) <= duration('10m')",message="settle must be between 0s and 10m, with a unit, such as 30s or 2m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	Settle metav1.Duration `json:"settle,omitempty"`

	// rejectBy is what of a rejected version stays rejected: Template only that pod template;
	// Image every template with the same images in its containers, whatever else differs. An
	// image is the same by its digest where both are known, else by its name. The images of the
	// stable version, and a version that was stable before, are never rejected so.
	// +optional
	// +kubebuilder:default=Template
	RejectBy RejectBy `json:"rejectBy,omitempty"`

	// mode is Enforce, or Observe: every trigger of spec.guardrails is judged, recorded and
	// counted, and holds and rolls back nothing; onDeadline does not roll back either.
	// ClusterGuardrails keep their own mode. A run keeps the mode with which it started, but
	// Enforce applies at once.
	// +optional
	// +kubebuilder:default=Enforce
	Mode Mode `json:"mode,omitempty"`

	// paused keeps the candidate at its present weight, or its run from starting: no hold and
	// no bake goes on. The canary still grows with the workload, and triggers can still
	// roll back. The command Pause does the same for one candidate.
	// +optional
	Paused bool `json:"paused,omitempty"`

	// historyLimit is how many finished runs of this Rollout are kept, in its
	// status and as RolloutRuns.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=20
	HistoryLimit int32 `json:"historyLimit,omitempty"`
}

// WorkloadRef names the workload in the Rollout's own namespace.
type WorkloadRef struct {
	// kind is Deployment or StatefulSet (apps/v1).
	// +optional
	// +kubebuilder:default=Deployment
	// +kubebuilder:validation:Enum=Deployment;StatefulSet
	Kind string `json:"kind,omitempty"`

	// name of the workload.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=52
	Name string `json:"name,omitempty"`
}

const (
	// KindDeployment is the kind of a workload that names none.
	KindDeployment = "Deployment"
	// KindStatefulSet is the kind of a workload whose pods have an order, each its own
	// name and volumes: a new version replaces them in place, the last ordinal first.
	KindStatefulSet = "StatefulSet"
)

// PartitionHold is the partition of a StatefulSet whose new version is held: no ordinal
// comes near it, so that pods which are lost, and those of a scale-up, run the former
// version.
const PartitionHold int32 = math.MaxInt32

// Ordered reports whether the workload is a StatefulSet.
func (r WorkloadRef) Ordered() bool { return r.Kind == KindStatefulSet }

// ReplicaWeighted reports whether requests are shared by the number of pods, as no
// traffic is named.
func (s *RolloutSpec) ReplicaWeighted() bool { return s.Traffic == nil }

// Traffic says which requests a step's weight shares out.
// +kubebuilder:validation:XValidation:rule="!has(self.comparer) || self.comparer.service != self.service",message="comparer must be another Service than service: the one of your belay-comparer",fieldPath=".comparer"
type Traffic struct {
	// service is the user's Service. For the time of a run every backendRef to it
	// becomes the pair <rollout>-stable and <rollout>-canary.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Service string `json:"service,omitempty"`

	// routes whose backendRefs name the service, in the same namespace. Kinds may
	// be mixed.
	// +required
	// +listType=map
	// +listMapKey=kind
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Routes []RouteRef `json:"routes,omitempty"`

	// directCallers is whom callers reach that use the Service itself, not a route,
	// while a run is in progress: Any leaves the Service alone, so that they reach
	// both versions by their share of the pods; Stable narrows its selector to the
	// version that serves.
	// +optional
	// +kubebuilder:default=Any
	DirectCallers DirectCallers `json:"directCallers,omitempty"`

	// preview is Enabled to have a Service <rollout>-preview with the ports of the service, as
	// long as the Rollout exists: in the steps of a run it selects the candidate's pods, from
	// before the first request of a user reaches them, and at all other times the pods of every
	// version. A step of weight 0 then waits for no requests of users. A run in progress
	// keeps what it started with. Absent means Disabled, which also removes the Service.
	// +optional
	Preview Preview `json:"preview,omitempty"`

	// comparer is the Service of a belay-comparer in the same namespace. Steps with mirror then
	// copy requests to it, in place of the candidate: it asks the stable version and the
	// candidate, and counts how often their answers differ. Absent: copies go to the candidate.
	// +optional
	Comparer *Comparer `json:"comparer,omitempty"`

	// drain is how long connections get to finish after the acknowledged weight
	// is 0 and before the pods go.
	// +optional
	// +kubebuilder:default="5s"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s|ms))+$') && duration(self) >= duration('0s') && duration(self) <= duration('1h')",message="drain must be between 0s and 1h, with a unit, such as 30s, 5m or 1h30m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	Drain metav1.Duration `json:"drain,omitempty"`
}

// Comparer names a port of a Service in the Rollout's own namespace.
type Comparer struct {
	// service is the Service's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Service string `json:"service,omitempty"`

	// port of the Service.
	// +optional
	// +kubebuilder:default=8080
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
}

// DirectCallers is whom callers of the user's Service reach during a run.
// +kubebuilder:validation:Enum=Any;Stable
type DirectCallers string

const (
	// DirectCallersAny reaches both versions, by their share of the pods.
	DirectCallersAny DirectCallers = "Any"
	// DirectCallersStable reaches the version that serves.
	DirectCallersStable DirectCallers = "Stable"
)

// Preview is whether a Service leads to the candidate alone in the steps of a run.
// +kubebuilder:validation:Enum=Disabled;Enabled
type Preview string

const (
	// PreviewDisabled makes no such Service.
	PreviewDisabled Preview = "Disabled"
	// PreviewEnabled makes one, named by PreviewName.
	PreviewEnabled Preview = "Enabled"
)

// PreviewsCandidate reports whether a step of a run leads nobody but the callers of the preview
// Service to the candidate: it has weight 0, no match and no mirror, and there is that Service.
func (s *RolloutSpec) PreviewsCandidate(step int) bool {
	if s.Traffic == nil || s.Traffic.Preview != PreviewEnabled || step < 0 || step >= len(s.Steps) {
		return false
	}
	asked := s.Steps[step]
	return asked.Weight == 0 && asked.Match == nil && asked.Mirror == 0
}

// ComparesNothing reports whether a stage of a run sends the comparer no copies: there is one, and
// the step has no mirror, or the stage is after the steps, where step is -1.
func (s *RolloutSpec) ComparesNothing(step int) bool {
	if s.Traffic == nil || s.Traffic.Comparer == nil {
		return false
	}
	return step < 0 || step >= len(s.Steps) || s.Steps[step].Mirror == 0
}

// Kinds of routes.
const (
	// KindHTTPRoute is the kind of a route that names none.
	KindHTTPRoute = "HTTPRoute"
	// KindGRPCRoute is served as v1 from Gateway API 1.1 on.
	KindGRPCRoute = "GRPCRoute"
)

// RouteRef names a Gateway API route in the Rollout's own namespace.
type RouteRef struct {
	// kind is HTTPRoute or GRPCRoute (gateway.networking.k8s.io/v1).
	// +optional
	// +kubebuilder:default=HTTPRoute
	// +kubebuilder:validation:Enum=HTTPRoute;GRPCRoute
	Kind string `json:"kind,omitempty"`

	// name of the route.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
}

// Step gives the candidate a weight. It passes when the canary has the pods that the weight
// needs, the gateway has acknowledged the weight (without spec.traffic: when those pods
// are ready), hold has elapsed since then, every guardrail passes on samples taken since
// then, and the approval is there, if approval requires one. Of a StatefulSet at least one pod
// runs the candidate, and at weight 100, too, one the stable version: with the last one there
// would be no way back.
// +kubebuilder:validation:XValidation:rule="!has(self.match) || self.weight < 100",message="a step with match needs a weight below 100: at 100 everybody reaches the candidate; set weight: 0 for testers alone, or remove match"
// +kubebuilder:validation:XValidation:rule="!has(self.mirror) || self.weight == 0",message="a step with mirror gives users the stable version's answers alone: set weight: 0, and give the candidate a weight in a step after it"
// +kubebuilder:validation:XValidation:rule="!has(self.mirror) || !has(self.match)",message="a step has either mirror or match: write two steps, each with one of them"
type Step struct {
	// name of the step, for people.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// weight is the candidate's share of the requests, in percent; without
	// spec.traffic its share of the pods.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`

	// match sends the requests of testers to the candidate while the step is in force: those
	// that match go to it, all others by the weight, which is 0 for testers alone. Belay adds
	// rules to the routes for it, each in front of the rule that it copies, and removes them
	// with the step. Needs spec.traffic, and a weight below 100.
	// +optional
	Match *StepMatch `json:"match,omitempty"`

	// mirror is how many percent of the requests are copied to the candidate while the step is
	// in force. The gateway drops the answers to the copies: users get the stable version's
	// alone, and guardrails judge the candidate by the copies. The canary has the pods that
	// this percentage would need as a weight. A copied request is executed a second time:
	// mirror only where the service can take each request twice, such as reads and idempotent
	// writes. Belay adds a filter RequestMirror to the routes' rules for it, and removes it
	// with the step. Needs spec.traffic with HTTPRoutes alone, weight 0 and no match; below
	// 100 also Gateway API 1.3 or newer, and a gateway that mirrors a percentage. Absent:
	// nothing is copied.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Mirror int32 `json:"mirror,omitempty"`

	// hold is how long the acknowledged weight stays, at least.
	// +optional
	// +kubebuilder:default="1m"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s|ms))+$') && duration(self) >= duration('0s') && duration(self) <= duration('168h')",message="hold must be between 0s and 168h, with a unit, such as 30s, 5m or 1h30m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	Hold metav1.Duration `json:"hold,omitempty"`

	// approval is Required to let the step wait at its end, once all else has passed, for a
	// person who may give the command Approve: the RBAC verb approve on this Rollout. That
	// wait does not count against stepDeadline, and a trigger that fires ends it with a
	// rollback. Absent means NotRequired.
	// +optional
	Approval Approval `json:"approval,omitempty"`
}

// Approval is whether a step waits for a person at its end.
// +kubebuilder:validation:Enum=NotRequired;Required
type Approval string

const (
	// ApprovalNotRequired lets a step end when it has passed.
	ApprovalNotRequired Approval = "NotRequired"
	// ApprovalRequired lets a step that has passed wait for the command Approve.
	ApprovalRequired Approval = "Required"
)

// GuardrailRef names a Guardrail in the Rollout's own namespace.
type GuardrailRef struct {
	// kind is Guardrail. ClusterGuardrails are not named: they select Rollouts.
	// +optional
	// +kubebuilder:default=Guardrail
	// +kubebuilder:validation:Enum=Guardrail
	Kind string `json:"kind,omitempty"`

	// name of the Guardrail.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`
}

// Promotion is what happens after the last step.
type Promotion struct {
	// bake is how long the candidate gets all requests before the handover; without
	// spec.traffic half of them, with as many pods as the stable version. Triggers can still
	// roll back, and the stable version stays at full size, so that a rollback is a change
	// of weights, or scales the canary to 0. In the bake of a StatefulSet all pods but one
	// run the candidate, and no other pods are kept: a rollback replaces them one after the
	// other, and takes as long as that does.
	// +optional
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s|ms))+$') && duration(self) >= duration('0s') && duration(self) <= duration('168h')",message="bake must be between 0s and 168h, with a unit, such as 30s, 5m or 1h30m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(h|m|s|ms))+$`
	// +kubebuilder:validation:Type=string
	Bake metav1.Duration `json:"bake,omitempty"`

	// mode is HandOver or Native. HandOver makes the Deployment the owner of the canary's
	// ReplicaSet and replaces no pod. Native lets the Deployment roll out by its own
	// strategy after the last step, for clusters without room for twice the pods; there is
	// then no bake with the stable version beside the candidate. A StatefulSet cannot have
	// Native: after its bake the last pod gets the candidate, too.
	// +optional
	// +kubebuilder:default=HandOver
	Mode PromotionMode `json:"mode,omitempty"`
}

// PromotionMode is how a candidate becomes the workload's version.
// +kubebuilder:validation:Enum=HandOver;Native
type PromotionMode string

const (
	// PromotionHandOver hands the canary's ReplicaSet over.
	PromotionHandOver PromotionMode = "HandOver"
	// PromotionNative lets the Deployment roll out by its own strategy.
	PromotionNative PromotionMode = "Native"
)

// FastRevert is which versions return without steps.
type FastRevert struct {
	// revisions is how many of the previous stable versions return without steps when the
	// workload declares them again: they go to full size and 100 % at once, and are
	// judged and baked there. 0 turns it off.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10
	Revisions *int32 `json:"revisions,omitempty"`
}

// RejectBy is what of a rejected version stays rejected.
// +kubebuilder:validation:Enum=Template;Image
type RejectBy string

const (
	// RejectByTemplate rejects the pod template.
	RejectByTemplate RejectBy = "Template"
	// RejectByImage rejects every pod template with the same images.
	RejectByImage RejectBy = "Image"
)

// HoldOrRollback is what to do when the verdict stays undecided.
// +kubebuilder:validation:Enum=Hold;Rollback
type HoldOrRollback string

const (
	// Hold keeps the present weight and reports it.
	Hold HoldOrRollback = "Hold"
	// Rollback rolls the candidate back.
	Rollback HoldOrRollback = "Rollback"
)

// Mode is what follows from a verdict.
// +kubebuilder:validation:Enum=Enforce;Observe
type Mode string

const (
	// ModeEnforce rolls back when a trigger fires, and holds while it does not pass.
	ModeEnforce Mode = "Enforce"
	// ModeObserve judges, records and counts; nothing is held or rolled back.
	ModeObserve Mode = "Observe"
)

// RolloutList is a list of Rollouts.
// +kubebuilder:object:root=true
type RolloutList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Rollout `json:"items"`
}
