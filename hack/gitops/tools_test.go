// Package gitops runs what config/gitops ships by Argo CD's and Flux' own code, on every
// status of every simulated release. The versions of both are those of go.mod.
package gitops

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	argo "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"belay.dev/belay/test/gitops"
	"belay.dev/belay/test/world"
)

var shipped = filepath.Join("..", "..", "config", "gitops")

// overrides are the customizations as Argo CD keeps them.
func overrides(t *testing.T) map[string]argo.ResourceOverride {
	t.Helper()
	of, err := gitops.ArgoCD(filepath.Join(shipped, "argocd-cm.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]argo.ResourceOverride{}
	for kind, c := range of {
		all[kind] = argo.ResourceOverride{HealthLua: c.Health, Actions: c.Actions}
	}
	return all
}

var argoCD = map[gitops.Health]health.HealthStatusCode{
	gitops.Progressing: health.HealthStatusProgressing, gitops.Suspended: health.HealthStatusSuspended, gitops.Healthy: health.HealthStatusHealthy,
	gitops.Failed: health.HealthStatusDegraded, gitops.Undecided: health.HealthStatusUnknown,
}

// every hands all states of all kinds to a function.
func every(see func(gitops.State)) {
	for _, s := range gitops.Others() {
		see(s)
	}
	for _, story := range world.Stories() {
		gitops.Rollouts(story, see)
	}
}

func TestArgoCDReadsEveryState(t *testing.T) {
	all := overrides(t)
	vm := lua.VM{ResourceOverrides: all}
	given := map[string]int{}
	every(func(s gitops.State) {
		got, err := health.GetResourceHealth(s.Object, lua.ResourceHealthOverrides(all))
		switch {
		case err != nil:
			t.Fatalf("%s: %v", s.Name, err)
		case got == nil || got.Status != argoCD[s.Want] || got.Message == "":
			t.Errorf("%s is %+v, want %s", s.Name, got, argoCD[s.Want])
		}
		if s.Object.GetKind() == "Rollout" {
			tryActions(t, vm, s, given)
		}
	})
	if given["abort"] == 0 || given["retry"] == 0 {
		t.Errorf("some action was never given: %v", given)
	}
}

// tryActions gives every command that Argo CD would let a person give.
func tryActions(t *testing.T, vm lua.VM, s gitops.State, given map[string]int) {
	t.Helper()
	scripts, err := vm.GetResourceActionDiscovery(s.Object)
	if err != nil {
		t.Fatal(err)
	}
	actions, err := vm.ExecuteResourceActionDiscovery(s.Object, scripts)
	if err != nil || len(actions) == 0 {
		t.Fatalf("%s: %d actions: %v", s.Name, len(actions), err)
	}
	for _, action := range actions {
		if action.Disabled == slices.Contains(s.Actions, action.Name) {
			t.Errorf("%s: %s is disabled: %t, and the command line offers %v", s.Name, action.Name, action.Disabled, s.Actions)
		}
		if action.Disabled {
			continue
		}
		given[action.Name]++
		definition, err := vm.GetResourceAction(s.Object, action.Name)
		if err != nil {
			t.Fatal(err)
		}
		changed, err := vm.ExecuteResourceAction(s.Object, definition.ActionLua, nil)
		if err != nil || len(changed) != 1 || changed[0].K8SOperation != lua.PatchOperation {
			t.Fatalf("%s: %s makes %v: %v", s.Name, action.Name, changed, err)
		}
		checkPatch(t, s, action.Name, changed[0].UnstructuredObj)
	}
}

// checkPatch makes the merge patch that Argo CD sends. It has metadata, and nothing else.
func checkPatch(t *testing.T, s gitops.State, action string, changed *unstructured.Unstructured) {
	t.Helper()
	before, err := json.Marshal(s.Object)
	if err != nil {
		t.Fatal(err)
	}
	after, err := json.Marshal(changed)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jsonpatch.CreateMergePatch(before, after)
	if err != nil {
		t.Fatal(err)
	}
	patch := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &patch); err != nil {
		t.Fatal(err)
	}
	if len(patch) != 1 {
		t.Errorf("%s: %s writes %s", s.Name, action, raw)
	}
	gitops.CheckPatch(t, s, action, patch["metadata"])
}

type healthChecks struct {
	Spec struct {
		HealthCheckExprs []kustomize.CustomHealthCheck
	}
}

func evaluators(t *testing.T) map[string]*cel.StatusEvaluator {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(shipped, "flux.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var checks healthChecks
	if err := yaml.Unmarshal(raw, &checks); err != nil {
		t.Fatal(err)
	}
	// As kustomize-controller does: it refuses a Kustomization with two for one kind.
	if _, err := cel.NewStatusReader(checks.Spec.HealthCheckExprs); err != nil {
		t.Fatal(err)
	}
	all := map[string]*cel.StatusEvaluator{}
	for _, check := range checks.Spec.HealthCheckExprs {
		all[check.APIVersion+" "+check.Kind], err = cel.NewStatusEvaluator(&check.HealthCheckExpressions)
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestFluxReadsEveryState(t *testing.T) {
	all, read := evaluators(t), map[string]int{}
	every(func(s gitops.State) {
		evaluator := all[s.Object.GetAPIVersion()+" "+s.Object.GetKind()]
		if evaluator == nil {
			return
		}
		read[s.Object.GetKind()]++
		got, err := evaluator.Evaluate(t.Context(), s.Object)
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		// Flux' words are those of kstatus.
		if want := s.Want.Plain(); string(got.Status) != string(want) {
			t.Errorf("%s is %s, want %s", s.Name, got.Status, want)
		}
	})
	for _, kind := range []string{"Rollout", "Guardrail", "ClusterGuardrail", "MetricSource"} {
		if read[kind] == 0 {
			t.Errorf("flux.yaml has no expressions for %s", kind)
		}
	}
}
