package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"k8s.io/client-go/util/jsonpath"
)

// path selects what of a JSON answer must be the same, in kubectl's JSONPath.
type path string

// parsePaths reads the flags. kubectl's braces may be left out.
func parsePaths(texts []string) ([]path, error) {
	var out []path
	for _, text := range texts {
		p := path(text)
		if !strings.HasPrefix(text, "{") {
			p = path("{." + strings.TrimPrefix(strings.TrimPrefix(text, "$"), ".") + "}")
		}
		if strings.Contains(text, "?(") {
			return nil, fmt.Errorf("--json %.100q has a filter: select with indexes and *, such as {.items[*].price}", text)
		}
		if _, err := p.parse(); err != nil {
			return nil, fmt.Errorf("--json %.100q is no JSONPath of kubectl, such as {.items[*].price}: %w", text, err)
		}
		if parsed, err := jsonpath.Parse("answer", string(p)); err != nil || unordered(parsed.Root) {
			return nil, fmt.Errorf("--json %.100q selects fields whatever their names, which come in a random order, so that equal answers would differ: select the whole object, or name the fields", text)
		}
		out = append(out, p)
	}
	return out, nil
}

// unordered reports whether a path walks the fields of objects (.* or ..), as it does in a random
// order.
func unordered(node jsonpath.Node) bool {
	switch n := node.(type) {
	case *jsonpath.WildcardNode, *jsonpath.RecursiveNode:
		return true
	case *jsonpath.ListNode:
		return slices.ContainsFunc(n.Nodes, unordered)
	case *jsonpath.UnionNode:
		return slices.ContainsFunc(n.Nodes, func(one *jsonpath.ListNode) bool { return unordered(one) })
	default:
		return false
	}
}

// parse returns a parser for one goroutine.
func (p path) parse() (*jsonpath.JSONPath, error) {
	j := jsonpath.New("answer").AllowMissingKeys(true)
	return j, j.Parse(string(p))
}

// errNull is a document that has nothing to select from, and in which the parser would panic.
var errNull = errors.New("the document is null")

// in are the selected values of a document. An error means that the document has another shape,
// such as an object where the path has a list.
func (p path) in(document any) ([]any, error) {
	if document == nil {
		return nil, errNull
	}
	j, err := p.parse()
	if err != nil {
		return nil, err
	}
	found, err := j.FindResults(document)
	if err != nil {
		return nil, err
	}
	var out []any
	for _, one := range found {
		for _, value := range one {
			out = append(out, value.Interface())
		}
	}
	return out, nil
}

// Where two answers differ. It is a label of a metric: a closed set.
const (
	inAnswer = "answer"
	inStatus = "status"
	inJSON   = "json"
)

// difference between two answers: where, and in words without users' data. Without any, in is
// empty.
type difference struct{ in, words string }

// differenceOf compares an answer with the reference, which is an answer without an error.
func differenceOf(reference, other answer, paths []path) difference {
	switch {
	case other.err != nil:
		return difference{inAnswer, fmt.Sprintf("no answer: %.300s", other.err.Error())}
	case other.status != reference.status:
		return difference{inStatus, fmt.Sprintf("status %d in place of %d", other.status, reference.status)}
	case len(paths) == 0, bytes.Equal(other.body, reference.body):
		return difference{}
	}
	want, wantErr := decode(reference.body)
	got, gotErr := decode(other.body)
	switch {
	case wantErr != nil && gotErr != nil:
		// Neither is JSON, such as an empty answer: there is nothing to select.
		return difference{}
	case gotErr != nil:
		return difference{inJSON, "an answer that is not JSON in place of one that is"}
	case wantErr != nil:
		return difference{inJSON, "JSON in place of an answer that is not"}
	}
	for _, p := range paths {
		if !same(p, want, got) {
			return difference{inJSON, fmt.Sprintf("another value at %.200s", p)}
		}
	}
	return difference{}
}

func same(p path, want, got any) bool {
	wanted, wantErr := p.in(want)
	other, gotErr := p.in(got)
	return (wantErr == nil) == (gotErr == nil) && reflect.DeepEqual(wanted, other)
}

// decode reads one JSON document. Numbers stay as they are written: as floating point numbers,
// long identifiers that differ would be the same.
func decode(body []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var out any
	if err := d.Decode(&out); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one JSON document")
	}
	return out, nil
}
