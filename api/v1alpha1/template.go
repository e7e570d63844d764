package v1alpha1

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func decodeTemplate(raw runtime.RawExtension) (*corev1.PodTemplateSpec, error) {
	template := &corev1.PodTemplateSpec{}
	if err := json.Unmarshal(raw.Raw, template); err != nil {
		return nil, fmt.Errorf("decode the pinned pod template: %w", err)
	}
	return template, nil
}

// PodTemplate decodes the candidate's template.
func (s *RolloutRunSpec) PodTemplate() (*corev1.PodTemplateSpec, error) {
	return decodeTemplate(s.Template)
}
