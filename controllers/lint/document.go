package lint

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/documents"
)

// object is one object of Belay's kinds in a file, or a workload.
type object struct {
	file, kind, namespace, name string
	// node is its place in the file, from the line after offset on.
	node   *yamlnode.Node
	offset int
	value  map[string]any

	findings []Finding
}

// into decodes the object.
func (o *object) into(typed any) error {
	raw, err := utiljson.Marshal(o.value)
	if err != nil {
		return err
	}
	return utiljson.Unmarshal(raw, typed)
}

func (o *object) add(level Level, path, wrong, write string) {
	o.findings = append(o.findings, Finding{File: o.file, Line: o.line(path), Level: level, Object: o.kind + " " + v1alpha1.Bounded(o.name, 253), Path: path,
		Wrong: v1alpha1.Bounded(wrong, 1024), Write: v1alpha1.Bounded(write, 512)})
}

// read splits a file into documents, as kubectl does, and returns the objects of Belay's
// kinds, and workloads. What cannot be parsed is a finding only where it speaks of Belay.
func read(file File) (in []*object, others int, findings []Finding) {
	for _, d := range documents.Split(file.Text) {
		o, more, err := parse(file.Name, d)
		in, others = append(in, o...), others+more
		if err == nil {
			continue
		}
		if !errors.As(err, new(wrong)) && !bytes.Contains([]byte(d.Text), []byte(v1alpha1.GroupVersion.Group+"/")) {
			others++
			continue
		}
		findings = append(findings, unreadable(file.Name, d, err))
	}
	return in, others, findings
}

// wrong is an error at a line of a document.
type wrong struct {
	line        int
	said, write string
}

func (w wrong) Error() string { return w.said }

var lineOf = regexp.MustCompile(`line (\d+):? ?`)

func unreadable(file string, d documents.Document, err error) Finding {
	f := Finding{File: file, Line: d.Offset + 1, Level: Error}
	var at wrong
	if errors.As(err, &at) {
		f.Line, f.Wrong, f.Write = d.Offset+max(at.line, 1), at.said, at.write
		return f
	}
	said := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "error converting YAML to JSON: "), "yaml: ")
	if m := lineOf.FindStringSubmatchIndex(said); m != nil {
		if n, err := strconv.Atoi(said[m[2]:m[3]]); err == nil {
			f.Line = d.Offset + n
		}
		said = said[:m[0]] + said[m[1]:]
	}
	f.Wrong = v1alpha1.Bounded("this is no YAML: "+strings.Join(strings.Fields(said), " "), 512)
	if strings.Contains(d.Text, "{{") {
		f.Write = "a rendered manifest: helm template … | kubectl belay lint -"
	}
	return f
}

func parse(file string, d documents.Document) (in []*object, others int, err error) {
	// By what kubectl reads with: yes is a boolean, and a key that stands twice an error.
	node, raw, err := d.Parsed()
	if err != nil || node == nil {
		return nil, 0, err
	}
	var value any
	if err := utiljson.Unmarshal(raw, &value); err != nil {
		return nil, 0, err
	}
	return objectsOf(file, d.Offset, node, value)
}

func objectsOf(file string, offset int, node *yamlnode.Node, value any) (in []*object, others int, err error) {
	fields, ok := value.(map[string]any)
	if !ok {
		return nil, 1, nil
	}
	if items, ok := fields["items"].([]any); ok && strings.HasSuffix(text(fields["kind"]), "List") {
		for i, item := range items {
			some, more, err := objectsOf(file, offset, step(step(node, "items"), strconv.Itoa(i)), item)
			if err != nil {
				return in, others, err
			}
			in, others = append(in, some...), others+more
		}
		return in, others, nil
	}
	version, kind := text(fields["apiVersion"]), text(fields["kind"])
	meta, _ := fields["metadata"].(map[string]any)
	o := &object{file: file, kind: kind, namespace: text(meta["namespace"]), name: text(meta["name"]), node: node, offset: offset, value: fields}
	if !strings.HasPrefix(version, v1alpha1.GroupVersion.Group+"/") || kind == "RolloutRun" {
		if _, known := kinds[kind]; known && misnamed(version) {
			return nil, 0, wrong{node.Line, fmt.Sprintf("a %s of Belay has another apiVersion than %.63q", kind, version), "apiVersion: " + v1alpha1.GroupVersion.String()}
		}
		if version == "apps/v1" && o.isWorkload() {
			return []*object{o}, 0, nil
		}
		return nil, 1, nil
	}
	if _, known := kinds[kind]; !known {
		return nil, 0, wrong{node.Line, fmt.Sprintf("%s has no kind %.63q", v1alpha1.GroupVersion.Group, kind), "kind: " + orAll(nearest(kind, slices.Sorted(maps.Keys(kinds))), slices.Sorted(maps.Keys(kinds)))}
	}
	if version != v1alpha1.GroupVersion.String() {
		return nil, 0, wrong{node.Line, fmt.Sprintf("this version of Belay has no apiVersion %.63q", version), "apiVersion: " + v1alpha1.GroupVersion.String()}
	}
	if o.name == "" && text(meta["generateName"]) == "" {
		o.add(Error, "metadata.name", "the object has no name", "metadata: {name: …}")
		// One that no rule minds, so that the rest is checked.
		if meta == nil {
			meta = map[string]any{}
			fields["metadata"] = meta
		}
		meta["name"] = "unnamed"
	} else if problems := validation.IsDNS1123Subdomain(o.name); o.name != "" && len(problems) > 0 {
		o.add(Error, "metadata.name", fmt.Sprintf("the name %.63q is none that an object can have", o.name), problems[0])
	}
	return []*object{o}, 0, nil
}

// misnamed holds for an apiVersion that no other project's object has: none at all, one without a
// group, and one that is nearly Belay's. Argo has Rollouts too.
func misnamed(version string) bool {
	group, _, ok := strings.Cut(version, "/")
	return !ok || strings.Contains(group, "belay") || nearest(group, []string{v1alpha1.GroupVersion.Group}) != ""
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func orAll(one string, all []string) string {
	if one != "" {
		return one
	}
	return strings.Join(all, ", ")
}

// line of a path such as spec.slos[0].objective: of its deepest part that is there.
func (o *object) line(path string) int {
	node, line := o.node, o.node.Line
	for _, part := range parts(path) {
		key, next := find(node, part)
		if next == nil {
			break
		}
		node, line = next, key.Line
	}
	return o.offset + max(line, 1)
}

// parts of a path: names of fields, and indexes of lists.
func parts(path string) []string {
	return strings.FieldsFunc(strings.NewReplacer("[", ".", "]", "").Replace(path), func(r rune) bool { return r == '.' })
}

// find returns the child of a node, and the node at whose line it begins.
func find(node *yamlnode.Node, part string) (begins, child *yamlnode.Node) {
	for node != nil && node.Kind == yamlnode.AliasNode {
		node = node.Alias
	}
	if node == nil {
		return nil, nil
	}
	switch node.Kind {
	case yamlnode.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == part {
				return node.Content[i], node.Content[i+1]
			}
		}
	case yamlnode.SequenceNode:
		if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i]
		}
	}
	return nil, nil
}

func step(node *yamlnode.Node, part string) *yamlnode.Node {
	if _, child := find(node, part); child != nil {
		return child
	}
	return node
}

// scalar is the number, boolean or text at a path; nil when something else is there.
func (o *object) scalar(path string) any {
	var now any = o.value
	for _, part := range parts(path) {
		switch v := now.(type) {
		case map[string]any:
			now = v[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			now = v[i]
		}
	}
	switch now.(type) {
	case int64, float64, bool, string:
		return now
	default:
		return nil
	}
}
