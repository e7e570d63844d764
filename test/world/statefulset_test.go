package world

import "testing"

// TestStatefulSetControllerCases plays on the model what test/handover plays on Kubernetes'
// own controller: each case must come to the same.
func TestStatefulSetControllerCases(t *testing.T) {
	for _, c := range OrdinalCases() {
		t.Run(c.Name, func(t *testing.T) {
			for seed := range uint64(20) {
				for _, wrong := range c.PlayOrdinals(seed) {
					t.Errorf("seed %d: %s", seed, wrong)
				}
			}
		})
	}
}
