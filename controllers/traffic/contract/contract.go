// Package contract is what every traffic.Router must keep, as one suite of tests.
// A router's own tests run it over a world that the router can act on.
package contract

import (
	"errors"
	"reflect"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
)

// Capabilities are what a router can do that another may not. A router that lacks
// one is held to what it must do instead.
type Capabilities struct {
	// Shares means that a share is written, to routes, and acknowledged by who serves
	// them. Without it the number of ready pods is the share: Apply is refused and
	// nobody has to acknowledge anything.
	Shares bool
	// Mirrors means that requests can be copied, too.
	Mirrors bool
	// Pair means that there is a pair of generated Services. Without it there is none
	// to make or remove, and it counts as current.
	Pair bool
	// Narrows means that the user's Service can be made to select one version. Without
	// it that is refused.
	Narrows bool
}

// World is one application with requests, in a cluster of its own.
type World interface {
	// Router is what the suite tests.
	Router() traffic.Router
	// Target names both sides with a hash, epoch 1, and, for a router that shares
	// through routes, one usable route and a Service.
	Target() traffic.Target
	// Run makes so many ready pods of each side, and nothing else run.
	Run(stable, canary int)
	// Follow lets the cluster catch up: endpoints with Services, and whoever serves
	// the routes with what they say.
	Follow()
	// Writes counts the writes that were made through the router, refused ones too.
	Writes() int
}

// RoutedWorld has a route and a Service, which can change and go.
type RoutedWorld interface {
	World
	// Race makes somebody else change whatever the router writes next, after it
	// was read.
	Race()
	// LoseService and LoseRoute delete the user's Service and the route.
	LoseService()
	LoseRoute()
}

// clause is one thing that a router must keep: with test where it can, with without
// where it cannot, and with test alone where every router can.
type clause struct {
	name          string
	can           func(Capabilities) bool
	test, without func(*suite)
}

func every(Capabilities) bool     { return true }
func shares(c Capabilities) bool  { return c.Shares }
func pairs(c Capabilities) bool   { return c.Pair }
func mirrors(c Capabilities) bool { return c.Mirrors }
func narrows(c Capabilities) bool { return c.Narrows }

var clauses = []clause{
	{"before a run nothing is shared", every, (*suite).nothingShared, nil},
	{"endpoints are counted by side", every, (*suite).endpoints, nil},
	{"a side without a hash has no endpoints", every, (*suite).emptySide, nil},
	{"the pair is whole after Point", pairs, (*suite).pairWhole, (*suite).noPair},
	{"the preview leads to the candidate and back, and goes", pairs, (*suite).previewed, (*suite).noPreview},
	{"a share is read back as it was written", shares, (*suite).sharesReadBack, (*suite).sharesRefused},
	{"testers are read back as they were written, and leave with the share", shares, (*suite).testersReadBack, (*suite).testersRefused},
	{"what is mirrored is read back as it was written, and leaves with the share", mirrors, (*suite).mirrorsReadBack, (*suite).mirrorsRefused},
	{"a share is acknowledged by who serves it", shares, (*suite).acknowledged, (*suite).nobodyAcknowledges},
	{"a repeated write writes nothing", shares, (*suite).repeatsAreFree, (*suite).nothingIsWritten},
	{"a released route is as before", shares, (*suite).released, (*suite).nothingIsWritten},
	{"the Service is narrowed and widened", narrows, (*suite).narrowed, (*suite).narrowingRefused},
	{"a stale writer gets a conflict", shares, (*suite).staleWriter, (*suite).nothingIsWritten},
	{"a lost Service is said, and keeps nobody from a release", pairs, (*suite).lostService, (*suite).nothingIsWritten},
	{"a lost route is said, and needs no release", shares, (*suite).lostRoute, (*suite).nothingIsWritten},
	{"the pair is removed", pairs, (*suite).removed, (*suite).noPair},
}

// Run tests a router. Every test opens a world of its own: a RoutedWorld where the
// router can share.
func Run(t *testing.T, can Capabilities, open func(t *testing.T) World) {
	for _, c := range clauses {
		name, test := c.name, c.test
		if !c.can(can) {
			name, test = "without: "+c.name, c.without
		}
		t.Run(name, func(t *testing.T) {
			w := open(t)
			routed, _ := w.(RoutedWorld)
			test(&suite{t: t, can: can, world: w, routed: routed, router: w.Router(), target: w.Target()})
		})
	}
}

type suite struct {
	t     *testing.T
	can   Capabilities
	world World
	// routed is the world where the router can share.
	routed RoutedWorld
	router traffic.Router
	target traffic.Target
}

func (s *suite) observe() traffic.Observation {
	s.t.Helper()
	o, err := s.router.Observe(s.t.Context(), s.target)
	if err != nil {
		s.t.Fatalf("observe: %v", err)
	}
	return o
}

func (s *suite) must(what string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

func (s *suite) point() { s.t.Helper(); s.must("point", s.router.Point(s.t.Context(), s.target)) }

func (s *suite) apply(canary int32) {
	s.t.Helper()
	s.must("apply", s.router.Apply(s.t.Context(), s.target, traffic.Split{Canary: canary}))
}

func (s *suite) release() {
	s.t.Helper()
	s.must("release", s.router.Release(s.t.Context(), s.target))
}

func (s *suite) narrow(hash string) {
	s.t.Helper()
	s.must("narrow", s.router.Narrow(s.t.Context(), s.target, hash))
}

// writes is how many an action makes.
func (s *suite) writes(action func()) int {
	before := s.world.Writes()
	action()
	return s.world.Writes() - before
}

func (s *suite) nothingShared() {
	o := s.observe()
	if o.Split != nil || o.Mixed || o.Epoch != 0 || o.Marked || o.PairCurrent == s.can.Pair || o.Narrowed != "" || o.ServiceMissing {
		s.t.Errorf("observed %+v before anything was written", o)
	}
	if n := s.writes(s.release) + s.writes(func() { s.narrow("") }); n != 0 {
		s.t.Errorf("releasing what was never shared made %d writes", n)
	}
}

func (s *suite) pairWhole() {
	s.point()
	if o := s.observe(); !o.PairCurrent || o.Split != nil {
		s.t.Errorf("observed %+v, want a current pair and no share", o)
	}
	s.target.CanaryHash = "another"
	if o := s.observe(); o.PairCurrent {
		s.t.Error("the pair counts as current although the canary side has other pods now")
	}
	s.point()
	if o := s.observe(); !o.PairCurrent {
		s.t.Error("the pair is not current after it was pointed anew")
	}
}

// preview points the preview Service, which takes one write once.
func (s *suite) preview(hash string) {
	s.t.Helper()
	write := func() { s.must("preview", s.router.PointPreview(s.t.Context(), s.target, hash)) }
	if n := s.writes(write); n != 1 {
		s.t.Errorf("pointing the preview at %q took %d writes, want one", hash, n)
	}
	if n := s.writes(write); n != 0 {
		s.t.Errorf("pointing the preview at %q again made %d writes", hash, n)
	}
}

func (s *suite) previewed() {
	s.target.Preview = true
	s.point()
	s.world.Run(3, 2)
	if o := s.observe(); o.Preview != nil {
		s.t.Errorf("observed preview %+v before there is one", o.Preview)
	}
	s.preview("")
	s.world.Follow()
	if o := s.observe(); o.Preview == nil || *o.Preview != (traffic.Preview{Current: true}) {
		s.t.Errorf("observed preview %+v, want one of all versions", o.Preview)
	}
	s.preview(s.target.CanaryHash)
	if o := s.observe(); o.Preview == nil || *o.Preview != (traffic.Preview{Current: true, Hash: s.target.CanaryHash}) {
		s.t.Errorf("observed preview %+v, want the candidate's without an endpoint before they follow", o.Preview)
	}
	s.world.Follow()
	if o := s.observe(); o.Preview == nil || o.Preview.Ready != 2 || o.Service != 5 || o.Stable != 3 || o.Canary != 2 || o.Marked {
		s.t.Errorf("observed %+v, preview %+v, want the candidate's two pods there, and all else as before", o, o.Preview)
	}
	s.preview("")
	s.must("remove", s.router.RemovePreview(s.t.Context(), s.target))
	if o := s.observe(); o.Preview != nil || !o.PairCurrent {
		s.t.Errorf("observed %+v, preview %+v, want it gone and the pair there", o, o.Preview)
	}
	s.preview(s.target.CanaryHash)
	s.must("remove", s.router.Remove(s.t.Context(), s.target))
	if o := s.observe(); o.Preview != nil {
		s.t.Errorf("observed preview %+v after all was removed", o.Preview)
	}
}

// noPreview: nothing is written without a Service whose ports it could have.
func (s *suite) noPreview() {
	n := s.writes(func() {
		s.must("preview", s.router.PointPreview(s.t.Context(), s.target, s.target.CanaryHash))
		s.must("remove", s.router.RemovePreview(s.t.Context(), s.target))
	})
	if o := s.observe(); n != 0 || o.Preview != nil {
		s.t.Errorf("%d writes were made for a preview, and it is %+v", n, o.Preview)
	}
}

func (s *suite) sharesReadBack() {
	s.point()
	for i, share := range []int32{0, 1, 5, 33, 50, 99, 100, 7, 0} {
		s.target.Epoch = int64(i + 1)
		s.apply(share)
		o := s.observe()
		if o.Split == nil || o.Split.Canary != share || o.Mixed || o.Epoch != s.target.Epoch || !o.Marked || o.Manager != "" {
			s.t.Errorf("observed %+v (split %+v) after %d %% in epoch %d", o, o.Split, share, s.target.Epoch)
		}
	}
}

var testers = &v1alpha1.StepMatch{Headers: []v1alpha1.HeaderMatch{{Type: v1alpha1.MatchExact, Name: "x-canary", Value: "1"}}}

func (s *suite) testersReadBack() {
	other := &v1alpha1.StepMatch{Headers: []v1alpha1.HeaderMatch{{Type: v1alpha1.MatchRegularExpression, Name: "x-canary", Value: ".+"}}}
	s.readBack([]traffic.Split{{Testers: testers}, {Testers: other}, {Canary: 10, Testers: other}, {Canary: 10}, {Testers: testers}})
}

// readBack applies one split after the other, and releases.
func (s *suite) readBack(splits []traffic.Split) {
	s.point()
	for _, split := range splits {
		write := func() { s.must("apply", s.router.Apply(s.t.Context(), s.target, split)) }
		if n := s.writes(write); n != 1 {
			s.t.Errorf("%+v took %d writes, want one", split, n)
		}
		if n := s.writes(write); n != 0 {
			s.t.Errorf("%+v again made %d writes", split, n)
		}
		o := s.observe()
		if o.Split == nil || !reflect.DeepEqual(*o.Split, split) || o.Mixed || o.Acknowledged {
			s.t.Errorf("observed %+v (split %+v) after %+v", o, o.Split, split)
		}
		s.world.Follow()
		if o := s.observe(); !o.Acknowledged {
			s.t.Errorf("%+v is not acknowledged: %s", split, o.Unacknowledged)
		}
	}
	s.release()
	if o := s.observe(); o.Split != nil || o.Mixed || o.Marked {
		s.t.Errorf("observed %+v after the release", o)
	}
}

func (s *suite) mirrorsReadBack() {
	s.readBack([]traffic.Split{{Mirror: 10}, {Mirror: 100}, {Testers: testers}, {Mirror: 1}, {Canary: 10}, {Mirror: 10}})
}

func (s *suite) mirrorsRefused() {
	err := s.router.Apply(s.t.Context(), s.target, traffic.Split{Mirror: 10})
	if !errors.Is(err, traffic.ErrUnsupported) && !errors.Is(err, traffic.ErrUnusable) {
		s.t.Errorf("applying a mirror says %v, want that it is not supported", err)
	}
}

func (s *suite) testersRefused() {
	if err := s.router.Apply(s.t.Context(), s.target, traffic.Split{Testers: testers}); !errors.Is(err, traffic.ErrUnsupported) {
		s.t.Errorf("applying testers says %v, want that it is not supported", err)
	}
}

func (s *suite) acknowledged() {
	s.point()
	s.world.Follow()
	if o := s.observe(); !o.Acknowledged || o.Unacknowledged != "" {
		s.t.Errorf("not acknowledged although who serves the route has followed: %q", o.Unacknowledged)
	}
	s.apply(20)
	if o := s.observe(); o.Acknowledged || o.Unacknowledged == "" {
		s.t.Errorf("acknowledged is %v, missing is %q, before anybody has followed the write", o.Acknowledged, o.Unacknowledged)
	}
	s.world.Follow()
	if o := s.observe(); !o.Acknowledged || o.Unacknowledged != "" {
		s.t.Errorf("not acknowledged after the write was followed: %q", o.Unacknowledged)
	}
}

func (s *suite) repeatsAreFree() {
	hash := s.target.CanaryHash
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"point", s.point}, {"apply", func() { s.apply(20) }}, {"narrow", func() { s.narrow(hash) }},
		{"widen", func() { s.narrow("") }}, {"release", s.release},
	} {
		if first := s.writes(step.do); first == 0 {
			s.t.Errorf("%s wrote nothing", step.name)
		}
		if again := s.writes(step.do); again != 0 {
			s.t.Errorf("%s again made %d writes", step.name, again)
		}
	}
}

func (s *suite) released() {
	s.point()
	s.apply(50)
	s.release()
	o := s.observe()
	if o.Split != nil || o.Mixed || o.Epoch != 0 || o.Marked || !o.PairCurrent {
		s.t.Errorf("observed %+v after the release, want no share, no mark and the pair still there", o)
	}
}

// noPair: there is none to make or to remove, and nothing waits for it.
func (s *suite) noPair() {
	if n := s.writes(func() { s.point(); s.must("remove", s.router.Remove(s.t.Context(), s.target)) }); n != 0 {
		s.t.Errorf("without a pair %d writes were made for one", n)
	}
	if o := s.observe(); !o.PairCurrent || o.ServiceMissing || o.NoPort != "" {
		s.t.Errorf("observed %+v, want nothing to wait for", o)
	}
}

// sharesRefused: a share that is not written must not seem to be.
func (s *suite) sharesRefused() {
	s.world.Run(3, 1)
	s.world.Follow()
	for _, share := range []int32{0, 25, 100} {
		if err := s.router.Apply(s.t.Context(), s.target, traffic.Split{Canary: share}); !errors.Is(err, traffic.ErrUnsupported) {
			s.t.Errorf("applying %d %% says %v, want that it is not supported", share, err)
		}
	}
	if o := s.observe(); o.Split != nil || o.Mixed || o.Stable != 3 || o.Canary != 1 || o.Service != 4 {
		s.t.Errorf("observed %+v, want no split, and the pods that say who answers", o)
	}
}

func (s *suite) nobodyAcknowledges() {
	for _, canary := range []int{0, 2} {
		s.world.Run(3, canary)
		if o := s.observe(); !o.Acknowledged || o.Unacknowledged != "" {
			s.t.Errorf("not acknowledged with %d canary pods: %q", canary, o.Unacknowledged)
		}
	}
}

func (s *suite) nothingIsWritten() {
	s.world.Run(3, 2)
	s.world.Follow()
	n := s.writes(func() {
		s.point()
		_ = s.router.Apply(s.t.Context(), s.target, traffic.Split{Canary: 20})
		_ = s.router.Narrow(s.t.Context(), s.target, s.target.CanaryHash)
		s.narrow("")
		s.release()
		s.must("remove", s.router.Remove(s.t.Context(), s.target))
	})
	if n != 0 {
		s.t.Errorf("%d writes were made without anything to write to", n)
	}
	if o := s.observe(); o.Marked || o.Epoch != 0 || o.Manager != "" || o.Service != 5 {
		s.t.Errorf("observed %+v, want the pods and no mark", o)
	}
}

func (s *suite) narrowingRefused() {
	if err := s.router.Narrow(s.t.Context(), s.target, s.target.StableHash); !errors.Is(err, traffic.ErrUnsupported) {
		s.t.Errorf("narrowing says %v, want that it is not supported", err)
	}
	s.narrow("")
	if o := s.observe(); o.Narrowed != "" || o.NarrowedBy != "" {
		s.t.Errorf("observed %+v, want nothing narrowed", o)
	}
}

func (s *suite) endpoints() {
	s.point()
	s.world.Run(3, 2)
	s.world.Follow()
	if o := s.observe(); o.Stable != 3 || o.Canary != 2 || o.Service != 5 || o.ServiceStable != 3 || o.ServiceCanary != 2 || o.NoPort != "" {
		s.t.Errorf("counted %+v, want 3 and 2 of 5", o)
	}
	s.world.Run(3, 0)
	s.world.Follow()
	if o := s.observe(); o.Stable != 3 || o.Canary != 0 || o.Service != 3 || o.ServiceCanary != 0 {
		s.t.Errorf("counted %+v, want the canary's gone", o)
	}
}

func (s *suite) emptySide() {
	s.world.Run(3, 2)
	s.target.CanaryHash = ""
	s.point()
	s.world.Follow()
	if o := s.observe(); !o.PairCurrent || o.Stable != 3 || o.Canary != 0 || o.Service != 5 || o.ServiceCanary != 0 {
		s.t.Errorf("counted %+v, want no endpoint for a side without a hash", o)
	}
}

func (s *suite) narrowed() {
	s.point()
	s.world.Run(3, 2)
	s.narrow(s.target.StableHash)
	s.world.Follow()
	if o := s.observe(); o.Narrowed != s.target.StableHash || o.NarrowedBy != "" || o.Service != 3 || o.ServiceStable != 3 || o.ServiceCanary != 0 || !o.Marked {
		s.t.Errorf("observed %+v, want the Service narrowed to the stable side", o)
	}
	s.narrow(s.target.CanaryHash)
	s.world.Follow()
	if o := s.observe(); o.Narrowed != s.target.CanaryHash || o.Service != 2 || o.ServiceCanary != 2 {
		s.t.Errorf("observed %+v, want the Service narrowed to the canary side", o)
	}
	s.narrow("")
	s.world.Follow()
	if o := s.observe(); o.Narrowed != "" || o.Service != 5 || o.Marked {
		s.t.Errorf("observed %+v, want the whole Service and no mark", o)
	}
}

func (s *suite) staleWriter() {
	ctx := s.t.Context()
	s.point()
	s.must("preview", s.router.PointPreview(ctx, s.target, ""))
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"point", func() error {
			t := s.target
			t.CanaryHash = "another"
			return s.router.Point(ctx, t)
		}},
		{"preview", func() error { return s.router.PointPreview(ctx, s.target, s.target.CanaryHash) }},
		{"apply", func() error { return s.router.Apply(ctx, s.target, traffic.Split{Canary: 20}) }},
		{"release", func() error { return s.router.Release(ctx, s.target) }},
		{"narrow", func() error { return s.router.Narrow(ctx, s.target, s.target.CanaryHash) }},
		{"widen", func() error { return s.router.Narrow(ctx, s.target, "") }},
	} {
		s.routed.Race()
		if err := step.do(); !apierrors.IsConflict(err) {
			s.t.Errorf("%s of what changed after it was read says %v, want a conflict", step.name, err)
		}
		s.must(step.name+" after the conflict", step.do())
	}
}

func (s *suite) lostService() {
	ctx := s.t.Context()
	s.point()
	s.apply(50)
	s.narrow(s.target.StableHash)
	s.routed.LoseService()
	if o := s.observe(); !o.ServiceMissing || o.Service != 0 {
		s.t.Errorf("observed %+v, want the Service missing", o)
	}
	s.target.StableHash, s.target.CanaryHash = s.target.CanaryHash, s.target.StableHash
	s.point()
	if o := s.observe(); !o.PairCurrent {
		s.t.Error("the pair does not go on without the user's Service")
	}
	if err := s.router.Narrow(ctx, s.target, s.target.StableHash); !errors.Is(err, traffic.ErrUnusable) {
		s.t.Errorf("narrowing a lost Service says %v, want that it is unusable", err)
	}
	s.narrow("")
	s.apply(0)
	s.release()
	if o := s.observe(); o.Split != nil || o.Marked {
		s.t.Errorf("observed %+v after the release", o)
	}
}

func (s *suite) lostRoute() {
	ctx := s.t.Context()
	s.point()
	s.routed.LoseRoute()
	o, err := s.router.Observe(ctx, s.target)
	if !errors.Is(err, traffic.ErrNotFound) || !o.Acknowledged || o.Split != nil || !o.PairCurrent {
		s.t.Errorf("observed %+v and %v, want no route, nobody to wait for, and the rest", o, err)
	}
	if err := s.router.Apply(ctx, s.target, traffic.Split{Canary: 0}); !errors.Is(err, traffic.ErrNotFound) {
		s.t.Errorf("applying says %v, want that the route was not found", err)
	}
	s.release()
}

func (s *suite) removed() {
	ctx := s.t.Context()
	s.point()
	for range 2 {
		s.must("remove", s.router.Remove(ctx, s.target))
		if o := s.observe(); o.PairCurrent || o.ServiceMissing {
			s.t.Errorf("observed %+v after the pair was removed", o)
		}
	}
}
