package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"belay.dev/belay/api/v1alpha1"
)

// reasonedSet is the part of a patch that gives a reason; GEN stands for the StatefulSet's
// present generation.
func reasonedSet(s *appsv1.StatefulSet, reason string) string {
	return fmt.Sprintf(`"metadata":{"annotations":{%q:%q}}`, v1alpha1.AnnotationBypassReason, strings.ReplaceAll(reason, "GEN", fmt.Sprint(s.Generation)))
}

// TestOnlyABypassLowersThePartition: the verb and a fresh reason together, and for a
// rejected revision its name.
func TestOnlyABypassLowersThePartition(t *testing.T) {
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
		"a cluster administrator, no reason":    {admin, "", false, []string{"is held by Rollout", `"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}'`}},
		"a reason of another generation":        {sre, "1GEN: outage", false, []string{"is held by Rollout"}},
		"a reason without a generation":         {sre, "outage", false, []string{"is held by Rollout"}},
		"a reason without a text":               {sre, "GEN:", false, []string{"a bypass of statefulset", "needs a reason of 1 to"}},
		"a reason too long by one character":    {sre, "GEN:" + strings.Repeat("x", 1023), false, []string{"needs a reason of 1 to 1022 characters"}},
		"the longest reason":                    {sre, "GEN:" + strings.Repeat("x", 1022), false, nil},
		"a reason":                              {sre, "GEN: outage of the ledger, it's \"urgent\"", false, nil},
		"a cluster administrator with a reason": {admin, "GEN: outage", false, nil},
		"a rejected revision, no reason": {sre, "", true, []string{"which rejected the declared revision " + rejected, "or apply; not kubectl rollout undo)",
			"needs the verb retry: kubectl -n shop annotate --overwrite rollouts.belay.dev ", `: ` + rejected + ` WHY"`}},
		"a rejected revision that is not named": {sre, "GEN: outage", true, []string{"a bypass has to name it", `: ` + rejected + ` WHY"`}},
		"a rejected revision that is named":     {sre, "GEN: " + rejected + " outage", true, nil},
		"the guard probe's identity, a reason":  {as(t, guardProbe), "GEN: probe", false, []string{"needs the verb bypass"}},
		"the guard probe's identity, no reason": {as(t, guardProbe), "", false, []string{"is held by Rollout"}},
	} {
		n++
		set := fmt.Sprint("set-release-", n)
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			guardedSet(t, set, 0)
			s := heldSet(t, developer, set)
			if c.rejected {
				s = adoptSet(t, set, fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, v1alpha1.LabelRejected, rejected))
			}
			document := `{"spec":` + atPartition(0) + `}`
			if c.reason != "" {
				document = `{` + reasonedSet(s, c.reason) + `,"spec":` + atPartition(0) + `}`
			}
			s, err := patchSet(t.Context(), c.as, byPatch, set, document)
			if c.refused == nil {
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(partitionOf(s)).To(BeZero())
				g.Expect(s.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationBypassBy, HaveSuffix(" ("+byPatch+")")))
				g.Expect(s.Labels).To(HaveKeyWithValue(v1alpha1.LabelRollout, set), "a bypass that does not ask for it leaves the guard on")
				return
			}
			g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
			for _, words := range c.refused {
				g.Expect(err.Error()).To(ContainSubstring(words))
			}
			g.Expect(err.Error()).To(ContainSubstring("'belay-guard-release'"), "the message was not too long or too dear for the API server")
			g.Expect(err.Error()).NotTo(ContainSubstring("failed expression"))
			g.Expect(partitionOf(liveSet(t, set))).To(Equal(v1alpha1.PartitionHold))
		})
	}
}

// TestAReasonOfAStatefulSetCountsOnce, although a change of annotations alone makes no new
// generation of it.
func TestAReasonOfAStatefulSetCountsOnce(t *testing.T) {
	g := NewWithT(t)
	sre := sre(t)
	guardedSet(t, "set-once", 0)
	s := heldSet(t, dev(t), "set-once")
	early, err := patchSet(t.Context(), sre, byPatch, "set-once", `{`+reasonedSet(s, "GEN: prepared")+`}`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(early.Generation).To(Equal(s.Generation))
	_, err = patchSet(t.Context(), sre, byPatch, "set-once", `{`+reasonedSet(early, "GEN: prepared")+`,"spec":`+atPartition(0)+`}`)
	g.Expect(err).To(MatchError(ContainSubstring("is held by Rollout")), "the reason was not given in the same write")
	given, err := patchSet(t.Context(), sre, byPatch, "set-once", `{`+reasonedSet(early, "GEN: given")+`,"spec":`+atPartition(0)+`}`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(partitionOf(given)).To(BeZero())

	again, err := patchSet(t.Context(), sre, byPatch, "set-once", fmt.Sprintf(`{%s,"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}},"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, reasonedSet(early, "GEN: given"), image()))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(partitionOf(again)).To(Equal(v1alpha1.PartitionHold), "the reason of the last bypass is not one of the next push")
	g.Expect(again.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationBypassReason, given.Annotations[v1alpha1.AnnotationBypassReason]))
}

// TestAPartitionByHand: a person is told, and a program that applies a manifest is not
// broken. Whoever wants to stop a StatefulSet may.
func TestAPartitionByHand(t *testing.T) {
	const kept, refusedLower, refusedRaise = "kept", "is held by Rollout", "is set by Belay: leave it as it is, or set it to 2147483647"
	const hold = v1alpha1.PartitionHold
	n := 0
	for _, c := range []struct {
		before, after int32
		byHand        string
	}{
		{hold, 0, refusedLower}, {hold, hold - 1, refusedLower}, {hold, 3, refusedLower}, {3, 2, refusedLower}, {3, 0, refusedLower},
		{2, 3, refusedRaise}, {0, 1, refusedRaise}, {0, hold - 1, refusedRaise},
		{0, hold, ""}, {3, hold, ""}, {3, 3, ""},
	} {
		for manager, byHand := range map[string]bool{byPatch: true, byEdit: true, byApply: false, byGitOps: false, "helm": false, "a program of somebody's": false} {
			n++
			name := fmt.Sprint("set-by-hand-", n)
			t.Run(fmt.Sprintf("%d to %d by %s", c.before, c.after, manager), func(t *testing.T) {
				g := NewWithT(t)
				guardedSet(t, name, c.before)
				s, err := patchSet(t.Context(), dev(t), manager, name, `{"metadata":{"labels":{"team":"a"}},"spec":`+atPartition(c.after)+`}`)
				switch {
				case byHand && c.byHand != "":
					g.Expect(err).To(MatchError(And(ContainSubstring("belay-guard-release"), ContainSubstring(c.byHand), Not(ContainSubstring("failed expression")))))
				case byHand:
					g.Expect(err).NotTo(HaveOccurred())
					g.Expect(partitionOf(s)).To(Equal(c.after))
				default:
					g.Expect(err).NotTo(HaveOccurred())
					g.Expect(partitionOf(s)).To(Equal(c.before), kept)
					g.Expect(s.Labels).To(HaveKeyWithValue("team", "a"))
				}
			})
		}
	}
}

// TestABypassMayPushAStatefulSet: a hotfix is one write, and rolls at once.
func TestABypassMayPushAStatefulSet(t *testing.T) {
	for name, c := range map[string]struct {
		as              client.Client
		reason, refused string
		rolls           bool
	}{
		"verb-and-reason":       {sre(t), "GEN: hotfix", "", true},
		"no-reason":             {sre(t), "0: hotfix", "", false},
		"no-verb":               {dev(t), "GEN: hotfix", "needs the verb bypass", false},
		"an-admin-no-reason":    {admin, "hotfix", "", false},
		"the-probe":             {as(t, guardProbe), "GEN: hotfix", "needs the verb bypass", false},
		"verb-reason-by-gitops": {sre(t), "GEN: in the manifest", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			set := "set-hotfix-" + name
			s := guardedSet(t, set, v1alpha1.PartitionHold)
			document := fmt.Sprintf(`{%s,"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}},"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, reasonedSet(s, c.reason), image())
			s, err := patchSet(t.Context(), c.as, map[bool]string{true: byGitOps, false: byPatch}[strings.HasSuffix(name, "gitops")], set, document)
			if c.refused != "" {
				g.Expect(err).To(MatchError(ContainSubstring(c.refused)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(partitionOf(s) == 0).To(Equal(c.rolls), "partition %d", partitionOf(s))
		})
	}
}

// TestLabelsOfAStatefulSetStay as Belay set them; a bypass takes the guard off.
func TestLabelsOfAStatefulSetStay(t *testing.T) {
	for name, c := range map[string]struct {
		as              client.Client
		manager         string
		reason, refused string
		off             bool
	}{
		"dev":               {dev(t), "tests", "", "", false},
		"dev-with-reason":   {dev(t), "tests", "GEN: mine", "needs the verb bypass", false},
		"sre-stale":         {sre(t), "tests", "0: old", "", false},
		"sre-by-hand":       {sre(t), byPatch, "0: old", "is held by Rollout", false},
		"sre-not-named":     {sre(t), byPatch, "GEN: outage", "a bypass has to name it", false},
		"sre-with-reason":   {sre(t), byPatch, "GEN: aaaaaaaaaa outage", "", true},
		"admin-with-reason": {admin, byPatch, "GEN: aaaaaaaaaa outage", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			set := "set-off-" + name
			guardedSet(t, set, 0)
			heldSet(t, dev(t), set)
			s := adoptSet(t, set, `{"metadata":{"labels":{"belay.dev/rejected":"aaaaaaaaaa"}}}`)
			s, err := patchSet(t.Context(), c.as, c.manager, set, fmt.Sprintf(`{"metadata":{"labels":{"belay.dev/rollout":null,"belay.dev/rejected":null},"annotations":{%q:%q}},"spec":%s}`,
				v1alpha1.AnnotationBypassReason, strings.ReplaceAll(c.reason, "GEN", fmt.Sprint(s.Generation)), atPartition(0)))
			switch {
			case c.refused != "":
				g.Expect(err).To(MatchError(ContainSubstring(c.refused)))
			case c.off:
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(s.Labels).To(BeEmpty())
				g.Expect(partitionOf(s)).To(BeZero())
				g.Expect(s.Annotations).To(HaveKey(v1alpha1.AnnotationBypassBy))
			default:
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(s.Labels).To(Equal(map[string]string{v1alpha1.LabelRollout: set, v1alpha1.LabelRejected: "aaaaaaaaaa"}))
				g.Expect(partitionOf(s)).To(Equal(v1alpha1.PartitionHold), "whoever takes the label off releases nothing")
				g.Expect(s.Annotations).NotTo(HaveKey(v1alpha1.AnnotationBypassReason))
			}
		})
	}
	g := NewWithT(t)
	guardedSet(t, "set-stamps", 0)
	s, err := patchSet(t.Context(), dev(t), "tests", "set-stamps", `{"metadata":{"annotations":{"belay.dev/pushed-by":"root","belay.dev/bypass-by":"root","belay.dev/bypass-reason":"forged"}}}`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.Annotations).To(BeEmpty(), "nobody forges a stamp")
}

// TestAMissingPolicyOfStatefulSets: without the one that holds, a push is refused.
func TestAMissingPolicyOfStatefulSets(t *testing.T) {
	guardedSet(t, "set-missing", 0)
	user := dev(t)
	pushed := func() (*appsv1.StatefulSet, error) {
		s := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "set-missing", Namespace: "shop"}}
		return s, user.Patch(context.WithoutCancel(t.Context()), s, client.RawPatch(types.StrategicMergePatchType, templateOf(image())), client.DryRunAll)
	}
	without(t, func(g Gomega) {
		s, err := pushed()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(partitionOf(s)).To(Equal(v1alpha1.PartitionHold))
	}, mutating("statefulsets-hold"))
	NewWithT(t).Eventually(func() string { _, err := pushed(); return fmt.Sprint(err) }).WithTimeout(soon).Should(And(ContainSubstring("belay-guard-release"),
		ContainSubstring("belay-guard-statefulsets-hold or its binding is not in force"), ContainSubstring("kubectl apply --server-side -k config/guard")))
}

// TestTheDenialsCommandReleasesAStatefulSet runs what the API server prints, in a shell, as
// it is.
func TestTheDenialsCommandReleasesAStatefulSet(t *testing.T) {
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
	for name, labels := range map[string]string{"plain": `{}`, "rejected": `{"belay.dev/rejected":"9fd21c3b07"}`} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			sre(t)
			set := "set-command-" + name
			guardedSet(t, set, 0)
			heldSet(t, dev(t), set)
			adoptSet(t, set, `{"metadata":{"labels":`+labels+`}}`)
			refusal := shell(t, `kubectl -n shop patch statefulset `+set+` -p '{"spec":`+atPartition(0)+`}'`)
			_, command, found := strings.Cut(refusal, "in place of WHY: ")
			g.Expect(found).To(BeTrue(), refusal)
			command = strings.TrimSuffix(strings.TrimSpace(strings.Split(command, "\n")[0]), "exit status 1")
			g.Expect(shell(t, strings.ReplaceAll(command, "WHY", "shop is down"))).To(ContainSubstring("statefulset.apps/" + set + " patched"))
			s := liveSet(t, set)
			g.Expect(partitionOf(s)).To(BeZero())
			g.Expect(s.Annotations[v1alpha1.AnnotationBypassReason]).To(HaveSuffix("shop is down"))
			g.Expect(s.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationBypassBy, "sre (kubectl-patch)"))
		})
	}
}
