package integration

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// declareRollout applies the shop's Rollout as its manifest says, without a status.
func (s *shop) declareRollout() {
	s.t.Helper()
	create(s.t, object(s.t, fmt.Sprintf(`{apiVersion: belay.dev/v1alpha1, kind: Rollout, metadata: {name: shop, namespace: %s}, spec: {
		workloadRef: {name: shop}, traffic: {service: shop, routes: [{name: shop}], drain: 1s},
		steps: [{weight: 50, hold: 1s}], guardrails: [{name: shop}], promotion: {bake: 1s}, historyLimit: 20}}`, s.namespace)))
}

// applies declares a version that may be declared already.
func (s *shop) applies(image string) {
	s.t.Helper()
	document := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"shop","image":%q}]}}}}`, image)
	s.must(admin.Patch(s.t.Context(), s.deployment(), client.RawPatch(types.StrategicMergePatchType, []byte(document))))
}

// TestRejectedByItsImage: another template with the rejected image gets no run, nor does it
// after the Rollout was made again; one with another image does.
func TestRejectedByItsImage(t *testing.T) {
	s := open(t)
	byImage := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"rejectBy":"Image"}}`))
	changed := func(value string) {
		document := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"changed":%q}}}}}`, value)
		s.must(admin.Patch(t.Context(), s.deployment(), client.RawPatch(types.MergePatchType, []byte(document))))
	}
	s.must(admin.Patch(t.Context(), s.rollout(), byImage))
	s.release(better)
	s.fails = atWeight
	r := s.until("rolled back", ended(better))
	if images := r.Status.Rejected[0].Images; len(images) != 1 || images[0].Image != better || images[0].Digest == "" {
		t.Errorf("rejected with the images %+v", images)
	}
	first := r.Status.Candidate.Revision
	rejects := func(count int) func(*v1alpha1.Rollout) bool {
		return func(r *v1alpha1.Rollout) bool {
			return r.Status.Phase == v1alpha1.PhaseRolledBack && r.Status.Candidate.Revision != first && len(r.Status.Rejected) == count
		}
	}
	changed("once")
	s.until("rejected by its image", rejects(2))
	s.leave()
	s.declareRollout()
	s.must(admin.Patch(t.Context(), s.rollout(), byImage))
	s.until("rejected by its run's image", rejects(2))
	runs := &v1alpha1.RolloutRunList{}
	s.must(admin.List(t.Context(), runs, client.InNamespace(s.namespace)))
	if len(runs.Items) != 1 {
		t.Errorf("%d runs", len(runs.Items))
	}
	s.failing, s.fails = false, nil
	s.applies("registry.example/shop:fixed")
	s.until("promoted", func(r *v1alpha1.Rollout) bool {
		return r.Status.Phase == v1alpha1.PhaseStable && r.Status.Stable.Image == "registry.example/shop:fixed"
	})
}

// TestRejectedStaysRejected whatever happens to the version, the controller or the Rollout:
// without the command Retry it gets no second run.
func TestRejectedStaysRejected(t *testing.T) {
	rejects := func(r *v1alpha1.Rollout) bool {
		return r.Status.Phase == v1alpha1.PhaseRolledBack && r.Status.Candidate != nil && r.Status.Candidate.Image == better
	}
	for name, happens := range map[string]func(*shop){
		"it is applied again": func(s *shop) { s.applies(better) },
		"it is reverted and applied again": func(s *shop) {
			s.applies(good)
			s.until("reverted", func(r *v1alpha1.Rollout) bool {
				return r.Status.Phase == v1alpha1.PhaseStable && !s.deployment().Spec.Paused
			})
			s.applies(better)
		},
		"the controller is started again": func(s *shop) { s.start() },
		"the Rollout is deleted and made again": func(s *shop) {
			s.leave()
			s.declareRollout()
		},
		"the Rollout is restored without its status": func(s *shop) {
			// A backup puts back the manifest, with the runs and the Deployment beside it.
			s.must(admin.Patch(s.t.Context(), s.rollout(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))
			s.must(admin.Delete(s.t.Context(), s.rollout()))
			s.declareRollout()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.release(better)
			s.fails = atWeight
			run := s.until("rolled back", ended(better)).Status.Run
			s.until("rejected", rejects)
			made := s.cluster.made[better]
			happens(s)
			s.until("rejected again", rejects)
			for range 5 {
				s.must(s.look())
			}
			r := s.rollout()
			if !rejects(r) || len(r.Status.Rejected) != 1 || r.Status.Rejected[0].Run != run {
				t.Errorf("%s, rejected %+v: %s", r.Status.Phase, r.Status.Rejected, r.Status.Message)
			}
			runs := &v1alpha1.RolloutRunList{}
			s.must(admin.List(t.Context(), runs, client.InNamespace(s.namespace)))
			if len(runs.Items) != 1 || s.cluster.made[better] != made {
				t.Errorf("%d runs, and %d pods of the rejected version were made after it", len(runs.Items), s.cluster.made[better]-made)
			}
			if d := s.deployment(); !d.Spec.Paused || d.Labels[v1alpha1.LabelRejected] != r.Status.Candidate.Revision {
				t.Errorf("the Deployment is paused %v, with the labels %v", d.Spec.Paused, d.Labels)
			}
			s.failing, s.fails = false, nil
			document := fmt.Sprintf(`{"metadata":{"annotations":{%q:"Retry",%q:"7",%q:%q}}}`, v1alpha1.AnnotationAction, v1alpha1.AnnotationActionToken, v1alpha1.AnnotationActionRevision, r.Status.Candidate.Revision)
			s.must(admin.Patch(t.Context(), s.rollout(), client.RawPatch(types.MergePatchType, []byte(document))))
			s.until("promoted by a retry", func(r *v1alpha1.Rollout) bool {
				return r.Status.Phase == v1alpha1.PhaseStable && r.Status.Stable.Image == better
			})
		})
	}
}
