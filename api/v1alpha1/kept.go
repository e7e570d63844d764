package v1alpha1

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
)

// Later names the fields that a Rollout declares otherwise than this run of it, which keeps
// what it started with, such as "spec.steps and spec.traffic"; empty when there is none.
func (s *RolloutRunSpec) Later(declared *RolloutSpec) string {
	var fields []string
	if !equality.Semantic.DeepEqual(declared.Steps, s.Steps) {
		fields = append(fields, "spec.steps")
	}
	if !equality.Semantic.DeepEqual(declared.Traffic, s.Traffic) {
		fields = append(fields, "spec.traffic")
	}
	return strings.Join(fields, " and ")
}
