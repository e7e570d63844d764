package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// Version of the rules. A run that another version started is ended safely and
// not continued.
const Version = 13

// rule is one row of a table: when matches holds, decide says what to do.
type rule struct {
	name    string
	matches func(*facts) bool
	decide  func(*facts) Decision
}

// table is rows that are asked while applies holds. A row relies on what
// applies says, and on no row above it having matched.
type table struct {
	// name and about are the heading and the first sentence in docs/rules.md.
	name, about string
	applies     func(*facts) bool
	rules       []rule
}

// first is the first row that matches, and whether there is one.
func (t table) first(f *facts) (rule, bool) {
	if !t.applies(f) {
		return rule{}, false
	}
	for _, r := range t.rules {
		if r.matches(f) {
			return r, true
		}
	}
	return rule{}, false
}

// comesTo returns what the named row decides, if it is the first that matches.
func (t table) comesTo(name string, f *facts) (Decision, bool) {
	r, ok := t.first(f)
	if !ok || r.name != name {
		return Decision{}, false
	}
	return r.decide(f), true
}

// tables in order of safety: what must work when everything else is broken comes
// first, what gives the candidate more comes last. A phase has two tables where
// rows for every phase come between its urgent part and the rest.
var tables = []table{
	orderedDeletionTable,
	deletionTable,
	adoptionTable,
	commandsTable,
	unplannedTable,
	triggersTable,
	droppedTable,
	ownerTable,
	orderedRollbackTable,
	rollbackTrafficTable,
	replicasTable,
	orderedPodsTable,
	unansweredTable,
	nativeTrafficTable,
	leftoversTable,
	rollbackRestTable,
	bookkeepingTable,
	withoutRunTable,
	obstaclesTable,
	orderedObstaclesTable,
	beforeRunTable,
	orderedNativeTable,
	nativePromotionTable,
	orderedHandoverTable,
	handoverAfterOwnerTable,
	handoverBeforeOwnerTable,
	trialTable,
	stepsTable,
	bakeTable,
	otherwiseTable,
}

// otherwiseTable is for what no other table answers: a phase that this version does
// not know.
var otherwiseTable = table{
	name:    "Otherwise",
	about:   "Nothing matched, as in a phase that this version of Belay does not know.",
	applies: always,
	rules: []rule{
		{"Hold", always, hold},
	},
}

// Decide returns the decision of the first rule that matches, in the order of the
// tables. It is total: the last rule of the last table always matches.
func Decide(in Input) Decision {
	f := newFacts(in)
	for _, t := range tables {
		if r, ok := t.first(f); ok {
			d := r.decide(f)
			d.Rule = r.name
			return f.finish(d)
		}
	}
	panic("unreachable: the last rule matches everything")
}

// Rules lists the rule names in order of precedence, for documentation and
// tests.
func Rules() []string {
	var names []string
	for _, t := range tables {
		for _, r := range t.rules {
			names = append(names, r.name)
		}
	}
	return names
}

func hold(f *facts) Decision {
	d := f.reconciling(v1alpha1.ReasonHolding, fmt.Sprintf("no rule matches in phase %s: everything stays as it is", f.in.Status.Phase))
	d.Recheck = f.in.Watchdog
	return d
}
