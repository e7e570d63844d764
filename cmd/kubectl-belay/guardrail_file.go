package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/documents"
	"belay.dev/belay/controllers/lint"
	"belay.dev/belay/controllers/view"
)

// guardrailIn reads a Guardrail or ClusterGuardrail from a file, as the API server would take
// it: with its defaults, and no field that it does not know. Without a name it is the only
// one of the file.
func guardrailIn(ctx context.Context, path, name string) (v1alpha1.GuardrailSpec, string, error) {
	var none v1alpha1.GuardrailSpec
	raw, err := readNamed(ctx, path)
	if err != nil {
		return none, "", err
	}
	var found []*unstructured.Unstructured
	for _, d := range documents.Split(raw) {
		_, object, err := d.Parsed()
		if err == nil && object != nil {
			u := &unstructured.Unstructured{}
			err = utiljson.Unmarshal(object, &u.Object)
			if kind := u.GetKind(); (kind == "Guardrail" || kind == "ClusterGuardrail") && (name == "" || u.GetName() == name) {
				found = append(found, u)
			}
		}
		if err != nil {
			return none, "", fmt.Errorf("read %s, from line %d: %w", path, d.Offset+1, err)
		}
	}
	switch {
	case len(found) == 0 && name == "":
		return none, "", usage(fmt.Errorf("%s has no Guardrail or ClusterGuardrail", path))
	case len(found) == 0:
		return none, "", usage(fmt.Errorf("%s has no Guardrail or ClusterGuardrail named %q", path, name))
	case len(found) > 1 && name == "":
		return none, "", usage(fmt.Errorf("%s has %d guardrails, and one is judged: name it", path, len(found)))
	case len(found) > 1:
		return none, "", usage(fmt.Errorf("%s has %d guardrails named %q, and one is judged", path, len(found), name))
	}
	spec, err := defaultedSpec(found[0])
	if err != nil {
		return none, "", fmt.Errorf("%s, %s %s: %w", path, found[0].GetKind(), found[0].GetName(), err)
	}
	return spec, found[0].GetNamespace(), nil
}

// defaultedSpec decodes the spec of a guardrail after the definition's defaults were filled in.
func defaultedSpec(u *unstructured.Unstructured) (v1alpha1.GuardrailSpec, error) {
	if err := lint.Default(u.GetKind(), u.Object); err != nil {
		return v1alpha1.GuardrailSpec{}, err
	}
	converter := runtime.DefaultUnstructuredConverter
	if u.GetKind() == "ClusterGuardrail" {
		g := &v1alpha1.ClusterGuardrail{}
		err := converter.FromUnstructuredWithValidation(u.Object, g, true)
		return g.Spec.GuardrailSpec, readable(err)
	}
	g := &v1alpha1.Guardrail{}
	err := converter.FromUnstructuredWithValidation(u.Object, g, true)
	return g.Spec, readable(err)
}

func readable(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(view.Text(strings.TrimPrefix(err.Error(), "strict decoding error: "), 600))
}
