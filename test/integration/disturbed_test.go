package integration

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// stories are releases by how their candidate fails, if it does, and from which
// decision on they are none of the others.
var stories = map[string]struct {
	fails func(*shop) func(*v1alpha1.Rollout) bool
	from  string
}{
	"promotion":            {func(*shop) func(*v1alpha1.Rollout) bool { return nil }, ""},
	"rollback from a step": {func(*shop) func(*v1alpha1.Rollout) bool { return atWeight }, "TriggerFired"},
	"rollback from a bake": {func(*shop) func(*v1alpha1.Rollout) bool { return inPhase(v1alpha1.PhaseBaking) }, "TriggerFired"},
}

// apart is how many writes lie between two faults, so that the controller has
// recovered from one before the next.
const apart = 3

// repairs are the rules that do what a decision with several effects has left undone
// when it was interrupted, or that may also wait.
var repairs = regexp.MustCompile(` (MarksWorkload|PointsServices|ScalesCanary|HandsOver|HandoverUnpauses|RollbackRemovesCanary)\b`)

// TestEveryWriteMayFail ends the process once before every write of a story, and
// loses once the answer to it; a few of them in each release. Every release must
// end as an undisturbed one.
func TestEveryWriteMayFail(t *testing.T) {
	t.Parallel()
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			want := s.tell("r0", story.fails(s))
			left := map[string][]fault{}
			first := max(0, slices.IndexFunc(s.written, func(w string) bool { return strings.HasSuffix(w, " for "+story.from) }))
			for _, write := range s.written[first:] {
				left[write] = []fault{crash, lost}
			}

			kinds, n := len(left), 1
			for ; len(left) > 0; n++ {
				if n > 12 {
					t.Fatalf("writes that were never made to fail: %v", left)
				}
				s.again()
				last := -apart
				s.api.faulty = func(at int, write string) fault {
					kinds := left[write]
					if len(kinds) == 0 || at-last < apart {
						return none
					}
					last, left[write] = at, kinds[1:]
					if len(kinds) == 1 {
						delete(left, write)
					}
					return kinds[0]
				}
				if got := s.tell(fmt.Sprint("r", n), story.fails(s)); repairs.ReplaceAllString(got, "") != repairs.ReplaceAllString(want, "") {
					t.Errorf("ended as\n%s\nundisturbed as\n%s", got, want)
				}
			}
			t.Logf("%d kinds of writes failed in two ways, over %d releases", kinds, n-1)
		})
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
	s.written = s.api.writes
	s.api.forget()
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
