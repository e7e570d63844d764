package checks

import (
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/api/v1alpha1"
)

// TestAFailIsRecordedWhileAnotherCheckHasAnError: the API server does not respond to one
// request. The error is returned all the same.
func TestAFailIsRecordedWhileAnotherCheckHasAnError(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	load := jobTrigger()
	load.Name, load.Mode = "load", v1alpha1.ModeObserve
	b.pin(load, jobTrigger())
	b.look()
	smoke := b.run().Status.Check("Guardrail", "shop", jobTrigger(), 0)
	b.end(smoke.Job, failing, ended("a", 1, "Error", 0))
	b.fail(interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		if err := c.Get(ctx, key, o, opts...); err != nil {
			return err
		}
		if _, ok := o.(*batchv1.Job); ok && o.GetLabels()[v1alpha1.LabelCheck] == "load" {
			return errors.New("the API server is down")
		}
		return nil
	}})
	b.g.Expect(b.reconcile()).To(MatchError(ContainSubstring("the API server is down")))
	b.g.Expect(b.run().Status.Check("Guardrail", "shop", jobTrigger(), 0)).To(HaveField("Outcome", v1alpha1.VerdictFail))
}

// TestAFailIsRecordedWhileAnotherCheckCannotStart, and the run is looked at again when the
// start is due.
func TestAFailIsRecordedWhileAnotherCheckCannotStart(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	load := jobTrigger()
	load.Name, load.Mode = "load", v1alpha1.ModeObserve
	b.pin(load, jobTrigger())
	b.fail(interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
		if o.GetLabels()[v1alpha1.LabelCheck] == "load" {
			return apierrors.NewInternalError(errors.New("the webhook is down"))
		}
		return c.Create(ctx, o, opts...)
	}})
	b.look()
	smoke := b.run().Status.Check("Guardrail", "shop", jobTrigger(), 0)
	b.g.Expect(smoke).NotTo(BeNil(), "it has started")
	b.end(smoke.Job, failing, ended("a", 1, "Error", 0))
	b.look()
	b.g.Expect(b.run().Status.Check("Guardrail", "shop", jobTrigger(), 0)).To(HaveField("Outcome", v1alpha1.VerdictFail))
	b.g.Expect(b.next.RequeueAfter).To(Equal(shortestRetry))
}

// TestARequestIsSentWhileAnotherOneHasAnError of the API server.
func TestARequestIsSentWhileAnotherOneHasAnError(t *testing.T) {
	b := newBench(t, jobTrigger(), &corev1.Namespace{ObjectMeta: meta("shop")}, endpointNamed("second"))
	b.pin(webhookTo("first"), webhookTo("second"))
	reads := 0
	b.fail(interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		if _, ok := o.(*v1alpha1.CheckEndpoint); ok && key.Name == "first" {
			// The guardrails in force are found out first.
			if reads++; reads == 1 {
				return c.Get(ctx, key, o, opts...)
			}
			return errors.New("the API server is down")
		}
		return c.Get(ctx, key, o, opts...)
	}})
	checks := b.look()
	b.g.Expect(checks).To(HaveLen(2))
	b.g.Expect(checks[0].Message).To(Equal(`CheckEndpoint "first" cannot be read: "read CheckEndpoint \"first\": the API server is down"`))
	_, sent := b.loop.calls.outcomeOf(keyOf(b.run(), &checks[1]))
	b.g.Expect(sent).To(BeTrue())
}

// TestAnErrorOfTheRecordHidesNoOther: both are returned.
func TestAnErrorOfTheRecordHidesNoOther(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	b.look()
	load := jobTrigger()
	load.Name = "load"
	b.pin(jobTrigger(), load)
	b.fail(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if _, ok := o.(*batchv1.Job); ok {
				return errors.New("the API server is down")
			}
			return c.Get(ctx, key, o, opts...)
		},
		SubResourceApply: func(context.Context, client.Client, string, runtime.ApplyConfiguration, ...client.SubResourceApplyOption) error {
			return errors.New("the record is refused")
		},
	})
	b.g.Expect(b.reconcile()).To(MatchError(And(ContainSubstring("the API server is down"), ContainSubstring("the record is refused"))))
}

// TestAnErrorDelaysOtherChecksBySeconds, however often it comes again.
func TestAnErrorDelaysOtherChecksBySeconds(t *testing.T) {
	g, limit := NewWithT(t), backOff()
	request := reconcile.Request{NamespacedName: runKey}
	g.Expect(limit.When(request)).To(BeNumerically("<", time.Second))
	for range 30 {
		g.Expect(limit.When(request)).To(BeNumerically("<=", longestBackOff))
	}
}

// TestAJobThatCannotBeDeleted keeps no other one.
func TestAJobThatCannotBeDeleted(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	load := jobTrigger()
	load.Name = "load"
	b.pin(load, jobTrigger())
	b.look()
	b.g.Expect(b.jobs()).To(HaveLen(2))
	refused := b.jobs()[0].Name
	b.fail(interceptor.Funcs{Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
		if o.GetName() == refused {
			return errors.New("the API server is down")
		}
		return c.Delete(ctx, o, opts...)
	}})
	b.editRollout(func(s *v1alpha1.RolloutStatus) { s.Phase = v1alpha1.PhaseRollingBack })
	b.g.Expect(b.reconcile()).To(MatchError(ContainSubstring(refused)))
	b.g.Expect(b.jobs()).To(ConsistOf(HaveField("Name", refused)))
}
