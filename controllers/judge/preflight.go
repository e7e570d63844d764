package judge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/analysis/triggers"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/guardrails"
	"belay.dev/belay/controllers/sources"
)

// PreflightReconciler checks, for Rollouts with a candidate that waits, whether the
// service has enough error budget for a run, and writes the verdict to
// status.preflight. It changes nothing else.
type PreflightReconciler struct {
	Client  client.Client
	Sources *sources.Clients
	Clock   clock.PassiveClock
	// Workers is how many Rollouts are checked at once.
	Workers int
}

// preflightEvery is how often the verdict is renewed while a candidate waits. It is
// valid for v1alpha1.PreflightFreshFor.
const preflightEvery = 30 * time.Second

// Reconcile checks once, if it is time, and requeues the Rollout while the candidate
// waits.
func (r *PreflightReconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	rollout := &v1alpha1.Rollout{}
	if err := r.Client.Get(ctx, req.NamespacedName, rollout); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if rollout.Status.Phase != v1alpha1.PhaseGating || rollout.Status.Candidate == nil || rollout.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	bound, _, err := guardrails.Bind(ctx, r.Client, rollout)
	if err != nil || !slices.ContainsFunc(bound, guardrails.HasPreflight) {
		return reconcile.Result{}, err
	}
	now, revision := r.Clock.Now(), rollout.Status.Candidate.Revision
	if last := rollout.Status.Preflight; last != nil && last.Revision == revision && !v1alpha1.IsFuture(last.EvaluatedAt.Time, now) {
		if left := preflightEvery - now.Sub(last.EvaluatedAt.Time); left > 0 {
			return reconcile.Result{RequeueAfter: left}, nil
		}
	}
	v := r.judge(ctx, rollout, bound, now)
	verdict := v1alpha1.PreflightStatus{
		Revision: revision, Outcome: v1alpha1.VerdictOutcome(v.Outcome()), Reason: string(v.Reason),
		Message: v1alpha1.Bounded(v.Message, 512), EvaluatedAt: metav1.NewTime(now),
	}
	return reconcile.Result{RequeueAfter: preflightEvery}, r.write(ctx, rollout, verdict)
}

// judge checks all objectives at once and returns the worst verdict, with the name of
// its objective.
func (r *PreflightReconciler) judge(ctx context.Context, rollout *v1alpha1.Rollout, bound []v1alpha1.PinnedGuardrail, now time.Time) analysis.Verdict {
	var checks []<-chan analysis.Verdict
	for _, g := range bound {
		if !guardrails.HasPreflight(g) {
			continue
		}
		for _, slo := range g.Spec.SLOs {
			check := make(chan analysis.Verdict, 1)
			checks = append(checks, check)
			go func() {
				v := r.judgeSLO(ctx, rollout, g, slo, now)
				v.Message = g.Name + "/" + slo.Name + ": " + v.Message
				check <- v
			}()
		}
	}
	worst := analysis.Verdict{Reason: analysis.Healthy, Message: "no guardrail with preflight has an slo"}
	for i, check := range checks {
		if v := <-check; i == 0 || analysis.Worst(v.Outcome(), worst.Outcome()) != worst.Outcome() {
			worst = v
		}
	}
	return worst
}

func (r *PreflightReconciler) judgeSLO(ctx context.Context, rollout *v1alpha1.Rollout, g v1alpha1.PinnedGuardrail, slo v1alpha1.SLO, now time.Time) analysis.Verdict {
	rule, unread := triggers.Preflight(g.Spec, slo)
	source, denied := allowedSource(ctx, r.Client, rollout.Namespace, g.Spec.Source)
	if denied != nil {
		return analysis.Verdict{Reason: denied.Reason, Message: denied.Message}
	}
	query, recorded, err := preflightQuery(rollout, g, slo, source.Spec.Labels)
	if err := errors.Join(unread, err); err != nil {
		return analysis.Verdict{Reason: analysis.BadQuery, Message: err.Error()}
	}
	c, err := r.Sources.Client(ctx, source, now)
	if err != nil {
		return analysis.Verdict{Reason: analysis.Auth, Message: v1alpha1.Bounded(err.Error(), 400)}
	}
	var v analysis.Verdict
	if recorded {
		var numbers analysis.Recorded
		numbers, err = c.Recorded(ctx, rollout.Namespace, query, r.Clock.Now)
		v = rule.JudgeRecorded(numbers)
	} else {
		var shares analysis.Shares
		shares, err = c.Shares(ctx, rollout.Namespace, query, r.Clock.Now)
		v = rule.Judge(shares)
	}
	sources.CountQuery(err)
	var failed *prometheus.QueryError
	switch {
	case errors.As(err, &failed):
		return analysis.Verdict{Reason: failed.Reason, Message: failed.Message}
	case err != nil:
		return analysis.Verdict{Reason: analysis.Malformed, Message: v1alpha1.Bounded(err.Error(), 400)}
	}
	return v
}

// preflightQuery reports whether the query is for recorded numbers.
func preflightQuery(rollout *v1alpha1.Rollout, g v1alpha1.PinnedGuardrail, slo v1alpha1.SLO, labels v1alpha1.MetricSourceLabels) (query string, recorded bool, err error) {
	for _, known := range g.Spec.Preflight.Recorded {
		if known.SLO != slo.Name {
			continue
		}
		namespace := rollout.Namespace
		if g.Kind == "ClusterGuardrail" {
			namespace = ""
		}
		query, err = prometheus.RecordedQuery(known, labels, namespace)
		return query, true, err
	}
	all := prometheus.Pods{Namespace: rollout.Namespace, Labels: labels, Services: servicesOf(rollout)}
	if rollout.Spec.Traffic != nil {
		// Between runs all requests are sent to it.
		all.Services = append(all.Services, rollout.Spec.Traffic.Service)
	}
	if rollout.Spec.WorkloadRef.Ordered() {
		all.StatefulSet = rollout.Spec.WorkloadRef.Name
	}
	query, err = prometheus.SharesQuery(slo.Indicator, all, rollout.Spec.WorkloadRef.Name, slo.PeriodDuration())
	return query, false, err
}

// write applies status.preflight, the one field that this loop owns.
func (r *PreflightReconciler) write(ctx context.Context, rollout *v1alpha1.Rollout, verdict v1alpha1.PreflightStatus) error {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&verdict)
	if err != nil {
		return fmt.Errorf("encode the pre-flight: %w", err)
	}
	u := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"preflight": fields}}}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Rollout"))
	u.SetNamespace(rollout.Namespace)
	u.SetName(rollout.Name)
	// With the UID, this write cannot create a Rollout that was deleted.
	u.SetUID(rollout.UID)
	err = r.Client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(v1alpha1.AnalysisFieldManager), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("write the pre-flight of Rollout %s: %w", rollout.Name, err)
	}
	return nil
}

// SetupWithManager registers the reconciler and its watches.
func (r *PreflightReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("preflight").
		For(&v1alpha1.Rollout{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Workers}).
		Complete(r)
}
