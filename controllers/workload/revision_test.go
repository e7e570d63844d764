package workload

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"

	"belay.dev/belay/api/v1alpha1"
)

func templateOf(t testing.TB, text string) map[string]any {
	t.Helper()
	template, err := DecodeTemplate([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func revision(t testing.TB, template map[string]any) string {
	t.Helper()
	r, err := RevisionOf(template)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRevisionsOfTheFirstEdition: what is stored as stable or rejected keeps its
// meaning. The revisions were computed by the first edition.
func TestRevisionsOfTheFirstEdition(t *testing.T) {
	raw, err := os.ReadFile("testdata/templates.json")
	if err != nil {
		t.Fatal(err)
	}
	var templates map[string]map[string]any
	if err := json.Unmarshal(raw, &templates); err != nil {
		t.Fatal(err)
	}
	golden := map[string]string{
		"minimal":                         "4a45a2ab1d",
		"as the API server returns it":    "7aaae3602a",
		"with the hash of its ReplicaSet": "4a45a2ab1d",
		"ordinary quantities":             "1f3db31fb4",
	}
	if len(templates) != len(golden) {
		t.Fatalf("%d templates, %d revisions", len(templates), len(golden))
	}
	for name, want := range golden {
		if got := revision(t, templates[name]); got != want {
			canonical, _ := CanonicalTemplate(templates[name])
			t.Errorf("%s: revision %s, want %s: %s", name, got, want, canonical)
		}
	}
}

// variants are, for each place in a template, ways to write it; some mean the
// same.
var variants = []struct {
	path   []string
	values []string
}{
	{[]string{"metadata", "name"}, []string{``, `""`, `"web"`}},
	{[]string{"metadata", "generateName"}, []string{``, `"web-"`}},
	{[]string{"metadata", "creationTimestamp"}, []string{``, `null`}},
	{[]string{"metadata", "finalizers"}, []string{``, `[]`, `["a"]`}},
	{[]string{"metadata", "annotations"}, []string{``, `{}`, `{"a":""}`, `{"a":"1"}`}},
	{[]string{"metadata", "labels"}, []string{`{"app":"shop"}`, `{"app":"shop","pod-template-hash":"1"}`, `{"app":"shop","belay.dev/revision":"1"}`, `{"app":"shop","belay.dev/role":"canary"}`}},
	{[]string{"spec", "securityContext"}, []string{``, `null`, `{}`, `{"runAsUser":0}`, `{"runAsUser":9007199254740993}`, `{"runAsUser":9007199254740992}`}},
	{[]string{"spec", "nodeSelector"}, []string{``, `{}`, `{"a":"b"}`}},
	{[]string{"spec", "overhead"}, []string{``, `{}`, `{"cpu":"1000m"}`, `{"cpu":"1"}`, `{"cpu":"1100m"}`, `{"cpu":"1.1"}`}},
	{[]string{"spec", "terminationGracePeriodSeconds"}, []string{``, `0`, `30`}},
	{[]string{"spec", "hostNetwork"}, []string{``, `false`, `true`}},
	{[]string{"spec", "enableServiceLinks"}, []string{``, `false`, `true`}},
	{[]string{"spec", "volumes"}, []string{``, `[]`, `[{"name":"v","emptyDir":{}}]`, `[{"name":"v","emptyDir":{"sizeLimit":"2G"}}]`, `[{"name":"v","emptyDir":{"sizeLimit":"2000000000"}}]`, `[{"name":"v"}]`}},
	{[]string{"spec", "tolerations"}, []string{``, `[]`, `[{"key":"a"},{"key":"b"}]`, `[{"key":"b"},{"key":"a"}]`}},
	{[]string{"spec", "affinity"}, []string{``, `{}`, `{"nodeAffinity":{}}`}},
	{[]string{"spec", "containers"}, []string{
		`[{"name":"app","image":"a"}]`,
		`[{"name":"app","image":"a","resources":{}}]`,
		`[{"name":"app","image":"a","resources":{"limits":{}}}]`,
		`[{"name":"app","image":"a","resources":{"limits":{"memory":"1Gi"}}}]`,
		`[{"name":"app","image":"a","resources":{"limits":{"memory":"1073741824"}}}]`,
		`[{"name":"app","image":"a","resources":{"limits":{"memory":"1024Mi"}}}]`,
		`[{"name":"app","image":"a","resources":{"limits":{"memory":"1G"}}}]`,
		`[{"name":"app","image":"a","resources":{"limits":{"memory":"1e9"}}}]`,
		`[{"name":"app","image":"a","args":[]}]`,
		`[{"name":"app","image":"a","args":["x"]}]`,
		`[{"name":"app","image":"a","livenessProbe":{"httpGet":{"port":80}}}]`,
		`[{"name":"app","image":"a","livenessProbe":{"httpGet":{"port":"80"}}}]`,
		`[{"name":"app","image":"a","env":[{"name":"A","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":"0"}}}]}]`,
		`[{"name":"app","image":"a","env":[{"name":"A","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu"}}}]}]`,
		`[{"name":"app","image":"a","env":[{"name":"A","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":"1m"}}}]}]`,
	}},
}

// build writes a template with one variant for each place.
func build(t testing.TB, choice []int) map[string]any {
	template := map[string]any{"metadata": map[string]any{}, "spec": map[string]any{}}
	for i, v := range variants {
		text := v.values[choice[i]]
		if text == "" {
			continue
		}
		var value any
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
		template[v.path[0]].(map[string]any)[v.path[1]] = value
	}
	return template
}

// typed is the template as the Deployment controller sees it, without the label
// that its comparison leaves out.
func typed(t testing.TB, template map[string]any) corev1.PodTemplateSpec {
	t.Helper()
	raw, err := json.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	var spec corev1.PodTemplateSpec
	if err := json.Unmarshal(raw, &spec); err != nil {
		t.Fatal(err)
	}
	delete(spec.Labels, "pod-template-hash")
	return spec
}

// TestARevisionIsTheDeploymentControllersEquality compares pairs of templates,
// those that differ in one place all, and others by chance.
func TestARevisionIsTheDeploymentControllersEquality(t *testing.T) {
	compare := func(one, other []int) {
		t.Helper()
		a, b := build(t, one), build(t, other)
		same := equality.Semantic.DeepEqual(typed(t, a), typed(t, b))
		if (revision(t, a) == revision(t, b)) != same {
			ja, _ := CanonicalTemplate(a)
			jb, _ := CanonicalTemplate(b)
			t.Errorf("semantically equal %v, revisions %s and %s:\n%s\n%s", same, revision(t, a), revision(t, b), ja, jb)
		}
		if difference := differenceOf(t, a, b); (difference == "") != same {
			t.Errorf("semantically equal %v, difference %q", same, difference)
		}
	}
	pairs, equal := 0, 0
	for place, v := range variants {
		for i := range v.values {
			for j := range i {
				one, other := make([]int, len(variants)), make([]int, len(variants))
				one[place], other[place] = i, j
				compare(one, other)
				pairs++
			}
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 1500 {
		one := make([]int, len(variants))
		for i, v := range variants {
			one[i] = random.IntN(len(v.values))
		}
		other := append([]int(nil), one...)
		for range 1 + random.IntN(2) {
			place := random.IntN(len(variants))
			other[place] = random.IntN(len(variants[place].values))
		}
		compare(one, other)
		if equality.Semantic.DeepEqual(typed(t, build(t, one)), typed(t, build(t, other))) {
			equal++
		}
	}
	if pairs < 150 || equal < 150 || equal > 1350 {
		t.Errorf("%d pairs in one place, %d of 1500 random ones equal: the test shows little", pairs, equal)
	}
}

func differenceOf(t testing.TB, a, b map[string]any) string {
	t.Helper()
	na, err := normalise(a)
	if err != nil {
		t.Fatal(err)
	}
	nb, err := normalise(b)
	if err != nil {
		t.Fatal(err)
	}
	return Difference(na, nb)
}

// TestFieldsOfANewerKubernetesCount: what Belay's types do not know is part of
// the version, wherever it stands.
func TestFieldsOfANewerKubernetesCount(t *testing.T) {
	const plain = `{"metadata":{"labels":{"app":"shop"}},"spec":{"containers":[{"name":"a","image":"a"},{"name":"b","image":"b"}]}}`
	base := revision(t, templateOf(t, plain))
	seen := map[string]string{base: plain}
	for _, text := range []string{
		`{"metadata":{"labels":{"app":"shop"}},"spec":{"aField":true,"containers":[{"name":"a","image":"a"},{"name":"b","image":"b"}]}}`,
		`{"metadata":{"labels":{"app":"shop"}},"spec":{"aField":false,"containers":[{"name":"a","image":"a"},{"name":"b","image":"b"}]}}`,
		`{"metadata":{"labels":{"app":"shop"}},"spec":{"containers":[{"name":"a","image":"a","aField":true},{"name":"b","image":"b"}]}}`,
		`{"metadata":{"labels":{"app":"shop"}},"spec":{"containers":[{"name":"a","image":"a"},{"name":"b","image":"b","aField":true}]}}`,
		`{"metadata":{"labels":{"app":"shop"}},"spec":{"containers":[{"name":"a","image":"a"},{"name":"b","image":"b","resources":{"aField":{"x":[1]}}}]}}`,
		`{"metadata":{"labels":{"app":"shop"}},"spec":{"containers":[{"name":"a","image":"a"},{"name":"b","image":"b","resources":{"aField":{"x":[2]}}}]}}`,
		`{"metadata":{"labels":{"app":"shop"}},"spec":{"securityContext":{"aField":"x"},"containers":[{"name":"a","image":"a"},{"name":"b","image":"b"}]}}`,
		`{"metadata":{"labels":{"app":"shop"}},"spec":{"Containers":[],"containers":[{"name":"a","image":"a"},{"name":"b","image":"b"}]}}`,
		`{"metadata":{"labels":{"app":"shop"},"aField":"x"},"spec":{"containers":[{"name":"a","image":"a"},{"name":"b","image":"b"}]}}`,
		`{"aField":"x","metadata":{"labels":{"app":"shop"}},"spec":{"containers":[{"name":"a","image":"a"},{"name":"b","image":"b"}]}}`,
	} {
		r := revision(t, templateOf(t, text))
		if other, ok := seen[r]; ok {
			t.Errorf("%s and %s share revision %s", text, other, r)
		}
		seen[r] = text
	}
	if r := revision(t, templateOf(t, `{"metadata":{"labels":{"app":"shop"}},"spec":{"aField":null,"containers":[{"name":"a","image":"a"},{"name":"b","image":"b"}]}}`)); r != base {
		t.Error("a null counts, though the API server keeps none")
	}
}

// TestTheCanonicalTemplateIsATemplate: what a run pins has the revision of what it
// was made from.
func TestTheCanonicalTemplateIsATemplate(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		choice := make([]int, len(variants))
		for i, v := range variants {
			choice[i] = random.IntN(len(v.values))
		}
		template := build(t, choice)
		template["spec"].(map[string]any)["aField"] = map[string]any{"x": "1"}
		before := fmt.Sprint(template)
		canonical, err := CanonicalTemplate(template)
		if err != nil {
			t.Fatal(err)
		}
		if again := revision(t, templateOf(t, string(canonical))); again != revision(t, template) {
			t.Errorf("%s becomes %s", canonical, again)
		}
		if fmt.Sprint(template) != before {
			t.Fatal("the given template was changed")
		}
	}
}

func TestCanonicalQuantities(t *testing.T) {
	for text, want := range map[string]string{
		"500m": "500m", "0.5": "500m", "1000m": "1", "1.5": "1500m", "0": "0", "3": "3", "100": "100",
		"1Gi": "1Gi", "1073741824": "1Gi", "1024Mi": "1Gi", "1.5Gi": "1536Mi", "1000Mi": "1000Mi", "1536Mi": "1536Mi",
		"1G": "1G", "2G": "2G", "2000M": "2G", "2e9": "2G", "512M": "512M", "1T": "1T", "100k": "100k",
		"0.5Ki": "512", "1n": "1n", "100u": "100u", "9223372036854775807": "9223372036854775807",
	} {
		got := canonicalQuantity(text)
		if got != want {
			t.Errorf("%s becomes %v, want %s", text, got, want)
		}
		one, other := resource.MustParse(text), resource.MustParse(got.(string))
		if one.Cmp(other) != 0 {
			t.Errorf("%s becomes %v, which is another value", text, got)
		}
	}
}

func TestUnreadableTemplatesAreErrors(t *testing.T) {
	for _, text := range []string{`{"spec":{"containers":"none"}}`, `{"spec":{"containers":[{"resources":{"limits":{"cpu":"a lot"}}}]}}`} {
		if _, err := RevisionOf(templateOf(t, text)); err == nil {
			t.Errorf("%s has a revision", text)
		}
		if _, err := Describe(templateOf(t, text)); err == nil {
			t.Errorf("%s is described", text)
		}
	}
}

func TestDescribe(t *testing.T) {
	long := make([]byte, 600)
	for i := range long {
		long[i] = 'x'
	}
	text := `{"spec":{"containers":[{"name":"app","image":"shop:1"},{"name":"side","image":"` + string(long) + `"}`
	for i := range 40 {
		text += fmt.Sprintf(`,{"name":"c%d","image":"c"}`, i)
	}
	r, err := Describe(templateOf(t, text+`]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if r.Image != "shop:1" || len(r.Images) != 32 || r.Images[0] != (v1alpha1.ContainerImage{Container: "app", Image: "shop:1"}) || len(r.Images[1].Image) != 512 || len(r.Revision) != 10 {
		t.Errorf("described as %q with %d images, the second of %d bytes", r.Image, len(r.Images), len(r.Images[1].Image))
	}
}

func BenchmarkRevisionOf(b *testing.B) {
	raw, err := os.ReadFile("testdata/templates.json")
	if err != nil {
		b.Fatal(err)
	}
	var templates map[string]map[string]any
	if err := json.Unmarshal(raw, &templates); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := RevisionOf(templates["as the API server returns it"]); err != nil {
			b.Fatal(err)
		}
	}
}

// TestBaseRevisions: two templates have the same one exactly when nothing but listed annotations
// differs.
func TestBaseRevisions(t *testing.T) {
	with := func(metadata, image string) map[string]any {
		return templateOf(t, `{"metadata":`+metadata+`,"spec":{"containers":[{"name":"shop","image":"`+image+`"}]}}`)
	}
	listed := []string{"example.com/restartedAt", "checksum"}
	plain := with(`{"labels":{"app":"shop"}}`, "shop:1")
	base := func(template map[string]any, keys []string) string {
		t.Helper()
		before := revision(t, template)
		got, err := BaseRevision(template, before, keys)
		if err != nil {
			t.Fatal(err)
		}
		if after := revision(t, template); after != before {
			t.Fatalf("the template was changed")
		}
		return got
	}
	want := revision(t, plain)
	for name, c := range map[string]struct {
		metadata, image string
		same            bool
	}{
		"none of them":            {`{"labels":{"app":"shop"}}`, "shop:1", true},
		"one added":               {`{"labels":{"app":"shop"},"annotations":{"checksum":"1"}}`, "shop:1", true},
		"both added":              {`{"labels":{"app":"shop"},"annotations":{"checksum":"1","example.com/restartedAt":"now"}}`, "shop:1", true},
		"an empty one":            {`{"labels":{"app":"shop"},"annotations":{"checksum":""}}`, "shop:1", true},
		"another annotation":      {`{"labels":{"app":"shop"},"annotations":{"checksum":"1","team":"a"}}`, "shop:1", false},
		"a label of the same key": {`{"labels":{"app":"shop","checksum":"1"}}`, "shop:1", false},
		"another image":           {`{"labels":{"app":"shop"},"annotations":{"checksum":"1"}}`, "shop:2", false},
	} {
		template := with(c.metadata, c.image)
		if got := base(template, listed); (got == want) != c.same {
			t.Errorf("%s: base revision %s, of the plain template %s", name, got, want)
		}
		if got := base(template, nil); got != "" {
			t.Errorf("%s: base revision %q although nothing is listed", name, got)
		}
	}
	if _, err := BaseRevision(map[string]any{"metadata": map[string]any{"annotations": int64(7)}}, "", listed); err == nil {
		t.Error("annotations that are none are accepted")
	}
}
