//go:build engines

// Package engines has the real engines of Flux and Argo CD deploy a shop that Belay guards, on
// the real local cluster and under load: a first sync, a push in the middle of a run, a
// promotion, a rollback, a revert, and the removal of the Rollout and of everything.
// `make test-engines` builds them.
package engines

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"belay.dev/belay/hack/stage"
	"belay.dev/belay/test/programs"
)

// versions are the shops that are released: one binary, many images.
var versions = map[string][]string{"v1": nil, "v2": nil, "v3": nil, "errors": {"SHOP_ERROR_RATE=0.05"}}

var (
	set    *stage.Stage
	images map[string]string
)

// TestEngines plays the same story with Flux, and with Argo CD by client-side and by
// server-side apply, all at once on one cluster.
func TestEngines(t *testing.T) {
	SetDefaultEventuallyTimeout(3 * time.Minute)
	SetDefaultEventuallyPollingInterval(300 * time.Millisecond)
	open(t)
	t.Run("flux", func(t *testing.T) {
		t.Parallel()
		tool := startFlux(t)
		shop := set.Shop("engines-flux")
		play(t, shop, tool.deploy(t, shop))
	})
	t.Run("argocd", func(t *testing.T) {
		t.Parallel()
		startArgoCD(t)
		for name, serverSide := range map[string]bool{"client-side": false, "server-side": true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				shop := set.Shop("engines-argocd-" + name)
				play(t, shop, deployByArgoCD(t, shop, serverSide))
			})
		}
	})
}

// open opens the cluster, with Belay and the images in it.
func open(t *testing.T) {
	t.Helper()
	set = programs.Open(t)
	var err error
	images, err = set.Shops(t.Context(), versions)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
}
