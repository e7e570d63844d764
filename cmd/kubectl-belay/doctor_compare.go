package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/config"
)

// difference is the first place where an object lacks what a manifest of this version has;
// empty when there is none. What the object has beside it does not count: the API server
// fills in defaults.
func difference(manifest, object any, at string) string {
	switch want := manifest.(type) {
	case map[string]any:
		have, ok := object.(map[string]any)
		if !ok {
			return at
		}
		for _, key := range slices.Sorted(maps.Keys(want)) {
			// A description is for people, and changes more often than what it is about.
			if text, ok := want[key].(string); ok && key == "description" && text != "" {
				continue
			}
			if d := difference(want[key], have[key], strings.TrimPrefix(at+"."+key, ".")); d != "" {
				return d
			}
		}
	case []any:
		have, ok := object.([]any)
		if !ok && len(want) > 0 || len(have) != len(want) {
			return at
		}
		for i := range want {
			if d := difference(want[i], have[i], fmt.Sprintf("%s[%d]", at, i)); d != "" {
				return d
			}
		}
	case string:
		if have, ok := object.(string); !ok || strings.TrimRight(have, "\n") != strings.TrimRight(want, "\n") {
			return at
		}
	default:
		if number(manifest) != number(object) {
			return at
		}
	}
	return ""
}

// number makes one type of the numbers that decoders return.
func number(value any) any {
	switch n := value.(type) {
	case int64:
		return float64(n)
	case int:
		return float64(n)
	default:
		return value
	}
}

// differs compares what decides how an object works: all but its metadata and status.
func differs(manifest, object *unstructured.Unstructured) string {
	want := maps.Clone(manifest.Object)
	for _, key := range []string{"apiVersion", "kind", "metadata", "status"} {
		delete(want, key)
	}
	return difference(want, object.Object, "")
}

// renamed is a manifest for a controller with another identity.
func renamed(manifest *unstructured.Unstructured, identity string) *unstructured.Unstructured {
	out := manifest.DeepCopy()
	out.Object, _ = replaced(out.Object, config.Identity, identity).(map[string]any)
	return out
}

func replaced(in any, old, now string) any {
	switch value := in.(type) {
	case map[string]any:
		for key := range value {
			value[key] = replaced(value[key], old, now)
		}
	case []any:
		for i := range value {
			value[i] = replaced(value[i], old, now)
		}
	case string:
		return strings.ReplaceAll(value, old, now)
	}
	return in
}

var serviceAccount = regexp.MustCompile(`system:serviceaccount:[a-z0-9-]+:[a-z0-9.-]+`)

// identityIn is the ServiceAccount that a policy names; the manifests' without one.
func identityIn(object *unstructured.Unstructured) string {
	raw, err := object.MarshalJSON()
	if found := serviceAccount.Find(raw); err == nil && found != nil {
		return string(found)
	}
	return config.Identity
}
