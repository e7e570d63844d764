package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is a line of `go test -json`.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

// counter counts one package.
type counter struct {
	totals
	output map[string][]string
}

// failure is a test that failed, or a package that did not build or died.
type failure struct {
	name string
	said []string
}

// A failure stands again above the totals, so that a machine that keeps only the
// end of a log still shows why: the lines where a panic begins, and the last
// ones, where a failed assertion stands under its test's log.
const firstSaid, lastSaid = 6, 10

func (f failure) String() string {
	lines := []string{"FAILED " + f.name}
	said := f.lines()
	if cut := len(said) - firstSaid - lastSaid; cut > 0 {
		dots := fmt.Sprintf("    (%d lines more above)", cut)
		said = slices.Concat(said[:firstSaid], []string{dots}, said[firstSaid+cut:])
	}
	return strings.Join(append(lines, said...), "\n")
}

// lines are what the test said, without the marks of go test.
func (f failure) lines() []string {
	var lines []string
	for _, line := range f.said {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- FAIL") {
			lines = append(lines, "    "+line)
		}
	}
	return lines
}

// read counts the tests of a stream of events, shows a line per package and the
// output of what failed, and returns the number of failures.
func (t *totals) read(stream io.Reader) (failures int) {
	packages := map[string]*counter{}
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Package == "" {
			fmt.Println(lines.Text())
			continue
		}
		c := packages[e.Package]
		if c == nil {
			c = &counter{output: map[string][]string{}}
			packages[e.Package] = c
		}
		if c.take(e) {
			t.add(c.totals)
			failures += c.failed
		}
	}
	return failures
}

// take counts one event and reports whether the package is complete.
func (c *counter) take(e event) bool {
	if e.Action == "output" {
		c.output[e.Test] = append(c.output[e.Test], e.Output)
		return false
	}
	done := e.Action == "pass" || e.Action == "fail" || e.Action == "skip"
	if !done {
		return false
	}
	if e.Test == "" {
		c.close(e)
		return true
	}
	c.count(e.Action)
	if e.Action == "fail" {
		c.fail(e)
	}
	delete(c.output, e.Test)
	return false
}

// fail shows and keeps what a failed test, or a package that did not build or died, said.
func (c *counter) fail(e event) {
	said := c.output[e.Test]
	for _, line := range said {
		fmt.Print("    " + line)
	}
	c.failures = append(c.failures, failure{name: strings.TrimRight(e.Package+" "+e.Test, " "), said: said})
}

func (c *counter) count(action string) {
	switch action {
	case "pass":
		c.passed++
	case "fail":
		c.failed++
	case "skip":
		c.skipped++
	}
}

// close shows the package's line. A package that fails without a failing test
// did not build, or died.
func (c *counter) close(e event) {
	if e.Action == "fail" && c.failed == 0 {
		c.failed++
		c.fail(e)
	}
	if c.passed+c.failed+c.skipped > 0 {
		c.show(e.Action, e.Package, e.Elapsed)
	}
}

// show writes the line of a package, and how many seconds it took.
func (t totals) show(outcome, name string, seconds float64) {
	fmt.Printf("%-5s %-50s %4d passed %3d failed  %6.1f s\n", outcome, name, t.passed, t.failed, seconds)
}
