package gates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// probeTimeout bounds one dry-run, and with it what an admission webhook of
// somebody else's that hangs can cost.
const probeTimeout = 2 * time.Second

// finding is what one dry-run has shown.
type finding int

const (
	// proven: the change came back paused.
	proven finding = iota
	// missing: the change was not paused; a policy that should have done it is not
	// in force.
	missing
	// locked: a handover locks the template; nothing was shown.
	locked
	// unproven: no usable answer.
	unproven
)

// probe asks the API server, in a dry-run, to change a Deployment's template and
// to let it roll, and looks whether the answer is paused. Only the guard can have
// done that, even for a Deployment that was paused before: the request itself
// says otherwise. The client acts as an identity that has none of Belay's
// privileges, and not the verb bypass.
func probe(ctx context.Context, as client.Client, d *appsv1.Deployment, now time.Time) (finding, string) {
	annotations := map[string]string{v1alpha1.AnnotationGuardProbe: now.UTC().Format(time.RFC3339Nano)}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{
		"paused":   false,
		"template": map[string]any{"metadata": map[string]any{"annotations": annotations}},
	}})
	if err != nil {
		return unproven, err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	answer := &appsv1.Deployment{}
	answer.Namespace, answer.Name = d.Namespace, d.Name
	err = as.Patch(ctx, answer, client.RawPatch(types.MergePatchType, patch), client.DryRunAll)
	switch {
	case err == nil && answer.Spec.Paused:
		return proven, "a pushed template comes back paused"
	case err == nil:
		return missing, "a pushed template would roll at once: no admission policy of Belay's pauses it; " +
			"install them on this cluster: kubectl apply --server-side -k config/guard"
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return unproven, fmt.Sprintf("the guard could not be checked: the dry-run of a change to Deployment %s had no answer within %s; "+
			"an admission webhook for Deployments is slow or hangs: kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations", d.Name, probeTimeout)
	}
	policy, words := denial(err)
	switch {
	case policy == "":
		return unproven, fmt.Sprintf("the guard could not be checked: the dry-run of a change to Deployment %s was refused: %q", d.Name, bounded(err.Error(), 300))
	case strings.Contains(words, lockedWords):
		return locked, fmt.Sprintf("waiting for a handover to end: until then changes of Deployment %s's template are refused", d.Name)
	default:
		return missing, fmt.Sprintf("a pushed template is refused by policy %s instead of being paused: "+
			"policy %s or its binding is not in force; install all of them again: kubectl apply --server-side -k config/guard", policy, holdPolicy)
	}
}

const (
	// policyPrefix begins the names of Belay's admission policies of Deployments.
	policyPrefix = "belay-guard-"
	// holdPolicy is the one that pauses.
	holdPolicy = "belay-guard-hold"
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

// bounded cuts text from outside to at most n bytes, between characters.
func bounded(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
