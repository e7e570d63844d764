package handover

import (
	"testing"

	. "github.com/onsi/gomega"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/test/handover/cluster"
)

// metric is what the autoscalers of these tests scale by.
const metric = "load"

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
