package view

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"belay.dev/belay/api/v1alpha1"
)

func templateOf(t *testing.T, text string) runtime.RawExtension {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return runtime.RawExtension{Raw: raw}
}

func runOf(t *testing.T, was, is string) *v1alpha1.RolloutRun {
	t.Helper()
	run := &v1alpha1.RolloutRun{}
	run.Spec.Stable.Template, run.Spec.Template = templateOf(t, was), templateOf(t, is)
	return run
}

const app = `{metadata: {labels: {app: a}}, spec: {containers: [{name: a, image: "r/a:1", env: [{name: X, value: "1"}, {name: W, value: "2"}], resources: {limits: {cpu: "1"}}, args: [a, b]}]}}`

func TestDifferencesOfTemplates(t *testing.T) {
	for want, replace := range map[string][]string{
		"":                               {"", ""},
		"image 1 → 2":                    {"r/a:1", "r/a:2"},
		`image "r/a:1" → "q/a:1"`:        {"r/a:1", "q/a:1"},
		`env X "1" → "5"`:                {`value: "1"`, `value: "5"`},
		`env X removed`:                  {`{name: X, value: "1"}, `, ""},
		`env Z added`:                    {`[{name: X`, `[{name: Z, value: "7"}, {name: X`},
		`resources.limits.cpu "1" → "2"`: {`cpu: "1"`, `cpu: "2"`},
		`args ["a","b"] → ["a"]`:         {`[a, b]`, `[a]`},
		`metadata.labels.tier added`:     {`{app: a}`, `{app: a, tier: b}`},
		`containers.b added`:             {`spec: {containers: [`, `spec: {containers: [{name: b, image: "r/b:1"}, `},
		`env X "1" → "5"; env W "2" → "6"; image 1 → 2; 1 more`: {`{name: X, value: "1"}, {name: W, value: "2"}], resources: {limits: {cpu: "1"}}`, `{name: X, value: "5"}, {name: W, value: "6"}], resources: {limits: {cpu: "2"}}`, "r/a:1", "r/a:2"},
	} {
		changed := app
		for i := 0; i+1 < len(replace); i += 2 {
			changed = strings.Replace(changed, replace[i], replace[i+1], 1)
		}
		run := runOf(t, app, changed)
		c, err := Compare(StableOf(run, nil), CandidateOf(run))
		if err != nil {
			t.Fatal(err)
		}
		if got := Summary(c.Differences); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	// Another notation, another order of what is known by its name, and the hash are none.
	same := strings.NewReplacer(`cpu: "1"`, `cpu: 1000m`, `{name: X, value: "1"}, {name: W, value: "2"}`, `{name: W, value: "2"}, {name: X, value: "1"}`, "app: a", "app: a, pod-template-hash: abc").Replace(app)
	run := runOf(t, app, same)
	if c, err := Compare(StableOf(run, nil), CandidateOf(run)); err != nil || len(c.Differences) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := Compare(StableOf(runOf(t, `[]`, app), nil), CandidateOf(run)); err == nil {
		t.Error("a template that is a list is compared")
	}
}

func TestDifferencesOfGuardrailsAndSettings(t *testing.T) {
	before, now := runOf(t, app, app), runOf(t, app, app)
	guardrail := func(samples int64) []v1alpha1.PinnedGuardrail {
		return []v1alpha1.PinnedGuardrail{{Kind: "Guardrail", Name: "checkout", Hash: fmt.Sprint(samples), Spec: v1alpha1.GuardrailSpec{MinimumSamples: samples, Triggers: []v1alpha1.Trigger{{Name: "pods"}}}}}
	}
	before.Spec.Guardrails, now.Spec.Guardrails = guardrail(200), append(guardrail(100), v1alpha1.PinnedGuardrail{Kind: "ClusterGuardrail", Name: "all"})
	before.Spec.Steps, now.Spec.Steps = []v1alpha1.Step{{Weight: 5}}, []v1alpha1.Step{{Weight: 5}, {Weight: 50}}
	c, err := Compare(StableOf(now, before), CandidateOf(now))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.In(SectionTemplate)) != 0 || len(c.NotCompared) != 0 {
		t.Errorf("%+v", c)
	}
	g := c.In(SectionGuardrails)
	if len(g) != 2 || g[0].Path[1].Key != "ClusterGuardrail all" || g[0].HadIt || g[1].Path[2].Key != "minimumSamples" || g[1].Was != 200.0 || g[1].Is != 100.0 {
		t.Errorf("the guardrails: %+v", g)
	}
	if s := c.In(SectionSettings); len(s) != 1 || s[0].Path[1].Key != "steps" {
		t.Errorf("the settings: %+v", s)
	}
	if c, _ := Compare(StableOf(now, nil), CandidateOf(now)); len(c.NotCompared) != 2 {
		t.Errorf("without the run of the stable version: %+v", c)
	}
	if c, _ := Compare(CandidateOf(now), CandidateOf(now)); len(c.Differences) != 0 {
		t.Errorf("a run with itself: %+v", c)
	}
}

func TestTheRunThatPromotedStable(t *testing.T) {
	at := func(hour int, revision string, outcome v1alpha1.Outcome) v1alpha1.RolloutRun {
		r := v1alpha1.RolloutRun{}
		r.Spec.Revision, r.Status.Outcome, r.Spec.StartedAt = revision, outcome, metav1.NewTime(time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC))
		return r
	}
	runs := []v1alpha1.RolloutRun{at(9, "a", v1alpha1.OutcomePromoted), at(5, "b", ""), at(4, "a", v1alpha1.OutcomeRolledBack), at(3, "a", v1alpha1.OutcomePromoted), at(1, "a", v1alpha1.OutcomePromoted)}
	run := runs[1].DeepCopy()
	run.Spec.Stable.Revision.Revision = "a"
	if by := PromotedBy(run, runs); by != &runs[3] {
		t.Errorf("%+v", by)
	}
	run.Spec.Stable.Revision.Revision = "c"
	if by := PromotedBy(run, runs); by != nil {
		t.Errorf("%+v", by)
	}
}

// TestHostileTemplates: what is shown of one is bounded, and on one line.
func TestHostileTemplates(t *testing.T) {
	run := runOf(t, app, strings.Replace(app, `value: "1"`, `value: "`+strings.Repeat("x", 9000)+`\e[2J\n"`, 1))
	c, err := Compare(StableOf(run, nil), CandidateOf(run))
	if err != nil {
		t.Fatal(err)
	}
	if got := Summary(c.Differences); len(got) > 200 || strings.ContainsAny(got, "\x1b\n") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}
