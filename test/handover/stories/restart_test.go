package stories

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// restarted is the annotation that kubectl rollout restart writes.
const restarted = "kubectl.kubernetes.io/restartedAt"

func listsRestarts(spec map[string]any) { spec["restartAnnotations"] = []any{restarted} }

// runs are the Rollout's, in no order.
func (s *shop) runs() []v1alpha1.RolloutRun {
	s.T.Helper()
	list := &v1alpha1.RolloutRunList{}
	s.Must(admin.List(s.T.Context(), list, client.InNamespace(s.Namespace)))
	return list.Items
}

// TestListedRestart: kubectl rollout restart goes without steps where the Rollout lists its
// annotation, judged in its bake; and a rejected version does not run again by it.
func TestListedRestart(t *testing.T) {
	t.Parallel()
	s := open(t, 2, nil, listsRestarts)
	before := s.rollout().Status.Stable
	s.verdict(always(v1alpha1.VerdictInconclusive))
	s.kubectl("rollout", "restart", deployment)
	s.until("the restart is judged at full weight", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseBaking))
		g.Expect(r.Status.Promotion.Restart).To(BeTrue())
		g.Expect(r.Status.Candidate.BaseRevision).To(Equal(before.Revision))
	})
	if why := s.decisions(); !strings.Contains(why, "restart of") || strings.Contains(why, "step 1 of 1") {
		t.Errorf("the record does not say that it is a restart without steps:\n%s", why)
	}
	s.verdict(nil)
	s.promoted("v1", 2)
	s.made(map[string]int{"v1": 4})
	r := s.rollout()
	if h := r.Status.History; len(h) != 1 || h[0].Outcome != v1alpha1.OutcomePromoted || r.Status.Stable.Revision == before.Revision || len(r.Status.Previous) != 0 {
		t.Errorf("after the restart the history is %+v, previous %+v, stable %+v", h, r.Status.Previous, r.Status.Stable)
	}
	if runs := s.runs(); len(runs) != 1 || !runs[0].Spec.Restart {
		t.Errorf("its run does not say that it is a restart: %+v", runs)
	}

	s.verdict(inStep(v1alpha1.VerdictFail))
	s.Push("v2")
	s.rolledBack(2)
	rejected := s.rollout().Status.Candidate.Revision
	s.verdict(nil)
	s.PatchDeployment(types.StrategicMergePatchType, `{"spec":{"template":{"metadata":{"annotations":{"`+restarted+`":"2026-11-27T12:00:00Z"}}}}}`)
	s.until("a restart of it is rejected, too", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Candidate.Revision).NotTo(Equal(rejected))
		g.Expect(r.Status.IsRejected(r.Status.Candidate.Revision)).NotTo(BeNil())
		g.Expect(r.Status.IsRejected(rejected)).NotTo(BeNil())
		g.Expect(r.Status.Message).To(ContainSubstring("it is a restart of revision " + rejected + ", which was rejected"))
	})
	s.rolledBack(2)
	if runs := s.runs(); len(runs) != 2 {
		t.Errorf("there are %d runs, the restart of the rejected version has one", len(runs))
	}
	s.Served()
}
