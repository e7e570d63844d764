package workload

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/api/v1alpha1"
)

// TestWhatHoldsAWorkload: a StatefulSet in a step neither holds all of its pods nor rolls to the
// declared version.
func TestWhatHoldsAWorkload(t *testing.T) {
	of := func(kind string, fields ...any) *unstructured.Unstructured {
		w := New(v1alpha1.WorkloadRef{Kind: kind})
		for i := 0; i < len(fields); i += 2 {
			path := fields[i].([]string)
			if err := unstructured.SetNestedField(w.Object, fields[i+1], path...); err != nil {
				t.Fatal(err)
			}
		}
		return w
	}
	paused, partition, strategy := []string{"spec", "paused"}, []string{"spec", "updateStrategy", "rollingUpdate", "partition"}, []string{"spec", "updateStrategy", "type"}
	for name, c := range map[string]struct {
		object      *unstructured.Unstructured
		held, rolls bool
	}{
		"a paused Deployment":          {of("Deployment", paused, true), true, false},
		"a Deployment":                 {of("", paused, false), false, true},
		"a StatefulSet that is held":   {of("StatefulSet", partition, int64(v1alpha1.PartitionHold)), true, false},
		"a StatefulSet in a step":      {of("StatefulSet", partition, int64(2)), false, false},
		"a StatefulSet":                {of("StatefulSet", partition, int64(0)), false, true},
		"a StatefulSet without any":    {of("StatefulSet"), false, true},
		"a StatefulSet by OnDelete":    {of("StatefulSet", strategy, "OnDelete"), false, false},
		"what paused is no field of":   {of("StatefulSet", paused, true), false, true},
		"what has no partition at all": {of("Deployment", partition, int64(v1alpha1.PartitionHold)), false, true},
	} {
		if held, rolls := Held(c.object), Rolls(c.object); held != c.held || rolls != c.rolls {
			t.Errorf("%s: held %t, rolls %t; want %t, %t", name, held, rolls, c.held, c.rolls)
		}
	}
}
