// Package docs holds the reference pages to the code.
//
// A message is every string literal with words in the product code of a listed
// package. What is none is left out by where it stands, never by what it says: log
// lines, the help of metrics, tags and imports, panics, and what an error adds in
// front of another one ("read the Service: %w"). CEL rules and the messages of
// admission policies are read from config.
package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// text is one literal and where it stands. A format has verbs. An optional one has no
// words of its own: it need not be in a row, but may be a part of one.
type text struct {
	value, at        string
	format, optional bool
}

// words tells a message from a name, a path or a format of numbers: two words, one
// of them in lower-case letters.
var words = regexp.MustCompile(`[A-Za-z…>%"][^A-Za-z]* [^A-Za-z]*[a-z]{2,}|[a-z]{2,}[^A-Za-z]* [^A-Za-z]*[A-Za-z%]`)

// logged are the methods of a logger, and panic.
var logged = map[string]bool{"Info": true, "Error": true, "panic": true, "WithValues": true, "WithName": true}

// goTexts returns the messages of a package's product code.
func goTexts(root, directory string) ([]text, error) {
	files := token.NewFileSet()
	found, err := filepath.Glob(filepath.Join(root, directory, "*.go"))
	if err != nil || len(found) == 0 {
		return nil, fmt.Errorf("%s has no Go files: %w", directory, err)
	}
	var out []text
	for _, path := range found {
		if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(filepath.Base(path), "zz_generated") {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec:
				return false
			case *ast.Field:
				n.Tag = nil
			case *ast.KeyValueExpr:
				key, ok := n.Key.(*ast.Ident)
				return !ok || key.Name != "Help"
			case *ast.CallExpr:
				return !logged[called(n)]
			case *ast.BasicLit:
				if value, ok := message(n); ok {
					at := files.Position(n.Pos())
					out = append(out, text{value: value, at: fmt.Sprintf("%s/%s:%d", directory, filepath.Base(at.Filename), at.Line), format: true})
				}
			}
			return true
		})
	}
	return out, nil
}

func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	default:
		return ""
	}
}

func message(literal *ast.BasicLit) (string, bool) {
	if literal.Kind != token.STRING {
		return "", false
	}
	value, err := strconv.Unquote(literal.Value)
	if err != nil || !words.MatchString(value) || strings.HasSuffix(value, ": %w") {
		return "", false
	}
	return value, true
}

// crdTexts returns the messages of the CEL rules of the CRDs.
func crdTexts(root string) ([]text, error) {
	return yamlTexts(filepath.Join(root, "config", "crd"), func(key, value string) []string {
		if key != "message" {
			return nil
		}
		return []string{value}
	})
}

// celText is a text within a CEL expression; celRaw is one that spans quotes, which
// only commands do.
var (
	celText = regexp.MustCompile(`'((?:[^'\\]|\\.)*)'`)
	celRaw  = regexp.MustCompile(`(?s)""".*?"""`)
)

// policyTexts returns the denials of the admission policies: their messages, and
// the texts within expressions that make one.
func policyTexts(root string) ([]text, error) {
	return yamlTexts(filepath.Join(root, "config", "guard"), func(key, value string) []string {
		switch key {
		case "message":
			return []string{value}
		case "messageExpression", "expression":
			var out []string
			for _, m := range celText.FindAllStringSubmatch(celRaw.ReplaceAllString(value, ""), -1) {
				out = append(out, m[1])
			}
			return out
		}
		return nil
	})
}

// yamlTexts walks the documents of a folder and collects what texts takes of the
// string at each key.
func yamlTexts(folder string, texts func(key, value string) []string) ([]text, error) {
	var out []text
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, document := range strings.Split(string(raw), "\n---") {
			var value any
			if err := yaml.Unmarshal([]byte(document), &value); err != nil {
				return fmt.Errorf("read %s: %w", path, err)
			}
			walk(value, func(key, value string) {
				for _, one := range texts(key, value) {
					out = append(out, text{value: one, at: filepath.Base(path), optional: !words.MatchString(one)})
				}
			})
		}
		return nil
	})
	return out, err
}

func walk(value any, visit func(key, value string)) {
	switch v := value.(type) {
	case map[string]any:
		for key, child := range v {
			if s, ok := child.(string); ok {
				visit(key, s)
				continue
			}
			walk(child, visit)
		}
	case []any:
		for _, child := range v {
			walk(child, visit)
		}
	}
}
