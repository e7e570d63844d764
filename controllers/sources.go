package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// Sources keeps one client per MetricSource, so that its limit on queries in
// flight holds for all runs together. A client is made anew when the spec
// changes, and after a while, so that rotated Secrets apply without a restart.
type Sources struct {
	// reader is uncached: Secrets are read when needed and kept nowhere.
	reader    client.Reader
	namespace string
	refresh   time.Duration

	mu sync.Mutex
	// clients by the source's name.
	clients map[string]sourceClient
}

// allowedSource reads a source for a guardrail that is in force in a namespace.
// Whoever asks it comes here: a guardrail can be changed to name a source after
// the check that lets a run start. What cannot be read is not asked.
func allowedSource(ctx context.Context, c client.Reader, namespace, name string) (*v1alpha1.MetricSource, *prometheus.QueryError) {
	source, denied, err := permittedSource(ctx, c, namespace, name)
	if err != nil {
		denied = fmt.Sprintf("whether namespace %q may ask MetricSource %q could not be read; it is tried again: %q", namespace, name, bounded(err.Error(), 256))
	}
	if denied != "" {
		return nil, &prometheus.QueryError{Reason: analysis.SourceMissing, Message: denied}
	}
	return source, nil
}

// permittedSource decides whether a namespace may name a source: nil and why not,
// when it may not or there is none. An error is the API server's, worth a retry.
func permittedSource(ctx context.Context, c client.Reader, namespace, name string) (source *v1alpha1.MetricSource, denied string, err error) {
	source = &v1alpha1.MetricSource{}
	err = c.Get(ctx, types.NamespacedName{Name: name}, source)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Sprintf("MetricSource %q does not exist: ask the platform team for it, or name another one in the guardrail", name), nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("read MetricSource %q: %w", name, err)
	}
	ns := &corev1.Namespace{}
	if s := source.Spec.NamespaceSelector; len(s.MatchLabels)+len(s.MatchExpressions) > 0 {
		if err := c.Get(ctx, types.NamespacedName{Name: namespace}, ns); err != nil {
			return nil, "", fmt.Errorf("read the labels of namespace %q, by which MetricSource %q allows it: %w", namespace, name, err)
		}
	}
	allowed, err := selects("namespaceSelector", source.Spec.NamespaceSelector, ns.Labels)
	switch {
	case err != nil:
		return nil, fmt.Sprintf("MetricSource %q allows no namespace, as its %s: correct it", name, bounded(err.Error(), 256)), nil
	case !allowed:
		return nil, fmt.Sprintf("MetricSource %q does not allow namespace %q: ask the platform team to let its namespaceSelector match, or name another source in the guardrail", name, namespace), nil
	}
	return source, "", nil
}

type sourceClient struct {
	client     *prometheus.Client
	uid        types.UID
	generation int64
	made       time.Time
}

// NewSources returns clients whose credentials come from Secrets in namespace.
func NewSources(reader client.Reader, namespace string, refresh time.Duration) *Sources {
	return &Sources{reader: reader, namespace: namespace, refresh: refresh, clients: map[string]sourceClient{}}
}

// Client returns the client of a source.
func (s *Sources) Client(ctx context.Context, source *v1alpha1.MetricSource, now time.Time) (*prometheus.Client, error) {
	s.mu.Lock()
	known, ok := s.clients[source.Name]
	s.mu.Unlock()
	if ok && known.uid == source.UID && known.generation == source.Generation && now.Sub(known.made) < s.refresh {
		return known.client, nil
	}
	made, err := prometheus.NewClient(source.Spec, func(ref v1alpha1.SecretKeyRef) (string, error) {
		return s.secret(ctx, ref)
	})
	if err != nil {
		return nil, fmt.Errorf("MetricSource %q: %w", source.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[source.Name] = sourceClient{made, source.UID, source.Generation, now}
	return made, nil
}

func (s *Sources) secret(ctx context.Context, ref v1alpha1.SecretKeyRef) (string, error) {
	secret := &corev1.Secret{}
	if err := s.reader.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: ref.Name}, secret); err != nil {
		return "", err
	}
	value, ok := secret.Data[ref.Key]
	if !ok {
		return "", fmt.Errorf("it has no such key")
	}
	return string(value), nil
}

// Forget drops the client of a source that is gone.
func (s *Sources) Forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, name)
}
