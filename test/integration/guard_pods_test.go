package integration

import (
	"context"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestBelayDeletesPodsOfStatefulSetsAlone: its right to delete pods reaches no other pod,
// whoever wrote the label or the owner that looks like one.
func TestBelayDeletesPodsOfStatefulSetsAlone(t *testing.T) {
	belay := as(t, controller)
	allowed(t, admin, controller, "delete", "", "pods")
	owner := func(group, kind string, controls bool) []metav1.OwnerReference {
		return []metav1.OwnerReference{{APIVersion: group, Kind: kind, Name: "owner", UID: "7a3b", Controller: ptr.To(controls)}}
	}
	for name, c := range map[string]struct {
		owners []metav1.OwnerReference
		may    bool
	}{
		"of-a-statefulset":           {owner("apps/v1", "StatefulSet", true), true},
		"of-a-replicaset":            {owner("apps/v1", "ReplicaSet", true), false},
		"of-a-daemonset":             {owner("apps/v1", "DaemonSet", true), false},
		"of-a-job":                   {owner("batch/v1", "Job", true), false},
		"bare":                       {nil, false},
		"beside-a-statefulset":       {owner("apps/v1", "StatefulSet", false), false},
		"of-another-groups-set":      {owner("apps.kruise.io/v1beta1", "StatefulSet", true), false},
		"of-two-and-the-set-is-none": {append(owner("apps/v1", "StatefulSet", false), owner("apps/v1", "ReplicaSet", true)...), false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod-" + name, Namespace: "shop", Labels: map[string]string{"controller-revision-hash": "owner-1"}, OwnerReferences: c.owners},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app:v1"}}}}
			create(t, p)
			t.Cleanup(func() { _ = admin.Delete(context.WithoutCancel(t.Context()), p) })
			err := belay.Delete(t.Context(), p, client.Preconditions{UID: &p.UID})
			if c.may {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
			g.Expect(err).To(MatchError(And(ContainSubstring("belay-guard-pods"), ContainSubstring("deletes pods of StatefulSets alone"))))
			err = belay.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace("shop"))
			g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "no right for a collection: %v", err)
			g.Expect(admin.Delete(t.Context(), p)).To(Succeed(), "nobody else is concerned")
		})
	}
}
