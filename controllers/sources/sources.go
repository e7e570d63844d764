// Package sources handles metric sources: a client for each, the queries that runs
// share, and whether a source has an outage.
package sources

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/secrets"
)

// Clients keeps one client per MetricSource, so that its limit on queries in flight
// holds for all runs together. A client is created again when the spec changes, and
// after a while, so that rotated Secrets apply without a restart.
type Clients struct {
	// reader is what secrets.Value reads with; it is not cached.
	reader    client.Reader
	namespace string
	refresh   time.Duration

	mu sync.Mutex
	// clients by the source's name.
	clients map[string]sourceClient
}

type sourceClient struct {
	client     *prometheus.Client
	uid        types.UID
	generation int64
	interval   time.Duration
	made       time.Time
}

// NewClients returns clients whose credentials come from Secrets in namespace.
func NewClients(reader client.Reader, namespace string, refresh time.Duration) *Clients {
	return &Clients{reader: reader, namespace: namespace, refresh: refresh, clients: map[string]sourceClient{}}
}

// Client returns the client of a source.
func (s *Clients) Client(ctx context.Context, source *v1alpha1.MetricSource, now time.Time) (*prometheus.Client, error) {
	s.mu.Lock()
	known, ok := s.clients[source.Name]
	s.mu.Unlock()
	if ok && known.uid == source.UID && known.generation == source.Generation && known.interval == source.Interval() && now.Sub(known.made) < s.refresh {
		return known.client, nil
	}
	spec := source.Spec
	spec.ScrapeInterval.Duration = source.Interval()
	made, err := prometheus.NewClient(spec, func(ref v1alpha1.SecretKeyRef) (string, error) {
		return secrets.Value(ctx, s.reader, s.namespace, ref)
	})
	if err != nil {
		return nil, fmt.Errorf("MetricSource %q: %w", source.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[source.Name] = sourceClient{made, source.UID, source.Generation, source.Interval(), now}
	return made, nil
}

// Forget drops the client of a source that was deleted.
func (s *Clients) Forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, name)
}
