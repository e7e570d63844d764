package handover

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/handover/cluster"
)

// Annotations that the Deployment controller keeps on its ReplicaSets.
const (
	revisionAnnotation = "deployment.kubernetes.io/revision"
	desiredAnnotation  = "deployment.kubernetes.io/desired-replicas"
	maxAnnotation      = "deployment.kubernetes.io/max-replicas"
)

// shop is an application, and the moves that Belay makes on it.
type shop struct {
	*cluster.World
	run *v1alpha1.RolloutRun
}

func open(t *testing.T, replicas int32, change func(*appsv1.Deployment)) *shop {
	t.Helper()
	t.Parallel()
	return &shop{World: kube.Open(t, replicas, change)}
}

// hold declares a version on the paused Deployment, as the guard leaves it.
func (s *shop) hold(version string) {
	s.T.Helper()
	s.PatchDeployment(types.MergePatchType, `{"spec":{"paused":true}}`)
	s.Push(version)
	s.observed()
}

// observed waits until the Deployment controller has seen what is declared.
func (s *shop) observed() {
	s.T.Helper()
	s.Eventually("the Deployment is observed", func(g Gomega) {
		d := s.Deployment()
		g.Expect(d.Status.ObservedGeneration).To(Equal(d.Generation))
	})
}

// canary makes the declared version's ReplicaSet early, controlled by a run.
func (s *shop) canary(version string, replicas int32) *appsv1.ReplicaSet {
	s.T.Helper()
	s.makeRun(version)
	set := canarySet(s.Deployment(), s.run, replicas)
	s.Must(admin.Create(s.T.Context(), set))
	s.available(version, replicas)
	return set
}

func (s *shop) makeRun(version string) {
	s.T.Helper()
	d := s.Deployment()
	template, err := json.Marshal(d.Spec.Template)
	s.Must(err)
	revision := v1alpha1.Revision{Revision: "0123456789"}
	s.run = &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Name: cluster.Name + "-" + version, Namespace: s.Namespace}, Spec: v1alpha1.RolloutRunSpec{
		Rollout: v1alpha1.RolloutIdentity{Name: cluster.Name, UID: "none", Generation: 1}, Workload: d.Name, Revision: revision.Revision, Template: runtime.RawExtension{Raw: template},
		Stable:  v1alpha1.PinnedRevision{Revision: revision, Template: runtime.RawExtension{Raw: template}},
		Traffic: v1alpha1.Traffic{Service: cluster.Name, Routes: []v1alpha1.RouteRef{{Name: cluster.Name}}}, Steps: []v1alpha1.Step{{Weight: 50}},
		Controller: v1alpha1.ControllerIdentity{Version: "test"}, StartedAt: metav1.Now()}}
	s.Must(admin.Create(s.T.Context(), s.run))
}

// canarySet is what the Deployment controller would make of the declared
// template, but for its owner and its hash.
func canarySet(d *appsv1.Deployment, run *v1alpha1.RolloutRun, replicas int32) *appsv1.ReplicaSet {
	hash := "canary" + run.Name[len(run.Name)-2:]
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name + "-" + hash}}
	set.Spec.Replicas, set.Spec.Selector, set.Spec.Template = &replicas, d.Spec.Selector.DeepCopy(), *d.Spec.Template.DeepCopy()
	set.Spec.MinReadySeconds = d.Spec.MinReadySeconds
	set.Spec.Selector.MatchLabels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	set.Spec.Template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	set.Labels = maps.Clone(set.Spec.Template.Labels)
	set.Labels[v1alpha1.LabelRole] = v1alpha1.RoleCanary
	set.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(run, v1alpha1.GroupVersion.WithKind("RolloutRun"))}
	return set
}

// available waits until a version's ReplicaSet is whole.
func (s *shop) available(version string, replicas int32) {
	s.T.Helper()
	s.Eventually(fmt.Sprintf("%d of %s available", replicas, version), func(g Gomega) {
		set := s.Set(version)
		g.Expect(set).NotTo(BeNil())
		g.Expect(*set.Spec.Replicas).To(Equal(replicas))
		g.Expect(set.Status.Replicas).To(Equal(replicas))
		g.Expect(set.Status.AvailableReplicas).To(Equal(replicas))
	})
}

type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

func (s *shop) patchSet(set *appsv1.ReplicaSet, operations ...operation) error {
	s.T.Helper()
	raw, err := json.Marshal(operations)
	s.Must(err)
	return admin.Patch(s.T.Context(), set, client.RawPatch(types.JSONPatchType, raw))
}

// lock keeps the template as it is while the ReplicaSet changes hands. The
// response is what the next move is decided on.
func (s *shop) lock() *appsv1.Deployment {
	s.T.Helper()
	s.PatchDeployment(types.MergePatchType, fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, v1alpha1.LabelHandover, s.run.Name))
	return s.Deployment()
}

// give makes the Deployment the owner of a set, with the size that both agreed on
// when d was read.
func (s *shop) give(version string, d *appsv1.Deployment) {
	s.T.Helper()
	set := s.Set(version)
	owner := *metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))
	replicas := *d.Spec.Replicas
	annotations := map[string]string{}
	maps.Copy(annotations, set.Annotations)
	annotations[desiredAnnotation], annotations[maxAnnotation] = fmt.Sprint(replicas), fmt.Sprint(replicas+surge(d))
	s.Must(s.patchSet(set,
		operation{"test", "/metadata/resourceVersion", set.ResourceVersion},
		operation{"test", "/metadata/ownerReferences/0/uid", set.OwnerReferences[0].UID},
		operation{"test", "/spec/replicas", *set.Spec.Replicas},
		operation{"replace", "/metadata/ownerReferences/0", owner},
		operation{"add", "/metadata/annotations", annotations}))
}

// surge is what the Deployment controller allows beyond spec.replicas.
func surge(d *appsv1.Deployment) int32 {
	if d.Spec.Strategy.RollingUpdate == nil || *d.Spec.Replicas == 0 {
		return 0
	}
	of := d.Spec.Strategy.RollingUpdate.MaxSurge
	if of.Type == 0 {
		return of.IntVal
	}
	percent := 0
	if _, err := fmt.Sscanf(of.StrVal, "%d%%", &percent); err != nil {
		panic(err)
	}
	return (*d.Spec.Replicas*int32(percent) + 99) / 100
}

// recognised waits until the Deployment controller has taken a set for the one
// of the declared template.
func (s *shop) recognised(version string) {
	s.T.Helper()
	s.Eventually(version+" is recognised", func(g Gomega) { g.Expect(s.Set(version).Annotations).To(HaveKey(revisionAnnotation)) })
}

// unpause lets the Deployment go on and unlocks it, in one write.
func (s *shop) unpause() {
	s.T.Helper()
	s.PatchDeployment(types.MergePatchType, fmt.Sprintf(`{"metadata":{"labels":{%q:null}},"spec":{"paused":false}}`, v1alpha1.LabelHandover))
}

// handOver is the whole sequence: lock, owner, recognised, unpause.
func (s *shop) handOver(version string) {
	s.T.Helper()
	s.give(version, s.lock())
	s.recognised(version)
	s.unpause()
}

// resize gives a set another size, with the annotations that the Deployment
// controller keeps beside it.
func (s *shop) resize(version string, replicas int32) {
	s.T.Helper()
	set := s.Set(version)
	set.Spec.Replicas = &replicas
	set.Annotations[desiredAnnotation], set.Annotations[maxAnnotation] = fmt.Sprint(replicas), fmt.Sprint(replicas)
	s.Must(admin.Update(s.T.Context(), set))
}

// split points the route at a pair of Services, one for each version's set.
func (s *shop) split(stable, canary string, weight int32) {
	s.T.Helper()
	s.service("shop-stable", s.Set(stable))
	s.service("shop-canary", s.Set(canary))
	s.Eventually("the pair has endpoints", func(g Gomega) {
		g.Expect(s.Endpoints("shop-stable")).NotTo(BeEmpty())
		g.Expect(s.Endpoints("shop-canary")).NotTo(BeEmpty())
	})
	s.route([2]any{"shop-stable", 100 - weight}, [2]any{"shop-canary", weight})
}

func (s *shop) service(name string, set *appsv1.ReplicaSet) {
	s.T.Helper()
	s.Must(admin.Create(s.T.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.Namespace},
		Spec: corev1.ServiceSpec{Selector: set.Spec.Selector.MatchLabels, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}))
}

// release points the route at the user's Service again.
func (s *shop) release() {
	s.T.Helper()
	s.route([2]any{cluster.Name, int32(1)})
}

// route gives the route these backends, each a name and a weight, and waits for
// the gateway.
func (s *shop) route(backends ...[2]any) {
	s.T.Helper()
	var refs []map[string]any
	for _, b := range backends {
		refs = append(refs, map[string]any{"name": b[0], "port": 80, "weight": b[1]})
	}
	raw, err := json.Marshal([]operation{{"replace", "/spec/rules/0/backendRefs", refs}})
	s.Must(err)
	r := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Name: cluster.Name, Namespace: s.Namespace}}
	s.Must(admin.Patch(s.T.Context(), r, client.RawPatch(types.JSONPatchType, raw)))
	s.Eventually("the gateway follows the route", func(g Gomega) { g.Expect(kube.Gateway.Follows(s.Key()).Generation).To(Equal(r.Generation)) })
}

// made compares the pods that were ever made with what they should be.
func (s *shop) made(want map[string]int) {
	s.T.Helper()
	NewWithT(s.T).Expect(s.Made()).To(Equal(want), "pods ever made, by version")
}
