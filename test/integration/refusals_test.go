package integration

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// command gives a Rollout a command, for a revision and a step if they are named.
func command(t *testing.T, c client.Client, rollout, action, token string, of ...string) error {
	t.Helper()
	limits := []string{"null", "null"}
	for i, value := range of {
		limits[i] = strconv.Quote(value)
	}
	document := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q,%q:%q,%q:%s,%q:%s}}}`, v1alpha1.AnnotationAction, action, v1alpha1.AnnotationActionToken, token,
		v1alpha1.AnnotationActionRevision, limits[0], v1alpha1.AnnotationActionStep, limits[1])
	object := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: rollout, Namespace: "shop"}}
	return c.Patch(t.Context(), object, client.RawPatch(types.MergePatchType, document))
}

func TestCommandsHaveKnownActionsAndBoundedTokens(t *testing.T) {
	user := dev(t)
	guarded(t, "bounded", true)
	NewWithT(t).Eventually(func() error { return command(t, user, "bounded", "Dance", "1") }).WithTimeout(soon).
		Should(MatchError(ContainSubstring("belay.dev/action must be Abort, Approve, OverrideFreeze, Pause, Promote, Resume, Retry or Skip")))
	for name, c := range map[string]struct{ action, token, refused string }{
		"skip, of nothing":     {"Skip", "9", "Approve and Skip need belay.dev/action-revision and belay.dev/action-step"},
		"approve, of nothing":  {"Approve", "10", "Approve and Skip need belay.dev/action-revision and belay.dev/action-step"},
		"abort":                {"Abort", "2", ""},
		"retry":                {"Retry", "3", ""},
		"pause":                {"Pause", "6", ""},
		"resume":               {"Resume", "7", ""},
		"of no revision":       {"Promote", "8", "Promote needs belay.dev/action-revision"},
		"lower case":           {"abort", "4", "must be Abort, Approve, OverrideFreeze, Pause, Promote, Resume, Retry or Skip"},
		"no action":            {"", "5", "must be Abort, Approve, OverrideFreeze, Pause, Promote, Resume, Retry or Skip"},
		"longest token":        {"Abort", strings.Repeat("t", 128), ""},
		"too long, by 1":       {"Abort", strings.Repeat("t", 129), "at most 128 characters"},
		"override, of nothing": {"OverrideFreeze", "11", "OverrideFreeze needs belay.dev/action-revision and belay.dev/action-reason"},
		"no token at all":      {"Promote", "", "needs a new belay.dev/action-token"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			err := command(t, user, "bounded", c.action, c.token)
			if c.refused == "" {
				g.Expect(err).NotTo(HaveOccurred())
				answer(t, "bounded", c.token)
				return
			}
			g.Expect(err).To(MatchError(ContainSubstring(c.refused)))
		})
	}
}

// TestCommandsOfAStepNameIt: the number that people see, and the revision.
func TestCommandsOfAStepNameIt(t *testing.T) {
	g := NewWithT(t)
	user := dev(t)
	guarded(t, "stepped", true)
	g.Eventually(func() error { return command(t, user, "stepped", "Skip", "1", "bbbbbbbbbb", "1") }).WithTimeout(soon).Should(Succeed())
	object := &v1alpha1.Rollout{}
	g.Expect(admin.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: "stepped"}, object)).To(Succeed())
	g.Expect(object.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationActionBy, "dev"))
	change := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"belay.dev/action-step":"2"}}}`))
	g.Expect(user.Patch(t.Context(), object.DeepCopy(), change)).To(MatchError(ContainSubstring("a command must not be changed")))
	answer(t, "stepped", "1")
	for token, step := range []string{"0", "-1", "smoke", "1.5", "100", " 1"} {
		g.Expect(command(t, user, "stepped", "Approve", fmt.Sprint("a", token), "bbbbbbbbbb", step)).To(MatchError(ContainSubstring("belay.dev/action-step must be the number of a step, from 1")), step)
		g.Expect(command(t, user, "stepped", "Abort", fmt.Sprint("b", token), "bbbbbbbbbb", step)).To(MatchError(ContainSubstring("belay.dev/action-step must be the number of a step, from 1")), step)
	}
	g.Expect(command(t, user, "stepped", "Approve", "c", "bbbbbbbbbb")).To(MatchError(ContainSubstring("Approve and Skip need")))
	g.Expect(command(t, user, "stepped", "Approve", "d", "bbbbbbbbbb", "50")).To(Succeed())
}

// TestAFreezeIsOverriddenByVerb: not by those who give every other command.
func TestAFreezeIsOverriddenByVerb(t *testing.T) {
	g := NewWithT(t)
	guarded(t, "frozen", true)
	bind(t, admin, "freeze-edit", "belay-edit")
	bind(t, admin, "freeze-oncall", "belay-oncall")
	bind(t, admin, "freeze-sre", "belay-sre")
	give := func(user, reason string) error {
		document := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"OverrideFreeze",%q:%q,%q:"bbbbbbbbbb",%q:%s}}}`, v1alpha1.AnnotationAction, v1alpha1.AnnotationActionToken, user, v1alpha1.AnnotationActionRevision, v1alpha1.AnnotationActionReason, reason)
		return as(t, user).Patch(t.Context(), &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "frozen", Namespace: "shop"}}, client.RawPatch(types.MergePatchType, document))
	}
	for _, user := range []string{"freeze-edit", "freeze-oncall"} {
		g.Eventually(func() error { return give(user, `"outage"`) }).WithTimeout(soon).
			Should(MatchError(ContainSubstring("you may not give the command OverrideFreeze: it needs the verb overridefreeze on rollouts.belay.dev/frozen in namespace shop (the role belay-sre has it)")), user)
	}
	g.Eventually(func() error { return give("freeze-sre", "null") }).WithTimeout(soon).Should(MatchError(ContainSubstring("OverrideFreeze needs belay.dev/action-revision and belay.dev/action-reason")))
	g.Expect(give("freeze-sre", `"outage"`)).To(Succeed())
	object := &v1alpha1.Rollout{}
	g.Expect(admin.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: "frozen"}, object)).To(Succeed())
	g.Expect(object.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationActionBy, "freeze-sre"))
}

// TestCommandsTakeTheirVerb: whoever may write a Rollout may not abort it for that.
func TestCommandsTakeTheirVerb(t *testing.T) {
	g := NewWithT(t)
	guarded(t, "verbs", true)
	for user, verbs := range map[string][]string{"writer": nil, "aborter": {"abort"}, "retrier": {"retry"}, "promoter": {"promote"}, "pauser": {"pause", "resume"}, "skipper": {"skip"}, "approver": {"approve"}} {
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "verbs-" + user}, Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"rollouts"}, Verbs: append([]string{"get", "patch"}, verbs...)}}}
		create(t, role)
		create(t, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: role.Name},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}})
	}
	for i, c := range []struct {
		user, action string
		accepted     bool
	}{
		{"writer", "Abort", false}, {"writer", "Retry", false},
		{"aborter", "Abort", true}, {"aborter", "Retry", false},
		{"retrier", "Abort", false}, {"retrier", "Retry", true},
		{"aborter", "Promote", false}, {"promoter", "Promote", true}, {"promoter", "Pause", false},
		{"aborter", "Pause", false}, {"pauser", "Pause", true}, {"pauser", "Promote", false},
		{"retrier", "Resume", false}, {"pauser", "Resume", true},
		{"promoter", "Skip", false}, {"approver", "Skip", false}, {"skipper", "Skip", true},
		{"promoter", "Approve", false}, {"skipper", "Approve", false}, {"writer", "Approve", false}, {"approver", "Approve", true},
	} {
		token := fmt.Sprint("t", i)
		give := func() error { return command(t, as(t, c.user), "verbs", c.action, token, "bbbbbbbbbb", "1") }
		if c.accepted {
			g.Eventually(give).WithTimeout(soon).Should(Succeed(), c.user+" "+c.action)
			answer(t, "verbs", token)
			continue
		}
		g.Eventually(give).WithTimeout(soon).Should(MatchError(ContainSubstring("you may not give the command "+c.action+": it needs the verb ")), c.user+" "+c.action)
	}
}

// TestStatusOfRunsAndSourcesIsTheControllersAlone updates what is there: an
// administrator is refused, the controller is not.
func TestStatusOfRunsAndSourcesIsTheControllersAlone(t *testing.T) {
	belay := as(t, controller)
	run, source := object(t, valid["RolloutRun"]), object(t, valid["MetricSource"])
	run.SetName("status-of-run")
	source.SetName("status-of-source")
	NewWithT(t).Expect(belay.Create(t.Context(), run)).To(Succeed())
	create(t, source)
	for field, o := range map[string]client.Object{"message": run, "serverVersion": source} {
		t.Run(o.GetName(), func(t *testing.T) {
			g := NewWithT(t)
			status := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"status":{%q:"seen"}}`, field))
			copied, ok := o.DeepCopyObject().(client.Object)
			g.Expect(ok).To(BeTrue())
			err := admin.Status().Patch(t.Context(), copied, status)
			g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
			g.Expect(err).To(MatchError(ContainSubstring("only Belay's controller may write them")))
			g.Expect(belay.Status().Patch(t.Context(), copied, status)).To(Succeed())
		})
	}
	for _, kind := range guardrails {
		t.Run(kind, func(t *testing.T) {
			g := NewWithT(t)
			guardrail := object(t, valid[kind])
			guardrail.SetName("status-of-guardrail")
			if kind == "ClusterGuardrail" {
				// It must not bind the Rollouts of other tests.
				apply(t, guardrail, []change{{"spec.rolloutSelector", map[string]any{"matchLabels": map[string]any{"no": "rollout"}}}})
			}
			create(t, guardrail)
			status := client.RawPatch(types.MergePatchType, []byte(`{"status":{"rollouts":1}}`))
			err := admin.Status().Patch(t.Context(), guardrail.DeepCopy(), status)
			g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
			g.Expect(belay.Status().Patch(t.Context(), guardrail, status)).To(Succeed())
		})
	}
	t.Run("a run's labels", func(t *testing.T) {
		g := NewWithT(t)
		labels := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"forged":"yes"}}}`))
		err := admin.Patch(t.Context(), run, labels)
		g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
		g.Expect(belay.Patch(t.Context(), run, labels)).To(Succeed())
	})
}
