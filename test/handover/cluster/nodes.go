package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// nodeNames are the machines that pods are spread over.
var nodeNames = []string{"node-0", "node-1", "node-2", "node-3"}

// Grace is how long a pod answers after its deletion was asked for. The
// EndpointSlice controller may take seconds to notice: when its cache lags it
// tries again after one, then two.
const Grace = 5 * time.Second

// Behaviour is what becomes of a pod.
type Behaviour struct {
	// Ready is how long it takes from its creation until it is ready.
	Ready time.Duration
	// End is how long it goes on answering after its deletion was asked for.
	End time.Duration
	// Unready pods run and answer, but their readiness probe fails.
	Unready bool
	// Crashing pods restart again and again and answer nobody.
	Crashing bool
	// Unschedulable pods find no node.
	Unschedulable bool
	// Build of the image that the pod's tag names now: each is another digest.
	Build int
}

// Pod is what the nodes know of a pod that exists or has existed.
type Pod struct {
	Name, ReplicaSet, Image string
	UID                     types.UID
	IP                      string
	// Answers requests now.
	Answers bool
	made    time.Time
	leaves  time.Time
}

// Nodes play scheduler and kubelets: they bind pods, give each an address of its
// own and make it ready, and end deleted ones.
type Nodes struct {
	clients kubernetes.Interface
	cache   cache.Cache
	clock   clock.WithTicker
	queue   workqueue.TypedDelayingInterface[types.NamespacedName]

	mu       sync.Mutex
	behave   map[string]func(*corev1.Pod) Behaviour
	pods     map[types.UID]*Pod
	byIP     map[string]*Pod
	made     map[string][]*Pod
	bound    int
	addressN int
}

func startNodes(ctx context.Context, c cache.Cache, clients kubernetes.Interface, clk clock.WithTicker) (*Nodes, error) {
	n := &Nodes{clients: clients, cache: c, clock: clk, behave: map[string]func(*corev1.Pod) Behaviour{}, pods: map[types.UID]*Pod{}, byIP: map[string]*Pod{}, made: map[string][]*Pod{},
		queue: workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[types.NamespacedName]{Clock: clk})}
	for _, name := range nodeNames {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
		node, err := clients.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
		if err != nil {
			return nil, err
		}
		node.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000"), corev1.ResourceMemory: resource.MustParse("1000Gi")}
		if _, err := clients.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
			return nil, err
		}
	}
	informer, err := c.GetInformer(ctx, &corev1.Pod{})
	if err != nil {
		return nil, err
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { n.saw(o.(*corev1.Pod)) },
		UpdateFunc: func(_, o any) { n.saw(o.(*corev1.Pod)) },
		DeleteFunc: func(o any) {
			if last, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = last.Obj
			}
			n.gone(o.(*corev1.Pod).UID)
		},
	})
	if err != nil {
		return nil, err
	}
	go func() {
		<-ctx.Done()
		n.queue.ShutDown()
	}()
	for range 8 {
		go n.work(ctx)
	}
	return n, nil
}

// Behave decides what becomes of a namespace's pods, those that are there too.
// Without it they are ready at once and end after Grace.
func (n *Nodes) Behave(ctx context.Context, namespace string, how func(*corev1.Pod) Behaviour) error {
	n.mu.Lock()
	n.behave[namespace] = how
	n.mu.Unlock()
	pods := &corev1.PodList{}
	if err := n.cache.List(ctx, pods, client.InNamespace(namespace)); err != nil {
		return err
	}
	for i := range pods.Items {
		n.queue.Add(client.ObjectKeyFromObject(&pods.Items[i]))
	}
	return nil
}

// Made lists every pod that has ever been made in a namespace, oldest first.
func (n *Nodes) Made(namespace string) []Pod {
	n.mu.Lock()
	defer n.mu.Unlock()
	made := make([]Pod, 0, len(n.made[namespace]))
	for _, p := range n.made[namespace] {
		made = append(made, *p)
	}
	return made
}

// At is the pod with an address, and whether there has been one.
func (n *Nodes) At(ip string) (Pod, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.byIP[ip]; p != nil {
		return *p, true
	}
	return Pod{}, false
}

func (n *Nodes) saw(pod *corev1.Pod) {
	n.mu.Lock()
	p := n.pods[pod.UID]
	if p == nil {
		p = &Pod{Name: pod.Name, UID: pod.UID, Image: pod.Spec.Containers[0].Image, made: n.clock.Now()}
		if owner := metav1.GetControllerOf(pod); owner != nil {
			p.ReplicaSet = owner.Name
		}
		n.pods[pod.UID] = p
		n.made[pod.Namespace] = append(n.made[pod.Namespace], p)
	}
	n.mu.Unlock()
	n.queue.Add(client.ObjectKeyFromObject(pod))
}

func (n *Nodes) gone(uid types.UID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.pods[uid]; p != nil {
		p.Answers = false
	}
}

func (n *Nodes) work(ctx context.Context) {
	for {
		key, stopped := n.queue.Get()
		if stopped {
			return
		}
		// A pod that changes meanwhile comes back by its event.
		if again, err := n.run(ctx, key); err != nil && ctx.Err() == nil {
			n.queue.AddAfter(key, 50*time.Millisecond)
		} else if again > 0 {
			n.queue.AddAfter(key, again)
		}
		n.queue.Done(key)
	}
}

// run takes a pod one stage further, and says when to look again.
func (n *Nodes) run(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	pod := &corev1.Pod{}
	if err := n.cache.Get(ctx, key, pod); err != nil {
		return 0, client.IgnoreNotFound(err)
	}
	b, made := n.behaviour(pod)
	switch {
	case pod.DeletionTimestamp != nil:
		return n.end(ctx, pod, b)
	case b.Unschedulable:
		return 0, n.cannotSchedule(ctx, pod)
	case pod.Spec.NodeName == "":
		return 0, n.bind(ctx, pod)
	}
	if left := b.Ready - n.clock.Since(made); left > 0 && pod.Status.PodIP == "" {
		return left, nil
	}
	return 0, n.status(ctx, pod, b)
}

func (n *Nodes) behaviour(pod *corev1.Pod) (Behaviour, time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	made := n.clock.Now()
	if p := n.pods[pod.UID]; p != nil {
		made = p.made
	}
	how := n.behave[pod.Namespace]
	if how == nil {
		return Behaviour{End: Grace}, made
	}
	return how(pod), made
}

func (n *Nodes) end(ctx context.Context, pod *corev1.Pod, b Behaviour) (time.Duration, error) {
	n.mu.Lock()
	p := n.pods[pod.UID]
	if p == nil {
		n.mu.Unlock()
		return 0, nil
	}
	if p.leaves.IsZero() {
		p.leaves = n.clock.Now().Add(b.End)
	}
	left := p.leaves.Sub(n.clock.Now())
	if left <= 0 {
		p.Answers = false
	}
	n.mu.Unlock()
	if left > 0 {
		return left, nil
	}
	now := int64(0)
	err := n.clients.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID}})
	return 0, client.IgnoreNotFound(err)
}

func (n *Nodes) bind(ctx context.Context, pod *corev1.Pod) error {
	n.mu.Lock()
	n.bound++
	node := nodeNames[n.bound%len(nodeNames)]
	n.mu.Unlock()
	err := n.clients.CoreV1().Pods(pod.Namespace).Bind(ctx, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID},
		Target: corev1.ObjectReference{Kind: "Node", Name: node}}, metav1.CreateOptions{})
	if apierrors.IsConflict(err) {
		return nil
	}
	return client.IgnoreNotFound(err)
}

func (n *Nodes) cannotSchedule(ctx context.Context, pod *corev1.Pod) error {
	if len(pod.Status.Conditions) > 0 {
		return nil
	}
	return n.patch(ctx, pod, corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
		Reason: corev1.PodReasonUnschedulable, Message: "0/4 nodes are available: 4 Insufficient cpu.", LastTransitionTime: metav1.NewTime(n.clock.Now())}}})
}

// status writes what a kubelet would, when it differs.
func (n *Nodes) status(ctx context.Context, pod *corev1.Pod, b Behaviour) error {
	ready := corev1.ConditionTrue
	if b.Unready || b.Crashing {
		ready = corev1.ConditionFalse
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == ready {
			return nil
		}
	}
	ip := n.listens(pod, !b.Crashing)
	image := pod.Spec.Containers[0].Image
	now := metav1.NewTime(n.clock.Now())
	container := corev1.ContainerStatus{Name: pod.Spec.Containers[0].Name, Image: image, ImageID: fmt.Sprintf("%s@sha256:%x", image, sha256.Sum256(fmt.Append([]byte(image), b.Build))),
		Ready: ready == corev1.ConditionTrue, Resources: &pod.Spec.Containers[0].Resources, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}}
	if b.Crashing {
		container.RestartCount = 5
		container.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off restarting failed container"}}
		container.LastTerminationState = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error"}}
	}
	conditions := make([]corev1.PodCondition, 0, 4)
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		condition := corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now}
		if kind == corev1.ContainersReady || kind == corev1.PodReady {
			condition.Status = ready
		}
		conditions = append(conditions, condition)
	}
	return n.patch(ctx, pod, corev1.PodStatus{Phase: corev1.PodRunning, Conditions: conditions, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}, StartTime: &now,
		ContainerStatuses: []corev1.ContainerStatus{container}})
}

// listens notes from when a pod answers, before anybody can know of it.
func (n *Nodes) listens(pod *corev1.Pod, answers bool) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.pods[pod.UID]
	if p == nil {
		p = &Pod{Name: pod.Name, UID: pod.UID, Image: pod.Spec.Containers[0].Image}
		n.pods[pod.UID] = p
	}
	if p.IP == "" {
		n.addressN++
		p.IP = fmt.Sprintf("10.%d.%d.%d", 64+n.addressN/62500, n.addressN/250%250, 1+n.addressN%250)
		n.byIP[p.IP] = p
	}
	p.Answers = answers
	return p.IP
}

func (n *Nodes) patch(ctx context.Context, pod *corev1.Pod, status corev1.PodStatus) error {
	raw, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return err
	}
	_, err = n.clients.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, raw, metav1.PatchOptions{}, "status")
	if apierrors.IsConflict(err) {
		return nil
	}
	return client.IgnoreNotFound(err)
}
