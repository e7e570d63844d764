package stories

import (
	"fmt"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/handover/cluster"
)

// ordered is a StatefulSet with the Rollout that guards it. Kubernetes' own controller makes and
// replaces its pods; only the kubelets are played.
type ordered struct {
	*shop
	set *cluster.Ordered
}

// openOrdered serves v1 with so many pods. The steps ask for one pod and for half of them.
func openOrdered(t *testing.T, replicas int32, change func(*appsv1.StatefulSet), fields ...func(spec map[string]any)) ordered {
	t.Helper()
	set := kube.OpenOrdered(t, replicas, change)
	s := ordered{&shop{World: set.World}, set}
	s.guarded(object(t, fmt.Sprintf(`{apiVersion: belay.dev/v1alpha1, kind: Rollout, metadata: {name: shop, namespace: %s}, spec: {
		workloadRef: {kind: StatefulSet, name: shop}, steps: [{weight: 1, hold: 0s}, {weight: 50, hold: 0s}],
		guardrails: [{name: shop}], promotion: {bake: 0s}, fastRevert: {revisions: 0}, stepDeadline: 10m, settle: 1s}}`, s.Namespace)), fields...)
	return s
}

// push declares a version as its developers do.
func (s ordered) push(version string) {
	s.T.Helper()
	s.set.PatchSet(admin, fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":%q,"image":%q}]}}}}`, cluster.Name, cluster.Image(version)))
}

// stays has the analysis loop pass no more from a phase on, so that the run stays there.
func (s ordered) stays(phase v1alpha1.Phase) { s.verdict(undecidedIn(phase)) }

func (s ordered) phase(phase v1alpha1.Phase) {
	s.T.Helper()
	s.until(string(phase), func(g Gomega, r *v1alpha1.Rollout) { g.Expect(r.Status.Phase).To(Equal(phase)) })
}

// partition is what the StatefulSet holds back.
func (s ordered) partition() int32 {
	return *s.set.StatefulSet().Spec.UpdateStrategy.RollingUpdate.Partition
}

// ends waits for the phase, the stable version, what the pods run and the partition.
func (s ordered) ends(phase v1alpha1.Phase, stable string, partition int32, versions ...string) {
	s.T.Helper()
	s.until(fmt.Sprintf("%s with %s stable", phase, stable), func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(phase))
		g.Expect(r.Status.Stable.Image).To(Equal(cluster.Image(stable)))
	})
	s.set.Runs(versions...)
	s.Eventually("the partition", func(g Gomega) { g.Expect(s.partition()).To(Equal(partition)) })
}

// outcome of the newest run.
func (s ordered) outcome(want v1alpha1.Outcome) {
	s.T.Helper()
	r := s.rollout()
	if len(r.Status.History) == 0 || r.Status.History[0].Outcome != want {
		s.T.Errorf("history %+v, want %s first", r.Status.History, want)
	}
}

// behave decides what becomes of the pods of each version.
func (s ordered) behave(how func(version string, pod *corev1.Pod) cluster.Behaviour) {
	s.T.Helper()
	s.Must(kube.Nodes.Behave(s.T.Context(), s.Namespace, func(p *corev1.Pod) cluster.Behaviour {
		return how(p.Spec.Containers[0].Image[len(cluster.Image("")):], p)
	}))
}

// neverReady lets the pods of a version run and never get ready.
func (s ordered) neverReady(version string) {
	s.behave(func(v string, _ *corev1.Pod) cluster.Behaviour { return cluster.Behaviour{Unready: v == version} })
}

const hold = v1alpha1.PartitionHold

// TestAStatefulSetIsPromoted one pod after the other, the last ordinal first. One pod stays
// stable until the bake has passed.
func TestAStatefulSetIsPromoted(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]appsv1.PodManagementPolicyType{"OrderedReady": appsv1.OrderedReadyPodManagement, "Parallel": appsv1.ParallelPodManagement} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openOrdered(t, 4, func(d *appsv1.StatefulSet) { d.Spec.PodManagementPolicy = policy })
			s.stays(v1alpha1.PhaseBaking)
			s.push("v2")
			s.phase(v1alpha1.PhaseBaking)
			s.ends(v1alpha1.PhaseBaking, "v1", 1, "v1", "v2", "v2", "v2")
			s.verdict(nil)
			s.ends(v1alpha1.PhaseStable, "v2", 0, "v2", "v2", "v2", "v2")
			s.outcome(v1alpha1.OutcomePromoted)
			if made := s.Made(); made["v1"] != 4 || made["v2"] != 4 {
				t.Errorf("pods ever made: %v", made)
			}
			if run := s.newestRun(); run.Spec.WorkloadKind != v1alpha1.KindStatefulSet || run.Spec.Stable.ReplicaSet == "" {
				t.Errorf("the run is of a %q, stable %+v", run.Spec.WorkloadKind, run.Spec.Stable.Revision)
			}
			s.push("v3")
			s.ends(v1alpha1.PhaseStable, "v3", 0, "v3", "v3", "v3", "v3")
		})
	}
}

// TestAStatefulSetIsRolledBack from each stage that has a way back, and stays held at what was
// rejected, scale-ups and lost pods included.
func TestAStatefulSetIsRolledBack(t *testing.T) {
	t.Parallel()
	for _, phase := range []v1alpha1.Phase{v1alpha1.PhaseStepping, v1alpha1.PhaseBaking} {
		t.Run(string(phase), func(t *testing.T) {
			t.Parallel()
			s := openOrdered(t, 4, nil)
			s.stays(phase)
			s.push("v2")
			s.phase(phase)
			s.Eventually("it has pods", func(g Gomega) { g.Expect(s.set.Versions()).To(ContainElement("v2")) })
			s.verdict(always(v1alpha1.VerdictFail))
			s.ends(v1alpha1.PhaseRolledBack, "v1", hold, "v1", "v1", "v1", "v1")
			s.outcome(v1alpha1.OutcomeRolledBack)
			s.set.Lose(3)
			s.scale(5)
			s.set.Runs("v1", "v1", "v1", "v1", "v1")
			s.push("v1")
			s.ends(v1alpha1.PhaseStable, "v1", 0, "v1", "v1", "v1", "v1", "v1")
		})
	}
}

func (s ordered) newestRun() *v1alpha1.RolloutRun {
	s.T.Helper()
	run := &v1alpha1.RolloutRun{}
	s.Must(admin.Get(s.T.Context(), client.ObjectKey{Namespace: s.Namespace, Name: s.rollout().Status.History[0].Run}, run))
	return run
}

func (s ordered) scale(replicas int32) {
	s.T.Helper()
	s.set.PatchSet(admin, fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas))
}

// TestABrokenPodOfAStatefulSetGoes: with OrderedReady Kubernetes waits for it, also after a
// revert. The deadline rolls back, and Belay deletes it.
func TestABrokenPodOfAStatefulSetGoes(t *testing.T) {
	t.Parallel()
	s := openOrdered(t, 3, nil, func(spec map[string]any) { spec["stepDeadline"], spec["onDeadline"] = "10s", "Rollback" })
	s.neverReady("v2")
	s.push("v2")
	s.ends(v1alpha1.PhaseRolledBack, "v1", hold, "v1", "v1", "v1")
	s.outcome(v1alpha1.OutcomeRolledBack)
	if made := s.Made(); made["v2"] != 1 {
		t.Errorf("pods ever made: %v, the first broken one stops the rest", made)
	}
}

// TestAStatefulSetScaledUpInAStep: the new pods have the last ordinals, so Kubernetes makes them
// in the candidate. Belay raises the partition, and replaces what is beyond the step.
func TestAStatefulSetScaledUpInAStep(t *testing.T) {
	t.Parallel()
	s := openOrdered(t, 4, nil)
	s.verdict(func(r *v1alpha1.Rollout) v1alpha1.VerdictOutcome {
		if r.Status.StepIndex() == 1 {
			return v1alpha1.VerdictInconclusive
		}
		return v1alpha1.VerdictPass
	})
	s.push("v2")
	s.set.Runs("v1", "v1", "v2", "v2")
	s.scale(8)
	s.set.Runs("v1", "v1", "v1", "v1", "v2", "v2", "v2", "v2")
	s.scale(3)
	s.verdict(nil)
	s.ends(v1alpha1.PhaseStable, "v2", 0, "v2", "v2", "v2")
}

// TestAStatefulSetIsSupersededAndReverted: the pods of what is given up go back first.
func TestAStatefulSetIsSupersededAndReverted(t *testing.T) {
	t.Parallel()
	s := openOrdered(t, 4, nil)
	s.stays(v1alpha1.PhaseStepping)
	s.push("v2")
	s.Eventually("it has a pod", func(g Gomega) { g.Expect(s.set.Versions()).To(ContainElement("v2")) })
	s.push("v3")
	s.until("the run of v3", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseStepping))
		g.Expect(r.Status.Candidate.Image).To(Equal(cluster.Image("v3")))
	})
	s.outcome(v1alpha1.OutcomeSuperseded)
	s.set.Runs("v1", "v1", "v1", "v3")
	s.push("v1")
	s.ends(v1alpha1.PhaseStable, "v1", 0, "v1", "v1", "v1", "v1")
	s.outcome(v1alpha1.OutcomeCancelled)
}

// TestARolloutOfAStatefulSetIsDeletedInAStep: its pods go back, and what is declared stays held
// without Belay.
func TestARolloutOfAStatefulSetIsDeletedInAStep(t *testing.T) {
	t.Parallel()
	s := openOrdered(t, 4, nil)
	s.stays(v1alpha1.PhaseStepping)
	s.push("v2")
	s.Eventually("it has a pod", func(g Gomega) { g.Expect(s.set.Versions()).To(ContainElement("v2")) })
	s.Must(admin.Delete(t.Context(), s.rollout()))
	s.Eventually("it is gone", func(g Gomega) { g.Expect(s.rollout().UID).To(BeEmpty()) })
	s.set.Runs("v1", "v1", "v1", "v1")
	if p := s.partition(); p != hold || s.set.StatefulSet().Labels[v1alpha1.LabelRollout] != "" {
		t.Errorf("partition %d, labels %v", p, s.set.StatefulSet().Labels)
	}
}

// TestTheControllerOfAStatefulSetDiesAtEachWrite: another process goes on where it stood, and
// no pod is made twice.
func TestTheControllerOfAStatefulSetDiesAtEachWrite(t *testing.T) {
	t.Parallel()
	for _, verdict := range []v1alpha1.VerdictOutcome{v1alpha1.VerdictPass, v1alpha1.VerdictFail} {
		t.Run(string(verdict), func(t *testing.T) {
			t.Parallel()
			s := openOrdered(t, 3, nil)
			killed := make(chan struct{}, 64)
			s.onWrite(func(b *belay, w write) {
				if slices.Contains([]string{"statefulsets", "pods"}, w.resource) && !b.wire.dead.Load() {
					b.kill()
					killed <- struct{}{}
				}
			})
			s.stays(v1alpha1.PhaseBaking)
			if verdict == v1alpha1.VerdictFail {
				s.verdict(func(r *v1alpha1.Rollout) v1alpha1.VerdictOutcome {
					if r.Status.Phase == v1alpha1.PhaseBaking {
						return v1alpha1.VerdictFail
					}
					return undecidedIn(v1alpha1.PhaseBaking)(r)
				})
			} else {
				s.verdict(nil)
			}
			over := make(chan struct{})
			restarted := make(chan struct{})
			go func() {
				defer close(restarted)
				for {
					select {
					case <-killed:
						s.belay = start(t, s.Namespace, s.wrote)
					case <-over:
						return
					}
				}
			}()
			s.push("v2")
			if verdict == v1alpha1.VerdictPass {
				s.ends(v1alpha1.PhaseStable, "v2", 0, "v2", "v2", "v2")
			} else {
				s.ends(v1alpha1.PhaseRolledBack, "v1", hold, "v1", "v1", "v1")
			}
			close(over)
			<-restarted
			want := map[string]int{"v1": 3, "v2": 3}
			if verdict == v1alpha1.VerdictFail {
				want = map[string]int{"v1": 5, "v2": 2}
			}
			s.made(want)
		})
	}
}

// TestAStatefulSetScaledToZeroStartsWhatItDeclares: what Kubernetes does then is weaker than a
// promise, and Belay says so.
func TestAStatefulSetScaledToZeroStartsWhatItDeclares(t *testing.T) {
	t.Parallel()
	s := openOrdered(t, 3, nil)
	s.stays(v1alpha1.PhaseStepping)
	s.push("v2")
	s.Eventually("it has a pod", func(g Gomega) { g.Expect(s.set.Versions()).To(ContainElement("v2")) })
	s.scale(0)
	s.set.Runs([]string{}...)
	s.scale(3)
	s.ends(v1alpha1.PhaseStable, "v2", 0, "v2", "v2", "v2")
	if m := s.rollout().Status.History[0].Message; m == "" || !matches(m, "scaled to 0") {
		t.Errorf("it is not said: %q", m)
	}
}

func matches(text, part string) bool {
	ok, _ := ContainSubstring(part).Match(text)
	return ok
}

// TestAStatefulSetThatServesNobodyRollsOn: broken pods of the stable version, for which
// Kubernetes would wait, go at once.
func TestAStatefulSetThatServesNobodyRollsOn(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it waits for a minute")
	}
	s := openOrdered(t, 2, nil)
	s.neverReady("v1")
	s.set.Runs("v1?", "v1?")
	s.push("v2")
	NewWithT(t).Eventually(func(g Gomega) {
		g.Expect(s.rollout().Status.Stable.Image).To(Equal(cluster.Image("v2")))
	}).WithTimeout(3*time.Minute).WithPolling(time.Second).Should(Succeed(), s.String)
	s.ends(v1alpha1.PhaseStable, "v2", 0, "v2", "v2")
}

// TestOneReplicaIsHeld until there is a second one: no step can share it.
func TestOneReplicaIsHeld(t *testing.T) {
	t.Parallel()
	s := openOrdered(t, 1, nil)
	s.push("v2")
	s.until("it says what to do", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseGating))
		g.Expect(r.Status.Message).To(ContainSubstring("scale statefulset/shop --replicas=2"))
	})
	s.scale(2)
	s.ends(v1alpha1.PhaseStable, "v2", 0, "v2", "v2")
}
