//go:build kill

package kill

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// event is a line of `go test -json`.
type event struct {
	Action, Package, Test, Output string
	// FailedBuild is set where the tests were not compiled.
	FailedBuild string
}

// verdict is what a run of tests has shown.
type verdict struct {
	passed  int
	failure *failure
	// output is the end of what belongs to no test.
	output string
}

// failure is the first test that failed, and the first thing that it said.
type failure struct{ test, said string }

func (f failure) String() string { return f.test + ": " + f.said }

// crashed begins the output of a process that ends in the middle of a test.
var crashed = regexp.MustCompile(`(?m)^(panic: |fatal error: ).*$`)

// located is a line that a test writes about itself, and the one after it.
var located = regexp.MustCompile(`(?m)^\s+\S+\.go:\d+: *(\S.*(?:\n\s+[^-\s].*)?)$`)

// read reads the events of a run of one package. A test that was not compiled is an
// error: it has judged nothing. Tests above a depth pass without a word when none of
// their subtests was selected; those at the depth and below count.
func read(stream []byte, depth int) (verdict, error) {
	var out verdict
	outputs := map[string]*strings.Builder{}
	running := ""
	lines := bufio.NewScanner(bytes.NewReader(stream))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return verdict{}, fmt.Errorf("go test says %q", lines.Text())
		}
		if e.Action == "build-fail" || e.FailedBuild != "" {
			return verdict{}, fmt.Errorf("the tests do not compile:\n%s", textOf(outputs, ""))
		}
		switch e.Action {
		case "run":
			running = e.Test
		case "output", "build-output":
			if outputs[e.Test] == nil {
				outputs[e.Test] = &strings.Builder{}
			}
			outputs[e.Test].WriteString(e.Output)
		case "pass":
			if e.Test != "" && strings.Count(e.Test, "/") >= depth {
				out.passed++
			}
		case "fail":
			// A test fails after its subtests: the first is where it happened.
			if e.Test != "" && out.failure == nil {
				out.failure = &failure{e.Test, saidBy(textOf(outputs, e.Test))}
			}
		}
	}
	if err := lines.Err(); err != nil {
		return verdict{}, fmt.Errorf("read what go test says: %w", err)
	}
	out.output = textOf(outputs, "")
	if said := crashed.FindString(out.output); said != "" && out.failure == nil {
		out.failure = &failure{running, said}
	}
	return out, nil
}

func textOf(outputs map[string]*strings.Builder, test string) string {
	if outputs[test] == nil {
		return ""
	}
	return outputs[test].String()
}

// saidBy is the first thing that a failed test says, in one line.
func saidBy(output string) string {
	if said := crashed.FindString(output); said != "" {
		return said
	}
	if found := located.FindStringSubmatch(output); found != nil {
		return strings.Join(strings.Fields(found[1]), " ")
	}
	return strings.Join(strings.Fields(output), " ")
}
