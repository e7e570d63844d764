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

// bugs that the checks are tried with. Where the code of a bug's place changes, the
// table fails, and the text here follows.
var bugs = slices.Concat(planBugs, loopBugs, handoverBugs, trafficBugs, analysisBugs, evidenceBugs)

// promises holds the planner to the invariants, over inputs that are enumerated.
var promises = check{pkg: "./controllers/plan", run: "KeepThePromises"}

// planned compares whole decisions of the planner, one for each of its rules.
var planned = check{pkg: "./controllers/plan", skip: "KeepThePromises|Docs|TablesStayShort"}

// told plays a story of the simulated world, with crashes and with events that are
// lost, and judges the world.
func told(story string) check {
	return check{pkg: "./test/sim", run: "^(TestEveryCrashPoint|TestDelaysAndLosses)$/^" + story + "$"}
}

func in(pkg, run string) check { return check{pkg: pkg, run: run} }
