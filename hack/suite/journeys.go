package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What Ginkgo says: the first line about a spec that failed, a mark in the log of its steps where it
// failed, how long all specs took, and the closing line.
var (
	specFailed = regexp.MustCompile(`^\S.*\[(FAILED|TIMEDOUT|PANICKED|INTERRUPTED|ABORTED)\] \[[\d.]+ seconds\]$`)
	failedHere = regexp.MustCompile(`^\[(FAILED|TIMEDOUT|PANICKED|INTERRUPTED|ABORTED)\] in \[`)
	specsTook  = regexp.MustCompile(`^Ran \d+ of \d+ Specs in ([\d.]+) seconds$`)
	specsEnded = regexp.MustCompile(`^(SUCCESS|FAIL)!.* -- (\d+) Passed \| (\d+) Failed \| (\d+) Pending \| (\d+) Skipped`)
)

// More of what it says: between two specs, before the name of a step, after the log of steps, and
// before the words of an assertion.
const (
	betweenSpecs = "------------------------------"
	stepOfSpec   = "STEP: "
	endOfSteps   = "<< Timeline"
	assertion    = "[FAILED] "
)

// journeys reads what Ginkgo says of a package's specs, which it shows one by one.
type journeys struct {
	totals
	// spec is what was said of a spec that failed.
	spec      []string
	succeeded bool
	seconds   float64
}

// readJourneys returns what counts the specs of a package, shows them as they come, and returns
// the number of failures.
func (t *totals) readJourneys(name string) func(io.Reader) int {
	return func(stream io.Reader) int {
		j, all := journeys{}, []string(nil)
		lines := bufio.NewScanner(stream)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			fmt.Println(lines.Text())
			all = append(all, lines.Text())
			j.take(lines.Text())
		}
		outcome := "pass"
		if !j.succeeded {
			outcome = "fail"
			// Where no spec failed, the suite did not build, or what is around the specs failed.
			j.failed = max(j.failed, 1)
			if len(j.failures) == 0 {
				j.failures = []failure{{name: name, said: all}}
			}
		}
		j.show(outcome, name, j.seconds)
		t.add(j.totals)
		return j.failed
	}
}

func (j *journeys) take(line string) {
	switch {
	case specFailed.MatchString(line):
		j.spec = []string{line}
	case line == betweenSpecs && len(j.spec) > 1:
		j.failures = append(j.failures, failedSpec(j.spec[1:]))
		j.spec = nil
	case j.spec != nil:
		j.spec = append(j.spec, line)
	}
	if found := specsTook.FindStringSubmatch(line); found != nil {
		// The expressions let only numbers through.
		j.seconds, _ = strconv.ParseFloat(found[1], 64)
	}
	if found := specsEnded.FindStringSubmatch(line); found != nil {
		j.succeeded = found[1] == "SUCCESS"
		j.passed, j.failed = number(found[2]), number(found[3])
		j.skipped = number(found[4]) + number(found[5])
	}
}

// failedSpec is named as Ginkgo names it, and says the step that failed and why.
func failedSpec(said []string) failure {
	step, why, failed := "", said[1:], false
	for at, line := range said {
		text := strings.TrimSpace(line)
		failed = failed || failedHere.MatchString(text)
		if !failed && strings.HasPrefix(text, stepOfSpec) {
			step = text
		}
		if text == endOfSteps {
			why = said[at+1:]
			break
		}
	}
	// Where a spec runs out of time, this stands after a long report of what it was doing.
	at := slices.IndexFunc(why, func(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), assertion) })
	return failure{name: strings.TrimSpace(said[0]), said: append([]string{step}, why[max(at, 0):]...)}
}

func number(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}
