package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestNamespaces(t *testing.T) {
	for text, c := range map[string]struct {
		want []string
		err  string
	}{
		"":                  {},
		"shop":              {want: []string{"shop"}},
		"shop,search":       {want: []string{"search", "shop"}},
		"shop, search,shop": {want: []string{"search", "shop"}},
		"shop,":             {err: `"" is no name of a namespace`},
		"*":                 {err: `"*" is no name of a namespace`},
		"Shop":              {err: "write names with commas between them, such as shop,search"},
	} {
		var n namespaceList
		err := n.Set(text)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		got := slices.Sorted(maps.Keys(cacheOptions(n).DefaultNamespaces))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: the cache has %q (%v), want %q", text, got, err, c.want)
		}
	}
}
