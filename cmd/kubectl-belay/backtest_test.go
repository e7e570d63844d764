package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/analysis/backtest"
	"belay.dev/belay/analysis/prometheus/enginetest"
	"belay.dev/belay/api/v1alpha1"
)

// past is three hours of six pods with 20 requests a second until noon. The two of
// checkout-9fd2c1b0a have 5 % errors from 11:00 on, the others 0.05 %.
func past(t *testing.T, noon time.Time) string {
	t.Helper()
	const every = 15 * time.Second
	begin, onset := noon.Add(-3*time.Hour), noon.Add(-time.Hour)
	e := enginetest.New(noon)
	for _, pod := range []string{"checkout-9fd2c1b0a-aaaaa", "checkout-9fd2c1b0a-bbbbb", "checkout-7d9f6b5c4-aaaaa", "checkout-7d9f6b5c4-bbbbb", "checkout-7d9f6b5c4-ccccc", "checkout-7d9f6b5c4-ddddd"} {
		add := func(metric, code string, value func(time.Time) float64) {
			target := map[string]string{"namespace": "shop", "pod": pod, "instance": pod + ":80"}
			if code != "" {
				target["code"] = code
			}
			e.Series(metric, target, 12*60+1, every, value)
		}
		bad := func(at time.Time) float64 {
			n := 0.01 * at.Sub(begin).Seconds()
			if strings.HasPrefix(pod, "checkout-9fd2") {
				n += 0.99 * max(0, at.Sub(onset).Seconds())
			}
			return math.Floor(n)
		}
		add("up", "", func(time.Time) float64 { return 1 })
		add("http_requests_total", "500", bad)
		add("http_requests_total", "200", func(at time.Time) float64 { return math.Floor(20*at.Sub(begin).Seconds()) - bad(at) })
	}
	return e.Serve(t)
}

// TestBacktest judges the past of a real query engine: a fault is found, a version compared
// with itself is not worse, and what cannot be judged is no success.
func TestBacktest(t *testing.T) {
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	url := past(t, noon)
	run := func(args ...string) (int, string, string) {
		a, out, errOut := testApp()
		a.now = func() time.Time { return noon }
		root := a.root()
		root.SetArgs(append([]string{"backtest", "-f", "testdata/guardrail.yaml", "--prometheus", url, "--since", "160m"}, args...))
		return codeOf(root.ExecuteContext(t.Context()), errOut), out.String(), errOut.String()
	}
	two := []string{"--candidate", "checkout-9fd2c1b0a", "--stable", "checkout-7d9f6b5c4", "--step", "33"}

	code, out, said := run(append(two, "--onset", "2026-11-20T11:00:00Z", "--window", "20m", "--fires", "2")...)
	if code != exitNo || !strings.Contains(said, "queries.") {
		t.Errorf("exit code %d, %s", code, said)
	}
	golden(t, "backtest.fault.140.txt", out, 400)
	code, out, said = run("--split", "checkout-7d9f6b5c4", "--seeds", "3")
	if code != exitOK {
		t.Errorf("exit code %d, %s", code, said)
	}
	golden(t, "backtest.split.140.txt", out, 400)

	code, out, said = run(append(two, "-o", "json")...)
	var got backtest.Report
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitNo || got.Every != 15 || got.Fired == 0 || got.Releases != 5 {
		t.Errorf("%v, exit code %d, %+v, %s", err, code, got, said)
	}
	for want, args := range map[string][]string{
		"Nothing was judged":                             {"--split", "nothing-1"},
		"say what is compared":                           {},
		`has no Guardrail or ClusterGuardrail named "x"`: {"x", "--split", "a"},
		`--since is "soon"`:                              {"--split", "a", "--since", "soon"},
		`--step is "x"`:                                  {"--candidate", "a", "--stable", "b", "--step", "x"},
		"less than one release":                          {"--split", "a", "--window", "24h"},
		"has to be a URL":                                {"--split", "a", "--prometheus", "localhost"},
		"--scrape-interval is 10ms":                      {"--split", "a", "--scrape-interval", "10ms"},
	} {
		expected := exitError
		if want == "Nothing was judged" {
			expected = exitUnknown
		}
		if code, _, said := run(args...); code != expected || !strings.Contains(said, want) {
			t.Errorf("%v: exit code %d, want %q in %s", args, code, want, said)
		}
	}
}

// TestABacktestNamesTheMistakeBeforeItAsksPrometheus: nothing listens at this address, and what
// was typed is wrong usage.
func TestABacktestNamesTheMistakeBeforeItAsksPrometheus(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "token")
	write(t, empty, []byte("\n"))
	const nobody = "http://127.0.0.1:1"
	for want, args := range map[string][]string{
		"--prometheus is missing":           {"--split", "a"},
		"--share is 150":                    {"--prometheus", nobody, "--split", "a", "--share", "150"},
		`--step is "150": a weight is from`: {"--prometheus", nobody, "--candidate", "a", "--stable", "b", "--step", "150"},
		`--step is "5@10m": the first step`: {"--prometheus", nobody, "--candidate", "a", "--stable", "b", "--step", "5@10m"},
		`--step is "25": the first step`:    {"--prometheus", nobody, "--candidate", "a", "--stable", "b", "--step", "5,25"},
		"leave out either it":               {"--prometheus", nobody, "--split", "a", "--candidate", "b"},
		`both name ReplicaSet "a"`:          {"--prometheus", nobody, "--candidate", "a", "--stable", "a"},
		"token-file cannot be read":         {"--prometheus", nobody, "--split", "a", "--prometheus-token-file", empty + "x"},
		"token is empty":                    {"--prometheus", nobody, "--split", "a", "--prometheus-token-file", empty},
		`named "x"`:                         {"x", "--prometheus", nobody, "--split", "a"},
	} {
		said, code := offline(t, "", append([]string{"backtest", "-f", "testdata/guardrail.yaml"}, args...)...)
		if code != exitError || !strings.Contains(said, want) || !strings.Contains(said, "backtest --help") {
			t.Errorf("%q: exit code %d, want %q in:\n%s", args, code, want, said)
		}
	}
}

// TestAGuardrailOfAFile has the defaults of the API, and no field that it does not know.
func TestAGuardrailOfAFile(t *testing.T) {
	spec, namespace, err := guardrailIn(t.Context(), "testdata/guardrail.yaml", "")
	if err != nil || namespace != "shop" || spec.MinimumSamples == 0 || spec.SLOs[0].Period != "30d" || spec.Mode != v1alpha1.ModeEnforce {
		t.Errorf("%v, %q, %+v", err, namespace, spec)
	}
	for want, text := range map[string]string{
		`unknown field "spec.slos[0].objectiv"`: `{kind: Guardrail, metadata: {name: a}, spec: {source: s, slos: [{name: b, objectiv: "99"}]}}`,
		"has no Guardrail or ClusterGuardrail":  "",
		"2 guardrails":                          "{kind: Guardrail, metadata: {name: a}}\n---\n{kind: ClusterGuardrail, metadata: {name: a}}",
		"read":                                  "{",
	} {
		path := filepath.Join(t.TempDir(), "g.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := guardrailIn(t.Context(), path, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
