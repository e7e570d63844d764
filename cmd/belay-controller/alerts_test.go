package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/yaml"
)

// TestAlertsAskForMetricsThatExist: each expression parses, each series of ours
// in it is one that the controller registers, and each runbook entry is there.
func TestAlertsAskForMetricsThatExist(t *testing.T) {
	var file struct {
		Spec struct {
			Groups []struct {
				Rules []struct {
					Alert, Expr string
					Annotations map[string]string
				}
			}
		}
	}
	raw, err := os.ReadFile(filepath.Join("..", "..", "config", "prometheus", "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, group := range file.Spec.Groups {
		for _, rule := range group.Rules {
			for _, name := range seriesOf(t, rule.Expr) {
				if strings.HasPrefix(name, "belay_") && !registered(name) {
					t.Errorf("%s asks for %s, which nothing registers", rule.Alert, name)
				}
				asked++
			}
			if !inRunbook(t, rule.Annotations["runbook"]) {
				t.Errorf("%s points at %q, which is not there", rule.Alert, rule.Annotations["runbook"])
			}
		}
	}
	if asked < 5 {
		t.Errorf("%d series asked for: the rules were not read", asked)
	}
}

func seriesOf(t *testing.T, expression string) (names []string) {
	t.Helper()
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
	if err != nil {
		t.Errorf("%s: %v", expression, err)
		return nil
	}
	for _, selector := range parser.ExtractSelectors(parsed) {
		for _, m := range selector {
			if m.Name == model.MetricNameLabel {
				names = append(names, m.Value)
			}
		}
	}
	return names
}

var fqName = regexp.MustCompile(`fqName: "([^"]+)"`)

func registered(name string) bool {
	described := make(chan *prometheus.Desc, 1000)
	metrics.Registry.(prometheus.Collector).Describe(described)
	close(described)
	for d := range described {
		if found := fqName.FindStringSubmatch(d.String()); found != nil && found[1] == name {
			return true
		}
	}
	return false
}

var notInAnchor = regexp.MustCompile(`[^a-z0-9 -]`)

func inRunbook(t *testing.T, target string) bool {
	t.Helper()
	path, anchor, _ := strings.Cut(target, "#")
	text, err := os.ReadFile(filepath.Join("..", "..", path))
	if err != nil {
		t.Error(err)
		return false
	}
	for line := range strings.Lines(string(text)) {
		heading := strings.TrimLeft(line, "#")
		if heading == line {
			continue
		}
		plain := notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
		if strings.ReplaceAll(plain, " ", "-") == anchor {
			return true
		}
	}
	return false
}
