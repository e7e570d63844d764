package guardrails

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"belay.dev/belay/api/v1alpha1"
)

// TestAPinnedGuardrailIsHashedOnce, as long as it is the same one and unchanged.
func TestAPinnedGuardrailIsHashedOnce(t *testing.T) {
	spec := v1alpha1.GuardrailSpec{Source: "default", SLOs: []v1alpha1.SLO{{Name: "errors", Objective: "99.9", Indicator: v1alpha1.Indicator{
		Requests: &v1alpha1.RequestsIndicator{Total: v1alpha1.Series{Metric: "requests"}, Bad: v1alpha1.Series{Metric: "errors"}},
	}}}}
	before, err := Pin("Guardrail", "shop", "1", spec)
	if err != nil {
		t.Fatal(err)
	}
	before.Hash = "as pinned before"
	changed := spec
	changed.MinimumSamples++
	for name, tc := range map[string]struct {
		kind   string
		uid    types.UID
		spec   v1alpha1.GuardrailSpec
		reused bool
	}{
		"the same":           {"Guardrail", "1", spec, true},
		"changed":            {"Guardrail", "1", changed, false},
		"of another kind":    {"ClusterGuardrail", "1", spec, false},
		"created once again": {"Guardrail", "2", spec, false},
	} {
		got, err := Pin(tc.kind, "shop", tc.uid, tc.spec, before)
		if err != nil {
			t.Fatal(err)
		}
		if reused := got.Hash == before.Hash; reused != tc.reused {
			t.Errorf("%s: hash %s, reused %v, want %v", name, got.Hash, reused, tc.reused)
		}
	}
}

// TestAClusterGuardrailWithAnUnreadableSelector neither binds by mistake nor is
// left out: no run starts until somebody has corrected it. A selector beside it
// that can be read and does not match settles the question.
func TestAClusterGuardrailWithAnUnreadableSelector(t *testing.T) {
	scheme := testScheme(t)
	all := metav1.LabelSelector{}
	team := func(name string) metav1.LabelSelector {
		return metav1.LabelSelector{MatchLabels: map[string]string{"team": name}}
	}
	unreadable := metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: "Maybe"}}}
	for name, tc := range map[string]struct {
		namespaces, rollouts metav1.LabelSelector
		bound                bool
		says                 string
	}{
		"all":                                 {all, all, true, ""},
		"this team's":                         {team("shop"), team("shop"), true, ""},
		"another team's":                      {team("bank"), all, false, ""},
		"unreadable namespaces":               {unreadable, all, false, `ClusterGuardrail "house" applies to this Rollout: namespaceSelector cannot be read: "Maybe" is not a valid label selector operator`},
		"unreadable rollouts":                 {all, unreadable, false, `rolloutSelector cannot be read`},
		"unreadable rollouts of another team": {team("bank"), unreadable, false, ""},
		"unreadable namespaces, other label":  {unreadable, team("bank"), false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := &v1alpha1.ClusterGuardrail{ObjectMeta: metav1.ObjectMeta{Name: "house"}}
			g.Spec.NamespaceSelector, g.Spec.RolloutSelector = tc.namespaces, tc.rollouts
			g.Spec.Triggers = []v1alpha1.Trigger{{Name: "pods", Pods: &v1alpha1.PodsTrigger{}}}
			labels := map[string]string{"team": "shop"}
			c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(g, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: labels}}).Build()
			bound, blocked, err := Bind(t.Context(), c, &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop", Labels: labels}})
			if err != nil {
				t.Fatal(err)
			}
			if len(bound) == 1 != tc.bound {
				t.Errorf("%d guardrails bind", len(bound))
			}
			if (blocked.Reason == v1alpha1.ReasonSelectorUnreadable) != (tc.says != "") || !strings.Contains(blocked.Message, tc.says) {
				t.Errorf("%s: %s", blocked.Reason, blocked.Message)
			}
		})
	}
}

func testScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// TestAChangeOfAGuardrailOnlyAdds to what a run in progress must pass: what was pinned
// stays in force, changed or gone, and what is new comes beside it.
func TestAChangeOfAGuardrailOnlyAdds(t *testing.T) {
	guardrail := func(kind, name, hash string) v1alpha1.PinnedGuardrail {
		return v1alpha1.PinnedGuardrail{Kind: kind, Name: name, Hash: "sha256:" + hash}
	}
	pinned := guardrail("Guardrail", "shop", "0123456789")
	for name, tc := range map[string]struct {
		current []v1alpha1.PinnedGuardrail
		want    []string
	}{
		"as it was": {[]v1alpha1.PinnedGuardrail{pinned}, []string{"Guardrail/shop sha256:0123456789"}},
		"deleted":   {nil, []string{"Guardrail/shop sha256:0123456789"}},
		"changed":   {[]v1alpha1.PinnedGuardrail{guardrail("Guardrail", "shop", "abcdef0123")}, []string{"Guardrail/shop sha256:0123456789", "Guardrail/shop@abcdef01 sha256:abcdef0123"}},
		"the cluster's has the same name": {[]v1alpha1.PinnedGuardrail{pinned, guardrail("ClusterGuardrail", "shop", "0123456789")},
			[]string{"Guardrail/shop sha256:0123456789", "ClusterGuardrail/shop sha256:0123456789"}},
	} {
		var got []string
		for _, g := range InForce([]v1alpha1.PinnedGuardrail{pinned}, tc.current) {
			got = append(got, fmt.Sprintf("%s/%s %s", g.Kind, g.Name, g.Hash))
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: in force are %q, want %q", name, got, tc.want)
		}
	}
}

// TestARunKeepsWhatAPresetFilledIn: its pinned spec is complete, and as long as nobody
// edits the guardrail it stays, also when this version would fill in something else.
func TestARunKeepsWhatAPresetFilledIn(t *testing.T) {
	spec := v1alpha1.GuardrailSpec{Source: "default", SLOs: []v1alpha1.SLO{{Name: "errors", Objective: "99.9",
		Indicator: v1alpha1.Indicator{Preset: "otel-http", Requests: &v1alpha1.RequestsIndicator{}}}}}
	before, err := Pin("Guardrail", "shop", "1", spec)
	if err != nil {
		t.Fatal(err)
	}
	if before.Spec.SLOs[0].Indicator.Requests.Total.Metric == "" || before.WrittenHash == "" || before.WrittenHash == before.Hash {
		t.Fatalf("pinned %+v", before)
	}
	// As an earlier version has filled it in.
	before.Spec.SLOs[0].Indicator.Requests.Total.Metric, before.Hash = "earlier", "as pinned before"
	now, err := Pin("Guardrail", "shop", "1", spec, before)
	if err != nil || now.Hash != before.Hash || now.Spec.SLOs[0].Indicator.Requests.Total.Metric != "earlier" {
		t.Errorf("pinned anew: %+v, %v", now, err)
	}
	edited := *spec.DeepCopy()
	edited.SLOs[0].Objective = "99"
	now, err = Pin("Guardrail", "shop", "1", edited, before)
	if err != nil || now.Hash == before.Hash || now.Spec.SLOs[0].Indicator.Requests.Total.Metric == "earlier" {
		t.Errorf("an edit of a person is not seen: %+v, %v", now, err)
	}
}
