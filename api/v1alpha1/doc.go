// Package v1alpha1 is Belay's contract with its users: the kinds of the API
// group belay.dev, their conditions and reasons as closed sets, and pure
// helpers over them. It talks to no API server and decides nothing.
//
// +kubebuilder:object:generate=true
// +groupName=belay.dev
package v1alpha1

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/scheme"
)

// GroupVersion is the API group and version every kind here belongs to.
var GroupVersion = schema.GroupVersion{Group: "belay.dev", Version: "v1alpha1"}

// AddToScheme registers every kind of this package with a runtime scheme.
var AddToScheme = builder().AddToScheme

func builder() *scheme.Builder {
	b := &scheme.Builder{GroupVersion: GroupVersion}
	return b.Register(
		&Rollout{}, &RolloutList{},
		&Guardrail{}, &GuardrailList{},
		&ClusterGuardrail{}, &ClusterGuardrailList{},
		&MetricSource{}, &MetricSourceList{},
		&RolloutRun{}, &RolloutRunList{},
	)
}
