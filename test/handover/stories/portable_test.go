package stories

import (
	"fmt"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/handover/cluster"
	"belay.dev/belay/test/world"
)

// TestPortableStories plays stories of the simulated world on a real API server, under
// Kubernetes' own Deployment controller, with shorter holds: each ends as it does there.
func TestPortableStories(t *testing.T) {
	t.Parallel()
	all := world.Portable()
	if len(all) < 8 {
		t.Fatalf("only %d stories are portable", len(all))
	}
	for _, story := range all {
		t.Run(story.Name, func(t *testing.T) {
			t.Parallel()
			w := story.Begin(1)
			w.Run()
			want := w.End()
			a := &apiServer{shop: open(t, replicas, nil, shortHolds)}
			a.verdict(a.judged)
			for i, scene := range story.Scenes {
				a.Eventually(fmt.Sprintf("scene %d", i+1), func(g Gomega) { g.Expect(scene.When(a.shown())).To(BeTrue()) })
				scene.Do(a)
			}
			a.Eventually(fmt.Sprintf("the end %+v", want), func(g Gomega) { g.Expect(a.end()).To(Equal(want)) })
			a.alone(versions[want.Serves], replicas)
			a.Served()
		})
	}
}

// shortHolds leave enough time to notice each step.
func shortHolds(spec map[string]any) {
	spec["steps"] = []any{map[string]any{"weight": int64(10), "hold": "3s"}, map[string]any{"weight": int64(50), "hold": "3s"}}
	spec["promotion"] = map[string]any{"bake": "3s"}
	spec["fastRevert"] = map[string]any{"revisions": int64(1)}
}

// versions of the shop, by the revisions of the stories.
var versions = map[string]string{world.First: "v1", world.Second: "v2", world.Third: "v3"}

// apiServer is a real one as a world.Backend.
type apiServer struct {
	*shop
	// failing is the run whose trigger fires.
	failing atomic.Value
}

var _ world.Backend = &apiServer{}

func (a *apiServer) judged(r *v1alpha1.Rollout) v1alpha1.VerdictOutcome {
	if a.failing.Load() == r.Status.Run {
		return v1alpha1.VerdictFail
	}
	return v1alpha1.VerdictPass
}

// Declare pushes a version, which is held.
func (a *apiServer) Declare(revision string) { a.Push(versions[revision]) }

// Bypass is the write that docs/runbook.md has for a new version while Belay is up: the reason
// and the template, and no Service.
func (a *apiServer) Bypass(revision string) {
	a.PatchDeployment(types.StrategicMergePatchType, fmt.Sprintf(`{"metadata":{"annotations":{%q:"%d: hotfix"}},"spec":{"paused":false,"template":{"spec":{"containers":[{"name":%q,"image":%q}]}}}}`,
		v1alpha1.AnnotationBypassReason, a.Deployment().Generation, cluster.Name, image(versions[revision])))
}

// Command annotates the Rollout.
func (a *apiServer) Command(action v1alpha1.Action) {
	a.T.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q,%q:%[2]q}}}`, v1alpha1.AnnotationAction, action, v1alpha1.AnnotationActionToken)
	a.Must(admin.Patch(a.T.Context(), a.rollout(), client.RawPatch(types.MergePatchType, patch)))
}

// Fail lets the trigger of the run in progress fire.
func (a *apiServer) Fail() { a.failing.Store(a.rollout().Status.Run) }

// LosePod deletes a pod of a version.
func (a *apiServer) LosePod(revision string) {
	a.T.Helper()
	a.losePods(versions[revision], 1)
}

// OverwriteRoute applies the route as the user has it.
func (a *apiServer) OverwriteRoute() {
	a.T.Helper()
	route := object(a.T, fmt.Sprintf(`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: %s, namespace: %s}}`, cluster.Name, a.Namespace))
	patch := fmt.Appendf(nil, `{"spec":{"rules":[{"backendRefs":[{"name":%q,"port":80}]}]}}`, cluster.Name)
	a.Must(admin.Patch(a.T.Context(), route, client.RawPatch(types.MergePatchType, patch)))
}

// DeleteRollout deletes it as kubectl does.
func (a *apiServer) DeleteRollout() { deletion(metav1.DeletePropagationBackground)(a.shop) }

func (a *apiServer) shown() world.Shown {
	r := a.rollout()
	return world.Shown{Status: &r.Status, Guarded: conditionOf(r, v1alpha1.ConditionGuarded) == metav1.ConditionTrue}
}

// end is where the story has come to.
func (a *apiServer) end() world.End {
	var e world.End
	r := a.rollout()
	e.Phase = r.Status.Phase
	runs := &v1alpha1.RolloutRunList{}
	a.Must(admin.List(a.T.Context(), runs, client.InNamespace(a.Namespace)))
	newest := metav1.Time{}
	for i := range runs.Items {
		if run := &runs.Items[i]; newest.Before(&run.Spec.StartedAt) {
			newest, e.Outcome = run.Spec.StartedAt, run.Status.Outcome
		}
	}
	d := a.Deployment()
	for revision, version := range versions {
		if set := a.Set(version); set != nil && set.Status.AvailableReplicas == replicas && *set.Spec.Replicas == replicas {
			e.Serves = revision
		}
		if d.Spec.Paused && d.Spec.Template.Spec.Containers[0].Image == image(version) {
			e.Held = revision
		}
	}
	return e
}
