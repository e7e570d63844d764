package gateway_test

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/gateway/gatewaytest"
)

// TestThePreview: it selects by the Deployment's selector, and has the ports of the user's
// Service and none of its labels.
func TestThePreview(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	w := open(t)
	gatewaytest.Update(w, "shop", &corev1.Service{}, func(s *corev1.Service) {
		s.Labels, s.Spec.Type, s.Spec.Ports[0].NodePort = map[string]string{"team": "a"}, corev1.ServiceTypeNodePort, 30080
	})
	users := service(w, "shop").ResourceVersion
	target := w.Target()
	target.Preview, target.Selector = true, map[string]string{"app": "shop", "track": "main"}
	g.Expect(w.Router().PointPreview(ctx, target, "")).To(Succeed())
	s := service(w, "shop-preview")
	g.Expect(s.Labels).To(Equal(map[string]string{"belay.dev/rollout": "shop", "belay.dev/role": "preview"}))
	g.Expect(s.Spec.Selector).To(Equal(map[string]string{"app": "shop", "track": "main"}))
	g.Expect(s.Spec.Type).To(Equal(corev1.ServiceTypeClusterIP))
	g.Expect(s.Spec.Ports).To(Equal([]corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString("http")}}))
	g.Expect(w.Router().PointPreview(ctx, target, target.CanaryHash)).To(Succeed())
	s = service(w, "shop-preview")
	g.Expect(s.Labels).To(HaveKeyWithValue("belay.dev/pod-template-hash", target.CanaryHash))
	g.Expect(s.Spec.Selector).To(Equal(map[string]string{"app": "shop", "track": "main", "pod-template-hash": target.CanaryHash}))
	g.Expect(w.Router().PointPreview(ctx, target, "")).To(Succeed())
	g.Expect(service(w, "shop-preview").Spec.Selector).To(Equal(map[string]string{"app": "shop", "track": "main"}))
	g.Expect(service(w, "shop-preview").Labels).NotTo(HaveKey("belay.dev/pod-template-hash"))
	g.Expect(target.Selector).To(HaveLen(2), "the target is left as it is")
	g.Expect(service(w, "shop").ResourceVersion).To(Equal(users), "the user's Service is never written")
}

// TestThePreviewIsKeptWhole: what somebody changes is seen, whatever it selects.
func TestThePreviewIsKeptWhole(t *testing.T) {
	for name, c := range map[string]struct {
		of     string
		change func(*corev1.Service)
	}{
		"a port":                       {"shop-preview", func(s *corev1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromInt32(8080) }},
		"a key more":                   {"shop-preview", func(s *corev1.Service) { s.Spec.Selector["tier"] = "web" }},
		"the hash that slices inherit": {"shop-preview", func(s *corev1.Service) { delete(s.Labels, "belay.dev/pod-template-hash") }},
		"a port of the user's":         {"shop", func(s *corev1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromInt32(9090) }},
	} {
		t.Run(name, func(t *testing.T) {
			g, ctx := NewWithT(t), t.Context()
			w := open(t)
			target := w.Target()
			target.Preview = true
			g.Expect(w.Router().PointPreview(ctx, target, target.CanaryHash)).To(Succeed())
			g.Expect(observed(t, w, target).Preview).To(HaveValue(Equal(traffic.Preview{Hash: target.CanaryHash, Current: true})))
			gatewaytest.Update(w, c.of, &corev1.Service{}, c.change)
			g.Expect(observed(t, w, target).Preview).To(HaveValue(Equal(traffic.Preview{Hash: target.CanaryHash})))
			g.Expect(w.Router().PointPreview(ctx, target, target.CanaryHash)).To(Succeed())
			g.Expect(observed(t, w, target).Preview.Current).To(BeTrue())
		})
	}
}

// TestAPreviewThatIsNotBelaysStays: it is said where one is asked for, never written and never
// deleted, and the routes can be used.
func TestAPreviewThatIsNotBelaysStays(t *testing.T) {
	for name, labels := range map[string]map[string]string{
		"without a label": nil, "of another Rollout": {"belay.dev/rollout": "other", "belay.dev/role": "preview"}, "of another role": {"belay.dev/rollout": "shop", "belay.dev/role": "canary"},
	} {
		t.Run(name, func(t *testing.T) {
			g, ctx := NewWithT(t), t.Context()
			w := open(t)
			theirs := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "shop-preview", Labels: labels}, Spec: corev1.ServiceSpec{Selector: map[string]string{"a": "b"}, Ports: []corev1.ServicePort{{Port: 1}}}}
			w.Create(theirs)
			const words = `Service "shop-preview" exists and was not created by Belay, which needs that name: rename it`
			target := w.Target()
			g.Expect(observed(t, w, target).Preview).To(BeNil(), "nobody asks for one")
			target.Preview = true
			g.Expect(observed(t, w, target).Preview.Fault).To(ContainSubstring(words))
			g.Expect(w.Router().PointPreview(ctx, target, "")).To(And(MatchError(traffic.ErrUnusable), MatchError(ContainSubstring(words))))
			g.Expect(w.Router().RemovePreview(ctx, target)).To(Succeed())
			g.Expect(w.Router().Remove(ctx, target)).To(Succeed())
			g.Expect(service(w, "shop-preview").ResourceVersion).To(Equal(theirs.ResourceVersion))
		})
	}
}
