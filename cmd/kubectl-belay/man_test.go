package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestManPages: one for each command that --help lists, the same for the same date, and
// with the line breaks of the help.
func TestManPages(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1764158400")
	pages := func() map[string]string {
		folder := t.TempDir()
		a, _, _ := testApp()
		root := a.root()
		root.SetArgs([]string{"man", folder})
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
			if err != nil {
				t.Fatal(err)
			}
			out[entry.Name()] = string(text)
		}
		for _, cmd := range root.Commands() {
			if _, made := out["kubectl-belay-"+cmd.Name()+".1"]; made != cmd.IsAvailableCommand() {
				t.Errorf("command %s: available %t, has a page %t", cmd.Name(), cmd.IsAvailableCommand(), made)
			}
		}
		return out
	}
	first, second := pages(), pages()
	for name, text := range first {
		if second[name] != text {
			t.Errorf("%s differs", name)
		}
		if strings.Contains(text, "cobra") {
			t.Errorf("%s speaks of its generator:\n%s", name, text)
		}
	}
	for _, want := range []string{".TH \"KUBECTL-BELAY\" \"1\" \"Nov 2025\" \"Belay development\"", "\n  0   done: nothing found, no difference, or the version is promoted\n  1   the answer is no", "kubectl belay list -A"} {
		if !strings.Contains(first["kubectl-belay.1"], want) {
			t.Errorf("the page lacks %q:\n%s", want, first["kubectl-belay.1"])
		}
	}
}

func TestManNeedsAFolder(t *testing.T) {
	a, _, _ := testApp()
	root := a.root()
	root.SetArgs([]string{"man", filepath.Join(t.TempDir(), "missing")})
	if err := root.Execute(); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("got %v", err)
	}
}
