package rollout

import (
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/invariants"
)

var invariantViolations = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "belay_invariant_violations_total", Help: "How often an invariant was found violated that was not before, by invariant.",
}, []string{"invariant"})

func init() {
	metrics.Registry.MustRegister(invariantViolations)
	for _, name := range invariants.Names() {
		invariantViolations.WithLabelValues(name)
	}
}

// tellViolations counts violations and tells people of them, once: before is the
// Rollout as it was observed.
func (r *Reconciler) tellViolations(before *v1alpha1.Rollout, violations []invariants.Violation) {
	if len(violations) == 0 || meta.IsStatusConditionTrue(before.Status.Conditions, v1alpha1.ConditionInvariantViolated) {
		return
	}
	for _, v := range violations {
		invariantViolations.WithLabelValues(v.Name).Inc()
		r.Events.Eventf(before, nil, corev1.EventTypeWarning, v1alpha1.ReasonSelfCheckFailed, "Check", "%s", v1alpha1.Bounded(v.Name+": "+v.Message, 1000))
	}
}
