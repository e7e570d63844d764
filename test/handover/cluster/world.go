package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Name of everything in a World: Deployment, Service, route.
const Name = "shop"

// soon bounds every wait of a test: long enough for a machine that does a lot
// else.
const soon = 60 * time.Second

// Poll is how often a wait looks. Many stories wait beside each other, and each look is several
// requests: more of them would only take the API server's time from those that are waited for.
const Poll = 100 * time.Millisecond

// watch is how often something that must not change is looked at.
const watch = 30 * time.Millisecond

// World is one application in a namespace of its own.
type World struct {
	T         testing.TB
	Namespace string
	// Deployed is the Deployment as it was made.
	Deployed *appsv1.Deployment
	cluster  *Cluster
	// state is what is said when a wait fails.
	state func() string
}

// Image is a version of the application.
func Image(version string) string { return "registry.example/shop:" + version }

// Open makes an application with this many replicas of version v1 in a new
// namespace, behind a Service and a route. change may change the Deployment
// before it is made. The namespace is deleted when the test ends.
func (c *Cluster) Open(t testing.TB, replicas int32, change func(*appsv1.Deployment)) *World {
	t.Helper()
	w := c.world(t)
	labels := map[string]string{"app": Name}
	w.Deployed = &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: Name, Namespace: w.Namespace}, Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: template("v1")}}
	if change != nil {
		change(w.Deployed)
	}
	w.Must(c.Admin.Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: Name, Namespace: w.Namespace},
		Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}))
	w.Must(c.Admin.Create(t.Context(), route(w.Namespace)))
	w.Must(c.Admin.Create(t.Context(), w.Deployed))
	replicas = *w.Deployed.Spec.Replicas
	w.Settled("v1", replicas)
	if replicas > 0 {
		w.Eventually("the Service has endpoints and the gateway follows the route", func(g Gomega) {
			g.Expect(w.Endpoints(Name)).To(HaveLen(int(replicas)))
			g.Expect(c.Gateway.Follows(w.Key())).NotTo(BeNil())
		})
		c.Gateway.Open(w.Namespace, Name, Name)
	}
	return w
}

// world is an empty namespace, which is deleted when the test ends.
func (c *Cluster) world(t testing.TB) *World {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-"}}
	w := &World{T: t, cluster: c}
	w.state = w.String
	w.Must(c.Admin.Create(t.Context(), namespace))
	w.Namespace = namespace.Name
	t.Cleanup(func() {
		c.Gateway.Close(w.Namespace)
		if err := c.Admin.Delete(context.Background(), namespace); err != nil {
			t.Errorf("delete the namespace: %v", err)
		}
	})
	return w
}

// template of the application's pods at a version.
func template(version string) corev1.PodTemplateSpec {
	cpu := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": Name}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: Name, Image: Image(version), Resources: corev1.ResourceRequirements{Requests: cpu}, Ports: []corev1.ContainerPort{{ContainerPort: 80}}}}}}
}

func route(namespace string) *gatewayv1.HTTPRoute {
	port := gatewayv1.PortNumber(80)
	r := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Name: Name, Namespace: namespace}}
	r.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "gateway"}}
	r.Spec.Rules = []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{
		BackendObjectReference: gatewayv1.BackendObjectReference{Name: Name, Port: &port}}}}}}
	return r
}

// Key of everything that is called Name.
func (w *World) Key() types.NamespacedName {
	return types.NamespacedName{Namespace: w.Namespace, Name: Name}
}

// Must ends the test on an error.
func (w *World) Must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// Eventually waits for a condition; what says in words which.
func (w *World) Eventually(what string, holds func(Gomega)) {
	w.T.Helper()
	NewWithT(w.T).Eventually(holds).WithTimeout(soon).WithPolling(Poll).Should(Succeed(), func() string { return what + "\n" + w.state() })
}

// Stays holds a condition against what the controllers do for so long.
func (w *World) Stays(what string, during time.Duration, holds func(Gomega)) {
	w.T.Helper()
	NewWithT(w.T).Consistently(holds).WithTimeout(during).WithPolling(watch).Should(Succeed(), func() string { return what + "\n" + w.state() })
}

// Deployment as it is now.
func (w *World) Deployment() *appsv1.Deployment {
	w.T.Helper()
	d := &appsv1.Deployment{}
	w.Must(w.cluster.Admin.Get(context.WithoutCancel(w.T.Context()), w.Key(), d))
	return d
}

// Sets are the namespace's ReplicaSets.
func (w *World) Sets() []appsv1.ReplicaSet {
	w.T.Helper()
	sets := &appsv1.ReplicaSetList{}
	w.Must(w.cluster.Admin.List(context.WithoutCancel(w.T.Context()), sets, client.InNamespace(w.Namespace)))
	return sets.Items
}

// Set of a version; nil when there is none, or one is going away.
func (w *World) Set(version string) *appsv1.ReplicaSet {
	w.T.Helper()
	for _, set := range w.Sets() {
		if set.Spec.Template.Spec.Containers[0].Image == Image(version) && set.DeletionTimestamp == nil {
			return &set
		}
	}
	return nil
}

// Sizes are the wanted sizes of the sets, by version.
func (w *World) Sizes() map[string]int32 {
	w.T.Helper()
	sizes := map[string]int32{}
	for _, set := range w.Sets() {
		version := strings.TrimPrefix(set.Spec.Template.Spec.Containers[0].Image, Image(""))
		sizes[version] += *set.Spec.Replicas
	}
	return sizes
}

// Endpoints are the ready addresses that the gateway knows behind a Service.
func (w *World) Endpoints(service string) []string {
	w.cluster.Gateway.mu.Lock()
	defer w.cluster.Gateway.mu.Unlock()
	return w.cluster.Gateway.ready[types.NamespacedName{Namespace: w.Namespace, Name: service}]
}

// Made counts the pods that have ever been made, by version.
func (w *World) Made() map[string]int {
	made := map[string]int{}
	for _, p := range w.cluster.Nodes.Made(w.Namespace) {
		made[strings.TrimPrefix(p.Image, Image(""))]++
	}
	return made
}

// Settled waits until the Deployment runs this version alone, at this size.
func (w *World) Settled(version string, replicas int32) {
	w.T.Helper()
	w.Eventually(fmt.Sprintf("%d replicas of %s alone", replicas, version), func(g Gomega) {
		d := w.Deployment()
		g.Expect(d.Status.ObservedGeneration).To(Equal(d.Generation))
		g.Expect(d.Status.Replicas).To(Equal(replicas))
		g.Expect(d.Status.AvailableReplicas).To(Equal(replicas))
		for _, set := range w.Sets() {
			want := int32(0)
			if set.Spec.Template.Spec.Containers[0].Image == Image(version) {
				want = replicas
			}
			g.Expect(*set.Spec.Replicas).To(Equal(want), "the size of "+set.Name)
			g.Expect(set.Status.Replicas).To(Equal(want), "the pods of "+set.Name)
		}
	})
}

// Push declares a version, as its developers do.
func (w *World) Push(version string) {
	w.T.Helper()
	w.PatchDeployment(types.StrategicMergePatchType, fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":%q,"image":%q}]}}}}`, Name, Image(version)))
}

// PatchDeployment changes the Deployment as an administrator.
func (w *World) PatchDeployment(kind types.PatchType, patch string) {
	w.T.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: Name, Namespace: w.Namespace}}
	w.Must(w.cluster.Admin.Patch(w.T.Context(), d, client.RawPatch(kind, []byte(patch))))
}

// Scale is kubectl scale: it writes the scale subresource.
func (w *World) Scale(replicas int32) {
	w.T.Helper()
	scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: Name, Namespace: w.Namespace}}
	w.Must(w.cluster.Admin.SubResource("scale").Update(w.T.Context(), d, client.WithSubResourceBody(scale)))
}

// Kubectl runs a kubectl command in the namespace and returns what it prints.
func (w *World) Kubectl(args ...string) (string, error) {
	w.T.Helper()
	command := exec.CommandContext(w.T.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"),
		append([]string{"--kubeconfig", w.cluster.Kubeconfig, "--cache-dir", filepath.Join(w.cluster.folder, "kubectl"), "-n", w.Namespace}, args...)...)
	out, err := command.CombinedOutput()
	return string(out), err
}

// Requests is what has become of the requests so far.
func (w *World) Requests() Report { return w.cluster.Gateway.Report(w.Namespace) }

// Served fails the test when a request had no answer.
func (w *World) Served() {
	w.T.Helper()
	if r := w.Requests(); r.Failed > 0 {
		w.T.Errorf("%d requests had no answer:\n  %s", r.Failed, strings.Join(r.Failures, "\n  "))
	} else if len(r.Routed) == 0 {
		w.T.Error("no request was ever answered through the route")
	}
}

// String is the state of the world, for the messages of a failed wait.
func (w *World) String() string {
	ctx := context.WithoutCancel(w.T.Context())
	out := fmt.Sprintf("%s: pods ever made %v\n", w.Namespace, w.Made())
	d := &appsv1.Deployment{}
	if err := w.cluster.Admin.Get(ctx, w.Key(), d); err == nil {
		out += fmt.Sprintf("Deployment: generation %d (observed %d), replicas %d, paused %v, labels %v, status replicas %d updated %d available %d\n", d.Generation, d.Status.ObservedGeneration,
			*d.Spec.Replicas, d.Spec.Paused, d.Labels, d.Status.Replicas, d.Status.UpdatedReplicas, d.Status.AvailableReplicas)
	}
	sets := &appsv1.ReplicaSetList{}
	if err := w.cluster.Admin.List(ctx, sets, client.InNamespace(w.Namespace)); err == nil {
		for _, s := range sets.Items {
			owner := "nobody"
			if ref := metav1.GetControllerOf(&s); ref != nil {
				owner = ref.Kind
			}
			out += fmt.Sprintf("  %s of %s, image %s: size %d, pods %d, available %d, annotations %v\n", s.Name, owner, s.Spec.Template.Spec.Containers[0].Image, *s.Spec.Replicas,
				s.Status.Replicas, s.Status.AvailableReplicas, s.Annotations)
		}
	}
	return out
}
