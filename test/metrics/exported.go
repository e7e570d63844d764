// Package metrics holds what people watch Belay by, which is alerts, dashboards and the page of
// metrics, to the metrics that the code exports.
package metrics

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// Metric is what the code says of a metric.
type Metric struct {
	// Type is counter, gauge or histogram.
	Type   string
	Labels []string
}

// foreign are metrics that Belay's process exports and its code does not name:
// controller-runtime's, client-go's and the Go runtime's, and those that Prometheus adds.
var foreign = map[string]Metric{
	"leader_election_master_status":             {"gauge", []string{"name"}},
	"controller_runtime_reconcile_errors_total": {"counter", []string{"controller"}},
	"controller_runtime_reconcile_total":        {"counter", []string{"controller", "result"}},
	"controller_runtime_reconcile_time_seconds": {"histogram", []string{"controller"}},
	"workqueue_depth":                           {"gauge", []string{"name", "controller", "priority"}},
	"rest_client_requests_total":                {"counter", []string{"code", "method", "host"}},
	"process_resident_memory_bytes":             {"gauge", nil},
	"process_cpu_seconds_total":                 {"counter", nil},
	"go_goroutines":                             {"gauge", nil},
}

// Exported are the metrics that the product code makes, by name.
func Exported(root string) (map[string]Metric, error) {
	out := map[string]Metric{}
	for _, folder := range []string{"controllers", "analysis", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			return exportedIn(path, out)
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func exportedIn(path string, out map[string]Metric) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("parse %s: %w", path, err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		made, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !strings.HasPrefix(made.Sel.Name, "New") {
			return true
		}
		name := nameOf(call.Args[0])
		if name == "" {
			return true
		}
		m := Metric{Type: strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(made.Sel.Name, "New"), "Vec"))}
		if len(call.Args) > 1 {
			m.Labels = stringsOf(call.Args[1])
		}
		out[name] = m
		return true
	})
	return nil
}

// nameOf is the field Name of a metric's options; empty for anything else.
func nameOf(e ast.Expr) string {
	options, ok := e.(*ast.CompositeLit)
	if !ok {
		return ""
	}
	if of, ok := options.Type.(*ast.SelectorExpr); !ok || !strings.HasSuffix(of.Sel.Name, "Opts") {
		return ""
	}
	for _, field := range options.Elts {
		pair, ok := field.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		if key, ok := pair.Key.(*ast.Ident); ok && key.Name == "Name" {
			return stringOf(pair.Value)
		}
	}
	return ""
}

func stringsOf(e ast.Expr) (all []string) {
	list, ok := e.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	for _, element := range list.Elts {
		all = append(all, stringOf(element))
	}
	return all
}

func stringOf(e ast.Expr) string {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return ""
	}
	value, err := strconv.Unquote(literal.Value)
	if err != nil {
		return ""
	}
	return value
}
