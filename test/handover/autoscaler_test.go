package handover

import (
	"testing"

	. "github.com/onsi/gomega"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/controllers/workload"
	"belay.dev/belay/test/handover/cluster"
)

// metric is what the autoscalers of these tests scale by.
const metric = "load"

// autoscaleCPU lets a real autoscaler keep the pods at 80 % of the CPU that they
// request, a tenth of a core each.
func (s *shop) autoscaleCPU() {
	s.T.Helper()
	one, target := int32(1), int32(80)
	s.Must(admin.Create(s.T.Context(), &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: cluster.Name, Namespace: s.Namespace}, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: cluster.Name}, MinReplicas: &one, MaxReplicas: 30,
		Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{Name: corev1.ResourceCPU,
			Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &target}}}}}}))
}

// autoscale lets a real autoscaler keep a metric at 10: for each pod, or in all.
func (s *shop) autoscale(kind autoscalingv2.MetricTargetType) {
	s.T.Helper()
	ten, one := resource.MustParse("10"), int32(1)
	target := autoscalingv2.MetricTarget{Type: kind}
	if kind == autoscalingv2.AverageValueMetricType {
		target.AverageValue = &ten
	} else {
		target.Value = &ten
	}
	s.Must(admin.Create(s.T.Context(), &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: cluster.Name, Namespace: s.Namespace}, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: cluster.Name}, MinReplicas: &one, MaxReplicas: 30,
		Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{
			Metric: autoscalingv2.MetricIdentifier{Name: metric}, Target: target}}}}}))
}

// wants waits until the autoscaler has looked at what is there now, and wants
// this many.
func (s *shop) wants(replicas int32) {
	s.T.Helper()
	s.Eventually("what the autoscaler wants", func(g Gomega) {
		g.Expect(*s.Deployment().Spec.Replicas).To(Equal(replicas))
		hpa := &autoscalingv2.HorizontalPodAutoscaler{}
		g.Expect(admin.Get(s.T.Context(), s.Key(), hpa)).To(Succeed())
		g.Expect(hpa.Status.DesiredReplicas).To(Equal(replicas))
	})
}

// TestAverageValueDoesNotCountTheCanary: an autoscaler by an external average
// divides by the Deployment's own pods.
func TestAverageValueDoesNotCountTheCanary(t *testing.T) {
	s := open(t, 4, nil)
	kube.Metrics.Set(s.Namespace, metric, 40)
	s.autoscale(autoscalingv2.AverageValueMetricType)
	s.wants(4)
	s.hold("v2")
	s.canary("v2", 4)
	s.Stays("the size", 2*during, func(g Gomega) { g.Expect(*s.Deployment().Spec.Replicas).To(Equal(int32(4))) })
	kube.Metrics.Set(s.Namespace, metric, 60)
	s.wants(6)
	s.available("v1", 6)
	kube.Metrics.Set(s.Namespace, metric, 30)
	s.wants(3)
	s.available("v1", 3)
	s.Served()
}

// TestValueCountsEveryPod that the selector matches: with as many canary pods as
// stable ones an autoscaler by an external value wants twice too many.
func TestValueCountsEveryPod(t *testing.T) {
	s := open(t, 4, nil)
	// 0.8 of the target is outside the tolerance and asks for 4 of 4 pods.
	kube.Metrics.Set(s.Namespace, metric, 10)
	s.autoscale(autoscalingv2.ValueMetricType)
	s.wants(4)
	s.hold("v2")
	s.canary("v2", 4)
	kube.Metrics.Set(s.Namespace, metric, 8)
	s.Eventually("it scales up although the load fell", func(g Gomega) { g.Expect(*s.Deployment().Spec.Replicas).To(BeNumerically(">", 4)) })
	s.Served()
}

// TestCPUIsRightForTheLoad: an autoscaler by CPU takes the average over the pods of
// both sides and asks for that many times both: what the load needs. Both sides are
// sized by it.
func TestCPUIsRightForTheLoad(t *testing.T) {
	s := open(t, 4, nil)
	kube.Metrics.SetCPU(s.Namespace, 4*80)
	s.autoscaleCPU()
	s.wants(4)
	s.hold("v2")
	s.canary("v2", 4)
	s.Stays("the size", 2*during, func(g Gomega) { g.Expect(*s.Deployment().Spec.Replicas).To(Equal(int32(4))) })
	kube.Metrics.SetCPU(s.Namespace, 6*80)
	s.wants(6)
	s.available("v1", 6)
	s.Stays("the size", during, func(g Gomega) { g.Expect(*s.Deployment().Spec.Replicas).To(Equal(int32(6))) })
	s.Served()
}

// TestUnreadyCanaryPodsHoldAScaleUpBack: they count as idle. So a canary grows in
// waves.
func TestUnreadyCanaryPodsHoldAScaleUpBack(t *testing.T) {
	s := open(t, 4, nil)
	kube.Metrics.SetCPU(s.Namespace, 4*80)
	s.autoscaleCPU()
	s.wants(4)
	s.Must(kube.Nodes.Behave(t.Context(), s.Namespace, func(p *corev1.Pod) cluster.Behaviour {
		return cluster.Behaviour{End: cluster.Grace, Unready: p.Spec.Containers[0].Image == cluster.Image("v2")}
	}))
	s.hold("v2")
	s.unreadyCanary("v2", 4)
	kube.Metrics.SetCPU(s.Namespace, 6*80)
	s.Stays("no scale-up, although the load is half again as much", 2*during, func(g Gomega) { g.Expect(*s.Deployment().Spec.Replicas).To(Equal(int32(4))) })
	s.Must(admin.Delete(t.Context(), s.Set("v2")))
	s.wants(6)
	s.available("v1", 6)
	s.Served()
}

// unreadyCanary makes a canary whose pods run and do not get ready.
func (s *shop) unreadyCanary(version string, replicas int32) {
	s.T.Helper()
	s.makeRun(version)
	set, err := workload.Canary(s.run, s.live(workload.NewDeployment(), cluster.Name), replicas)
	s.Must(err)
	s.Must(admin.Create(s.T.Context(), set))
	s.Eventually("pods that are not ready", func(g Gomega) {
		pods := &corev1.PodList{}
		g.Expect(admin.List(s.T.Context(), pods, client.InNamespace(s.Namespace), client.MatchingLabels(s.Set(version).Spec.Selector.MatchLabels))).To(Succeed())
		g.Expect(pods.Items).To(HaveLen(int(replicas)))
		for _, p := range pods.Items {
			g.Expect(p.Status.Phase).To(Equal(corev1.PodRunning))
		}
	})
}

// TestAutoscalerInAHandover: the size changes right after the lock, by an
// autoscaler of its own; whatever it meets, the new version serves at the size
// that it wants.
func TestAutoscalerInAHandover(t *testing.T) {
	s := open(t, 4, nil)
	kube.Metrics.Set(s.Namespace, metric, 40)
	s.autoscale(autoscalingv2.AverageValueMetricType)
	s.wants(4)
	s.hold("v2")
	s.canary("v2", 4)
	s.split("v1", "v2", 50)
	s.split100()
	locked := s.lock()
	kube.Metrics.Set(s.Namespace, metric, 90)
	s.wants(9)
	s.give("v2", locked)
	s.recognised("v2")
	s.release()
	s.unpause()
	s.Settled("v2", 9)
	s.Served()
}
