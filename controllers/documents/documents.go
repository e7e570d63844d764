// Package documents reads YAML that others wrote: it splits a file into documents where kubectl
// does, and converts them to JSON within bounds.
package documents

import (
	"errors"
	"fmt"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// mostExpanded is how many bytes a document may have once its aliases are written out. The API
// server takes no object of more than 3 MiB.
const mostExpanded = 4 << 20

// ErrAlias is the error of a document with a YAML alias where none is expected.
var ErrAlias = errors.New("it has a YAML alias (*name), and no command of Kubernetes or Belay writes those: write out what it stands for")

// Document is one YAML document of a file. Its first line is the one after Offset.
type Document struct {
	Text   string
	Offset int
}

// Split splits a file at lines that begin with three dashes. Empty documents are left out.
func Split(raw []byte) []Document {
	var out []Document
	current, offset, line := strings.Builder{}, 0, 0
	add := func() {
		if strings.TrimSpace(current.String()) != "" {
			out = append(out, Document{current.String(), offset})
		}
		current.Reset()
	}
	for text := range strings.Lines(string(raw)) {
		if line++; strings.HasPrefix(text, "---") {
			add()
			offset = line
			continue
		}
		current.WriteString(text)
	}
	add()
	return out
}

// Parsed is the document with the lines of its parts, and as JSON. The node is nil for a
// document that is empty. A key that stands twice is an error, and so are aliases that stand
// for more than 4 MiB: a few lines of them can stand for gigabytes.
func (d Document) Parsed() (*yamlnode.Node, []byte, error) {
	node, size, err := d.measured()
	if err != nil || node == nil {
		return nil, nil, err
	}
	if size.aliases && size.bytes > mostExpanded {
		return nil, nil, fmt.Errorf("its YAML aliases stand for more than %d MiB: write out what they stand for", mostExpanded>>20)
	}
	raw, err := yaml.YAMLToJSONStrict([]byte(d.Text))
	return node, raw, err
}

// Plain is the document as JSON, which has to be without aliases: ErrAlias. Empty documents
// are nil.
func (d Document) Plain() ([]byte, error) {
	node, size, err := d.measured()
	switch {
	case err != nil || node == nil:
		return nil, err
	case size.aliases:
		return nil, ErrAlias
	}
	return yaml.YAMLToJSONStrict([]byte(d.Text))
}

func (d Document) measured() (*yamlnode.Node, size, error) {
	var root yamlnode.Node
	if err := yamlnode.Unmarshal([]byte(d.Text), &root); err != nil {
		return nil, size{}, err
	}
	if len(root.Content) == 0 {
		return nil, size{}, nil
	}
	return root.Content[0], measure(root.Content[0], map[*yamlnode.Node]size{}), nil
}

// size of a node once its aliases are written out, up to a little more than mostExpanded.
type size struct {
	bytes   int
	aliases bool
}

// measure looks at each node once, however often aliases name it. One that contains itself is
// beyond any bound.
func measure(node *yamlnode.Node, known map[*yamlnode.Node]size) size {
	if s, ok := known[node]; ok {
		return s
	}
	known[node] = size{mostExpanded + 1, true}
	s := size{bytes: len(node.Value) + 2}
	parts := node.Content
	if node.Kind == yamlnode.AliasNode {
		s.aliases, parts = true, []*yamlnode.Node{node.Alias}
	}
	for _, part := range parts {
		of := measure(part, known)
		s.bytes, s.aliases = min(s.bytes+of.bytes, mostExpanded+1), s.aliases || of.aliases
	}
	known[node] = s
	return s
}
