package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/jsonpatch"
	"belay.dev/belay/controllers/view"
	"belay.dev/belay/controllers/workload"
)

// pushManager is the field manager of a template that this program writes.
const pushManager = "kubectl-belay"

// changeCause is what kubectl rollout history shows of a template.
const changeCause = "kubernetes.io/change-cause"

func (a *app) rollback() *cobra.Command {
	const reason, wait = "why; it becomes the workload's annotation " + changeCause, "how long to wait until the version gets all requests; 0 only writes the template"
	var to string
	cmd := a.acting(&cobra.Command{
		Use:   "rollback [NAME]",
		Short: "Declare the version that was promoted before again",
		Long: "Write the template of the version that was promoted before into the Deployment or StatefulSet, as you.\n\n" +
			"While the workload declares another version than the stable one, that is the stable version: the run ends, and nothing else has to roll out.\n" +
			"Otherwise it is the version before the stable one, which returns without steps as far as spec.fastRevert allows.\n" +
			"Where that would bring back a version that somebody went back from, it wants --to.\n\n" +
			"It needs the verbs get on the Rollout, get and patch on the Deployment or StatefulSet, list on RolloutRuns, and list on ReplicaSets (of a StatefulSet: ControllerRevisions) for a version that no run has any more.",
		Example: `  kubectl belay rollback checkout --reason "1.5 loses carts"
  kubectl belay rollback checkout --to 3ff8ea3e9c`,
	}, reason, 10*time.Minute, wait, func(ctx context.Context, s *session, rollout *v1alpha1.Rollout, g given) error {
		object, declared, err := s.declared(ctx, rollout)
		if err != nil {
			return err
		}
		runs, err := s.runs(ctx, rollout.Name)
		if err != nil {
			return err
		}
		target, err := targetOf(rollout, declared.Revision, to, runs)
		if err != nil {
			return err
		}
		if declared.Revision == target {
			return exit{exitNo, fmt.Sprintf("%s declares revision %s already.", withKind(object), target)}
		}
		template, err := s.templateOf(ctx, rollout, target, runs)
		if err != nil {
			return err
		}
		a.warnOfOwner(object, "it will declare its own version again. Revert that there too.")
		if err := s.declare(ctx, object, template, target, g.reason); err != nil {
			return fmt.Errorf("the template was not written: %w", err)
		}
		fmt.Fprintf(a.streams.Out, "%s declares revision %s again.\n", withKind(object), target)
		if g.timeout == 0 {
			return nil
		}
		return a.await(ctx, s, rollout, awaited{revision: target, from: a.now(), serves: true}, g.timeout)
	})
	cmd.Flags().StringVar(&to, "to", "", "the revision to go back to, which must not be rejected: kubectl belay history shows them")
	return cmd
}

// targetOf is the revision to go back to. What the workload declares decides, because the
// status may not know of the newest push yet.
func targetOf(r *v1alpha1.Rollout, declared, to string, runs []v1alpha1.RolloutRun) (string, error) {
	s, before := &r.Status, view.Before(&r.Status)
	switch {
	case to != "" && s.IsRejected(to) != nil && (s.Stable == nil || s.Stable.Revision != to):
		return "", fmt.Errorf("revision %s is rejected since %s, and would be held: to let it run once more, declare it and give kubectl belay retry",
			to, s.IsRejected(to).At.UTC().Format(time.RFC3339))
	case to != "":
		return to, nil
	case s.Stable == nil:
		return "", fmt.Errorf("rollout %s has no stable version yet", r.Name)
	case declared != s.Stable.Revision && view.Returns(s, declared):
		return "", fmt.Errorf("%s %s declares revision %s, which was promoted before: that return is on its way, and going back from it would bring %s again; name a revision with --to",
			strings.ToLower(view.KindOf(r)), r.Spec.WorkloadRef.Name, declared, view.Tag(s.Stable))
	case declared != s.Stable.Revision:
		return s.Stable.Revision, nil
	case before == nil && len(s.Previous) > 0:
		return "", fmt.Errorf("every version that was promoted before %s is rejected now, and would be held: declare one and give kubectl belay retry", view.Tag(s.Stable))
	case before == nil:
		return "", fmt.Errorf("no version was promoted before %s: name a revision with --to", view.Tag(s.Stable))
	case view.CameBack(s, runs):
		return "", fmt.Errorf("%s came back in place of revision %s, and going back would bring that again; name a revision with --to", view.Tag(s.Stable), s.Previous[0].Revision)
	default:
		return before.Revision, nil
	}
}

// templateOf finds the template of a revision: in the runs, which pin it whole, or in what
// the workload's controller keeps of it.
func (s *session) templateOf(ctx context.Context, r *v1alpha1.Rollout, revision string, runs []v1alpha1.RolloutRun) (map[string]any, error) {
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
	keeps, templateIn := workload.Sets(), func(set *unstructured.Unstructured) (map[string]any, error) { return workload.Template(set), nil }
	if r.Spec.WorkloadRef.Ordered() {
		keeps, templateIn = workload.ControllerRevisions(), workload.VersionTemplate
	}
	kind := strings.TrimSuffix(keeps.GetKind(), "List")
	if err := s.List(ctx, keeps, client.InNamespace(r.Namespace)); err != nil {
		return nil, fmt.Errorf("no run has the template of revision %s, and the %ss cannot be read: %w", revision, kind, err)
	}
	for i := range keeps.Items {
		if !ownedBy(&keeps.Items[i], view.KindOf(r), r.Spec.WorkloadRef.Name) {
			continue
		}
		template, err := templateIn(&keeps.Items[i])
		if err == nil && isOf(template, revision) {
			return declarable(template), nil
		}
	}
	return nil, fmt.Errorf("no run and no %s has the template of revision %s any more: declare it by hand", kind, revision)
}

// declarable is a template without what the Deployment controller adds to a ReplicaSet's.
func declarable(template map[string]any) map[string]any {
	unstructured.RemoveNestedField(template, "metadata", "labels", appsv1.DefaultDeploymentUniqueLabelKey)
	return template
}

func ownedBy(set *unstructured.Unstructured, kind, name string) bool {
	for _, owner := range set.GetOwnerReferences() {
		if owner.Kind == kind && owner.Name == name {
			return true
		}
	}
	return false
}

func isOf(template map[string]any, revision string) bool {
	found, err := workload.RevisionOf(template)
	return err == nil && found == revision
}

// declare replaces the workload's template, if it is still the one that was read.
func (s *session) declare(ctx context.Context, object *unstructured.Unstructured, template map[string]any, revision, reason string) error {
	var p jsonpatch.Patch
	p.Test(object.GetUID(), "metadata", "uid")
	p.Test(workload.Template(object), "spec", "template")
	p.Replace(template, "spec", "template")
	cause := "kubectl belay rollback to revision " + revision
	if reason != "" {
		cause += ": " + reason
	}
	if object.GetAnnotations() == nil {
		p.Add(map[string]string{}, "metadata", "annotations")
	}
	p.Add(cause, "metadata", "annotations", changeCause)
	patch, err := p.Encode()
	if err != nil {
		return err
	}
	err = s.Patch(ctx, object, client.RawPatch(types.JSONPatchType, patch), client.FieldOwner(pushManager))
	if jsonpatch.TestFailed(err) {
		return fmt.Errorf("somebody changed the template of %s meanwhile: look again, and repeat", withKind(object))
	}
	return err
}
