// Package traffic is the port through which a share of the requests reaches the
// candidate. It says what a split is and what a router must keep; adapters do
// it for one kind of route. It decides nothing.
package traffic

import (
	"context"
	"errors"
)

// Split is the candidate's share of the requests, in percent.
type Split struct {
	Canary int32
}

// Target is the routes of one Rollout and the Services between which they share.
type Target struct {
	Namespace string
	// Owner is the Rollout's name. Others may share their own Services' requests
	// through the same routes.
	Owner string
	// Routes by name.
	Routes []string
	// Service is the user's own.
	Service string
	// Stable and Canary are the generated pair.
	Stable, Canary string
	// Epoch is written beside every change; the API server refuses one below what
	// the owner's last write had.
	Epoch int64
}

// Observation is what the routes say now.
type Observation struct {
	// Split is nil when every route points at the user's Service. Of routes that
	// disagree it is the first.
	Split *Split
	// Epoch is the highest that a write of the owner's has left on a route.
	Epoch int64
	// Acknowledged means that every parent of every usable route has accepted it,
	// with its references resolved, at its present generation. With no usable route
	// there is nobody to wait for, and it is true.
	Acknowledged bool
	// Mixed means that the routes disagree: some carry another split, or none.
	Mixed bool
	// Manager is the field manager that last wrote a route, when it was not Belay.
	Manager string
}

// Router observes and changes where requests go. Apply and Release are absolute
// and safe to repeat; they change nothing of a route but the references to the
// target's Services, and carry the resource version they have read, so that a
// stale writer gets a conflict. Errors: ErrNotFound when a route does not
// exist, ErrNotRouted when a route does not refer to the Service; anything else
// is the API server's and worth a retry. One unusable route keeps nobody from
// the others: Observe returns what they say beside the error, Apply and Release
// change them before they return it.
type Router interface {
	Observe(ctx context.Context, target Target) (Observation, error)
	Apply(ctx context.Context, target Target, split Split) error
	Release(ctx context.Context, target Target) error
}

var (
	// ErrNotFound means that a named route does not exist.
	ErrNotFound = errors.New("route not found")
	// ErrNotRouted means that no backendRef of a route names the Service.
	ErrNotRouted = errors.New("route does not refer to the Service")
)
