package handover

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/test/handover/cluster"
	"belay.dev/belay/test/world"
)

// TestStatefulSetControllerCases plays on Kubernetes' own StatefulSet controller what
// test/world plays on its model: each case comes to the same.
func TestStatefulSetControllerCases(t *testing.T) {
	t.Parallel()
	for _, c := range world.OrdinalCases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			o := openOrdinals(t, c)
			for i, m := range c.Moves {
				known := len(kube.Nodes.Made(o.namespace))
				m.Do(o)
				rests := func(g Gomega) { g.Expect(o.rests(g)).To(Equal(m.Rests), "after move %d", i+1) }
				NewWithT(t).Eventually(rests).WithTimeout(time.Minute).WithPolling(cluster.Poll).Should(Succeed())
				NewWithT(t).Consistently(rests).WithTimeout(during).WithPolling(cluster.Poll).Should(Succeed())
				if makes := o.makes(known); makes != m.Makes {
					t.Errorf("move %d made %q, not %q", i+1, makes, m.Makes)
				}
			}
		})
	}
}

// ordinals is a StatefulSet on the real control plane.
type ordinals struct {
	t         *testing.T
	namespace string
	parallel  bool

	mu     sync.Mutex
	broken []string
}

var _ world.Ordinals = &ordinals{}

// openOrdinals makes the StatefulSet of a case, and waits until it rests.
func openOrdinals(t *testing.T, c world.OrdinalCase) *ordinals {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "ordinals-"}}
	o := &ordinals{t: t, parallel: c.Parallel}
	o.must(admin.Create(t.Context(), namespace))
	o.namespace = namespace.Name
	t.Cleanup(func() {
		if err := admin.Delete(context.WithoutCancel(t.Context()), namespace); err != nil {
			t.Errorf("delete the namespace: %v", err)
		}
	})
	o.must(kube.Nodes.Behave(t.Context(), o.namespace, o.behave))
	labels := map[string]string{"app": cluster.Name}
	s := o.object()
	s.Spec = appsv1.StatefulSetSpec{Replicas: &c.Replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: cluster.Name, Image: cluster.Image("a")}}}}}
	if c.Parallel {
		s.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
	}
	if c.MaxUnavailable > 0 {
		most := intstr.FromInt32(c.MaxUnavailable)
		s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{MaxUnavailable: &most}
	}
	o.must(admin.Create(t.Context(), s))
	whole := strings.Repeat("a ", int(c.Replicas)) + "a>a"
	NewWithT(t).Eventually(func(g Gomega) { g.Expect(o.rests(g)).To(Equal(whole)) }).WithTimeout(time.Minute).WithPolling(cluster.Poll).Should(Succeed())
	return o
}

func (o *ordinals) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *ordinals) object() *appsv1.StatefulSet {
	return &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: cluster.Name, Namespace: o.namespace}}
}

// behave makes pods ready at once, but those of versions that are broken, and lets them end
// late enough for the controller to have seen what was written before.
func (o *ordinals) behave(pod *corev1.Pod) cluster.Behaviour {
	o.mu.Lock()
	defer o.mu.Unlock()
	return cluster.Behaviour{End: 500 * time.Millisecond, Unready: slices.Contains(o.broken, versionOf(pod.Spec.Containers[0].Image))}
}

func versionOf(image string) string { return strings.TrimPrefix(image, cluster.Image("")) }

func (o *ordinals) patch(format string, args ...any) {
	o.t.Helper()
	o.must(admin.Patch(o.t.Context(), o.object(), client.RawPatch(types.StrategicMergePatchType, fmt.Appendf(nil, format, args...))))
}

// Push implements world.Ordinals.
func (o *ordinals) Push(version string) {
	o.t.Helper()
	o.patch(`{"spec":{"template":{"spec":{"containers":[{"name":%q,"image":%q}]}}}}`, cluster.Name, cluster.Image(version))
}

// Partition implements world.Ordinals.
func (o *ordinals) Partition(partition int32) {
	o.t.Helper()
	o.patch(`{"spec":{"updateStrategy":{"rollingUpdate":{"partition":%d}}}}`, partition)
}

// Scale implements world.Ordinals.
func (o *ordinals) Scale(replicas int32) {
	o.t.Helper()
	scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	o.must(admin.SubResource("scale").Update(o.t.Context(), o.object(), client.WithSubResourceBody(scale)))
}

// Lose implements world.Ordinals.
func (o *ordinals) Lose(ordinal int) {
	o.t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", cluster.Name, ordinal), Namespace: o.namespace}}
	o.must(admin.Delete(o.t.Context(), pod))
}

// Break implements world.Ordinals.
func (o *ordinals) Break(version string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = append(o.broken, version)
}

// rests is what OrdinalMove.Rests says, as it is now.
func (o *ordinals) rests(g Gomega) string {
	s, pods, revisions := o.object(), &corev1.PodList{}, &appsv1.ControllerRevisionList{}
	g.Expect(admin.Get(o.t.Context(), client.ObjectKeyFromObject(s), s)).To(Succeed())
	g.Expect(admin.List(o.t.Context(), pods, client.InNamespace(o.namespace))).To(Succeed())
	g.Expect(admin.List(o.t.Context(), revisions, client.InNamespace(o.namespace))).To(Succeed())
	out := slices.Repeat([]string{"-"}, int(*s.Spec.Replicas))
	for i := range pods.Items {
		var ordinal int
		_, err := fmt.Sscanf(pods.Items[i].Name, cluster.Name+"-%d", &ordinal)
		g.Expect(err).NotTo(HaveOccurred())
		for len(out) <= ordinal {
			out = append(out, "-")
		}
		out[ordinal] = stateOf(&pods.Items[i])
	}
	letters := map[string]string{}
	for i := range revisions.Items {
		template := appsv1.StatefulSet{}
		g.Expect(json.Unmarshal(revisions.Items[i].Data.Raw, &template)).To(Succeed())
		letters[revisions.Items[i].Name] = versionOf(template.Spec.Template.Spec.Containers[0].Image)
	}
	return strings.Join(append(out, letters[s.Status.CurrentRevision]+">"+letters[s.Status.UpdateRevision]), " ")
}

// stateOf is a pod's version, with ! while it is not ready and … while it terminates.
func stateOf(pod *corev1.Pod) string {
	version := versionOf(pod.Spec.Containers[0].Image)
	ready := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
	switch {
	case pod.DeletionTimestamp != nil:
		return version + "…"
	case !ready:
		return version + "!"
	default:
		return version
	}
}

// makes is what OrdinalMove.Makes says of the pods made since so many.
func (o *ordinals) makes(known int) string {
	var out []string
	for _, p := range kube.Nodes.Made(o.namespace)[known:] {
		out = append(out, versionOf(p.Image)+strings.TrimPrefix(p.Name, cluster.Name+"-"))
	}
	return world.Made(out, o.parallel)
}
