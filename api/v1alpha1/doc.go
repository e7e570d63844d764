// Package v1alpha1 is the API group belay.dev: its kinds, the closed sets of their
// conditions and reasons, and pure functions over them. It uses no API server and decides
// nothing.
//
// +kubebuilder:object:generate=true
// +groupName=belay.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of every kind in this package.
var GroupVersion = schema.GroupVersion{Group: "belay.dev", Version: "v1alpha1"}

// AddToScheme registers every kind of this package with a runtime scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&Rollout{}, &RolloutList{},
		&Guardrail{}, &GuardrailList{},
		&ClusterGuardrail{}, &ClusterGuardrailList{},
		&Freeze{}, &FreezeList{},
		&ClusterFreeze{}, &ClusterFreezeList{},
		&MetricSource{}, &MetricSourceList{},
		&CheckEndpoint{}, &CheckEndpointList{},
		&RolloutRun{}, &RolloutRunList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
