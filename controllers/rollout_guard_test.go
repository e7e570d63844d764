package controllers

import (
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// answering is a probe whose dry-runs are answered by a function.
func answering(answer func(context.Context, *appsv1.Deployment) error) *GuardProbe {
	c := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		Patch: func(ctx context.Context, _ client.WithWatch, o client.Object, _ client.Patch, _ ...client.PatchOption) error {
			d, ok := o.(*appsv1.Deployment)
			if !ok {
				return apierrors.NewBadRequest("no Deployment")
			}
			return answer(ctx, d)
		},
	})
	return NewGuardProbe(c, 5*time.Minute, 5*time.Second)
}

func denial(causes ...string) error {
	err := apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "deployments"}, "shop", nil)
	for _, message := range causes {
		err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Message: message})
		err.ErrStatus.Message += ": " + message
	}
	return err
}

const (
	deniedBusy    = "ValidatingAdmissionPolicy 'belay-guard-busy' with binding 'belay-guard-busy' denied request: Rollout shop is moving pods of deployment shop (Promoting): try again when it is done"
	deniedUnpause = "ValidatingAdmissionPolicy 'belay-guard-unpause' with binding 'belay-guard-unpause' denied request: deployment shop is held by Rollout shop: only its controller may unpause"
)

func TestGuardReadsTheAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		paused bool
		err    error
		reason string
		stands time.Duration
	}{
		"paused":                     {paused: true, reason: v1alpha1.ReasonGuardProven, stands: 5 * time.Minute},
		"not paused":                 {reason: v1alpha1.ReasonGuardMissing, stands: 5 * time.Second},
		"pods move":                  {err: denial(deniedBusy), reason: v1alpha1.ReasonGuardProven, stands: 5 * time.Second},
		"reached unpause":            {err: denial(deniedUnpause), reason: v1alpha1.ReasonGuardMissing, stands: 5 * time.Second},
		"reached unpause, pods move": {err: denial(deniedBusy, deniedUnpause), reason: v1alpha1.ReasonGuardMissing, stands: 5 * time.Second},
		"busy itself fails": {err: denial("ValidatingAdmissionPolicy 'belay-guard-busy' with binding 'belay-guard-busy' denied request: failed to find resource referenced by paramKind"),
			reason: v1alpha1.ReasonGuardUnproven, stands: 5 * time.Second},
		"another policy quotes it": {err: denial("ValidatingAdmissionPolicy 'house' denied request: see " + deniedBusy), reason: v1alpha1.ReasonGuardUnproven, stands: 5 * time.Second},
		"no rights": {err: apierrors.NewForbidden(schema.GroupResource{}, "", errors.New(deniedBusy)), // no cause: an authorizer's words
			reason: v1alpha1.ReasonGuardUnproven, stands: 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p := answering(func(ctx context.Context, d *appsv1.Deployment) error {
				at, bounded := ctx.Deadline()
				g.Expect(bounded && time.Until(at) <= probeTimeout).To(BeTrue(), "a dry-run has an end")
				d.Spec.Paused = c.paused
				return c.err
			})
			guard, due := p.Check(t.Context(), &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{UID: "u"}}, &appsv1.Deployment{}, time.Now())
			g.Expect(guard.Reason).To(Equal(c.reason), guard.Message)
			g.Expect(guard.Proven).To(Equal(c.reason == v1alpha1.ReasonGuardProven))
			g.Expect(due).To(Equal(c.stands))
		})
	}
}

// TestGuardIsProbedOnlyBetweenRuns: a rollback waits for no dry-run.
func TestGuardIsProbedOnlyBetweenRuns(t *testing.T) {
	condition := metav1.Condition{Type: v1alpha1.ConditionGuarded, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonGuardProven, Message: "before the restart"}
	for phase, probed := range map[v1alpha1.Phase]bool{
		"": true, v1alpha1.PhaseStable: true, v1alpha1.PhaseGating: true, v1alpha1.PhaseRolledBack: true,
		v1alpha1.PhaseStepping: false, v1alpha1.PhasePromoting: false, v1alpha1.PhaseBaking: false, v1alpha1.PhaseRollingBack: false,
	} {
		g := NewWithT(t)
		asked := false
		r := &RolloutReconciler{Guard: answering(func(context.Context, *appsv1.Deployment) error {
			asked = true
			return nil
		})}
		rollout := &v1alpha1.Rollout{Status: v1alpha1.RolloutStatus{Phase: phase, Conditions: []metav1.Condition{condition}}}
		w := &world{rollout: rollout, deployment: &appsv1.Deployment{}, input: plan.Input{Now: time.Now()}}
		g.Expect(r.observeGuard(t.Context(), w)).To(Succeed())
		g.Expect(asked).To(Equal(probed), string(phase))
		if !probed {
			g.Expect(w.input.Guard).To(Equal(plan.Guard{Proven: true, Reason: v1alpha1.ReasonGuardProven, Message: "before the restart"}))
			g.Expect(w.guardDue).To(BeZero())
		}
	}
}

func TestGuardKeepsItsLastResultDuringARun(t *testing.T) {
	g := NewWithT(t)
	p := answering(func(context.Context, *appsv1.Deployment) error { return nil })
	rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{UID: "u"}}
	g.Expect(p.Last(rollout)).To(BeZero(), "nothing is known, and nothing is claimed")
	found, _ := p.Check(t.Context(), rollout, &appsv1.Deployment{}, time.Now())
	g.Expect(p.Last(rollout)).To(Equal(found))
}
