// Package e2e plays journeys of users on a real cluster: real pods, a real
// gateway under steady load, a real Prometheus, Belay installed as users do.
package e2e

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"belay.dev/belay/hack/stage"
)

func TestJourneys(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Journeys")
}

// versions are the shops that journeys release: one binary, many images.
var versions = map[string][]string{
	"v1":     nil,
	"v2":     nil,
	"v3":     nil,
	"errors": {"SHOP_ERROR_RATE=0.05"},
	"slow":   {"SHOP_ADDED_LATENCY=400ms"},
	"double": {"SHOP_DOUBLE_CHARGE_RATE=0.05"},
	// Charges twice whoever comes with a coupon; until then it is good.
	"coupons": {"SHOP_DOUBLE_CHARGE_COUPONS=true"},
	// Crashes before it can become ready, so that it never gets a request.
	"crash": {"SHOP_CRASH_AFTER=1ms"},
}

var (
	set    *stage.Stage
	images map[string]string
	// kubectlBelay is the path of the command line.
	kubectlBelay string
)

// scene is what the first process sets and the others join: one cluster, one Belay.
type scene struct {
	Environ      []string
	Images       map[string]string
	KubectlBelay string
}

// Journeys that break nothing but their own shop run beside each other, in processes that share the
// scene. Those that break what all share are Serial: they run afterwards, alone.
var _ = SynchronizedBeforeSuite(setScene, func(_ context.Context, data []byte) {
	shared := scene{}
	Expect(json.Unmarshal(data, &shared)).To(Succeed())
	images, kubectlBelay = shared.Images, shared.KubectlBelay
	var err error
	set, err = stage.Join(shared.Environ, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
}, NodeTimeout(30*time.Minute))

func setScene(ctx context.Context) []byte {
	By("opening the cluster")
	// The first time builds for minutes, and Ginkgo shows what goes to GinkgoWriter afterwards only.
	// Behind a plain Writer no child gets the file itself, which Ginkgo reads until all have closed it.
	opened, err := stage.Open(ctx, struct{ io.Writer }{os.Stdout})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx context.Context) { Expect(opened.Close(ctx)).To(Succeed()) }, NodeTimeout(3*time.Minute))

	By("building and pushing the shop's versions")
	shops, err := opened.Shops(ctx, versions)
	Expect(err).NotTo(HaveOccurred())

	By("building the command line")
	commandLine, err := opened.Build(ctx, "./cmd/kubectl-belay")
	Expect(err).NotTo(HaveOccurred())

	By("installing Belay")
	// An installation of somebody else's is no place for journeys: Install refuses.
	before, err := opened.Presence(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(opened.Install(ctx)).To(Succeed())
	DeferCleanup(func(ctx context.Context) {
		if before == stage.Absent && !opened.Own {
			Expect(opened.Uninstall(ctx)).To(Succeed())
		}
	}, NodeTimeout(2*time.Minute))

	// No journey waits for the end of its namespace, so that the next begins meanwhile.
	DeferCleanup(func(ctx context.Context) { Expect(opened.AwaitRemovals(ctx)).To(Succeed()) }, NodeTimeout(2*time.Minute))
	data, err := json.Marshal(scene{Environ: opened.Environ(), Images: shops, KubectlBelay: commandLine})
	Expect(err).NotTo(HaveOccurred())
	return data
}
