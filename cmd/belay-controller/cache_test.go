package main

import (
	"reflect"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic/gateway"
	"belay.dev/belay/controllers/workload"
)

// TestTheCacheKeepsWhatIsRead: the writer of a template or a route is read from
// managed fields, and nobody else's are.
func TestTheCacheKeepsWhatIsRead(t *testing.T) {
	written := metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"app": "shop"}, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}}
	for _, c := range []struct {
		object client.Object
		kept   int
	}{
		{unstructuredOf(workload.NewDeployment(), written), 1},
		{unstructuredOf(workload.NewStatefulSet(), written), 1},
		{unstructuredOf(workload.NewControllerRevision(), written), 0},
		{unstructuredOf(gateway.Route(v1alpha1.KindHTTPRoute), written), 1},
		{unstructuredOf(gateway.Route(v1alpha1.KindGRPCRoute), written), 1},
		{&corev1.Service{ObjectMeta: written}, 1},
		{&appsv1.Deployment{ObjectMeta: written}, 0},
		{&appsv1.StatefulSet{ObjectMeta: written}, 0},
		{&appsv1.ReplicaSet{ObjectMeta: written}, 0},
		{&corev1.Pod{ObjectMeta: written}, 0},
		{unstructuredOf(workload.NewSet(), written), 0},
	} {
		g := NewWithT(t)
		out, err := transformOf(c.object)(c.object)
		g.Expect(err).NotTo(HaveOccurred())
		object, ok := out.(client.Object)
		g.Expect(ok).To(BeTrue())
		g.Expect(object.GetManagedFields()).To(HaveLen(c.kept), "%T", c.object)
		g.Expect(object.GetLabels()).To(HaveKey("app"))
	}
}

// TestTheCacheNeedsNoGatewayAPI: a cluster may have some of its kinds, or none.
func TestTheCacheNeedsNoGatewayAPI(t *testing.T) {
	g := NewWithT(t)
	options := cacheOptions(nil)
	options.Scheme = scheme()
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []schema.GroupVersionKind{appsv1.SchemeGroupVersion.WithKind("Deployment"), appsv1.SchemeGroupVersion.WithKind("StatefulSet"), appsv1.SchemeGroupVersion.WithKind("ControllerRevision"), corev1.SchemeGroupVersion.WithKind("Service"), corev1.SchemeGroupVersion.WithKind("Pod"), batchv1.SchemeGroupVersion.WithKind("Job")} {
		mapper.Add(kind, meta.RESTScopeNamespace)
	}
	options.Mapper = mapper
	_, err := cache.New(&rest.Config{}, options)
	g.Expect(err).NotTo(HaveOccurred())
}

func TestTheCacheKeepsNoSpecOfAPod(t *testing.T) {
	g := NewWithT(t)
	pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "node"}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	_, err := transformOf(pod)(pod)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(pod.Spec).To(BeZero())
	g.Expect(pod.Status.Phase).To(Equal(corev1.PodRunning))
	gone := toolscache.DeletedFinalStateUnknown{Key: "shop/pod", Obj: pod}
	g.Expect(transformOf(pod)(gone)).To(Equal(gone), "a tombstone passes")
}

// TestTheCacheKeepsVersions: what a ControllerRevision holds is what the judge tells versions by.
func TestTheCacheKeepsVersions(t *testing.T) {
	g := NewWithT(t)
	revision := &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{"spec": map[string]any{"template": map[string]any{}}}}}
	revision.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ControllerRevision"))
	_, err := transformOf(revision)(revision)
	g.Expect(err).NotTo(HaveOccurred())
	_, kept, err := unstructured.NestedMap(revision.Object, "data", "spec", "template")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(kept).To(BeTrue())

	revision.SetOwnerReferences([]metav1.OwnerReference{{Kind: "DaemonSet", Controller: new(true)}})
	_, err = transformOf(revision)(revision)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(revision.Object).NotTo(HaveKey("data"), "a DaemonSet's versions are not Belay's")
}

func TestTheCacheKeepsNoSpecOfAJob(t *testing.T) {
	g := NewWithT(t)
	job := &batchv1.Job{Spec: batchv1.JobSpec{Completions: new(int32(1))}, Status: batchv1.JobStatus{Succeeded: 1}}
	_, err := transformOf(job)(job)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(job.Spec).To(BeZero())
	g.Expect(job.Status.Succeeded).To(Equal(int32(1)))
}

func unstructuredOf(u *unstructured.Unstructured, meta metav1.ObjectMeta) *unstructured.Unstructured {
	u.SetName(meta.Name)
	u.SetLabels(meta.Labels)
	u.SetManagedFields(meta.ManagedFields)
	return u
}

func transformOf(object client.Object) toolscache.TransformFunc {
	options := cacheOptions(nil)
	for kind, by := range options.ByObject {
		same := reflect.TypeOf(kind) == reflect.TypeOf(object)
		if same && kind.GetObjectKind().GroupVersionKind() == object.GetObjectKind().GroupVersionKind() {
			return by.Transform
		}
	}
	return options.DefaultTransform
}
