package integration

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/test/build"
)

// TestValuesThatLookLikeRegularExpressions: with = they match nothing, and a bad that
// matches nothing passes every version. Plain values of real services are accepted.
func TestValuesThatLookLikeRegularExpressions(t *testing.T) {
	matcher := func(op, value string) []change {
		return []change{{"spec.invariants.0.checks.matchers", []any{map[string]any{"name": "code", "op": op, "value": value}}}}
	}
	create := func(t *testing.T, changes []change) error {
		t.Helper()
		o := object(t, valid["Guardrail"])
		o.SetName("values")
		apply(t, o, changes)
		return admin.Create(t.Context(), o, client.DryRunAll)
	}
	for _, value := range []string{
		"5..", "5.*", "5.+", ".*", ".+", "(4|5)..", "[45]..", "5..|4..", "5[0-9]{2}", "5[0-9][0-9]", "50[234]", `5\d\d`, `5\d{2}`, `\d+`, `api\.example`, "^5", "^5..$",
		"500|503", "GET|POST", "/cart|/pay", "(GET|POST)", "(?i)get", "(5)+", "[a-z]+", "/api/.*", "[^0-9]",
	} {
		for op, instead := range map[string]string{"=": "=~", "!=": "!~"} {
			if err := create(t, matcher(op, value)); err == nil || !strings.Contains(err.Error(), "looks like a regular expression") {
				t.Errorf("%s %q: %v", op, value, err)
			}
			if err := create(t, matcher(instead, value)); err != nil {
				t.Errorf("%s %q: %v", instead, value, err)
			}
		}
	}
	for _, value := range []string{
		"", "200", "5xx", "GET", "/api/v1/cart", "/users/{id}", "/users/:id", "/users/[id]", "/[...slug]", "/files/{**path}", "/api/**", "shop.v1.Orders/Get", "api.example.com",
		"10.0.0.1:8080", "[::1]:9090", "a.b.c", "v1.2.3", "loading...", "1-2", "a b", "C:\\Users\\app", "outbound|9080||reviews.default.svc.cluster.local",
		"outbound|9080|v1|reviews.default.svc.cluster.local", "kubernetes-pods/shop/0", "items[0]", "q?a=b", "100%", "US$", "*", "+1", "(none)", "true",
	} {
		if err := create(t, matcher("=", value)); err != nil {
			t.Errorf("%q: %v", value, err)
		}
	}
	for _, value := range []string{"a[.]b", `a\.b`, `/user/\(\.\*\)`} {
		if err := create(t, matcher("=~", value)); err != nil {
			t.Errorf("plain text that is escaped, %q: %v", value, err)
		}
	}
}

// TestMistakesInWordsSayWhatToWrite, and nothing of types that users do not know.
func TestMistakesInWordsSayWhatToWrite(t *testing.T) {
	for name, c := range map[string]struct {
		change change
		says   string
	}{
		"burn.long":       {change{"spec.triggers.0.burn.long", "5 minutes"}, "such as 30s, 5m or 1h30m"},
		"threshold":       {change{"spec.slos.1.indicator.latency.threshold", "300 milliseconds"}, "such as 300ms or 1s"},
		"whenBlind.hold":  {change{"spec.whenBlind.hold", "ten minutes"}, "such as 90s or 5m"},
		"readyWithin":     {change{"spec.triggers.2.pods.readyWithin", "5min"}, "such as 30s, 5m or 1h30m"},
		"objective":       {change{"spec.slos.0.objective", "99,9"}, `"99.9"`},
		"regression.burn": {change{"spec.triggers.3.regression.burn", "two"}, `such as "2"`},
		"burn.rate":       {change{"spec.triggers.0.burn.rate", "14.4x"}, `such as "14.4"`},
		"falseAlarm":      {change{"spec.triggers.3.regression.falseAlarm", "1%"}, `such as "0.01"`},
		"exclude":         {change{"spec.triggers.3.regression.exclude", "4x"}, `such as "4"`},
		"worseThan":       {change{"spec.triggers.3.regression.worseThan", "1,5"}, `such as "1.5"`},
		"budgetSpent":     {change{"spec.triggers.4.budgetSpent", "2%"}, `such as "2"`},
		"budgetRemaining": {change{"spec.preflight.budgetRemaining", "10%"}, `such as "10"`},
	} {
		o := object(t, valid["Guardrail"])
		o.SetName("words")
		apply(t, o, []change{c.change})
		err := admin.Create(t.Context(), o, client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "conversion") || strings.Contains(err.Error(), "evaluating rule") {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// TestTheSamplesAreAccepted by the API's present rules.
func TestTheSamplesAreAccepted(t *testing.T) {
	samples, err := build.Config("samples")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, o := range samples {
		if k := o.GetKind(); k != "Guardrail" && k != "ClusterGuardrail" {
			continue
		}
		if o.GetKind() == "Guardrail" {
			o.SetNamespace("shop")
		}
		checked++
		if err := admin.Create(t.Context(), o, client.DryRunAll); err != nil {
			t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	if checked < 2 {
		t.Errorf("checked %d samples", checked)
	}
}

// TestARunPinsAGuardrailThatIsOlderThanARule: its creation must not fail for that, and what
// is pinned does not change.
func TestARunPinsAGuardrailThatIsOlderThanARule(t *testing.T) {
	belay := author(t, "RolloutRun")
	run := object(t, valid["RolloutRun"])
	run.SetName("older")
	apply(t, run, []change{{"spec.guardrails.0.spec.slos.0.objective", "50"}})
	if err := belay.Create(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	slos, _, _ := unstructured.NestedSlice(run.Object["spec"].(map[string]any)["guardrails"].([]any)[0].(map[string]any), "spec", "slos")
	if slos[0].(map[string]any)["objective"] != "50" {
		t.Errorf("pinned as %v", slos)
	}
	apply(t, run, []change{{"spec.guardrails.0.spec.slos.0.objective", "60"}})
	if err := belay.Update(t.Context(), run); err == nil || !strings.Contains(err.Error(), "spec is immutable") {
		t.Errorf("the pinned spec was changed: %v", err)
	}
}
