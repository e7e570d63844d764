package judge

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources"
)

// preflight lets the first run's candidate wait for a run again, asks whether the
// service can afford one, and returns the answer.
func (b *bench) preflight() *v1alpha1.PreflightStatus {
	b.t.Helper()
	rollout := &v1alpha1.Rollout{}
	key := types.NamespacedName{Namespace: b.runs[0].Namespace, Name: "shop"}
	must := func(err error) {
		if err != nil {
			b.t.Fatal(err)
		}
	}
	must(b.client.Get(b.t.Context(), key, rollout))
	rollout.Status.Phase, rollout.Status.Candidate = v1alpha1.PhaseGating, &v1alpha1.Revision{Revision: "abcdef0123"}
	must(b.client.Status().Update(b.t.Context(), rollout))
	p := &PreflightReconciler{Client: b.client, Sources: sources.NewClients(nil, "belay", time.Hour), Clock: b.clock}
	_, err := p.Reconcile(b.t.Context(), reconcile.Request{NamespacedName: key})
	must(err)
	must(b.client.Get(b.t.Context(), key, rollout))
	return rollout.Status.Preflight
}
