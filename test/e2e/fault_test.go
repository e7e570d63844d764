package e2e

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/hack/stage"
)

// breakPrometheus ends the real one, and repairs it when the journey is over.
func breakPrometheus(ctx context.Context) {
	GinkgoHelper()
	By("ending Prometheus")
	Expect(set.Break(ctx, "prometheus")).To(Succeed())
	DeferCleanup(set.Repair, NodeTimeout(time.Minute))
}

var _ = Describe("When something breaks", func() {
	It("a push while the controller is dead waits, unserved, until it is back", func(ctx context.Context) {
		j := begin(ctx, "dead")
		By("ending the controller")
		Expect(set.Scale(ctx, 0)).To(Succeed())
		DeferCleanup(func(ctx context.Context) { Expect(set.Scale(ctx, 2)).To(Succeed()) }, NodeTimeout(2*time.Minute))
		Expect(j.Release(ctx, images["errors"])).To(Succeed())
		By("holding the push back without Belay")
		Consistently(func(g Gomega) {
			deployment, err := j.Deployment(ctx)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(deployment.Spec.Paused).To(BeTrue())
			g.Expect(deployment.Spec.Template.Spec.Containers[0].Image).To(Equal(images["errors"]))
			pods := &corev1.PodList{}
			g.Expect(set.Client.List(ctx, pods, client.InNamespace(j.Namespace))).To(Succeed())
			g.Expect(pods.Items).To(HaveEach(HaveField("Spec.Containers", HaveEach(HaveField("Image", images["v1"])))))
		}).WithContext(ctx).WithTimeout(5 * time.Second).Should(Succeed())
		j.onlyServed(ctx, "v1")
		By("starting the controller")
		Expect(set.Scale(ctx, 2)).To(Succeed())
		entry, err := j.Finished(ctx, images["errors"])
		Expect(err).NotTo(HaveOccurred())
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomeRolledBack))
		Expect(entry.Trigger).To(Equal("shop/availability"))
		j.onlyServed(ctx, "v1")
		j.noneFailed("errors")
	}, Serial, NodeTimeout(journeyLimit))

	It("deleting the Rollout in the middle of a step leaves the stable version serving", func(ctx context.Context) {
		j := begin(ctx, "delete")
		Expect(j.Release(ctx, images["v2"])).To(Succeed())
		before := j.atFirstWeight(ctx)
		By("deleting the Rollout")
		Expect(set.Client.Delete(ctx, before)).To(Succeed())
		Eventually(func(g Gomega) {
			_, err := j.Rollout(ctx)
			g.Expect(apierrors.IsNotFound(err)).To(BeTrue())
		}).WithContext(ctx).Should(Succeed())
		j.onlyServed(ctx, "v1")
		route := &gatewayv1.HTTPRoute{}
		Expect(set.Client.Get(ctx, j.Key(), route)).To(Succeed())
		Expect(route.Spec.Rules[0].BackendRefs).To(HaveExactElements(HaveField("Name", BeEquivalentTo(stage.Name))))
		sets := &appsv1.ReplicaSetList{}
		Expect(set.Client.List(ctx, sets, client.InNamespace(j.Namespace), client.MatchingLabels{v1alpha1.LabelRole: v1alpha1.RoleCanary})).To(Succeed())
		Expect(sets.Items).To(BeEmpty())
		By("finding the run's record, though its Rollout is gone")
		run, err := j.Run(ctx, before.Status.Run)
		Expect(err).NotTo(HaveOccurred())
		Expect(run.Status.Outcome).To(Equal(v1alpha1.OutcomeCancelled))
		j.noneFailed("")
	}, NodeTimeout(journeyLimit))

	It("another replica takes over when the leader dies in the middle of a step", func(ctx context.Context) {
		j := begin(ctx, "leader")
		Expect(j.Release(ctx, images["v2"])).To(Succeed())
		before := j.atFirstWeight(ctx)
		dead := leader(ctx)
		By("ending the leader, " + dead)
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "belay", Name: dead}}
		Expect(set.Client.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
		By("waiting for another leader")
		Eventually(func() string { return leader(ctx) }).WithContext(ctx).WithTimeout(time.Minute).ShouldNot(Or(BeEmpty(), Equal(dead)))
		entry, err := j.Finished(ctx, images["v2"])
		Expect(err).NotTo(HaveOccurred())
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomePromoted))
		Expect(entry.Run).To(Equal(before.Status.Run), "the new leader goes on where the old one stopped")
		j.onlyServed(ctx, "v2")
		j.noneFailed("")
		run := j.evidenceOf(ctx, entry)
		Expect(run.Status.Decisions).To(HaveEach(HaveField("Missing", BeZero())))
	}, Serial, NodeTimeout(journeyLimit))

	It("a step without Prometheus holds, neither passed nor failed, and goes on when it is back", func(ctx context.Context) {
		j := begin(ctx, "blind")
		Expect(j.Release(ctx, images["v2"])).To(Succeed())
		j.atFirstWeight(ctx)
		breakPrometheus(ctx)
		held := j.until(ctx, "hold as Error", func(r *v1alpha1.Rollout) bool {
			d := r.Status.Decision
			return d != nil && d.Rule == "StepUndecided" && hasVerdict(r, v1alpha1.VerdictError)
		})
		By("saying so to somebody on call")
		Expect(j.onCall(ctx).does(ctx, "status")).To(And(ContainSubstring("HOLDING at 20 %"), ContainSubstring("is Error (")))
		By("holding for longer than the step asks for")
		Consistently(func(g Gomega) {
			r, err := j.Rollout(ctx)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseStepping))
			g.Expect(r.Status.Step.Index).To(Equal(held.Status.Step.Index))
			g.Expect(r.Status.Step.Weight.Observed).To(BeEquivalentTo(20))
		}).WithContext(ctx).WithTimeout(8 * time.Second).Should(Succeed())
		By("starting Prometheus")
		Expect(set.Repair(ctx)).To(Succeed())
		entry, err := j.Finished(ctx, images["v2"])
		Expect(err).NotTo(HaveOccurred())
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomePromoted))
		j.onlyServed(ctx, "v2")
		j.noneFailed("")
		j.evidenceOf(ctx, entry)
	}, Serial, NodeTimeout(journeyLimit))
})

// leader is the pod that holds Belay's lease, whose holder is its host name and
// a number of its process; empty while there is none.
func leader(ctx context.Context) string {
	GinkgoHelper()
	lease := &coordinationv1.Lease{}
	Expect(set.Client.Get(ctx, client.ObjectKey{Namespace: "belay", Name: "belay-controller"}, lease)).To(Succeed())
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	pod, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	return pod
}

func hasVerdict(r *v1alpha1.Rollout, outcome v1alpha1.VerdictOutcome) bool {
	for _, v := range r.Status.Verdicts {
		if v.Outcome == outcome {
			return true
		}
	}
	return false
}
