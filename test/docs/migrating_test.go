package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/lint"
)

// peers are the pages about a move from another controller, and the record of its fields that
// hack/peerfields wrote. Ours is how many objects of Belay's the page shows at least.
var peers = []struct {
	page, fields string
	ours         int
}{
	{"migrating-from-argo-rollouts.md", "argo-rollouts.txt", 3},
	{"migrating-from-flagger.md", "flagger.txt", 3},
}

// everything in a field, in a row.
const everything = ".*"

// mapping is a row of a page's tables: a field of the peer's, or all that is in one, and what
// it becomes.
type mapping struct {
	kind, field, becomes string
	line                 int
}

// TestEveryFieldOfThePeersHasARow: each field that the peers' types have is in exactly one row,
// by its path or by the nearest one before it that ends in ".*"; no row is about a field that
// they do not have.
func TestEveryFieldOfThePeersHasARow(t *testing.T) {
	for _, peer := range peers {
		fields := peerFields(t, peer.fields)
		rows := mappings(t, peer.page, fields)
		for _, problem := range uncovered(fields, rows) {
			t.Errorf("docs/%s: %s", peer.page, problem)
		}
	}
}

// uncovered is what does not fit between the fields of each kind and the rows.
func uncovered(fields map[string][]string, rows []mapping) (problems []string) {
	byKind := map[string]map[string]bool{}
	for _, row := range rows {
		of := byKind[row.kind]
		if of == nil {
			of = map[string]bool{}
			byKind[row.kind] = of
		}
		if of[row.field] {
			problems = append(problems, row.kind+" "+row.field+" has two rows")
		}
		of[row.field] = true
		if path := strings.TrimSuffix(row.field, everything); !slices.Contains(fields[row.kind], path) {
			problems = append(problems, row.kind+" has no field "+path)
		} else if row.field != path && isLeaf(fields[row.kind], path) {
			problems = append(problems, row.kind+" has nothing in "+path)
		}
	}
	for kind, all := range fields {
		for _, path := range all {
			if isLeaf(all, path) && !covered(byKind[kind], path) {
				problems = append(problems, kind+" "+path+" has no row")
			}
		}
	}
	slices.Sort(problems)
	return problems
}

func isLeaf(all []string, path string) bool {
	return !slices.ContainsFunc(all, func(other string) bool { return strings.HasPrefix(other, path+".") })
}

func covered(rows map[string]bool, path string) bool {
	if rows[path] {
		return true
	}
	for at := strings.LastIndex(path, "."); at >= 0; at = strings.LastIndex(path[:at], ".") {
		if rows[path[:at]+everything] {
			return true
		}
	}
	return false
}

// pageOf reads a page of docs/.
func pageOf(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// peerFields reads the paths of each kind.
func peerFields(t *testing.T, name string) map[string][]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string][]string{}
	for line := range strings.Lines(string(raw)) {
		kind, path, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && kind != "#" {
			fields[kind] = append(fields[kind], path)
		}
	}
	if len(fields) < 3 {
		t.Fatalf("%s has only %d kinds", name, len(fields))
	}
	return fields
}

// mappings reads the rows below headings of the third level that name a kind. Their first cell
// has the fields, each in code.
func mappings(t *testing.T, page string, fields map[string][]string) (rows []mapping) {
	t.Helper()
	var kinds []string
	for i, line := range strings.Split(pageOf(t, page), "\n") {
		if strings.HasPrefix(line, "## ") || strings.HasPrefix(line, "### ") {
			kinds = nil
			for _, span := range codeSpan.FindAllStringSubmatch(line, -1) {
				if fields[span[1]] != nil {
					kinds = append(kinds, span[1])
				}
			}
		}
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "\x00"), "|")
		if len(kinds) == 0 || len(cells) != 4 || cells[0] != "" {
			continue
		}
		becomes := strings.TrimSpace(strings.ReplaceAll(cells[2], "\x00", "|"))
		for _, span := range codeSpan.FindAllStringSubmatch(cells[1], -1) {
			if becomes == "" {
				t.Errorf("docs/%s:%d: %s becomes nothing: say so", page, i+1, span[1])
			}
			for _, kind := range kinds {
				rows = append(rows, mapping{kind: kind, field: span[1], becomes: becomes, line: i + 1})
			}
		}
	}
	return rows
}

// ownField is a field of Belay's with its kind, and perhaps a value of it: "Rollout.spec.paused",
// "Rollout.spec.onDeadline: Rollback". nobodys is a path that does not say whose it is.
var (
	ownField = regexp.MustCompile(`^(Rollout|RolloutRun|Guardrail|ClusterGuardrail|MetricSource|CheckEndpoint)\.([A-Za-z0-9.[\]]+)(?:: ([A-Za-z]+))?$`)
	nobodys  = regexp.MustCompile(`^(spec|status)\.`)
)

// TestTheFieldsThatTheirsBecomeExist: each field of Belay's that a page about a move names is
// in the CRD of its kind, and takes the value that stands beside it.
func TestTheFieldsThatTheirsBecomeExist(t *testing.T) {
	schemas := ownSchemas(t)
	for _, peer := range peers {
		named := 0
		for i, line := range strings.Split(fenced.ReplaceAllStringFunc(pageOf(t, peer.page), blank), "\n") {
			for _, span := range codeSpan.FindAllStringSubmatch(line, -1) {
				m := ownField.FindStringSubmatch(span[1])
				if m == nil {
					continue
				}
				named++
				if problem := wrongField(schemas, m[1], m[2], m[3]); problem != "" {
					t.Errorf("docs/%s:%d: %s", peer.page, i+1, problem)
				}
			}
		}
		if named < 30 {
			t.Errorf("docs/%s names only %d fields of Belay's", peer.page, named)
		}
		for _, row := range mappings(t, peer.page, peerFields(t, peer.fields)) {
			for _, span := range codeSpan.FindAllStringSubmatch(row.becomes, -1) {
				if nobodys.MatchString(span[1]) {
					t.Errorf("docs/%s:%d: %s: write the kind in front of it", peer.page, row.line, span[1])
				}
			}
		}
	}
}

// blank keeps the lines of a block and nothing else of it.
func blank(block string) string { return strings.Repeat("\n", strings.Count(block, "\n")) }

func ownSchemas(t *testing.T) map[string]*apiextensionsv1.JSONSchemaProps {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "config", "crd", "belay.dev_*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	schemas := map[string]*apiextensionsv1.JSONSchemaProps{}
	for _, path := range files {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(raw, &crd); err != nil {
			t.Fatal(err)
		}
		schemas[crd.Spec.Names.Kind] = crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	}
	if len(schemas) < 6 {
		t.Fatalf("only %d kinds in config/crd", len(schemas))
	}
	return schemas
}

// wrongField says what is wrong with a path and a value, and nothing when they are right.
func wrongField(schemas map[string]*apiextensionsv1.JSONSchemaProps, kind, path, value string) string {
	at := schemas[kind]
	for part := range strings.SplitSeq(path, ".") {
		name, list := strings.CutSuffix(part, "[]")
		field, ok := at.Properties[name]
		switch {
		case !ok:
			return kind + " has no field " + path + " (" + name + ")"
		case list && field.Items == nil:
			return kind + "." + path + ": " + name + " is no list"
		case list:
			at = field.Items.Schema
		default:
			at = &field
		}
	}
	if value == "" || value == "true" || value == "false" {
		return ""
	}
	for _, one := range at.Enum {
		if string(one.Raw) == `"`+value+`"` {
			return ""
		}
	}
	return kind + "." + path + " cannot be " + value
}

// TestTheExamplesOfTheMovesAreFree of findings and advice of kubectl belay lint, for a service
// with 100 requests a second. What is the peer's own is no object of Belay's.
func TestTheExamplesOfTheMovesAreFree(t *testing.T) {
	for _, peer := range peers {
		var text []string
		for _, block := range manifestBlock.FindAllStringSubmatch(pageOf(t, peer.page), -1) {
			text = append(text, block[1]+block[2])
		}
		report, err := lint.New().Check([]lint.File{{Name: peer.page, Text: []byte(strings.Join(text, "\n---\n"))}}, lint.Options{Rate: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range report.Findings {
			t.Errorf("docs/%s: %s %s: %s: %s", peer.page, f.Object, f.Path, f.Wrong, f.Write)
		}
		if report.Checked < peer.ours || report.Others < 4 {
			t.Errorf("docs/%s has %d objects of Belay's and %d others", peer.page, report.Checked, report.Others)
		}
	}
}

// TestTheExamplesOfThePeersAreTheirs: each field of a peer's object in an example is one that
// the peer has.
func TestTheExamplesOfThePeersAreTheirs(t *testing.T) {
	for _, peer := range peers {
		fields, checked := peerFields(t, peer.fields), 0
		for _, block := range manifestBlock.FindAllStringSubmatch(pageOf(t, peer.page), -1) {
			for part := range strings.SplitSeq(block[1], "\n---\n") {
				var object struct {
					APIVersion, Kind string
					Spec             map[string]any
				}
				if err := yaml.Unmarshal([]byte(part), &object); err != nil {
					t.Fatal(err)
				}
				if fields[object.Kind] == nil || object.APIVersion == v1alpha1.GroupVersion.String() {
					continue
				}
				checked++
				for _, path := range unknownFields(fields[object.Kind], "spec", object.Spec) {
					t.Errorf("docs/%s: %s has no field %s", peer.page, object.Kind, path)
				}
			}
		}
		if checked < 2 {
			t.Errorf("docs/%s shows only %d objects of theirs", peer.page, checked)
		}
	}
}

// unknownFields walks a value as far as paths go.
func unknownFields(paths []string, at string, value any) (unknown []string) {
	switch v := value.(type) {
	case map[string]any:
		for key, child := range v {
			path := at + "." + key
			if _, list := child.([]any); list {
				path += "[]"
			}
			if !slices.Contains(paths, path) {
				unknown = append(unknown, path)
			} else if !isLeaf(paths, path) {
				unknown = append(unknown, unknownFields(paths, path, child)...)
			}
		}
	case []any:
		for _, child := range v {
			unknown = append(unknown, unknownFields(paths, at, child)...)
		}
	}
	return unknown
}

// TestMissingRowsAreFound shows that the comparison finds what it should.
func TestMissingRowsAreFound(t *testing.T) {
	fields := map[string][]string{"Canary": {"spec", "spec.weight", "spec.steps[]", "spec.steps[].pause", "spec.steps[].pause.duration", "spec.steps[].name"}}
	row := func(field string) mapping { return mapping{kind: "Canary", field: field} }
	for name, tc := range map[string]struct {
		rows []mapping
		want []string
	}{
		"whole":       {[]mapping{row("spec.weight"), row("spec.steps[].*")}, nil},
		"nearest":     {[]mapping{row("spec.weight"), row("spec.steps[].pause.duration"), row("spec.steps[].*")}, nil},
		"none":        {[]mapping{row("spec.weight"), row("spec.steps[].name")}, []string{"Canary spec.steps[].pause.duration has no row"}},
		"of a parent": {[]mapping{row("spec.weight"), row("spec.steps[].name"), row("spec.steps[].pause")}, []string{"Canary spec.steps[].pause.duration has no row"}},
		"unknown":     {[]mapping{row("spec.*"), row("spec.wieght")}, []string{"Canary has no field spec.wieght"}},
		"twice":       {[]mapping{row("spec.*"), row("spec.weight"), row("spec.weight")}, []string{"Canary spec.weight has two rows"}},
		"of a leaf":   {[]mapping{row("spec.weight.*"), row("spec.*")}, []string{"Canary has nothing in spec.weight"}},
	} {
		if got := uncovered(fields, tc.rows); !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
	written := map[string]any{"weight": 5, "steps": []any{map[string]any{"pause": map[string]any{"duration": "5m"}, "title": "a"}}}
	if got := unknownFields(fields["Canary"], "spec", written); !slices.Equal(got, []string{"spec.steps[].title"}) {
		t.Errorf("unknown fields of an example: %q", got)
	}
	schemas := ownSchemas(t)
	for path, right := range map[string]bool{
		"spec.steps[].hold": true, "spec.steps[].holds": false, "spec.steps.hold": false, "spec.paused[]": false,
	} {
		if problem := wrongField(schemas, "Rollout", path, ""); (problem == "") != right {
			t.Errorf("%s: %q", path, problem)
		}
	}
	if wrongField(schemas, "Rollout", "spec.onDeadline", "Rollback") != "" || wrongField(schemas, "Rollout", "spec.onDeadline", "Abort") == "" {
		t.Error("values of spec.onDeadline are not told apart")
	}
}
