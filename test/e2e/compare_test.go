package e2e

import (
	"context"
	"io"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/hack/load"
	"belay.dev/belay/hack/stage"
)

var _ = Describe("A version", func() {
	It("that answers otherwise is rolled back by the comparer before a user meets it", func(ctx context.Context) {
		j := begin(ctx, "compare", "  - {name: canary, weight: 10, hold: 15s}",
			"  - {name: compare, weight: 0, mirror: 50, hold: 90s}\n  - {name: canary, weight: 20, hold: 6s}",
			"    drain: 2s", "    drain: 2s\n    comparer: {service: shop-comparer}")
		j.compare(ctx)
		By("judging the answers alone")
		j.guardrail(ctx, func(spec *v1alpha1.GuardrailSpec) {
			spec.Invariants, spec.SLOs = nil, []v1alpha1.SLO{{
				Name: "same-answers", Objective: "99.5", Period: "30d",
				Indicator: v1alpha1.Indicator{Preset: "comparer", Requests: &v1alpha1.RequestsIndicator{Matchers: []v1alpha1.Matcher{{Name: "job", Op: "=", Value: "pods"}}}},
			}}
		})
		since := time.Now()
		// It charges 5 % of the orders twice, with status 200.
		entry := j.release(ctx, "double")
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomeRolledBack), entry.Message)
		Expect(entry.Trigger).To(Equal("shop/same-answers"))
		verdict := judged(j.evidenceOf(ctx, entry), "same-answers")
		Expect(verdict.Canary.Bad).To(BeNumerically(">", 0))
		Expect(verdict.Stable.Total).To(BeNumerically(">", 20), "stable was asked twice")
		Expect(verdict.Stable.Bad).To(BeZero(), "stable answers as it does itself")
		By("seeing stable alone answer the users")
		served := load.Count(j.load.Since(since))
		Expect(served.By).To(And(HaveLen(1), HaveKey("v1")))
		Expect(j.filters(ctx)).To(HaveEach(BeZero()))
		entry = j.release(ctx, "v2")
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomePromoted), entry.Message)
		j.noneFailed("")
	}, NodeTimeout(journeyLimit))
})

// compare deploys the comparer as docs/comparing.md does, for what the load asks. The local cluster
// has no DNS and no proxy for Services: forwarders on this machine stand in for them.
func (j *journey) compare(ctx context.Context) {
	GinkgoHelper()
	By("deploying the documented comparer")
	page, err := os.ReadFile("../../docs/comparing.md")
	Expect(err).NotTo(HaveOccurred())
	documented := regexp.MustCompile("(?s)```yaml\n(apiVersion: apps/v1\n.*?)```").FindSubmatch(page)
	Expect(documented).NotTo(BeNil())
	binary, err := set.Build(ctx, "./cmd/belay-comparer")
	Expect(err).NotTo(HaveOccurred())
	image, err := set.Push(ctx, "belay-comparer:dev", binary)
	Expect(err).NotTo(HaveOccurred())
	manifest := strings.NewReplacer("registry.belay.dev/belay-comparer:v0.1.0", image, "cart", stage.Name, "namespace: shop", "namespace: "+j.Namespace,
		"--json={.items[*].price}", "--json={.charges}", "--json={.total}", "--method=POST",
		"--port=80 ", "--stable="+j.forward(ctx, "shop-stable")+"\n        - --candidate="+j.forward(ctx, "shop-canary")).Replace(string(documented[1]))
	Expect(set.Apply(ctx, manifest)).To(Succeed())
	Eventually(func(g Gomega) {
		comparer := &appsv1.Deployment{}
		g.Expect(set.Client.Get(ctx, client.ObjectKey{Namespace: j.Namespace, Name: stage.Name + "-comparer"}, comparer)).To(Succeed())
		g.Expect(comparer.Status.AvailableReplicas).To(BeEquivalentTo(1))
	}).WithTimeout(90 * time.Second).Should(Succeed())
}

// forward leads connections to a ready endpoint of a Service, and returns its URL.
func (j *journey) forward(ctx context.Context, service string) string {
	GinkgoHelper()
	gateway, err := url.Parse(set.Addresses.Gateway)
	Expect(err).NotTo(HaveOccurred())
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(gateway.Hostname(), "0"))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(listener.Close)
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go j.lead(context.WithoutCancel(ctx), from, service)
		}
	}()
	return "http://" + listener.Addr().String()
}

func (j *journey) lead(ctx context.Context, from net.Conn, service string) {
	defer func() { _ = from.Close() }()
	slices := &discoveryv1.EndpointSliceList{}
	if err := set.Client.List(ctx, slices, client.InNamespace(j.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: service}); err != nil {
		return
	}
	for _, slice := range slices.Items {
		for _, endpoint := range slice.Endpoints {
			if !ptr.Deref(endpoint.Conditions.Ready, false) {
				continue
			}
			to, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(endpoint.Addresses[0], strconv.Itoa(int(*slice.Ports[0].Port))))
			if err != nil {
				continue
			}
			defer func() { _ = to.Close() }()
			go func() { _, _ = io.Copy(to, from) }()
			_, _ = io.Copy(from, to)
			return
		}
	}
}
