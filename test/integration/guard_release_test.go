package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"belay.dev/belay/api/v1alpha1"
)

// reasoned is the part of a patch that gives a reason; GEN stands for the
// Deployment's present generation.
func reasoned(d *appsv1.Deployment, reason string) string {
	return fmt.Sprintf(`"metadata":{"annotations":{%q:%q}}`, v1alpha1.AnnotationBypassReason, strings.ReplaceAll(reason, "GEN", fmt.Sprint(d.Generation)))
}

// TestOnlyABypassUnpauses: the verb and a fresh reason together, and for a
// rejected revision its name.
func TestOnlyABypassUnpauses(t *testing.T) {
	developer, sre := dev(t), sre(t)
	const rejected = "9fd21c3b07"
	n := 0
	for name, c := range map[string]struct {
		as       client.Client
		reason   string
		rejected bool
		refused  []string // nothing: accepted
	}{
		"a developer":                           {developer, "", false, []string{"is held by Rollout", "you need the verb bypass on rollouts.belay.dev/"}},
		"a developer with a reason":             {developer, "GEN: please", false, []string{"needs the verb bypass on rollouts.belay.dev/", "you do not have it"}},
		"the verb alone":                        {sre, "", false, []string{"is held by Rollout", "roll unjudged run, with your reason"}},
		"a cluster administrator, no reason":    {admin, "", false, []string{"is held by Rollout", "roll unjudged run, with your reason"}},
		"a reason of another generation":        {sre, "1GEN: outage", false, []string{"is held by Rollout"}},
		"a reason without a generation":         {sre, "outage", false, []string{"is held by Rollout"}},
		"a reason without a text":               {sre, "GEN:", false, []string{"needs a reason of 1 to"}},
		"a reason of blanks":                    {sre, "GEN:  \t", false, []string{"needs a reason of 1 to"}},
		"a reason too long by one character":    {sre, "GEN:" + strings.Repeat("x", 1023), false, []string{"needs a reason of 1 to 1022 characters"}},
		"the longest reason":                    {sre, "GEN:" + strings.Repeat("x", 1022), false, nil},
		"a reason":                              {sre, "GEN: outage of the ledger, it's \"urgent\"", false, nil},
		"a cluster administrator with a reason": {admin, "GEN: outage", false, nil},
		"a rejected revision, no reason": {sre, "", true, []string{"which rejected the declared revision " + rejected, "needs the verb retry: kubectl -n shop annotate --overwrite rollouts.belay.dev ",
			" belay.dev/action=Retry belay.dev/action-token=$(date +%s)", `: ` + rejected + ` WHY"`}},
		"a rejected revision that is not named":  {sre, "GEN: outage", true, []string{"a bypass has to name it", `: ` + rejected + ` WHY"`}},
		"a rejected revision that is named":      {sre, "GEN: " + rejected + " outage", true, nil},
		"a developer names a rejected revision":  {developer, "GEN: " + rejected, true, []string{"needs the verb bypass"}},
		"an administrator, rejected, not named":  {admin, "GEN: outage", true, []string{"a bypass has to name it"}},
		"the Deployment controller, without it":  {as(t, deploymentController, "system:masters"), "", false, []string{"is held by Rollout"}},
		"the guard probe's identity, a reason":   {as(t, guardProbe), "GEN: probe", false, []string{"needs the verb bypass"}},
		"the guard probe's identity, no reason":  {as(t, guardProbe), "", false, []string{"is held by Rollout"}},
		"a developer, reason of a rejected past": {developer, "1: old", true, []string{"is held by Rollout"}},
	} {
		n++
		deployment := fmt.Sprint("release-", n)
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			guarded(t, deployment, false)
			d := held(t, developer, deployment)
			if c.rejected {
				d = adopt(t, deployment, fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, v1alpha1.LabelRejected, rejected))
			}
			document := `{"spec":{"paused":null}}`
			if c.reason != "" {
				document = `{` + reasoned(d, c.reason) + `,"spec":{"paused":null}}`
			}
			d, err := patch(t.Context(), c.as, deployment, document)
			if c.refused == nil {
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(d.Spec.Paused).To(BeFalse())
				g.Expect(d.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationBypassBy, Not(BeEmpty())))
				g.Expect(d.Labels).To(HaveKeyWithValue(v1alpha1.LabelRollout, deployment), "a bypass that does not ask for it leaves the guard on")
				return
			}
			g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
			for _, words := range c.refused {
				g.Expect(err.Error()).To(ContainSubstring(words))
			}
			g.Expect(err.Error()).To(ContainSubstring("'belay-guard-release'"), "the message was not too long or too dear for the API server")
			g.Expect(err.Error()).NotTo(ContainSubstring("failed expression"))
		})
	}
}

// TestAReasonCountsOnce: one that was there before the write, or that an undo
// brings back, is not fresh.
func TestAReasonCountsOnce(t *testing.T) {
	g := NewWithT(t)
	sre := sre(t)
	guarded(t, "once", false)
	d := held(t, dev(t), "once")
	early, err := patch(t.Context(), sre, "once", `{`+reasoned(d, "GEN: prepared")+`}`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(early.Generation).To(Equal(d.Generation+1), "a change of annotations is a generation of its own")
	_, err = patch(t.Context(), sre, "once", `{`+reasoned(d, "GEN: prepared")+`,"spec":{"paused":false}}`)
	g.Expect(err).To(MatchError(ContainSubstring("is held by Rollout")), "the reason was not given in the same write")
	d, err = patch(t.Context(), sre, "once", `{`+reasoned(early, "GEN: given")+`,"spec":{"paused":false}}`)
	g.Expect(err).NotTo(HaveOccurred())
	reason := d.Annotations[v1alpha1.AnnotationBypassReason]

	d = held(t, dev(t), "once")
	template := d.Spec.Template.DeepCopy()
	template.Spec.Containers[0].Image = image()
	g.Expect(sre.Patch(t.Context(), d, client.RawPatch(types.JSONPatchType, undo(template, map[string]string{v1alpha1.AnnotationBypassReason: reason})))).To(Succeed())
	g.Expect(d.Spec.Paused).To(BeTrue(), "an undo is a push")
	g.Expect(d.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationBypassReason, reason))
	g.Expect(d.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationPushedBy, HavePrefix("sre")))
}

// TestABypassMayPush: a hotfix is one write, and rolls at once.
func TestABypassMayPush(t *testing.T) {
	for name, c := range map[string]struct {
		as              client.Client
		reason, refused string
		rolls           bool
	}{
		"verb and reason":      {sre(t), "GEN: hotfix", "", true},
		"no reason":            {sre(t), "0: hotfix", "", false},
		"no verb":              {dev(t), "GEN: hotfix", "needs the verb bypass", false},
		"a cluster admin":      {admin, "GEN: hotfix", "", true},
		"an admin, no reason":  {admin, "hotfix", "", false},
		"the guard's probe":    {as(t, guardProbe), "GEN: hotfix", "needs the verb bypass", false},
		"a reason of one word": {sre(t), "GEN:x", "", true},
	} {
		for _, paused := range []bool{false, true} {
			deployment := strings.ReplaceAll(strings.ReplaceAll(fmt.Sprint("hotfix-", name, paused), " ", "-"), "'", "")
			deployment = strings.ReplaceAll(deployment, ",", "")
			t.Run(fmt.Sprint(name, ", paused before: ", paused), func(t *testing.T) {
				g := NewWithT(t)
				guarded(t, deployment, false)
				d := adopt(t, deployment, fmt.Sprintf(`{"spec":{"paused":%v}}`, paused))
				document := fmt.Sprintf(`{%s,"spec":{"paused":false,"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, reasoned(d, c.reason), image())
				d, err := patch(t.Context(), c.as, deployment, document)
				if c.refused != "" {
					g.Expect(err).To(MatchError(ContainSubstring(c.refused)))
					return
				}
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(d.Spec.Paused).To(Equal(!c.rolls))
			})
		}
	}
}

// TestHandoverLocksTheTemplate: nobody pushes while the run's ReplicaSet changes
// hands, but by a bypass. Scaling goes on.
func TestHandoverLocksTheTemplate(t *testing.T) {
	g := NewWithT(t)
	guarded(t, "locked", false)
	d := adopt(t, "locked", `{"metadata":{"labels":{"belay.dev/handover":"run-1"}},"spec":{"paused":true}}`)
	for how, write := range writers {
		for who, user := range map[string]client.Client{"dev": dev(t), "sre": sre(t), "admin": admin, "probe": as(t, guardProbe, "system:masters")} {
			err := write(t.Context(), user, d.DeepCopy())
			g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%s, %s: %v", who, how, err)
			g.Expect(err).To(MatchError(ContainSubstring("Rollout locked is handing deployment locked over to its new version: try again in a few seconds")), who+", "+how)
		}
	}
	_, err := patch(t.Context(), dev(t), "locked", `{"spec":{"replicas":4}}`)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = patch(t.Context(), dev(t), "locked", `{"metadata":{"labels":{"belay.dev/handover":null}}}`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(d), d)).To(Succeed())
	g.Expect(d.Labels).To(HaveKey(v1alpha1.LabelHandover), "only Belay unlocks")
	d, err = patch(t.Context(), sre(t), "locked", fmt.Sprintf(`{%s,"spec":{"paused":false,"template":{"spec":{"containers":[{"name":"app","image":"app:hotfix"}]}}}}`, reasoned(d, "GEN: outage")))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(d.Spec.Paused).To(BeFalse())
}

// TestWhatAMissingPolicyMakesOfAWrite: without the one that holds, a push is
// refused; without the one that keeps labels, taking them is.
func TestWhatAMissingPolicyMakesOfAWrite(t *testing.T) {
	guarded(t, "missing", false)
	user := dev(t)
	inForce := func(g Gomega) {
		d, err := push(t.Context(), user, "missing", image())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(d.Spec.Paused).To(BeTrue())
		d, err = patch(t.Context(), user, "missing", `{"metadata":{"labels":{"belay.dev/rollout":null}}}`)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(d.Labels).To(HaveKey(v1alpha1.LabelRollout))
	}
	t.Run("hold", func(t *testing.T) {
		without(t, inForce, mutating("hold"))
		adopt(t, "missing", `{"spec":{"paused":false}}`)
		NewWithT(t).Eventually(func() string {
			// A dry-run: the first push that is still held leaves the Deployment paused.
			d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "missing", Namespace: "shop"}}
			return fmt.Sprint(user.Patch(t.Context(), d, client.RawPatch(types.StrategicMergePatchType, templateOf(image())), client.DryRunAll))
		}).WithTimeout(soon).Should(And(ContainSubstring("belay-guard-release"), ContainSubstring("belay-guard-hold or its binding is not in force"), ContainSubstring("kubectl apply --server-side -k config/guard")))
	})
	t.Run("keep", func(t *testing.T) {
		without(t, inForce, mutating("keep"))
		for _, label := range []string{"null", `"other"`} {
			NewWithT(t).Eventually(func() string {
				_, err := patch(t.Context(), user, "missing", `{"metadata":{"labels":{"belay.dev/rollout":`+label+`}}}`)
				return fmt.Sprint(err)
			}).WithTimeout(soon).Should(And(ContainSubstring("belay-guard-release"), ContainSubstring("guards it for Rollout missing"), ContainSubstring(`"labels":{"belay.dev/rollout":null}`)))
		}
	})
}

// TestTheDenialsCommandWorks runs what the API server prints, in a shell, as it
// is, with everything in the way that a run may have left there.
func TestTheDenialsCommandWorks(t *testing.T) {
	kubectl, err := exec.LookPath(filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"))
	if err != nil {
		t.Fatalf("KUBEBUILDER_ASSETS has no kubectl, which runs the denial's command: %v", err)
	}
	kubeconfig := kubeconfigOf(t, envtest.User{Name: "sre"})
	shell := func(t *testing.T, command string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", command)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+t.TempDir(), "PATH="+filepath.Dir(kubectl)+string(os.PathListSeparator)+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			return string(out) + err.Error()
		}
		return string(out)
	}
	for name, c := range map[string]struct {
		labels   string
		services []string
	}{
		"plain":               {`{}`, nil},
		"rejected":            {`{"belay.dev/rejected":"9fd21c3b07"}`, nil},
		"narrowed":            {`{"belay.dev/narrowed":"command-narrowed"}`, []string{"command-narrowed"}},
		"run":                 {`{"belay.dev/run":"r-1"}`, []string{"command-run-stable", "command-run-canary"}},
		"run-without-traffic": {`{"belay.dev/run":"r-1"}`, nil},
		"everything": {`{"belay.dev/run":"r-1","belay.dev/narrowed":"command-everything","belay.dev/rejected":"9fd21c3b07","belay.dev/handover":"r-1"}`,
			[]string{"command-everything", "command-everything-stable", "command-everything-canary"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			sre(t)
			deployment := "command-" + name
			guarded(t, deployment, false)
			held(t, dev(t), deployment)
			adopt(t, deployment, `{"metadata":{"labels":`+c.labels+`}}`)
			for _, service := range c.services {
				s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: service, Namespace: "shop"}, Spec: corev1.ServiceSpec{
					Selector: map[string]string{"app": deployment, appsv1.DefaultDeploymentUniqueLabelKey: "abc"}, Ports: []corev1.ServicePort{{Port: 80}}}}
				if role, generated := strings.CutPrefix(service, deployment+"-"); generated {
					s.Labels = map[string]string{v1alpha1.LabelRollout: deployment, v1alpha1.LabelRole: role}
				}
				create(t, s)
			}
			// kubectl's own advice for a paused Deployment.
			refusal := shell(t, "kubectl -n shop rollout resume deployment "+deployment)
			_, command, found := strings.Cut(refusal, "in place of WHY: ")
			g.Expect(found).To(BeTrue(), refusal)
			command = strings.TrimSuffix(strings.TrimSpace(strings.Split(command, "\n")[0]), "exit status 1")
			g.Expect(shell(t, strings.ReplaceAll(command, "WHY", "shop is down"))).To(ContainSubstring("deployment.apps/" + deployment + " patched"))

			d := &appsv1.Deployment{}
			g.Expect(admin.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: deployment}, d)).To(Succeed())
			g.Expect(d.Spec.Paused).To(BeFalse())
			g.Expect(d.Annotations[v1alpha1.AnnotationBypassReason]).To(HaveSuffix("shop is down"))
			g.Expect(d.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationBypassBy, "sre (kubectl-patch)"))
			for _, service := range c.services {
				s := &corev1.Service{}
				g.Expect(admin.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: service}, s)).To(Succeed())
				g.Expect(s.Spec.Selector).To(Equal(map[string]string{"app": deployment}), service)
			}
		})
	}
}
