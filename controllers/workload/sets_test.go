package workload

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

func TestReadSet(t *testing.T) {
	read, err := ReadSet(object(t, `{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"shop-9","uid":"s-9","creationTimestamp":"2026-11-24T11:00:00Z","deletionTimestamp":"2026-11-24T11:30:00Z",
		"annotations":{"deployment.kubernetes.io/revision":"12","deployment.kubernetes.io/desired-replicas":"4"},"labels":{"belay.dev/run":"run-1","belay.dev/borrowed":"true"},
		"ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"shop","uid":"d-1","controller":true}]},
		"spec":{"replicas":5,"template":{"metadata":{"labels":{"app":"shop","pod-template-hash":"6c77698f9a"}},"spec":{"containers":[{"name":"app","image":"shop:1","resources":{}}]}}},
		"status":{"replicas":4,"readyReplicas":3,"availableReplicas":2,"conditions":[{"type":"Other","status":"True","message":"no"},
			{"type":"ReplicaFailure","status":"True","reason":"FailedCreate","message":"pods \"shop-9-x\" is forbidden: exceeded quota: q\n`+strings.Repeat("x", 400)+`"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if read.ScaledFor == nil || *read.ScaledFor != 4 || len(read.Failure) > 320 || !strings.HasPrefix(read.Failure, `FailedCreate: "pods \"shop-9-x\" is forbidden: exceeded quota: q\nxxx`) {
		t.Errorf("read %+v", read)
	}
	read.ScaledFor, read.Failure = nil, ""
	want := Set{Name: "shop-9", UID: "s-9", Revision: "4a45a2ab1d", Hash: "6c77698f9a", Image: "shop:1", ControllerKind: "Deployment", ControllerName: "shop", ControllerUID: "d-1",
		Desired: 5, Pods: 4, Ready: 3, Available: 2, Number: 12, Borrowed: true, Run: "run-1", Deleting: true, Created: now.Add(-time.Hour)}
	if !read.Created.Equal(want.Created) {
		t.Errorf("created %s", read.Created)
	}
	read.Created = want.Created
	if read != want {
		t.Errorf("read %+v\nwant %+v", read, want)
	}
	bare, err := ReadSet(object(t, `{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"s","annotations":{"deployment.kubernetes.io/revision":"many","deployment.kubernetes.io/desired-replicas":"99999999999"}},
		"spec":{"template":{}},"status":{"conditions":[{"type":"ReplicaFailure","status":"False","reason":"FailedCreate"}]}}`))
	if err != nil || bare.Desired != 1 || bare.Number != 0 || bare.ScaledFor != nil || bare.Failure != "" || bare.ControllerUID != "" {
		t.Errorf("read %+v, %v", bare, err)
	}
	if _, err := ReadSet(object(t, `{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"s"},"spec":{"template":{"spec":7}}}`)); err == nil || !strings.Contains(err.Error(), "ReplicaSet s") {
		t.Errorf("an unreadable template: %v", err)
	}
}

// own is one of Deployment d-1's sets, made so many hours ago.
func own(name, revision string, hours int, desired int32) Set {
	return Set{Name: name, UID: types.UID("uid-" + name), Revision: revision, ControllerUID: "d-1", Desired: desired, Created: now.Add(-time.Duration(hours) * time.Hour)}
}

func names(sets []Set) string {
	var all []string
	for _, s := range sets {
		all = append(all, s.Name)
	}
	return strings.Join(all, " ")
}

func TestWhichSetIsWhich(t *testing.T) {
	foreign := own("foreign", "v1", 100, 5)
	foreign.ControllerUID = "d-2"
	sets := []Set{own("young-v1", "v1", 1, 0), own("b-v1", "v1", 9, 3), own("a-v1", "v1", 9, 0), own("v2", "v2", 5, 2), own("old-v2", "v2", 20, 0), foreign}
	before := names(sets)

	if got := names(Active(sets, "d-1")); got != "b-v1 v2" {
		t.Errorf("active: %s", got)
	}
	if got, ok := Stable(sets, "d-1", "v1"); !ok || got.Name != "b-v1" {
		t.Errorf("stable, with pods: %s", got.Name)
	}
	if got, ok := Stable([]Set{own("young", "v1", 1, 0), own("old", "v1", 2, 0)}, "d-1", "v1"); !ok || got.Name != "old" {
		t.Errorf("stable, at 0: %s", got.Name)
	}
	if got, ok := Stable(sets, "d-1", "v3"); ok {
		t.Errorf("stable of a revision that has no set: %s", got.Name)
	}
	if got, ok := NewReplicaSet(ControlledBy(sets, "d-1"), "v1"); !ok || got.Name != "a-v1" {
		t.Errorf("new, oldest and then by name: %s", got.Name)
	}
	if got := ControlledBy([]Set{{Name: "orphan"}}, ""); got != nil {
		t.Errorf("an orphan is controlled: %v", got)
	}
	if names(sets) != before {
		t.Error("the given sets were reordered")
	}

	canary := Set{Name: "canary", UID: "uid-canary", Revision: "v3", ControllerUID: "r-1", Desired: 3, Created: now}
	if got, ok := Chosen(sets, "d-1", canary, "v3"); !ok || got.Name != "canary" {
		t.Errorf("chosen: %s", got.Name)
	}
	if got, ok := Chosen(append(sets, own("hidden", "v3", 2, 0)), "d-1", canary, "v3"); !ok || got.Name != "hidden" {
		t.Errorf("chosen before the canary: %s", got.Name)
	}
	if _, ok := Chosen(sets, "d-1", canary, "v4"); ok {
		t.Error("a set was chosen for a template that has none")
	}
}

// TestWhatAPausedDeploymentScales has the audit's cases: 0 to N with a rejected or
// a held version.
func TestWhatAPausedDeploymentScales(t *testing.T) {
	stable, rejected := own("stable", "v1", 48, 0), own("rejected", "v2", 1, 0)
	active := stable
	active.Desired = 3
	both := rejected
	both.Desired = 1
	for name, tc := range map[string]struct {
		sets     []Set
		declared string
		want     string
	}{
		"one is active":                       {[]Set{active, rejected}, "v2", "stable"},
		"at 0, the rejected one is declared":  {[]Set{stable, rejected}, "v2", "rejected"},
		"at 0, a third is declared":           {[]Set{stable, rejected}, "v3", "rejected"},
		"at 0, stable is declared":            {[]Set{stable, rejected}, "v1", "stable"},
		"at 0, only stable is there":          {[]Set{stable}, "v3", "stable"},
		"two are active":                      {[]Set{active, both}, "v2", ""},
		"no sets":                             {nil, "v1", ""},
		"at 0, the same age is told by names": {[]Set{own("a", "v1", 1, 0), own("b", "v2", 1, 0)}, "v3", "b"},
	} {
		got, ok := scaledWhilePaused(tc.sets, "d-1", tc.declared)
		if got.Name != tc.want || ok != (tc.want != "") {
			t.Errorf("%s: %q, want %q", name, got.Name, tc.want)
		}
	}
}

func TestRecognised(t *testing.T) {
	numbered := func(name string, number int64) Set {
		s := own(name, "v", 1, 1)
		s.Number = number
		return s
	}
	stable := numbered("stable", 3)
	for name, tc := range map[string]struct {
		set  Set
		want bool
	}{
		"not numbered yet":               {numbered("canary", 0), false},
		"numbered as the newest":         {numbered("canary", 4), true},
		"borrowed, with its old number":  {numbered("canary", 2), false},
		"the same number as another has": {numbered("canary", 3), false},
	} {
		if got := Recognised(tc.set, []Set{stable, tc.set}, "d-1"); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if Recognised(numbered("canary", 4), []Set{stable}, "d-2") {
		t.Error("recognised by a Deployment that does not control it")
	}
}

func TestSaturated(t *testing.T) {
	three, two := int32(3), int32(2)
	for name, tc := range map[string]struct {
		set  Set
		want bool
	}{
		"all available":               {Set{Desired: 3, Available: 3, ScaledFor: &three}, true},
		"one not available":           {Set{Desired: 3, Available: 2, ScaledFor: &three}, false},
		"another size":                {Set{Desired: 2, Available: 2, ScaledFor: &three}, false},
		"annotated for another size":  {Set{Desired: 3, Available: 3, ScaledFor: &two}, false},
		"annotated for none at all":   {Set{Desired: 3, Available: 3}, false},
		"one available, not to be so": {Set{Desired: 3, Available: 4, ScaledFor: &three}, false},
	} {
		if got := tc.set.saturated(3); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestMaxReplicas(t *testing.T) {
	for strategy, want := range map[string]int32{
		`{"type":"RollingUpdate","rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"}}`: 13,
		`{"type":"RollingUpdate","rollingUpdate":{"maxSurge":2}}`:                            12,
		`{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":1}}`:                      10,
		`{"type":"RollingUpdate"}`: 10,
		`{"type":"Recreate"}`:      10,
	} {
		d := object(t, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"shop"},"spec":{"replicas":10,"strategy":`+strategy+`}}`)
		if got, err := MaxReplicas(d); got != want || err != nil {
			t.Errorf("%s: %d, %v", strategy, got, err)
		}
	}
	if got := Replicas(object(t, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"shop"},"spec":{}}`)); got != 1 {
		t.Errorf("%d replicas by default", got)
	}
	d := object(t, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"shop"},"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":"many"}}}}`)
	if _, err := MaxReplicas(d); err == nil {
		t.Error("maxSurge many is read")
	}
}
