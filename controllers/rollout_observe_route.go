package controllers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/traffic"
)

func stableService(rollout *v1alpha1.Rollout) string { return rollout.Name + "-stable" }
func canaryService(rollout *v1alpha1.Rollout) string { return rollout.Name + "-canary" }

func targetOf(rollout *v1alpha1.Rollout) traffic.Target {
	t := traffic.Target{
		Namespace: rollout.Namespace, Owner: rollout.Name, Service: rollout.Spec.Traffic.Service,
		Stable: stableService(rollout), Canary: canaryService(rollout), Epoch: rollout.Status.Epoch,
	}
	for _, route := range rollout.Spec.Traffic.Routes {
		t.Routes = append(t.Routes, route.Name)
	}
	return t
}

func (r *RolloutReconciler) observeRoute(ctx context.Context, w *world) error {
	if err := r.observeServices(ctx, w); err != nil {
		return err
	}
	o, err := r.Router.Observe(ctx, w.target)
	switch {
	case errors.Is(err, traffic.ErrNotFound), errors.Is(err, traffic.ErrNotRouted):
		w.input.Route.Fault = plan.Blocked{Reason: v1alpha1.ReasonRouteNotFound, Message: bounded(err.Error(), 1024)}
	case err != nil:
		return err
	}
	w.input.Route.Acknowledged = o.Acknowledged
	w.input.Route.Epoch = o.Epoch
	w.routeOwner = o.Manager
	switch {
	case o.Mixed:
		// Routes that disagree carry no known share; no step matches it, so the next
		// write makes them agree.
		w.input.Route.Split = ptr(int32(-1))
	case o.Split != nil:
		w.input.Route.Split = &o.Split.Canary
	}
	return nil
}

func (r *RolloutReconciler) observeServices(ctx context.Context, w *world) error {
	user := &corev1.Service{}
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: w.target.Namespace, Name: w.target.Service}, user)
	switch {
	case apierrors.IsNotFound(err):
		w.input.Route.ServiceMissing = true
		w.input.Route.Fault = plan.Blocked{
			Reason:  v1alpha1.ReasonServiceNotFound,
			Message: fmt.Sprintf("Service %q does not exist: create it, or name another one in spec.traffic.service", w.target.Service),
		}
	case err != nil:
		return fmt.Errorf("read the Service: %w", err)
	default:
		w.service = user
	}
	stable, err := r.selectorOf(ctx, w, w.target.Stable)
	if err != nil {
		return err
	}
	canary, err := r.selectorOf(ctx, w, w.target.Canary)
	if err != nil {
		return err
	}
	in := &w.input.Route
	in.StableHash = stable[appsv1.DefaultDeploymentUniqueLabelKey]
	in.CanaryRevision = canary[v1alpha1.LabelRevision]
	if in.StableEndpoints, err = r.readyEndpoints(ctx, w, w.target.Stable, appsv1.DefaultDeploymentUniqueLabelKey, in.StableHash); err != nil {
		return err
	}
	if in.CanaryEndpoints, err = r.readyEndpoints(ctx, w, w.target.Canary, v1alpha1.LabelRevision, in.CanaryRevision); err != nil {
		return err
	}
	return r.observeCanaryOnService(ctx, w)
}

// observeCanaryOnService counts canary pods that go, but that the user's Service
// still reaches: endpoints lag behind.
func (r *RolloutReconciler) observeCanaryOnService(ctx context.Context, w *world) error {
	if w.rollout.Status.Candidate == nil || len(w.canaryPods) == 0 {
		return nil
	}
	reached, err := r.readyEndpoints(ctx, w, w.target.Service, v1alpha1.LabelRevision, w.rollout.Status.Candidate.Revision)
	w.input.Canary.Pods = max(w.input.Canary.Pods, reached)
	return err
}

// selectorOf is the selector of a generated Service; empty while there is none
// that this Rollout controls.
func (r *RolloutReconciler) selectorOf(ctx context.Context, w *world, name string) (map[string]string, error) {
	s := &corev1.Service{}
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: w.target.Namespace, Name: name}, s)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Service %q: %w", name, err)
	}
	if !metav1.IsControlledBy(s, w.rollout) {
		w.input.Route.Fault = plan.Blocked{
			Reason:  v1alpha1.ReasonServiceNotFound,
			Message: fmt.Sprintf("Service %q exists and is not Belay's: rename it, Belay needs that name", name),
		}
		return nil, nil
	}
	return s.Spec.Selector, nil
}

// readyEndpoints counts the endpoints a gateway can use now. Only those of pods
// that carry the label the Service selects by count: endpoints lag behind a
// change of the selector.
func (r *RolloutReconciler) readyEndpoints(ctx context.Context, w *world, service, label, value string) (int32, error) {
	if value == "" {
		return 0, nil
	}
	slices := &discoveryv1.EndpointSliceList{}
	err := r.Client.List(ctx, slices, client.InNamespace(w.target.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: service})
	if err != nil {
		return 0, fmt.Errorf("list the endpoints of Service %q: %w", service, err)
	}
	pods := &corev1.PodList{}
	if err := r.Client.List(ctx, pods, client.InNamespace(w.target.Namespace), client.MatchingLabels{label: value}); err != nil {
		return 0, fmt.Errorf("list the pods of Service %q: %w", service, err)
	}
	selected := map[string]bool{}
	for i := range pods.Items {
		selected[pods.Items[i].Name] = true
	}
	ready := map[string]bool{}
	for _, slice := range slices.Items {
		for _, e := range slice.Endpoints {
			if e.TargetRef != nil && selected[e.TargetRef.Name] && deref(e.Conditions.Ready, true) {
				ready[e.TargetRef.Name] = true
			}
		}
	}
	return int32(len(ready)), nil
}

// highestNumber is the largest number any run's name ends in.
func highestNumber(runs []v1alpha1.RolloutRun) int32 {
	var highest int32
	for i := range runs {
		name := runs[i].Name
		n, err := strconv.ParseInt(name[strings.LastIndexByte(name, '-')+1:], 10, 32)
		if err == nil {
			highest = max(highest, int32(n))
		}
	}
	return highest
}

func ptr[T any](v T) *T { return &v }
