package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/jsonpatch"
	"belay.dev/belay/controllers/view"
	"belay.dev/belay/controllers/workload"
)

func (a *app) bypass() *cobra.Command {
	const reason, wait = "why; it is kept in the record with your name (required)", "how long to wait until the version is the stable one; 0 only lets it roll out"
	var yes bool
	images := map[string]string{}
	cmd := a.acting(&cobra.Command{
		Use:   "bypass [NAME]",
		Short: "Let the declared version roll out without being judged",
		Long: "Let the version that the workload declares roll out to all pods at once, without steps and without being judged. Belay does not roll it back:\n" +
			"it follows the workload, takes the result as stable, and keeps your name and reason in the run, whose outcome is Bypassed.\n\n" +
			"With --image a new version is declared in the same write, whatever the workload is in the middle of. The pods of a StatefulSet are replaced one after the other.\n\n" +
			"It asks before it does so; without a terminal it wants --yes. It works while the controller is down: then nobody follows the workload until it is back.\n" +
			"It needs the verbs get on Rollouts, bypass on this Rollout, get and patch on the Deployment or StatefulSet, and, while a run is in progress, list and patch on Services, but not without spec.traffic.",
		Example: `  kubectl belay bypass checkout --reason "the fix for the outage; INC-1042"
  kubectl belay bypass checkout --reason "outage, INC-1042" --image app=registry.example.com/checkout:1.5.1 --yes`,
	}, reason, 15*time.Minute, wait, func(ctx context.Context, s *session, rollout *v1alpha1.Rollout, g given) error {
		return a.letOut(ctx, s, rollout, g, images, yes)
	})
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		reason, err := cmd.Flags().GetString("reason")
		if err != nil {
			return err
		}
		return usage(writtenOut(reason, images))
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask; needed where nobody can answer")
	cmd.Flags().StringToStringVar(&images, "image", nil, "CONTAINER=IMAGE to declare in the same write")
	return cmd
}

// writtenOut refuses what stands for a value in a line that is offered or printed by a help: to
// declare an image of that name would take every pod away.
func writtenOut(reason string, images map[string]string) error {
	switch strings.TrimSpace(reason) {
	case "":
		return errors.New("a bypass needs --reason: it is kept in the record")
	case "…", "...", "WHY":
		return fmt.Errorf("--reason %s is a placeholder: say why the version is not judged, it is kept in the record", strings.TrimSpace(reason))
	}
	for name, image := range images {
		switch {
		case name == view.AnyContainer:
			return fmt.Errorf("--image: %s is a placeholder: give the name of the container that gets the fix", name)
		case slices.Contains([]string{view.AnyImage, "…", "...", ""}, strings.TrimSpace(image)):
			return fmt.Errorf("--image: %s is a placeholder: give the image of your fix", cmp.Or(strings.TrimSpace(image), `""`))
		}
	}
	return nil
}

// whole is what a bypass lets out, by its images in full: a tag may be that of another image.
func whole(version *v1alpha1.Revision, images map[string]string) string {
	var given []string
	for _, name := range slices.Sorted(maps.Keys(images)) {
		given = append(given, name+"="+images[name])
	}
	return view.Text(cmp.Or(strings.Join(given, ", "), version.Image, view.Tag(version)), 1024)
}

// letOut tries the write, asks, and does it.
func (a *app) letOut(ctx context.Context, s *session, rollout *v1alpha1.Rollout, g given, images map[string]string, yes bool) error {
	object, declared, err := s.declared(ctx, rollout)
	if err != nil {
		return err
	}
	if why := needless(rollout, object, declared, len(images) > 0); why != "" {
		return exit{exitNo, why}
	}
	write, err := bypassOf(object, g.reason, images)
	if err != nil {
		return err
	}
	// What would be refused is refused before anybody is asked, and before a Service changes.
	tried := object.DeepCopy()
	if err := s.bypass(ctx, tried, write, client.DryRunAll); err != nil {
		return err
	}
	version, err := workload.Describe(workload.Template(tried))
	if err != nil {
		return fmt.Errorf("read the template of %s: %w", withKind(object), err)
	}
	does := "goes to all pods of %s at once, by its own strategy, without being judged"
	if object.GetKind() == v1alpha1.KindStatefulSet {
		does = "goes to all pods of %s, one after the other, without being judged"
	}
	if stoppedNative(rollout) && len(images) == 0 {
		does = "stays on the pods of %s, and goes to the rest of them, although a trigger has fired"
	}
	fmt.Fprintf(a.streams.Out, "%s "+does+". Nothing rolls it back automatically.\n", whole(&version, images), withKind(object))
	a.warnOfOwner(object, "it goes on declaring its own version, which is judged again if it is another one. Change it there too.")
	if !yes {
		if err := a.confirm(rollout.Name); err != nil {
			return err
		}
	}
	if err := s.widen(ctx, object); err != nil {
		return err
	}
	if err := s.bypass(ctx, object, write); err != nil {
		return err
	}
	fmt.Fprintf(a.streams.Out, "%s rolls out %s. To watch its pods: kubectl -n %s rollout status %s/%s\n", withKind(object), view.Tag(&version), object.GetNamespace(), strings.ToLower(object.GetKind()), object.GetName())
	if g.timeout == 0 {
		return nil
	}
	return a.followBypass(ctx, s, rollout, version.Revision, write.annotation, g.timeout)
}

// needless says why there is nothing to bypass; empty when there is.
func needless(r *v1alpha1.Rollout, object *unstructured.Unstructured, declared v1alpha1.Revision, pushes bool) string {
	marks := v1alpha1.MarksOf(object.GetLabels())
	stable := r.Status.Stable
	switch {
	case marks.Rollout == "":
		return fmt.Sprintf("There is nothing to bypass: Belay does not guard %s yet, so nothing holds it. kubectl belay status %s says why.", withKind(object), r.Name)
	case marks.Rollout != r.Name:
		return fmt.Sprintf("%s is guarded by Rollout %s: kubectl belay bypass %s", withKind(object), view.Text(marks.Rollout, 100), view.Text(marks.Rollout, 100))
	case pushes:
		return ""
	case stable != nil && stable.Revision == declared.Revision && workload.Rolls(object):
		return fmt.Sprintf("There is nothing to bypass: %s declares %s, which is the stable version. To let a new version out unjudged: --image CONTAINER=IMAGE.", withKind(object), view.Tag(stable))
	case workload.Rolls(object) && !stoppedNative(r):
		return fmt.Sprintf("There is nothing to bypass: %s rolls out %s already.", withKind(object), view.Tag(&declared))
	default:
		return ""
	}
}

// stoppedNative holds for a native promotion that a trigger has stopped. It need not be
// paused: all pods may run the new version already.
func stoppedNative(r *v1alpha1.Rollout) bool {
	c := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionStalled)
	return r.Status.Phase == v1alpha1.PhaseHandingOver && c != nil && c.Status == metav1.ConditionTrue && c.Reason == v1alpha1.ReasonTriggerFired
}

// bypassWrite is the one write of a workload that the guard lets through. See
// config/guard/release.yaml, and statefulsets.yaml beside it.
type bypassWrite struct {
	patch      []byte
	annotation string
}

// bypassOf builds the write: the reason, which begins with the workload's generation and
// names a rejected revision, spec.paused or the partition, and images.
func bypassOf(object *unstructured.Unstructured, reason string, images map[string]string) (bypassWrite, error) {
	generation := object.GetGeneration()
	prefix := fmt.Sprintf("%d: ", generation)
	if rejected := v1alpha1.MarksOf(object.GetLabels()).Rejected; rejected != "" {
		prefix += rejected + " "
	}
	if room := longestReason - len(prefix); len(reason) > room {
		return bypassWrite{}, usage(fmt.Errorf("--reason has %d bytes, and beside the generation and the revision %d are kept", len(reason), room))
	}
	out := bypassWrite{annotation: prefix + reason}
	var p jsonpatch.Patch
	p.Test(object.GetUID(), "metadata", "uid")
	p.Test(generation, "metadata", "generation")
	if object.GetAnnotations() == nil {
		p.Add(map[string]string{}, "metadata", "annotations")
	}
	p.Add(out.annotation, "metadata", "annotations", v1alpha1.AnnotationBypassReason)
	letRoll(&p, object)
	images = maps.Clone(images)
	for _, lists := range []string{"containers", "initContainers"} {
		containers, _, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", lists)
		for i, c := range containers {
			container, _ := c.(map[string]any)
			name, _ := container["name"].(string)
			if image, ok := images[name]; ok {
				p.Replace(image, "spec", "template", "spec", lists, fmt.Sprint(i), "image")
				delete(images, name)
			}
		}
	}
	for name := range images {
		return bypassWrite{}, usage(fmt.Errorf("--image: %s has no container %q", withKind(object), view.Text(name, 100)))
	}
	var err error
	out.patch, err = p.Encode()
	return out, err
}

// letRoll adds what makes a workload roll to what it declares.
func letRoll(p *jsonpatch.Patch, object *unstructured.Unstructured) {
	if object.GetKind() != v1alpha1.KindStatefulSet {
		p.Add(false, "spec", "paused")
		return
	}
	if strategy, found, _ := unstructured.NestedMap(object.Object, "spec", "updateStrategy", "rollingUpdate"); !found || strategy == nil {
		p.Add(map[string]any{"partition": 0}, "spec", "updateStrategy", "rollingUpdate")
		return
	}
	p.Add(0, "spec", "updateStrategy", "rollingUpdate", "partition")
}

// bypass writes it. The workload then is what the API server returned.
func (s *session) bypass(ctx context.Context, object *unstructured.Unstructured, write bypassWrite, options ...client.PatchOption) error {
	err := s.Patch(ctx, object, client.RawPatch(types.JSONPatchType, write.patch), append(options, client.FieldOwner(commandManager))...)
	switch {
	case jsonpatch.TestFailed(err):
		return fmt.Errorf("somebody changed %s meanwhile, and nothing was bypassed: look again, and repeat", withKind(object))
	case err != nil:
		return fmt.Errorf("nothing was bypassed: %w", err)
	case !workload.Rolls(object):
		return fmt.Errorf("%s %s stays held, and nothing was bypassed: an admission policy or a webhook changed the write", strings.ToLower(object.GetKind()), object.GetName())
	}
	return nil
}

// widen lets Services that select one version during a run select all of them again, because
// the workload is about to replace those pods. Belay does it too while it runs.
func (s *session) widen(ctx context.Context, object *unstructured.Unstructured) error {
	marks := v1alpha1.MarksOf(object.GetLabels())
	var names []string
	if marks.Narrowed != "" {
		names = append(names, marks.Narrowed)
	}
	if marks.Run != "" {
		pair := &corev1.ServiceList{}
		if err := s.List(ctx, pair, client.InNamespace(object.GetNamespace()), client.MatchingLabels{v1alpha1.LabelRollout: marks.Rollout}, client.HasLabels{v1alpha1.LabelRole}); err != nil {
			return fmt.Errorf("nothing was bypassed: the Services of the run cannot be read, and one that selects a single version would be left without pods: %w", err)
		}
		for i := range pair.Items {
			names = append(names, pair.Items[i].Name)
		}
	}
	patch := fmt.Appendf(nil, `{"spec":{"selector":{%q:null}}}`, appsv1.DefaultDeploymentUniqueLabelKey)
	for _, name := range names {
		service := &corev1.Service{}
		service.Namespace, service.Name = object.GetNamespace(), name
		if err := s.Patch(ctx, service, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(commandManager)); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("nothing was bypassed: Service %s may select one version, whose pods are about to go, and it cannot be changed: %w", name, err)
		}
	}
	return nil
}

// confirm lets a person type the name. Where nobody can, it is an error.
func (a *app) confirm(name string) error {
	in, ok := a.streams.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return usage(errors.New("a bypass has to be confirmed, and this is no terminal: --yes"))
	}
	fmt.Fprintf(a.streams.Out, "Type %s to let it out: ", name)
	typed, err := bufio.NewReader(in).ReadString('\n')
	if err != nil || strings.TrimSpace(typed) != name {
		return exit{exitNo, "Not confirmed: nothing was changed."}
	}
	return nil
}

// followBypass waits until the version is the stable one.
func (a *app) followBypass(ctx context.Context, s *session, rollout *v1alpha1.Rollout, revision, annotation string, timeout time.Duration) error {
	kept := v1alpha1.Bounded(annotation, longestReason)
	return a.follow(ctx, s, rollout, timeout, func(r *v1alpha1.Rollout) (bool, error) {
		if h := r.Status.HandledBypass; h == nil || *h != kept {
			return false, nil
		}
		ended := slices.ContainsFunc(r.Status.History, func(h v1alpha1.HistoryEntry) bool {
			return h.Revision == revision && h.Outcome == v1alpha1.OutcomeBypassed
		})
		switch {
		case r.Status.Phase == v1alpha1.PhaseStable && r.Status.Stable != nil && r.Status.Stable.Revision == revision && ended:
			fmt.Fprintf(a.streams.Out, "Bypassed: %s is the stable version and serves. It was not judged.\n", view.Tag(r.Status.Stable))
			return true, nil
		case r.Status.Candidate != nil && r.Status.Candidate.Revision != revision:
			return false, exit{exitSuperseded, fmt.Sprintf("Superseded: %s was declared before the bypassed version had rolled out.", view.Tag(r.Status.Candidate))}
		default:
			return false, nil
		}
	})
}
