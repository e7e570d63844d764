package rollout

import (
	"context"
	"errors"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// decidedBy is a decision of a version of the rules.
func decidedBy(rules int32) v1alpha1.DecisionRecord {
	return v1alpha1.DecisionRecord{Input: &v1alpha1.RecordedInput{Planner: rules}}
}

// writtenBy are objects with a mark of the version of the rules that wrote them, where
// such a mark can be.
var writtenBy = map[string]struct {
	objects func(rules int32) []client.Object
	want    string
}{
	"a run": {func(rules int32) []client.Object {
		run := &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "shop-7"}}
		run.Spec.Rollout.Name, run.Spec.Controller = "shop", v1alpha1.ControllerIdentity{Version: "v0.9.0", Planner: rules}
		return []client.Object{newRollout(), run}
	}, "RolloutRun team/shop-7 was written by Belay v0.9.0 with version "},
	"a decision in a run of another": {func(rules int32) []client.Object {
		run := &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "shop-7"}}
		run.Spec.Rollout.Name, run.Spec.Controller = "shop", v1alpha1.ControllerIdentity{Version: "v0.1.0", Planner: plan.Version - 1}
		run.Status.Decisions = []v1alpha1.DecisionRecord{{}, decidedBy(rules)}
		return []client.Object{newRollout(), run}
	}, "RolloutRun team/shop-7 was written by a newer Belay with version "},
	"a decision that waits for its run": {func(rules int32) []client.Object {
		rollout := newRollout()
		rollout.Status.Record = &v1alpha1.RecordStatus{Pending: []v1alpha1.PendingDecision{{Run: "shop-7", Decision: decidedBy(rules)}}}
		return []client.Object{rollout}
	}, "the status of Rollout team/shop was written by a newer Belay with version "},
}

// TestADowngradeIsRefusedAtTheStart: by what newer rules wrote, and by nothing else.
func TestADowngradeIsRefusedAtTheStart(t *testing.T) {
	for name, c := range writtenBy {
		t.Run(name, func(t *testing.T) {
			for _, rules := range []int32{0, plan.Version - 1, plan.Version} {
				_, api := loopOn(t, interceptor.Funcs{}, c.objects(rules)...)
				if err := RequireNoDowngrade(t.Context(), api); err != nil {
					t.Errorf("rules %d: %v", rules, err)
				}
			}
			_, api := loopOn(t, interceptor.Funcs{}, c.objects(plan.Version+1)...)
			err := RequireNoDowngrade(t.Context(), api)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || !strings.Contains(err.Error(), "install that Belay again") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestADowngradeDecidesNothing: where a newer Belay wrote something after the start,
// nothing is written and the process ends.
func TestADowngradeDecidesNothing(t *testing.T) {
	for name, c := range writtenBy {
		t.Run(name, func(t *testing.T) {
			look := func(rules int32) (writes int, stopped error) {
				r, _ := loopOn(t, interceptor.Funcs{
					Patch: func(ctx context.Context, to client.WithWatch, o client.Object, patch client.Patch, options ...client.PatchOption) error {
						writes++
						return to.Patch(ctx, o, patch, options...)
					},
					SubResourcePatch: func(ctx context.Context, to client.Client, part string, o client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
						writes++
						return to.SubResource(part).Patch(ctx, o, patch, options...)
					},
				}, append(c.objects(rules), newDeployment())...)
				r.Stop = func(err error) { stopped = err }
				if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: shopKey}); rules > plan.Version && !errors.Is(err, reconcile.TerminalError(nil)) {
					t.Errorf("it will look again: %v", err)
				}
				return writes, stopped
			}
			if writes, stopped := look(plan.Version); writes == 0 || stopped != nil {
				t.Fatalf("with its own rules it made %d writes and stopped by %v", writes, stopped)
			}
			writes, stopped := look(plan.Version + 1)
			if downgrade := (DowngradeError{}); writes != 0 || !errors.As(stopped, &downgrade) || downgrade.Rules != plan.Version+1 {
				t.Errorf("%d writes, stopped by %v", writes, stopped)
			}
		})
	}
}
