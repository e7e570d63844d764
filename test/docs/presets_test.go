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
		if strings.HasPrefix(line, "| `") && strings.Contains(line, "](https://") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if have, need := strings.Join(got, "\n"), strings.Join(want, "\n"); have != need {
		t.Errorf("docs/metrics.md has the rows\n%s\n\nwant\n%s", have, need)
	}
}

func presetRow(p presets.Preset) string {
	var bad, slow []string
	for _, m := range p.Bad.Matchers {
		bad = append(bad, matcher(m))
	}
	for _, m := range p.Slow {
		slow = append(slow, matcher(m))
	}
	histogram := "`" + p.Histogram + "`"
	if len(slow) > 0 {
		histogram += " with " + strings.Join(slow, ", ")
	}
	unit := "s"
	if p.Unit == v1alpha1.UnitMilliseconds {
		unit = "ms"
	}
	return strings.Join(strings.Fields(fmt.Sprintf("| `%s` | [%s](%s) | `%s` | %s | %s | %s | %s |", p.Name, p.About, p.Link, p.Total.Metric, strings.Join(bad, ", "), histogram, unit, p.Notes)), " ")
}

func matcher(m v1alpha1.Matcher) string {
	return strings.ReplaceAll(fmt.Sprintf("`%s%s%q`", m.Name, m.Op, m.Value), "|", `\|`)
}
