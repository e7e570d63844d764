package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// property is what a test reads of values.schema.json.
type property struct {
	Description string              `json:"description"`
	Type        any                 `json:"type"`
	Properties  map[string]property `json:"properties"`
	Additional  any                 `json:"additionalProperties"`
}

// TestInstallListsEveryValue: the table of docs/install.md has a row for each value of
// the schema, with its default and the schema's own words.
func TestInstallListsEveryValue(t *testing.T) {
	g := NewWithT(t)
	of := loaded(t)
	var schema property
	g.Expect(json.Unmarshal(of.Schema, &schema)).To(Succeed())
	// A release sets these two.
	of.Values["image"].(map[string]any)["repository"], of.Values["image"].(map[string]any)["digest"] = "the release's", "the release's"
	want := rows(t, "", schema, of.Values)
	page, err := os.ReadFile(filepath.Join(root, "docs", "install.md"))
	g.Expect(err).NotTo(HaveOccurred())
	_, table, _ := strings.Cut(string(page), "\n## Values\n")
	table, _, _ = strings.Cut(table, "\n## ")
	got := regexp.MustCompile("(?m)^\\| `.*$").FindAllString(table, -1)
	slices.Sort(got)
	slices.Sort(want)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the table of values in docs/install.md should have these rows:\n%s", strings.Join(want, "\n"))
	}
}

// rows are those of the values below a path. An object is one value when it has a
// description, else each of its properties is.
func rows(t *testing.T, path string, of property, defaults map[string]any) []string {
	t.Helper()
	var out []string
	for name, inner := range of.Properties {
		if path+name == "global" {
			continue
		}
		value, ok := defaults[name]
		if !ok {
			t.Errorf("values.yaml has no %s%s", path, name)
		}
		if inner.Description == "" {
			out = append(out, rows(t, path+name+".", inner, value.(map[string]any))...)
			continue
		}
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		text := "`" + string(raw) + "`"
		if value == "the release's" {
			text = "the release's"
		}
		out = append(out, fmt.Sprintf("| `%s%s` | %s | %s |", path, name, text, inner.Description))
	}
	for name := range defaults {
		if _, ok := of.Properties[name]; !ok {
			t.Errorf("the schema has no %s%s", path, name)
		}
	}
	return out
}

// TestTheSchemaIsClosed: every object of it that lists its properties refuses others.
func TestTheSchemaIsClosed(t *testing.T) {
	var schema property
	NewWithT(t).Expect(json.Unmarshal(loaded(t).Schema, &schema)).To(Succeed())
	var check func(string, property)
	check = func(path string, of property) {
		if len(of.Properties) > 0 && of.Additional != false {
			t.Errorf("%s accepts misspelt properties", path)
		}
		for name, inner := range of.Properties {
			check(path+"."+name, inner)
		}
	}
	check("values", schema)
}
