package main

import (
	"slices"
	"strings"
	"testing"
)

// What Ginkgo 2.34 says with -v -no-color of a suite in three processes.
const (
	begun = `Running Suite: Journeys - /belay/test/e2e
Will run 3 of 4 specs
Running in parallel across 3 processes
------------------------------
[SynchronizedBeforeSuite] PASSED [0.001 seconds]
[SynchronizedBeforeSuite] 
/belay/test/e2e/suite_test.go:14

  Timeline >>
  STEP: opening the cluster @ 11/27/26 15:51:37.45
  << Timeline
`
	failedOne = `------------------------------
• [FAILED] [1.001 seconds]
A release [It] that is good
/belay/test/e2e/release_test.go:23

  Timeline >>
  STEP: serving v1 @ 11/27/26 15:51:36.501
  STEP: seeing only v1 answer @ 11/27/26 15:51:37.501
  [FAILED] in [It] - /belay/test/e2e/release_test.go:25 @ 11/27/26 15:51:37.501
  controller - /belay/test/e2e/journey_test.go:19 @ 11/27/26 15:51:39.461
    a line of its log
  << Timeline

  [FAILED] requests nobody may lose
  Expected
      <int>: 1
  to equal
      <int>: 0
  In [It] at: /belay/test/e2e/release_test.go:25 @ 11/27/26 15:51:37.501
`
	timedOutOne = `------------------------------
• [TIMEDOUT] [240.003 seconds]
A whole service [It] of 20 replicas [Serial]
/belay/test/e2e/whole_test.go:18

  Timeline >>
  STEP: scaling to 20 @ 11/27/26 15:51:37.459
  [TIMEDOUT] in [It] - /belay/test/e2e/whole_test.go:18 @ 11/27/26 15:55:37.459
  STEP: cleaning up @ 11/27/26 15:55:37.46
  << Timeline

  [TIMEDOUT] A node timeout occurred
  In [It] at: /belay/test/e2e/whole_test.go:18 @ 11/27/26 15:55:37.459

  This is the Progress Report generated when the node timeout occurred:
    A whole service of 20 replicas (Spec Runtime: 4m0.001s)

  [FAILED] A node timeout occurred and then the following failure was recorded in the timedout node before it exited:
  4 pods
`
	// An interrupt is reported at once, and no line stands between that report and the spec's own.
	interruptedOne = `------------------------------
Interrupted by User
  Here's a current progress report:
  ------------------------------
• [INTERRUPTED] [57.499 seconds]
When something breaks [It] a push waits [Serial]
/belay/test/e2e/fault_test.go:31

  Timeline >>
  STEP: starting the controller @ 11/27/26 16:22:40.154
  [INTERRUPTED] in [It] - /belay/test/e2e/fault_test.go:31 @ 11/27/26 16:23:23.588
  << Timeline

  [INTERRUPTED] Interrupted by User
`
	closedByUser = `------------------------------
SS
------------------------------

Ran 1 of 4 Specs in 57.033 seconds
FAIL! - Interrupted by User -- 0 Passed | 1 Failed | 0 Pending | 3 Skipped
`
	passedOne = `------------------------------
• [1.001 seconds]
A release that [FAILED] in its name only
/belay/test/e2e/release_test.go:17
`
	closed = `------------------------------

Summarizing 2 Failures:
  [FAIL] A release [It] that is good

Ran 3 of 4 Specs in 242.033 seconds
FAIL! -- 1 Passed | 2 Failed | 0 Pending | 1 Skipped


Ginkgo ran 1 suite in 5.827764165s

Test Suite Failed
`
	closedWell = `------------------------------

Ran 3 of 4 Specs in 242.033 seconds
SUCCESS! -- 3 Passed | 0 Failed | 0 Pending | 1 Skipped
`
	sceneFailed = `------------------------------
[SynchronizedBeforeSuite] [FAILED] [51.001 seconds]
[SynchronizedBeforeSuite] 
/belay/test/e2e/suite_test.go:14

  Timeline >>
  STEP: installing Belay @ 11/27/26 15:51:37.45
  << Timeline

  [FAILED] no such image
------------------------------

Ran 0 of 4 Specs in 51.033 seconds
FAIL! -- A BeforeSuite node failed so all tests were skipped.
`
)

func TestJourneysAreCountedOneByOne(t *testing.T) {
	for name, c := range map[string]struct {
		said                    string
		passed, failed, skipped int
		failures                []string
	}{
		"all pass": {said: begun + passedOne + passedOne + passedOne + closedWell, passed: 3, skipped: 1},
		"two fail": {said: begun + failedOne + passedOne + timedOutOne + closed, passed: 1, failed: 2, skipped: 1, failures: []string{
			"FAILED A release [It] that is good\n    STEP: seeing only v1 answer @ 11/27/26 15:51:37.501\n    [FAILED] requests nobody may lose\n    Expected\n    <int>: 1\n    to equal\n    <int>: 0\n    In [It] at: /belay/test/e2e/release_test.go:25 @ 11/27/26 15:51:37.501",
			"FAILED A whole service [It] of 20 replicas [Serial]\n    STEP: scaling to 20 @ 11/27/26 15:51:37.459\n    [FAILED] A node timeout occurred and then the following failure was recorded in the timedout node before it exited:\n    4 pods",
		}},
		"interrupted": {said: begun + interruptedOne + closedByUser, failed: 1, skipped: 3, failures: []string{
			"FAILED When something breaks [It] a push waits [Serial]\n    STEP: starting the controller @ 11/27/26 16:22:40.154\n    [INTERRUPTED] Interrupted by User",
		}},
		"the scene fails": {said: "Will run 4 of 4 specs\n" + sceneFailed, failed: 1, failures: []string{
			"FAILED [SynchronizedBeforeSuite]\n    STEP: installing Belay @ 11/27/26 15:51:37.45\n    [FAILED] no such image",
		}},
		"it does not build": {said: "Failed to compile e2e:\n\n./a_test.go:7: undefined: x\n", failed: 1, failures: []string{
			"FAILED ./test/e2e\n    Failed to compile e2e:\n    ./a_test.go:7: undefined: x",
		}},
		"it ends without a closing line": {said: begun + passedOne, failed: 1, failures: []string{
			failure{name: "./test/e2e", said: strings.Split(begun+passedOne, "\n")}.String(),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := totals{}
			failures := got.readJourneys("./test/e2e")(strings.NewReader(c.said))
			if got.passed != c.passed || got.failed != c.failed || got.skipped != c.skipped || failures != c.failed {
				t.Errorf("%d failures in totals %s", failures, got)
			}
			var said []string
			for _, f := range got.failures {
				said = append(said, f.String())
			}
			if !slices.Equal(said, c.failures) {
				t.Errorf("got %q, want %q", said, c.failures)
			}
		})
	}
}

// TestGinkgoRunsJourneysInTheirPackages: flags come before packages, and a pattern narrows them.
func TestGinkgoRunsJourneysInTheirPackages(t *testing.T) {
	s := suite{packages: []string{"./test/e2e/..."}, flags: []string{"-timeout=30m"}, processes: 3}
	command, err := s.command(t.Context(), "A release")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"-v", "-no-color", "-procs=3", "-timeout=30m", "-focus=A release", "./test/e2e/..."}; !slices.Equal(command.Args[1:], want) {
		t.Errorf("got %q, want %q", command.Args[1:], want)
	}
	if !command.SysProcAttr.Setpgid {
		t.Error("a terminal's interrupt reaches Ginkgo besides the one that suite sends: the second cuts its cleanup short")
	}
}
