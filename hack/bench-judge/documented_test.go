package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documented are the commands of a page, without the shell's quotes: whole ones, and the flags
// alone where a table says which it was made with.
func documented(t *testing.T, page, program string) (commands [][]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", page)) // #nosec G304 -- a page of ours
	if err != nil {
		t.Fatal(err)
	}
	words := regexp.MustCompile(`'[^']*'|\S+`)
	for _, code := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(string(text), -1) {
		rest, whole := strings.CutPrefix(code[1], "go run ./hack/"+program)
		if !whole && (program != "bench-judge" || !regexp.MustCompile(`^-(cell|runs|set|load|seed|peers)\b`).MatchString(code[1])) {
			continue
		}
		var args []string
		for _, word := range words.FindAllString(rest, -1) {
			args = append(args, strings.Trim(word, "'"))
		}
		commands = append(commands, args)
	}
	return commands
}

// TestTheCommandsOfThePageRun: each names flags, rows and loads that exist.
func TestTheCommandsOfThePageRun(t *testing.T) {
	commands := documented(t, "analysis.md", "bench-judge")
	if len(commands) < 8 {
		t.Errorf("the page has %d commands", len(commands))
	}
	for _, args := range commands {
		o, err := parse(args, io.Discard)
		if err == nil {
			_, err = choose(rows(), o.cell, o.load)
		}
		if err != nil {
			t.Errorf("bench-judge %s: %v", strings.Join(args, " "), err)
		}
	}
}

// TestTheCommandsOnTheClusterHaveTheirFlags: bench-cluster needs a cluster to run.
func TestTheCommandsOnTheClusterHaveTheirFlags(t *testing.T) {
	source, err := os.ReadFile("../bench-cluster/main.go")
	if err != nil {
		t.Fatal(err)
	}
	commands := documented(t, "analysis.md", "bench-cluster")
	if len(commands) < 2 {
		t.Errorf("the page has %d commands", len(commands))
	}
	for _, args := range commands {
		for _, arg := range args {
			if name, isFlag := strings.CutPrefix(arg, "-"); isFlag && !strings.Contains(string(source), `"`+name+`",`) {
				t.Errorf("bench-cluster has no flag %s", arg)
			}
		}
	}
}

// TestSettings change the judge's rule, and say what to write when they cannot be read.
func TestSettings(t *testing.T) {
	o, err := parse([]string{"-set", "bar=4", "-set", "burst=0s", "-set", "warm-up=30s", "-cell", "healthy|cold-any-warm90"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if d := o.start(&scenario{budget: errorBudget}).(*byDefault); d.Bar != 4 || d.Burst != 0 || o.warmUp.Seconds() != 30 {
		t.Errorf("bar %v, burst %v, warm-up %v", d.Bar, d.Burst, o.warmUp)
	}
	if d := (&settings{}).start(&scenario{budget: errorBudget}).(*byDefault); d.Bar != 6 || d.Burst.Seconds() != 20 || d.WarmUp.Seconds() != defaultWarmUp {
		t.Errorf("by default: bar %v, burst %v, warm-up %v", d.Bar, d.Burst, d.WarmUp)
	}
	for args, says := range map[string]string{
		"-set bar":             "write one such as bar=4",
		"-set bar=NaN":         "write one such as bar=4",
		"-set burst=10":        "write one such as burst=10s",
		"-set warm-up=0s":      "write one such as warm-up=30s",
		"-set surplus=1":       "write warm-up, burst or bar",
		"-set bar=4 -bar":      "use one of them",
		"cold-any -runs 300":   "begins with -",
		"-cell healthy -runs1": "not defined",
	} {
		if _, err := parse(strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", args, err, says)
		}
	}
}

// TestASettingOfTheBarDecides: with none, clumps that fail together roll back more healthy
// candidates than with the default.
func TestASettingOfTheBarDecides(t *testing.T) {
	fired := func(args ...string) (percent float64) {
		o, err := parse(append(args, "-cell", "clumped", "-load", "1000 rps 10 %", "-runs", "40"), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		b, err := report(io.Discard, o)
		if err != nil || len(b.results) != 1 {
			t.Fatalf("%v, %+v", err, b.results)
		}
		return b.results[0].RolledBack
	}
	if none, usual := fired("-set", "bar=0"), fired(); none < 5 || usual > 0 {
		t.Errorf("%v %% without a bar, %v %% with the default", none, usual)
	}
}
