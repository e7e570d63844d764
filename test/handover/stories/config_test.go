package stories

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/handover/cluster"
)

// TestConfigurationIsNoVersion: another content of a ConfigMap changes no template, so
// that nothing is held, which the status says beforehand. A name that changes with the
// content makes a version of it.
func TestConfigurationIsNoVersion(t *testing.T) {
	t.Parallel()
	s := open(t, 2, func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "flags"}}}}
	})
	s.until("the status says so", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Message).To(And(HavePrefix("serving "+image("v1")+"; note: the template names ConfigMap flags"), ContainSubstring("is no new version")))
	})
	s.kubectl("create", "configmap", "flags", "--from-literal=A=1")
	s.kubectl("patch", "configmap", "flags", "-p", `{"data":{"A":"2"}}`)
	s.Stays("no version is held", 2*time.Second, func(g Gomega) {
		g.Expect(s.rollout().Status.Phase).To(Equal(v1alpha1.PhaseStable))
		g.Expect(s.Deployment().Spec.Paused).To(BeFalse())
	})
	s.verdict(always(v1alpha1.VerdictInconclusive))
	s.PatchDeployment(types.StrategicMergePatchType, fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":%q,"envFrom":[{"configMapRef":{"name":"flags-5c8k2b4f7m"}}]}]}}}}`, cluster.Name))
	s.atStep()
	s.verdict(nil)
	s.until("the configuration is promoted, and nothing is to be said", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseStable))
		g.Expect(r.Status.Message).To(Equal("serving " + image("v1")))
	})
	s.Served()
	s.made(map[string]int{"v1": 4})
}
