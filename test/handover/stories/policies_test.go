package stories

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// TestNoPolicyHasATypeFault: Kubernetes' own checker finds no fault in any expression, for
// any of the kinds that it is about. The fields of one kind are not in the schema of
// another.
func TestNoPolicyHasATypeFault(t *testing.T) {
	t.Parallel()
	policies := &admissionregistrationv1.ValidatingAdmissionPolicyList{}
	NewWithT(t).Eventually(func(g Gomega) {
		g.Expect(admin.List(t.Context(), policies)).To(Succeed())
		checked := 0
		for _, p := range policies.Items {
			if strings.HasPrefix(p.Name, "belay-guard-") {
				g.Expect(p.Status.TypeChecking).NotTo(BeNil(), p.Name+" is not checked yet")
				checked++
			}
		}
		g.Expect(checked).To(BeNumerically(">=", 7))
	}).WithTimeout(time.Minute).WithPolling(100 * time.Millisecond).Should(Succeed())
	for _, p := range policies.Items {
		for _, warning := range p.Status.TypeChecking.ExpressionWarnings {
			t.Errorf("%s, %s: %s", p.Name, warning.FieldRef, warning.Warning)
		}
	}
}
