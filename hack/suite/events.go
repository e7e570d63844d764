package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
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

// specs is Ginkgo's closing line: a suite is one Go test, but many journeys.
var specs = regexp.MustCompile(`-- .*?(\d+) Passed.*?(\d+) Failed.*?(\d+) Pending.*?(\d+) Skipped`)

// counter counts one package.
type counter struct {
	totals
	journeys bool
	output   map[string][]string
	failures []failure
}

// failure is a test that failed, or a package that did not build or died.
type failure struct {
	name string
	said []string
}

// A failure stands again above the totals, so that a machine that keeps only the
// end of a log still shows why: the lines where a panic begins, and the last
// ones, where a failed assertion stands under its test's log. Of journeys it is what
// follows Ginkgo's mark of a failed assertion.
const firstSaid, lastSaid = 6, 10

const failedAssertion = "    [FAILED] "

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
		line = strings.TrimSpace(plain(line))
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- FAIL") {
			lines = append(lines, "    "+line)
		}
	}
	if at := slices.IndexFunc(lines, isAssertion); at > 0 {
		return lines[at:]
	}
	return lines
}

func isAssertion(line string) bool {
	what, marked := strings.CutPrefix(line, failedAssertion)
	return marked && !strings.HasPrefix(what, "in [")
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
			t.failures = append(t.failures, c.failures...)
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
	if e.Action == "fail" {
		c.fail(e, live)
	}
	delete(c.output, e.Test)
	return false
}

// fail keeps what a failed test, or a package that did not build or died, said,
// and shows it unless it was shown as it came.
func (c *counter) fail(e event, live bool) {
	said := c.output[e.Test]
	if !live {
		for _, line := range said {
			fmt.Print("    " + line)
		}
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

func (c *counter) note(e event, live bool) {
	if found := specs.FindStringSubmatch(plain(e.Output)); found != nil {
		c.journeys = true
		c.passed, c.failed = number(found[1]), number(found[2])
		c.skipped = number(found[3]) + number(found[4])
	}
	if live {
		fmt.Print(e.Output)
	}
	c.output[e.Test] = append(c.output[e.Test], e.Output)
}

// close shows the package's line. A package that fails without a failing test
// did not build, or died.
func (c *counter) close(e event, live bool) {
	if e.Action == "fail" && c.failed == 0 {
		c.failed++
		c.fail(e, live)
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
