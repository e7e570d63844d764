package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

// twoRuns are one that promoted a version, and the next, with changes of all kinds.
func twoRuns(t *testing.T) (before, now *v1alpha1.RolloutRun) {
	t.Helper()
	now = read(t, "rolled-back").Run
	before = now.DeepCopy()
	before.Name, before.Spec.Revision, before.Spec.Template = "checkout-3ff8ea3e9c-6", now.Spec.Stable.Revision.Revision, now.Spec.Stable.Template
	before.Spec.Image = now.Spec.Stable.Image
	before.Spec.StartedAt.Time = now.Spec.StartedAt.AddDate(0, 0, -1)
	before.Status.Outcome = v1alpha1.OutcomePromoted
	now.Spec.Template.Raw = []byte(strings.NewReplacer(`"cpu":"250m"`, `"cpu":"500m"`, `"name":"app"`, `"name":"app","env":[{"name":"CACHE_TTL","value":"5"}]`).Replace(string(now.Spec.Template.Raw)))
	now.Spec.Guardrails[0].Spec.MinimumSamples = 100
	now.Spec.Guardrails = append(now.Spec.Guardrails, v1alpha1.PinnedGuardrail{Kind: "ClusterGuardrail", Name: "pods", Spec: v1alpha1.GuardrailSpec{Triggers: []v1alpha1.Trigger{{Name: "pods", Pods: &v1alpha1.PodsTrigger{}}}}})
	return before, now
}

func TestGoldenDiff(t *testing.T) {
	before, now := twoRuns(t)
	for name, from := range map[string]view.Release{"diff": view.StableOf(now, before), "diff-unknown": view.StableOf(now, nil), "diff-same": view.CandidateOf(now)} {
		c, err := view.Compare(from, view.CandidateOf(now))
		if err != nil {
			t.Fatal(err)
		}
		for _, width := range []int{80, 140} {
			golden(t, fmt.Sprintf("%s.%d.txt", name, width), diffScreen(terminal{width: width}, from, view.CandidateOf(now), c), width)
		}
		coloured := diffScreen(terminal{width: 100, colour: true}, from, view.CandidateOf(now), c)
		if plain := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(coloured, ""); plain == coloured || plain != diffScreen(terminal{width: 100}, from, view.CandidateOf(now), c) {
			t.Errorf("%s: the words differ with colours:\n%s", name, coloured)
		}
	}
}

// TestDiffOfFiles: exit codes as of kubectl diff, an error included.
func TestDiffOfFiles(t *testing.T) {
	before, now := twoRuns(t)
	folder := t.TempDir()
	path := map[string]string{}
	for name, runs := range map[string][]*v1alpha1.RolloutRun{"before": {before}, "now": {now}, "both": {now, before}} {
		text := ""
		for _, run := range runs {
			raw, err := yaml.Marshal(run)
			if err != nil {
				t.Fatal(err)
			}
			text += "---\n" + string(raw)
		}
		path[name] = folder + "/" + name + ".yaml"
		write(t, path[name], []byte(text))
	}
	for name, c := range map[string]struct {
		args []string
		code int
		said string
	}{
		"with stable":       {[]string{"diff", path["both"]}, exitNo, "-   minimumSamples: 200"},
		"stable is unknown": {[]string{"diff", path["now"]}, exitNo, "Settings: not compared"},
		"two":               {[]string{"diff", path["before"], path["now"]}, exitNo, "+         value: \"5\""},
		"the same":          {[]string{"diff", path["now"], path["now"]}, exitOK, "Template: no difference"},
		"an error":          {[]string{"diff", path["now"], folder + "/nothing.yaml"}, exitError, "no such file"},
		"no cluster":        {[]string{"diff", "checkout"}, exitError, "error: "},
	} {
		if said, code := offline(t, "", c.args...); code != c.code || !strings.Contains(said, c.said) {
			t.Errorf("%s: exit code %d, want %d and %q in:\n%s", name, code, c.code, c.said, said)
		}
	}
	said, _ := offline(t, "", "diff", path["both"], "-o", "json")
	var got view.Comparison
	if err := json.Unmarshal([]byte(said), &got); err != nil || len(got.In(view.SectionGuardrails)) != 2 {
		t.Errorf("%v:\n%s", err, said)
	}
}

// TestLongDifferencesAreBounded, and have no control characters.
func TestLongDifferencesAreBounded(t *testing.T) {
	_, now := twoRuns(t)
	var env []string
	for i := range 3000 {
		env = append(env, fmt.Sprintf(`{"name":"E%d","value":"\u001b[2J\u202e%s"}`, i, strings.Repeat("y", 900)))
	}
	now.Spec.Template.Raw = []byte(fmt.Sprintf(`{"spec":{"containers":[{"name":"app","image":"x","env":[%s]}]}}`, strings.Join(env, ",")))
	from, to := view.StableOf(now, nil), view.CandidateOf(now)
	c, err := view.Compare(from, to)
	if err != nil {
		t.Fatal(err)
	}
	text := diffScreen(terminal{width: 100}, from, to, c)
	if lines := strings.Count(text, "\n"); lines > mostLines+20 || len(text) > mostLines*(longestOfLine+20) || strings.ContainsAny(text, "\x1b\u202e") {
		t.Errorf("%d lines, %d bytes", lines, len(text))
	}
}
