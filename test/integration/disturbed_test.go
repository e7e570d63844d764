package integration

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// stories are releases by how their candidate fails, if it does.
var stories = map[string]func(*shop) func(*v1alpha1.Rollout) bool{
	"promotion":               func(*shop) func(*v1alpha1.Rollout) bool { return nil },
	"rollback from a step":    func(*shop) func(*v1alpha1.Rollout) bool { return atWeight },
	"rollback of a promotion": func(s *shop) func(*v1alpha1.Rollout) bool { return s.rolling },
}

// apart is how many writes lie between two faults, so that the controller has
// recovered from one before the next.
const apart = 6

// TestEveryWriteMayFail lets every write of a story fail once, a few of them in
// each release, and compares how the releases end with an undisturbed one.
func TestEveryWriteMayFail(t *testing.T) {
	for name, fails := range stories {
		for _, kind := range []fault{crash, lost} {
			t.Run(fmt.Sprintf("%s, %s", name, kind), func(t *testing.T) {
				s := open(t)
				want := s.tell("r0", fails(s))
				open := slices.Compact(slices.Sorted(slices.Values(s.api.writes)))
				for n := 1; len(open) > 0; n++ {
					if n > 12 {
						t.Fatalf("writes that were never made to fail: %q", open)
					}
					s.again()
					last := -apart
					s.api.faulty = func(at int, what string) fault {
						i := slices.Index(open, what)
						if i < 0 || at-last < apart {
							return none
						}
						last, open = at, slices.Delete(open, i, i+1)
						return kind
					}
					if got := s.tell(fmt.Sprint("r", n), fails(s)); got != want {
						t.Errorf("ended as\n%s\nundisturbed as\n%s", got, want)
					}
				}
			})
		}
	}
}

// tell takes one release to its end.
func (s *shop) tell(version string, fails func(*v1alpha1.Rollout) bool) string {
	s.t.Helper()
	image := "registry.example/shop:" + version
	s.release(image)
	s.fails = fails
	before := s.rollout().Status.Stable.Image
	s.until("ended", ended(image))
	faulty := s.api.faulty
	s.api.faulty = func(int, string) fault { return none }
	defer func() { s.api.faulty = faulty }()
	return s.settle(image, before)
}

// again makes the next release begin as the first one did.
func (s *shop) again() {
	s.t.Helper()
	s.api.forget()
	for _, name := range []string{"shop-stable", "shop-canary"} {
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}}
		s.must(client.IgnoreNotFound(admin.Delete(s.t.Context(), service)))
	}
}
