package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
	"belay.dev/belay/controllers/workload"
)

// pushManager is the field manager of a template that this program writes.
const pushManager = "kubectl-belay"

// changeCause is what kubectl rollout history shows of a template.
const changeCause = "kubernetes.io/change-cause"

func (a *app) rollback() *cobra.Command {
	var reason, to string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "rollback [NAME]",
		Short: "Declare the version that was promoted before again",
		Long: "Write the template of the version that was promoted before into the Deployment, as you.\n\n" +
			"While a candidate is on trial or rolled back that is the stable version: the run ends, and nothing else has to roll out.\n" +
			"Otherwise it is the version before the stable one, which returns without steps as far as spec.fastRevert allows.\n\n" +
			"It needs the right to patch the Deployment.",
		Example: `  kubectl belay rollback checkout --reason "1.5 loses carts"
  kubectl belay rollback checkout --to 3ff8ea3e9c`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeRollouts,
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; it becomes the Deployment's annotation "+changeCause)
	cmd.Flags().StringVar(&to, "to", "", "the revision to go back to, which must not be rejected: kubectl belay history shows them")
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "how long to wait until the version gets all requests; 0 only writes the template")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if len(reason) > longestReason {
			return usage(fmt.Errorf("--reason has %d bytes, at most %d are kept", len(reason), longestReason))
		}
		s, err := a.connect()
		if err != nil {
			return err
		}
		rollout, err := s.rollout(ctx, first(args))
		if err != nil {
			return err
		}
		target, err := targetOf(rollout, to)
		if err != nil {
			return err
		}
		template, err := s.templateOf(ctx, rollout, target)
		if err != nil {
			return err
		}
		deployment := workload.NewDeployment()
		if err := s.Get(ctx, client.ObjectKey{Namespace: rollout.Namespace, Name: rollout.Spec.WorkloadRef.Name}, deployment); err != nil {
			return err
		}
		if declared, err := workload.RevisionOf(workload.Template(deployment)); err == nil && declared == target {
			return exit{exitError, fmt.Sprintf("Deployment %s declares revision %s already.", deployment.GetName(), target)}
		}
		if owner := gitOpsOwner(deployment); owner != "" {
			fmt.Fprintf(a.streams.ErrOut, "Warning: %s manages Deployment %s: it will declare its own version again. Revert that there too.\n", owner, deployment.GetName())
		}
		if err := s.declare(ctx, deployment, template, target, reason); err != nil {
			return fmt.Errorf("the template was not written: %w", err)
		}
		fmt.Fprintf(a.streams.Out, "Deployment %s declares revision %s again.\n", deployment.GetName(), target)
		if timeout == 0 {
			return nil
		}
		return a.await(ctx, s, rollout, awaited{revision: target, from: a.now(), serves: true}, timeout)
	}
	return cmd
}

// targetOf is the revision to go back to.
func targetOf(r *v1alpha1.Rollout, to string) (string, error) {
	s := &r.Status
	onTrial := s.Candidate != nil && s.Stable != nil && s.Candidate.Revision != s.Stable.Revision
	switch {
	case to != "" && s.IsRejected(to) != nil && (s.Stable == nil || s.Stable.Revision != to):
		return "", fmt.Errorf("revision %s is rejected since %s, and would be held: to let it run once more, declare it in the Deployment and give kubectl belay retry",
			to, s.IsRejected(to).At.UTC().Format(time.RFC3339))
	case to != "":
		return to, nil
	case s.Stable == nil:
		return "", fmt.Errorf("rollout %s has no stable version yet", r.Name)
	case onTrial:
		return s.Stable.Revision, nil
	case len(s.Previous) > 0:
		return s.Previous[0].Revision, nil
	default:
		return "", fmt.Errorf("no version was promoted before %s: name a revision with --to", view.Tag(s.Stable))
	}
}

// templateOf finds the template of a revision: in the runs, which pin it whole, or in the
// Deployment's ReplicaSets.
func (s *session) templateOf(ctx context.Context, r *v1alpha1.Rollout, revision string) (map[string]any, error) {
	runs, err := s.runs(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	for i := range runs {
		spec := &runs[i].Spec
		for _, pinned := range []struct {
			revision string
			template runtime.RawExtension
		}{{spec.Revision, spec.Template}, {spec.Stable.Revision.Revision, spec.Stable.Template}} {
			if pinned.revision != revision {
				continue
			}
			template, err := workload.DecodeTemplate(pinned.template.Raw)
			if err == nil && isOf(template, revision) {
				return declarable(template), nil
			}
		}
	}
	sets := workload.Sets()
	if err := s.List(ctx, sets, client.InNamespace(r.Namespace)); err != nil {
		return nil, fmt.Errorf("no run has the template of revision %s, and the ReplicaSets cannot be read: %w", revision, err)
	}
	for i := range sets.Items {
		if !ownedBy(&sets.Items[i], r.Spec.WorkloadRef.Name) {
			continue
		}
		template := workload.Template(&sets.Items[i])
		if isOf(template, revision) {
			return declarable(template), nil
		}
	}
	return nil, fmt.Errorf("no run and no ReplicaSet has the template of revision %s any more: declare it by hand", revision)
}

// declarable is a template without what the Deployment controller adds to a ReplicaSet's.
func declarable(template map[string]any) map[string]any {
	unstructured.RemoveNestedField(template, "metadata", "labels", appsv1.DefaultDeploymentUniqueLabelKey)
	return template
}

func ownedBy(set *unstructured.Unstructured, deployment string) bool {
	for _, owner := range set.GetOwnerReferences() {
		if owner.Kind == "Deployment" && owner.Name == deployment {
			return true
		}
	}
	return false
}

func isOf(template map[string]any, revision string) bool {
	found, err := workload.RevisionOf(template)
	return err == nil && found == revision
}

// testFailed is what the API server says of a JSON patch whose test fails.
const testFailed = "the server rejected our request due to an error in our request"

// declare replaces the Deployment's template, if it is still the one that was read.
func (s *session) declare(ctx context.Context, deployment *unstructured.Unstructured, template map[string]any, revision, reason string) error {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	operations := []operation{
		{"test", "/metadata/uid", deployment.GetUID()},
		{"test", "/spec/template", workload.Template(deployment)},
		{"replace", "/spec/template", template},
	}
	cause := "kubectl belay rollback to revision " + revision
	if reason != "" {
		cause += ": " + reason
	}
	if deployment.GetAnnotations() == nil {
		operations = append(operations, operation{"add", "/metadata/annotations", map[string]string{}})
	}
	operations = append(operations, operation{"add", "/metadata/annotations/kubernetes.io~1change-cause", cause})
	patch, err := json.Marshal(operations)
	if err != nil {
		return err
	}
	err = s.Patch(ctx, deployment, client.RawPatch(types.JSONPatchType, patch), client.FieldOwner(pushManager))
	if apierrors.IsInvalid(err) && strings.Contains(err.Error(), testFailed) {
		return fmt.Errorf("somebody changed the template of Deployment %s meanwhile: look again, and repeat", deployment.GetName())
	}
	return err
}
