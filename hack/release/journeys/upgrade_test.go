package journeys

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// former is the last landed commit of this repository with version 7 of the planner's
// rules.
const (
	former      = "b05d1d289bb106ae4c20ea9fd60694b4dbccc577"
	formerRules = 7
)

// TestUpgradeInTheMiddleOfARun upgrades from the former rules while one version is in
// its first step, another in its bake, and a third is being rolled back. What was not
// found bad starts again under the new rules and is promoted; what was found bad stays
// away.
func TestUpgradeInTheMiddleOfARun(t *testing.T) {
	g := NewWithT(t)
	dist := released(t, "v0.2.0")
	belay := commandLine(t, dist)
	before, install := installYAML(t, source(t, former), "v0.1.0"), filepath.Join(dist, "install.yaml")
	t.Cleanup(func() { gone(t) })
	uninstallAfter(t, install)
	apply(t, before)
	g.Expect(set.OfferSource(t.Context())).To(Succeed())

	// The one that takes longest to get where it is wanted goes first, and each stays there
	// until the upgrade is over, on a slow machine too.
	failing := open(t, "failing", "drain: 2s", "drain: 150s")
	baking := open(t, "baking", "bake: 10s", "bake: 90s")
	stepping := open(t, "stepping", "hold: 15s", "hold: 90s")
	failing.push("errors")
	failing.until("roll back", func(r *v1alpha1.Rollout) bool { return r.Status.Phase == v1alpha1.PhaseRollingBack })
	baking.push("v2")
	baking.until("bake", func(r *v1alpha1.Rollout) bool { return r.Status.Phase == v1alpha1.PhaseBaking })
	stepping.push("v2")
	stepping.atFirstWeight()
	runs := map[*shop]string{}
	for s, phase := range map[*shop]v1alpha1.Phase{stepping: v1alpha1.PhaseStepping, baking: v1alpha1.PhaseBaking, failing: v1alpha1.PhaseRollingBack} {
		rollout, err := s.Rollout(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(rollout.Status.Phase).To(Equal(phase), s.Namespace)
		runs[s] = rollout.Status.Run
		run, err := s.Run(t.Context(), runs[s])
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(run.Spec.Controller).To(And(HaveField("Version", "v0.1.0"), HaveField("Planner", BeEquivalentTo(formerRules))))
	}

	t.Log("upgrading")
	apply(t, install)
	rollout, err := failing.Rollout(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(rollout.Status.Phase).To(Equal(v1alpha1.PhaseRollingBack), "the rollback was over before the upgrade")

	bad := failing.rolledBack(runs[failing], "v1")
	g.Expect(bad.Trigger).To(Equal("shop/availability"), "an upgrade is no other reason")
	for _, s := range []*shop{stepping, baking} {
		good := s.promoted("v2")
		ended := s.ended(runs[s])
		g.Expect(good.Run).NotTo(Equal(ended.Run), s.Namespace)
		g.Expect(ended).To(And(HaveField("Outcome", v1alpha1.OutcomeCancelled), HaveField("Message", ContainSubstring("another version of Belay"))), s.Namespace)
		g.Expect(good.Outcome).To(Equal(v1alpha1.OutcomePromoted), s.Namespace)
		g.Expect(s.verified(belay, good.Run).Spec.Controller).To(And(HaveField("Version", "v0.2.0"), HaveField("Planner", BeEquivalentTo(plan.Version))))
		s.noneFailed("")
	}
	rollout, err = failing.Rollout(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(rollout.Status.Phase).To(Equal(v1alpha1.PhaseRolledBack), "what was found bad is not tried again")
	g.Expect(rollout.Status.History).To(HaveLen(1))
	failing.onlyServed("v1")
	failing.noneFailed("errors")
	for s, run := range runs {
		s.crossed(belay, run)
	}
	works(t, "belay")
	nothingWrong(t, belay)
}

// crossed expects a record that both versions of the rules wrote, whose chain has no
// gap, and of which the command line says why it cannot take every decision again.
func (s *shop) crossed(belay, name string) {
	s.t.Helper()
	g := NewWithT(s.t)
	var by []int32
	for _, decision := range s.verified(belay, name).Status.Decisions {
		if decision.Input != nil {
			by = append(by, decision.Input.Planner)
		}
		g.Expect(decision.Missing).To(BeZero())
	}
	g.Expect(by).To(ContainElements(BeEquivalentTo(formerRules), BeEquivalentTo(plan.Version)), "%s was not decided by both", name)
	_, err := run(s.t.Context(), belay, "replay", name, "-n", s.Namespace)
	g.Expect(err).To(MatchError(And(ContainSubstring("exit status 3"), ContainSubstring("version "+strconv.Itoa(formerRules)))))
}

// TestADowngradeIsRefused installs a Belay with rules of a later version, and this one
// over it in the middle of a run. This one does not start, and the later one goes on.
func TestADowngradeIsRefused(t *testing.T) {
	g := NewWithT(t)
	install := filepath.Join(released(t, "v0.2.0"), "install.yaml")
	later := installYAML(t, withLaterRules(t, source(t, head(t))), "v0.3.0")
	t.Cleanup(func() { gone(t) })
	uninstallAfter(t, install)
	apply(t, later)
	g.Expect(set.OfferSource(t.Context())).To(Succeed())
	shop := open(t, "downgraded", "hold: 15s", "hold: 20s")
	shop.push("v2")
	started := shop.atFirstWeight()

	does(t, "kubectl", "apply", "--server-side", "-f", install)
	refused := "RolloutRun downgraded/" + started.Status.Run + " was written by Belay v0.3.0 with version " + strconv.Itoa(plan.Version+1) +
		" of the rules, and this Belay has version " + strconv.Itoa(plan.Version) + ": a downgrade is refused"
	g.Eventually(func(g Gomega) {
		pods := &corev1.PodList{}
		g.Expect(set.Client.List(t.Context(), pods, client.InNamespace("belay"), client.MatchingLabels{"app": name})).To(Succeed())
		g.Expect(pods.Items).To(HaveLen(3), "two of the later one, and one that does not get ready")
		var said []string
		for _, pod := range pods.Items {
			// A new pod has no status of its container yet.
			for _, container := range pod.Status.ContainerStatuses {
				ended := container.LastTerminationState.Terminated
				if ended == nil {
					continue
				}
				g.Expect(ended.ExitCode).To(BeEquivalentTo(1))
				logs, err := run(t.Context(), "kubectl", "-n", "belay", "logs", pod.Name, "--previous")
				g.Expect(err).NotTo(HaveOccurred())
				said = append(said, logs)
			}
		}
		g.Expect(said).To(ConsistOf(ContainSubstring(refused)))
	}).WithTimeout(patience).WithPolling(time.Second).Should(Succeed())

	good := shop.promoted("v2")
	g.Expect(good).To(And(HaveField("Run", started.Status.Run), HaveField("Outcome", v1alpha1.OutcomePromoted)), "the later one goes on")
	shop.push("v3")
	shop.promoted("v3")
	shop.noneFailed("")

	t.Log("installing the later one again")
	apply(t, later)
	works(t, "belay")
}

// withLaterRules makes the source in a folder one of rules of the next version.
func withLaterRules(t *testing.T, root string) string {
	t.Helper()
	g := NewWithT(t)
	path := filepath.Join(root, "controllers", "plan", "rules.go")
	before, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	line := regexp.MustCompile(`(?m)^const Version = ` + strconv.Itoa(plan.Version) + `$`)
	g.Expect(line.FindAll(before, -1)).To(HaveLen(1))
	g.Expect(os.WriteFile(path, line.ReplaceAll(before, []byte("const Version = "+strconv.Itoa(plan.Version+1))), 0o644)).To(Succeed())
	return root
}
