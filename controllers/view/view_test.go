package view_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

var now = time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)

func at(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(d)) }

func rollout(phase v1alpha1.Phase, change func(*v1alpha1.RolloutStatus)) *v1alpha1.Rollout {
	r := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "checkout", Namespace: "shop"}}
	r.Status = v1alpha1.RolloutStatus{Phase: phase, Message: "as it is", Stable: &v1alpha1.Revision{Revision: "aaaaaaaaaa", Image: "registry:5000/shop:1.4"}}
	if change != nil {
		change(&r.Status)
	}
	return r
}

func condition(kind, reason string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, LastTransitionTime: at(-time.Hour)}
}

func TestStates(t *testing.T) {
	with := func(c metav1.Condition) func(*v1alpha1.RolloutStatus) {
		return func(s *v1alpha1.RolloutStatus) { s.Conditions = append(s.Conditions, c) }
	}
	takeOver := func(mode v1alpha1.TakeOver) func(*v1alpha1.RolloutStatus) {
		return func(s *v1alpha1.RolloutStatus) { s.Promotion = &v1alpha1.PromotionStatus{Mode: mode} }
	}
	for name, c := range map[string]struct {
		rollout *v1alpha1.Rollout
		want    view.State
	}{
		"not adopted":           {rollout("", nil), view.StateNew},
		"serving":               {rollout(v1alpha1.PhaseStable, nil), view.StateStable},
		"in a step":             {rollout(v1alpha1.PhaseStepping, with(condition("Reconciling", "Progressing"))), view.StateProgressing},
		"undecided":             {rollout(v1alpha1.PhaseStepping, with(condition("Reconciling", "Holding"))), view.StateHolding},
		"frozen":                {rollout(v1alpha1.PhaseStepping, with(condition("Reconciling", "Frozen"))), view.StateFrozen},
		"paused":                {rollout(v1alpha1.PhaseStepping, with(condition("Reconciling", "Paused"))), view.StatePaused},
		"over its deadline":     {rollout(v1alpha1.PhaseStepping, with(condition("Stalled", "DeadlineExceeded"))), view.StateStalled},
		"rejected":              {rollout(v1alpha1.PhaseRolledBack, with(condition("Stalled", "RolledBack"))), view.StateRolledBack},
		"a failed self-check":   {rollout(v1alpha1.PhaseStable, with(condition("InvariantViolated", "SelfCheckFailed"))), view.StateStalled},
		"handed over":           {rollout(v1alpha1.PhaseHandingOver, takeOver(v1alpha1.TakeOverHandOver)), view.StateHandingOver},
		"bypassed":              {rollout(v1alpha1.PhaseHandingOver, takeOver(v1alpha1.TakeOverBypass)), view.StateBypassed},
		"a phase of the future": {rollout("Dancing", nil), view.StateHolding},
	} {
		if got := view.StateOf(c.rollout); got != c.want {
			t.Errorf("%s is %q, want %q", name, got, c.want)
		}
	}
}

// TestCommandsThatMakeSense, each with its effect.
func TestCommandsThatMakeSense(t *testing.T) {
	previous := []v1alpha1.PreviousRevision{{Revision: "cccccccccc", Image: "shop:1.3"}}
	for name, c := range map[string]struct {
		phase     v1alpha1.Phase
		candidate string
		want      string
	}{
		"a trial":         {v1alpha1.PhaseStepping, "bbbbbbbbbb", "abort: back to 1.4, 1.5 stays declared and rejected. rollback: back to 1.4, the Deployment declares it again. pause: 1.5 keeps its weight, triggers still roll back. skip --step 1 --revision bbbbbbbbbb: step 1/2 ends unjudged, the next one begins. promote: 1.5 goes to 100 % and its bake, which has to pass. "},
		"a return":        {v1alpha1.PhasePromoting, "cccccccccc", "abort: 1.4 stays, 1.5 stays declared and rejected. pause: 1.5 keeps its weight, triggers still roll back. "},
		"a rejection":     {v1alpha1.PhaseRolledBack, "bbbbbbbbbb", "retry: 1.5 runs once more, from its first step. rollback: the Deployment declares 1.4 again. bypass --image CONTAINER=IMAGE: a fix goes to all pods at once, unjudged. "},
		"a gate":          {v1alpha1.PhaseGating, "bbbbbbbbbb", "abort: 1.5 gets no run, it stays declared and rejected. rollback: 1.5 gets no run, the Deployment declares 1.4 again. pause: 1.5 gets no run until it is resumed. bypass: 1.5 goes to all pods at once, unjudged. "},
		"a bypass":        {v1alpha1.PhaseHandingOver, "bbbbbbbbbb", "rollback: back to 1.4, the Deployment declares it again. "},
		"stable":          {v1alpha1.PhaseStable, "", "rollback: back to 1.3, the Deployment declares it again. "},
		"on its way back": {v1alpha1.PhaseRollingBack, "bbbbbbbbbb", "bypass --image CONTAINER=IMAGE: a fix goes to all pods at once, unjudged. "},
	} {
		r := rollout(c.phase, func(s *v1alpha1.RolloutStatus) {
			s.Previous = previous
			if c.phase == v1alpha1.PhaseStepping {
				s.Step = &v1alpha1.StepStatus{}
			}
			if c.candidate != "" {
				s.Candidate = &v1alpha1.Revision{Revision: c.candidate, Image: "shop:1.5"}
			}
		})
		r.Spec.Steps = make([]v1alpha1.Step, 2)
		screen := view.Rollout(view.Input{Now: now, Rollout: r})
		got := ""
		for _, action := range screen.Actions {
			got += action + ": " + screen.Effects[action] + ". "
		}
		if got != c.want || len(screen.Effects) != len(screen.Actions) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestWaitingForThePreflightCheck: only one that fails for its budget waits for budget.
func TestWaitingForThePreflightCheck(t *testing.T) {
	const version = "bbbbbbbbbb"
	for name, c := range map[string]struct {
		check          v1alpha1.PreflightStatus
		headline, next string
	}{
		"too little budget": {v1alpha1.PreflightStatus{Revision: version, Outcome: v1alpha1.VerdictFail, Reason: "BudgetLow"}, "WAITING for error budget", "starts when there is budget"},
		"an alert fires":    {v1alpha1.PreflightStatus{Revision: version, Outcome: v1alpha1.VerdictFail, Reason: "AlertFiring"}, "WAITING for the pre-flight check (AlertFiring)", "starts when the pre-flight passes"},
		"no metrics server": {v1alpha1.PreflightStatus{Revision: version, Outcome: v1alpha1.VerdictError, Reason: "Unreachable"}, "WAITING for the pre-flight check (Unreachable)", "starts when the pre-flight passes"},
		"it passes":         {v1alpha1.PreflightStatus{Revision: version, Outcome: v1alpha1.VerdictPass, Reason: "Healthy"}, "WAITING to start 1.5", "starts by itself"},
		"it is of another":  {v1alpha1.PreflightStatus{Revision: "cccccccccc", Outcome: v1alpha1.VerdictFail, Reason: "BudgetLow"}, "WAITING to start 1.5", "starts by itself"},
	} {
		r := rollout(v1alpha1.PhaseGating, func(s *v1alpha1.RolloutStatus) {
			s.Candidate, s.Preflight = &v1alpha1.Revision{Revision: version, Image: "shop:1.5"}, &c.check
		})
		screen := view.Rollout(view.Input{Rollout: r, Now: now})
		if screen.Headline != c.headline || screen.Next != c.next {
			t.Errorf("%s: %s. Next: %s", name, screen.Headline, screen.Next)
		}
	}
}

func TestTextFromOutsideIsSafe(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                                 "plain",
		"red \x1b[31mtext\x1b[0m":               "red [31mtext[0m",
		"two\nlines\tand\r\nmore":               "two lines and  more",
		"right\u202eto left, \u200bzero width":  "rightto left, zero width",
		"C1 \u009b31m":                          "C1 31m",
		"not UTF-8 \xff\xfe":                    "not UTF-8 ",
		strings.Repeat("ä", 30):                 strings.Repeat("ä", 19) + "…",
		"bell \a and title \x1b]0;mine\x07 end": "bell  and title ]0;…",
	} {
		if got := view.Text(in, 20); got != want && view.Text(in, 40) != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
	if got := view.Text(strings.Repeat("\u202e", 1<<20)+"end", 10); strings.Contains(got, "end") {
		t.Errorf("a long text is scanned to its end: %q", got)
	}
}

func TestDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{-time.Second: "0s", 40 * time.Second: "40s", 4*time.Minute + 12*time.Second: "4m12s", 5 * time.Minute: "5m",
		18*time.Minute + 5*time.Second: "18m", 3*time.Hour + 5*time.Minute: "3h05m", 2 * time.Hour: "2h", 50 * time.Hour: "2d"} {
		if got := view.Short(d); got != want {
			t.Errorf("%s is %s, want %s", d, got, want)
		}
	}
}

// TestMoments: every time says its zone, and its day unless that is today's.
func TestMoments(t *testing.T) {
	elsewhere := time.FixedZone("east", 10*3600)
	for want, at := range map[string]time.Time{"13:59:55Z": now.Add(-5 * time.Second).In(elsewhere), "19 Nov 14:00:00Z": now.Add(-24 * time.Hour)} {
		if got := view.Moment(at, now); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	r := rollout(v1alpha1.PhaseStepping, func(s *v1alpha1.RolloutStatus) {
		s.WouldRollBack = []v1alpha1.ObservedFail{{Trigger: "g/slow", Stage: "step 1", At: at(-24 * time.Hour)}}
	})
	if got := view.Rollout(view.Input{Rollout: r, Now: now}).Notes[0]; got != "g/slow only observes; it would have rolled back at step 1, 19 Nov 14:00:00Z" {
		t.Error(got)
	}
}

func TestTags(t *testing.T) {
	for image, want := range map[string]string{"shop:1.5": "1.5", "registry:5000/shop": "aaaaaaaaaa", "registry:5000/shop:1.5@sha256:abc": "1.5", "": "aaaaaaaaaa"} {
		if got := view.Tag(&v1alpha1.Revision{Revision: "aaaaaaaaaa", Image: image}); got != want {
			t.Errorf("%q has the tag %q, want %q", image, got, want)
		}
	}
}

// measured is a trigger of a run with its last evaluation.
func measured(trigger v1alpha1.Trigger, last v1alpha1.TriggerAnalysis) view.Trigger {
	trigger.Name = "t"
	last.Kind, last.Guardrail, last.Name = "Guardrail", "g", trigger.Name
	run := &v1alpha1.RolloutRun{}
	run.Spec.Guardrails = []v1alpha1.PinnedGuardrail{{Kind: "Guardrail", Name: "g", Spec: v1alpha1.GuardrailSpec{Triggers: []v1alpha1.Trigger{trigger}}}}
	run.Status.Analysis = &v1alpha1.AnalysisStatus{Triggers: []v1alpha1.TriggerAnalysis{last}}
	return view.Measured(run)[0]
}

// TestEvidence: a trigger fires at 100, and a regression needs both of its tests.
func TestEvidence(t *testing.T) {
	statistics := func(pairs ...string) []v1alpha1.Statistic {
		var out []v1alpha1.Statistic
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, v1alpha1.Statistic{Name: pairs[i], Value: pairs[i+1]})
		}
		return out
	}
	for name, c := range map[string]struct {
		trigger    v1alpha1.Trigger
		statistics []v1alpha1.Statistic
		want       float64
	}{
		"one test alone":    {v1alpha1.Trigger{SLO: "errors", Regression: &v1alpha1.RegressionTrigger{}}, statistics("logRelative", "8", "logAbsolute", "2", "logThreshold", "8"), 25},
		"both":              {v1alpha1.Trigger{SLO: "errors", Regression: &v1alpha1.RegressionTrigger{}}, statistics("logRelative", "9", "logAbsolute", "20", "logThreshold", "8"), 100},
		"against it":        {v1alpha1.Trigger{SLO: "errors", Regression: &v1alpha1.RegressionTrigger{}}, statistics("logRelative", "-3", "logAbsolute", "1", "logThreshold", "8"), 0},
		"one window":        {v1alpha1.Trigger{SLO: "errors", Burn: &v1alpha1.BurnTrigger{}}, statistics("burnLong", "7.2", "burnShort", "30", "rate", "14.4"), 50},
		"budget":            {v1alpha1.Trigger{SLO: "errors", BudgetSpent: "2"}, statistics("budgetSpent", "0.01", "limit", "0.02"), 50},
		"no statistics":     {v1alpha1.Trigger{SLO: "errors", BudgetSpent: "2"}, nil, -1},
		"not a number":      {v1alpha1.Trigger{SLO: "errors", BudgetSpent: "2"}, statistics("budgetSpent", "NaN", "limit", "0.02"), -1},
		"no number of that": {v1alpha1.Trigger{Invariant: "ledger"}, statistics("checks", "7", "violations", "0"), -1},
	} {
		if got := measured(c.trigger, v1alpha1.TriggerAnalysis{Statistics: c.statistics}).Evidence; got != c.want {
			t.Errorf("%s: evidence %v, want %v", name, got, c.want)
		}
	}
}

// TestFiguresHaveTheUnitOfTheirBound: what is measured and what is wanted can be compared.
func TestFiguresHaveTheUnitOfTheirBound(t *testing.T) {
	burn := &v1alpha1.BurnTrigger{Rate: "14.4", Long: metav1.Duration{Duration: 5 * time.Minute}, Short: metav1.Duration{Duration: time.Minute}}
	values := []v1alpha1.Statistic{{Name: "burnLong", Value: "15.42"}, {Name: "burnShort", Value: "24"}}
	load := []v1alpha1.Statistic{{Name: "canary", Value: "0.4"}, {Name: "stable", Value: "0.2"}}
	for name, c := range map[string]struct {
		trigger             v1alpha1.Trigger
		statistics          []v1alpha1.Statistic
		now, stable, wanted string
	}{
		"burn":           {v1alpha1.Trigger{SLO: "errors", Burn: burn}, values, "15.4x in 5m, 24.0x in 1m", "", "burn ≤ 14.4x in 5m, 1m"},
		"burn, unknown":  {v1alpha1.Trigger{SLO: "errors", Burn: burn}, nil, "2.0 % (2/100)", "", "burn ≤ 14.4x in 5m, 1m"},
		"the greater of": {v1alpha1.Trigger{Saturation: &v1alpha1.SaturationTrigger{Max: "0.25", WorseThan: "2"}}, load, "0.4", "0.2", "≤ 0.25 or 2x stable"},
		"max":            {v1alpha1.Trigger{Saturation: &v1alpha1.SaturationTrigger{Max: "0.25"}}, load, "0.4", "0.2", "≤ 0.25"},
		"worse than":     {v1alpha1.Trigger{Saturation: &v1alpha1.SaturationTrigger{WorseThan: "2"}}, load, "0.4", "0.2", "≤ 2x stable"},
	} {
		if got := measured(c.trigger, v1alpha1.TriggerAnalysis{Statistics: c.statistics, Canary: &v1alpha1.ArmCounts{Total: 100, Bad: 2}}); got.Now != c.now || got.Stable != c.stable || got.Wanted != c.wanted {
			t.Errorf("%s: canary %q, stable %q, wanted %q", name, got.Now, got.Stable, got.Wanted)
		}
	}
}

func TestTheTimeUntilThereAreEnoughRequests(t *testing.T) {
	for name, c := range map[string]struct {
		trigger view.Trigger
		missing int64
		eta     string
	}{
		"some missing":   {view.Trigger{Requests: 140, Needed: 200, Rate: 0.5}, 60, "about 2m"},
		"for very long":  {view.Trigger{Requests: 140, Needed: 200, Rate: 1e-4}, 60, "more than 2 days"},
		"enough":         {view.Trigger{Requests: 300, Needed: 200, Rate: 0.5}, 0, ""},
		"none come":      {view.Trigger{Requests: 0, Needed: 200}, 200, ""},
		"none is needed": {view.Trigger{}, 0, ""},
	} {
		if c.trigger.Missing() != c.missing || c.trigger.ETA() != c.eta {
			t.Errorf("%s: %d missing, in %q", name, c.trigger.Missing(), c.trigger.ETA())
		}
	}
}

// TestWaitingForAVersion tries every way in which one can end.
func TestWaitingForAVersion(t *testing.T) {
	const version, other, stable = "bbbbbbbbbb", "cccccccccc", "aaaaaaaaaa"
	candidate := func(revision string) func(*v1alpha1.RolloutStatus) {
		return func(s *v1alpha1.RolloutStatus) { s.Candidate = &v1alpha1.Revision{Revision: revision} }
	}
	ended := func(outcome v1alpha1.Outcome, when time.Duration) v1alpha1.HistoryEntry {
		return v1alpha1.HistoryEntry{Revision: version, Outcome: outcome, FinishedAt: at(when), Message: "it ended"}
	}
	for name, c := range map[string]struct {
		rollout  *v1alpha1.Rollout
		declared string
		over     bool
		want     v1alpha1.Outcome
	}{
		"not seen yet":   {rollout(v1alpha1.PhaseStable, nil), version, false, ""},
		"in a step":      {rollout(v1alpha1.PhaseStepping, candidate(version)), version, false, ""},
		"pushed over it": {rollout(v1alpha1.PhaseStepping, candidate(version)), other, false, ""},
		"stable":         {rollout(v1alpha1.PhaseStable, func(s *v1alpha1.RolloutStatus) { s.Stable.Revision = version }), version, true, v1alpha1.OutcomePromoted},
		"rolled back": {rollout(v1alpha1.PhaseRolledBack, func(s *v1alpha1.RolloutStatus) {
			candidate(version)(s)
			s.Rejected = []v1alpha1.RejectedRevision{{Revision: version}}
		}), version, true, v1alpha1.OutcomeRolledBack},
		"rolling back": {rollout(v1alpha1.PhaseRollingBack, func(s *v1alpha1.RolloutStatus) {
			candidate(version)(s)
			s.Rejected = []v1alpha1.RejectedRevision{{Revision: version}}
		}), version, false, ""},
		"superseded": {rollout(v1alpha1.PhaseGating, func(s *v1alpha1.RolloutStatus) {
			candidate(other)(s)
			s.History = []v1alpha1.HistoryEntry{ended(v1alpha1.OutcomeSuperseded, time.Minute)}
		}), other, true, v1alpha1.OutcomeSuperseded},
		"cancelled": {rollout(v1alpha1.PhaseStable, func(s *v1alpha1.RolloutStatus) {
			s.History = []v1alpha1.HistoryEntry{ended(v1alpha1.OutcomeCancelled, time.Minute)}
		}), stable, true, v1alpha1.OutcomeCancelled},
		"bypassed": {rollout(v1alpha1.PhaseStable, func(s *v1alpha1.RolloutStatus) {
			s.Stable.Revision = version
			s.History = []v1alpha1.HistoryEntry{ended(v1alpha1.OutcomeBypassed, time.Minute)}
		}), version, true, v1alpha1.OutcomeBypassed},
		"retried": {rollout(v1alpha1.PhaseStepping, func(s *v1alpha1.RolloutStatus) {
			candidate(version)(s)
			s.History = []v1alpha1.HistoryEntry{ended(v1alpha1.OutcomeRolledBack, -time.Minute)}
		}), version, false, ""},
		"never declared":  {rollout(v1alpha1.PhaseStable, nil), stable, true, v1alpha1.OutcomeCancelled},
		"another instead": {rollout(v1alpha1.PhaseStable, nil), other, true, v1alpha1.OutcomeSuperseded},
		"not known what":  {rollout(v1alpha1.PhaseStable, nil), "", false, ""},
	} {
		end := view.Await(c.rollout, version, c.declared, now)
		if end.Over != c.over || end.Outcome != c.want || end.Said == "" {
			t.Errorf("%s: %+v", name, end)
		}
	}
}

func TestWorstFirst(t *testing.T) {
	rows := []view.Row{{Name: "b", State: view.StateStable}, {Name: "a", State: view.StateStable}, {Name: "z", State: view.StateHolding}, {Name: "y", State: view.StateStalled}}
	view.Worst(rows)
	got := ""
	for _, r := range rows {
		got += r.Name
	}
	if got != "yzab" {
		t.Errorf("the order is %s", got)
	}
}

// TestAScreenOfAlmostNothing: what is missing in the cluster is missing on the screen, and
// nothing else.
func TestAScreenOfAlmostNothing(t *testing.T) {
	for _, phase := range []v1alpha1.Phase{"", v1alpha1.PhaseStable, v1alpha1.PhaseGating, v1alpha1.PhaseStepping, v1alpha1.PhasePromoting, v1alpha1.PhaseBaking,
		v1alpha1.PhaseHandingOver, v1alpha1.PhaseRollingBack, v1alpha1.PhaseRolledBack, "Dancing"} {
		r := rollout(phase, func(s *v1alpha1.RolloutStatus) { s.Stable = nil })
		screen := view.Rollout(view.Input{Rollout: r, Now: now})
		if screen.Headline == "" || screen.Why == "" || len(screen.Versions) != 0 || len(screen.Steps) != 0 {
			t.Errorf("phase %q: %+v", phase, screen)
		}
	}
	account := view.Explain(view.Input{Run: &v1alpha1.RolloutRun{}})
	if account.FailedRequests != -1 || account.ToZero >= 0 || account.Present != "" || len(account.Actions) != 0 {
		t.Errorf("a run with nothing in it: %+v", account)
	}
}

// TestHistoryOfBoth: runs that were pruned are remembered by the status, the others once.
func TestHistoryOfBoth(t *testing.T) {
	r := rollout(v1alpha1.PhaseStable, func(s *v1alpha1.RolloutStatus) {
		s.History = []v1alpha1.HistoryEntry{{Run: "two", StartedAt: at(-time.Hour)}, {Run: "one", StartedAt: at(-2 * time.Hour)}}
	})
	runs := []v1alpha1.RolloutRun{{ObjectMeta: metav1.ObjectMeta{Name: "two"}}, {ObjectMeta: metav1.ObjectMeta{Name: "three"}}}
	runs[0].Spec.StartedAt, runs[0].Status.Outcome = at(-time.Hour), v1alpha1.OutcomePromoted
	got := ""
	for _, f := range view.History(r, runs) {
		got += f.Run + " "
	}
	if got != "two one " {
		t.Errorf("the history is %s", got)
	}
}

// TestWhatItWaitsForEnforces: requests that only an observing trigger lacks hold nothing.
func TestWhatItWaitsForEnforces(t *testing.T) {
	r := rollout(v1alpha1.PhaseStepping, func(s *v1alpha1.RolloutStatus) {
		s.Conditions = []metav1.Condition{condition("Reconciling", "Holding")}
	})
	run := &v1alpha1.RolloutRun{}
	spec := v1alpha1.GuardrailSpec{MinimumSamples: 200}
	analysis := &v1alpha1.AnalysisStatus{EvaluatedAt: &metav1.MicroTime{Time: now}}
	from, evaluated := metav1.NewMicroTime(now.Add(-100*time.Second)), metav1.NewMicroTime(now)
	for name, c := range map[string]struct {
		mode  v1alpha1.Mode
		total string
	}{"observes": {v1alpha1.ModeObserve, "10"}, "enforces": {"", "100"}} {
		spec.Triggers = append(spec.Triggers, v1alpha1.Trigger{Name: name, SLO: "errors", BudgetSpent: "2"})
		analysis.Triggers = append(analysis.Triggers, v1alpha1.TriggerAnalysis{Kind: "Guardrail", Guardrail: "g", Name: name, Outcome: v1alpha1.VerdictInconclusive,
			SamplesFrom: &from, EvaluatedAt: &evaluated, Statistics: []v1alpha1.Statistic{{Name: "stageTotal", Value: c.total}}})
		r.Status.Verdicts = append(r.Status.Verdicts, v1alpha1.VerdictStatus{Kind: "Guardrail", Guardrail: "g", Trigger: name, Mode: c.mode})
	}
	run.Spec.Guardrails, run.Status.Analysis = []v1alpha1.PinnedGuardrail{{Kind: "Guardrail", Name: "g", Spec: spec}}, analysis
	screen := view.Rollout(view.Input{Rollout: r, Run: run, Now: now})
	if want := "Waiting for requests: 100 of 200 at this weight, about 2m at the present rate (g/enforces)."; screen.Why != want {
		t.Errorf("%s, want %s", screen.Why, want)
	}
	if want := "needs 100 more requests ~2m"; screen.Next != want {
		t.Errorf("next: %s, want %s", screen.Next, want)
	}
	// Requests are not all that is missing.
	for outcome, want := range map[v1alpha1.VerdictOutcome]string{
		v1alpha1.VerdictInconclusive: "needs 100 more requests, and g/pods to pass", v1alpha1.VerdictError: "needs 100 more requests, and g/pods to pass",
		v1alpha1.VerdictPass: "needs 100 more requests ~2m",
	} {
		other := r.DeepCopy()
		other.Status.Verdicts = append(other.Status.Verdicts, v1alpha1.VerdictStatus{Kind: "Guardrail", Guardrail: "g", Trigger: "pods", Outcome: outcome})
		screen := view.Rollout(view.Input{Rollout: other, Run: run, Now: now})
		if (screen.Why == "as it is") != (outcome != v1alpha1.VerdictPass) || screen.Next != want {
			t.Errorf("with another trigger that is %s: %s Next: %s", outcome, screen.Why, screen.Next)
		}
	}
	for i := range analysis.Triggers {
		analysis.Triggers[i].Outcome = v1alpha1.VerdictError
	}
	if screen := view.Rollout(view.Input{Rollout: r, Run: run, Now: now}); screen.Why != "as it is" || screen.Next != "all triggers must pass" {
		t.Errorf("requests do not mend an error: %s Next: %s", screen.Why, screen.Next)
	}
}

// TestTheScreenNamesThePreview while it leads to the candidate.
func TestTheScreenNamesThePreview(t *testing.T) {
	r := rollout(v1alpha1.PhaseStepping, func(s *v1alpha1.RolloutStatus) {
		s.Preview = &v1alpha1.PreviewStatus{Service: "shop-preview", Revision: "9fd21c3b07"}
	})
	notes := strings.Join(view.Rollout(view.Input{Rollout: r, Now: now}).Notes, "\n")
	if !strings.Contains(notes, "Service shop-preview leads to the candidate alone (revision 9fd21c3b07), whatever its weight.") {
		t.Errorf("the notes are %q", notes)
	}
}

// TestAPreviewWaitsForNoRequests: what holds its step is something else.
func TestAPreviewWaitsForNoRequests(t *testing.T) {
	r := rollout(v1alpha1.PhaseStepping, func(s *v1alpha1.RolloutStatus) {
		s.Conditions, s.Step = []metav1.Condition{condition("Reconciling", "Holding")}, &v1alpha1.StepStatus{}
		s.Candidate = &v1alpha1.Revision{Revision: "bbbbbbbbbb", Image: "registry:5000/shop:1.5"}
		s.Verdicts = []v1alpha1.VerdictStatus{
			{Kind: "Guardrail", Guardrail: "g", Trigger: "errors", Outcome: v1alpha1.VerdictInconclusive, Reason: "NoTraffic"},
			{Kind: "Guardrail", Guardrail: "g", Trigger: "smoke", Outcome: v1alpha1.VerdictInconclusive, Reason: "Pending"},
		}
	})
	run := &v1alpha1.RolloutRun{}
	run.Spec.Steps, run.Spec.Traffic = []v1alpha1.Step{{}, {Weight: 100}}, &v1alpha1.Traffic{}
	run.Spec.Guardrails = []v1alpha1.PinnedGuardrail{{Kind: "Guardrail", Name: "g", Spec: v1alpha1.GuardrailSpec{MinimumSamples: 200, Triggers: []v1alpha1.Trigger{{Name: "errors", SLO: "errors", BudgetSpent: "2"}}}}}
	evaluated := metav1.NewMicroTime(now)
	run.Status.Analysis = &v1alpha1.AnalysisStatus{EvaluatedAt: &evaluated, Triggers: []v1alpha1.TriggerAnalysis{{Kind: "Guardrail", Guardrail: "g", Name: "errors", Outcome: v1alpha1.VerdictInconclusive, EvaluatedAt: &evaluated,
		Statistics: []v1alpha1.Statistic{{Name: "stageTotal", Value: "0"}}}}}
	for preview, waits := range map[v1alpha1.Preview]bool{v1alpha1.PreviewEnabled: false, v1alpha1.PreviewDisabled: true} {
		run.Spec.Traffic.Preview = preview
		screen := view.Rollout(view.Input{Rollout: r, Run: run, Now: now})
		if got := strings.Contains(screen.Why+screen.Next, "200"); got != waits {
			t.Errorf("preview %s: %s Next: %s", preview, screen.Why, screen.Next)
		}
	}
}
