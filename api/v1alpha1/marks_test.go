package v1alpha1

import (
	"slices"
	"strings"
	"testing"
)

// TestMarks: what is written is what is read, and all of it is taken away in the
// end.
func TestMarks(t *testing.T) {
	m := Marks{Rollout: "shop", Run: strings.Repeat("r", 63), Rejected: "0123456789", Narrowed: "web"}
	if got := MarksOf(m.Labels()); got != m {
		t.Errorf("read back as %v", got)
	}
	for key := range m.Labels() {
		if !slices.Contains(WorkloadLabels(), key) {
			t.Errorf("%s stays behind", key)
		}
	}
	if got := (Marks{Rollout: "shop", Narrowed: "web"}).String(); got != "rollout=shop, narrowed=web" {
		t.Error(got)
	}
	if got := (Marks{}).String(); got != "none" {
		t.Error(got)
	}
}
