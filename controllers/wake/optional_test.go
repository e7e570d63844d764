package wake

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

var grpcRoute = schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "GRPCRoute"}

// served is a RESTMapper of an API server that serves grpcRoute, or not yet, or
// does not say.
type served struct {
	meta.RESTMapper
	mu  sync.Mutex
	err error
	// asked counts how often it was.
	asked int
}

func (s *served) RESTMapping(schema.GroupKind, ...string) (*meta.RESTMapping, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return &meta.RESTMapping{GroupVersionKind: grpcRoute}, s.err
}

func (s *served) say(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *served) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// watched is a source that says when it is started, and never syncs.
type watched struct{ started chan struct{} }

func (w watched) Start(context.Context, queue) error {
	close(w.started)
	return nil
}

func (w watched) WaitForSync(context.Context) error { return errNeverSynced }

var errNeverSynced = errors.New("never synced")

// TestAKindThatIsInstalledLater keeps nothing from starting, and is watched once.
func TestAKindThatIsInstalledLater(t *testing.T) {
	for name, first := range map[string]error{
		"is not installed":      &meta.NoKindMatchError{GroupKind: grpcRoute.GroupKind()},
		"cannot be asked after": errors.New("the API server is down"),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			mapper, w := &served{err: first}, watched{started: make(chan struct{})}
			o := &optional{kind: grpcRoute, mapper: mapper, watch: w, every: time.Millisecond}
			g.Expect(o.Start(t.Context(), nil)).To(Succeed())
			g.Expect(o.WaitForSync(t.Context())).To(Succeed(), "nobody waits for it")
			g.Eventually(mapper.times).WithTimeout(10 * time.Second).Should(BeNumerically(">", 3))
			g.Expect(w.started).NotTo(BeClosed())
			mapper.say(nil)
			g.Eventually(w.started).WithTimeout(10 * time.Second).Should(BeClosed())
			g.Expect(o.WaitForSync(t.Context())).To(Succeed(), "nobody waits for it now either")
		})
	}
}

// TestAKindThatIsInstalled is waited for like any other.
func TestAKindThatIsInstalled(t *testing.T) {
	g := NewWithT(t)
	w := watched{started: make(chan struct{})}
	o := &optional{kind: grpcRoute, mapper: &served{}, watch: w, every: time.Hour}
	g.Expect(o.Start(t.Context(), nil)).To(Succeed())
	g.Expect(w.started).To(BeClosed())
	g.Expect(o.WaitForSync(t.Context())).To(MatchError(errNeverSynced))
}

// stuck is a source whose cache never has read its kind. A Kind gives its watch up when the
// context of its wait ends.
type stuck struct {
	source.SyncingSource
	waits chan context.Context
}

func (s stuck) WaitForSync(ctx context.Context) error {
	s.waits <- ctx
	<-ctx.Done()
	return ctx.Err()
}

// TestAControllerStartsWithoutAListThatNeverComes, but not once it is told to stop.
func TestAControllerStartsWithoutAListThatNeverComes(t *testing.T) {
	late := stuck{waits: make(chan context.Context, 1)}
	starting, started := context.WithTimeout(t.Context(), time.Minute)
	if err := Patiently(late, time.Millisecond).WaitForSync(starting); err != nil {
		t.Errorf("it does not start: %v", err)
	}
	started()
	if ctx := <-late.waits; ctx.Err() != nil {
		t.Errorf("it gives up a list that may come yet: %v", ctx.Err())
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := Patiently(stuck{waits: make(chan context.Context, 1)}, time.Hour).WaitForSync(stopped); !errors.Is(err, context.Canceled) {
		t.Errorf("told to stop, it says %v", err)
	}
}
