package sim

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheReadmesLogIsTheLog: every line of a log that the README shows stands in one
// of the two golden logs that it names, and none was taken from an older one.
func TestTheReadmesLogIsTheLog(t *testing.T) {
	read := func(path ...string) string {
		raw, err := os.ReadFile(filepath.Join(path...))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	logs := read("testdata", "promote.log") + read("testdata", "rollback-in-bake.log")
	entry := regexp.MustCompile(`^ *\d+\.\d\ds  \w`)
	shown := 0
	for line := range strings.Lines(read("..", "..", "README.md")) {
		if !entry.MatchString(line) {
			continue
		}
		shown++
		if !strings.Contains(logs, line) {
			t.Errorf("the log has no such line: %s", line)
		}
	}
	if shown < 15 {
		t.Errorf("only %d lines of a log are shown", shown)
	}
}

// TestNoTimeIsBelowZero: what a message says to have taken some time took it.
func TestNoTimeIsBelowZero(t *testing.T) {
	logs, err := filepath.Glob(filepath.Join("testdata", "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatal(len(logs), err)
	}
	below := regexp.MustCompile(`-\d+(\.\d+)? ?(s|m|h|ms)\b`)
	for _, path := range logs {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			if below.MatchString(line) {
				t.Errorf("%s: %s", path, line)
			}
		}
	}
}
