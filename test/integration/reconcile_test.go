package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/replay"
)

func ended(image string) func(*v1alpha1.Rollout) bool {
	return func(r *v1alpha1.Rollout) bool {
		h := r.Status.History
		return len(h) > 0 && h[0].Image == image && (r.Status.Phase == v1alpha1.PhaseStable || r.Status.Phase == v1alpha1.PhaseRolledBack)
	}
}

func inPhase(p v1alpha1.Phase) func(*v1alpha1.Rollout) bool {
	return func(r *v1alpha1.Rollout) bool { return r.Status.Phase == p }
}

// atWeight holds once the gateway gives the candidate its share.
func atWeight(r *v1alpha1.Rollout) bool {
	return r.Status.Phase == v1alpha1.PhaseStepping && r.Status.Step.AcknowledgedAt != nil
}

// settle lets everything come to rest, then describes what is left: for people,
// and to compare how a story ended. The two versions go by the same names in each.
func (s *shop) settle(image, before string) string {
	s.t.Helper()
	for range 3 {
		if err := s.look(); err != nil {
			s.t.Fatalf("at rest: %v", err)
		}
	}
	r, d := s.rollout(), s.deployment()
	out := fmt.Sprintf("phase %s, stable %s, candidate %v, deployment %s paused %v\n", r.Status.Phase, r.Status.Stable.Image, r.Status.Candidate != nil,
		d.Spec.Template.Spec.Containers[0].Image, d.Spec.Paused)
	canaries := &appsv1.ReplicaSetList{}
	s.must(admin.List(s.t.Context(), canaries, client.InNamespace(s.namespace), client.MatchingLabels{v1alpha1.LabelRole: v1alpha1.RoleCanary}))
	pods := &corev1.PodList{}
	s.must(admin.List(s.t.Context(), pods, client.InNamespace(s.namespace)))
	route := &gatewayv1.HTTPRoute{}
	s.must(admin.Get(s.t.Context(), s.key(), route))
	out += fmt.Sprintf("%d canaries, %d pods, made %d of CANDIDATE and %d of BEFORE, route to", len(canaries.Items), len(pods.Items), s.cluster.made[image], s.cluster.made[before])
	for _, ref := range route.Spec.Rules[0].BackendRefs {
		out += fmt.Sprintf(" %s", ref.Name)
	}
	h := r.Status.History[0]
	out += fmt.Sprintf(" with %d annotations\nhistory %s %s %q, rejected %v\n", len(route.Annotations), h.Image, h.Outcome, h.Trigger, r.Status.IsRejected(h.Revision) != nil)
	return strings.NewReplacer(image, "CANDIDATE", before, "BEFORE").Replace(out + s.evidenceOf(h.Run))
}

// evidenceOf checks a finished run's record as a stranger would, makes each of its
// decisions again, and lists what was decided but for waiting, which depends on how long things took.
func (s *shop) evidenceOf(name string) string {
	s.t.Helper()
	run := s.run(name)
	if run == nil {
		s.t.Fatalf("run %s has no record", name)
	}
	made, err := replay.Run(run)
	if err != nil {
		s.t.Error(err)
	}
	for _, d := range made {
		if d.Outcome != replay.Same && run.Status.Decisions[d.Seq-1].Input.Form != v1alpha1.InputDigest {
			s.t.Errorf("run %s, decision %d (%s): %s: %s", name, d.Seq, d.Rule, d.Outcome, d.Message)
		}
	}
	if run.Status.FinishedAt == nil || len(run.Status.Images) != 1 {
		s.t.Errorf("run %s finished at %v with images %v", name, run.Status.FinishedAt, run.Status.Images)
	}
	out := fmt.Sprintf("run %s %q, labelled %s:", run.Status.Outcome, run.Status.Trigger, run.Labels[v1alpha1.LabelOutcome])
	for _, d := range run.Status.Decisions {
		if !strings.Contains(d.Rule, "Awaits") && !strings.Contains(d.Rule, "Holds") && !strings.Contains(d.Rule, "Drains") && !strings.Contains(d.Rule, "Undecided") && d.Rule != "BakeRuns" {
			out += " " + d.Rule
		}
		if d.Missing > 0 {
			out += fmt.Sprintf(" (%d missing before)", d.Missing)
		}
	}
	return out + "\n"
}

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func expect(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("want %q in how it ended:\n%s", w, got)
		}
	}
}

// isServed: two pods behind the user's Service, and nothing of Belay's left.
var isServed = []string{"0 canaries, 2 pods, ", "route to shop with 0 annotations"}

func TestReleasePromotes(t *testing.T) {
	s := open(t)
	s.release(better)
	run := s.until("promoted", ended(better)).Status.Run
	if digest := s.run(run).Status.Images[0].Digest; !strings.HasPrefix(digest, "sha256:") {
		t.Errorf("digest %q of what ran", digest)
	}
	expect(t, s.settle(better, good), append(isServed, "phase Stable, stable CANDIDATE, candidate false, deployment CANDIDATE paused false",
		"made 2 of CANDIDATE and 2 of BEFORE", `history CANDIDATE Promoted "", rejected false`, `run Promoted "", labelled Promoted: RunStarts SplitsRoute ScalesCanary`,
		"BakePassed HandoverReleases Promoted")...)
}

// TestReleaseThatFailsAloneRollsBack: after it has had all requests for a while,
// and while the Deployment is about to take it over, it is still a change of weights.
func TestReleaseThatFailsAloneRollsBack(t *testing.T) {
	for name, at := range map[string]func(*v1alpha1.Rollout) bool{"baking": inPhase(v1alpha1.PhaseBaking), "handing over": inPhase(v1alpha1.PhaseHandingOver)} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			// So that the handover still waits when the trigger fires.
			s.reconciler.Calm = time.Minute
			s.release(better)
			s.fails = at
			s.until("rolled back", ended(better))
			expect(t, s.settle(better, good), append(isServed, "phase RolledBack, stable BEFORE, candidate true, deployment CANDIDATE paused true",
				"made 2 of CANDIDATE and 2 of BEFORE", `RolledBack "shop/errors", rejected true`, "TriggerFired RollbackTakesTraffic RollbackAtZero RollbackRemovesCanary")...)
		})
	}
}

func TestReleaseWhosePodsCrashRollsBack(t *testing.T) {
	s := open(t)
	s.release(crashes)
	s.until("rolled back", ended(crashes))
	expect(t, s.settle(crashes, good), append(isServed, "phase RolledBack, stable BEFORE, candidate true, deployment CANDIDATE paused true",
		`history CANDIDATE RolledBack "shop/pods", rejected true`, "labelled RolledBack")...)
}

func TestReleaseThatFailsRollsBack(t *testing.T) {
	s := open(t)
	s.release(better)
	s.fails = atWeight
	s.until("rolled back", ended(better))
	expect(t, s.settle(better, good), append(isServed, "phase RolledBack, stable BEFORE", `RolledBack "shop/errors", rejected true`,
		"made 1 of CANDIDATE and 2 of BEFORE", "TriggerFired RollbackTakesTraffic RollbackAtZero RollbackRemovesCanary RollbackReleasesRoute RollbackDone")...)
}

func TestReleaseIsAborted(t *testing.T) {
	s := open(t)
	s.release(better)
	s.until("at its weight", atWeight)
	s.abort()
	s.until("rolled back", ended(better))
	expect(t, s.settle(better, good), append(isServed, `RolledBack "abort", rejected true`, "AbortRequested")...)
}

func (s *shop) abort() {
	s.t.Helper()
	document := fmt.Sprintf(`{"metadata":{"annotations":{%q:"Abort",%q:"1"}}}`, v1alpha1.AnnotationAction, v1alpha1.AnnotationActionToken)
	s.must(admin.Patch(s.t.Context(), s.rollout(), client.RawPatch(types.MergePatchType, []byte(document))))
}

func TestDeletionInAStepLeavesStableServing(t *testing.T) {
	s := open(t)
	s.release(better)
	run := s.until("at its weight", atWeight).Status.Run
	s.must(admin.Delete(t.Context(), s.rollout()))
	s.until("gone", func(r *v1alpha1.Rollout) bool { return r.UID == "" })
	if d := s.deployment(); !d.Spec.Paused {
		t.Error("the Deployment was let go at the version on trial")
	}
	expect(t, s.evidenceOf(run), `run Cancelled "", labelled Cancelled`, "DeletingTakesTrafficBack", "DeletingReleasesRoute Released")
	route := &gatewayv1.HTTPRoute{}
	s.must(admin.Get(t.Context(), s.key(), route))
	if refs := route.Spec.Rules[0].BackendRefs; len(refs) != 1 || refs[0].Name != "shop" {
		t.Errorf("the route was left at %v", refs)
	}
}

// TestARollbackNeedsNoRun: the collectors of Kubernetes may delete a run in
// progress, and with it goes its ReplicaSet.
func TestARollbackNeedsNoRun(t *testing.T) {
	s := open(t)
	s.release(better)
	s.fails = inPhase(v1alpha1.PhaseBaking)
	run := s.until("rolling back", inPhase(v1alpha1.PhaseRollingBack)).Status.Run
	s.must(as(t, garbageCollector, "system:masters").Delete(t.Context(), &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: run}}))
	s.until("rolled back", ended(better))
	if r := s.rollout(); r.Status.Stable.Image != good || len(r.Status.Rejected) != 1 || s.run(run) != nil {
		t.Errorf("ended as %+v", r.Status)
	}
	if d := s.deployment(); !d.Spec.Paused {
		t.Error("the rejected version was let go")
	}
}
