package v1alpha1

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestTheAPIServerKnowsThePhaseGraph holds the rule that the API server enforces
// to the graph that the planner and the simulated world use.
func TestTheAPIServerKnowsThePhaseGraph(t *testing.T) {
	crd, err := os.ReadFile(filepath.Join("..", "..", "config", "crd", "belay.dev_rollouts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(strings.ReplaceAll(string(crd), "''", "'")), " ")
	literal := regexp.MustCompile(`self\.phase in (\{.*?\})\[oldSelf\.phase\]`).FindStringSubmatch(text)
	if literal == nil {
		t.Fatal("the CRD has no rule about phases")
	}
	enforced := map[Phase][]Phase{}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(literal[1], "'", `"`)), &enforced); err != nil {
		t.Fatalf("read %s: %v", literal[1], err)
	}
	// The first phase has a rule of its own: there is no old one to look up.
	enforced[""] = []Phase{PhaseStable}
	if diff := cmp.Diff(phaseGraph, enforced); diff != "" {
		t.Errorf("the phase graph and the CRD's rule differ (-graph +rule):\n%s", diff)
	}
}

func TestMayFollow(t *testing.T) {
	for from, next := range phaseGraph {
		for to := range phaseGraph {
			want := to == from
			for _, n := range next {
				want = want || n == to
			}
			if got := to.MayFollow(from); got != want {
				t.Errorf("%q after %q: %v, want %v", to, from, got, want)
			}
		}
	}
}

func TestEffectiveTriggers(t *testing.T) {
	spec := GuardrailSpec{SLOs: []SLO{{Name: "availability"}, {Name: "latency"}}, Invariants: []Invariant{{Name: "ledger"}}}
	var names []string
	for _, trigger := range spec.EffectiveTriggers() {
		names = append(names, trigger.Name)
		if (trigger.SLO != "") != (trigger.Regression != nil) {
			t.Errorf("trigger %s: slo %q without regression, or the other way round", trigger.Name, trigger.SLO)
		}
	}
	if diff := cmp.Diff([]string{"availability", "latency", "ledger", "pods"}, names); diff != "" {
		t.Errorf("default triggers (-want +got):\n%s", diff)
	}
	spec.Triggers = []Trigger{{Name: "mine", Invariant: "ledger"}}
	if got := spec.EffectiveTriggers(); len(got) != 1 || got[0].Name != "mine" {
		t.Errorf("named triggers became %v", got)
	}
}

func TestWarmUpOfATrigger(t *testing.T) {
	of := func(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
	for name, c := range map[string]struct {
		guardrail, trigger *metav1.Duration
		want               time.Duration
	}{
		"neither":           {nil, nil, time.Minute},
		"the guardrail's":   {of(90 * time.Second), nil, 90 * time.Second},
		"none":              {of(0), nil, 0},
		"the trigger's own": {of(90 * time.Second), of(time.Second), time.Second},
		"none of its own":   {of(90 * time.Second), of(0), 0},
	} {
		if got := (GuardrailSpec{WarmUp: c.guardrail}).WarmUpOf(Trigger{WarmUp: c.trigger}); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	answers := GuardrailSpec{WarmUp: of(90 * time.Second), SLOs: []SLO{{Name: "answers", Indicator: Indicator{Preset: PresetComparer}}}}
	if got := answers.WarmUpOf(Trigger{SLO: "answers"}); got != 0 {
		t.Errorf("a comparison of answers: %s, want none of the guardrail's", got)
	}
	if got := answers.WarmUpOf(Trigger{SLO: "answers", WarmUp: of(time.Second)}); got != time.Second {
		t.Errorf("a comparison of answers with its own: %s, want 1s", got)
	}
}
