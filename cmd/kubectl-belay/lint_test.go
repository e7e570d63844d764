package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"belay.dev/belay/controllers/lint"
)

const badManifests = `apiVersion: v1
kind: Service
metadata: {name: checkout}
---
apiVersion: belay.dev/v1alpha1
kind: Rollout
metadata: {name: checkout, namespace: shop}
spec:
  workloadRef: {name: checkout}
  stesp: 3
  steps:
  - {weight: 50, hold: 5m}
  - {weight: 25, hold: 5m}
  guardrails: [{name: checkout}]
---
apiVersion: belay.dev/v1alpha1
kind: Guardrail
metadata: {name: latency, namespace: shop}
spec:
  slos:
  - name: latency
    objective: "99"
    indicator: {latency: {histogram: http_request_duration_seconds, threshold: 300ms}}
`

// TestGoldenLint: a finding is one line at any width.
func TestGoldenLint(t *testing.T) {
	report, err := lint.New().Check([]lint.File{{Name: "checkout.yaml", Text: []byte(badManifests)}}, lint.Options{Buckets: []float64{0.25, 0.5}})
	if err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{80, 140} {
		golden(t, fmt.Sprintf("lint.%d.txt", width), lintScreen(terminal{width: width}, report, false), width)
	}
}

func TestLintReadsFilesFoldersAndTheStandardInput(t *testing.T) {
	folder := t.TempDir()
	for path, text := range map[string]string{"a/rollout.yaml": badManifests, "a/notes.txt": badManifests, ".git/x.yaml": badManifests, "b.yml": "kind: Pod\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, path)), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, path), []byte(text))
	}
	metrics := filepath.Join(folder, "metrics.txt")
	write(t, metrics, []byte("# TYPE http_request_duration_seconds histogram\nhttp_request_duration_seconds_bucket{le=\"1\"} 1\nhttp_request_duration_seconds_bucket{le=\"+Inf\"} 1\nhttp_request_duration_seconds_sum 1\nhttp_request_duration_seconds_count 1\n"))
	sample := filepath.Join("..", "..", "config", "samples")
	for name, c := range map[string]struct {
		args  []string
		stdin string
		code  int
		said  string
	}{
		"a folder":          {[]string{"lint", folder}, "", exitNo, "2 objects checked in 2 files, 2 objects of other kinds left out: 2 findings"},
		"a file":            {[]string{"lint", filepath.Join(folder, "a", "notes.txt")}, "", exitNo, "notes.txt:10  Rollout checkout  spec.stesp  there is no field"},
		"standard input":    {[]string{"lint", "-"}, badManifests, exitNo, "-:10  Rollout"},
		"the samples":       {[]string{"lint", sample}, "", exitOK, "nothing found"},
		"advice":            {[]string{"lint", sample, "--buckets", "0.25, 0.5"}, "", exitOK, "nothing wrong, and 1 piece of advice"},
		"strict":            {[]string{"lint", sample, "--buckets", "0.25,0.5", "--strict"}, "", exitNo, "1 finding (advice, --strict)"},
		"metrics":           {[]string{"lint", "-", "--metrics", metrics}, badManifests, exitNo, "threshold: 1s, or add the bucket"},
		"other kinds alone": {[]string{"lint", filepath.Join(folder, "b.yml")}, "", exitUnknown, "Nothing was checked: 1 file without an object of Belay"},
		"no argument":       {[]string{"lint"}, "", exitError, "name a file, a folder or -\nSee 'kubectl belay lint --help'."},
		"nothing at all":    {[]string{"lint", "-"}, "", exitUnknown, "Nothing was checked"},
		"no file":           {[]string{"lint", filepath.Join(folder, "nothing.yaml")}, "", exitError, "no such file"},
		"an empty folder":   {[]string{"lint", t.TempDir()}, "", exitError, "has no .yaml"},
		"no buckets":        {[]string{"lint", "-", "--buckets", "fast"}, badManifests, exitError, "write numbers with commas"},
		"no metrics":        {[]string{"lint", "-", "--metrics", filepath.Join(folder, "b.yml")}, badManifests, exitError, "is not what an app serves at /metrics"},
		"a negative rate":   {[]string{"lint", "-", "--rps", "-1"}, badManifests, exitError, "requests per second"},
	} {
		if said, code := offline(t, c.stdin, c.args...); code != c.code || !strings.Contains(said, c.said) {
			t.Errorf("%s: exit code %d, want %d and %q in:\n%s", name, code, c.code, c.said, said)
		}
	}
	said, _ := offline(t, badManifests, "lint", "-", "-o", "json")
	var report lint.Report
	if err := json.Unmarshal([]byte(said), &report); err != nil || report.Checked != 2 || report.Others != 1 || report.Findings[0].Line != 10 {
		t.Errorf("%v:\n%s", err, said)
	}
}
