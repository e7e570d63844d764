package stories

import (
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/handover/cluster"
)

// Situations that people have reported, with Kubernetes' own EndpointSlices.

// openNamed is open for an application whose Service finds its pods' port by the
// name http.
func openNamed(t *testing.T, fields ...func(map[string]any)) *shop {
	t.Helper()
	s := open(t, 2, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Ports[0].Name = "http" }, fields...)
	s.targetPort("http")
	return s
}

// targetPort changes the name by which the Service finds its pods' port.
func (s *shop) targetPort(name string) {
	s.T.Helper()
	s.patchService(fmt.Sprintf(`{"spec":{"ports":[{"name":"http","port":80,"protocol":"TCP","targetPort":%q}]}}`, name))
}

func (s *shop) patchService(document string) {
	s.T.Helper()
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: cluster.Name, Namespace: s.Namespace}}
	s.Must(admin.Patch(s.T.Context(), service, client.RawPatch(types.MergePatchType, []byte(document))))
}

// pushPort declares a version whose ports have these names.
func (s *shop) pushPort(version string, names ...string) {
	s.T.Helper()
	var ports []string
	for i, name := range names {
		ports = append(ports, fmt.Sprintf(`{"containerPort":%d,"name":%q,"protocol":"TCP"}`, 80+i, name))
	}
	s.PatchDeployment(types.JSONPatchType, fmt.Sprintf(`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":%q},
		{"op":"replace","path":"/spec/template/spec/containers/0/ports","value":[%s]}]`, image(version), strings.Join(ports, ",")))
}

// noRequests: the version has never had a share of the route's requests, and
// nobody else went without an answer.
func (s *shop) noRequests(version string) {
	s.T.Helper()
	s.Served()
	if got := s.Requests().Routed[image(version)]; got > 0 {
		s.T.Errorf("%.1f requests through the route reached %s", got, version)
	}
}

// TestARenamedPort (case 01): pods that are ready, and that no gateway can reach
// because the port's name is not the Service's any more. They get no share, and the
// message names the port.
func TestARenamedPort(t *testing.T) {
	t.Parallel()
	t.Run("held in the first step", func(t *testing.T) {
		t.Parallel()
		s := openNamed(t)
		s.pushPort("v2", "web")
		s.until("the message names the port", func(g Gomega, r *v1alpha1.Rollout) {
			g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseStepping))
			g.Expect(r.Status.Message).To(And(ContainSubstring(`1 pod of the candidate is ready, but without a port named "http"`), ContainSubstring(`port 80 of Service "shop"`), ContainSubstring("would fail with status 503")))
		})
		s.Stays("the canary has no share", 3*time.Second, func(g Gomega) { g.Expect(s.served()).To(Equal([]string{"shop-stable"})) })
		// The fix is another version.
		s.pushPort("v3", "http")
		s.promoted("v3", 2)
		s.noRequests("v2")
	})
	t.Run("rolled back at its deadline", func(t *testing.T) {
		t.Parallel()
		s := openNamed(t, func(spec map[string]any) {
			spec["stepDeadline"], spec["onDeadline"] = "10s", "Rollback"
		})
		s.pushPort("v2", "web")
		s.rolledBack(2)
		s.noRequests("v2")
	})
	t.Run("of the version before", func(t *testing.T) {
		t.Parallel()
		s := openNamed(t, func(spec map[string]any) { spec["fastRevert"] = map[string]any{"revisions": int64(1)} })
		s.pushPort("v2", "http", "web")
		s.promoted("v2", 2)
		s.targetPort("web")
		before := s.Requests().Routed[image("v1")]
		// It would go to 100 % without steps.
		s.pushPort("v1", "http")
		s.until("the message names the port", func(g Gomega, r *v1alpha1.Rollout) {
			g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhasePromoting))
			g.Expect(r.Status.Message).To(ContainSubstring(`without a port named "web"`))
			g.Expect(s.Set("v1").Status.AvailableReplicas).NotTo(BeZero())
		})
		s.Stays("it has no share", 2*time.Second, func(g Gomega) { g.Expect(s.served()).To(Equal([]string{"shop-stable"})) })
		s.pushPort("v2", "http", "web")
		s.promoted("v2", 2)
		s.Served()
		if after := s.Requests().Routed[image("v1")]; after > before {
			t.Errorf("%.1f requests through the route reached v1", after-before)
		}
	})
	t.Run("the Service changes in a step", func(t *testing.T) {
		t.Parallel()
		s := openNamed(t)
		s.verdict(always(v1alpha1.VerdictInconclusive))
		s.pushPort("v2", "http")
		s.atStep()
		kube.Gateway.Close(s.Namespace)
		s.targetPort("web")
		s.until("the message names the port", func(g Gomega, r *v1alpha1.Rollout) {
			g.Expect(r.Status.Message).To(ContainSubstring(`without a port named "web"`))
		})
		s.verdict(nil)
		s.Stays("nothing is promoted", 2*time.Second, func(g Gomega) {
			g.Expect(s.rollout().Status.Stable.Image).To(Equal(image("v1")))
			g.Expect(s.Deployment().Spec.Paused).To(BeTrue())
		})
		s.targetPort("http")
		s.servesAgain()
		s.promoted("v2", 2)
		s.Served()
	})
}

// TestSelectorAndLabelsChangeTogether (case 03): one apply gives the pods a label
// and makes the Service select by it. It is said before the run, and no run starts
// while the Service selects one version alone.
func TestSelectorAndLabelsChangeTogether(t *testing.T) {
	t.Parallel()
	s := open(t, 2, nil)
	kube.Gateway.Close(s.Namespace)
	s.patchService(`{"spec":{"selector":{"app":"shop","tier":"web"}}}`)
	s.PatchDeployment(types.StrategicMergePatchType, fmt.Sprintf(
		`{"spec":{"template":{"metadata":{"labels":{"tier":"web"}},"spec":{"containers":[{"name":%q,"image":%q}]}}}}`, cluster.Name, image("v2")))
	s.until("the message says what does not match", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Message).To(And(ContainSubstring(`Service "shop" selects "tier=web"`), ContainSubstring(`the pods of the stable version have no label "tier"`)))
		g.Expect(reasonOf(r, v1alpha1.ConditionReady)).To(Equal(v1alpha1.ReasonServiceUnusable))
		g.Expect(r.Status.Run).To(BeEmpty(), "no run has started")
	})
	s.patchService(`{"spec":{"selector":{"app":"shop","tier":null}}}`)
	s.servesAgain()
	s.promoted("v2", 2)
	s.Served()
	// Now every version has the label.
	s.patchService(`{"spec":{"selector":{"app":"shop","tier":"web"}}}`)
	s.Push("v3")
	s.until("v3 is promoted", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseStable))
		g.Expect(r.Status.Stable.Image).To(Equal(image("v3")))
	})
	s.Served()
}

// TestTheSelectorChangesInAStep: the pair selects by the Deployment's own selector,
// so that both sides go on serving; and the rollback does not need the Service.
func TestTheSelectorChangesInAStep(t *testing.T) {
	t.Parallel()
	s := open(t, 2, nil)
	s.verdict(always(v1alpha1.VerdictInconclusive))
	s.Push("v2")
	s.atStep()
	before := s.Requests()
	s.patchService(`{"spec":{"selector":{"app":"shop","tier":"web"}}}`)
	s.until("the message says what does not match", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Message).To(ContainSubstring(`Service "shop" selects "tier=web"`))
	})
	s.verdict(always(v1alpha1.VerdictFail))
	s.until("the traffic is taken back, and the canary goes", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseRollingBack))
		g.Expect(s.served()).To(Equal([]string{"shop-stable"}))
		g.Expect(s.Set("v2")).To(BeNil())
		g.Expect(r.Status.Message).To(ContainSubstring(`cannot go back to Service "shop" yet: it has no ready endpoint`))
	})
	for _, failure := range s.Requests().Failures {
		if !strings.Contains(failure, "a direct call") {
			t.Errorf("a request through the route: %s", failure)
		}
	}
	if s.Requests().Routed[image("v1")] <= before.Routed[image("v1")] {
		t.Error("nothing was answered through the route")
	}
	s.patchService(`{"spec":{"selector":{"app":"shop","tier":null}}}`)
	s.rolledBack(2)
}

// TestAServiceOverTwoDeployments is refused before the run, by name: the other
// one's pods would get no requests during it.
func TestAServiceOverTwoDeployments(t *testing.T) {
	t.Parallel()
	s := open(t, 2, nil)
	labels := map[string]string{"app": cluster.Name, "part": "b"}
	one := int32(1)
	other := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "shop-b", Namespace: s.Namespace}, Spec: appsv1.DeploymentSpec{Replicas: &one,
		Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: *s.Deployed.Spec.Template.DeepCopy()}}
	other.Spec.Template.Labels = labels
	s.Must(admin.Create(t.Context(), other))
	s.Push("v2")
	s.until("the message names the other one", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Message).To(And(ContainSubstring(`Service "shop" also selects the pods of Deployment "shop-b"`), ContainSubstring("add a label to the selector")))
		g.Expect(reasonOf(r, v1alpha1.ConditionReady)).To(Equal(v1alpha1.ReasonServiceUnusable))
		g.Expect(r.Status.Run).To(BeEmpty(), "no run has started")
	})
	s.Must(admin.Delete(t.Context(), other, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	s.promoted("v2", 2)
	s.Served()
}

func reasonOf(r *v1alpha1.Rollout, kind string) string {
	for _, c := range r.Status.Conditions {
		if c.Type == kind {
			return c.Reason
		}
	}
	return ""
}
