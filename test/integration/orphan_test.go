package integration

import (
	"maps"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/runs"
)

// orphan takes the canary's owner away, as the garbage collector may. Nobody adopts
// it here: the Deployment controller is down, or slow.
func (s *shop) orphan() {
	s.t.Helper()
	canaries := &appsv1.ReplicaSetList{}
	s.must(admin.List(s.t.Context(), canaries, client.InNamespace(s.namespace), client.MatchingLabels{v1alpha1.LabelRole: v1alpha1.RoleCanary}))
	if len(canaries.Items) != 1 {
		s.t.Fatalf("%d canaries, want one", len(canaries.Items))
	}
	canary := &canaries.Items[0]
	s.must(as(s.t, garbageCollector, "system:masters").Patch(s.t.Context(), canary, client.RawPatch(types.JSONPatchType, []byte(`[{"op":"remove","path":"/metadata/ownerReferences"}]`))))
	if owner := metav1.GetControllerOf(canary); owner != nil {
		s.t.Fatalf("the canary is still owned by %v", owner)
	}
}

// TestACanaryWithoutAnOwnerIsStillTheRuns: until the Deployment controller adopts it,
// it takes its share, nothing is made in its place, and a rollback removes it.
func TestACanaryWithoutAnOwnerIsStillTheRuns(t *testing.T) {
	for name, c := range map[string]struct {
		at    func(*v1alpha1.Rollout) bool
		fails func(*v1alpha1.Rollout) bool
		made  string
	}{
		"in a step":    {at: atWeight, made: "made 1 of CANDIDATE and 2 of BEFORE"},
		"baking":       {at: inPhase(v1alpha1.PhaseBaking), made: "made 2 of CANDIDATE and 2 of BEFORE"},
		"rolling back": {at: inPhase(v1alpha1.PhaseRollingBack), fails: atWeight, made: "made 1 of CANDIDATE and 2 of BEFORE"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.release(better)
			s.fails = c.fails
			reached := s.until(name, c.at)
			s.orphan()
			s.must(s.look())
			if r := s.rollout(); r.Status.Phase != reached.Status.Phase || r.Status.Stable.Image != good || r.Status.Refusal != nil {
				t.Errorf("a look later it is in phase %s, %s is stable, refused: %+v", r.Status.Phase, r.Status.Stable.Image, r.Status.Refusal)
			}
			s.fails = func(*v1alpha1.Rollout) bool { return true }
			s.until("rolled back", ended(better))
			expect(t, s.settle(better, good), append(isServed, "phase RolledBack, stable BEFORE, candidate true, deployment CANDIDATE paused true", c.made, `RolledBack "shop/errors", rejected true`)...)
		})
	}
}

// TestARunWhoseLabelsSomebodyTook is still the Rollout's: in a step and once it has
// ended, its labels come back, and the run ends as any other.
func TestARunWhoseLabelsSomebodyTook(t *testing.T) {
	s := open(t)
	s.release(better)
	took := func(name string) {
		t.Helper()
		run := s.run(name)
		// Nobody but the controller may write them: the guard's policies are gone.
		s.must(s.analysis.Patch(t.Context(), run, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":null}}`))))
		if len(run.Labels) > 0 {
			t.Fatalf("the run has the labels %v", run.Labels)
		}
	}
	labelled := func(name string) {
		t.Helper()
		s.must(s.look())
		if run := s.run(name); len(run.Labels) == 0 || !maps.Equal(run.Labels, runs.Labels(run)) {
			t.Errorf("the run has the labels %v, want %v", run.Labels, runs.Labels(run))
		}
	}
	name := s.until("in its step", atWeight).Status.Run
	took(name)
	labelled(name)
	took(name)
	s.fails = func(*v1alpha1.Rollout) bool { return true }
	s.until("rolled back", ended(better))
	expect(t, s.settle(better, good), append(isServed, "phase RolledBack, stable BEFORE, candidate true, deployment CANDIDATE paused true", `RolledBack "shop/errors", rejected true`)...)
	took(name)
	labelled(name)
}
