package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Ordered is an application that is a StatefulSet.
type Ordered struct {
	*World
	// Declared is the StatefulSet as it was made.
	Declared *appsv1.StatefulSet
}

// OpenOrdered makes a StatefulSet with this many replicas of version v1 in a new namespace.
// change may change it before it is made. Its pods are ready at once and end at once,
// unless the test says otherwise (Nodes.Behave).
func (c *Cluster) OpenOrdered(t testing.TB, replicas int32, change func(*appsv1.StatefulSet)) *Ordered {
	t.Helper()
	o := &Ordered{World: c.world(t)}
	o.state = o.String
	o.Must(c.Nodes.Behave(t.Context(), o.Namespace, func(*corev1.Pod) Behaviour { return Behaviour{} }))
	o.Declared = &appsv1.StatefulSet{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"}, ObjectMeta: metav1.ObjectMeta{Name: Name, Namespace: o.Namespace},
		Spec: appsv1.StatefulSetSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": Name}}, Template: template("v1")}}
	if change != nil {
		change(o.Declared)
	}
	o.Must(c.Admin.Create(t.Context(), o.Declared.DeepCopy()))
	versions := make([]string, *o.Declared.Spec.Replicas)
	for i := range versions {
		versions[i] = "v1"
	}
	o.Runs(versions...)
	return o
}

// StatefulSet as it is now.
func (o *Ordered) StatefulSet() *appsv1.StatefulSet {
	o.T.Helper()
	s := &appsv1.StatefulSet{}
	o.Must(o.cluster.Admin.Get(context.WithoutCancel(o.T.Context()), o.Key(), s))
	return s
}

// PatchSet changes the StatefulSet as somebody.
func (o *Ordered) PatchSet(who client.Client, patch string) {
	o.T.Helper()
	s := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: Name, Namespace: o.Namespace}}
	o.Must(who.Patch(o.T.Context(), s, client.RawPatch(types.StrategicMergePatchType, []byte(patch))))
}

// Pods are those that are not ending, by their ordinal.
func (o *Ordered) Pods() map[int]corev1.Pod {
	o.T.Helper()
	list := &corev1.PodList{}
	o.Must(o.cluster.Admin.List(context.WithoutCancel(o.T.Context()), list, client.InNamespace(o.Namespace)))
	pods := map[int]corev1.Pod{}
	for _, p := range list.Items {
		ordinal := 0
		if _, err := fmt.Sscanf(p.Name, Name+"-%d", &ordinal); err == nil && p.DeletionTimestamp == nil {
			pods[ordinal] = p
		}
	}
	return pods
}

// Lose deletes pods as a node that fails would, and waits until others have their names.
func (o *Ordered) Lose(ordinals ...int) {
	o.T.Helper()
	before := o.Pods()
	for _, ordinal := range ordinals {
		p := before[ordinal]
		o.Must(o.cluster.Admin.Delete(o.T.Context(), &p, client.Preconditions{UID: &p.UID}))
	}
	o.Eventually(fmt.Sprintf("the lost pods %v are made again", ordinals), func(g Gomega) {
		now := o.Pods()
		for _, ordinal := range ordinals {
			p, ok := now[ordinal]
			g.Expect(ok && p.UID != before[ordinal].UID).To(BeTrue(), "pod %d", ordinal)
		}
	})
}

// Versions are what the pods run that are not ending, from the first ordinal on; one that
// is not ready has a question mark.
func (o *Ordered) Versions() []string {
	o.T.Helper()
	pods, start := o.Pods(), 0
	if ordinals := o.StatefulSet().Spec.Ordinals; ordinals != nil {
		start = int(ordinals.Start)
	}
	versions := []string{}
	for i := start; i < start+len(pods); i++ {
		p, ok := pods[i]
		if !ok {
			versions = append(versions, "none")
			continue
		}
		version := strings.TrimPrefix(p.Spec.Containers[0].Image, Image(""))
		if !ready(&p) {
			version += "?"
		}
		versions = append(versions, version)
	}
	return versions
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// Runs waits until the pods run these versions, from the first ordinal on, and all are
// known to the StatefulSet's controller.
func (o *Ordered) Runs(versions ...string) {
	o.T.Helper()
	o.Eventually(fmt.Sprintf("the pods run %v", versions), func(g Gomega) {
		s := o.StatefulSet()
		g.Expect(s.Status.ObservedGeneration).To(Equal(s.Generation))
		g.Expect(o.Versions()).To(HaveExactElements(versions))
		g.Expect(int(s.Status.Replicas)).To(Equal(len(versions)))
	})
}

// String is the state of the StatefulSet, for the messages of a failed wait.
func (o *Ordered) String() string {
	s := o.StatefulSet()
	return fmt.Sprintf("%s: generation %d (observed %d), strategy %v, labels %v, current %s, update %s, pods %v", o.Namespace, s.Generation, s.Status.ObservedGeneration,
		s.Spec.UpdateStrategy.RollingUpdate, s.Labels, s.Status.CurrentRevision, s.Status.UpdateRevision, o.Versions())
}
