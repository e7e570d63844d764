package evidence

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/util/yaml"

	"belay.dev/belay/api/v1alpha1"
)

// TestTheSampleVerifies: the run that the docs show is what Append makes of its
// decisions.
func TestTheSampleVerifies(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "config", "samples", "rolloutrun.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var run v1alpha1.RolloutRun
	if err := yaml.UnmarshalStrict(raw, &run); err != nil {
		t.Fatal(err)
	}
	decisions := run.Status.Decisions
	if err := Verify(decisions, run.Status.Head); err != nil {
		t.Error(err)
	}
	var again []v1alpha1.DecisionRecord
	for i, record := range decisions {
		record.Verdicts = Verdicts(decisions[:i+1])
		if again, err = appended(again, record, record.Seq, i == len(decisions)-1); err != nil {
			t.Fatal(err)
		}
		if again[i].Hash != decisions[i].Hash {
			t.Fatalf("record %d is written otherwise now: %+v", record.Seq, again[i])
		}
	}
}
