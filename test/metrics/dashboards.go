package metrics

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Board is a dashboard of Grafana, as far as tests read it.
type Board struct {
	UID, Title string
	Panels     []Panel
	Templating struct {
		List []struct {
			Name, Type string
			Query      any
		}
	}
}

// Panel is one of its panels.
type Panel struct {
	ID      int
	Title   string
	GridPos struct{ H, W, X, Y int }
	Targets []struct{ Expr string }
}

// Boards reads config/grafana, by the names of its files.
func Boards(root string) (map[string]Board, error) {
	files, err := filepath.Glob(filepath.Join(root, "config", "grafana", "*.json"))
	if err != nil {
		return nil, err
	}
	all := map[string]Board{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read a dashboard: %w", err)
		}
		var b Board
		if err := json.Unmarshal(raw, &b); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all[filepath.Base(file)] = b
	}
	return all, nil
}

// Queries are those of a dashboard's panels, as Prometheus gets them for Rollout shop/shop
// and job belay.
func (b Board) Queries() (all []string) {
	chosen := strings.NewReplacer("$__rate_interval", "5m", "$namespace", "shop", "$rollout", "shop", "$job", "belay")
	for _, p := range b.Panels {
		for _, target := range p.Targets {
			all = append(all, chosen.Replace(target.Expr))
		}
	}
	return all
}

// Sample is what a scrape of Belay could show: each metric that it exports, and those of others
// that dashboards read, with the Rollout shop/shop in a run of which each label has one value.
// Counters count the scrapes.
func Sample(exported map[string]Metric, scrape int) string {
	values := map[string][]string{
		"namespace": {"shop"}, "rollout": {"shop"}, "phase": {"Stepping"}, "reason": {"Holding"}, "of": {"desired", "observed", "ready", "now", "all", "run", "step"},
		"trigger": {"slo"}, "outcome": {"RolledBack"}, "statistic": {"burn", "logRelative", "logThreshold", "budgetSpent", "canary"}, "condition": {"Guarded", "Ready"},
		"rule": {"StepPassed"}, "decision": {"Waits"}, "invariant": {"one-owner"}, "source": {"default"}, "controller": {"rollout"}, "name": {"belay-controller"},
		"result": {"success"}, "priority": {"0"}, "code": {"200"}, "method": {"GET"}, "host": {"api"},
	}
	var page strings.Builder
	for _, all := range []map[string]Metric{exported, foreign} {
		for name, m := range all {
			fmt.Fprintf(&page, "# TYPE %s %s\n", name, m.Type)
			for _, labels := range combinations(m.Labels, values) {
				sample(&page, name, m.Type, labels, scrape)
			}
		}
	}
	return page.String()
}

func sample(page *strings.Builder, name, kind, labels string, scrape int) {
	switch kind {
	case "histogram":
		for _, le := range []string{"1", "60", "+Inf"} {
			fmt.Fprintf(page, "%s_bucket{%sle=%q} %d\n", name, labels, le, scrape)
		}
		fmt.Fprintf(page, "%s_sum{%s} %d\n%s_count{%s} %d\n", name, labels, scrape, name, labels, scrape)
	case "counter":
		fmt.Fprintf(page, "%s{%s} %d\n", name, labels, scrape)
	default:
		value := 1
		if strings.Contains(labels, `condition="Guarded"`) {
			value = 0
		}
		fmt.Fprintf(page, "%s{%s} %d\n", name, labels, value)
	}
}

// combinations are the label sets of a metric: its last label takes each of its values.
func combinations(labels []string, values map[string][]string) (all []string) {
	if len(labels) == 0 {
		return []string{""}
	}
	prefix := ""
	for _, label := range labels[:len(labels)-1] {
		prefix += fmt.Sprintf("%s=%q,", label, values[label][0])
	}
	last := labels[len(labels)-1]
	for _, value := range values[last] {
		all = append(all, fmt.Sprintf("%s%s=%q,", prefix, last, value))
	}
	return all
}
