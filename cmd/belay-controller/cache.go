package main

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic/gateway"
	"belay.dev/belay/controllers/workload"
)

// cacheOptions keeps only the parts of objects that the reconcilers read: the spec is more
// than half of a Pod, and the managed fields a sixth. The cache has the objects of the given
// namespaces, or of all when none is given.
func cacheOptions(namespaces []string) cache.Options {
	strip := cache.TransformStripManagedFields()
	only := map[string]cache.Config{}
	for _, namespace := range namespaces {
		only[namespace] = cache.Config{}
	}
	return cache.Options{
		DefaultNamespaces: only,
		// Routes are not in ByObject, which fails at the start when a kind is not
		// installed.
		DefaultTransform: exceptRoutes(strip),
		ByObject: map[client.Object]cache.ByObject{
			// Managed fields show who wrote a template, a partition, a route or a Service.
			workload.NewDeployment():         {Transform: whole},
			workload.NewStatefulSet():        {Transform: whole},
			workload.NewControllerRevision(): {Transform: withoutOthersData(strip)},
			// The gates and janitors read labels and whether a workload is held.
			&appsv1.Deployment{}:  {Transform: withoutTemplate(strip)},
			&appsv1.StatefulSet{}: {Transform: withoutTemplate(strip)},
			&corev1.Service{}:     {Transform: whole},
			&corev1.Pod{}:         {Transform: withoutSpec(strip)},
			// Only the Jobs of checks.
			&batchv1.Job{}: {Transform: withoutSpec(strip), Label: jobsOfChecks()},
		},
	}
}

func jobsOfChecks() labels.Selector {
	exists, err := labels.NewRequirement(v1alpha1.LabelCheck, selection.Exists, nil)
	utilruntime.Must(err)
	return labels.NewSelector().Add(*exists)
}

func whole(object any) (any, error) { return object, nil }

// exceptRoutes keeps routes complete.
func exceptRoutes(then toolscache.TransformFunc) toolscache.TransformFunc {
	return func(object any) (any, error) {
		if o, ok := object.(client.Object); ok && gateway.IsRoute(o) {
			return object, nil
		}
		return then(object)
	}
}

// withoutSpec also drops the spec of a Pod or a Job. Belay reads only their labels, owners
// and status.
func withoutSpec(then toolscache.TransformFunc) toolscache.TransformFunc {
	return func(object any) (any, error) {
		switch o := object.(type) {
		case *corev1.Pod:
			o.Spec = corev1.PodSpec{}
		case *batchv1.Job:
			o.Spec = batchv1.JobSpec{}
		}
		return then(object)
	}
}

// withoutOthersData also drops what a ControllerRevision of something else than a StatefulSet
// holds: a DaemonSet has ten of them, each with a pod template.
func withoutOthersData(then toolscache.TransformFunc) toolscache.TransformFunc {
	return func(object any) (any, error) {
		if u, ok := object.(*unstructured.Unstructured); ok {
			if owner := metav1.GetControllerOfNoCopy(u); owner != nil && owner.Kind != v1alpha1.KindStatefulSet {
				delete(u.Object, "data")
			}
		}
		return then(object)
	}
}

// withoutTemplate also drops a workload's pod template, the largest part of it.
func withoutTemplate(then toolscache.TransformFunc) toolscache.TransformFunc {
	return func(object any) (any, error) {
		switch o := object.(type) {
		case *appsv1.Deployment:
			o.Spec.Template = corev1.PodTemplateSpec{}
		case *appsv1.StatefulSet:
			o.Spec.Template, o.Spec.VolumeClaimTemplates = corev1.PodTemplateSpec{}, nil
		}
		return then(object)
	}
}
