package guardrails

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"belay.dev/belay/api/v1alpha1"
)

// TestWarning is what a Rollout's own guardrails say of it, and ClusterGuardrails.
func TestWarning(t *testing.T) {
	says := func(rollout string) v1alpha1.GuardrailStatus {
		return v1alpha1.GuardrailStatus{Exclusions: []v1alpha1.ExclusionStatus{{Rollout: rollout, Trigger: "errors", Reason: v1alpha1.ReasonHoldTooShort, Message: "hold it for 2h"}}}
	}
	own := func(status v1alpha1.GuardrailStatus) client.Object {
		return &v1alpha1.Guardrail{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "errors"}, Status: status}
	}
	rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout"}, Spec: v1alpha1.RolloutSpec{Guardrails: []v1alpha1.GuardrailRef{{Name: "gone"}, {Name: "errors"}}}}
	for name, tc := range map[string]struct {
		objects []client.Object
		want    string
	}{
		"nothing":        {[]client.Object{own(v1alpha1.GuardrailStatus{})}, ""},
		"of another":     {[]client.Object{own(says("shop/cart"))}, ""},
		"of this one":    {[]client.Object{own(says("shop/checkout"))}, `Guardrail "errors", trigger errors: hold it for 2h`},
		"of the cluster": {[]client.Object{own(says("shop/cart")), &v1alpha1.ClusterGuardrail{ObjectMeta: metav1.ObjectMeta{Name: "house"}, Status: says("shop/checkout")}}, `ClusterGuardrail "house", trigger errors: hold it for 2h`},
	} {
		c := fake.NewClientBuilder().WithScheme(testScheme(t)).WithObjects(tc.objects...).Build()
		if got, err := Warning(t.Context(), c, rollout); err != nil || got != tc.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, tc.want)
		}
	}
}
