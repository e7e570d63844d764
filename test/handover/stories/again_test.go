package stories

import (
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/handover/cluster"
)

// collide lets the Deployment controller hash every template anew, as after a
// collision of two hashes.
func (s *shop) collide() {
	s.T.Helper()
	s.Must(admin.Status().Patch(s.T.Context(), s.Deployment(), client.RawPatch(types.MergePatchType, []byte(`{"status":{"collisionCount":7}}`))))
}

// madeAgain deletes a version's set with its pods until the version has one under
// another hash, and sends no requests meanwhile. It returns that hash.
func (s *shop) madeAgain(version string) string {
	s.T.Helper()
	was := hashOf(s.Set(version))
	kube.Gateway.Close(s.Namespace)
	s.Eventually("a set under another hash", func(g Gomega) {
		set := s.Set(version)
		g.Expect(set).NotTo(BeNil())
		if hashOf(set) == was {
			s.Must(client.IgnoreNotFound(admin.Delete(s.T.Context(), set, client.PropagationPolicy(metav1.DeletePropagationBackground))))
		}
		g.Expect(hashOf(set)).NotTo(Equal(was))
	})
	s.Eventually("it has its pods", func(g Gomega) {
		set := s.Set(version)
		g.Expect(set).NotTo(BeNil())
		g.Expect(set.Status.AvailableReplicas).To(Equal(*s.Deployment().Spec.Replicas))
		g.Expect(metav1.GetControllerOf(set).Kind).To(Equal("Deployment"))
	})
	s.servesAgain()
	return hashOf(s.Set(version))
}

func hashOf(set *appsv1.ReplicaSet) string {
	return set.Spec.Template.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
}

// stableSide is the hash that the stable side of the routes selects.
func (s *shop) stableSide(g Gomega) string {
	service := s.service("shop-stable")
	g.Expect(service).NotTo(BeNil())
	return service.Spec.Selector[appsv1.DefaultDeploymentUniqueLabelKey]
}

// TestStableUnderAnotherHash: the stable version's set is made again, and its pods
// get another pod-template-hash. It is known by its template: rollbacks and later
// releases go on, from the Deployment controller's hash and from Belay's own.
func TestStableUnderAnotherHash(t *testing.T) {
	t.Parallel()
	t.Run("while idle", func(t *testing.T) {
		t.Parallel()
		s := open(t, 3, nil)
		s.collide()
		hash := s.madeAgain("v1")
		s.verdict(inStep(v1alpha1.VerdictFail))
		s.Push("v2")
		s.rolledBack(3)
		NewWithT(t).Expect(s.stableSide(NewWithT(t))).To(Equal(hash))
		s.Push("v3")
		s.promoted("v3", 3)
		// Belay has named that set after its revision; the Deployment controller does not.
		s.madeAgain("v3")
		s.Push("v4")
		s.promoted("v4", 3)
		s.Served()
	})
	for name, c := range map[string]struct {
		outcome v1alpha1.VerdictOutcome
		ends    func(*shop)
	}{
		"rolled back": {v1alpha1.VerdictFail, func(s *shop) { s.rolledBack(3) }},
		"promoted":    {v1alpha1.VerdictPass, func(s *shop) { s.promoted("v2", 3) }},
	} {
		t.Run("in a step, "+name, func(t *testing.T) {
			t.Parallel()
			s := open(t, 3, nil)
			s.verdict(always(v1alpha1.VerdictInconclusive))
			s.Push("v2")
			s.atStep()
			// The Deployment is held: its controller makes no set, Belay does.
			hash := s.madeAgain("v1")
			s.Eventually("the stable side selects its pods", func(g Gomega) {
				g.Expect(s.stableSide(g)).To(Equal(hash))
				g.Expect(s.Endpoints("shop-stable")).To(HaveLen(3))
			})
			s.atStep()
			s.verdict(inStep(c.outcome))
			c.ends(s)
			s.Push("v3")
			s.promoted("v3", 3)
			s.Served()
		})
	}
	t.Run("a name is taken", func(t *testing.T) {
		t.Parallel()
		s := open(t, 3, nil)
		s.collide()
		s.madeAgain("v1")
		s.Push("v2")
		s.promoted("v2", 3)
		// Back to a version whose set has an older hash than the one that it would get.
		s.Push("v1")
		s.promoted("v1", 3)
		s.Served()
		if s.rollout().Status.Stable.Image != cluster.Image("v1") {
			t.Error("v1 does not serve")
		}
	})
}
