package metrics

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"sigs.k8s.io/yaml"
)

const root = "../.."

func exported(t *testing.T) map[string]Metric {
	t.Helper()
	all, err := Exported(root)
	if err != nil {
		t.Fatal(err)
	}
	if all["belay_rollout_phase"].Type != "gauge" || all["belay_run_duration_seconds"].Type != "histogram" || all["belay_runs_total"].Type != "counter" {
		t.Fatalf("the code was not understood: %v", all)
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(root + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestThePageHasEveryMetric with its type and labels, and no other.
func TestThePageHasEveryMetric(t *testing.T) {
	var want []string
	for name, m := range exported(t) {
		want = append(want, fmt.Sprintf("| `%s` | %s | `%s` |", name, m.Type, strings.Join(m.Labels, "`, `")))
	}
	got := regexp.MustCompile("(?m)^\\| `belay_[^|]*\\|[^|]*\\|[^|]*\\|").FindAllString(read(t, "docs/reference/metrics.md"), -1)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("docs/reference/metrics.md has\n%s\n\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestQueriesAreHeldToTheCode: a query with a wrong name or label does not pass.
func TestQueriesAreHeldToTheCode(t *testing.T) {
	all := exported(t)
	for query, valid := range map[string]bool{
		`sum by (reason) (belay_rollout_waiting{reason="Holding"})`:                          true,
		`histogram_quantile(0.9, sum by (le) (rate(belay_run_duration_seconds_bucket[5m])))`: true,
		`belay_rollout_wait`: false, `belay_rollout_waiting{phase="Holding"}`: false, `sum by (phase) (belay_rollout_waiting)`: false,
		`belay_run_duration_seconds`: false, `belay_rollout_waiting{`: false,
	} {
		if err := CheckQuery(query, all); (err == nil) != valid {
			t.Errorf("%s: %v", query, err)
		}
	}
}

type alert struct {
	Alert, Expr         string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) map[string]alert {
	t.Helper()
	var rules struct {
		Spec struct{ Groups []struct{ Rules []alert } }
	}
	if err := yaml.Unmarshal([]byte(read(t, "config/prometheus/rules.yaml")), &rules); err != nil {
		t.Fatal(err)
	}
	all := map[string]alert{}
	for _, group := range rules.Spec.Groups {
		for _, a := range group.Rules {
			all[a.Alert] = a
		}
	}
	return all
}

// TestEveryAlertIsWhole: it asks for what there is, says how urgent it is, and names a
// section that says what to do; the runbook's list has it.
func TestEveryAlertIsWhole(t *testing.T) {
	metrics, runbook := exported(t), read(t, "docs/runbook.md")
	for name, a := range alerts(t) {
		if err := CheckQuery(a.Expr, metrics); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s := a.Labels["severity"]; s != "page" && s != "info" || a.Annotations["summary"] == "" {
			t.Errorf("%s has severity %q and the summary %q", name, s, a.Annotations["summary"])
		}
		page, anchor, _ := strings.Cut(a.Annotations["runbook"], "#")
		if !slices.Contains(anchors(read(t, page)), anchor) {
			t.Errorf("%s: %s has no section #%s", name, page, anchor)
		}
		if !strings.Contains(runbook, "\n| "+name+" | ") {
			t.Errorf("the list of alerts in docs/runbook.md has no %s", name)
		}
	}
}

// TestTheNamespaceOfARolloutStaysItsOwn: without honorLabels Prometheus would take that of
// Belay's pod for it.
func TestTheNamespaceOfARolloutStaysItsOwn(t *testing.T) {
	var monitor struct {
		Spec struct {
			Endpoints []struct{ HonorLabels bool } `json:"podMetricsEndpoints"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "config/prometheus/podmonitor.yaml")), &monitor); err != nil {
		t.Fatal(err)
	}
	if e := monitor.Spec.Endpoints; len(e) != 1 || !e[0].HonorLabels {
		t.Errorf("the PodMonitor has %+v", e)
	}
}

// anchors are the sections of a page as links name them.
func anchors(page string) (all []string) {
	for line := range strings.Lines(page) {
		if title := strings.TrimLeft(line, "#"); title != line {
			all = append(all, strings.Map(func(r rune) rune {
				switch {
				case r == ' ':
					return '-'
				case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
					return unicode.ToLower(r)
				}
				return -1
			}, strings.TrimSpace(title)))
		}
	}
	return all
}

// TestEveryAlertIsTried: in testdata/alerts.yaml each fires at least once and once does not.
// promtool runs that file (test/servers).
func TestEveryAlertIsTried(t *testing.T) {
	var file struct {
		Tests []struct {
			AlertRules []struct {
				Name string           `json:"alertname"`
				Want []map[string]any `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "test/metrics/testdata/alerts.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, rule := range test.AlertRules {
			fires[rule.Name] = fires[rule.Name] || len(rule.Want) > 0
			quiet[rule.Name] = quiet[rule.Name] || len(rule.Want) == 0
		}
	}
	for _, name := range slices.Sorted(maps.Keys(alerts(t))) {
		if !fires[name] || !quiet[name] {
			t.Errorf("%s: fires in a test: %t; does not fire in another: %t", name, fires[name], quiet[name])
		}
	}
}
