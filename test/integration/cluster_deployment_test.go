package integration

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/controllers/workload"
)

// What the Deployment controller writes on its ReplicaSets.
const (
	numberOfVersion = "deployment.kubernetes.io/revision"
	desiredReplicas = "deployment.kubernetes.io/desired-replicas"
	maxReplicas     = "deployment.kubernetes.io/max-replicas"
)

// syncDeployment is one sync of the Deployment controller: what Kubernetes does
// with a paused Deployment, and for one that is not a rolling update that fills
// the new set and then empties the old ones.
func (c *cluster) syncDeployment() {
	c.t.Helper()
	current, others := c.setsOfDeployment()
	switch {
	case current != nil && c.number(current, others):
		// The controller looks again after it has written that.
	case c.deployment.Spec.Paused:
		c.scalePaused(current, others)
	default:
		c.roll(current, others)
	}
	c.writeDeploymentStatus(current, others)
}

// setsOfDeployment are the sets that the Deployment controls, oldest first. Of
// those with its own template the oldest is its present one.
func (c *cluster) setsOfDeployment() (current *appsv1.ReplicaSet, others []*appsv1.ReplicaSet) {
	slices.SortFunc(c.sets, func(a, b appsv1.ReplicaSet) int {
		if order := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); order != 0 {
			return order
		}
		return strings.Compare(a.Name, b.Name)
	})
	for i := range c.sets {
		set := &c.sets[i]
		switch {
		case !metav1.IsControlledBy(set, c.deployment):
		case current == nil && sameTemplate(set.Spec.Template, c.deployment.Spec.Template):
			current = set
		default:
			others = append(others, set)
		}
	}
	return current, others
}

func sameTemplate(a, b corev1.PodTemplateSpec) bool {
	a, b = *a.DeepCopy(), *b.DeepCopy()
	delete(a.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	delete(b.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return equality.Semantic.DeepEqual(a, b)
}

// number writes on the present set that it is the newest: by this the controller
// shows that it has recognised it.
func (c *cluster) number(current *appsv1.ReplicaSet, others []*appsv1.ReplicaSet) bool {
	c.t.Helper()
	highest := 0
	for _, set := range others {
		n, _ := strconv.Atoi(set.Annotations[numberOfVersion])
		highest = max(highest, n)
	}
	if n, _ := strconv.Atoi(current.Annotations[numberOfVersion]); n > highest {
		return false
	}
	metav1.SetMetaDataAnnotation(&current.ObjectMeta, numberOfVersion, strconv.Itoa(highest+1))
	c.did(admin.Update(c.t.Context(), current))
	return true
}

// scalePaused makes no set for a new template. One active set follows
// spec.replicas, with none that is the one of the declared template, else the
// newest; with two, the old ones go once the declared one is saturated.
func (c *cluster) scalePaused(current *appsv1.ReplicaSet, others []*appsv1.ReplicaSet) {
	c.t.Helper()
	replicas := *c.deployment.Spec.Replicas
	all := slices.Clone(others)
	if current != nil {
		all = append(all, current)
	}
	active := slices.DeleteFunc(slices.Clone(all), func(s *appsv1.ReplicaSet) bool { return *s.Spec.Replicas == 0 })
	switch {
	case len(active) == 1:
		c.resize(active[0], replicas)
	case len(active) == 0 && current != nil:
		c.resize(current, replicas)
	case len(active) == 0 && len(others) > 0:
		c.resize(others[len(others)-1], replicas)
	case len(active) > 1 && c.saturated(current):
		for _, set := range others {
			c.resize(set, 0)
		}
	case len(active) > 1:
		c.t.Errorf("the paused Deployment has %d active sets and the declared one is not saturated: Kubernetes would scale them in proportion, and go on with that", len(active))
	}
}

func (c *cluster) saturated(set *appsv1.ReplicaSet) bool {
	replicas := *c.deployment.Spec.Replicas
	return set != nil && *set.Spec.Replicas == replicas && set.Annotations[desiredReplicas] == strconv.Itoa(int(replicas)) && c.ready(set) == replicas
}

// roll makes the new ReplicaSet first and empties the old ones when its pods are
// ready.
func (c *cluster) roll(current *appsv1.ReplicaSet, others []*appsv1.ReplicaSet) {
	c.t.Helper()
	replicas := *c.deployment.Spec.Replicas
	switch {
	case current == nil:
		c.did(admin.Create(c.t.Context(), replicaSet(c.deployment)))
	case *current.Spec.Replicas != replicas:
		c.resize(current, replicas)
	case c.ready(current) == replicas:
		for _, set := range others {
			c.resize(set, 0)
		}
	}
}

func (c *cluster) resize(set *appsv1.ReplicaSet, replicas int32) {
	c.t.Helper()
	if *set.Spec.Replicas == replicas {
		return
	}
	set.Spec.Replicas = &replicas
	for key, value := range sizes(c.deployment) {
		metav1.SetMetaDataAnnotation(&set.ObjectMeta, key, value)
	}
	c.did(admin.Update(c.t.Context(), set))
}

// sizes are the annotations that tell the controller later for which size it has
// scaled a set. The rolling update here has a surge of one.
func sizes(d *appsv1.Deployment) map[string]string {
	return map[string]string{desiredReplicas: strconv.Itoa(int(*d.Spec.Replicas)), maxReplicas: strconv.Itoa(int(*d.Spec.Replicas) + 1)}
}

func (c *cluster) writeDeploymentStatus(current *appsv1.ReplicaSet, others []*appsv1.ReplicaSet) {
	c.t.Helper()
	d := c.deployment
	status := appsv1.DeploymentStatus{ObservedGeneration: d.Generation}
	for _, set := range append(others, current) {
		if set == nil {
			continue
		}
		status.Replicas += int32(len(workload.OwnedBy(c.pods, set.UID)))
		status.AvailableReplicas += c.ready(set)
	}
	if current != nil {
		status.UpdatedReplicas = int32(len(workload.OwnedBy(c.pods, current.UID)))
	}
	status.ReadyReplicas = status.AvailableReplicas
	if !equality.Semantic.DeepEqual(status, d.Status) {
		d.Status = status
		c.did(admin.Status().Update(c.t.Context(), d))
	}
}

func templateHash(template corev1.PodTemplateSpec) string {
	raw, err := json.Marshal(template)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(raw))[:8]
}

func replicaSet(d *appsv1.Deployment) *appsv1.ReplicaSet {
	hash := templateHash(d.Spec.Template)
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name + "-" + hash, Annotations: sizes(d)}}
	set.Spec.Replicas, set.Spec.Selector, set.Spec.Template = d.Spec.Replicas, d.Spec.Selector.DeepCopy(), *d.Spec.Template.DeepCopy()
	set.Spec.Selector.MatchLabels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	set.Spec.Template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	set.Labels = maps.Clone(set.Spec.Template.Labels)
	set.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
	return set
}
