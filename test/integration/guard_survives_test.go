package integration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/build"
)

// TestTheGuardSurvives takes an API server of its own through an upgrade from the
// first edition's policies, a restart, and the loss of Belay's definitions, while
// everybody goes on writing.
func TestTheGuardSurvives(t *testing.T) {
	t.Parallel()
	server, to, c := ownServer(t)
	if err := install(t.Context(), c, "rbac"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"adopted", "free"} {
		createOn(t, c, deployment(name, "app:v1"))
	}
	createOn(t, c, object(t, strings.ReplaceAll(valid["Rollout"], "rules", "adopted")))
	grant(t, c, "dev", "belay-view", "belay-edit")
	grant(t, c, "sre", "belay-sre")
	// Belay's identity with an administrator's rights: admission decides here alone,
	// also while the API server does not know its roles yet.
	s := &survivor{server: server, admin: c, sre: impersonated(t, to, c, "sre"), belay: impersonated(t, to, c, controller, "system:masters")}
	// The first edition asked an administrator for no reason.
	s.unpausing = impersonated(t, to, c, "dev")
	t.Run("an upgrade from the first edition", s.upgrade)
	s.unpausing = c
	t.Run("a restart of the API server", s.restart)
	t.Run("definitions deleted before the policies", s.loseDefinitions)
}

type survivor struct {
	server            *envtest.Environment
	admin, sre, belay client.Client
	// unpausing is who tries to.
	unpausing client.Client
}

// upgrade follows the order of docs/security.md: the new policies first, then the
// label, then the old policies away.
func (s *survivor) upgrade(t *testing.T) {
	g := NewWithT(t)
	first, err := build.Objects(filepath.Join("testdata", "first-edition"))
	g.Expect(err).NotTo(HaveOccurred())
	for _, o := range first {
		g.Expect(s.admin.Create(t.Context(), o)).To(Succeed())
	}
	g.Eventually(func(g Gomega) {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "adopted", Namespace: "shop"}}
		g.Expect(s.admin.Patch(t.Context(), d, client.RawPatch(types.StrategicMergePatchType, templateOf(image())))).To(Succeed())
		g.Expect(d.Spec.Paused).To(BeTrue())
		unpause := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"paused":false}}`))
		g.Expect(apierrors.IsForbidden(s.unpausing.Patch(t.Context(), d, unpause, client.DryRunAll))).To(BeTrue(), "each of its policies is in force")
	}).WithTimeout(soon).Should(Succeed())

	s.whileWriting(t, func(answered func(int)) {
		answered(5)
		folder, err := build.Config("guard")
		g.Expect(err).NotTo(HaveOccurred())
		for _, o := range folder {
			g.Expect(s.admin.Create(t.Context(), o)).To(Succeed())
		}
		g.Expect(build.AwaitGuard(t.Context(), s.admin)).To(Succeed())
		answered(5)
		_, err = patch(t.Context(), s.belay, "adopted", `{"metadata":{"labels":{"belay.dev/rollout":"adopted"}}}`)
		g.Expect(err).NotTo(HaveOccurred())
		answered(5)
		for _, o := range first {
			g.Expect(s.admin.Delete(t.Context(), o)).To(Succeed())
			answered(5)
		}
		answered(30)
	})
	// Now the new ones hold alone.
	d, err := patch(t.Context(), s.belay, "adopted", `{"spec":{"paused":false}}`)
	g.Expect(err).NotTo(HaveOccurred())
	d, err = push(t.Context(), s.admin, d.Name, image())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(d.Spec.Paused).To(BeTrue())
	g.Expect(d.Annotations).To(HaveKey(v1alpha1.AnnotationPushedBy))
}

// restart stops and starts the API server, on the same etcd, port and keys. It
// forgets its discovery and reads it anew after 30 s, which is how long policies with
// a parameter refuse everything: the spell is longer.
func (s *survivor) restart(t *testing.T) {
	g := NewWithT(t)
	api := s.server.ControlPlane.GetAPIServer()
	g.Expect(api.Stop()).To(Succeed())
	s.whileWriting(t, func(answered func(int)) {
		g.Expect(api.Start()).To(Succeed())
		answered(1)
		over := time.Now().Add(41 * time.Second)
		g.Eventually(time.Now).WithTimeout(time.Minute).WithPolling(time.Second).Should(BeTemporally(">", over))
		answered(1)
	})
}

// loseDefinitions deletes Belay's definitions, and all Rollouts with them. What is
// held stays held, until the runbook's command.
func (s *survivor) loseDefinitions(t *testing.T) {
	g := NewWithT(t)
	definitions, err := build.Config("crd")
	g.Expect(err).NotTo(HaveOccurred())
	s.whileWriting(t, func(answered func(int)) {
		for _, o := range definitions {
			g.Expect(s.admin.Delete(t.Context(), o)).To(Succeed())
		}
		for _, o := range definitions {
			g.Eventually(func() bool {
				return apierrors.IsNotFound(s.admin.Get(t.Context(), client.ObjectKeyFromObject(o), o))
			}).WithTimeout(4*time.Minute).Should(BeTrue(), "%s is deleted: the API server tries that again with growing pauses", o.GetName())
		}
		answered(40)
	})
	d, err := push(t.Context(), s.admin, "adopted", image())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(d.Spec.Paused).To(BeTrue())
	d, err = patch(t.Context(), s.sre, "adopted", fmt.Sprintf(
		`{"metadata":{"labels":{"belay.dev/rollout":null},"annotations":{%q:"%d: uninstalled"}},"spec":{"paused":false}}`, v1alpha1.AnnotationBypassReason, d.Generation))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(d.Spec.Paused).To(BeFalse())
	d, err = push(t.Context(), s.admin, "adopted", image())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(d.Spec.Paused).To(BeFalse(), "it is an ordinary Deployment again")
}

// answers is what the API server said to each writer. A write that it did not answer
// at all does not count.
type answers struct {
	sync.Mutex
	count    map[string]int
	since    map[string]time.Time
	refused  map[string]int
	failures []string
}

func (a *answers) add(who string, err error, wrong string) {
	status := apierrors.APIStatus(nil)
	if err != nil && !errors.As(err, &status) {
		return
	}
	a.Lock()
	defer a.Unlock()
	if a.count[who]++; a.count[who] == 1 {
		a.since[who] = time.Now()
	}
	if err != nil {
		a.refused[who]++
	}
	if wrong != "" {
		a.failures = append(a.failures, fmt.Sprintf("%s, answer %d, %s after the first: %s", who, a.count[who], time.Since(a.since[who]).Round(time.Millisecond), wrong))
	}
}

// least is the number of answers that every writer has had.
func (a *answers) least() int {
	a.Lock()
	defer a.Unlock()
	if len(a.count) < 4 {
		return 0
	}
	return slices.Min(slices.Collect(maps.Values(a.count)))
}

// whileWriting lets four writers write every 70 ms each while something happens.
// Its argument waits until every writer has had so many answers more.
func (s *survivor) whileWriting(t *testing.T, happens func(answered func(int))) {
	t.Helper()
	a := &answers{count: map[string]int{}, since: map[string]time.Time{}, refused: map[string]int{}}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for who, write := range s.writers() {
		all.Go(func() {
			_ = wait.PollUntilContextCancel(ctx, 70*time.Millisecond, true, func(ctx context.Context) (bool, error) {
				wrong, err := write(ctx)
				if ctx.Err() == nil {
					a.add(who, err, wrong)
				}
				return false, nil
			})
		})
	}
	defer func() {
		stop()
		all.Wait()
		for i, failure := range a.failures {
			if i == 10 {
				t.Errorf("and %d more", len(a.failures)-10)
				break
			}
			t.Error(failure)
		}
		t.Logf("answers %v, refused %v", a.count, a.refused)
	}()
	happens(func(more int) {
		t.Helper()
		from := a.least()
		NewWithT(t).Eventually(a.least).WithTimeout(time.Minute).WithPolling(20 * time.Millisecond).Should(BeNumerically(">=", from+more))
	})
}

// writers say of each of their writes what was wrong with its answer:
//   - updates of an unlabelled Deployment, templates included, are neither refused
//     nor paused;
//   - a push to a guarded one comes back paused or refused;
//   - it is not unpaused but by Belay;
//   - what Belay writes goes through. It unpauses, so that the next push is held anew.
func (s *survivor) writers() map[string]func(context.Context) (string, error) {
	write := func(ctx context.Context, c client.Client, name string, kind types.PatchType, document []byte) (*appsv1.Deployment, error) {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}}
		return d, c.Patch(ctx, d, client.RawPatch(kind, document))
	}
	unpaused := func() []byte {
		return fmt.Appendf(nil, `{"spec":{"paused":false,"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, image())
	}
	return map[string]func(context.Context) (string, error){
		"an update of an unlabelled Deployment": func(ctx context.Context) (string, error) {
			d, err := write(ctx, s.admin, "free", types.StrategicMergePatchType, unpaused())
			switch {
			case err != nil:
				return err.Error(), err
			case d.Spec.Paused:
				return "it was paused", nil
			}
			return "", nil
		},
		"a push to a guarded Deployment": func(ctx context.Context) (string, error) {
			d, err := write(ctx, s.admin, "adopted", types.StrategicMergePatchType, unpaused())
			if err == nil && !d.Spec.Paused {
				return "it rolls unjudged", nil
			}
			return "", err
		},
		"an unpause of a guarded Deployment": func(ctx context.Context) (string, error) {
			_, err := write(ctx, s.unpausing, "adopted", types.JSONPatchType,
				[]byte(`[{"op":"test","path":"/spec/paused","value":true},{"op":"replace","path":"/spec/paused","value":false}]`))
			if err == nil {
				return "it was unpaused without a reason", nil
			}
			return "", err
		},
		"a write of Belay's": func(ctx context.Context) (string, error) {
			_, err := write(ctx, s.belay, "adopted", types.StrategicMergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{"belay":%q}},"spec":{"paused":false}}`, image()))
			if err != nil && !apierrors.IsConflict(err) {
				return err.Error(), err
			}
			return "", err
		},
	}
}
