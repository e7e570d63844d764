package integration

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
)

// fault is how a write goes wrong.
type fault string

const (
	// none lets it pass.
	none fault = ""
	// refused fails it; the process goes on.
	refused fault = "refused"
	// lost carries it out and loses the answer; the process goes on.
	lost fault = "lost"
	// crash ends the process before it.
	crash fault = "crash"
)

// errMade is every error that a test made.
var errMade = errors.New("made by the test")

// fallible is the controller's own access to the API server, with its own
// rights, whose writes fail as a test says.
type fallible struct {
	client client.Client
	// faulty decides about the n-th write since forget, from 1.
	faulty func(n int, what string) fault
	// writes by verb, kind and the decision that they follow from.
	writes []string
	// decision is the rule that the last write of a status was for.
	decision string
	// fixed answers what no test changes, as a cache would.
	fixed map[string]client.Object
	dead  bool
	fresh bool
}

func newFallible(t *testing.T) *fallible {
	t.Helper()
	c := rest.CopyConfig(config)
	c.Impersonate = rest.ImpersonationConfig{UserName: controller, Groups: []string{"system:authenticated"}}
	inner, err := client.NewWithWatch(c, client.Options{Scheme: scheme, Mapper: admin.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	f := &fallible{fixed: map[string]client.Object{}}
	f.client = interceptor.NewClient(inner, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			return f.get(o, key, func() error { return c.Get(ctx, key, o, opts...) })
		},
		List: listIndexed,
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return f.write(o, "create", func() error { return c.Create(ctx, o, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return f.write(o, "delete", func() error { return c.Delete(ctx, o, opts...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return f.write(o, "update", func() error { return c.Update(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return f.write(o, "patch", func() error { return c.Patch(ctx, o, p, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return f.write(o, sub, func() error { return c.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
		SubResourceApply: func(ctx context.Context, c client.Client, sub string, o runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
			return f.write(o, "run's "+sub, func() error { return c.SubResource(sub).Apply(ctx, o, opts...) })
		},
	})
	return f
}

func (f *fallible) write(object any, verb string, carryOut func() error) error {
	if r, ok := object.(*v1alpha1.Rollout); ok && r.Status.Decision != nil {
		f.decision = r.Status.Decision.Rule
	}
	what := fmt.Sprintf("%s %s for %s", verb, kindOf(object), f.decision)
	if verb == "run's status" {
		// It comes with whichever decision fills a batch.
		what = verb
	}
	if f.dead {
		return fmt.Errorf("%w: the process has ended", errMade)
	}
	f.writes, f.fresh = append(f.writes, what), true
	kind := none
	if f.faulty != nil {
		kind = f.faulty(len(f.writes), what)
	}
	switch kind {
	case refused:
		return fmt.Errorf("%w: %s refused", errMade, what)
	case lost:
		if err := carryOut(); err != nil {
			return err
		}
		return fmt.Errorf("%w: the answer to %s is lost", errMade, what)
	case crash:
		f.dead = true
		return fmt.Errorf("%w: the process ended before %s", errMade, what)
	default:
		return carryOut()
	}
}

// kindOf names what is written, typed or not.
func kindOf(object any) string {
	if u, ok := object.(*unstructured.Unstructured); ok {
		return u.GetKind()
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", object), "*")
}

func (f *fallible) get(o client.Object, key client.ObjectKey, ask func() error) error {
	switch o.(type) {
	case *corev1.Namespace, *v1alpha1.MetricSource, *v1alpha1.Guardrail:
	default:
		return ask()
	}
	name := fmt.Sprintf("%T %s", o, key)
	if f.fixed[name] == nil {
		if err := ask(); err != nil {
			return err
		}
		f.fixed[name] = o.DeepCopyObject().(client.Object)
	}
	reflect.ValueOf(o).Elem().Set(reflect.ValueOf(f.fixed[name].DeepCopyObject()).Elem())
	return nil
}

// forget begins a new count, without faults.
func (f *fallible) forget() { f.writes, f.faulty = nil, nil }

func (f *fallible) forgetWrites() { f.writes = nil }

func (f *fallible) revive() { f.dead = false }

// takeWrites reports whether there was a write since the last time.
func (f *fallible) takeWrites() bool {
	fresh := f.fresh
	f.fresh = false
	return fresh
}
