package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

const shopAvailability = `
- name: availability
  objective: "99.9"
  indicator: {requests: {total: {metric: http_requests_total}, bad: {metric: http_requests_total, matchers: [{name: code, op: "=~", value: "5.."}]}}}
`

// tryYAML asks the API server (dry run, strict fields) for an object of text.
func tryYAML(t *testing.T, text string) error {
	t.Helper()
	o := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	u := &unstructured.Unstructured{Object: o}
	if u.GetNamespace() != "" {
		u.SetNamespace("default")
	}
	if u.GetKind() == "CronJob" || u.GetKind() == "Guardrail" || u.GetKind() == "Rollout" {
		u.SetNamespace("default")
	}
	return client.WithFieldValidation(admin, "Strict").Create(t.Context(), u, client.DryRunAll)
}

func asGuardrail(spec string) string {
	return "apiVersion: belay.dev/v1alpha1\nkind: Guardrail\nmetadata: {name: fragment}\nspec:\n" + indent(spec)
}

func indent(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i := range lines {
		lines[i] = "  " + lines[i]
	}
	return strings.Join(lines, "\n") + "\n"
}

// peersKind is an object of another controller's, whose CRDs are not here: the pages about a
// move show them beside ours.
var peersKind = regexp.MustCompile(`(?m)^apiVersion: (argoproj\.io|flagger\.app)/`)

// TestEveryYAMLOfTheDocsIsAccepted.
func TestEveryYAMLOfTheDocsIsAccepted(t *testing.T) {
	pages, _ := filepath.Glob("../../docs/*.md")
	more, _ := filepath.Glob("../../docs/reference/*.md")
	for _, page := range append(pages, more...) {
		raw, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(raw), -1) {
			for _, part := range strings.Split(block[1], "\n---\n") {
				first := strings.SplitN(strings.TrimSpace(part), "\n", 2)[0]
				text := part
				switch {
				case peersKind.MatchString(part):
					continue
				case strings.Contains(part, "\nkind:"):
				case strings.HasPrefix(strings.TrimSpace(part), "slos:"):
					text = asGuardrail(part)
				case regexp.MustCompile(`(?m)^\s*triggers:`).MatchString(part):
					text = asGuardrail("slos:" + shopAvailability + dedent(part))
				default:
					t.Logf("%s: not tried: %s", page, first)
					continue
				}
				if err := tryYAML(t, text); err != nil {
					t.Errorf("%s: %s\n%v", page, first, err)
				} else {
					t.Logf("%s: accepted: %s", page, first)
				}
			}
		}
	}
}

func dedent(s string) string {
	var out []string
	for _, l := range strings.Split(s, "\n") {
		out = append(out, strings.TrimPrefix(l, "  "))
	}
	return strings.Join(out, "\n")
}

// TestEveryInlineIndicatorIsAccepted of metrics.md, and mistakes that it invites.
func TestInlineIndicators(t *testing.T) {
	for name, indicator := range map[string]string{
		"preset requests":                    `{preset: spring-boot, requests: {}}`,
		"preset matchers":                    `{preset: otel-http, requests: {matchers: [{name: http_route, value: /pay}]}}`,
		"preset own bad":                     `{preset: go, requests: {bad: {metric: errors_total, matchers: [{name: kind, value: server}]}}}`,
		"same metric":                        `{requests: {total: {metric: M}, bad: {metric: M, matchers: [{name: code, op: "=~", value: "5.."}]}}}`,
		"beside":                             `{requests: {total: {metric: M}, bad: {metric: E}, missingBad: Zero}}`,
		"classic":                            `{latency: {histogram: H, threshold: 300ms}}`,
		"ms":                                 `{latency: {histogram: H, threshold: 300ms, unit: Milliseconds}}`,
		"native":                             `{histograms: Native, latency: {histogram: http_request_duration_seconds, threshold: 300ms}}`,
		"native preset":                      `{histograms: Native, preset: otel-http, latency: {threshold: 300ms}}`,
		"native utf8 preset":                 `{histograms: Native, preset: otel-http-utf8, requests: {}}`,
		"dots":                               `{requests: {total: {metric: http.server.request.duration_count}, bad: {metric: http.server.request.duration_count, matchers: [{name: http.response.status_code, op: "=~", value: "5.."}]}}}`,
		"MISTAKE preset bad matchers only":   `{preset: go, requests: {bad: {matchers: [{name: code, op: "=~", value: "[45].."}]}}}`,
		"MISTAKE preset total matchers only": `{preset: go, requests: {total: {matchers: [{name: handler, value: pay}]}}}`,
		"MISTAKE preset alone":               `{preset: spring-boot}`,
		"MISTAKE preset both":                `{preset: spring-boot, requests: {}, latency: {threshold: 300ms}}`,
		"MISTAKE preset requests null":       `{preset: spring-boot, requests: }`,
		"MISTAKE preset own bad same as preset's total": `{preset: go, requests: {bad: {metric: http_requests_total}}}`,
		"MISTAKE preset unknown":                        `{preset: springboot, requests: {}}`,
		"MISTAKE preset missingBad":                     `{preset: go, requests: {missingBad: Zero}}`,
		"MISTAKE histogram _bucket":                     `{latency: {histogram: H_bucket, threshold: 300ms}}`,
		"MISTAKE native bucket":                         `{histograms: native, latency: {histogram: H, threshold: 300ms}}`,
		"MISTAKE preset latency le":                     `{preset: go, latency: {threshold: 250ms, matchers: [{name: le, value: "0.25"}]}}`,
	} {
		err := tryYAML(t, asGuardrail("slos:\n- {name: a, objective: \"99\", indicator: "+indicator+"}\n"))
		t.Logf("%-45s %v", name, err)
		if err != nil && !strings.HasPrefix(name, "MISTAKE") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMistakesInTriggers(t *testing.T) {
	for name, trigger := range map[string]string{
		"saturation rate/per":        `{name: a, saturation: {rate: {metric: container_cpu_usage_seconds_total}, per: {metric: http_requests_total}, worseThan: "1.5"}}`,
		"MISTAKE no bound":           `{name: a, saturation: {gauge: {metric: m}}}`,
		"MISTAKE max 90%":            `{name: a, saturation: {gauge: {metric: m}, max: "90%"}}`,
		"MISTAKE max 500Mi":          `{name: a, saturation: {gauge: {metric: m}, max: 500Mi}}`,
		"MISTAKE max number":         `{name: a, saturation: {gauge: {metric: m}, max: 0.9}}`,
		"MISTAKE for number":         `{name: a, saturation: {gauge: {metric: m}, max: "0.9", for: 5}}`,
		"MISTAKE gauge of two":       `{name: a, saturation: {gauge: {metric: m}, rate: {metric: m}, max: "1"}}`,
		"MISTAKE gauge counter":      `{name: a, saturation: {gauge: {metric: foo_total}, max: "1"}}`,
		"MISTAKE gauge string":       `{name: a, saturation: {gauge: process_resident_memory_bytes, max: "1"}}`,
		"MISTAKE worseThan 0.5":      `{name: a, saturation: {gauge: {metric: m}, worseThan: "0.5"}}`,
		"MISTAKE check empty":        `{name: a, check: {}}`,
		"MISTAKE check job string":   `{name: a, check: {job: smoke}}`,
		"MISTAKE webhook url":        `{name: a, check: {webhook: {endpoint: "https://checks/"}}}`,
		"MISTAKE webhook path":       `{name: a, check: {webhook: {endpoint: checks, path: smoke}}}`,
		"MISTAKE webhook query":      `{name: a, check: {webhook: {endpoint: checks, path: "/smoke?x=1"}}}`,
		"MISTAKE check timeout 2h":   `{name: a, check: {job: {cronJob: smoke}, timeout: 2h}}`,
		"MISTAKE mode observe":       `{name: a, mode: observe, pods: {}}`,
		"MISTAKE check with slo":     `{name: a, slo: availability, check: {job: {cronJob: smoke}}}`,
		"MISTAKE whenBlind on check": `{name: a, check: {job: {cronJob: smoke}}, whenBlind: {then: Rollback}}`,
		"ok mode":                    `{name: a, mode: Observe, pods: {}}`,
		"ok webhook":                 `{name: a, check: {webhook: {endpoint: checks, path: /smoke}, each: Run, retries: 0}}`,
	} {
		err := tryYAML(t, asGuardrail("slos:"+shopAvailability+"triggers:\n- "+trigger+"\n"))
		t.Logf("%-30s %v", name, err)
		if err != nil && !strings.HasPrefix(name, "MISTAKE") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
