package e2e

import (
	"context"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/hack/load"
)

// The longest journeys come first, so that none of them runs alone at the end of those that run beside each other.
var _ = Describe("A release", SpecPriority(1), func() {
	It("that is good is promoted, and every request is served", func(ctx context.Context) {
		j := begin(ctx, "promote")
		Expect(j.Release(ctx, images["v2"])).To(Succeed())
		j.until(ctx, "bake", inPhase(v1alpha1.PhaseBaking))
		judgedPods := j.podsOf(ctx, "v2")
		Expect(j.podsOf(ctx, "v1")).To(HaveLen(4), "stable stays at full size in the bake")
		entry, err := j.Finished(ctx, images["v2"])
		Expect(err).NotTo(HaveOccurred())
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomePromoted))
		Expect(j.podsOf(ctx, "v2")).To(ConsistOf(judgedPods), "the pods that were judged are the pods that serve")
		j.until(ctx, "be Ready", func(r *v1alpha1.Rollout) bool {
			return r.Status.Stable.Image == images["v2"] && r.Status.Phase == v1alpha1.PhaseStable
		})
		j.onlyServed(ctx, "v2")
		run := j.evidenceOf(ctx, entry)
		Expect(run.Status.Images).To(HaveExactElements(HaveField("Digest", HavePrefix("sha256:"))))
		deployment, err := j.Deployment(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(run.Spec.StartedBy).To(And(Not(BeEmpty()), Equal(deployment.Annotations[v1alpha1.AnnotationPushedBy])), "who pushed, as the API server stamped it")
		verdict := judged(run, "availability")
		Expect(verdict.Outcome).To(Equal(v1alpha1.VerdictPass))
		Expect(verdict.Canary.Total).To(BeNumerically(">", 50))
		By("leaving only the user's own objects in the way of a request")
		Eventually(func(g Gomega) {
			sets := &appsv1.ReplicaSetList{}
			g.Expect(set.Client.List(ctx, sets, client.InNamespace(j.Namespace), client.MatchingLabels{v1alpha1.LabelRole: v1alpha1.RoleCanary})).To(Succeed())
			g.Expect(sets.Items).To(BeEmpty())
		}).WithContext(ctx).Should(Succeed())
		By("going back at once, as kubectl does it")
		Expect(j.Undo(ctx)).To(Succeed())
		back, err := j.Finished(ctx, images["v1"])
		Expect(err).NotTo(HaveOccurred())
		Expect(back.Outcome).To(Equal(v1alpha1.OutcomePromoted))
		run, err = j.Run(ctx, back.Run)
		Expect(err).NotTo(HaveOccurred())
		Expect(run.Status.Decisions[0].Rule).To(Equal("RevertStarts"))
		Expect(run.Status.Decisions).NotTo(ContainElement(HaveField("Rule", HavePrefix("Step"))))
		j.onlyServed(ctx, "v1")
		j.noneFailed("")
	}, NodeTimeout(journeyLimit))

	It("with too many errors is rolled back by what its gateway counts, and the next one waits for error budget", func(ctx context.Context) {
		j := begin(ctx, "slo")
		By("counting what the gateway sends to the Services of each version, in place of what pods say of themselves")
		j.guardrail(ctx, func(spec *v1alpha1.GuardrailSpec) {
			requests := v1alpha1.Series{Metric: "gateway_requests_total"}
			bad := v1alpha1.Series{Metric: requests.Metric, Matchers: []v1alpha1.Matcher{{Name: "code", Op: "=~", Value: "5.."}}}
			spec.SLOs[0].Indicator = v1alpha1.Indicator{
				By:          v1alpha1.CountedByService,
				Destination: &v1alpha1.Destination{Label: "destination_service", Value: "$(service)", NamespaceLabel: "destination_namespace"},
				Requests:    &v1alpha1.RequestsIndicator{Total: requests, Bad: bad},
			}
		})
		entry := j.release(ctx, "errors")
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomeRolledBack))
		Expect(entry.Trigger).To(Equal("shop/availability"))
		j.onlyServed(ctx, "v1")
		verdict := judged(j.evidenceOf(ctx, entry), "availability")
		Expect(verdict.FirstFailAt).NotTo(BeNil())
		Expect(verdict.Query).To(ContainSubstring("gateway_requests_total"))
		By("demanding that error budget is left")
		j.guardrail(ctx, func(spec *v1alpha1.GuardrailSpec) {
			spec.Preflight = &v1alpha1.Preflight{BudgetRemaining: "10", OnViolation: v1alpha1.PreflightHold}
		})
		Expect(j.Release(ctx, images["v2"])).To(Succeed())
		held := j.until(ctx, "hold before the run", func(r *v1alpha1.Rollout) bool {
			p := r.Status.Preflight
			return r.Status.Phase == v1alpha1.PhaseGating && p != nil && p.Outcome == v1alpha1.VerdictFail && r.Status.Decision.Rule == "PreflightHolds" && r.Status.Decision.Key == p.Reason
		})
		// How much was spent, and how fast, depends on how soon the bad one was caught.
		Expect(held.Status.Preflight.Reason).To(BeElementOf("BudgetLow", "AlertFiring"))
		Expect(held.Status.Message).To(ContainSubstring("error budget is left"))
		By("taking the pre-flight away")
		j.guardrail(ctx, func(spec *v1alpha1.GuardrailSpec) { spec.Preflight = nil })
		next, err := j.Finished(ctx, images["v2"])
		Expect(err).NotTo(HaveOccurred())
		Expect(next.Outcome).To(Equal(v1alpha1.OutcomePromoted))
		tally := j.noneFailed("errors")
		Expect(tally.By["errors"].Bad).NotTo(BeZero())
		Expect(verdict.Canary.Bad).To(BeNumerically("<=", tally.By["errors"].Failed))
	}, NodeTimeout(journeyLimit))

	It("that answers too late is rolled back by its latency", func(ctx context.Context) {
		j := begin(ctx, "latency")
		entry := j.release(ctx, "slow")
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomeRolledBack))
		Expect(entry.Trigger).To(Equal("shop/latency"))
		j.onlyServed(ctx, "v1")
		j.noneFailed("")
		verdict := judged(j.evidenceOf(ctx, entry), "latency")
		Expect(verdict.Reason).To(Equal("Regression"))
		Expect(verdict.Canary.Bad).To(BeNumerically(">", 3))
	}, NodeTimeout(journeyLimit))

	It("that fails only when it serves everybody is rolled back from the bake, by weights", func(ctx context.Context) {
		j := begin(ctx, "bake")
		Expect(j.Release(ctx, images["coupons"])).To(Succeed())
		j.until(ctx, "bake", inPhase(v1alpha1.PhaseBaking))
		stablePods := j.podsOf(ctx, "v1")
		By("using the first coupon")
		j.load.Coupons.Store(true)
		entry, err := j.Finished(ctx, images["coupons"])
		Expect(err).NotTo(HaveOccurred())
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomeRolledBack))
		Expect(entry.Trigger).To(Equal("shop/no-double-charge"))
		j.onlyServed(ctx, "v1")
		Expect(j.podsOf(ctx, "v1")).To(ConsistOf(stablePods), "a rollback starts no pod")
		j.noneFailed("")
		j.evidenceOf(ctx, entry)
	}, NodeTimeout(journeyLimit))

	It("that somebody lets roll without a judgement is a run of its own, in the middle of a bake too", func(ctx context.Context) {
		j := begin(ctx, "bypass")
		Expect(j.Release(ctx, images["v2"])).To(Succeed())
		j.until(ctx, "bake", inPhase(v1alpha1.PhaseBaking))
		By("pushing a hotfix and resuming, as kubectl advises")
		Expect(j.Release(ctx, images["v3"])).To(Succeed())
		err := j.Resume(ctx)
		Expect(err).To(MatchError(ContainSubstring("bypass-reason")), "the denial says what does")
		By("bypassing the guard")
		Expect(j.Bypass(ctx, "the shop is on fire")).To(Succeed())
		entry, err := j.Finished(ctx, images["v3"])
		Expect(err).NotTo(HaveOccurred())
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomeBypassed))
		deployment, err := j.Deployment(ctx)
		Expect(err).NotTo(HaveOccurred())
		by := deployment.Annotations[v1alpha1.AnnotationBypassBy]
		Expect(entry.Message).To(And(ContainSubstring("the shop is on fire"), HavePrefix(by)))
		Expect(by).NotTo(BeEmpty())
		j.onlyServed(ctx, "v3")
		j.noneFailed("")
	}, NodeTimeout(journeyLimit))

	It("that breaks an invariant is rolled back by it", func(ctx context.Context) {
		j := begin(ctx, "invariant")
		entry := j.release(ctx, "double")
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomeRolledBack))
		Expect(entry.Trigger).To(Equal("shop/no-double-charge"))
		j.onlyServed(ctx, "v1")
		j.noneFailed("")
		j.evidenceOf(ctx, entry)
	}, NodeTimeout(journeyLimit))

	It("whose pods crash is rolled back without Prometheus, and stays rejected", func(ctx context.Context) {
		j := begin(ctx, "crash")
		breakPrometheus(ctx)
		entry := j.release(ctx, "crash")
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomeRolledBack))
		Expect(entry.Trigger).To(Equal("shop/pods"))
		j.onlyServed(ctx, "v1")
		By("pushing the rejected version again")
		Expect(j.Release(ctx, images["v1"])).To(Succeed())
		j.until(ctx, "be stable at v1", func(r *v1alpha1.Rollout) bool { return r.Status.Phase == v1alpha1.PhaseStable })
		Expect(j.Release(ctx, images["crash"])).To(Succeed())
		rollout := j.until(ctx, "reject it at once", func(r *v1alpha1.Rollout) bool { return r.Status.Phase == v1alpha1.PhaseRolledBack })
		Expect(rollout.Status.History).To(HaveLen(1))
		tally := j.noneFailed("")
		Expect(tally.By).NotTo(HaveKey("crash"))
		j.evidenceOf(ctx, entry)
	}, Serial, NodeTimeout(journeyLimit))

	It("reaches its preview first, then testers, can be aborted by annotation then, and tried again", func(ctx context.Context) {
		j := begin(ctx, "abort", "    service: shop\n", "    service: shop\n    preview: Enabled\n", "  - {name: canary, weight: 10, hold: 15s}",
			"  - {name: preview, weight: 0, hold: 8s}\n  - {name: testers, weight: 0, match: {headers: [{name: x-canary, value: \"1\"}]}, hold: 8s}\n  - {name: canary, weight: 20, hold: 6s}")
		testers := &load.Generator{URL: set.Addresses.Gateway, Host: j.Host(), Rate: 40, Header: http.Header{"X-Canary": {"1"}}}
		testers.Start(context.WithoutCancel(ctx))
		DeferCleanup(testers.Stop)
		By("having a route of the user's own lead to the preview Service for good")
		preview := j.routeToPreview(ctx)
		reached := func(since time.Time, version string) func(g Gomega) {
			return func(g Gomega) {
				tally := load.Count(preview.Since(since))
				g.Expect(tally.Sent).To(BeNumerically(">", 20))
				g.Expect(tally.By).To(And(HaveLen(1), HaveKey(version)))
			}
		}
		Eventually(func(g Gomega) { reached(time.Now().Add(-time.Second), "v1")(g) }).WithContext(ctx).Should(Succeed())
		inStep := func(index int32) func(*v1alpha1.Rollout) bool {
			return func(r *v1alpha1.Rollout) bool {
				return r.Status.Phase == v1alpha1.PhaseStepping && r.Status.Step != nil && r.Status.Step.Index == index && r.Status.Step.AcknowledgedAt != nil
			}
		}
		Expect(j.Release(ctx, images["v2"])).To(Succeed())
		shown := j.until(ctx, "preview the candidate", inStep(0))
		Expect(shown.Status.Preview).To(HaveValue(HaveField("Service", "shop-preview")))
		Eventually(reached(time.Now().Add(time.Second), "v2")).WithContext(ctx).Should(Succeed())
		Expect(load.Count(j.load.Since(time.Time{})).By).To(And(HaveLen(1), HaveKey("v1")), "no user has reached the candidate")
		Expect(load.Count(testers.Since(time.Time{})).By).To(And(HaveLen(1), HaveKey("v1")), "and no tester")
		j.until(ctx, "let testers in", inStep(1))
		By("seeing testers, and nobody else, get the candidate")
		since := time.Now()
		Eventually(func(g Gomega) {
			tested, others := load.Count(testers.Since(since)), load.Count(j.load.Since(since))
			g.Expect(tested.Sent).To(BeNumerically(">", 20))
			g.Expect(tested.By).To(And(HaveLen(1), HaveKey("v2")))
			g.Expect(others.By).To(And(HaveLen(1), HaveKey("v1")))
		}).WithContext(ctx).Should(Succeed())
		Expect(j.Act(ctx, v1alpha1.ActionAbort, "1", "the phones are ringing")).To(Succeed())
		entry, err := j.Finished(ctx, images["v2"])
		Expect(err).NotTo(HaveOccurred())
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomeRolledBack))
		Expect(entry.Message).To(ContainSubstring("the phones are ringing"))
		j.onlyServed(ctx, "v1")
		after := load.Count(testers.Since(time.Now().Add(-time.Second)))
		Expect(after.By).To(And(HaveLen(1), HaveKey("v1")), "testers are taken back too")
		Expect(j.evidenceOf(ctx, entry).Status.Decisions).To(ContainElement(
			And(HaveField("Rule", "AbortRequested"), HaveField("Actor", Not(BeEmpty())))))
		j.until(ctx, "end the rollback", func(r *v1alpha1.Rollout) bool { return r.Status.Phase == v1alpha1.PhaseRolledBack })
		Eventually(func(g Gomega) { reached(time.Now().Add(-time.Second), "v1")(g) }).WithContext(ctx).Should(Succeed(), "the preview leads to stable again")
		Expect(j.Act(ctx, v1alpha1.ActionRetry, "2", "it was the phones")).To(Succeed())
		j.until(ctx, "promote v2", func(r *v1alpha1.Rollout) bool {
			return r.Status.Phase == v1alpha1.PhaseStable && r.Status.Stable.Image == images["v2"]
		})
		j.onlyServed(ctx, "v2")
		j.noneFailed("")
		testers.Stop()
		Expect(load.Count(testers.Since(time.Time{})).Failed).To(BeZero(), "requests no tester may lose")
	}, NodeTimeout(journeyLimit))

	It("that fails copies of requests is rolled back before a user meets it", func(ctx context.Context) {
		j := begin(ctx, "mirror", "  - {name: canary, weight: 10, hold: 15s}",
			"  - {name: mirror, weight: 0, mirror: 50, hold: 90s}\n  - {name: canary, weight: 20, hold: 6s}")
		before := j.filters(ctx)
		since := time.Now()
		Expect(j.Release(ctx, images["errors"])).To(Succeed())
		j.until(ctx, "mirror", func(r *v1alpha1.Rollout) bool {
			return r.Status.Phase == v1alpha1.PhaseStepping && r.Status.Step != nil && r.Status.Step.AcknowledgedAt != nil || r.Status.Phase == v1alpha1.PhaseRollingBack
		})
		entry, err := j.Finished(ctx, images["errors"])
		Expect(err).NotTo(HaveOccurred())
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomeRolledBack))
		Expect(entry.Trigger).To(Equal("shop/availability"))
		Expect(entry.Message).To(ContainSubstring("copies of 50 % of the requests"))
		verdict := judged(j.evidenceOf(ctx, entry), "availability")
		Expect(verdict.Canary.Total).To(BeNumerically(">", 20), "copies that the canary's pods counted")
		By("seeing stable alone answer all the time, and no filter left")
		served := load.Count(j.load.Since(since))
		Expect(served.By).To(And(HaveLen(1), HaveKey("v1")))
		Expect(j.filters(ctx)).To(Equal(before))
		j.noneFailed("")
	}, NodeTimeout(journeyLimit))
})

// routeToPreview makes a route of the user's own that names the preview Service, and sends
// requests by it from then on.
func (j *journey) routeToPreview(ctx context.Context) *load.Generator {
	GinkgoHelper()
	theirs := &gatewayv1.HTTPRoute{}
	Expect(set.Client.Get(ctx, j.Key(), theirs)).To(Succeed())
	route := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: j.Namespace, Name: "preview"}, Spec: *theirs.Spec.DeepCopy()}
	host := "preview." + j.Host()
	route.Spec.Hostnames = []gatewayv1.Hostname{gatewayv1.Hostname(host)}
	route.Spec.Rules[0].BackendRefs[0].Name = "shop-preview"
	Expect(set.Client.Create(ctx, route)).To(Succeed())
	callers := &load.Generator{URL: set.Addresses.Gateway, Host: host, Rate: 40}
	callers.Start(context.WithoutCancel(ctx))
	DeferCleanup(callers.Stop)
	return callers
}

// filters are how many each rule of the route has.
func (j *journey) filters(ctx context.Context) []int {
	GinkgoHelper()
	route := &gatewayv1.HTTPRoute{}
	Expect(set.Client.Get(ctx, j.Key(), route)).To(Succeed())
	var out []int
	for _, rule := range route.Spec.Rules {
		out = append(out, len(rule.Filters))
	}
	return out
}
