package v1alpha1

import "strings"

// Marks are labels on a Deployment with facts that the admission policies need and cannot
// look up. An empty one is absent. The lock of a handover is not among them: see
// LabelHandover.
//
// +kubebuilder:object:generate=false
type Marks struct {
	// Rollout that guards the Deployment. Without it the guard ignores the Deployment.
	Rollout string `json:"rollout,omitempty"`
	// Run is the name of the run in progress, or its RunLabel.
	Run string `json:"run,omitempty"`
	// Rejected is the declared revision, if it was rejected.
	Rejected string `json:"rejected,omitempty"`
	// Narrowed is the Service that selects one version only during a run.
	Narrowed string `json:"narrowed,omitempty"`
}

// MarksOf reads the marks from a Deployment's labels.
func MarksOf(labels map[string]string) Marks {
	return Marks{Rollout: labels[LabelRollout], Run: labels[LabelRun], Rejected: labels[LabelRejected], Narrowed: labels[LabelNarrowed]}
}

// Labels are the marks as labels; one that must be absent has an empty value.
func (m Marks) Labels() map[string]string {
	return map[string]string{LabelRollout: m.Rollout, LabelRun: RunLabel(m.Run), LabelRejected: m.Rejected, LabelNarrowed: m.Narrowed}
}

// String lists the labels that are set.
func (m Marks) String() string {
	var set []string
	for _, label := range []struct{ name, value string }{{"rollout", m.Rollout}, {"run", m.Run}, {"rejected", m.Rejected}, {"narrowed", m.Narrowed}} {
		if label.value != "" {
			set = append(set, label.name+"="+label.value)
		}
	}
	if len(set) == 0 {
		return "none"
	}
	return strings.Join(set, ", ")
}

// WorkloadLabels are the keys of all labels that Belay sets on a Deployment: the
// marks, and the lock of a handover.
func WorkloadLabels() []string {
	return []string{LabelRollout, LabelRejected, LabelRun, LabelNarrowed, LabelHandover}
}
