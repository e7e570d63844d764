package journeys

import (
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"belay.dev/belay/api/v1alpha1"
)

// TestInstallYAML installs a release with kubectl, as docs/install.md says, lets it
// promote one version and roll one back, and uninstalls it.
func TestInstallYAML(t *testing.T) {
	g := NewWithT(t)
	dist := released(t, "v0.1.0")
	install, belay := filepath.Join(dist, "install.yaml"), commandLine(t, dist)
	does(t, belay, "doctor", "--before-install")
	t.Cleanup(func() { gone(t) })
	uninstallAfter(t, install)
	apply(t, install)
	works(t, "belay")
	g.Expect(set.OfferSource(t.Context())).To(Succeed())
	nothingWrong(t, belay)

	shop := open(t, "installed")
	guards(t, belay, shop, "v0.1.0")
	nothingWrong(t, belay)
}

// guards lets an installation promote a good version, and roll a bad one back.
func guards(t *testing.T, belay string, shop *shop, version string) {
	t.Helper()
	g := NewWithT(t)
	shop.push("v2")
	good := shop.promoted("v2")
	g.Expect(good.Outcome).To(Equal(v1alpha1.OutcomePromoted))
	g.Expect(shop.verified(belay, good.Run).Spec.Controller.Version).To(Equal(version))
	shop.failing(belay, "v2")
	shop.noneFailed("errors")
}

// failing pushes a version with too many errors, which is rolled back.
func (s *shop) failing(belay, stable string) {
	s.t.Helper()
	s.push("errors")
	started := s.atFirstWeight()
	bad := s.rolledBack(started.Status.Run, stable)
	NewWithT(s.t).Expect(bad.Trigger).To(Equal("shop/availability"))
	s.verified(belay, bad.Run)
}
