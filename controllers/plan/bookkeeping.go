package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// bookkeepingTable applies always. It comes after the rollback, which must not
// depend on a record or a label, and before the rows that take a candidate
// further, which rely on both.
var bookkeepingTable = table{
	name:    "Another version, the run's record, the labels",
	about:   "In every phase but RollingBack: another version is declared, or the run's record or a label is missing, or a trigger in mode Observe fires.",
	applies: always,
	rules: []rule{
		{"Cancelled", cancelled, cancel},
		{"Superseded", superseded, supersede},
		{"RunMissing", runMissing, createRun},
		{"MarksWorkload", labelsWrong, markWorkload},
		{"WouldRollBack", observedFail, noteObservedFail},
	},
}

func cancelled(f *facts) bool { return cancellable(f) && f.declared == f.stable }

func cancel(f *facts) Decision {
	why := f.workload() + " declares the stable version again"
	if !gating(f) {
		return f.beginRollback(v1alpha1.OutcomeCancelled, "", why)
	}
	return f.backToStable(why)
}

// superseded holds when another template is declared, and has settled, while the candidate
// is in Gating or in a run.
func superseded(f *facts) bool { return newerDeclared(f) && !settling(f) }

func supersede(f *facts) Decision {
	declared, candidate := f.rivals()
	why := fmt.Sprintf("%s was declared while the run of %s was in progress", declared, candidate)
	if !gating(f) {
		return f.beginRollback(v1alpha1.OutcomeSuperseded, "", why)
	}
	why = fmt.Sprintf("%s was declared before a run of %s started", declared, candidate)
	if f.rejection(f.declared) != nil {
		return rejectAgain(f)
	}
	d := f.reconciling(v1alpha1.ReasonProgressing, why)
	f.takeAsCandidate(&d)
	return d
}

// runMissing holds until the run of a candidate exists: the decision that began
// it is recorded there.
func runMissing(f *facts) bool { return revocable(f) && !f.in.Run.Exists }

func createRun(f *facts) Decision {
	d := f.doing(f.phaseReason(), "creating RolloutRun "+f.in.Status.Run, CreateRun{})
	d.Repeats = true
	d.Recheck = 1
	return d
}

// labelsWrong is false for a Deployment that another Rollout guards: its labels
// are not ours.
func labelsWrong(f *facts) bool {
	present, wanted := f.in.Workload.Marks, f.marks(f.in.Status)
	if f.givenBack() && present.Run == "" {
		wanted.Run, wanted.Narrowed = "", ""
	}
	return f.claimed() == nil && (present != wanted || f.in.Workload.StableUnmarked)
}

// marks are Belay's labels on the Deployment as they should be with a status. The
// admission policies know nothing else. A run without routes has nothing that a bypass
// would have to undo first.
func (f *facts) marks(s v1alpha1.RolloutStatus) Marks {
	m := Marks{Rollout: f.in.Name}
	if s.Phase.InRun() && !f.replicaWeighted() {
		m.Run = v1alpha1.RunLabel(s.Run)
		if f.narrows() || f.in.Route.Narrowed != "" {
			m.Narrowed = f.traffic.Service
		}
	}
	if s.Phase == v1alpha1.PhaseRolledBack && f.declared == f.candidate && s.IsRejected(f.declared) != nil {
		m.Rejected = f.declared
	}
	return m
}

// givenBack holds in a handover once nothing is left that a bypass would have to
// undo first: the write that unpauses the Deployment takes the labels that say so.
func (f *facts) givenBack() bool {
	return handed(f) && !routesSplit(f) && !narrowed(f)
}

// remark lets a decision that ends a run set the labels that hold from then on.
func (f *facts) remark(d *Decision) {
	if m := f.marks(d.Status); f.in.Workload.Marks != m && f.claimed() == nil {
		d.Effects = append(d.Effects, MarkWorkload{m})
	}
}

func markWorkload(f *facts) Decision {
	marks := f.marks(f.in.Status)
	return f.doing(f.phaseReason(), "setting Belay's labels on "+f.workload()+": "+marks.String(), MarkWorkload{marks})
}
