package gitops

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/config"
	"belay.dev/belay/test/world"
)

// configMap is what people patch Argo CD's with.
const configMap = "../../config/gitops/argocd-cm.yaml"

func customizations(t *testing.T) map[string]Customization {
	t.Helper()
	of, err := ArgoCD(configMap)
	if err != nil {
		t.Fatal(err)
	}
	return of
}

// run runs a script as Argo CD does: with the basic functions, those of tables, and the
// object as obj. The whole of Argo CD's code runs the same in hack/gitops.
func run(t *testing.T, script string, object *unstructured.Unstructured) []byte {
	t.Helper()
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer l.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		if err := l.CallByParam(lua.P{Fn: l.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := json.Marshal(object.Object)
	if err != nil {
		t.Fatal(err)
	}
	value, err := luajson.Decode(l, raw)
	if err != nil {
		t.Fatal(err)
	}
	l.SetGlobal("obj", value)
	if err := l.DoString(script); err != nil {
		t.Fatal(err)
	}
	out, err := luajson.Encode(l.Get(-1))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// argoCD is a Health in Argo CD's words.
var argoCD = map[Health]string{Progressing: "Progressing", Suspended: "Suspended", Healthy: "Healthy", Failed: "Degraded", Undecided: "Unknown"}

func checkHealth(t *testing.T, of map[string]Customization, s State) {
	t.Helper()
	var health struct{ Status, Message string }
	script := of[s.Object.GroupVersionKind().Group+"/"+s.Object.GetKind()].Health
	if err := json.Unmarshal(run(t, script, s.Object), &health); err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	if health.Status != argoCD[s.Want] || health.Message == "" {
		t.Errorf("%s is %q (%q), want %s", s.Name, health.Status, health.Message, argoCD[s.Want])
	}
}

func TestEveryKindHasAHealthInArgoCD(t *testing.T) {
	of := customizations(t)
	for _, s := range Others() {
		checkHealth(t, of, s)
	}
	kinds := slices.Sorted(maps.Keys(of))
	definitions, err := config.Objects("crd")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, definition := range definitions {
		kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
		want = append(want, v1alpha1.GroupVersion.Group+"/"+kind)
	}
	slices.Sort(want)
	if !slices.Equal(kinds, want) {
		t.Errorf("Argo CD is told of %v, and there are %v", kinds, want)
	}
}

// TestArgoCDOfEveryStatus: the health of every status, which actions are offered then, and
// what they write.
func TestArgoCDOfEveryStatus(t *testing.T) {
	of := customizations(t)
	actions := ActionsOf(t, of["belay.dev/Rollout"])
	offered := map[string]int{}
	for _, story := range world.Stories() {
		Rollouts(story, func(s State) {
			checkHealth(t, of, s)
			found := map[string]struct{ Disabled bool }{}
			if err := json.Unmarshal(run(t, actions.Discovery, s.Object), &found); err != nil {
				t.Fatalf("%s: %v", s.Name, err)
			}
			if len(found) != len(actions.Definitions) {
				t.Errorf("%s: %d actions are shown, %d are defined", s.Name, len(found), len(actions.Definitions))
			}
			for _, a := range actions.Definitions {
				if enabled := !found[a.Name].Disabled; enabled != slices.Contains(s.Actions, a.Name) {
					t.Errorf("%s: %s is offered: %t; the command line offers %v", s.Name, a.Name, enabled, s.Actions)
				} else if enabled {
					offered[a.Name]++
					before, err := s.Object.MarshalJSON()
					if err != nil {
						t.Fatal(err)
					}
					checkCommand(t, s, a.Name, before, run(t, a.Script, s.Object))
				}
			}
		})
	}
	for _, a := range actions.Definitions {
		if offered[a.Name] == 0 {
			t.Errorf("no story ever offers %s", a.Name)
		}
	}
}

// checkCommand: the annotations of a command for the candidate, with a token of its own.
func checkCommand(t *testing.T, s State, name string, before, after []byte) {
	t.Helper()
	// Only the metadata: Lua has one kind of empty table, and Argo CD puts the rest back.
	metadata := func(raw []byte) []byte {
		var o struct {
			Metadata json.RawMessage `json:"metadata"`
		}
		if err := json.Unmarshal(raw, &o); err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		return o.Metadata
	}
	patch, err := jsonpatch.CreateMergePatch(metadata(before), metadata(after))
	if err != nil {
		t.Fatal(err)
	}
	CheckPatch(t, s, name, patch)
}

// TestThePageQuotesWhatIsShipped: docs/gitops.md shows no script or expression that is not
// in config/gitops.
func TestThePageQuotesWhatIsShipped(t *testing.T) {
	page, err := os.ReadFile("../../docs/gitops.md")
	if err != nil {
		t.Fatal(err)
	}
	var shipped string
	for _, name := range []string{configMap, "../../config/gitops/flux.yaml"} {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		shipped += string(raw)
	}
	quoted := 0
	for i, block := range strings.Split(string(page), "```") {
		if i%2 == 0 || !strings.Contains(block, "resource.customizations") && !strings.Contains(block, "healthCheckExprs") {
			continue
		}
		quoted++
		_, block, _ = strings.Cut(block, "\n")
		for line := range strings.Lines(block) {
			if !strings.Contains(shipped, line) {
				t.Errorf("docs/gitops.md has a line that is not in config/gitops: %s", line)
			}
		}
		if _, quote, _ := strings.Cut(block, ":\n"); !strings.Contains(shipped, quote) {
			t.Errorf("docs/gitops.md has other lines, or another order, than config/gitops:\n%s", block)
		}
	}
	if quoted < 2 {
		t.Errorf("docs/gitops.md quotes %d parts of config/gitops, want Argo CD's and Flux'", quoted)
	}
}
