package rollout

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/workload"
)

// BenchmarkAimTarget is the part of a look that reads all Deployments of the
// namespace from the cache: it must stay small beside the rest of the look.
func BenchmarkAimTarget(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("%d Deployments", n), func(b *testing.B) {
			r := &Reconciler{Client: cachedDeployments(b, n)}
			l := &look{rollout: &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop"}}, workload: benchDeployment(0)}
			b.ReportAllocs()
			for b.Loop() {
				l.target.Own, l.target.Others = nil, nil
				if err := r.aimTarget(b.Context(), l); err != nil {
					b.Fatal(err)
				}
			}
			if len(l.target.Others) != n-1 {
				b.Fatalf("%d other Deployments", len(l.target.Others))
			}
		})
	}
}

func benchDeployment(i int) *unstructured.Unstructured {
	d := workload.NewDeployment()
	name := fmt.Sprintf("shop-%d", i)
	d.SetNamespace("shop")
	d.SetName(name)
	d.SetUID(types.UID("uid-" + name))
	labels := map[string]any{"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "shop", "app.kubernetes.io/component": "web", "team": "shop"}
	d.Object["spec"] = map[string]any{
		"selector": map[string]any{"matchLabels": map[string]any{"app.kubernetes.io/name": name}},
		"template": map[string]any{"metadata": map[string]any{"labels": labels}},
	}
	return d
}

// fixedDeployments is an API server's answer to a list; nothing changes after it.
type fixedDeployments struct{ items []unstructured.Unstructured }

func (f fixedDeployments) List(metav1.ListOptions) (runtime.Object, error) {
	list := &unstructured.UnstructuredList{Items: f.items}
	list.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("DeploymentList"))
	list.SetResourceVersion("1")
	return list, nil
}
func (fixedDeployments) Watch(metav1.ListOptions) (watch.Interface, error) {
	return watch.NewFake(), nil
}

// IsWatchListSemanticsUnSupported makes a reflector list and then watch.
func (fixedDeployments) IsWatchListSemanticsUnSupported() bool { return true }

// cachedDeployments is the controller's cache of a namespace with n Deployments.
func cachedDeployments(b *testing.B, n int) client.Client {
	b.Helper()
	var f fixedDeployments
	for i := range n {
		f.items = append(f.items, *benchDeployment(i))
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(appsv1.SchemeGroupVersion.WithKind("Deployment"), meta.RESTScopeNamespace)
	config := &rest.Config{Host: "https://api.example"}
	informers, err := cache.New(config, cache.Options{Mapper: mapper, NewInformer: func(_ toolscache.ListerWatcher, o runtime.Object, resync time.Duration, by toolscache.Indexers) toolscache.SharedIndexInformer {
		return toolscache.NewSharedIndexInformer(f, o, resync, by)
	}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- informers.Start(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			b.Error(err)
		}
	})
	if !informers.WaitForCacheSync(ctx) {
		b.Fatal("the cache does not start")
	}
	c, err := client.New(config, client.Options{Mapper: mapper, Cache: &client.CacheOptions{Reader: informers, Unstructured: true}})
	if err != nil {
		b.Fatal(err)
	}
	return c
}
