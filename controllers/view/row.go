package view

import (
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// Row is one Rollout in a list.
type Row struct {
	Namespace, Name string
	State           State
	Serving         string
	// Step is "1/3"; empty when no run is in progress.
	Step string
	Next string
	// By is who pushed the declared version; empty when that is not known.
	By      string
	Since   time.Time
	Trigger string
	Message string
}

// RowOf is the row of a Rollout, which needs its run only when it is Overdue. By is the
// annotation pushed-by of its workload.
func RowOf(in Input, by string) Row {
	r, state := in.Rollout, stateOf(in)
	s := &r.Status
	row := Row{Namespace: r.Namespace, Name: r.Name, State: state, Serving: Text(s.Serving, 256), By: Text(by, 256),
		Since: since(in, state), Message: Text(s.Message, 1024)}
	if s.Phase.InRun() && s.Step != nil {
		row.Step = Text(s.Step.Display, 16)
	}
	row.Next = nextOf(r, state, in.Now)
	switch {
	case s.Rollback != nil:
		row.Trigger = Text(s.Rollback.Trigger, 256)
	case state == StateHolding:
		for _, v := range s.Verdicts {
			if v.Mode != v1alpha1.ModeObserve && v.Outcome != v1alpha1.VerdictPass {
				row.Trigger = triggerName(v.Kind, v.Guardrail, v.Trigger)
				break
			}
		}
	}
	return row
}
