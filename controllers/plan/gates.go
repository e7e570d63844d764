package plan

import (
	"fmt"
	"slices"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// Gate is the newest answer of one check that must be open before a run may start. A
// run in progress goes on whatever the gates say, but for GateFreeze.
type Gate struct {
	Name    GateName
	Outcome GateOutcome
	// Reason of the API's condition reasons, or of a pre-flight that of its verdict;
	// may be empty while the gate is open.
	Reason string `json:",omitempty"`
	// Message is one sentence of at most 1024 bytes: what is, why, and what to do.
	Message string `json:",omitempty"`
	// Until is when the answer ends by itself, so that a closed gate needs nobody; zero
	// for one that stands until somebody changes something.
	Until time.Time `json:",omitzero"`
}

// GateName is one of a closed list.
type GateName string

// The gates. Whatever is not named by ofRollout speaks of the candidate.
const (
	// GateGuard is open while a pushed template would wait. Every Rollout has it.
	GateGuard GateName = "guard"
	// GateClaim is open while no other Rollout has the Deployment.
	GateClaim GateName = "claim"
	// GateGuardrails is open while the guardrails that bind, and their sources, can be
	// used.
	GateGuardrails GateName = "guardrails"
	// GatePreflight is open while the service can afford a run.
	GatePreflight GateName = "preflight"
	// GateFreeze is open while no freeze holds the Rollout; where none is for it there is no
	// such gate. It is the only one that also holds a run in progress.
	GateFreeze GateName = "freeze"
)

// ofRollout is the gates that stand whatever the candidate is: they are shown also
// while there is none, and hold every run back. The others hold back a candidate
// that has to be judged; a fast revert passes them.
func (n GateName) ofRollout() bool {
	return slices.Contains([]GateName{GateGuard, GateClaim, GateGuardrails}, n)
}

// GateOutcome is what a gate answers. A run starts only on Open.
type GateOutcome string

const (
	// Open lets a run start.
	Open GateOutcome = "Open"
	// Closed keeps a run from starting until a person does what the message says, or
	// until the answer ends by itself.
	Closed GateOutcome = "Closed"
	// Unknown means that the gate has not been checked, or without a result. Nothing is
	// known to be wrong, so nobody is warned.
	Unknown GateOutcome = "Unknown"
)

// PreflightGate is the gate of a candidate for which a guardrail asks for a
// pre-flight. Only a fresh answer for this very candidate counts.
func PreflightGate(s v1alpha1.RolloutStatus, now time.Time) Gate {
	g := Gate{Name: GatePreflight, Outcome: Unknown, Reason: ReasonPending, Message: "waiting for the pre-flight check"}
	p := s.Preflight
	if p == nil || s.Candidate == nil || p.Revision != s.Candidate.Revision || !v1alpha1.IsCurrent(p.EvaluatedAt.Time, now, v1alpha1.PreflightFreshFor) {
		return g
	}
	g.Reason, g.Until = p.Reason, p.EvaluatedAt.Add(v1alpha1.PreflightFreshFor)
	g.Message = fmt.Sprintf("pre-flight is %s (%s): %s", p.Outcome, p.Reason, p.Message)
	switch p.Outcome {
	case v1alpha1.VerdictPass:
		g.Outcome = Open
	case v1alpha1.VerdictFail:
		g.Outcome = Closed
	}
	return g
}

// gate returns the answer of a gate, and whether the Rollout has it.
func (in Input) gate(name GateName) (Gate, bool) {
	if at := slices.IndexFunc(in.Gates, func(g Gate) bool { return g.Name == name }); at >= 0 {
		return in.Gates[at], true
	}
	return Gate{}, false
}

// claimed returns the gate that another Rollout's claim to the Deployment closes;
// nil without one.
func (f *facts) claimed() *Gate {
	if g, ok := f.in.gate(GateClaim); ok && g.Outcome != Open {
		return &g
	}
	return nil
}

// notOpen returns the first gate of the Rollout, or of its candidate, that is not
// open; nil when all are.
func (f *facts) notOpen(ofRollout bool) *Gate {
	if _, ok := f.in.gate(GateGuard); !ok && ofRollout {
		return &Gate{Name: GateGuard, Outcome: Unknown, Reason: v1alpha1.ReasonGuardUnproven, Message: "the guard has not been checked yet"}
	}
	for _, g := range f.in.Gates {
		if g.Name == GateFreeze && f.closedFreeze() == nil {
			continue
		}
		if g.Outcome != Open && g.Name.ofRollout() == ofRollout {
			return &g
		}
	}
	return nil
}

func rolloutHeld(f *facts) bool { return f.notOpen(true) != nil }

func waitForRollout(f *facts) Decision {
	g := f.notOpen(true)
	return f.heldBy(g, g.Message)
}

func candidateHeld(f *facts) bool { return f.notOpen(false) != nil }

func waitForCandidate(f *facts) Decision {
	g := f.notOpen(false)
	why := "no run starts: " + g.Message
	if g.Name == GateFreeze {
		why += f.overrideFreeze()
	}
	return f.heldBy(g, why)
}

// heldBy asks for a person only where the gate does not open by itself.
func (f *facts) heldBy(g *Gate, why string) Decision {
	reason := g.Reason
	if g.Name == GatePreflight {
		reason = v1alpha1.ReasonPreflight
	}
	d := f.reconciling(reason, why)
	if g.Outcome == Closed && g.Until.IsZero() {
		d = f.stalled(reason, why)
	}
	if !g.Until.IsZero() {
		d.Recheck = g.Until.Sub(f.in.Now)
	}
	d.Key = g.Reason
	return d
}
