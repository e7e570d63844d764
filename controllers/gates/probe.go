package gates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// probeTimeout bounds one dry-run, and with it what an admission webhook of
// somebody else's that hangs can cost.
const probeTimeout = 2 * time.Second

// finding is what the dry-runs have shown.
type finding int

const (
	// proven: the change came back held, and a bypass was refused.
	proven finding = iota
	// missing: the change was not held, or a bypass not refused; a policy that
	// should have done it is not in force.
	missing
	// locked: a handover locks the template; nothing was shown.
	locked
	// unproven: no usable answer.
	unproven
)

// probe asks the API server in two dry-runs whether the guard is in force. The
// client acts as an identity that has none of Belay's privileges, and not the verb
// bypass.
func (k *kind) probe(ctx context.Context, as client.Client, key types.NamespacedName, now time.Time) (finding, string) {
	spec := k.pushed(now)
	found, message, generation := k.probeHold(ctx, as, key, spec)
	if found != proven {
		return found, message
	}
	if found, refusal := k.probeRelease(ctx, as, key, spec, generation); found != proven {
		return found, refusal
	}
	return proven, message
}

// pushed is what a spec says that has another template and lets it roll.
func (k *kind) pushed(now time.Time) map[string]any {
	annotations := map[string]string{v1alpha1.AnnotationGuardProbe: now.UTC().Format(time.RFC3339Nano)}
	spec := maps.Clone(k.rolls)
	spec["template"] = map[string]any{"metadata": map[string]any{"annotations": annotations}}
	return spec
}

// probeHold asks to change a workload's template and to let it roll, and looks
// whether the answer is held. Only the guard can have done that, even for a
// workload that was held before: the request itself says otherwise. It also
// returns the workload's present generation.
func (k *kind) probeHold(ctx context.Context, as client.Client, key types.NamespacedName, spec map[string]any) (finding, string, int64) {
	answer, err := k.dryRun(ctx, as, key, map[string]any{"spec": spec})
	switch {
	case err == nil && k.waits(answer):
		// The answer has the generation that the change would make.
		return proven, "the guard is in force: a changed template is " + k.held, answer.GetGeneration() - 1
	case err == nil:
		return missing, "a pushed template would roll at once: no admission policy of Belay's holds it; " +
			"install them on this cluster: kubectl apply --server-side -k config/guard", 0
	}
	policy, words := denial(err)
	switch {
	case policy == "":
		return unproven, k.unanswered(key, err), 0
	case strings.Contains(words, lockedWords):
		return locked, k.lockedNow(key), 0
	default:
		return missing, fmt.Sprintf("a pushed template is refused by policy %s instead of being %s: "+
			"policy %s or its binding is not in force; install all of them again: kubectl apply --server-side -k config/guard", policy, k.held, k.policy), 0
	}
}

// probeRelease asks for the same with the reason that a bypass takes, and
// looks whether that is refused, as the identity may not bypass. A reason names the
// generation that it was written for: when the workload has changed in between,
// it is none, and a write that lets nothing roll is accepted. The answer then has
// another generation, and nothing was shown. (A change of annotations alone would make no
// new generation of a StatefulSet.)
func (k *kind) probeRelease(ctx context.Context, as client.Client, key types.NamespacedName, spec map[string]any, generation int64) (finding, string) {
	reason := fmt.Sprintf("%d: dry-run that proves the guard", generation)
	answer, err := k.dryRun(ctx, as, key, map[string]any{
		"metadata": map[string]any{"annotations": map[string]string{v1alpha1.AnnotationBypassReason: reason}},
		"spec":     spec,
	})
	if err == nil && answer.GetGeneration() == generation+1 {
		return missing, fmt.Sprintf("a bypass by an identity without the verb bypass would be accepted: policy %s or its binding is not in force, "+
			"or the identity of the dry-runs has the verb; install all policies again: kubectl apply --server-side -k config/guard", releasePolicy)
	}
	if err == nil {
		return unproven, fmt.Sprintf("the guard could not be checked: %s %s changed between two dry-runs", k.name, key.Name)
	}
	switch policy, words := denial(err); {
	case policy != releasePolicy:
		return unproven, k.unanswered(key, err)
	case strings.Contains(words, lockedWords):
		return locked, k.lockedNow(key)
	}
	return proven, ""
}

func (k *kind) lockedNow(key types.NamespacedName) string {
	return fmt.Sprintf("waiting for a handover to end: until then changes of %s %s's template are refused", k.name, key.Name)
}

// errNoAnswer is a dry-run that had no answer in time.
var errNoAnswer = errors.New("no answer")

// dryRun returns what a merge patch would make of a workload.
func (k *kind) dryRun(ctx context.Context, as client.Client, key types.NamespacedName, change map[string]any) (client.Object, error) {
	patch, err := json.Marshal(change)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	answer := k.empty()
	answer.SetNamespace(key.Namespace)
	answer.SetName(key.Name)
	err = as.Patch(ctx, answer, client.RawPatch(types.MergePatchType, patch), client.DryRunAll)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, errNoAnswer
	}
	return answer, err
}

// unanswered says of a dry-run that it showed nothing, and why.
func (k *kind) unanswered(key types.NamespacedName, err error) string {
	if errors.Is(err, errNoAnswer) {
		return fmt.Sprintf("the guard could not be checked: the dry-run of a change to %s %s had no answer within %s; "+
			"an admission webhook for %ss is slow or hangs: kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations", k.name, key.Name, probeTimeout, k.name)
	}
	return fmt.Sprintf("the guard could not be checked: the dry-run of a change to %s %s was refused: %q", k.name, key.Name, v1alpha1.Bounded(err.Error(), 300))
}

const (
	// policyPrefix begins the names of Belay's admission policies.
	policyPrefix = "belay-guard-"
	// releasePolicy is the one that refuses whoever may not bypass.
	releasePolicy = "belay-guard-release"
	// lockedWords are in the denial of a template change during a handover.
	lockedWords = "try again in a few seconds"
)

// denial returns which of Belay's policies denied a request, and in which words;
// nothing when none did. The API server gives a cause for a denial and begins it
// in one way; other errors, and other people's policies, may quote a name but not
// begin so. A policy that could not be evaluated has not judged: its reason is
// Invalid, where every validation of Belay's says Forbidden.
func denial(err error) (policy, words string) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || status.Status().Reason != metav1.StatusReasonForbidden {
		return "", ""
	}
	for _, cause := range status.Status().Details.Causes {
		rest, ok := strings.CutPrefix(cause.Message, "ValidatingAdmissionPolicy '"+policyPrefix)
		if !ok {
			continue
		}
		if name, words, ok := strings.Cut(rest, "' "); ok {
			return policyPrefix + name, words
		}
	}
	return "", ""
}
