package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// What Ginkgo says of specs: a line between two of them, the first line of one that failed, where
// the log of its steps ends and why it failed begins, how long all took, and the closing line.
var (
	specFailed = regexp.MustCompile(`\[(FAILED|TIMEDOUT|PANICKED|INTERRUPTED|ABORTED)\] \[[\d.]+ seconds\]$`)
	specsTook  = regexp.MustCompile(`^Ran \d+ of \d+ Specs in ([\d.]+) seconds$`)
	specsEnded = regexp.MustCompile(`^(SUCCESS|FAIL)!.* -- (\d+) Passed \| (\d+) Failed \| (\d+) Pending \| (\d+) Skipped`)
)

const (
	betweenSpecs = "------------------------------"
	stepOfSpec   = "STEP: "
	whySpec      = "<< Timeline"
)

// journeys reads what Ginkgo says of a package's specs, which it shows one by one.
type journeys struct {
	totals
	// spec is what was said since the last line between two specs.
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
	if line == betweenSpecs {
		if len(j.spec) > 1 && specFailed.MatchString(j.spec[0]) {
			j.failures = append(j.failures, failedSpec(j.spec))
		}
		j.spec = nil
		return
	}
	j.spec = append(j.spec, line)
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

// failedSpec is named as Ginkgo names it, and says its last step and why it failed.
func failedSpec(said []string) failure {
	f := failure{name: strings.TrimSpace(said[1])}
	for at, line := range said {
		switch text := strings.TrimSpace(line); {
		case strings.HasPrefix(text, stepOfSpec):
			f.said = []string{text}
		case text == whySpec:
			f.said = append(f.said, said[at+1:]...)
			return f
		}
	}
	f.said = said[2:]
	return f
}

func number(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}
