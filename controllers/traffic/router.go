// Package traffic is the port through which a share of the requests reaches the
// candidate. It says what a distribution is and what a router must keep;
// adapters do it for the kinds of routes that they know. It decides nothing.
package traffic

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/labels"

	"belay.dev/belay/api/v1alpha1"
)

// Target is the routes of one Rollout, the user's Service, and the pods of the
// two sides between which requests are shared. Without Service and Routes the
// number of ready pods of each side is its share.
type Target struct {
	Namespace string
	// Owner is the Rollout's name. Others may share their own Services' requests
	// through the same routes.
	Owner string
	// Routes of the namespace; of each kind, each name once.
	Routes []Route
	// Service is the user's own; empty where none is named.
	Service string
	// Selector is the Deployment's own matchLabels. A side's Service selects by it
	// and by the side's pod-template-hash.
	Selector map[string]string
	// Workload is the Deployment's whole selector, which its ReplicaSets match too;
	// nil without a Deployment.
	Workload labels.Selector
	// Own are the pods of the Deployment's versions, and Others those of the other
	// Deployments of the namespace: the user's Service must select each of the first
	// and none of the second.
	Own, Others []Pods
	// StableHash and CanaryHash are the pod-template-hash of each side's pods;
	// empty while a side has no ReplicaSet.
	StableHash, CanaryHash string
	// Preview asks for the preview Service.
	Preview bool
	// Matches are those of the steps to come: Observe says when a route cannot carry one
	// out.
	Matches []*v1alpha1.StepMatch
	// Mirrors are the percentages of the steps to come, likewise.
	Mirrors []int32
	// Comparer gets the copies of requests, in place of the canary; nil for none.
	Comparer *v1alpha1.Comparer
	// Epoch is written beside every change; the API server refuses one below what
	// the owner's last write had.
	Epoch int64
}

// Route names a route. Routes of different kinds may have the same name.
type Route struct{ Kind, Name string }

// String is for messages: `HTTPRoute "web"`.
func (r Route) String() string { return fmt.Sprintf("%s %q", r.Kind, r.Name) }

// Pods are the labels of a pod template, and whose it is, in words for a message:
// `Deployment "cart"`, `the declared version`.
type Pods struct {
	Of     string
	Labels map[string]string
}

// Split says who gets which requests.
type Split struct {
	// Canary is the candidate's share of the requests, in percent.
	Canary int32
	// Testers are requests that all go to the candidate, whatever its share of the others;
	// nil for none.
	Testers *v1alpha1.StepMatch
	// Mirror is how many percent of the requests are copied to the candidate, or to the
	// comparer, whose answers to the copies nobody gets; 0 for none.
	Mirror int32
}

// Observation is what the routes and Services say now.
type Observation struct {
	// Split is nil when every route points at the user's Service, and where there is
	// none: then the counts below say who answers requests.
	Split *Split
	// Mixed means that the routes disagree: some carry another split, or none, or what
	// somebody has changed of the rules for testers or of what is mirrored. Split is then the
	// first.
	Mixed bool
	// Epoch is the highest that a write of the owner's has left on a route.
	Epoch int64
	// Acknowledged means that for every parent of every usable route some status
	// entry reports Accepted and ResolvedRefs at the route's present generation.
	// With no usable route, or none at all, there is nobody to wait for, and it is
	// true.
	Acknowledged bool
	// Unacknowledged names what is missing: the route, the parent, the condition
	// and what the gateway says of it. Empty when Acknowledged.
	Unacknowledged string
	// Manager is the field manager that last wrote a route's rules, when it was not
	// Belay.
	Manager string
	// Marked means that a route or the user's Service still carries something of
	// Belay's for this owner: annotations, or ownership of fields. It is true from
	// the first Apply or Narrow until Release, and Narrow with an empty hash, have
	// done all they do; true without a run in progress, they were cut off and have
	// to be repeated.
	Marked bool

	// ServiceMissing is set while the user's Service does not exist.
	ServiceMissing bool
	// PairCurrent means that the pair of generated Services is whole and as the
	// target wants it: selectors, ports, labels. It is true where there is none to
	// make.
	PairCurrent bool
	// Preview is the preview Service; nil while there is none that matters to the target.
	Preview *Preview
	// Stable and Canary count the ready endpoints that a gateway can use for each
	// side now: of pods that carry the side's hash, with every port that the routes
	// name. They are 0 until the endpoints have followed the last Point. Service
	// counts those behind the user's Service, whatever they run; ServiceStable and
	// ServiceCanary those of them that are known to be of a side, by the endpoints of
	// the side's Service, ready or not. Where no Service is named they count the
	// ready pods of the Deployment's ReplicaSets.
	Stable, Canary, Service, ServiceStable, ServiceCanary int32
	// NoPort says in words which port the routes name that a side's pods with ready
	// endpoints do not have; empty when there is none.
	NoPort string
	// Narrowed is the pod-template-hash that Narrow put into the user's Service's
	// selector; empty when it selects all versions, or somebody else's choice of them.
	Narrowed string
	// NarrowedBy is the field manager that last wrote the user's Service's
	// selector, when it was not Belay.
	NarrowedBy string
}

// Preview is the preview Service as it is now.
type Preview struct {
	// Fault says why the Service of that name is not the target's to write; empty otherwise.
	// The rest is then unknown.
	Fault string
	// Hash is the pod-template-hash that it selects; empty when it selects all versions.
	Hash string
	// Current means that it is as the target wants it, whatever hash it selects.
	Current bool
	// Ready counts its ready endpoints that were selected by Hash, with every port that the
	// routes name; 0 while Hash is empty.
	Ready int32
}

// Router observes and changes where requests go. Every write is absolute and
// safe to repeat, changes nothing but what is named here, carries the resource
// version it was read at, so that a stale writer gets a conflict, and leaves no
// field ownership behind once the run has ended.
//
// Errors: ErrNotFound when a route, or its kind, does not exist, ErrNotRouted when a route
// does not refer to the Service, ErrUnusable when a route or the Service cannot
// be split as it is, ErrUnsupported from a router that has no routes or no
// Service to write to; anything else is the API server's and worth a retry.
// One unusable route keeps nobody from the others: Observe returns what they say
// beside the error, Apply and Release change them before they return it.
type Router interface {
	// Observe reads the routes and Services.
	Observe(ctx context.Context, target Target) (Observation, error)
	// Point makes the pair of Services, whole: selector, ports, labels.
	Point(ctx context.Context, target Target) error
	// Apply gives the canary side its share, the testers and the copies, and the stable side
	// the rest. Testers that a route cannot tell apart, and copies that it cannot make, are an
	// ErrUnusable, and nothing of that route is changed.
	Apply(ctx context.Context, target Target, split Split) error
	// Release points the routes back at the user's Service.
	Release(ctx context.Context, target Target) error
	// Narrow makes the user's Service select only pods with this
	// pod-template-hash; with an empty one, all of its pods again.
	Narrow(ctx context.Context, target Target, hash string) error
	// PointPreview makes the preview Service, whole, and lets it select only pods with this
	// pod-template-hash; with an empty one, those of all versions.
	PointPreview(ctx context.Context, target Target, hash string) error
	// RemovePreview deletes the preview Service.
	RemovePreview(ctx context.Context, target Target) error
	// Remove deletes the pair of Services, and the preview Service. It is the last write of a Rollout that
	// is being deleted, after Release.
	Remove(ctx context.Context, target Target) error
}

var (
	// ErrNotFound means that a named route does not exist, or that its kind is not
	// installed; the message says which.
	ErrNotFound = errors.New("route not found")
	// ErrNotRouted means that no backendRef of a route names the Service.
	ErrNotRouted = errors.New("route does not refer to the Service")
	// ErrUnusable means that a route or the Service cannot be split as it is;
	// the message says what to change.
	ErrUnusable = errors.New("cannot be split")
	// ErrUnsupported means that the router has nothing to do this with; the message
	// says what was asked for.
	ErrUnsupported = errors.New("not supported by this router")
)
