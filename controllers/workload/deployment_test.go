package workload

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestTheProgressDeadlineIsTheDeployments: a client that reads what the API server
// has not filled in gets Kubernetes' default.
func TestTheProgressDeadlineIsTheDeployments(t *testing.T) {
	for want, spec := range map[time.Duration]map[string]any{
		10 * time.Minute: {},
		90 * time.Second: {"progressDeadlineSeconds": int64(90)},
	} {
		if got := ProgressDeadline(&unstructured.Unstructured{Object: map[string]any{"spec": spec}}); got != want {
			t.Errorf("progressDeadlineSeconds of %v is %s, want %s", spec, got, want)
		}
	}
}
