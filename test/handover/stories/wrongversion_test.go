package stories

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// TestAHeldVersionComesUpFromZero: the Deployment has a ReplicaSet of the version
// that it is held at, so its controller scales that one up when it comes back from
// zero. Belay says so, deletes it and lets stable serve again, also when stable's
// ReplicaSet was cleaned up at zero.
func TestAHeldVersionComesUpFromZero(t *testing.T) {
	t.Parallel()
	for _, limit := range []int32{0, 1} {
		t.Run(fmt.Sprint("rejected, revisionHistoryLimit ", limit), func(t *testing.T) {
			t.Parallel()
			s := open(t, 3, historyLimit(limit))
			s.verdict(inStep(v1alpha1.VerdictFail))
			s.Push("v2")
			s.rolledBack(3)
			s.restoreSet()
			s.comesUpFromZero("v1", func() { s.rolledBack(3) })
			if limit == 0 {
				s.made(map[string]int{"v1": 6, "v2": s.Made()["v2"]})
			}
		})
	}
	t.Run("not yet judged, revisionHistoryLimit 1", func(t *testing.T) {
		t.Parallel()
		s := open(t, 3, historyLimit(1))
		for _, version := range []string{"v2", "v1"} {
			s.Push(version)
			s.promoted(version, 3)
		}
		s.setPaused(true)
		s.Push("v2")
		s.inPhase(v1alpha1.PhaseGating)
		s.comesUpFromZero("v1", func() { s.alone("v1", 3) })
		s.inPhase(v1alpha1.PhaseGating)
		s.setPaused(false)
		s.promoted("v2", 3)
		s.Served()
	})
}

// TestAnOlderVersionComesUpFromZero: there is no ReplicaSet of the version that the
// Deployment is held at, and the one that was created last is not stable's. That
// one serves until stable does.
func TestAnOlderVersionComesUpFromZero(t *testing.T) {
	t.Parallel()
	s := open(t, 3, nil)
	// Creation times have whole seconds.
	s.later(s.Set("v1"))
	for _, version := range []string{"v2", "v1"} {
		s.Push(version)
		s.promoted(version, 3)
	}
	s.verdict(always(v1alpha1.VerdictFail))
	s.Push("v3")
	s.until("v3 is rejected", func(g Gomega, r *v1alpha1.Rollout) { g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseRolledBack)) })
	s.alone("v1", 3)
	s.empty()
	s.emptied()
	said, raised := s.says("WrongVersionServes"), s.says("RaisesStable")
	s.Scale(3)
	s.servesAgain()
	s.Eventually("v2 came up and is taken out", func(g Gomega) {
		g.Expect(s.Made()["v2"]).To(BeNumerically(">", 3))
		g.Expect(raised.Load()).To(BeTrue(), "RaisesStable is recorded")
		g.Expect(said.Load()).To(BeTrue(), "WrongVersionServes is recorded")
	})
	s.alone("v1", 3)
	s.inPhase(v1alpha1.PhaseRolledBack)
	if s.Set("v2") == nil {
		t.Error("the ReplicaSet of v2, which was judged and not rejected, was deleted: the Deployment's history is no longer whole")
	}
	s.Served()
}

// later waits until what is made next is created at a later second than the set.
func (s *shop) later(set *appsv1.ReplicaSet) {
	s.T.Helper()
	at := set.CreationTimestamp.Add(time.Second)
	s.Eventually("the next second", func(g Gomega) { g.Expect(time.Now()).To(BeTemporally(">", at)) })
}

// comesUpFromZero scales the held Deployment to 0 and back, and expects that v2,
// which it is held at, comes up and is taken out, and that the world then gets to
// where it was.
func (s *shop) comesUpFromZero(stable string, ends func()) {
	s.T.Helper()
	before := s.Made()["v2"]
	s.empty()
	s.emptied()
	limit := s.Deployment().Spec.RevisionHistoryLimit
	if limit != nil && *limit == 0 {
		s.Eventually("the stable set is cleaned up", func(g Gomega) { g.Expect(s.Set(stable)).To(BeNil()) })
	}
	said := s.says("WrongVersionServes")
	s.Scale(3)
	s.Eventually("v2 came up and is taken out", func(g Gomega) {
		g.Expect(s.Made()["v2"]).To(BeNumerically(">", before), "the Deployment controller scales v2 up")
		g.Expect(said.Load()).To(BeTrue(), "WrongVersionServes is recorded")
		g.Expect(s.Set("v2")).To(BeNil())
	})
	ends()
	s.servesAgain()
	s.Served()
}

// says reports whether the controller has recorded a decision of a rule since.
func (s *shop) says(rule string) *atomic.Bool {
	said := &atomic.Bool{}
	s.mu.Lock()
	also := s.after
	s.mu.Unlock()
	s.onWrite(func(b *belay, w write) {
		if w.resource == "rollouts" && w.verb == http.MethodPatch && strings.Contains(w.body, fmt.Sprintf(`"rule":%q`, rule)) {
			said.Store(true)
		}
		if also != nil {
			also(b, w)
		}
	})
	return said
}

func (s *shop) setPaused(paused bool) {
	s.T.Helper()
	s.Must(admin.Patch(s.T.Context(), s.rollout(), client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"paused":%v}}`, paused))))
}

// restoreSet makes the ReplicaSet of the declared version again, as somebody does
// who restores a backup: without an owner, and empty. The Deployment adopts it.
func (s *shop) restoreSet() {
	s.T.Helper()
	d, none := s.Deployment(), int32(0)
	const hash = "restored"
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: d.Name + "-" + hash, Namespace: s.Namespace}}
	set.Spec = appsv1.ReplicaSetSpec{Replicas: &none, Selector: d.Spec.Selector.DeepCopy(), Template: *d.Spec.Template.DeepCopy()}
	set.Spec.Selector.MatchLabels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	set.Spec.Template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	set.Labels = set.Spec.Template.Labels
	s.Must(admin.Create(s.T.Context(), set))
	s.Eventually("the Deployment adopts the set", func(g Gomega) {
		g.Expect(metav1.GetControllerOf(s.Set("v2"))).To(HaveField("UID", d.UID))
	})
}

// collector is the identity of Kubernetes' garbage collector.
const collector = "system:serviceaccount:kube-system:generic-garbage-collector"

// orphan takes the canary's owner away. The guard refuses that to a person; the
// garbage collector may.
func (s *shop) orphan() {
	set := s.Set("v2")
	patch := client.RawPatch(types.JSONPatchType, []byte(`[{"op":"remove","path":"/metadata/ownerReferences"}]`))
	if err := admin.Patch(s.T.Context(), set.DeepCopy(), patch); !apierrors.IsForbidden(err) {
		s.T.Errorf("an administrator takes the canary's owner away: %v", err)
	}
	as := rest.CopyConfig(kube.Config)
	as.Impersonate = rest.ImpersonationConfig{UserName: collector, Groups: []string{"system:masters"}}
	c, err := client.New(as, client.Options{Scheme: scheme, Mapper: admin.RESTMapper()})
	if err == nil {
		err = c.Patch(s.T.Context(), set, patch)
	}
	if err != nil {
		s.T.Errorf("take the canary's owner away: %v", err)
	}
}

// TestAnOrphanedCanaryIsAdopted: the Deployment controller adopts every ReplicaSet
// without an owner that its selector matches, and takes this one for the declared
// version; one of the Deployment's size, as in a bake, lets it scale stable to 0.
// Nothing is promoted by that, and nobody loses a request: the run takes its set
// back, and stable gets its size again.
func TestAnOrphanedCanaryIsAdopted(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		phase   v1alpha1.Phase
		callers string
	}{{v1alpha1.PhaseStepping, "Any"}, {v1alpha1.PhaseBaking, "Any"}, {v1alpha1.PhaseBaking, "Stable"}} {
		phase := tc.phase
		t.Run(fmt.Sprintf("%s, directCallers %s", phase, tc.callers), func(t *testing.T) {
			t.Parallel()
			s := open(t, 4, nil, func(spec map[string]any) { spec["traffic"].(map[string]any)["directCallers"] = tc.callers })
			s.verdict(undecidedIn(phase))
			s.Push("v2")
			s.inPhase(phase)
			if phase == v1alpha1.PhaseStepping {
				s.atStep()
			}
			if tc.callers == "Stable" {
				s.Eventually("direct callers reach the canary", func(g Gomega) {
					g.Expect(s.selector()).To(HaveKeyWithValue(appsv1.DefaultDeploymentUniqueLabelKey, s.Set("v2").Labels[appsv1.DefaultDeploymentUniqueLabelKey]))
				})
			}
			said, first := s.says("TakesCanaryBack"), s.Set("v2").UID
			s.orphan()
			s.takenBack(said, first)
			s.until("on trial again, with everything that stable had", func(g Gomega, r *v1alpha1.Rollout) {
				g.Expect(r.Status.Phase).To(Equal(phase))
				g.Expect(s.Set("v1").Status.AvailableReplicas).To(Equal(int32(4)))
				if phase == v1alpha1.PhaseStepping {
					g.Expect(r.Status.Step.AcknowledgedAt).NotTo(BeNil())
				} else {
					g.Expect(r.Status.Promotion.FullAt).NotTo(BeNil())
				}
			})
			s.Stays("nothing is promoted", time.Second, func(g Gomega) {
				g.Expect(s.rollout().Status.Phase).To(Equal(phase))
				g.Expect(s.rollout().Status.Stable.Image).To(Equal(image("v1")))
				g.Expect(s.Deployment().Spec.Paused).To(BeTrue())
			})
			s.verdict(nil)
			s.promoted("v2", 4)
			s.Served()
		})
	}
}

// takenBack waits until the run has its set again, the same one.
func (s *shop) takenBack(said *atomic.Bool, set types.UID) {
	s.T.Helper()
	s.Eventually("the run takes its set back", func(g Gomega) {
		g.Expect(said.Load()).To(BeTrue(), "TakesCanaryBack is recorded")
		now := s.Set("v2")
		g.Expect(now).NotTo(BeNil())
		g.Expect(now.UID).To(Equal(set))
		g.Expect(metav1.GetControllerOf(now)).To(HaveField("Kind", "RolloutRun"))
		g.Expect(s.Set("v1").Status.AvailableReplicas).To(Equal(*s.Deployment().Spec.Replicas))
	})
}

// TestAnAdoptedCanaryIsNotHandedOver: the bake is over, and an adoption is still no
// handover.
func TestAnAdoptedCanaryIsNotHandedOver(t *testing.T) {
	t.Parallel()
	s := open(t, 4, nil)
	// The sizes do not stand for long enough while the set has no owner.
	s.belay.end()
	s.belay = startSteadyFor(t, s.Namespace, time.Hour, s.wrote)
	s.Push("v2")
	s.inPhase(v1alpha1.PhaseHandingOver)
	said, first := s.says("TakesCanaryBack"), s.Set("v2").UID
	s.orphan()
	s.takenBack(said, first)
	s.Stays("nothing is promoted", time.Second, func(g Gomega) { g.Expect(s.rollout().Status.Stable.Image).To(Equal(image("v1"))) })
	s.belay.end()
	s.belay = start(t, s.Namespace, s.wrote)
	s.promoted("v2", 4)
	s.Served()
}

// TestAnAdoptedCanaryIsRolledBack like any other.
func TestAnAdoptedCanaryIsRolledBack(t *testing.T) {
	t.Parallel()
	s := open(t, 4, nil, func(spec map[string]any) { spec["traffic"].(map[string]any)["drain"] = "5s" })
	s.verdict(inStep(v1alpha1.VerdictFail))
	s.Push("v2")
	s.inPhase(v1alpha1.PhaseRollingBack)
	s.orphan()
	s.rolledBack(4)
	if s.Set("v2") != nil {
		t.Error("the rejected version's set is left")
	}
	s.Served()
}

// undecidedIn withholds the verdict in a phase, and before it in Promoting: times
// in a status have whole seconds, so that a pass from just before would count.
func undecidedIn(phase v1alpha1.Phase) func(*v1alpha1.Rollout) v1alpha1.VerdictOutcome {
	return func(r *v1alpha1.Rollout) v1alpha1.VerdictOutcome {
		if r.Status.Phase == phase || phase == v1alpha1.PhaseBaking && r.Status.Phase == v1alpha1.PhasePromoting {
			return v1alpha1.VerdictInconclusive
		}
		return v1alpha1.VerdictPass
	}
}

// TestTheCollectorOrphansTheCanary: a run that is deleted with its dependents
// orphaned, by one of Kubernetes' own controllers, leaves its ReplicaSet to the
// Deployment's adoption. The run's record is made again, and takes the set back.
func TestTheCollectorOrphansTheCanary(t *testing.T) {
	t.Parallel()
	s := open(t, 4, nil)
	s.verdict(undecidedIn(v1alpha1.PhaseStepping))
	s.Push("v2")
	s.atStep()
	said, first := s.says("TakesCanaryBack"), s.Set("v2").UID
	run := &v1alpha1.RolloutRun{}
	run.Name, run.Namespace = s.rollout().Status.Run, s.Namespace
	as := rest.CopyConfig(kube.Config)
	as.Impersonate = rest.ImpersonationConfig{UserName: collector, Groups: []string{"system:masters"}}
	c, err := client.New(as, client.Options{Scheme: scheme, Mapper: admin.RESTMapper()})
	s.Must(err)
	s.Must(c.Delete(t.Context(), run, client.PropagationPolicy(metav1.DeletePropagationOrphan)))
	s.takenBack(said, first)
	s.Stays("nothing is promoted", time.Second, func(g Gomega) { g.Expect(s.rollout().Status.Phase).To(Equal(v1alpha1.PhaseStepping)) })
	s.verdict(nil)
	s.promoted("v2", 4)
	s.Served()
}
