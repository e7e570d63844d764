package judge

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
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

// TestThePreflightReadsRecordedSeries of the slos that name them, within the namespace.
func TestThePreflightReadsRecordedSeries(t *testing.T) {
	b := newBench(t, 1)
	b.edit(func(g *v1alpha1.GuardrailSpec) {
		g.Preflight = &v1alpha1.Preflight{BudgetRemaining: "10", Recorded: []v1alpha1.RecordedSLO{
			{SLO: "availability", Sloth: &v1alpha1.SlothSLO{Service: "shop", SLO: "requests"}}}}
	})
	var asked string
	b.source.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.FormValue("query")
		w.Header().Set("Date", b.clock.Now().UTC().Format(http.TimeFormat))
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[
			{"metric":{"k":"remaining"},"value":[%[1]d,"0.05"]},{"metric":{"k":"burn"},"value":[%[1]d,"1"]}]}}`, b.clock.Now().Unix())
	})
	got := b.preflight()
	if got.Outcome != v1alpha1.VerdictFail || got.Reason != "BudgetLow" || !strings.Contains(got.Message, "5.0 % of the error budget is left; burn 1.0x, as recorded") {
		t.Errorf("5 %% is left, and the pre-flight is %s (%s): %s", got.Outcome, got.Reason, got.Message)
	}
	if want := `slo:period_error_budget_remaining:ratio{namespace="team-0",sloth_service="shop",sloth_slo="requests"}`; !strings.Contains(asked, want) || strings.Contains(asked, "[30d]") {
		t.Errorf("asked for %s, want %s", asked, want)
	}
}
