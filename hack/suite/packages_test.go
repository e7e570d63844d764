package main

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// elsewhere are the packages whose tests are in no suite, each with who runs them instead.
var elsewhere = map[string]string{
	"test/servers":          "make test-extended",
	"test/engines":          "make test-engines",
	"test/mesh":             "make test-mesh",
	"test/kill":             "make kill",
	"hack/gitops":           "make test-extended",
	"hack/release/journeys": "make test-extended",
}

// TestNoPackageIsForgotten: each package with tests is in a suite, or in the list above.
func TestNoPackageIsForgotten(t *testing.T) {
	tested := testedPackages(t, filepath.Join("..", ".."))
	for folder, module := range tested {
		inASuite := slices.ContainsFunc(suites, func(s suite) bool { return s.has(folder, module) })
		switch by := elsewhere[folder]; {
		case !inASuite && by == "":
			t.Errorf("nothing runs the tests of %s: add it to a suite in main.go", folder)
		case inASuite && by != "":
			t.Errorf("the tests of %s are in a suite, so take it out of elsewhere (%s)", folder, by)
		}
	}
	for folder := range elsewhere {
		if tested[folder] == "" {
			t.Errorf("%s has no tests, so take it out of elsewhere", folder)
		}
	}
}

// has says whether a suite runs the tests in a folder of a module.
func (s suite) has(folder, module string) bool {
	root := path.Clean(s.dir)
	return root == module && slices.ContainsFunc(s.packages, func(pattern string) bool {
		name, below := strings.CutSuffix(pattern, "/...")
		name = path.Join(root, name)
		return folder == name || below && (name == "." || strings.HasPrefix(folder, name+"/"))
	})
}

// testedPackages are the folders with tests, each with that of its module.
func testedPackages(t *testing.T, root string) map[string]string {
	t.Helper()
	files, tested, modules := os.DirFS(root), map[string]string{}, map[string]string{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			if folder := path.Dir(name); strings.HasSuffix(name, "_test.go") {
				tested[folder] = modules[folder]
			}
			return nil
		case name != "." && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		}
		modules[name] = modules[path.Dir(name)]
		if _, err := fs.Stat(files, path.Join(name, "go.mod")); err == nil {
			modules[name] = name
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tested
}
