package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
)

// event is a line of `go test -json`.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

// specs is Ginkgo's closing line: a suite is one Go test, but many journeys.
var specs = regexp.MustCompile(`-- .*?(\d+) Passed.*?(\d+) Failed.*?(\d+) Pending.*?(\d+) Skipped`)

// counter counts one package.
type counter struct {
	totals
	journeys bool
	output   map[string][]string
}

// read counts the tests of a stream of events, shows a line per package and the
// output of what failed, and returns the number of failures.
func (t *totals) read(stream io.Reader, live bool) (failures int) {
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
		if c.take(e, live) {
			t.passed, t.failed, t.skipped = t.passed+c.passed, t.failed+c.failed, t.skipped+c.skipped
			failures += c.failed
		}
	}
	return failures
}

// take counts one event and reports whether the package is complete.
func (c *counter) take(e event, live bool) bool {
	if e.Action == "output" {
		c.note(e, live)
		return false
	}
	done := e.Action == "pass" || e.Action == "fail" || e.Action == "skip"
	if !done {
		return false
	}
	if e.Test == "" {
		c.close(e, live)
		return true
	}
	if !c.journeys {
		c.count(e.Action)
	}
	if e.Action == "fail" && !live {
		for _, line := range c.output[e.Test] {
			fmt.Print("    " + line)
		}
	}
	delete(c.output, e.Test)
	return false
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

func (c *counter) note(e event, live bool) {
	if found := specs.FindStringSubmatch(plain(e.Output)); found != nil {
		c.journeys = true
		c.passed, c.failed = number(found[1]), number(found[2])
		c.skipped = number(found[3]) + number(found[4])
	}
	if live {
		fmt.Print(e.Output)
		return
	}
	c.output[e.Test] = append(c.output[e.Test], e.Output)
}

// close shows the package's line. A package that fails without a failing test
// did not build, or died.
func (c *counter) close(e event, live bool) {
	if e.Action == "fail" && c.failed == 0 {
		c.failed++
		for _, line := range c.output[""] {
			if !live {
				fmt.Print("    " + line)
			}
		}
	}
	if c.passed+c.failed+c.skipped == 0 {
		return
	}
	fmt.Printf("%-5s %-50s %4d passed %3d failed  %6.1f s\n", e.Action, e.Package, c.passed, c.failed, e.Elapsed)
}

// plain removes terminal colours.
func plain(text string) string { return colours.ReplaceAllString(text, "") }

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

func number(digits string) int {
	// The expression lets only digits through.
	n, _ := strconv.Atoi(digits)
	return n
}
