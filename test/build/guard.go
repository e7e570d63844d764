package build

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

const (
	// policiesWithin bounds how long an API server may take to enforce new policies on workloads.
	policiesWithin = 20 * time.Second
	// commandsWithin is longer than an API server takes to read the schema of a kind: it looks
	// for new ones every 5 seconds.
	commandsWithin = time.Minute
)

// AwaitGuard waits until the API server enforces the guard's policies of each kind: a push is
// held and stamped, nobody resumes what is held, and commands of Rollouts are stamped. A policy
// that mutates a kind of a CustomResourceDefinition answers 503 until the API server has read its
// schema, a few seconds after policies on other kinds are in force.
func AwaitGuard(ctx context.Context, c client.Client) error {
	rolls, held, ordered := awaited("await", false), awaited("await-held", true), awaitedSet("await")
	for _, o := range []client.Object{rolls, held, ordered} {
		if err := c.Create(ctx, o); err != nil {
			return err
		}
	}
	push := client.RawPatch(types.StrategicMergePatchType, []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"app:v2"}]}}}}`))
	err := inForce(ctx, policiesWithin, "the policies did not come into force", func(ctx context.Context) (bool, error) {
		pushed := rolls.DeepCopy()
		if err := c.Patch(ctx, pushed, push, client.DryRunAll); err != nil {
			return false, err
		}
		set := ordered.DeepCopy()
		if err := c.Patch(ctx, set, push, client.DryRunAll); err != nil {
			return false, err
		}
		stamped := pushed.Annotations[v1alpha1.AnnotationPushedBy] != "" && set.Annotations[v1alpha1.AnnotationPushedBy] != ""
		err := c.Patch(ctx, held.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"paused":false}}`)), client.DryRunAll)
		refused := err != nil && strings.Contains(err.Error(), "belay-guard-release")
		return refused && stamped && pushed.Spec.Paused && *set.Spec.UpdateStrategy.RollingUpdate.Partition == v1alpha1.PartitionHold, err
	})
	if err != nil {
		return err
	}
	return errors.Join(c.Delete(ctx, rolls), c.Delete(ctx, held), c.Delete(ctx, ordered), awaitCommands(ctx, c))
}

// awaited is a Deployment without pods that a Rollout of its name would guard.
func awaited(name string, paused bool) *appsv1.Deployment {
	meta, selector, template := awaitedParts(name)
	return &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: new(int32), Paused: paused, Selector: selector, Template: template}}
}

// awaitedSet is a StatefulSet without pods that a Rollout of its name would guard.
func awaitedSet(name string) *appsv1.StatefulSet {
	meta, selector, template := awaitedParts(name)
	return &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Replicas: new(int32), Selector: selector, Template: template}}
}

func awaitedParts(name string) (metav1.ObjectMeta, *metav1.LabelSelector, corev1.PodTemplateSpec) {
	labels := map[string]string{"app": name}
	return metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault, Labels: map[string]string{v1alpha1.LabelRollout: name}},
		&metav1.LabelSelector{MatchLabels: labels},
		corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app:v1"}}}}
}

func awaitCommands(ctx context.Context, c client.Client) error {
	samples, err := Config("samples")
	if err != nil {
		return err
	}
	var ordered *unstructured.Unstructured
	for _, sample := range samples {
		if sample.GetKind() == "Rollout" {
			ordered = sample
		}
	}
	if ordered == nil {
		return errors.New("no sample is a Rollout")
	}
	ordered.SetNamespace(metav1.NamespaceDefault)
	ordered.SetAnnotations(map[string]string{v1alpha1.AnnotationAction: string(v1alpha1.ActionAbort), v1alpha1.AnnotationActionToken: "await"})
	return inForce(ctx, commandsWithin, "the guard stamps no command", func(ctx context.Context) (bool, error) {
		given := ordered.DeepCopy()
		err := c.Create(ctx, given, client.DryRunAll)
		return err == nil && given.GetAnnotations()[v1alpha1.AnnotationActionBy] != "", err
	})
}

// inForce tries again until it holds; what it was told last is part of the error.
func inForce(ctx context.Context, within time.Duration, otherwise string, holds func(context.Context) (bool, error)) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, within, true, func(ctx context.Context) (ok bool, _ error) {
		ok, last = holds(ctx)
		return ok, nil
	})
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", otherwise, err), last)
	}
	return nil
}
