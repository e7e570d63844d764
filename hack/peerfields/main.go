// Peerfields prints every field of other controllers' kinds, by their Go types: one path a
// line, such as "Rollout spec.strategy.canary.steps[].setWeight". docs/migrating-from-*.md have
// a row for each, which test/docs compares with what this program wrote to its testdata.
//
// Usage, with the source of a module that the Go command has downloaded:
//
//	go run ./hack/peerfields FOLDER KIND... > FILE
//
// A path ends at a type of another package: pod templates, label selectors and conditions are
// Kubernetes' own, and what Flagger takes over from Istio and the Gateway API is theirs. It ends
// at maps too. Metadata that every kind has is left out.
package main

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: peerfields FOLDER KIND...")
		os.Exit(2)
	}
	if err := run(os.Stdout, os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "peerfields:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, folder string, kinds []string) error {
	types, err := structs(folder)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	for _, kind := range kinds {
		object, ok := types[kind]
		if !ok {
			return fmt.Errorf("%s has no type %s", folder, kind)
		}
		paths, err := types.paths(object, "", []string{kind})
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		for _, path := range paths {
			if path != "metadata" {
				fmt.Fprintln(w, kind, path)
			}
		}
	}
	return w.Flush()
}

// index holds the structs of one package by their names.
type index map[string]*ast.StructType

func structs(folder string) (index, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	types := index{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if object, ok := spec.Type.(*ast.StructType); ok {
					types[spec.Name.Name] = object
				}
			}
			return true
		})
	}
	return types, nil
}

// paths are those of an object's fields, in the order of the type, each before what is in it.
// within names the types that it is in: one that is within itself ends its path.
func (types index) paths(object *ast.StructType, at string, within []string) ([]string, error) {
	var out []string
	for _, field := range object.Fields.List {
		name, inline, err := written(field)
		if err != nil {
			return nil, err
		}
		if name == "" && !inline {
			continue
		}
		path, kind := at, field.Type
		if !inline {
			path = strings.TrimPrefix(at+"."+name, ".")
			var list string
			kind, list = element(field.Type)
			path += list
			out = append(out, path)
		}
		of, ok := kind.(*ast.Ident)
		if !ok || types[of.Name] == nil || slices.Contains(within, of.Name) {
			continue
		}
		inner, err := types.paths(types[of.Name], path, append(slices.Clip(within), of.Name))
		if err != nil {
			return nil, err
		}
		out = append(out, inner...)
	}
	return out, nil
}

// element is the type behind pointers and a list, and "[]" for a list.
func element(kind ast.Expr) (ast.Expr, string) {
	list := ""
	for {
		switch of := kind.(type) {
		case *ast.StarExpr:
			kind = of.X
		case *ast.ArrayType:
			kind, list = of.Elt, "[]"
		default:
			return kind, list
		}
	}
}

// written is the name of a field in JSON, which is empty when it is not written, and whether
// its own fields stand in its place.
func written(field *ast.Field) (name string, inline bool, err error) {
	if field.Tag == nil {
		return "", false, nil
	}
	tag, err := strconv.Unquote(field.Tag.Value)
	if err != nil {
		return "", false, err
	}
	name, options, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
	if name == "-" {
		return "", false, nil
	}
	return name, options == "inline", nil
}
