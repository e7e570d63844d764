package integration

import (
	"context"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// guardProbe is the identity that the probe's dry-runs run under.
const guardProbe = "system:serviceaccount:belay:guard-probe"

// without removes an object of config for the rest of the test, and returns
// when all is in force again.
func without(t *testing.T, object client.Object, again func(Gomega)) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(object), object)).To(Succeed())
	g.Expect(admin.Delete(t.Context(), object)).To(Succeed())
	t.Cleanup(func() {
		object.SetResourceVersion("")
		object.SetUID("")
		g.Expect(admin.Create(context.WithoutCancel(t.Context()), object)).To(Succeed())
		g.Eventually(again).WithTimeout(soon).Should(Succeed())
	})
}
