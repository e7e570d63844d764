package v1alpha1

import (
	"strings"
	"testing"
)

func TestABoundedText(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		limit int
		want  string
	}{
		"short":                  {"quota", 8, "quota"},
		"as long as may be":      {"12345678", 8, "12345678"},
		"too long":               {"123456789", 8, "12345..."},
		"cut between characters": {strings.Repeat("é", 9), 8, "éé..."},
		"not UTF-8":              {"a\xffb", 8, "ab"},
		"of no characters":       {"", 3, ""},
	} {
		if got := Bounded(c.text, c.limit); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
