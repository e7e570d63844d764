package workload

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// TestTheDeploymentControllerSaysTheSame compares with what the functions of
// Kubernetes 1.37.2 answered: testdata/deployment_controller.go.txt asked them.
func TestTheDeploymentControllerSaysTheSame(t *testing.T) {
	raw, err := os.ReadFile("testdata/deployment_controller.json")
	if err != nil {
		t.Fatal(err)
	}
	var asked struct {
		Templates, Strategies []json.RawMessage
		Equal                 [][]bool
		Questions             []struct {
			Replicas           int32
			Strategy, Declared int
			Sets               []struct {
				Name               string
				Hours, Template    int
				Desired, Available int
				ScaledFor          string
			}
			New, ActiveOrLatest string
			Saturated           bool
			MaxReplicas         int32
		}
	}
	if err := json.Unmarshal(raw, &asked); err != nil {
		t.Fatal(err)
	}
	var revisions []string
	for _, template := range asked.Templates {
		revisions = append(revisions, revision(t, templateOf(t, string(template))))
	}
	for i, row := range asked.Equal {
		for j, equal := range row {
			if (revisions[i] == revisions[j]) != equal {
				t.Errorf("%s and %s: equal %v", asked.Templates[i], asked.Templates[j], equal)
			}
		}
	}
	if len(asked.Questions) < 100 {
		t.Fatalf("only %d questions", len(asked.Questions))
	}
	for i, q := range asked.Questions {
		var sets []Set
		for _, s := range q.Sets {
			rs := object(t, fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":%q,"uid":%q,"creationTimestamp":"2026-11-24T%02d:00:00Z",
				"annotations":{"deployment.kubernetes.io/desired-replicas":%q},"ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"shop","uid":"d-1","controller":true}]},
				"spec":{"replicas":%d,"template":%s},"status":{"availableReplicas":%d}}`, s.Name, s.Name, 12-s.Hours, s.ScaledFor, s.Desired, asked.Templates[s.Template], s.Available))
			set, err := ReadSet(rs)
			if err != nil {
				t.Fatal(err)
			}
			sets = append(sets, set)
		}
		d := object(t, fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"shop"},"spec":{"replicas":%d,"strategy":%s}}`, q.Replicas, asked.Strategies[q.Strategy]))
		declared := revisions[q.Declared]
		newSet, _ := NewReplicaSet(ControlledBy(sets, "d-1"), declared)
		scaled, _ := scaledWhilePaused(sets, "d-1", declared)
		maxReplicas, err := MaxReplicas(d)
		if newSet.Name != q.New || scaled.Name != q.ActiveOrLatest || (q.New != "" && newSet.saturated(Replicas(d)) != q.Saturated) || maxReplicas != q.MaxReplicas || err != nil {
			t.Errorf("question %d: new %q, active or latest %q, saturated %v, max %d (%v); the Deployment controller says %+v", i, newSet.Name, scaled.Name, newSet.saturated(Replicas(d)), maxReplicas, err, q)
		}
	}
}
