package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/controllers/lint"
)

// TestLintAgreesWithTheAPIServer: kubectl belay lint says without a cluster what TestRules gets
// from a real API server. What depends on the object before a change only the latter knows.
func TestLintAgreesWithTheAPIServer(t *testing.T) {
	linter, checked := lint.New(), 0
	for _, c := range ruleCases {
		for _, kind := range c.kinds {
			if kind == "RolloutRun" || strings.HasPrefix(c.breaks[0].path, "status") || strings.Contains(c.message, "immutable") {
				continue
			}
			checked++
			good := object(t, valid[kind])
			apply(t, good, c.before)
			good = good.DeepCopy()
			if found := linted(t, linter, good); len(found) > 0 {
				t.Errorf("%s is accepted, but for lint: %+v", kind, found)
			}
			bad := good.DeepCopy()
			apply(t, bad, c.breaks)
			found := linted(t, linter, bad)
			said := ""
			for _, f := range found {
				said += fmt.Sprintf("%s: %s: %s\n", f.Path, f.Wrong, f.Write)
			}
			// What the schema alone says is worded anew, and what is no duration at all.
			message, _, _ := strings.Cut(strings.TrimSuffix(c.message, ": Required value"), ": Unsupported value")
			if strings.Contains(message, "with a unit, such as 30s") && strings.Contains(said, "is a duration") {
				message = "is a duration"
			}
			words := ""
			for _, w := range worded {
				if path, _, found := strings.Cut(message, w[0]); found {
					message, words = path, w[1]
				}
			}
			if !strings.Contains(said, message) || !strings.Contains(said, words) {
				t.Errorf("%s: the API server says %q, lint:\n%s", kind, c.message, said)
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d cases were compared", checked)
	}
}

// worded is what the schema alone says, behind the path, and lint's words for it; the first that
// fits counts.
var worded = [][2]string{
	{": Duplicate value", "stands twice"}, {": Too many", "is too long"}, {": Invalid value: 0", "is empty"}, {": Invalid value", " must "},
	{`Duplicate value: "a"`, `stands twice: "a"`},
}

// linted are the errors that lint finds in an object.
func linted(t *testing.T, linter *lint.Linter, o *unstructured.Unstructured) (found []lint.Finding) {
	t.Helper()
	raw, err := json.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	report, err := linter.Check([]lint.File{{Name: "case", Text: raw}}, lint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if f.Level == lint.Error {
			found = append(found, f)
		}
	}
	return found
}
