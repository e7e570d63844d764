package handover

import (
	"encoding/json"
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/jsonpatch"
	"belay.dev/belay/controllers/workload"
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
func (s *shop) canary(version string, replicas int32) {
	s.T.Helper()
	s.makeRun(version)
	set, err := workload.Canary(s.run, s.live(workload.NewDeployment(), cluster.Name), replicas)
	s.Must(err)
	s.Must(admin.Create(s.T.Context(), set))
	s.available(version, replicas)
}

// live reads an object as it is now.
func (s *shop) live(into *unstructured.Unstructured, name string) *unstructured.Unstructured {
	s.T.Helper()
	s.Must(admin.Get(s.T.Context(), types.NamespacedName{Namespace: s.Namespace, Name: name}, into))
	return into
}

func (s *shop) makeRun(version string) {
	s.T.Helper()
	template := workload.Template(s.live(workload.NewDeployment(), cluster.Name))
	raw, err := json.Marshal(template)
	s.Must(err)
	revision, err := workload.Describe(template)
	s.Must(err)
	s.run = &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Name: cluster.Name + "-" + version, Namespace: s.Namespace}, Spec: v1alpha1.RolloutRunSpec{
		Rollout: v1alpha1.RolloutIdentity{Name: cluster.Name, UID: "none", Generation: 1}, Workload: cluster.Name, Revision: revision.Revision, Template: runtime.RawExtension{Raw: raw},
		Stable:  v1alpha1.PinnedRevision{Revision: revision, Template: runtime.RawExtension{Raw: raw}},
		Traffic: &v1alpha1.Traffic{Service: cluster.Name, Routes: []v1alpha1.RouteRef{{Name: cluster.Name}}}, Steps: []v1alpha1.Step{{Weight: 50}},
		Controller: v1alpha1.ControllerIdentity{Version: "test"}, StartedAt: metav1.Now()}}
	s.Must(admin.Create(s.T.Context(), s.run))
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

// patch sends what a builder makes of an object as it is now, and again when the
// object has changed meanwhile: a status, say.
func (s *shop) patch(object func() *unstructured.Unstructured, build func(*unstructured.Unstructured) ([]byte, error)) *unstructured.Unstructured {
	s.T.Helper()
	var patched *unstructured.Unstructured
	s.Eventually("a write", func(g Gomega) {
		patched = object()
		patch, err := build(patched)
		g.Expect(err).NotTo(HaveOccurred())
		if patch == nil {
			return
		}
		err = admin.Patch(s.T.Context(), patched, client.RawPatch(types.JSONPatchType, patch))
		if err != nil && !jsonpatch.TestFailed(err) && !apierrors.IsConflict(err) {
			s.T.Fatalf("patch %s: %v", patch, err)
		}
		g.Expect(err).NotTo(HaveOccurred())
	})
	return patched
}

// deployment reads the Deployment as it is now.
func (s *shop) deployment() *unstructured.Unstructured {
	s.T.Helper()
	return s.live(workload.NewDeployment(), cluster.Name)
}

// set reads a version's set as it is now.
func (s *shop) set(version string) func() *unstructured.Unstructured {
	return func() *unstructured.Unstructured {
		s.T.Helper()
		return s.live(workload.NewSet(), s.Set(version).Name)
	}
}

// lock keeps the template as it is while the ReplicaSet changes hands. The
// response is what the next move is decided on.
func (s *shop) lock() *unstructured.Unstructured {
	s.T.Helper()
	return s.patch(s.deployment, func(d *unstructured.Unstructured) ([]byte, error) { return workload.Lock(d, s.run.Name) })
}

// give makes the Deployment, as it was when it was locked, the owner of a set.
func (s *shop) give(version string, locked *unstructured.Unstructured) {
	s.T.Helper()
	s.patch(s.set(version), func(set *unstructured.Unstructured) ([]byte, error) { return workload.GiveOwner(set, locked) })
}

// giveAs is a handover as Belay does not do it: with these annotations.
func (s *shop) giveAs(set *appsv1.ReplicaSet, annotations map[string]string) {
	s.T.Helper()
	owner := *metav1.NewControllerRef(s.Deployment(), appsv1.SchemeGroupVersion.WithKind("Deployment"))
	patch, err := json.Marshal([]any{
		map[string]any{"op": "replace", "path": "/metadata/ownerReferences/0", "value": owner},
		map[string]any{"op": "add", "path": "/metadata/annotations", "value": annotations}})
	s.Must(err)
	s.Must(admin.Patch(s.T.Context(), set, client.RawPatch(types.JSONPatchType, patch)))
}

// scaleSet gives a set another size, and nothing else.
func (s *shop) scaleSet(version string, replicas int32) {
	s.T.Helper()
	s.patch(s.set(version), func(set *unstructured.Unstructured) ([]byte, error) { return workload.Resize(set, replicas) })
}

// surge is what the Deployment controller allows beyond spec.replicas.
func (s *shop) surge() int32 {
	s.T.Helper()
	d := s.deployment()
	most, err := workload.MaxReplicas(d)
	s.Must(err)
	return most - workload.Replicas(d)
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
	s.patch(s.deployment, func(d *unstructured.Unstructured) ([]byte, error) { return workload.Unpause(d, s.run.Spec.Revision) })
}

// handOver is the whole sequence: lock, owner, recognised, unpause.
func (s *shop) handOver(version string) {
	s.T.Helper()
	s.give(version, s.lock())
	s.recognised(version)
	s.unpause()
}

// resize gives a set the Deployment's size, with the annotations that the
// Deployment controller keeps beside it.
func (s *shop) resize(version string) {
	s.T.Helper()
	s.patch(s.set(version), func(set *unstructured.Unstructured) ([]byte, error) { return workload.ResizeWith(set, s.deployment()) })
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
	raw, err := json.Marshal([]any{map[string]any{"op": "replace", "path": "/spec/rules/0/backendRefs", "value": refs}})
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
