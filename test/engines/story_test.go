//go:build engines

package engines

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/hack/load"
	"belay.dev/belay/hack/stage"
	"belay.dev/belay/test/programs"
)

// engine deploys one application.
type engine interface {
	// declare has Git say this, tells the tool that there is something new, and returns what
	// the tool calls it.
	declare(ctx context.Context, manifests string) string
	// resync has the tool compare and apply anew, and returns when it has.
	resync(ctx context.Context)
	says(ctx context.Context) report
	// words are how it says how the application is.
	words() words
	// remove deletes the application and what it had deployed, and returns when the tool
	// is done.
	remove(ctx context.Context)
}

// report is what a tool says of the application.
type report struct {
	// revision that is deployed, and how it is.
	Revision, Word string
	Message        string
}

func (r report) String() string { return fmt.Sprintf("%s (%s)", r.Word, r.Message) }

type words struct {
	done, running, failed string
	// passing are those that may be heard for a moment while a version is rolled out.
	passing []string
}

// story is one application's.
type story struct {
	stage.Shop
	engine
	*testing.T
	g    *WithT
	load *load.Generator
}

// play is the life of an application.
func play(t *testing.T, shop stage.Shop, tool engine) {
	s := &story{Shop: shop, engine: tool, T: t, g: NewWithT(t)}
	t.Cleanup(func() { s.g.Expect(s.Remove(programs.Late(t))).To(Succeed()) })
	t.Cleanup(s.explain)
	ctx := t.Context()
	s.firstSync(ctx)
	s.promotion(ctx)
	s.rollback(ctx)
	s.revert(ctx)
	s.withoutRollout(ctx)
	s.uninstall(ctx)
}

// explain shows what there is to know when the story failed.
func (s *story) explain() {
	if !s.Failed() {
		return
	}
	ctx := programs.Late(s.T)
	rollout, err := s.Rollout(ctx)
	if err == nil {
		s.Log(stage.Describe(rollout))
	}
	s.Log(s.says(ctx))
}

// guarded is what Git declares of a version, with short steps.
func (s *story) guarded(version string) string {
	return s.Declared(images[version]) + "---\n" + s.DeclaredGuard(stage.Short("hold: 15s", "hold: 20s")...)
}

// hears waits until the tool says something, and logs it with where in the story that was.
func (s *story) hears(ctx context.Context, word, point string) {
	s.Helper()
	s.heard(ctx, HaveField("Word", word), point)
}

// done waits until the tool says that a revision is deployed and well.
func (s *story) done(ctx context.Context, revision, point string) {
	s.Helper()
	s.heard(ctx, And(HaveField("Word", s.words().done), HaveField("Revision", revision)), point)
}

func (s *story) heard(ctx context.Context, what types.GomegaMatcher, point string) {
	s.Helper()
	var said report
	s.g.Eventually(func() report {
		said = s.says(ctx)
		return said
	}).Should(what, point)
	s.Logf("%s: %s", point, said)
}

func (s *story) firstSync(ctx context.Context) {
	revision := s.declare(ctx, s.guarded("v1"))
	s.g.Expect(s.AwaitAnswers(ctx)).To(Succeed())
	s.load = &load.Generator{URL: set.Addresses.Gateway, Host: s.Host(), Rate: 50}
	s.load.Start(context.WithoutCancel(ctx))
	s.Cleanup(s.load.Stop)
	// The Guardrail is well only when there is something to measure.
	s.done(ctx, revision, "first sync")
	rollout, err := s.Rollout(ctx)
	s.g.Expect(err).NotTo(HaveOccurred())
	s.g.Expect(stage.IsTrue(rollout, v1alpha1.ConditionReady)).To(BeTrue(), "the tool says that all is well when Belay does")
}

// promotion of v2, which Git declares in the first step of v3 and after a sync in it.
func (s *story) promotion(ctx context.Context) {
	watched := s.watch(ctx)
	s.declare(ctx, s.guarded("v3"))
	s.until(ctx, "give the canary its first share", func(r *v1alpha1.Rollout) bool {
		return r.Status.Phase == v1alpha1.PhaseStepping && r.Status.Step != nil && r.Status.Step.Weight.Observed > 0
	})
	s.hears(ctx, s.words().running, "in the first step")
	s.resync(ctx)
	rollout, err := s.Rollout(ctx)
	s.g.Expect(err).NotTo(HaveOccurred())
	s.g.Expect(rollout.Status.Phase).To(Equal(v1alpha1.PhaseStepping), "the sync was in a step")
	s.hears(ctx, s.words().running, "after a sync in the first step")
	revision := s.declare(ctx, s.guarded("v2"))
	s.until(ctx, "take v2 for the candidate", func(r *v1alpha1.Rollout) bool {
		return r.Status.Candidate != nil && r.Status.Candidate.Image == images["v2"]
	})
	s.hears(ctx, s.words().running, "after a push in the first step")
	s.until(ctx, "promote v2", func(r *v1alpha1.Rollout) bool {
		return r.Status.Phase == v1alpha1.PhaseStable && r.Status.Stable.Image == images["v2"]
	})
	s.done(ctx, revision, "promoted")
	s.onlyServed(ctx, "v2")

	watched.stop()
	s.Logf("the tool said: %s", strings.Join(watched.said, " | "))
	s.Logf("the route had: %s", strings.Join(watched.shares, " | "))
	s.g.Expect(watched.early).To(BeEmpty(), "it said that v2 is deployed and well before it was promoted")
	for _, said := range watched.said {
		s.g.Expect(said).To(BeElementOf(append(slices.Clone(s.words().passing), s.words().running, s.words().done)))
	}
	s.noFight(watched, 2)
	s.g.Expect(watched.paused).To(Equal([]string{"false", "true", "false"}))
}

// noFight: the route leaves what Git declares once in each run. In a run no share of the
// traffic comes a second time, but for the first, which gives the candidate nothing: a
// rollback ends with it.
func (s *story) noFight(w *watched, runs int) {
	s.Helper()
	s.g.Expect(w.shares).NotTo(BeEmpty())
	declared := w.shares[0]
	s.g.Expect(w.shares[len(w.shares)-1]).To(Equal(declared), "the route is again what it was")
	began := 0
	for run := range strings.SplitSeq(strings.Join(w.shares, "|"), declared) {
		shares := strings.Split(strings.Trim(run, "|"), "|")
		if shares[0] == "" {
			continue
		}
		began++
		if last := len(shares) - 1; last > 0 && shares[last] == shares[0] {
			shares = shares[:last]
		}
		slices.Sort(shares)
		s.g.Expect(slices.Compact(slices.Clone(shares))).To(Equal(shares), "somebody took a weight back: %v", w.shares)
	}
	s.g.Expect(began).To(Equal(runs), "somebody took the route back: %v", w.shares)
	s.g.Expect(w.conflicts).To(BeEmpty())
}

// rollback of a version with errors. Git declares it, and the tool may sync as often as it
// likes: nothing ships, and nobody writes.
func (s *story) rollback(ctx context.Context) {
	watched := s.watch(ctx)
	s.declare(ctx, s.guarded("errors"))
	entry, err := s.Finished(ctx, images["errors"])
	s.g.Expect(err).NotTo(HaveOccurred())
	s.g.Expect(entry.Outcome).To(Equal(v1alpha1.OutcomeRolledBack))
	s.hears(ctx, s.words().failed, "rolled back")
	s.until(ctx, "end the rollback", func(r *v1alpha1.Rollout) bool { return r.Status.Phase == v1alpha1.PhaseRolledBack })
	s.onlyServed(ctx, "v2")
	before := s.settled(ctx)
	for range 3 {
		s.resync(ctx)
	}
	s.g.Expect(s.versions(ctx)).To(Equal(before), "three syncs wrote")
	s.hears(ctx, s.words().failed, "after three syncs")
	s.onlyServed(ctx, "v2")
	deployment, err := s.Deployment(ctx)
	s.g.Expect(err).NotTo(HaveOccurred())
	s.g.Expect(deployment.Spec.Template.Spec.Containers[0].Image).To(Equal(images["errors"]), "Git is declared, and held")

	watched.stop()
	s.g.Expect(watched.early).To(BeEmpty())
	s.noFight(watched, 1)
	s.g.Expect(watched.paused).To(Equal([]string{"false", "true"}))
}

func (s *story) revert(ctx context.Context) {
	s.done(ctx, s.declare(ctx, s.guarded("v2")), "reverted in Git")
	rollout, err := s.Rollout(ctx)
	s.g.Expect(err).NotTo(HaveOccurred())
	s.g.Expect(rollout.Status.Phase).To(Equal(v1alpha1.PhaseStable))
	s.g.Expect(rollout.Status.Stable.Image).To(Equal(images["v2"]))
	s.onlyServed(ctx, "v2")
}

// withoutRollout: the Deployment goes on without Belay, and with nothing of it.
func (s *story) withoutRollout(ctx context.Context) {
	pods := s.pods(ctx)
	s.done(ctx, s.declare(ctx, s.Declared(images["v2"])), "the Rollout is no longer in Git")
	s.g.Eventually(func() bool { return gone(ctx, object("belay.dev/v1alpha1", "Rollout", s.Namespace, stage.Name)) }).Should(BeTrue())
	s.settled(ctx)
	deployment, err := s.Deployment(ctx)
	s.g.Expect(err).NotTo(HaveOccurred())
	s.g.Expect(deployment.Spec.Paused).To(BeFalse())
	route := object("gateway.networking.k8s.io/v1", "HTTPRoute", s.Namespace, stage.Name)
	s.g.Expect(set.Client.Get(ctx, s.Key(), route)).To(Succeed())
	for _, o := range []client.Object{deployment, route} {
		for key := range o.GetLabels() {
			s.g.Expect(key).NotTo(HavePrefix("belay.dev/"), "a label is left")
		}
	}
	for key := range route.GetAnnotations() {
		s.g.Expect(key).NotTo(HavePrefix("belay.dev/"), "an annotation is left")
	}
	s.g.Expect(s.pods(ctx)).To(Equal(pods), "no pod is replaced")
	s.onlyServed(ctx, "v2")
	s.load.Stop()
	tally := load.Count(s.load.Since(time.Time{}))
	s.Logf("requests: %d; by version: %v", tally.Sent, tally.By)
	s.g.Expect(tally.Failed-tally.By["errors"].Failed).To(BeZero(), "%v", tally.Unanswered)
}

// uninstall removes the application, now guarded again.
func (s *story) uninstall(ctx context.Context) {
	s.done(ctx, s.declare(ctx, s.guarded("v2")), "guarded again")
	began := time.Now()
	s.remove(ctx)
	s.g.Eventually(func() bool { return gone(ctx, object("v1", "Namespace", "", s.Namespace)) }).Should(BeTrue(), "nothing holds the namespace")
	s.Logf("everything was gone after %s", time.Since(began).Round(time.Second))
}

func (s *story) until(ctx context.Context, what string, wanted func(*v1alpha1.Rollout) bool) {
	s.Helper()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	_, err := s.Await(ctx, what, wanted)
	s.g.Expect(err).NotTo(HaveOccurred())
}

// onlyServed waits until all requests of a second are answered by one version.
func (s *story) onlyServed(ctx context.Context, version string) {
	s.Helper()
	s.g.Eventually(func() map[string]load.Answers {
		return load.Count(s.load.Since(time.Now().Add(-time.Second))).By
	}).WithContext(ctx).Should(And(HaveLen(1), HaveKey(version)))
}

// versions are the resource versions of what the application consists of.
func (s *story) versions(ctx context.Context) map[string]string {
	versions := map[string]string{}
	for kind, version := range map[string]string{
		"Deployment": "apps/v1", "Service": "v1", "HTTPRoute": "gateway.networking.k8s.io/v1", "Rollout": "belay.dev/v1alpha1",
	} {
		u := object(version, kind, s.Namespace, stage.Name)
		err := set.Client.Get(ctx, s.Key(), u)
		s.g.Expect(client.IgnoreNotFound(err)).NotTo(HaveOccurred())
		versions[kind] = u.GetResourceVersion()
	}
	return versions
}

// settled waits until nothing is written for a while, and returns the resource versions.
func (s *story) settled(ctx context.Context) map[string]string {
	s.Helper()
	last, since := s.versions(ctx), time.Now()
	s.g.Eventually(func() time.Duration {
		if now := s.versions(ctx); fmt.Sprint(now) != fmt.Sprint(last) {
			last, since = now, time.Now()
		}
		return time.Since(since)
	}).WithTimeout(time.Minute).Should(BeNumerically(">", 8*time.Second), "somebody writes all the time")
	return last
}

func (s *story) pods(ctx context.Context) (names []string) {
	list := &corev1.PodList{}
	s.g.Expect(set.Client.List(ctx, list, client.InNamespace(s.Namespace))).To(Succeed())
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			names = append(names, pod.Name)
		}
	}
	slices.Sort(names)
	return names
}

func object(version, kind, namespace, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(version)
	u.SetKind(kind)
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}

func gone(ctx context.Context, u *unstructured.Unstructured) bool {
	return apierrors.IsNotFound(set.Client.Get(ctx, client.ObjectKeyFromObject(u), u))
}

func condition(u *unstructured.Unstructured, kind string) map[string]any {
	all, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, c := range all {
		if c, ok := c.(map[string]any); ok && c["type"] == kind {
			return c
		}
	}
	return map[string]any{}
}
