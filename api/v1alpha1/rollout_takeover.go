package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TakeOver is how the Deployment takes a candidate over.
// +kubebuilder:validation:Enum=HandOver;Native;Bypass;Unserved
type TakeOver string

const (
	// TakeOverHandOver makes the Deployment the owner of the canary's ReplicaSet:
	// no pod is replaced.
	TakeOverHandOver TakeOver = "HandOver"
	// TakeOverNative lets the Deployment go on by its own strategy.
	TakeOverNative TakeOver = "Native"
	// TakeOverBypass is a person's: somebody with the verb bypass unpaused the
	// Deployment. Nothing was judged.
	TakeOverBypass TakeOver = "Bypass"
	// TakeOverUnserved lets the Deployment roll because nothing served: there was
	// nothing to compare with, and nothing to go back to.
	TakeOverUnserved TakeOver = "Unserved"
)

// PreviousRevision was stable once.
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
	// until is when another version took its place.
	// +required
	Until metav1.Time `json:"until"`
}

// DirectCallersStatus is whom callers of the user's Service reach.
type DirectCallersStatus struct {
	// mode in force: Stable where the Service is narrowed to the version that
	// serves, else Any.
	// +required
	Mode DirectCallers `json:"mode,omitempty"`
	// candidatePercent is the candidate's share of the ready pods behind the
	// user's Service: the share of direct calls it gets.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	CandidatePercent int32 `json:"candidatePercent"`
	// putBack counts how often somebody took the narrowed selector away in this
	// run, and Belay put it back.
	// +optional
	PutBack int32 `json:"putBack,omitempty"`
	// message says why mode is not what the spec asks for.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// Refusal is an effect that the API server did not take.
type Refusal struct {
	// effect that was refused, in words.
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
