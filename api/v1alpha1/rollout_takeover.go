package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TakeOver is how a candidate becomes the workload's version.
// +kubebuilder:validation:Enum=HandOver;Native;Bypass;Unserved
type TakeOver string

const (
	// TakeOverHandOver means: the Deployment becomes the owner of the canary's ReplicaSet, and no
	// pod is replaced. Of a StatefulSet the last pod gets the candidate, too.
	TakeOverHandOver TakeOver = "HandOver"
	// TakeOverNative means: a Deployment rolls out by its own strategy.
	TakeOverNative TakeOver = "Native"
	// TakeOverBypass means: somebody with the verb bypass unpaused the Deployment, or lowered
	// the partition of the StatefulSet, without Belay's checks.
	TakeOverBypass TakeOver = "Bypass"
	// TakeOverUnserved means: the workload rolls out without steps because stable has no ready
	// pod, so that there is nothing to compare with or to go back to.
	TakeOverUnserved TakeOver = "Unserved"
)

// PreviousRevision is a revision that was stable before.
type PreviousRevision struct {
	// revision of the template.
	// +required
	// +kubebuilder:validation:MaxLength=10
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{10}$`
	Revision string `json:"revision"`
	// image of its first container.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`
	// until is when another version became stable.
	// +required
	Until metav1.Time `json:"until"`
}

// PreviewStatus says by which Service the candidate is reached, whatever its weight.
type PreviewStatus struct {
	// service is the name of the Service, in the Rollout's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Service string `json:"service,omitempty"`
	// revision whose pods it selects.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=10
	Revision string `json:"revision,omitempty"`
}

// DirectCallersStatus is which versions callers of the user's Service reach.
type DirectCallersStatus struct {
	// mode in effect: Stable when the Service selects only the version that serves, or
	// else Any.
	// +required
	Mode DirectCallers `json:"mode,omitempty"`
	// candidatePercent is the candidate's percentage of the ready pods behind the user's
	// Service, and so of the direct requests.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	CandidatePercent int32 `json:"candidatePercent"`
	// putBack is how often in this run something else removed Belay's selector from the
	// Service, and Belay set it again.
	// +optional
	PutBack int32 `json:"putBack,omitempty"`
	// message is why mode is not the one in spec.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// Refusal is a write that the API server refused.
type Refusal struct {
	// effect is a description of the write.
	// +required
	// +kubebuilder:validation:MaxLength=256
	Effect string `json:"effect"`
	// message of the API server, sanitised.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message"`
	// since is when it was first refused.
	// +required
	Since metav1.Time `json:"since"`
}
