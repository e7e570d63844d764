package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
	"belay.dev/belay/controllers/workload"
)

// session reads and writes as the person who runs the command.
type session struct {
	client.Client
	namespace string
	now       func() time.Time
}

func scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(s); err != nil {
		return nil, err
	}
	return s, v1alpha1.AddToScheme(s)
}

func (a *app) connect() (*session, error) {
	config, err := a.flags.ToRESTConfig()
	if err != nil {
		return nil, configured(err)
	}
	if config.Host == noServer {
		if raw, err := a.flags.ToRawKubeConfigLoader().RawConfig(); err == nil && len(raw.Clusters) == 0 && *a.flags.APIServer == "" {
			return nil, errNoCluster
		}
	}
	namespace, _, err := a.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, configured(err)
	}
	types, err := scheme()
	if err != nil {
		return nil, err
	}
	config.UserAgent = "kubectl-belay/" + version
	// The API server bounds its callers. What a screen asks for at the same time is more than the
	// client's own bound lets through in the time that it waits.
	config.QPS = -1
	c, err := client.New(config, client.Options{Scheme: types})
	if err != nil {
		return nil, err
	}
	return &session{Client: c, namespace: namespace, now: a.now}, nil
}

// open connects, and reads the Rollout that the arguments name.
func (a *app) open(ctx context.Context, args []string) (*session, *v1alpha1.Rollout, error) {
	s, err := a.connect()
	if err != nil {
		return nil, nil, err
	}
	r, err := s.rollout(ctx, first(args))
	return s, r, err
}

// names of at most this many objects are listed in an error.
const listedNames = 8

// rollout reads a Rollout; without a name the only one of the namespace.
func (s *session) rollout(ctx context.Context, name string) (*v1alpha1.Rollout, error) {
	name = bare(name)
	if name != "" {
		r := &v1alpha1.Rollout{}
		err := s.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, r)
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("no Rollout %q in namespace %s: kubectl belay list -A shows all", name, s.namespace)
		}
		if err != nil {
			return nil, err
		}
		return r, nil
	}
	all, err := s.rollouts(ctx)
	if err != nil {
		return nil, err
	}
	switch len(all.Items) {
	case 0:
		return nil, fmt.Errorf("no Rollout in namespace %s: kubectl belay list -A shows all", s.namespace)
	case 1:
		return &all.Items[0], nil
	}
	var found []string
	for i := range all.Items[:min(len(all.Items), listedNames)] {
		found = append(found, all.Items[i].Name)
	}
	if more := len(all.Items) - len(found); more > 0 {
		found = append(found, fmt.Sprintf("and %d more", more))
	}
	return nil, exit{exitError, fmt.Sprintf("error: namespace %s has %d Rollouts, name one: %s", s.namespace, len(all.Items), strings.Join(found, ", "))}
}

// bare is a name without the resource before it: rollouts.belay.dev/checkout.
func bare(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// run reads a RolloutRun by its name, or the newest of a Rollout by the Rollout's name. The
// Rollout is nil when it is gone.
func (s *session) run(ctx context.Context, name string) (*v1alpha1.Rollout, *v1alpha1.RolloutRun, error) {
	name = bare(name)
	rollout, err := s.rollout(ctx, name)
	if err == nil {
		if rollout.Status.Run == "" {
			return nil, nil, fmt.Errorf("rollout %s has had no run yet: the next change of its workload's template starts one", rollout.Name)
		}
		run := &v1alpha1.RolloutRun{}
		err := s.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: rollout.Status.Run}, run)
		if apierrors.IsNotFound(err) {
			return nil, nil, fmt.Errorf("run %s of Rollout %s is not there: it has not been written yet, or was pruned by historyLimit", rollout.Status.Run, rollout.Name)
		}
		return rollout, run, err
	}
	if name == "" {
		return nil, nil, err
	}
	run := &v1alpha1.RolloutRun{}
	switch err := s.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, run); {
	case err == nil:
		return s.ownerOf(ctx, run), run, nil
	case !apierrors.IsNotFound(err):
		return nil, nil, err
	}
	runs, err := s.runs(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	if len(runs) == 0 {
		return nil, nil, fmt.Errorf("no Rollout or RolloutRun %q in namespace %s: kubectl belay list -A and kubectl belay history NAME show all", name, s.namespace)
	}
	return nil, &runs[0], nil
}

// ownerOf is the Rollout of a run, if it is still the same one.
func (s *session) ownerOf(ctx context.Context, run *v1alpha1.RolloutRun) *v1alpha1.Rollout {
	r := &v1alpha1.Rollout{}
	if s.Get(ctx, client.ObjectKey{Namespace: run.Namespace, Name: run.Spec.Rollout.Name}, r) != nil || r.UID != run.Spec.Rollout.UID {
		return nil
	}
	return r
}

// workload reads the Deployment or StatefulSet of a Rollout.
func (s *session) workload(ctx context.Context, r *v1alpha1.Rollout) (*unstructured.Unstructured, error) {
	d := workload.New(r.Spec.WorkloadRef)
	if err := s.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: r.Spec.WorkloadRef.Name}, d); err != nil {
		return nil, err
	}
	return d, nil
}

// declared reads the workload of a Rollout, and the version that it declares.
func (s *session) declared(ctx context.Context, r *v1alpha1.Rollout) (*unstructured.Unstructured, v1alpha1.Revision, error) {
	d, err := s.workload(ctx, r)
	if err != nil {
		return nil, v1alpha1.Revision{}, err
	}
	version, err := workload.Describe(workload.Template(d))
	if err != nil {
		return nil, v1alpha1.Revision{}, fmt.Errorf("read the template of %s: %w", withKind(d), err)
	}
	return d, version, nil
}

// withKind is the name of a workload with its kind.
func withKind(object *unstructured.Unstructured) string {
	return object.GetKind() + " " + object.GetName()
}

// runs of a Rollout that are still there, newest first.
func (s *session) runs(ctx context.Context, rollout string) ([]v1alpha1.RolloutRun, error) {
	return s.allRuns(ctx, client.MatchingLabels{v1alpha1.LabelRollout: rollout})
}

// allRuns of the namespace that are selected, newest first.
func (s *session) allRuns(ctx context.Context, selected ...client.ListOption) ([]v1alpha1.RolloutRun, error) {
	all := &v1alpha1.RolloutRunList{}
	if err := s.List(ctx, all, append(selected, client.InNamespace(s.namespace))...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(all.Items, func(a, b v1alpha1.RolloutRun) int { return b.Spec.StartedAt.Compare(a.Spec.StartedAt.Time) })
	return all.Items, nil
}

// surroundings reads what the screen of a Rollout needs beside it. What the person may not
// read is left out, and named.
func (s *session) surroundings(ctx context.Context, r *v1alpha1.Rollout) (in view.Input, hidden []string, err error) {
	in = view.Input{Rollout: r, Now: s.now()}
	read := func(what string, err error) (found bool, failed error) {
		switch {
		case err == nil:
			return true, nil
		case apierrors.IsForbidden(err):
			hidden = append(hidden, what)
			return false, nil
		case apierrors.IsNotFound(err):
			return false, nil
		default:
			return false, err
		}
	}
	if r.Status.Run != "" {
		run := &v1alpha1.RolloutRun{}
		found, err := read("RolloutRuns", s.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: r.Status.Run}, run))
		if err != nil {
			return in, hidden, err
		}
		if found {
			in.Run = run
		}
	}
	object, err := s.workload(ctx, r)
	found, err := read(view.KindOf(r)+"s", err)
	if err != nil {
		return in, hidden, err
	}
	if found {
		in.Workload = object
		pods, err := s.pods(ctx, object)
		if found, err = read("Pods", err); err != nil {
			return in, hidden, err
		} else if found {
			in.Pods = pods
		}
	}
	for _, ref := range r.Spec.Guardrails {
		g := &v1alpha1.Guardrail{}
		found, err := read("Guardrails", s.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: ref.Name}, g))
		if err != nil {
			return in, hidden, err
		}
		if found {
			in.Guardrails = append(in.Guardrails, *g)
		}
	}
	return in, hidden, nil
}

// pods that a workload selects.
func (s *session) pods(ctx context.Context, object *unstructured.Unstructured) ([]corev1.Pod, error) {
	raw, _, err := unstructured.NestedMap(object.Object, "spec", "selector")
	if err != nil {
		return nil, err
	}
	selector := &metav1.LabelSelector{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, selector); err != nil {
		return nil, err
	}
	matches, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil || matches.Empty() {
		matches = labels.Nothing()
	}
	list := &corev1.PodList{}
	if err := s.List(ctx, list, client.InNamespace(object.GetNamespace()), client.MatchingLabelsSelector{Selector: matches}); err != nil {
		return nil, err
	}
	if list.Items == nil {
		list.Items = []corev1.Pod{}
	}
	return list.Items, nil
}
