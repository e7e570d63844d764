package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// typed is what a page lets the reader type: from the command to a comment, a redirection or
// the next command.
var typed = regexp.MustCompile(`(?m)^ *(?:\$ )?kubectl belay ([^\n#|;>&]*)`)

// TestThePagesNameCommandsThatExist: each command line in a code block of the pages is one
// that this program takes, by its name, its flags and the number of its arguments.
func TestThePagesNameCommandsThatExist(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range append(pages, "../../README.md") {
		raw, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?s)```[a-z]*\n(.*?)```").FindAllStringSubmatch(string(raw), -1) {
			for _, line := range typed.FindAllStringSubmatch(strings.ReplaceAll(block[1], "\\\n", ""), -1) {
				seen++
				if err := accepts(line[1]); err != nil {
					t.Errorf("%s: kubectl belay %s: %v", filepath.Base(page), line[1], err)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("found only %d command lines", seen)
	}
}

// quoted is one argument in quotes, which may hold spaces.
var quoted = regexp.MustCompile(`"[^"]*"|'[^']*'`)

func accepts(line string) error {
	a, _, _ := testApp()
	root := a.root()
	cmd, rest, err := root.Find(strings.Fields(quoted.ReplaceAllString(line, "quoted")))
	if err != nil {
		return err
	}
	if cmd == root {
		// The program itself has --version, which cobra adds when it runs.
		root.InitDefaultVersionFlag()
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return arguments(cmd)
}

func arguments(cmd *cobra.Command) error {
	if cmd.Args == nil {
		return nil
	}
	return cmd.Args(cmd, cmd.Flags().Args())
}

func TestWhatThePagesMayNotName(t *testing.T) {
	for _, line := range []string{"stauts checkout", "status a b", "status --wathc", `abort checkout --reason "one" two`} {
		if accepts(line) == nil {
			t.Errorf("kubectl belay %s is accepted", line)
		}
	}
	if err := accepts(`abort checkout -n shop --reason "two words"`); err != nil {
		t.Error(err)
	}
}
