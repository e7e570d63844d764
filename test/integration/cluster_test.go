package integration

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/controllers/traffic/gateway/gatewaytest"
	"belay.dev/belay/controllers/workload"
)

// cluster plays what an API server alone does not have: the Deployment and
// ReplicaSet controllers, a kubelet, the endpoints of Services and a gateway.
// Each tick takes every part one stage further, so that each lags behind the one
// before it, as in a real cluster.
type cluster struct {
	t         *testing.T
	namespace string
	// leaving are the pods whose ReplicaSet was gone a tick ago: they go now.
	leaving map[string]bool
	// followed is the route that the gateway acts on.
	followed *gatewayv1.HTTPRoute
	// moving is set while the last tick changed something.
	moving bool
	// opened is set from the first request that could be answered.
	opened bool
	// endpoints are the pods that the gateway knows behind each Service.
	endpoints map[string][]string
	// made counts the pods that were ever made of each image.
	made map[string]int

	deployment *appsv1.Deployment
	sets       []appsv1.ReplicaSet
	pods       []corev1.Pod
}

func (c *cluster) tick() {
	c.t.Helper()
	c.moving = false
	c.read()
	c.syncDeployment()
	c.serveEndpoints()
	c.followRoute()
	c.runPods()
	c.served()
}

// served: wherever the gateway sends requests, somebody is ready to answer.
func (c *cluster) served() {
	c.t.Helper()
	for _, ref := range c.followed.Spec.Rules[0].BackendRefs {
		if ref.Weight != nil && *ref.Weight == 0 {
			continue
		}
		ready := slices.ContainsFunc(workload.ReadyPods(c.pods), func(p corev1.Pod) bool { return slices.Contains(c.endpoints[string(ref.Name)], p.Name) })
		// Before the shop has opened nobody comes.
		if c.opened && !ready {
			c.t.Errorf("the gateway sends requests to Service %s, and no pod of it is ready", ref.Name)
		}
		c.opened = c.opened || ready
	}
}

func (c *cluster) read() {
	c.t.Helper()
	c.deployment = &appsv1.Deployment{}
	sets, pods := &appsv1.ReplicaSetList{}, &corev1.PodList{}
	c.must(admin.Get(c.t.Context(), client.ObjectKey{Namespace: c.namespace, Name: "shop"}, c.deployment))
	c.must(admin.List(c.t.Context(), sets, client.InNamespace(c.namespace)))
	c.must(admin.List(c.t.Context(), pods, client.InNamespace(c.namespace)))
	c.sets, c.pods = sets.Items, pods.Items
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("the cluster around Belay: %v", err)
	}
}

// did notes a change that is made.
func (c *cluster) did(err error) {
	c.t.Helper()
	c.must(err)
	c.moving = true
}

func (c *cluster) ready(set *appsv1.ReplicaSet) int32 {
	return int32(len(workload.ReadyPods(workload.OwnedBy(c.pods, set.UID))))
}

// runPods makes and ends pods as the ReplicaSets say, and lets those start that
// were made a tick ago. Pods of a deleted ReplicaSet go a tick later.
func (c *cluster) runPods() {
	c.t.Helper()
	owned := map[string]bool{}
	for i := range c.sets {
		set := &c.sets[i]
		pods := workload.OwnedBy(c.pods, set.UID)
		for j := range pods {
			owned[pods[j].Name] = true
			switch {
			case int32(j) >= *set.Spec.Replicas:
				c.did(client.IgnoreNotFound(admin.Delete(c.t.Context(), &pods[j])))
			case len(pods[j].Status.Conditions) == 0:
				c.startPod(&pods[j])
			}
		}
		for range *set.Spec.Replicas - int32(len(pods)) {
			pod := podOf(set)
			c.did(admin.Create(c.t.Context(), pod))
			c.made[pod.Spec.Containers[0].Image]++
		}
		status := appsv1.ReplicaSetStatus{Replicas: int32(len(pods)), ReadyReplicas: c.ready(set), AvailableReplicas: c.ready(set), ObservedGeneration: set.Generation}
		if !equality.Semantic.DeepEqual(status, set.Status) {
			set.Status = status
			c.did(client.IgnoreNotFound(admin.Status().Update(c.t.Context(), set)))
		}
	}
	for i := range c.pods {
		pod := &c.pods[i]
		if owned[pod.Name] {
			continue
		}
		if c.leaving[pod.Name] {
			c.did(client.IgnoreNotFound(admin.Delete(c.t.Context(), pod)))
		}
		c.leaving[pod.Name], c.moving = true, true
	}
}

func podOf(set *appsv1.ReplicaSet) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: set.Namespace, GenerateName: set.Name + "-", Labels: maps.Clone(set.Spec.Template.Labels)}}
	pod.Spec = *set.Spec.Template.Spec.DeepCopy()
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
	return pod
}

func (c *cluster) startPod(pod *corev1.Pod) {
	c.t.Helper()
	image := pod.Spec.Containers[0].Image
	status := corev1.ContainerStatus{Name: "shop", Image: image, ImageID: fmt.Sprintf("%s@sha256:%x", image, sha256.Sum256([]byte(image)))}
	ready := corev1.ConditionTrue
	if image == crashes {
		status.RestartCount, ready = 5, corev1.ConditionFalse
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{status}
	c.did(admin.Status().Update(c.t.Context(), pod))
}

// serveEndpoints lists the ready pods behind each Service, under the Service's
// own labels.
func (c *cluster) serveEndpoints() {
	c.t.Helper()
	services, present := &corev1.ServiceList{}, &discoveryv1.EndpointSliceList{}
	c.must(admin.List(c.t.Context(), services, client.InNamespace(c.namespace)))
	c.must(admin.List(c.t.Context(), present, client.InNamespace(c.namespace)))
	c.endpoints = map[string][]string{}
	for i := range services.Items {
		service := &services.Items[i]
		wanted := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: service.Name, Labels: maps.Clone(service.Labels)},
			AddressType: discoveryv1.AddressTypeIPv4, Ports: portsOf(service)}
		metav1.SetMetaDataLabel(&wanted.ObjectMeta, discoveryv1.LabelServiceName, service.Name)
		for _, pod := range workload.ReadyPods(c.pods) {
			if labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(pod.Labels)) {
				wanted.Endpoints = append(wanted.Endpoints, discoveryv1.Endpoint{Addresses: []string{"10.0.0.1"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod.Name, Namespace: pod.Namespace}})
				c.endpoints[service.Name] = append(c.endpoints[service.Name], pod.Name)
			}
		}
		at := slices.IndexFunc(present.Items, func(s discoveryv1.EndpointSlice) bool { return s.Name == service.Name })
		if at < 0 {
			c.did(admin.Create(c.t.Context(), wanted))
			continue
		}
		slice := &present.Items[at]
		if !equality.Semantic.DeepEqual(slice.Endpoints, wanted.Endpoints) || !equality.Semantic.DeepEqual(slice.Labels, wanted.Labels) || !equality.Semantic.DeepEqual(slice.Ports, wanted.Ports) {
			slice.Endpoints, slice.Labels, slice.Ports = wanted.Endpoints, wanted.Labels, wanted.Ports
			c.did(admin.Update(c.t.Context(), slice))
		}
	}
}

func portsOf(service *corev1.Service) []discoveryv1.EndpointPort {
	var ports []discoveryv1.EndpointPort
	for _, p := range service.Spec.Ports {
		number := p.TargetPort.IntVal
		ports = append(ports, discoveryv1.EndpointPort{Name: &p.Name, Port: &number, Protocol: &p.Protocol})
	}
	return ports
}

// followRoute takes over the route as it is, and says so. Whatever it follows
// must be able to answer.
func (c *cluster) followRoute() {
	c.t.Helper()
	route := &gatewayv1.HTTPRoute{}
	c.must(admin.Get(c.t.Context(), client.ObjectKey{Namespace: c.namespace, Name: "shop"}, route))
	c.followed = route.DeepCopy()
	if p := route.Status.Parents; len(p) == 1 && p[0].Conditions[0].ObservedGeneration == route.Generation {
		return
	}
	route.Status.Parents = []gatewayv1.RouteParentStatus{gatewaytest.Accepted(route.Spec.ParentRefs[0], "belay.dev/test", route.Generation)}
	c.did(admin.Status().Update(c.t.Context(), route))
}
