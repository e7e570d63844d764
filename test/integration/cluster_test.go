package integration

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

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

	deployment *appsv1.Deployment
	sets       []appsv1.ReplicaSet
	pods       []corev1.Pod
}

func (c *cluster) tick() {
	c.t.Helper()
	c.moving = false
	c.read()
	c.rollDeployment()
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

// rollDeployment makes the new ReplicaSet first and empties the old ones when
// its pods are ready. Paused, it only keeps what there is at its size.
func (c *cluster) rollDeployment() {
	c.t.Helper()
	d := c.deployment
	hash := templateHash(d.Spec.Template)
	var current *appsv1.ReplicaSet
	var old []*appsv1.ReplicaSet
	for i := range c.sets {
		set := &c.sets[i]
		switch {
		case !metav1.IsControlledBy(set, d):
		case set.Labels[appsv1.DefaultDeploymentUniqueLabelKey] == hash:
			current = set
		default:
			old = append(old, set)
		}
	}
	switch {
	case d.Spec.Paused:
	case current == nil:
		c.did(admin.Create(c.t.Context(), replicaSet(d, hash)))
	case *current.Spec.Replicas != *d.Spec.Replicas:
		c.resize(current, *d.Spec.Replicas)
	case c.ready(current) == *d.Spec.Replicas:
		for _, set := range old {
			c.resize(set, 0)
		}
	}
	status := appsv1.DeploymentStatus{ObservedGeneration: d.Generation}
	for _, set := range append(old, current) {
		if set == nil {
			continue
		}
		status.Replicas += int32(len(workload.OwnedBy(c.pods, set)))
		status.AvailableReplicas += c.ready(set)
	}
	if current != nil {
		status.UpdatedReplicas = int32(len(workload.OwnedBy(c.pods, current)))
	}
	status.ReadyReplicas = status.AvailableReplicas
	if !equality.Semantic.DeepEqual(status, d.Status) {
		d.Status = status
		c.did(admin.Status().Update(c.t.Context(), d))
	}
}

func (c *cluster) resize(set *appsv1.ReplicaSet, replicas int32) {
	c.t.Helper()
	if *set.Spec.Replicas != replicas {
		set.Spec.Replicas = &replicas
		c.did(admin.Update(c.t.Context(), set))
	}
}

func (c *cluster) ready(set *appsv1.ReplicaSet) int32 {
	return int32(len(workload.ReadyPods(workload.OwnedBy(c.pods, set))))
}

func templateHash(template corev1.PodTemplateSpec) string {
	raw, err := json.Marshal(workload.TemplateOf(template))
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(raw))[:8]
}

func replicaSet(d *appsv1.Deployment, hash string) *appsv1.ReplicaSet {
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name + "-" + hash}}
	set.Spec.Replicas, set.Spec.Selector, set.Spec.Template = d.Spec.Replicas, d.Spec.Selector.DeepCopy(), *d.Spec.Template.DeepCopy()
	set.Spec.Selector.MatchLabels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	set.Spec.Template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	set.Labels = set.Spec.Template.Labels
	set.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
	return set
}

// runPods makes and ends pods as the ReplicaSets say, and lets those start that
// were made a tick ago. Pods of a deleted ReplicaSet go a tick later.
func (c *cluster) runPods() {
	c.t.Helper()
	owned := map[string]bool{}
	for i := range c.sets {
		set := &c.sets[i]
		pods := workload.OwnedBy(c.pods, set)
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
			c.did(admin.Create(c.t.Context(), podOf(set)))
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

// serveEndpoints lists the ready pods behind each Service.
func (c *cluster) serveEndpoints() {
	c.t.Helper()
	services, present := &corev1.ServiceList{}, &discoveryv1.EndpointSliceList{}
	c.must(admin.List(c.t.Context(), services, client.InNamespace(c.namespace)))
	c.must(admin.List(c.t.Context(), present, client.InNamespace(c.namespace)))
	c.endpoints = map[string][]string{}
	for i := range services.Items {
		service := &services.Items[i]
		var endpoints []discoveryv1.Endpoint
		for _, pod := range workload.ReadyPods(c.pods) {
			if labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(pod.Labels)) {
				endpoints = append(endpoints, discoveryv1.Endpoint{Addresses: []string{"10.0.0.1"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod.Name, Namespace: pod.Namespace}})
				c.endpoints[service.Name] = append(c.endpoints[service.Name], pod.Name)
			}
		}
		at := slices.IndexFunc(present.Items, func(s discoveryv1.EndpointSlice) bool { return s.Name == service.Name })
		if at < 0 {
			slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: service.Name, Labels: map[string]string{discoveryv1.LabelServiceName: service.Name}},
				AddressType: discoveryv1.AddressTypeIPv4, Endpoints: endpoints}
			c.did(admin.Create(c.t.Context(), slice))
			continue
		}
		slice := &present.Items[at]
		if !equality.Semantic.DeepEqual(slice.Endpoints, endpoints) {
			slice.Endpoints = endpoints
			c.did(admin.Update(c.t.Context(), slice))
		}
	}
}

// followRoute takes over the route as it is, and says so. Whatever it follows
// must be able to answer.
func (c *cluster) followRoute() {
	c.t.Helper()
	c.followed = nil
	route := &gatewayv1.HTTPRoute{}
	c.must(admin.Get(c.t.Context(), client.ObjectKey{Namespace: c.namespace, Name: "shop"}, route))
	c.followed = route.DeepCopy()
	var conditions []metav1.Condition
	for _, kind := range []gatewayv1.RouteConditionType{gatewayv1.RouteConditionAccepted, gatewayv1.RouteConditionResolvedRefs} {
		meta.SetStatusCondition(&conditions, metav1.Condition{Type: string(kind), Status: metav1.ConditionTrue, Reason: string(kind), ObservedGeneration: route.Generation})
	}
	if p := route.Status.Parents; len(p) == 1 && p[0].Conditions[0].ObservedGeneration == route.Generation {
		return
	}
	route.Status.Parents = []gatewayv1.RouteParentStatus{{ParentRef: route.Spec.ParentRefs[0], ControllerName: "belay.dev/test", Conditions: conditions}}
	c.did(admin.Status().Update(c.t.Context(), route))
}
