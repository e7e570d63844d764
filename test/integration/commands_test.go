package integration

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// answer lets a command count as handled, as the controller does.
func answer(t *testing.T, rollout, token string) {
	t.Helper()
	object := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: rollout, Namespace: "shop"}}
	status := fmt.Appendf(nil, `{"status":{"lastHandledAction":{"action":"Abort","token":%q,"at":"2026-11-26T12:00:00Z"},"handledTokens":[%[1]q]}}`, token)
	NewWithT(t).Expect(as(t, controller).Status().Patch(t.Context(), object, client.RawPatch(types.MergePatchType, status))).To(Succeed())
}

// TestAnUnansweredCommandIsReplacedByAnAbortAlone: no abort is lost by a command that comes
// right after it, nor does one wait for the answer to another command.
func TestAnUnansweredCommandIsReplacedByAnAbortAlone(t *testing.T) {
	user := dev(t)
	waits := And(ContainSubstring("has no answer yet, and only an Abort may replace it"), ContainSubstring("status.lastHandledAction.token"), Not(ContainSubstring("failed expression")))
	remove := func(c client.Client, name string) error {
		object := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}}
		return c.Patch(t.Context(), object, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"belay.dev/action":null,"belay.dev/action-token":null}}}`)))
	}
	for i, first := range []string{"Abort", "Pause"} {
		name := fmt.Sprint("unanswered-", i)
		t.Run(first, func(t *testing.T) {
			g := NewWithT(t)
			guarded(t, name, true)
			g.Eventually(func() error { return command(t, user, name, first, "a") }).WithTimeout(soon).Should(Succeed())
			for _, next := range []string{"Retry", "Pause", "Resume"} {
				g.Expect(command(t, user, name, next, "b")).To(MatchError(waits), next)
			}
			g.Expect(command(t, user, name, "Promote", "b", "bbbbbbbbbb")).To(MatchError(waits))
			g.Expect(remove(user, name)).To(MatchError(waits))
			edit := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"historyLimit":7}}`))
			g.Expect(user.Patch(t.Context(), &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}}, edit)).To(Succeed(), "the spec does not wait")
			g.Expect(command(t, user, name, "Abort", "c")).To(Succeed())

			answer(t, name, "c")
			g.Expect(command(t, user, name, "Retry", "d")).To(Succeed(), "answered")
			answer(t, name, "d")
			g.Expect(remove(user, name)).To(Succeed(), "answered")
		})
	}
	t.Run("answered before the list of tokens", func(t *testing.T) {
		g := NewWithT(t)
		guarded(t, "unanswered-2", true)
		g.Eventually(func() error { return command(t, user, "unanswered-2", "Abort", "a") }).WithTimeout(soon).Should(Succeed())
		last := client.RawPatch(types.MergePatchType, []byte(`{"status":{"lastHandledAction":{"action":"Abort","token":"a","at":"2026-11-26T12:00:00Z"}}}`))
		g.Expect(as(t, controller).Status().Patch(t.Context(), &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "unanswered-2", Namespace: "shop"}}, last)).To(Succeed())
		g.Expect(command(t, user, "unanswered-2", "Pause", "b")).To(Succeed())
	})
}

// TestPatchWithoutUpdateTakesNoField: a server-side apply of what a Rollout says already
// changes nothing but who owns it, and a write of managedFields nothing but that.
func TestPatchWithoutUpdateTakesNoField(t *testing.T) {
	guarded(t, "owners", true)
	rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "owners", Namespace: "shop"}}
	note := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"note":"a"},"labels":{"team":"shop"}}}`))
	NewWithT(t).Expect(admin.Patch(t.Context(), rollout.DeepCopy(), note, client.FieldOwner("shared"))).To(Succeed())
	annotator, editor := patchOnly(t, "owners"), dev(t)

	command := map[string]any{"belay.dev/action": "Abort", "belay.dev/action-token": "1"}
	applied := func(metadata, spec map[string]any) func(client.Client) error {
		return func(c client.Client) error {
			u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "belay.dev/v1alpha1", "kind": "Rollout", "metadata": map[string]any{"name": "owners", "namespace": "shop"}}}
			for key, value := range metadata {
				u.Object["metadata"].(map[string]any)[key] = value
			}
			if spec != nil {
				u.Object["spec"] = spec
			}
			return c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("oncall"), client.ForceOwnership, client.DryRunAll)
		}
	}
	patched := func(kind types.PatchType, document, owner string) func(client.Client) error {
		return func(c client.Client) error {
			return c.Patch(t.Context(), rollout.DeepCopy(), client.RawPatch(kind, []byte(document)), client.FieldOwner(owner), client.DryRunAll)
		}
	}
	workload := map[string]any{"workloadRef": map[string]any{"kind": "Deployment", "name": "owners"}}
	for what, c := range map[string]struct {
		do      func(client.Client) error
		command bool
	}{
		"an applied command":                      {applied(map[string]any{"annotations": command}, nil), true},
		"a patched command":                       {patched(types.MergePatchType, `{"metadata":{"annotations":{"belay.dev/action":"Abort","belay.dev/action-token":"1"}}}`, "oncall"), true},
		"a command by a manager that owns more":   {patched(types.MergePatchType, `{"metadata":{"annotations":{"belay.dev/action":"Abort","belay.dev/action-token":"1"}}}`, "shared"), true},
		"the same spec, applied":                  {applied(nil, workload), false},
		"a command and the same spec, applied":    {applied(map[string]any{"annotations": command}, workload), false},
		"the same label, applied":                 {applied(map[string]any{"labels": map[string]any{"team": "shop"}}, nil), false},
		"the same annotation, applied":            {applied(map[string]any{"annotations": map[string]any{"note": "a"}}, nil), false},
		"no managedFields":                        {patched(types.MergePatchType, `{"metadata":{"managedFields":[{}]}}`, "oncall"), false},
		"no managedFields, by a JSON patch":       {patched(types.JSONPatchType, `[{"op":"replace","path":"/metadata/managedFields","value":[{}]}]`, "oncall"), false},
		"a command and no managedFields":          {patched(types.MergePatchType, `{"metadata":{"annotations":{"belay.dev/action":"Abort","belay.dev/action-token":"1"},"managedFields":[{}]}}`, "oncall"), false},
		"one manager less":                        {patched(types.JSONPatchType, `[{"op":"remove","path":"/metadata/managedFields/0"}]`, "oncall"), false},
		"another name for the manager of a field": {patched(types.JSONPatchType, `[{"op":"replace","path":"/metadata/managedFields/0/manager","value":"x"}]`, "oncall"), false},
	} {
		t.Run(what, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(c.do(editor)).To(Succeed(), "who may update may do all of it")
			err := c.do(annotator)
			if c.command {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
			g.Expect(err).To(MatchError(ContainSubstring("nor who owns its fields: a server-side apply must hold these annotations alone")))
		})
	}
}

// TestManyManagersDoNotKeepAnybodyFromAnAbort: the API server merges the eleventh manager of
// updates with the oldest, which changes owners on behalf of whoever writes then.
func TestManyManagersDoNotKeepAnybodyFromAnAbort(t *testing.T) {
	g := NewWithT(t)
	guarded(t, "managers", true)
	oncall := patchOnly(t, "managers")
	rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "managers", Namespace: "shop"}}
	for i := range 12 {
		tool := fmt.Appendf(nil, `{"metadata":{"annotations":{"example.org/tool-%d":"x"}}}`, i)
		g.Expect(dev(t).Patch(t.Context(), rollout.DeepCopy(), client.RawPatch(types.MergePatchType, tool), client.FieldOwner(fmt.Sprint("tool-", i)))).To(Succeed())
	}
	abort := []byte(`{"metadata":{"annotations":{"belay.dev/action":"Abort","belay.dev/action-token":"1"}}}`)
	g.Eventually(func() error {
		return oncall.Patch(t.Context(), rollout.DeepCopy(), client.RawPatch(types.MergePatchType, abort), client.FieldOwner("kubectl-belay"), client.DryRunAll)
	}).WithTimeout(soon).Should(Succeed())
}

// TestNobodyFillsTheRoomOfAnAbort: annotations have 256 KiB together.
func TestNobodyFillsTheRoomOfAnAbort(t *testing.T) {
	g := NewWithT(t)
	guarded(t, "filled", true)
	oncall := patchOnly(t, "filled")
	rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "filled", Namespace: "shop"}}
	give := func(annotations string) error {
		patch := []byte(`{"metadata":{"annotations":{` + annotations + `}}}`)
		return oncall.Patch(t.Context(), rollout.DeepCopy(), client.RawPatch(types.MergePatchType, patch), client.DryRunAll)
	}
	command := `"belay.dev/action":"Abort","belay.dev/action-token":"1"`
	g.Eventually(func() error { return give(command) }).WithTimeout(soon).Should(Succeed())
	g.Expect(give(fmt.Sprintf(`"belay.dev/actionx":"%0*d"`, 262080, 0))).To(MatchError(ContainSubstring("you may give commands")))
	g.Expect(give(command + fmt.Sprintf(`,"belay.dev/action-reason":"%0*d"`, 1025, 0))).To(MatchError(ContainSubstring("belay.dev/action-reason at most 1024")))
	g.Expect(give(command + fmt.Sprintf(`,"belay.dev/action-revision":"%0*d"`, 65, 0))).To(MatchError(ContainSubstring("belay.dev/action-revision must have at most 64")))
}

// TestAnUnansweredAbortIsKept: one for another revision would be refused, and both be lost.
func TestAnUnansweredAbortIsKept(t *testing.T) {
	g := NewWithT(t)
	guarded(t, "replaced", true)
	user := dev(t)
	g.Eventually(func() error { return command(t, user, "replaced", "Abort", "a", "aaaaaaaaaa") }).WithTimeout(soon).Should(Succeed())
	g.Expect(command(t, user, "replaced", "Abort", "b", "bbbbbbbbbb")).To(MatchError(ContainSubstring("an Abort only by one for the same revision, or for any")))
	g.Expect(command(t, user, "replaced", "Abort", "c", "aaaaaaaaaa")).To(Succeed())
	g.Expect(command(t, user, "replaced", "Abort", "d")).To(Succeed())
	g.Expect(command(t, user, "replaced", "Abort", "e", "aaaaaaaaaa")).NotTo(Succeed(), "one for any is replaced by one for any")
}

// patchOnly is a user with the role belay-oncall.
func patchOnly(t *testing.T, name string) client.Client {
	t.Helper()
	bind(t, admin, name+"-oncall", "belay-oncall")
	allowed(t, admin, name+"-oncall", "abort", v1alpha1.GroupVersion.Group, "rollouts")
	return as(t, name+"-oncall")
}
