package judge

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/guardrails"
)

// allowedSource reads the source of a guardrail that is in force in a namespace. It
// checks the permission before every query, because a guardrail can be changed to name
// another source after the check at the start of the run. A source is not queried when
// the permission cannot be read.
func allowedSource(ctx context.Context, c client.Reader, namespace, name string) (*v1alpha1.MetricSource, *prometheus.QueryError) {
	source, denied, err := guardrails.PermittedSource(ctx, c, namespace, name)
	if err != nil {
		denied = fmt.Sprintf("could not check whether namespace %q may use MetricSource %q, retrying: %q", namespace, name, v1alpha1.Bounded(err.Error(), 256))
	}
	if denied != "" {
		return nil, &prometheus.QueryError{Reason: analysis.SourceMissing, Message: denied}
	}
	return source, nil
}
