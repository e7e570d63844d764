//go:build kill

package kill

import "slices"

// The promises of docs/concepts.md.
const (
	unguarded   = "nothing ships unguarded"
	unknown     = "unknown is a third outcome"
	independent = "a rollback depends on the API server alone"
	explained   = "every decision can be explained, replayed and verified"
	served      = "every request is served, and the candidate gets no more than its step allows"
)

// bugs are all that are seeded. When the code changes where one stands, the table
// fails until its text here follows.
var bugs = slices.Concat(planBugs, orderedBugs, loopBugs, handoverBugs, trafficBugs, analysisBugs, evidenceBugs)

// invariants holds the planner's decisions to the invariants, over enumerated inputs.
var invariants = check{pkg: "./controllers/plan", run: "KeepThePromises"}

// stage does so for every input of one stage, of those that invariants takes a part of.
func stage(name string) check {
	return check{pkg: "./controllers/plan", run: "TestDecisionsOnWhatIsObservedKeepThePromises/^" + name + "$", flag: "-plan.every=59"}
}

// rules compares the planner's decisions with those expected of each rule.
var rules = check{pkg: "./controllers/plan", skip: "KeepThePromises|Docs|TablesStayShort"}

// story plays one story of the simulated world again and again, each time with one
// disturbance, and judges what happens to requests and pods, and how it ends.
func story(name string) check {
	return check{pkg: "./test/sim", run: "^TestSingleDisturbances$/^stories$/^" + name + "$"}
}

// tests are those of a package whose names match; all of them when run is empty.
func tests(pkg, run string) check { return check{pkg: pkg, run: run} }
