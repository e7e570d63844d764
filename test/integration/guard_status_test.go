package integration

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// replicaSetController writes the status of every ReplicaSet.
const replicaSetController = "system:serviceaccount:kube-system:replicaset-controller"

// TestStatusIsNoWayAroundTheGuard: a write of a Deployment's status can change its
// annotations as well, and one of a ReplicaSet's its labels.
func TestStatusIsNoWayAroundTheGuard(t *testing.T) {
	guarded(t, "by-status", false)
	held(t, dev(t), "by-status")
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "by-status", Namespace: "shop", Labels: map[string]string{"app": "by-status", v1alpha1.LabelRollout: "by-status"}}}
	set.Spec.Selector, set.Spec.Template = deployment("by-status", "app:v1").Spec.Selector, deployment("by-status", "app:v1").Spec.Template
	create(t, set)
	for who, user := range map[string]client.Client{"administrator": admin, "replicaset-controller": as(t, replicaSetController, "system:masters"), "deployment-controller": as(t, deploymentController, "system:masters")} {
		t.Run(who, func(t *testing.T) {
			g := NewWithT(t)
			d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "by-status", Namespace: "shop"}}
			forged := `{"metadata":{"labels":{"belay.dev/rollout":null},"annotations":{"belay.dev/pushed-by":"root","belay.dev/bypass-by":"root","belay.dev/bypass-reason":"1: forged"}},"status":{"observedGeneration":7}}`
			g.Expect(user.Status().Patch(t.Context(), d, client.RawPatch(types.MergePatchType, []byte(forged)))).To(Succeed())
			g.Expect(d.Status.ObservedGeneration).To(BeEquivalentTo(7), "the status is written")
			g.Expect(d.Labels).To(HaveKeyWithValue(v1alpha1.LabelRollout, "by-status"))
			g.Expect(stamps(d)).To(Equal([3]string{"dev (tests)", "", ""}))

			fresh := fmt.Appendf(nil, `{"metadata":{"annotations":{"belay.dev/bypass-reason":"%d: forged"}}}`, d.Generation)
			g.Expect(user.Status().Patch(t.Context(), d, client.RawPatch(types.MergePatchType, fresh))).To(Succeed())
			g.Expect(stamps(d)).To(Equal([3]string{"dev (tests)", "", ""}), "a status lets nothing roll")

			unlabel := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"belay.dev/rollout":null}}}`))
			err := user.Status().Patch(t.Context(), set.DeepCopy(), unlabel, client.DryRunAll)
			if who != "deployment-controller" {
				g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
			}
			observed := fmt.Appendf(nil, `{"status":{"replicas":%d,"observedGeneration":1}}`, 2)
			g.Expect(user.Status().Patch(t.Context(), set.DeepCopy(), client.RawPatch(types.MergePatchType, observed))).To(Succeed())
		})
	}
}
