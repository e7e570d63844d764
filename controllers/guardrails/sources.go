package guardrails

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// PermittedSource returns a source that a namespace may use. When it may not, or there is
// no such source, denied says why. An error means that the API server could not be read
// and the call can be repeated.
func PermittedSource(ctx context.Context, c client.Reader, namespace, name string) (_ *v1alpha1.MetricSource, denied string, _ error) {
	source := &v1alpha1.MetricSource{}
	denied, err := permit(ctx, c, namespace, name, source, &source.Spec.NamespaceSelector, "MetricSource", "source")
	if err != nil || denied != "" {
		return nil, denied, err
	}
	return source, "", nil
}

// PermittedEndpoint returns a CheckEndpoint that a namespace may use, as PermittedSource
// does.
func PermittedEndpoint(ctx context.Context, c client.Reader, namespace, name string) (_ *v1alpha1.CheckEndpoint, denied string, _ error) {
	endpoint := &v1alpha1.CheckEndpoint{}
	denied, err := permit(ctx, c, namespace, name, endpoint, &endpoint.Spec.NamespaceSelector, "CheckEndpoint", "endpoint")
	if err != nil || denied != "" {
		return nil, denied, err
	}
	return endpoint, "", nil
}

// permit reads an object of the platform team's, and says why a namespace may not use it.
// selector is the object's namespaceSelector, and another the word for one of its kind.
func permit(ctx context.Context, c client.Reader, namespace, name string, object client.Object, selector *metav1.LabelSelector, kind, another string) (denied string, err error) {
	err = c.Get(ctx, types.NamespacedName{Name: name}, object)
	if apierrors.IsNotFound(err) {
		return fmt.Sprintf("%s %q does not exist: name an existing one in the guardrail, or ask the platform team to create it", kind, name), nil
	}
	if err != nil {
		return "", fmt.Errorf("read %s %q: %w", kind, name, err)
	}
	allowed, unreadable, err := admits(ctx, c, namespace, *selector)
	switch {
	case err != nil:
		return "", fmt.Errorf("match the namespaceSelector of %s %q: %w", kind, name, err)
	case unreadable != "":
		return fmt.Sprintf("%s %q cannot be used: %s; ask the platform team to correct it", kind, name, unreadable), nil
	case !allowed:
		return fmt.Sprintf("%s %q does not allow namespace %q: name another %s in the guardrail, or ask the platform team to extend its namespaceSelector", kind, name, namespace, another), nil
	}
	return "", nil
}

// admits reports whether a namespaceSelector allows a namespace, or that it cannot be read.
func admits(ctx context.Context, c client.Reader, namespace string, selector metav1.LabelSelector) (allowed bool, unreadable string, err error) {
	ns := &corev1.Namespace{}
	if len(selector.MatchLabels)+len(selector.MatchExpressions) > 0 {
		if err := c.Get(ctx, types.NamespacedName{Name: namespace}, ns); err != nil {
			return false, "", fmt.Errorf("read the labels of namespace %q: %w", namespace, err)
		}
	}
	allowed, err = v1alpha1.Selects("namespaceSelector", selector, ns.Labels)
	if err != nil {
		return false, v1alpha1.Bounded(err.Error(), 256), nil
	}
	return allowed, "", nil
}

// sourcesAllowed checks that every source and CheckEndpoint of the guardrails exists and
// may be used from the namespace.
func sourcesAllowed(ctx context.Context, c client.Reader, namespace string, bound []v1alpha1.PinnedGuardrail) (Blocked, error) {
	for _, g := range bound {
		if blocked, err := endpointsAllowed(ctx, c, namespace, g); err != nil || blocked.Reason != "" {
			return blocked, err
		}
		if !needsSource(g.Spec) {
			continue
		}
		_, denied, err := PermittedSource(ctx, c, namespace, g.Spec.Source)
		if err != nil {
			return Blocked{}, err
		}
		if denied != "" {
			return Blocked{Reason: v1alpha1.ReasonMetricSourceDenied, Message: fmt.Sprintf("%s %q: %s", g.Kind, g.Name, denied)}, nil
		}
	}
	return Blocked{}, nil
}

func needsSource(spec v1alpha1.GuardrailSpec) bool {
	return slices.ContainsFunc(spec.Triggers, func(t v1alpha1.Trigger) bool { return t.Measured() })
}

func endpointsAllowed(ctx context.Context, c client.Reader, namespace string, g v1alpha1.PinnedGuardrail) (Blocked, error) {
	for _, t := range g.Spec.Triggers {
		if t.Check == nil || t.Check.Webhook == nil {
			continue
		}
		_, denied, err := PermittedEndpoint(ctx, c, namespace, t.Check.Webhook.Endpoint)
		if err != nil {
			return Blocked{}, err
		}
		if denied != "" {
			return Blocked{Reason: v1alpha1.ReasonCheckDenied, Message: fmt.Sprintf("%s %q: %s", g.Kind, g.Name, denied)}, nil
		}
	}
	return Blocked{}, nil
}
