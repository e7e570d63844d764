package docs

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"belay.dev/belay/analysis/presets"
	"belay.dev/belay/api/v1alpha1"
)

// TestThePresetsAreInMetrics: docs/metrics.md has one row for each preset, in the order of
// the code's table, and no other.
func TestThePresetsAreInMetrics(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, p := range presets.All {
		want = append(want, presetRow(p))
	}
	var got []string
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "| `") && strings.Contains(line, "` | [") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if have, need := strings.Join(got, "\n"), strings.Join(want, "\n"); have != need {
		t.Errorf("docs/metrics.md has the rows\n%s\n\nwant\n%s", have, need)
	}
}

// TestEveryPresetIsAValueOfTheAPI, and every value has a preset.
func TestEveryPresetIsAValueOfTheAPI(t *testing.T) {
	crd, err := os.ReadFile("../../config/crd/belay.dev_guardrails.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, of, _ := strings.Cut(string(crd), " preset:\n")
	_, of, _ = strings.Cut(of, " enum:\n")
	of, _, _ = strings.Cut(of, " type:")
	var want []string
	for _, p := range presets.All {
		want = append(want, "- "+string(p.Name))
	}
	if got := strings.Join(strings.Fields(of), " "); got != strings.Join(want, " ") {
		t.Errorf("the API has %s, want %s", got, strings.Join(want, " "))
	}
}

func presetRow(p presets.Preset) string {
	var bad, slow []string
	if p.Bad.Metric != p.Total.Metric {
		bad = append(bad, "`"+p.Bad.Metric+"`")
	}
	for _, m := range p.Bad.Matchers {
		bad = append(bad, matcher(m))
	}
	for _, m := range p.Slow {
		slow = append(slow, matcher(m))
	}
	histogram, unit := "`"+p.Histogram+"`", "s"
	if len(slow) > 0 {
		histogram += " with " + strings.Join(slow, ", ")
	}
	switch {
	case p.Histogram == "":
		histogram, unit = "", ""
	case p.Unit == v1alpha1.UnitMilliseconds:
		unit = "ms"
	}
	return strings.Join(strings.Fields(fmt.Sprintf("| `%s` | [%s](%s) | `%s` | %s | %s | %s | %s |", p.Name, p.About, p.Link, p.Total.Metric, strings.Join(bad, ", "), histogram, unit, p.Notes)), " ")
}

func matcher(m v1alpha1.Matcher) string {
	return strings.ReplaceAll(fmt.Sprintf("`%s%s%q`", m.Name, m.Op, m.Value), "|", `\|`)
}
