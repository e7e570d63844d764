package stories

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/calendars"
	"belay.dev/belay/controllers/freezes"
	"belay.dev/belay/test/handover/cluster"
)

// freeze writes a Freeze of that name which has begun, and opens after that time.
func (s *shop) freeze(name string, opens time.Duration) {
	s.T.Helper()
	now := time.Now().UTC()
	s.create(fmt.Sprintf(`{apiVersion: belay.dev/v1alpha1, kind: Freeze, metadata: {name: %s, namespace: %s}, spec: {owner: sre, reason: sale,
		windows: [{from: %q, until: %q}]}}`, name, s.Namespace, now.Add(-time.Minute).Format(time.RFC3339), now.Add(opens).Format(time.RFC3339)))
}

func (s *shop) thaw(name string) {
	s.T.Helper()
	s.Must(admin.Delete(s.T.Context(), &v1alpha1.Freeze{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: name}}))
}

// held waits until the Rollout says that this freeze holds it.
func (s *shop) held(phase v1alpha1.Phase, name string) {
	s.T.Helper()
	s.until("held by "+name, func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(phase))
		g.Expect(reasonOf(r, v1alpha1.ConditionReconciling)).To(Equal(v1alpha1.ReasonFrozen))
		g.Expect(r.Status.Message).To(ContainSubstring(fmt.Sprintf(`held by Freeze %s/%s (owner: "sre"; reason: "sale"), opens `, s.Namespace, name)))
	})
}

// TestFreeze: no run starts and no step advances, also by a controller that was started anew;
// an override goes on, and a trigger rolls back.
func TestFreeze(t *testing.T) {
	t.Parallel()
	s := open(t, 2, nil)
	s.freeze("sale", time.Hour)
	s.Push("v2")
	s.held(v1alpha1.PhaseGating, "sale")
	if runs := s.runs(); len(runs) != 0 {
		t.Fatalf("%d runs started in a freeze", len(runs))
	}
	s.verdict(always(v1alpha1.VerdictInconclusive))
	s.thaw("sale")
	s.until("the run starts once the freeze is deleted", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseStepping))
		g.Expect(r.Status.Step.AcknowledgedAt).NotTo(BeNil())
	})
	s.freeze("night", time.Hour)
	s.held(v1alpha1.PhaseStepping, "night")
	s.belay.kill()
	s.verdict(nil)
	s.belay = startSteadyFor(t, s.Namespace, steadyFor, s.wrote, func(mgr ctrl.Manager) error {
		frozen, err := freezes.NewCache(mgr, map[string]cache.Config{s.Namespace: {}})
		if err != nil {
			return err
		}
		return (&calendars.Reconciler{Client: mgr.GetClient(), Freezes: frozen, Clock: clock.RealClock{}, Every: time.Second}).SetupWithManager(mgr)
	})
	s.Eventually("the new controller looks", func(g Gomega) { g.Expect(s.belay.looks.Load()).To(BeNumerically(">", 3)) })
	s.held(v1alpha1.PhaseStepping, "night")
	s.Eventually("the freeze has its status", func(g Gomega) {
		f := &v1alpha1.Freeze{}
		g.Expect(admin.Get(t.Context(), types.NamespacedName{Namespace: s.Namespace, Name: "night"}, f)).To(Succeed())
		g.Expect(f.Status.Active).To(HaveValue(BeTrue()))
		g.Expect(f.Status.Rollouts).To(HaveValue(BeEquivalentTo(1)))
		g.Expect(f.Status.NextOpens.Time).To(BeTemporally("~", f.Spec.Windows[0].Until.Time, time.Second))
		g.Expect(f.Status.NextCloses).To(BeNil())
	})

	s.kubectl("annotate", "--overwrite", "rollouts.belay.dev/"+cluster.Name, v1alpha1.AnnotationAction+"=OverrideFreeze", v1alpha1.AnnotationActionToken+"=1",
		v1alpha1.AnnotationActionRevision+"="+s.rollout().Status.Candidate.Revision, v1alpha1.AnnotationActionReason+"=outage")
	s.promoted("v2", 2)
	if r := s.rollout(); r.Status.FreezeOverride != nil {
		t.Errorf("the override outlives its run: %+v", r.Status.FreezeOverride)
	}

	s.thaw("night")
	s.verdict(always(v1alpha1.VerdictInconclusive))
	s.Push("v3")
	s.until("in its step", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseStepping))
		g.Expect(r.Status.Step.AcknowledgedAt).NotTo(BeNil())
	})
	s.freeze("again", time.Hour)
	s.held(v1alpha1.PhaseStepping, "again")
	s.verdict(always(v1alpha1.VerdictFail))
	s.until("rolled back in a freeze", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseRolledBack))
		g.Expect(r.Status.Stable.Image).To(Equal(image("v2")))
		g.Expect(r.Status.IsRejected(r.Status.Candidate.Revision)).NotTo(BeNil())
	})
	s.Served()
}

// TestAFreezeOpensByItself: no event tells of it. One that cannot be read holds until it is
// corrected.
func TestAFreezeOpensByItself(t *testing.T) {
	t.Parallel()
	s := open(t, 2, nil)
	s.freeze("short", 8*time.Second)
	s.Push("v2")
	s.held(v1alpha1.PhaseGating, "short")
	s.promoted("v2", 2)

	s.create(fmt.Sprintf(`{apiVersion: belay.dev/v1alpha1, kind: Freeze, metadata: {name: typo, namespace: %s}, spec: {owner: sre, reason: night,
		windows: [{recurrence: FREQ=DAILY, start: "2026-01-01T00:00", duration: 1m, timeZone: Europe/Atlantis}]}}`, s.Namespace))
	s.Push("v3")
	s.until("it is not known whether it holds", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(reasonOf(r, v1alpha1.ConditionStalled)).To(Equal(v1alpha1.ReasonFreezeUnclear))
		g.Expect(r.Status.Message).To(ContainSubstring(`timeZone "Europe/Atlantis" is not known`))
	})
	s.Must(admin.Patch(t.Context(), &v1alpha1.Freeze{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "typo"}}, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"expires":"2026-01-01T00:00:00Z"}}`))))
	s.promoted("v3", 2)
	s.Served()
}

// TestFreezesThatNobodyMayRead: a controller whose role lacks the kinds starts all the same. It
// holds the candidate, takes it back when a trigger fires, and goes on once it may read them.
func TestFreezesThatNobodyMayRead(t *testing.T) {
	t.Parallel()
	s := open(t, 2, nil)
	s.verdict(always(v1alpha1.VerdictInconclusive))
	s.Push("v2")
	s.atStep()
	s.belay.end()
	refused := &wire{}
	refused.freezeless.Store(true)
	s.belay = startOn(t, refused, s.Namespace, steadyFor, s.wrote)
	s.until("it is held", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Message).To(ContainSubstring("it is not known whether a freeze holds: the freezes cannot be read"))
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseStepping))
	})
	s.verdict(inStep(v1alpha1.VerdictFail))
	s.rolledBack(2)
	s.verdict(nil)
	s.Push("v3")
	s.until("v3 is held", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseGating))
		g.Expect(r.Status.Message).To(ContainSubstring("no run starts: it is not known whether a freeze holds"))
	})
	refused.freezeless.Store(false)
	s.promoted("v3", 2)
	s.freeze("late", time.Hour)
	s.Push("v4")
	s.held(v1alpha1.PhaseGating, "late")
	s.Served()
}
