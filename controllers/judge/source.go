package judge

import (
	"context"
	"fmt"

	utilstrings "k8s.io/utils/strings"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/guardrails"
)

// allowedSource reads a source for a guardrail that is in force in a namespace.
// Whoever asks it comes here: a guardrail can be changed to name a source after
// the check that lets a run start. What cannot be read is not asked.
func allowedSource(ctx context.Context, c client.Reader, namespace, name string) (*v1alpha1.MetricSource, *prometheus.QueryError) {
	source, denied, err := guardrails.PermittedSource(ctx, c, namespace, name)
	if err != nil {
		denied = fmt.Sprintf("whether namespace %q may ask MetricSource %q could not be read; it is tried again: %q", namespace, name, utilstrings.ShortenString(err.Error(), 256))
	}
	if denied != "" {
		return nil, &prometheus.QueryError{Reason: analysis.SourceMissing, Message: denied}
	}
	return source, nil
}
