package checks

import (
	"context"
	"errors"
	"testing"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
)

// TestAFailIsRecordedWhileAnotherCheckHasAnError: the admission webhook for Jobs is down, or
// the API server does not respond to one request. The error is returned all the same.
func TestAFailIsRecordedWhileAnotherCheckHasAnError(t *testing.T) {
	down := apierrors.NewInternalError(errors.New("the webhook is down"))
	isLoad := func(o client.Object) bool { return o.GetLabels()[v1alpha1.LabelCheck] == "load" }
	cannotCreate := func(err error) interceptor.Funcs {
		return interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if isLoad(o) {
				return err
			}
			return c.Create(ctx, o, opts...)
		}}
	}
	for name, tc := range map[string]struct {
		funcs interceptor.Funcs
		says  string
	}{
		"it cannot create its Job": {cannotCreate(down), "the webhook is down"},
		"it cannot read its Job":   {cannotCreate(apierrors.NewAlreadyExists(schema.GroupResource{Resource: "jobs"}, "load")), "read Job"},
		"it cannot continue": {interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if err := c.Get(ctx, key, o, opts...); err != nil {
				return err
			}
			if _, ok := o.(*batchv1.Job); ok && isLoad(o) {
				return down
			}
			return nil
		}}, "the webhook is down"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, jobTrigger(), cronJob())
			load := jobTrigger()
			load.Name, load.Mode = "load", v1alpha1.ModeObserve
			b.pin(load, jobTrigger())
			b.fail(tc.funcs)
			// In the first round nothing is there that could be continued.
			_ = b.reconcile()
			smoke := b.run().Status.Check("Guardrail", "shop", jobTrigger(), 0)
			b.g.Expect(smoke).NotTo(BeNil(), "it has started")
			b.end(smoke.Job, failing, ended("a", 1, "Error", 0))
			b.g.Expect(b.reconcile()).To(MatchError(ContainSubstring(tc.says)))
			b.g.Expect(b.run().Status.Check("Guardrail", "shop", jobTrigger(), 0)).To(HaveField("Outcome", v1alpha1.VerdictFail))
		})
	}
}

// TestARequestIsSentWhileAnotherOneHasAnError of the API server.
func TestARequestIsSentWhileAnotherOneHasAnError(t *testing.T) {
	trigger := func(name string) v1alpha1.Trigger {
		return v1alpha1.Trigger{Name: name, Check: &v1alpha1.CheckTrigger{Webhook: &v1alpha1.WebhookCheck{Endpoint: name}}}
	}
	b := newBench(t, jobTrigger(), &corev1.Namespace{ObjectMeta: meta("shop")})
	b.pin(trigger("first"), trigger("second"))
	recorded := false
	record := func(ctx context.Context, c client.Client, sub string, a runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
		recorded = true
		return c.SubResource(sub).Apply(ctx, a, opts...)
	}
	b.fail(interceptor.Funcs{SubResourceApply: record, Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		if _, ok := o.(*v1alpha1.CheckEndpoint); ok && key.Name == "first" && recorded {
			return errors.New("the API server is down")
		}
		return c.Get(ctx, key, o, opts...)
	}})
	b.g.Expect(b.reconcile()).To(MatchError(ContainSubstring("the API server is down")))
	checks := b.run().Status.Checks
	b.g.Expect(checks).To(HaveLen(2))
	_, sent := b.loop.calls.outcomeOf(keyOf(b.run(), &checks[1]))
	b.g.Expect(sent).To(BeTrue())
}

// TestAnErrorOfTheRecordHidesNoOther: both are returned.
func TestAnErrorOfTheRecordHidesNoOther(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	load := jobTrigger()
	load.Name = "load"
	b.pin(load, jobTrigger())
	b.fail(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if o.GetLabels()[v1alpha1.LabelCheck] == "load" {
				return errors.New("the webhook is down")
			}
			return c.Create(ctx, o, opts...)
		},
		SubResourceApply: func(context.Context, client.Client, string, runtime.ApplyConfiguration, ...client.SubResourceApplyOption) error {
			return errors.New("the record is refused")
		},
	})
	b.g.Expect(b.reconcile()).To(MatchError(And(ContainSubstring("the webhook is down"), ContainSubstring("the record is refused"))))
}
