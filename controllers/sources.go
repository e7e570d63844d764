package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
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
// the check that lets a run start.
func allowedSource(ctx context.Context, c client.Reader, namespace, name string) (*v1alpha1.MetricSource, *prometheus.QueryError) {
	missing := func(format string, args ...any) (*v1alpha1.MetricSource, *prometheus.QueryError) {
		return nil, &prometheus.QueryError{Reason: analysis.SourceMissing, Message: fmt.Sprintf(format, args...)}
	}
	source := &v1alpha1.MetricSource{}
	if err := c.Get(ctx, types.NamespacedName{Name: name}, source); err != nil {
		return missing("MetricSource %q cannot be read: ask the platform team for it, or name another one in the guardrail", name)
	}
	selector, err := metav1.LabelSelectorAsSelector(&source.Spec.NamespaceSelector)
	if err != nil {
		return missing("the namespaceSelector of MetricSource %q cannot be read, so it allows no namespace: correct it", name)
	}
	if selector.Empty() {
		return source, nil
	}
	ns := &corev1.Namespace{}
	if err := c.Get(ctx, types.NamespacedName{Name: namespace}, ns); err != nil {
		return missing("the labels of namespace %q cannot be read, by which MetricSource %q allows it", namespace, name)
	}
	if !selector.Matches(labels.Set(ns.Labels)) {
		return missing("MetricSource %q does not allow namespace %q: ask the platform team to let its namespaceSelector match, or name another source in the guardrail", name, namespace)
	}
	return source, nil
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
