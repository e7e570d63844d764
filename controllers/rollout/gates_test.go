package rollout

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/wake"
	"belay.dev/belay/controllers/workload"
)

var provenGuard = plan.Gate{Name: plan.GateGuard, Outcome: plan.Open, Reason: v1alpha1.ReasonGuardProven, Message: "proven"}

// fixedGuard is a guard with one answer.
type fixedGuard struct{}

func (fixedGuard) Last(*v1alpha1.Rollout) plan.Gate { return provenGuard }
func (fixedGuard) Changes() source.Source           { return nil }

func TestObserveGates(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	born := metav1.NewTime(now.Add(-time.Hour))
	rollout := func(name string, created metav1.Time, guardrail ...v1alpha1.GuardrailRef) *v1alpha1.Rollout {
		return &v1alpha1.Rollout{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), CreationTimestamp: created},
			Spec:       v1alpha1.RolloutSpec{WorkloadRef: v1alpha1.WorkloadRef{Name: "shop"}, Guardrails: guardrail},
			Status:     v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseGating, Candidate: &v1alpha1.Revision{Revision: "b"}},
		}
	}
	ordered := func(name string, created metav1.Time) *v1alpha1.Rollout {
		r := rollout(name, created)
		r.Spec.WorkloadRef.Kind = v1alpha1.KindStatefulSet
		return r
	}
	named := v1alpha1.GuardrailRef{Name: "slo"}
	asking := &v1alpha1.Guardrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "slo"},
		Spec:       v1alpha1.GuardrailSpec{Preflight: &v1alpha1.Preflight{BudgetRemaining: "10"}},
	}
	claim, guardrailsOpen := plan.Gate{Name: plan.GateClaim, Outcome: plan.Open}, plan.Gate{Name: plan.GateGuardrails, Outcome: plan.Open}
	waiting := plan.Gate{Name: plan.GatePreflight, Outcome: plan.Unknown, Reason: "Pending", Message: "waiting for the pre-flight check"}
	for name, test := range map[string]struct {
		own    *v1alpha1.Rollout
		others []client.Object
		change func(*look)
		want   []plan.Gate
	}{
		"nothing in the way": {own: rollout("own", born), want: []plan.Gate{provenGuard, claim, guardrailsOpen}},
		"an older rival": {own: rollout("own", born), others: []client.Object{rollout("old", metav1.NewTime(born.Add(-time.Second)))}, want: []plan.Gate{provenGuard, {
			Name: plan.GateClaim, Outcome: plan.Closed, Reason: v1alpha1.ReasonWorkloadClaimed,
			Message: `Rollout "old" already guards Deployment "shop": delete one of the two Rollouts`,
		}, guardrailsOpen}},
		"an older rival of the same StatefulSet": {own: ordered("own", born), others: []client.Object{ordered("old", metav1.NewTime(born.Add(-time.Second)))}, want: []plan.Gate{provenGuard, {
			Name: plan.GateClaim, Outcome: plan.Closed, Reason: v1alpha1.ReasonWorkloadClaimed,
			Message: `Rollout "old" already guards StatefulSet "shop": delete one of the two Rollouts`,
		}, guardrailsOpen}},
		"an older Rollout of a StatefulSet of the same name": {own: rollout("own", born), others: []client.Object{ordered("old", metav1.NewTime(born.Add(-time.Second)))}, want: []plan.Gate{provenGuard, claim, guardrailsOpen}},
		"an older Rollout of a Deployment of the same name":  {own: ordered("own", born), others: []client.Object{rollout("old", metav1.NewTime(born.Add(-time.Second)))}, want: []plan.Gate{provenGuard, claim, guardrailsOpen}},
		"a younger rival": {own: rollout("own", born), others: []client.Object{rollout("new", metav1.NewTime(born.Add(time.Second)))}, want: []plan.Gate{provenGuard, claim, guardrailsOpen}},
		"no such guardrail": {own: rollout("own", born, named), want: []plan.Gate{provenGuard, claim, {
			Name: plan.GateGuardrails, Outcome: plan.Closed, Reason: v1alpha1.ReasonGuardrailNotFound,
			Message: `Guardrail "slo" does not exist: create it, or remove it from spec.guardrails`,
		}}},
		"a pre-flight": {own: rollout("own", born, named), others: []client.Object{asking}, want: []plan.Gate{provenGuard, claim, guardrailsOpen, waiting}},
		"a pre-flight, without a candidate that waits": {own: rollout("own", born, named), others: []client.Object{asking}, change: func(l *look) {
			l.rollout.Status.Phase = v1alpha1.PhaseStepping
		}, want: []plan.Gate{provenGuard, claim, guardrailsOpen}},
		"a freeze": {own: rollout("own", born, named), others: []client.Object{asking, &v1alpha1.Freeze{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "sale"},
			Spec:       v1alpha1.FreezeSpec{Owner: "sre", Reason: "sale", Windows: []v1alpha1.FreezeWindow{{From: &born, Until: new(metav1.NewTime(now.Add(time.Hour)))}}},
		}}, want: []plan.Gate{provenGuard, claim, guardrailsOpen, {
			Name: plan.GateFreeze, Outcome: plan.Closed, Reason: v1alpha1.ReasonFrozen, Until: now.Add(time.Hour),
			Message: `held by Freeze shop/sale (owner: "sre"; reason: "sale"), opens 2026-11-26 13:00 UTC`,
		}, waiting}},
		"no Deployment": {own: rollout("own", born), change: func(l *look) { l.workload = nil }, want: []plan.Gate{claim, guardrailsOpen}},
		"a deletion":    {own: rollout("own", born), change: func(l *look) { l.input.Deleting = &now }},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Reconciler{Client: indexed(t, append(test.others, test.own)...), Guard: fixedGuard{}}
			l := &look{rollout: test.own, workload: workload.NewDeployment(), input: plan.Input{Now: now}}
			if test.change != nil {
				test.change(l)
			}
			if err := r.observeGates(t.Context(), l); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, l.input.Gates); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// indexed is a client that finds Rollouts as the manager's cache does.
func indexed(t *testing.T, objects ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	b := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...)
	for field, values := range wake.Values() {
		b = b.WithIndex(&v1alpha1.Rollout{}, field, values)
	}
	return b.Build()
}
