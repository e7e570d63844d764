package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
	"belay.dev/belay/controllers/replay"
	"belay.dev/belay/hack/load"
	"belay.dev/belay/hack/stage"
)

// journeyLimit bounds one journey; most take about a minute, and the longest two and a half.
const journeyLimit = 4 * time.Minute

// journey is one shop, guarded, under load from the first moment to the last.
type journey struct {
	stage.Shop
	load *load.Generator
}

// namespaces of journeys begin with this.
const prefix = "e2e-"

// begin serves v1, guards it with short steps, but for what replaces them, and starts the load.
func begin(ctx context.Context, namespace string, replacements ...string) *journey {
	GinkgoHelper()
	return beginWith(ctx, set.Shop(prefix+namespace), replacements...)
}

// beginWith begins with another shop than the usual.
func beginWith(ctx context.Context, shop stage.Shop, replacements ...string) *journey {
	GinkgoHelper()
	j := &journey{Shop: shop}
	DeferCleanup(func(ctx context.Context) { Expect(j.Leave(ctx)).Error().NotTo(HaveOccurred()) }, NodeTimeout(2*time.Minute))
	DeferCleanup(j.report)
	By("serving v1")
	Expect(j.Serve(ctx, images["v1"])).To(Succeed())
	Expect(j.Guard(ctx, stage.Short(replacements...)...)).To(Succeed())
	j.load = &load.Generator{URL: set.Addresses.Gateway, Host: j.Host(), Rate: 80}
	j.load.Start(context.WithoutCancel(ctx))
	DeferCleanup(j.load.Stop)
	return j
}

// report shows what there is to know when a journey failed.
func (j *journey) report(ctx context.Context) {
	if !CurrentSpecReport().Failed() {
		return
	}
	rollout, err := j.Rollout(ctx)
	if err == nil {
		AddReportEntry("rollout", stage.Describe(rollout))
	}
	logs, err := set.Logs(ctx)
	if err != nil {
		logs = err.Error()
	}
	AddReportEntry("controller", withoutOthers(logs, j.Namespace))
}

// withoutOthers leaves out of a log what is about other journeys, which run beside this one.
func withoutOthers(logs, namespace string) string {
	kept := slices.DeleteFunc(strings.SplitAfter(logs, "\n"), func(line string) bool {
		return strings.Contains(line, prefix) && !strings.Contains(line, namespace)
	})
	return strings.Join(kept, "")
}

// release pushes a version and waits for how its run ends.
func (j *journey) release(ctx context.Context, version string) v1alpha1.HistoryEntry {
	GinkgoHelper()
	By("releasing " + version)
	Expect(j.Release(ctx, images[version])).To(Succeed())
	entry, err := j.Finished(ctx, images[version])
	Expect(err).NotTo(HaveOccurred())
	return entry
}

// guardrail changes what the journey's Guardrail demands. Belay writes its status meanwhile.
func (j *journey) guardrail(ctx context.Context, change func(*v1alpha1.GuardrailSpec)) {
	GinkgoHelper()
	Expect(retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		guardrail := &v1alpha1.Guardrail{}
		if err := set.Client.Get(ctx, j.Key(), guardrail); err != nil {
			return err
		}
		change(&guardrail.Spec)
		return set.Client.Update(ctx, guardrail)
	})).To(Succeed())
}

// until waits for the Rollout to get somewhere.
func (j *journey) until(ctx context.Context, what string, wanted func(*v1alpha1.Rollout) bool) *v1alpha1.Rollout {
	GinkgoHelper()
	By("waiting for the Rollout to " + what)
	rollout, err := j.Await(ctx, what, wanted)
	Expect(err).NotTo(HaveOccurred())
	return rollout
}

func inPhase(phase v1alpha1.Phase) func(*v1alpha1.Rollout) bool {
	return func(r *v1alpha1.Rollout) bool { return r.Status.Phase == phase }
}

// podsOf are the names of the pods of a version that are not on their way out.
func (j *journey) podsOf(ctx context.Context, version string) []string {
	GinkgoHelper()
	pods := &corev1.PodList{}
	Expect(set.Client.List(ctx, pods, client.InNamespace(j.Namespace))).To(Succeed())
	var names []string
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp == nil && pod.Spec.Containers[0].Image == images[version] {
			names = append(names, pod.Name)
		}
	}
	return names
}

// firstWeight is what the first step of a journey gives the candidate.
const firstWeight = 20

// atFirstWeight waits until the gateway gives the candidate its first share.
func (j *journey) atFirstWeight(ctx context.Context) *v1alpha1.Rollout {
	GinkgoHelper()
	return j.until(ctx, fmt.Sprintf("give the canary %d %%", firstWeight), func(r *v1alpha1.Rollout) bool {
		return r.Status.Phase == v1alpha1.PhaseStepping && r.Status.Step != nil && r.Status.Step.AcknowledgedAt != nil && r.Status.Step.Weight.Observed == firstWeight
	})
}

// onlyServed waits until every request of the last second got its answer from
// one version: the users' own proof of where the traffic goes.
func (j *journey) onlyServed(ctx context.Context, version string) {
	GinkgoHelper()
	By("seeing only " + version + " answer")
	Eventually(func(g Gomega) {
		recent := load.Count(j.load.Since(time.Now().Add(-time.Second)))
		g.Expect(recent.Sent).To(BeNumerically(">", 10))
		g.Expect(recent.By).To(HaveLen(1))
		g.Expect(recent.By).To(HaveKey(version))
	}).WithContext(ctx).Should(Succeed())
}

// noneFailed ends the load. Nobody may have failed, but by a bad canary itself.
func (j *journey) noneFailed(bad string) load.Tally {
	GinkgoHelper()
	j.load.Stop()
	tally := load.Count(j.load.Since(time.Time{}))
	Expect(tally.Sent).To(BeNumerically(">", 100))
	Expect(tally.Failed-tally.By[bad].Failed).To(BeZero(), "requests nobody may lose: %v of %v", tally.Unanswered, tally.By)
	return tally
}

// evidenceOf checks a finished run as a stranger would: an unbroken chain over
// every decision, pinned inputs, digests of what ran, verdicts with their query.
func (j *journey) evidenceOf(ctx context.Context, entry v1alpha1.HistoryEntry) *v1alpha1.RolloutRun {
	GinkgoHelper()
	By("verifying the evidence of " + entry.Run)
	var run *v1alpha1.RolloutRun
	Eventually(func(g Gomega) {
		var err error
		run, err = j.Run(ctx, entry.Run)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(run.Status.Outcome).To(Equal(entry.Outcome))
		g.Expect(run.Status.FinishedAt).NotTo(BeNil())
	}).WithContext(ctx).WithTimeout(20 * time.Second).Should(Succeed())
	made, err := replay.Run(run)
	Expect(err).NotTo(HaveOccurred())
	Expect(made).To(HaveEach(HaveField("Outcome", replay.Same)), "every decision is made again from the record alone")
	Expect(run.Spec.Image).To(Equal(entry.Image))
	Expect(run.Spec.Controller.Version).NotTo(BeEmpty())
	Expect(run.Spec.Guardrails).To(HaveLen(1))
	hash, err := evidence.HashOf(run.Spec.Guardrails[0].Spec)
	Expect(err).NotTo(HaveOccurred())
	Expect(run.Spec.Guardrails[0].Hash).To(Equal(hash))
	return run
}

// judged returns what the run's evidence says of a trigger.
func judged(run *v1alpha1.RolloutRun, trigger string) v1alpha1.TriggerAnalysis {
	GinkgoHelper()
	Expect(run.Status.Analysis).NotTo(BeNil())
	for _, t := range run.Status.Analysis.Triggers {
		if t.Name == trigger {
			Expect(t.Query).NotTo(BeEmpty())
			Expect(t.SamplesSHA256).NotTo(BeEmpty())
			Expect(t.EvaluatedAt).NotTo(BeNil())
			return t
		}
	}
	Fail("no verdict of trigger " + trigger)
	return v1alpha1.TriggerAnalysis{}
}
