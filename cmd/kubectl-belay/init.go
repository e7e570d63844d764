package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
	"belay.dev/belay/controllers/workload"
)

func (a *app) init() *cobra.Command {
	var metrics metricsFlags
	var source, hold, kind string
	var enforce bool
	cmd := &cobra.Command{
		Use:   "init WORKLOAD",
		Short: "Write a Rollout and a Guardrail to start from",
		Long: "Look at a Deployment or StatefulSet, the Services and routes that lead to its pods, and, with --prometheus, at the metrics that they expose, and write a Rollout and a Guardrail\n" +
			"to start from. Comments say what was found, what was assumed, and what to change. Nothing is applied: read it, change it, and apply it yourself.\n\n" +
			"The objectives are guesses until somebody has agreed to them, so triggers of metrics get mode: Observe: they are judged and recorded, and neither hold nor\n" +
			"roll back. The trigger of pods, which finds versions that crash or do not come up, is enforced from the start. Take the lines with Observe out once\n" +
			"kubectl belay backtest and the first releases show no false alarm; --enforce leaves them out at once.",
		Example: `  kubectl belay init checkout -n shop > belay.yaml
  kubectl belay init statefulset/ledger -n shop > belay.yaml
  kubectl belay init checkout --prometheus http://localhost:9090 > belay.yaml
  kubectl belay init checkout --prometheus http://localhost:9090 --enforce --hold 30s > trial.yaml
  kubectl apply --dry-run=server -f belay.yaml && kubectl apply -f belay.yaml`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&source, "source", "", "the MetricSource that the Guardrail names (default: the only one, or one that is named default)")
	cmd.Flags().StringVar(&hold, "hold", "", "how long each step and the bake last at least; 30s to try Belay out (default: 5m, then 10m)")
	cmd.Flags().BoolVar(&enforce, "enforce", false, "let triggers of metrics roll back from the start")
	cmd.Flags().StringVar(&kind, "kind", "", "Deployment or StatefulSet; or write it before the name: statefulset/NAME (default: Deployment)")
	metrics.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ref, err := workloadNamed(kind, args[0])
		if err != nil {
			return usage(err)
		}
		if metrics.address != "" {
			if err := metrics.check(); err != nil {
				return usage(err)
			}
		}
		if length, err := time.ParseDuration(hold); hold != "" && (err != nil || length < 0 || length > longestHold) {
			return usage(fmt.Errorf("--hold %q: want a time such as 30s or 5m, and at most 168h", hold))
		}
		s, err := a.connect()
		if err != nil {
			return err
		}
		seen, err := s.sightsee(cmd.Context(), ref)
		if err != nil {
			return err
		}
		seen.enforce, seen.hold = enforce, hold
		if err := s.sourceFor(cmd.Context(), &seen, source); err != nil {
			return err
		}
		if metrics.address != "" {
			if err := seen.measure(cmd.Context(), &metrics, a.now); err != nil {
				return err
			}
		}
		_, err = fmt.Fprint(a.streams.Out, seen.manifests())
		return err
	}
	return cmd
}

// longestHold of a step or a bake that the API takes.
const longestHold = 168 * time.Hour

// kindsNamed are the kinds of workloads as people write them.
var kindsNamed = map[string]string{
	"deployment": v1alpha1.KindDeployment, "deployments": v1alpha1.KindDeployment, "deploy": v1alpha1.KindDeployment,
	"statefulset": v1alpha1.KindStatefulSet, "statefulsets": v1alpha1.KindStatefulSet, "sts": v1alpha1.KindStatefulSet,
}

// workloadNamed is a workload as people name it: NAME, or as kubectl takes it statefulset/NAME.
func workloadNamed(kind, name string) (v1alpha1.WorkloadRef, error) {
	out := v1alpha1.WorkloadRef{Kind: v1alpha1.KindDeployment, Name: bare(name)}
	var said []string
	for _, one := range []string{kind, strings.TrimSuffix(strings.TrimSuffix(name, out.Name), "/")} {
		if one == "" {
			continue
		}
		resource, _, _ := strings.Cut(strings.ToLower(one), ".")
		known, ok := kindsNamed[resource]
		if !ok {
			return out, fmt.Errorf("%s is no kind that a Rollout can name: want Deployment or StatefulSet", view.Text(one, 63))
		}
		said, out.Kind = append(said, known), known
	}
	if len(said) == 2 && said[0] != said[1] {
		return out, fmt.Errorf("--kind %s and %s are different kinds: give one of them", kind, view.Text(name, 100))
	}
	return out, nil
}

// surrounds is what was found around a workload.
type surrounds struct {
	object *unstructured.Unstructured
	// replicaSets are those of a Deployment with pods.
	replicaSets []string
	// service leads to its pods, and routes name it; service is nil without one.
	service  *corev1.Service
	services []string
	routes   []v1alpha1.RouteRef
	scaler   string
	// source is the name of the MetricSource, which may not exist yet.
	source  string
	sourced bool
	enforce bool
	// hold is how long a step and the bake last, empty where nobody has said it.
	hold string
	// measured is set when a source was asked.
	measured bool
	slos     []foundSLO
	notes    []string
}

// exists is false also where it cannot be read.
func (s *session) exists(ctx context.Context, ref v1alpha1.WorkloadRef) bool {
	return s.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: ref.Name}, workload.New(ref)) == nil
}

// sightsee looks at a workload and what leads to it.
func (s *session) sightsee(ctx context.Context, ref v1alpha1.WorkloadRef) (surrounds, error) {
	var out surrounds
	d := workload.New(ref)
	if err := s.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: ref.Name}, d); err != nil {
		if apierrors.IsNotFound(err) && !ref.Ordered() && s.exists(ctx, v1alpha1.WorkloadRef{Kind: v1alpha1.KindStatefulSet, Name: ref.Name}) {
			return out, fmt.Errorf("there is no Deployment %s in namespace %s, but a StatefulSet: kubectl belay init statefulset/%[1]s -n %[2]s", ref.Name, s.namespace)
		}
		return out, fmt.Errorf("read %s %s in namespace %s: %w", ref.Kind, ref.Name, s.namespace, err)
	}
	out.object = d
	rollouts := &v1alpha1.RolloutList{}
	if err := s.List(ctx, rollouts, client.InNamespace(s.namespace)); err != nil && !absent(err) {
		return out, fmt.Errorf("read the Rollouts: %w", err)
	}
	for i := range rollouts.Items {
		if r := &rollouts.Items[i]; view.KindOf(r) == ref.Kind && r.Spec.WorkloadRef.Name == ref.Name {
			return out, fmt.Errorf("rollout %s guards %s already: kubectl -n %s get rollouts.belay.dev %s -o yaml", r.Name, withKind(d), s.namespace, r.Name)
		}
	}
	if err := s.findSets(ctx, &out); err != nil {
		return out, err
	}
	if err := s.findTraffic(ctx, &out); err != nil {
		return out, err
	}
	return out, s.findScaler(ctx, &out)
}

// findSets finds the ReplicaSets of a Deployment that have pods.
func (s *session) findSets(ctx context.Context, out *surrounds) error {
	if out.ordered() {
		return nil
	}
	sets := workload.Sets()
	if err := s.List(ctx, sets, client.InNamespace(s.namespace)); err != nil {
		return fmt.Errorf("read the ReplicaSets of %s: %w", withKind(out.object), err)
	}
	for i := range sets.Items {
		pods, _, _ := unstructured.NestedInt64(sets.Items[i].Object, "status", "replicas")
		if ownedBy(&sets.Items[i], v1alpha1.KindDeployment, out.object.GetName()) && pods > 0 {
			out.replicaSets = append(out.replicaSets, sets.Items[i].GetName())
		}
	}
	slices.Sort(out.replicaSets)
	return nil
}

// ordered reports whether the workload is a StatefulSet, whose requests no route splits.
func (s *surrounds) ordered() bool { return s.object.GetKind() == v1alpha1.KindStatefulSet }

// findTraffic finds the Service that leads to the pods, and the routes that name it. One that
// a route names comes before others, and one with the workload's name before the rest.
func (s *session) findTraffic(ctx context.Context, out *surrounds) error {
	all := &corev1.ServiceList{}
	if err := s.List(ctx, all, client.InNamespace(s.namespace)); err != nil {
		return fmt.Errorf("read the Services: %w", err)
	}
	pods := labels.Set(templateLabels(out.object))
	routes, err := s.routes(ctx)
	if err != nil {
		return err
	}
	best := -1
	for i := range all.Items {
		service := &all.Items[i]
		if len(service.Spec.Selector) == 0 || !labels.SelectorFromSet(service.Spec.Selector).Matches(pods) {
			continue
		}
		if !out.ordered() && (service.Spec.ClusterIP == corev1.ClusterIPNone || service.Spec.Type == corev1.ServiceTypeExternalName) {
			out.notes = append(out.notes, fmt.Sprintf("Service %s is headless and cannot be split.", service.Name))
			continue
		}
		out.services = append(out.services, service.Name)
		to := routesTo(routes, service.Name)
		rank := 10 * min(len(to), 1)
		if service.Name == out.object.GetName() {
			rank++
		}
		if rank > best {
			best, out.service, out.routes = rank, service, to
		}
	}
	return nil
}

// routes of the namespace. A kind that the API server does not serve has none.
func (s *session) routes(ctx context.Context) ([]unstructured.Unstructured, error) {
	var out []unstructured.Unstructured
	for _, kind := range []string{v1alpha1.KindHTTPRoute, v1alpha1.KindGRPCRoute} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(schema.GroupVersionKind{Group: gatewayGroup, Version: "v1", Kind: kind + "List"})
		err := s.List(ctx, list, client.InNamespace(s.namespace))
		if absent(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the %ss: %w", kind, err)
		}
		out = append(out, list.Items...)
	}
	return out, nil
}

// routesTo are the routes with a backendRef to a Service.
func routesTo(routes []unstructured.Unstructured, service string) (out []v1alpha1.RouteRef) {
	for i := range routes {
		if slices.Contains(backends(&routes[i]), service) {
			out = append(out, v1alpha1.RouteRef{Kind: routes[i].GetKind(), Name: routes[i].GetName()})
		}
	}
	return out
}

func (s *session) findScaler(ctx context.Context, out *surrounds) error {
	all := &autoscalingv2.HorizontalPodAutoscalerList{}
	if err := s.List(ctx, all, client.InNamespace(s.namespace)); err != nil {
		if absent(err) {
			return nil
		}
		return fmt.Errorf("read the HorizontalPodAutoscalers: %w", err)
	}
	for i := range all.Items {
		if ref := all.Items[i].Spec.ScaleTargetRef; ref.Kind == out.object.GetKind() && ref.Name == out.object.GetName() {
			out.scaler = all.Items[i].Name
		}
	}
	return nil
}

// sourceFor chooses the MetricSource: the one that was named, the only one, or default.
func (s *session) sourceFor(ctx context.Context, out *surrounds, named string) error {
	all := &v1alpha1.MetricSourceList{}
	if err := s.List(ctx, all); err != nil && !absent(err) {
		return fmt.Errorf("read the MetricSources: %w", err)
	}
	var names []string
	for i := range all.Items {
		names = append(names, all.Items[i].Name)
	}
	out.source = named
	switch {
	case named != "":
	case len(names) == 1:
		out.source = names[0]
	default:
		out.source = "default"
	}
	if out.sourced = slices.Contains(names, out.source); named != "" && len(names) > 0 && !out.sourced {
		return usage(errors.New("--source: there is no MetricSource " + named))
	}
	return nil
}

// absent holds for kinds that the API server does not serve, or the person may not read: what
// would be found there is left out.
func absent(err error) bool {
	return meta.IsNoMatchError(err) || apierrors.IsNotFound(err) || apierrors.IsForbidden(err)
}
