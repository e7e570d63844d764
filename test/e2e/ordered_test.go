package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/hack/stage"
)

var _ = Describe("A StatefulSet", func() {
	It("takes a bad version back from its last pod, promotes a good one on the same volumes, and holds without Belay", func(ctx context.Context) {
		shop := set.Shop(prefix + "ordered")
		shop.Ordered = true
		starts := makeVolumes(ctx, shop, 5)
		j := beginWith(ctx, shop)
		before := j.pods(ctx)
		Expect(before).To(HaveLen(4))

		entry := j.release(ctx, "errors")
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomeRolledBack), entry.Message)
		Expect(entry.Trigger).To(Equal("shop/availability"))
		j.until(ctx, "end the rollback", inPhase(v1alpha1.PhaseRolledBack))
		j.serves(ctx, "v1", 4)
		j.onlyServed(ctx, "v1")
		after := j.pods(ctx)
		for _, name := range []string{"shop-0", "shop-1", "shop-2"} {
			Expect(after[name].UID).To(Equal(before[name].UID), name+" has nothing to do with it")
			Expect(starts(name)).To(HaveExactElements("v1"))
		}
		Expect(starts("shop-3")).To(HaveExactElements("v1", "errors", "v1"), "the one pod that had the version, on its volume")
		verdict := judged(j.evidenceOf(ctx, entry), "availability")
		Expect(verdict.FirstFailAt).NotTo(BeNil())

		By("releasing v2")
		Expect(j.Release(ctx, images["v2"])).To(Succeed())
		j.until(ctx, "bake", inPhase(v1alpha1.PhaseBaking))
		Expect(j.podsOf(ctx, "v1")).To(HaveExactElements("shop-0"), "one pod keeps the way back open")
		entry, err := j.Finished(ctx, images["v2"])
		Expect(err).NotTo(HaveOccurred())
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomePromoted), entry.Message)
		j.until(ctx, "be Ready", func(r *v1alpha1.Rollout) bool {
			return r.Status.Stable.Image == images["v2"] && r.Status.Phase == v1alpha1.PhaseStable
		})
		j.serves(ctx, "v2", 4)
		j.onlyServed(ctx, "v2")
		for _, name := range []string{"shop-0", "shop-1", "shop-2"} {
			Expect(starts(name)).To(HaveExactElements("v1", "v2"), name)
		}
		Expect(starts("shop-3")).To(HaveExactElements("v1", "errors", "v1", "v2"))
		Expect(judged(j.evidenceOf(ctx, entry), "availability").Outcome).To(Equal(v1alpha1.VerdictPass))

		j.holdsWithoutBelay(ctx)
		Expect(starts("shop-4")).To(HaveExactElements("v2"))
		// A pod of a StatefulSet ends before its successor begins, and serves until then.
		j.noneFailed("errors")
	}, Serial, NodeTimeout(2*journeyLimit))
})

// holdsWithoutBelay pushes v3 to 4 pods of v2 and scales to 5 while there is no controller.
func (j *journey) holdsWithoutBelay(ctx context.Context) {
	GinkgoHelper()
	By("ending the controller")
	Expect(set.Scale(ctx, 0)).To(Succeed())
	DeferCleanup(func(ctx context.Context) { Expect(set.Scale(ctx, 2)).To(Succeed()) }, NodeTimeout(2*time.Minute))
	before := j.pods(ctx)
	Expect(j.Release(ctx, images["v3"])).To(Succeed())
	Expect(j.Scale(ctx, 5)).To(Succeed())
	j.serves(ctx, "v2", 5)
	By("holding the push back without Belay")
	Consistently(func(g Gomega) {
		ordered := &appsv1.StatefulSet{}
		g.Expect(set.Client.Get(ctx, j.Key(), ordered)).To(Succeed())
		g.Expect(ordered.Spec.Template.Spec.Containers[0].Image).To(Equal(images["v3"]))
		g.Expect(ordered.Spec.UpdateStrategy.RollingUpdate.Partition).To(HaveValue(Equal(v1alpha1.PartitionHold)))
		g.Expect(ordered.Status.ObservedGeneration).To(Equal(ordered.Generation), "Kubernetes has seen the push")
		g.Expect(ordered.Status.UpdateRevision).NotTo(Equal(ordered.Status.CurrentRevision))
		g.Expect(j.podsOf(ctx, "v2")).To(HaveLen(5))
	}).WithContext(ctx).WithTimeout(5 * time.Second).Should(Succeed())
	after := j.pods(ctx)
	for name := range before {
		Expect(after[name].UID).To(Equal(before[name].UID), name)
	}
	j.onlyServed(ctx, "v2")
}

// pods are the shop's, by name.
func (j *journey) pods(ctx context.Context) map[string]corev1.Pod {
	GinkgoHelper()
	list := &corev1.PodList{}
	Expect(set.Client.List(ctx, list, client.InNamespace(j.Namespace), client.MatchingLabels{"app": stage.Name})).To(Succeed())
	pods := map[string]corev1.Pod{}
	for _, pod := range list.Items {
		pods[pod.Name] = pod
	}
	return pods
}

// serves waits until there are so many pods, and all are ready and of one version.
func (j *journey) serves(ctx context.Context, version string, count int) {
	GinkgoHelper()
	By(fmt.Sprintf("having %d ready pods of %s", count, version))
	ready := func(pod corev1.Pod) bool {
		return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
	}
	Eventually(func(g Gomega) {
		pods := j.pods(ctx)
		g.Expect(pods).To(HaveLen(count))
		g.Expect(pods).To(HaveEach(And(Satisfy(ready), HaveField("Spec.Containers", HaveEach(HaveField("Image", images[version]))))))
	}).WithContext(ctx).WithTimeout(time.Minute).Should(Succeed())
}

// makeVolumes makes a volume for each of the first pods of a shop, of folders of this machine, which
// is the local cluster's only node. It returns what tells the versions that a pod's volume has seen
// start, all of them in the pod of its name.
func makeVolumes(ctx context.Context, shop stage.Shop, pods int) func(pod string) []string {
	GinkgoHelper()
	folders := GinkgoT().TempDir()
	for i := range pods {
		pod := fmt.Sprintf("%s-%d", stage.Name, i)
		folder := filepath.Join(folders, pod)
		Expect(os.Mkdir(folder, 0o755)).To(Succeed())
		// Pods are not root. No umask takes this back.
		Expect(os.Chmod(folder, 0o777)).To(Succeed())
		volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: shop.Namespace + "-" + pod}, Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: folder, Type: new(corev1.HostPathDirectory)}},
			ClaimRef:                      &corev1.ObjectReference{Namespace: shop.Namespace, Name: "data-" + pod},
		}}
		// One that a crash has left is bound to a claim that is gone.
		Expect(client.IgnoreNotFound(set.Client.Delete(ctx, volume))).To(Succeed())
		Eventually(set.Client.Create).WithArguments(ctx, volume).WithContext(ctx).Should(Succeed())
		DeferCleanup(func(ctx context.Context) { Expect(set.Client.Delete(ctx, volume)).To(Succeed()) })
	}
	return func(pod string) []string {
		GinkgoHelper()
		content, err := os.ReadFile(filepath.Join(folders, pod, "starts"))
		Expect(err).NotTo(HaveOccurred())
		var versions []string
		for line := range strings.Lines(string(content)) {
			host, version, _ := strings.Cut(strings.TrimSpace(line), " ")
			Expect(host).To(Equal(pod), "a volume belongs to one pod")
			versions = append(versions, version)
		}
		return versions
	}
}
