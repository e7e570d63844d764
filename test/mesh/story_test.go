//go:build mesh

package mesh

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic/gateway"
	"belay.dev/belay/hack/stage"
	"belay.dev/belay/test/programs"
)

var (
	//go:embed shop.yaml
	shopManifest string
	//go:embed guard.yaml
	guardManifest string
)

// Calls that a share is measured by. 3000 tell 20 % from 16 % and from 24 % for certain.
const (
	few  = 1500
	many = 3000
)

// story is one shop's, with a route of a kind.
type story struct {
	stage.Shop
	kind     string
	caller   *caller
	seen     *observer
	declared string
	began    time.Time
}

// newStory deploys and guards a shop. No mesh runs yet.
func newStory(t *testing.T, kind string) *story {
	t.Helper()
	g, ctx := NewWithT(t), t.Context()
	s := &story{Shop: set.Shop("mesh-" + strings.ToLower(kind)), kind: kind}
	g.Expect(s.Remove(ctx)).To(Succeed(), "what an earlier test left")
	s.removeAfter(t)
	g.Expect(set.Apply(ctx, s.fill(shopManifest, "IMAGE", images["v1"]))).To(Succeed())
	s.declared = s.route(t)
	s.guard(t, "{name: pods, pods: {}}", "{weight: 0, hold: 5s, approval: Required}, {weight: 20, hold: 5s, approval: Required}")
	s.until(t, "be Ready", func(r *v1alpha1.Rollout) bool {
		return r.Status.Phase == v1alpha1.PhaseStable && stage.IsTrue(r, v1alpha1.ConditionReady) && stage.IsTrue(r, v1alpha1.ConditionGuarded)
	})
	return s
}

func (s *story) fill(manifest string, replacements ...string) string {
	return strings.NewReplacer(append(replacements, "NAMESPACE", s.Namespace, "KIND", s.kind)...).Replace(manifest)
}

func (s *story) guard(t *testing.T, trigger, steps string) {
	t.Helper()
	NewWithT(t).Expect(set.Apply(t.Context(), s.fill(guardManifest, "TRIGGER", trigger, "STEPS", steps))).To(Succeed())
}

// read is the route as the API server has it.
func (s *story) read(ctx context.Context) (*unstructured.Unstructured, error) {
	u := gateway.Route(s.kind)
	return u, set.Client.Get(ctx, s.Key(), u)
}

// route is all that a person has written in it, byte by byte.
func (s *story) route(t *testing.T) string {
	t.Helper()
	u, err := s.read(t.Context())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	raw, err := json.Marshal([]any{u.GetLabels(), u.GetAnnotations(), u.GetFinalizers(), u.GetOwnerReferences(), u.Object["spec"]})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return string(raw)
}

// givenBack waits until the route is what it was, and nothing in it is Belay's.
func (s *story) givenBack(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	g.Eventually(func() string { return s.route(t) }).Should(Equal(s.declared))
	u, err := s.read(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	for _, entry := range u.GetManagedFields() {
		g.Expect(entry.Manager).NotTo(ContainSubstring("belay"), "it owns fields of the route")
	}
}

func (s *story) until(t *testing.T, what string, wanted func(*v1alpha1.Rollout) bool) *v1alpha1.Rollout {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	rollout, err := s.Await(ctx, what, wanted)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return rollout
}

// approve ends the step in progress, which is the one with this number.
func (s *story) approve(t *testing.T, step int) {
	t.Helper()
	g := NewWithT(t)
	rollout, err := s.Rollout(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	annotations := map[string]string{
		v1alpha1.AnnotationAction: string(v1alpha1.ActionApprove), v1alpha1.AnnotationActionToken: fmt.Sprintf("step-%d", step),
		v1alpha1.AnnotationActionRevision: rollout.Status.Candidate.Revision, v1alpha1.AnnotationActionStep: fmt.Sprint(step),
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(set.Client.Patch(t.Context(), rollout, client.RawPatch(types.MergePatchType, patch))).To(Succeed())
}

// removeAfter removes it when the test is over, before what was started earlier is stopped.
func (s *story) removeAfter(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { NewWithT(t).Expect(s.Remove(programs.Late(t))).To(Succeed()) })
}

// call begins to call the shop through the mesh, and returns when it answers.
func (s *story) call(t *testing.T, mesh *istiod) {
	t.Helper()
	s.removeAfter(t)
	s.caller, s.began = startCaller(t, mesh, s.Namespace), time.Now()
	NewWithT(t).Eventually(func() int { return s.caller.since(s.began).by["v1"] }).Should(BeNumerically(">", 0), "the data plane calls the shop")
}

// onlyAnswers waits until a second's calls are all answered by one version.
func (s *story) onlyAnswers(t *testing.T, version string) {
	t.Helper()
	NewWithT(t).Eventually(func() map[string]int { return s.caller.since(time.Now().Add(-time.Second)).by }).
		Should(And(HaveLen(1), HaveKey(version)))
}

// explain shows what there is to know when a chapter failed.
func (s *story) explain(t *testing.T) {
	if !t.Failed() {
		return
	}
	ctx := programs.Late(t)
	rollout, err := s.Rollout(ctx)
	if err == nil {
		t.Log(stage.Describe(rollout))
	}
	if u, err := s.read(ctx); err == nil {
		raw, _ := json.Marshal(map[string]any{"generation": u.GetGeneration(), "spec": u.Object["spec"], "status": u.Object["status"]})
		t.Logf("%s", raw)
	}
	if s.caller != nil {
		t.Log(s.caller.since(s.began))
	}
}

// at reports whether a step's weight is acknowledged, and only an approval is missing.
func at(step int32) func(*v1alpha1.Rollout) bool {
	return func(r *v1alpha1.Rollout) bool {
		return r.Status.Step != nil && r.Status.Step.Index == step && r.Status.Step.AwaitsApprovalSince != nil
	}
}
