package integration

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/indicators"
	"belay.dev/belay/controllers/sources"
)

// TestNoRunStartsWithPromQLThatIsNotChecked, or that the check refuses: the Rollout names
// the guardrail, its slo and what to write. When that is corrected, the run starts.
func TestNoRunStartsWithPromQLThatIsNotChecked(t *testing.T) {
	s := open(t)
	loop := &indicators.Reconciler{Client: as(t, controller), Prober: sources.NewProber(sources.NewClients(admin, "belay", time.Hour), nil, 0), Clock: s.clock, Every: time.Minute}
	indicator := func(document string) {
		t.Helper()
		g := &v1alpha1.Guardrail{}
		g.Namespace, g.Name = s.namespace, "shop"
		patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"slos":[{"name":"errors","objective":"99.9","indicator":`+document+`}]}}`))
		if err := admin.Patch(t.Context(), g, patch); err != nil {
			t.Fatal(err)
		}
		clear(s.api.fixed)
	}
	waits := func(kind, reason, message string) {
		t.Helper()
		s.until(reason, func(r *v1alpha1.Rollout) bool {
			c := meta.FindStatusCondition(r.Status.Conditions, kind)
			return c != nil && c.Reason == reason && strings.Contains(c.Message, message) && r.Status.Run == ""
		})
	}
	indicator(`{"promQL":{"total":"sum by (pod) (rate(requests_total[5m]))","bad":"errors_total"}}`)
	s.release(better)
	waits(v1alpha1.ConditionReconciling, v1alpha1.ReasonGuardrailUnchecked, `Guardrail "shop" has promQL that has not been checked yet`)

	if _, err := loop.Reconcile(t.Context(), "Guardrail", s.key()); err != nil {
		t.Fatal(err)
	}
	clear(s.api.fixed)
	waits(v1alpha1.ConditionStalled, v1alpha1.ReasonGuardrailInvalid,
		`Guardrail "shop" cannot be used: slo errors: promQL.total: "rate(requests_total[5m])" at position 15 is a speed or a difference: write the counter without rate`)
	g := &v1alpha1.Guardrail{}
	if err := admin.Get(t.Context(), s.key(), g); err != nil {
		t.Fatal(err)
	}
	if c := meta.FindStatusCondition(g.Status.Conditions, v1alpha1.ConditionReady); c == nil || c.Reason != v1alpha1.ReasonInvalidSpec || g.Status.ObservedGeneration != g.Generation {
		t.Errorf("the guardrail's status is %+v", g.Status)
	}

	indicator(`{"promQL":null,"requests":{"total":{"metric":"requests_total"},"bad":{"metric":"errors_total"}}}`)
	s.until("a run", func(r *v1alpha1.Rollout) bool { return r.Status.Run != "" })
}
