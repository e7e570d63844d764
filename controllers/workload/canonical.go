package workload

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// normalise returns a form of a template in which two templates are equal exactly when
// they are equal for EqualIgnoreHash of the Deployment controller
// (pkg/controller/deployment/util/deployment_util.go: Semantic.DeepEqual without the
// label pod-template-hash). Decoding into the typed template drops values without
// meaning, such as nulls and empty maps; fields that the types do not know are then
// added again.
func normalise(template map[string]any) (map[string]any, error) {
	raw, err := json.Marshal(template)
	if err != nil {
		return nil, fmt.Errorf("encode the pod template: %w", err)
	}
	var typed corev1.PodTemplateSpec
	if err := utiljson.Unmarshal(raw, &typed); err != nil {
		return nil, fmt.Errorf("read the pod template: %w", err)
	}
	delete(typed.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	known, err := json.Marshal(typed)
	if err != nil {
		return nil, fmt.Errorf("encode the pod template: %w", err)
	}
	var generic map[string]any
	decoder := json.NewDecoder(bytes.NewReader(known))
	decoder.UseNumber() // a number of 64 bits must not lose its last digits
	if err := decoder.Decode(&generic); err != nil {
		return nil, fmt.Errorf("normalise the pod template: %w", err)
	}
	merged, _ := merge(reflect.TypeFor[corev1.PodTemplateSpec](), generic, template).(map[string]any)
	return merged, nil
}

var (
	quantityType    = reflect.TypeFor[resource.Quantity]()
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
)

// merge adds to known, a value that was decoded as type t, the fields of the original
// value given that the type does not know.
func merge(t reflect.Type, known, given any) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == quantityType {
		return canonicalQuantity(known)
	}
	if reflect.PointerTo(t).Implements(unmarshalerType) {
		return known
	}
	switch t.Kind() {
	case reflect.Struct:
		return mergeStruct(t, known, given)
	case reflect.Slice:
		list, ok := known.([]any)
		if !ok {
			return known
		}
		before, _ := given.([]any)
		for i := range list {
			var was any
			if i < len(before) {
				was = before[i]
			}
			list[i] = merge(t.Elem(), list[i], was)
		}
		return list
	case reflect.Map:
		entries, ok := known.(map[string]any)
		if !ok {
			return known
		}
		before, _ := given.(map[string]any)
		for key := range entries {
			entries[key] = merge(t.Elem(), entries[key], before[key])
		}
		return entries
	default:
		return known
	}
}

func mergeStruct(t reflect.Type, known, given any) any {
	entries, ok := known.(map[string]any)
	if !ok {
		return known
	}
	before, _ := given.(map[string]any)
	fields := fieldsOf(t)
	out := make(map[string]any, len(entries))
	for name, value := range entries {
		field, ok := fields[name]
		if !ok {
			out[name] = value
			continue
		}
		value = merge(field, value, before[name])
		if !isEmptyCollection(field, value) {
			out[name] = value
		}
	}
	for name, value := range before {
		field, isKnown := fields[name]
		switch {
		case value == nil:
		case !isKnown:
			out[name] = value
		case entries[name] == nil && field.Kind() == reflect.Struct:
			// All of its known fields are zero, but it has unknown ones.
			if rest, _ := mergeStruct(field, map[string]any{}, value).(map[string]any); len(rest) > 0 && !reflect.PointerTo(field).Implements(unmarshalerType) {
				out[name] = rest
			}
		}
	}
	return out
}

// isEmptyCollection reports whether a value is an empty map or list, which semantic
// equality treats as absent.
func isEmptyCollection(t reflect.Type, value any) bool {
	if t.Kind() != reflect.Map && t.Kind() != reflect.Slice {
		return false
	}
	switch v := value.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	default:
		return false
	}
}

var structFields sync.Map // of reflect.Type to map[string]reflect.Type; only a cache

// fieldsOf is the type of each field of a struct by its name in JSON.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if fields, ok := structFields.Load(t); ok {
		return fields.(map[string]reflect.Type)
	}
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-" || !field.IsExported():
		case name == "" && field.Anonymous:
			inner := field.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			for key, value := range fieldsOf(inner) {
				fields[key] = value
			}
		case name != "":
			fields[name] = field.Type
		}
	}
	structFields.Store(t, fields)
	return fields
}

// canonicalQuantity writes a quantity so that equal values have equal strings. Of the two
// notations, such as 1Gi and 1073741824, it uses the one with fewer digits, so that the
// usual notations stay unchanged: 512M, 2G, 1Gi, 1500m.
func canonicalQuantity(value any) any {
	text, ok := value.(string)
	if !ok {
		return value
	}
	q, err := resource.ParseQuantity(text)
	if err != nil {
		return value
	}
	amount := *q.AsDec()
	decimal := resource.NewDecimalQuantity(amount, resource.DecimalSI).String()
	binary := resource.NewDecimalQuantity(amount, resource.BinarySI).String()
	// The binary notation rounds fractions up, so it may have another value.
	same, err := resource.ParseQuantity(binary)
	if err != nil || same.Cmp(q) != 0 {
		return decimal
	}
	d, b := digits(decimal), digits(binary)
	if len(b) < len(d) || (len(b) == len(d) && b < d) {
		return binary
	}
	return decimal
}

// digits is the number in front of a quantity's suffix.
func digits(quantity string) string {
	return strings.TrimRight(quantity, "EPTGMKkimunep")
}
