package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
)

// Releases that people change on their way. In all of them the gateway finds
// somebody who is ready wherever it sends requests (cluster.served).

// bypass lets the Deployment roll unjudged, as the guard's denial says.
func (s *shop) bypass(named string) {
	s.t.Helper()
	document := fmt.Sprintf(`{"metadata":{"annotations":{%q:"%d: %s outage"}},"spec":{"paused":false}}`, v1alpha1.AnnotationBypassReason, s.deployment().Generation, named)
	s.must(sre(s.t).Patch(s.t.Context(), s.deployment(), client.RawPatch(types.MergePatchType, []byte(document))))
}

// TestABypassServesInEveryPhase: the Deployment replaces its own pods, and takes
// none away that the routes still need.
func TestABypassServesInEveryPhase(t *testing.T) {
	for name, at := range map[string]func(*v1alpha1.Rollout) bool{
		"gating": inPhase(v1alpha1.PhaseGating), "in a step": atWeight, "promoting": inPhase(v1alpha1.PhasePromoting),
		"baking": inPhase(v1alpha1.PhaseBaking), "handing over": inPhase(v1alpha1.PhaseHandingOver),
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			// So that a handover waits before the owner changes.
			s.reconciler.Calm = time.Minute
			s.release(better)
			s.until(name, at)
			s.bypass("")
			r := s.until("ended", ended(better))
			expect(t, s.settle(better, good), append(isServed, "phase Stable, stable CANDIDATE, candidate false, deployment CANDIDATE paused false", "Bypassed")...)
			if run := s.run(r.Status.History[0].Run); run.Status.Outcome != v1alpha1.OutcomeBypassed {
				t.Errorf("the run ended %s: %s", run.Status.Outcome, run.Status.Message)
			}
		})
	}
}

// TestARejectedVersionIsBypassed by a person who names it; the rejection is kept.
func TestARejectedVersionIsBypassed(t *testing.T) {
	s := open(t)
	s.release(better)
	s.fails = atWeight
	rejected := s.until("rolled back", ended(better)).Status.Rejected[0].Revision
	s.until("marked", func(*v1alpha1.Rollout) bool { return s.deployment().Labels[v1alpha1.LabelRejected] == rejected })
	s.bypass(rejected)
	r := s.until("bypassed", func(r *v1alpha1.Rollout) bool {
		return r.Status.Phase == v1alpha1.PhaseStable && r.Status.Stable.Image == better
	})
	if h := r.Status.History[0]; h.Outcome != v1alpha1.OutcomeBypassed || r.Status.IsRejected(rejected) == nil {
		t.Errorf("history %s %q, rejected %v", h.Outcome, h.Message, r.Status.Rejected)
	}
	expect(t, s.settle(better, good), append(isServed, "deployment CANDIDATE paused false")...)
}

// TestAStoppedNativePromotionIsKept by a reason alone, when a trigger fired once
// all pods ran the new version: the Deployment's generation does not rise.
func TestAStoppedNativePromotionIsKept(t *testing.T) {
	s := open(t)
	s.must(admin.Patch(t.Context(), s.rollout(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"promotion":{"mode":"Native","bake":"1h"}}}`))))
	s.release(better)
	s.fails = func(r *v1alpha1.Rollout) bool {
		return r.Status.Promotion != nil && r.Status.Promotion.SettledAt != nil
	}
	stopped := func(r *v1alpha1.Rollout) bool {
		return meta.IsStatusConditionTrue(r.Status.Conditions, v1alpha1.ConditionStalled) && r.Status.Decision.Rule == "NativeTriggerFired"
	}
	s.until("stopped", stopped)
	s.until("still stopped", stopped)
	d := s.deployment()
	document := fmt.Sprintf(`{"metadata":{"annotations":{%q:"%d: known and harmless"}}}`, v1alpha1.AnnotationBypassReason, d.Generation)
	s.must(sre(t).Patch(t.Context(), d, client.RawPatch(types.MergePatchType, []byte(document))))
	r := s.until("ended", ended(better))
	run := s.run(r.Status.History[0].Run)
	for _, word := range []string{"sre", "keeps " + better, "shop/errors", "known and harmless"} {
		if run.Status.Outcome != v1alpha1.OutcomeBypassed || !strings.Contains(run.Status.Message, word) {
			t.Errorf("the run ended %s without %q: %s", run.Status.Outcome, word, run.Status.Message)
		}
	}
	if now := s.deployment().Generation; now != d.Generation {
		t.Errorf("the generation rose from %d to %d: this is another case", d.Generation, now)
	}
	expect(t, s.settle(better, good), append(isServed, "deployment CANDIDATE paused false")...)
}

// TestANewerPushSupersedes the candidate in every stage of its trial.
func TestANewerPushSupersedes(t *testing.T) {
	for name, at := range map[string]func(*v1alpha1.Rollout) bool{"in a step": atWeight, "baking": inPhase(v1alpha1.PhaseBaking)} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.release("registry.example/shop:superseded")
			s.until(name, at)
			s.release(better)
			r := s.until("promoted", ended(better))
			if h := r.Status.History; len(h) != 2 || h[1].Outcome != v1alpha1.OutcomeSuperseded {
				t.Errorf("history %+v", h)
			}
			expect(t, s.settle(better, good), append(isServed, `history CANDIDATE Promoted "", rejected false`, "made 2 of CANDIDATE and 2 of BEFORE")...)
		})
	}
}

// TestARevertCancels: the template of the stable version comes back.
func TestARevertCancels(t *testing.T) {
	s := open(t)
	s.release(better)
	s.until("at its weight", atWeight)
	s.release(good)
	s.until("cancelled", ended(better))
	r := s.until("stable", func(r *v1alpha1.Rollout) bool {
		return r.Status.Phase == v1alpha1.PhaseStable && !s.deployment().Spec.Paused
	})
	if h := r.Status.History[0]; h.Outcome != v1alpha1.OutcomeCancelled {
		t.Errorf("history %+v", h)
	}
	expect(t, s.settle(better, good), append(isServed, "phase Stable, stable BEFORE", "made 1 of CANDIDATE and 2 of BEFORE")...)
}

// TestAForeignWriteToTheRouteIsUndone in a step, and nobody is left without an
// answer meanwhile.
func TestAForeignWriteToTheRouteIsUndone(t *testing.T) {
	s := open(t)
	s.release(better)
	s.until("at its weight", atWeight)
	route := &gatewayv1.HTTPRoute{}
	s.must(admin.Get(t.Context(), s.key(), route))
	foreign := httpRoute(s.namespace, "shop", "shop")
	foreign.ResourceVersion = route.ResourceVersion
	s.must(admin.Update(t.Context(), foreign))
	s.until("split again", func(*v1alpha1.Rollout) bool {
		s.must(admin.Get(t.Context(), s.key(), route))
		return len(route.Spec.Rules[0].BackendRefs) == 2
	})
	s.until("promoted", ended(better))
	expect(t, s.settle(better, good), append(isServed, "made 2 of CANDIDATE and 2 of BEFORE")...)
}

// TestDirectCallersReachOneVersion: the user's Service is narrowed to it for the
// time of a run, and always has somebody behind it.
func TestDirectCallersReachOneVersion(t *testing.T) {
	for name, c := range map[string]struct {
		fails func(*v1alpha1.Rollout) bool
		// versions to which it is narrowed, one after the other.
		versions int
	}{"promoted": {nil, 2}, "rolled back from a step": {atWeight, 1}, "rolled back from a bake": {inPhase(v1alpha1.PhaseBaking), 2}} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			r := s.rollout()
			r.Spec.Traffic.DirectCallers = v1alpha1.DirectCallersStable
			s.must(admin.Update(t.Context(), r))
			s.release(better)
			narrowed := map[string]bool{}
			s.fails = func(r *v1alpha1.Rollout) bool { return c.fails != nil && c.fails(r) && len(narrowed) == c.versions }
			s.until("ended", func(r *v1alpha1.Rollout) bool {
				service := &corev1.Service{}
				s.must(admin.Get(t.Context(), s.key(), service))
				hash := service.Spec.Selector["pod-template-hash"]
				if hash != "" {
					narrowed[hash] = true
				}
				if s.cluster.opened && len(s.cluster.endpoints["shop"]) == 0 {
					t.Errorf("nobody answers direct callers, at %s", r.Status.Message)
				}
				return ended(better)(r)
			})
			if len(narrowed) != c.versions {
				t.Errorf("the Service was narrowed to %v", narrowed)
			}
			expect(t, s.settle(better, good), isServed...)
			service := &corev1.Service{}
			s.must(admin.Get(t.Context(), s.key(), service))
			if len(service.Spec.Selector) != 1 || s.deployment().Labels[v1alpha1.LabelNarrowed] != "" {
				t.Errorf("left with the selector %v and labels %v", service.Spec.Selector, s.deployment().Labels)
			}
		})
	}
}
