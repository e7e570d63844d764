package workload

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// Limits of a described difference.
const (
	maxDifferences      = 3
	maxDifferenceValue  = 48
	maxDifferencePath   = 160
	maxDifferenceLength = 480
)

// Difference names the first fields, at most three, in which template b differs from
// template a for the Deployment controller, such as
//
//	spec.containers[0].resources.limits.cpu: "1" -> "2"
//
// The label pod-template-hash and other notations of the same value are not differences.
// A template with a field of the wrong type is compared without normalisation. The text
// is bounded and safe to show; it is empty when there is no difference.
func Difference(a, b map[string]any) string {
	was, errA := normalise(a)
	is, errB := normalise(b)
	if errA != nil || errB != nil {
		was, is = a, b
	}
	return difference(was, is)
}

func difference(a, b map[string]any) string {
	d := differ{}
	d.maps("", a, b)
	if d.found > len(d.shown) {
		d.shown = append(d.shown, fmt.Sprintf("and %d more", d.found-len(d.shown)))
	}
	return cut(strings.Join(d.shown, "; "), maxDifferenceLength)
}

type differ struct {
	shown []string
	found int
}

func (d *differ) maps(path string, a, b map[string]any) {
	keys := map[string]bool{}
	for key := range a {
		keys[key] = true
	}
	for key := range b {
		keys[key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		was, hadIt := a[key]
		is, hasIt := b[key]
		d.values(child(path, key), was, is, hadIt, hasIt)
	}
}

func (d *differ) values(path string, a, b any, inA, inB bool) {
	if inA && inB {
		switch was := a.(type) {
		case map[string]any:
			if is, ok := b.(map[string]any); ok {
				d.maps(path, was, is)
				return
			}
		case []any:
			if is, ok := b.([]any); ok {
				for i := range max(len(was), len(is)) {
					d.values(fmt.Sprintf("%s[%d]", path, i), at(was, i), at(is, i), i < len(was), i < len(is))
				}
				return
			}
		}
		if sameValue(a, b) {
			return
		}
	}
	d.found++
	if len(d.shown) < maxDifferences {
		d.shown = append(d.shown, fmt.Sprintf("%s: %s -> %s", cut(path, maxDifferencePath), shownValue(a, inA), shownValue(b, inB)))
	}
}

func at(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return nil
}

// sameValue compares values that are neither maps nor lists. A number may be a
// json.Number or a decoded one.
func sameValue(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	was, err := json.Marshal(a)
	if err != nil {
		return false
	}
	is, err := json.Marshal(b)
	return err == nil && string(was) == string(is)
}

func shownValue(v any, present bool) string {
	if !present {
		return "absent"
	}
	if s, ok := v.(string); ok {
		if len(s) > maxDifferenceValue {
			s = cut(s, maxDifferenceValue) + "…"
		}
		return fmt.Sprintf("%q", s)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return "unreadable"
	}
	// JSON escapes control characters, but not those that change the direction of text.
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, string(raw))
	if len(text) > maxDifferenceValue {
		return cut(text, maxDifferenceValue) + "…"
	}
	return text
}

// child appends a key to a path: as .name, or as ["app.kubernetes.io/name"] when the key
// is not a single word.
func child(path, key string) string {
	word := key != "" && len(key) <= 63 && strings.IndexFunc(key, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}) < 0
	switch {
	case !word:
		return fmt.Sprintf("%s[%.63q]", path, key)
	case path == "":
		return key
	default:
		return path + "." + key
	}
}
