package view

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// Trigger is one reason to roll back: what is measured, what is wanted, and how near it is
// to firing.
type Trigger struct {
	// Name is guardrail/trigger; a ClusterGuardrail's begins with its kind.
	Name    string
	Outcome v1alpha1.VerdictOutcome
	Reason  string
	Message string
	// Observes is set for a trigger that holds and rolls back nothing.
	Observes bool
	// Spared is set for one that lacks requests in a step in which none of users come: the step
	// rarely waits for it, and the planner's own sentence says when it does.
	Spared bool
	// Now is what was measured of the canary, Stable of stable, and Wanted the bound, in the
	// same unit.
	Now, Stable, Wanted string
	// Evidence is how far the trigger is from firing, in percent: it fires at 100. It is
	// -1 when the trigger has no such number.
	Evidence float64
	// Requests that the canary served at this weight, and Needed for a pass; 0 when the
	// trigger needs none. Rate is how many come per second.
	Requests, Needed int64
	Rate             float64
	EvaluatedAt      time.Time
	// Silent is for how long the judge has written no verdict, when that is so long that the
	// verdicts count no more; 0 otherwise.
	Silent         time.Duration
	Query, Samples string
	// Counts are the canary's requests in the run, StableCounts those of stable; nil when
	// none were counted.
	Counts, StableCounts *v1alpha1.ArmCounts
	Statistics           []v1alpha1.Statistic
}

// Missing is how many requests a pass still needs.
func (t Trigger) Missing() int64 { return max(t.Needed-t.Requests, 0) }

// ETA is how long they take at the present rate, as the judge's messages say it; empty when that
// is not known.
func (t Trigger) ETA() string {
	if t.Rate <= 0 || t.Missing() == 0 {
		return ""
	}
	return analysis.Roughly(float64(t.Missing()) / t.Rate)
}

// triggers are those of the Rollout's status, with the figures of its run.
func triggers(in Input) []Trigger {
	var out []Trigger
	silent, unseen := silence(in), previewing(in)
	for _, v := range in.Rollout.Status.Verdicts {
		t := Trigger{Name: triggerName(v.Kind, v.Guardrail, v.Trigger), Outcome: v.Outcome, Reason: Text(v.Reason, 63),
			Message: Text(v.Message, 512), Observes: v.Mode == v1alpha1.ModeObserve, Evidence: -1}
		t.Spared = unseen && v.Outcome == v1alpha1.VerdictInconclusive && slices.Contains(v1alpha1.ReasonsWithoutRequests(), v.Reason)
		if v.EvaluatedAt != nil {
			t.EvaluatedAt = v.EvaluatedAt.Time
		}
		if in.Run != nil {
			t.measure(in.Run, v.Kind, v.Guardrail, v.Trigger)
			if _, rule := pinned(in.Run, v.Kind, v.Guardrail, v.Trigger); rule != nil && rule.Measured() {
				t.Silent = silent
			}
		}
		out = append(out, t)
	}
	return out
}

// previewing is whether the step in progress leads no users to the candidate, but the callers of
// its preview.
func previewing(in Input) bool {
	spec := in.Rollout.Spec
	if in.Run != nil {
		spec.Traffic, spec.Steps = in.Run.Spec.Traffic, in.Run.Spec.Steps
	}
	return spec.PreviewsCandidate(in.Rollout.Status.StepIndex())
}

// silence is for how long the judge of a run in progress has written nothing, when that is
// longer than it may be; 0 otherwise.
func silence(in Input) time.Duration {
	if in.Run == nil || in.Run.Status.Outcome != "" || !in.Rollout.Status.Judged() || !measures(in.Run) {
		return 0
	}
	last := in.Run.Spec.StartedAt.Time
	if a := in.Run.Status.Analysis; a != nil && a.EvaluatedAt != nil {
		last = a.EvaluatedAt.Time
	}
	if silent := in.Now.Sub(last); silent > v1alpha1.VerdictsSilent {
		return silent
	}
	return 0
}

// Overdue is whether a run in progress may be silent, by the verdicts that its Rollout's status
// has, which repeats one no more often than every 30 s.
func Overdue(r *v1alpha1.Rollout, now time.Time) bool {
	if !r.Status.Judged() {
		return false
	}
	return !slices.ContainsFunc(r.Status.Verdicts, func(v v1alpha1.VerdictStatus) bool {
		return v.EvaluatedAt != nil && now.Sub(v.EvaluatedAt.Time) <= v1alpha1.VerdictsSilent
	})
}

// measures is whether any trigger of a run is judged by metrics.
func measures(run *v1alpha1.RolloutRun) bool {
	for i := range run.Spec.Guardrails {
		for _, t := range run.Spec.Guardrails[i].Spec.EffectiveTriggers() {
			if t.Measured() {
				return true
			}
		}
	}
	return false
}

// Measured are the triggers of a run, as they were evaluated last.
func Measured(run *v1alpha1.RolloutRun) []Trigger {
	var out []Trigger
	if run.Status.Analysis == nil {
		return nil
	}
	for i := range run.Status.Analysis.Triggers {
		a := &run.Status.Analysis.Triggers[i]
		t := Trigger{Name: triggerName(a.Kind, a.Guardrail, a.Name), Observes: a.Mode == v1alpha1.ModeObserve, Evidence: -1}
		t.measure(run, a.Kind, a.Guardrail, a.Name)
		out = append(out, t)
	}
	return out
}

func triggerName(kind, guardrail, name string) string {
	return Text(v1alpha1.TriggerName(kind, guardrail, name), 340)
}

// measure fills in what the run knows of the trigger: its spec and its last evaluation.
func (t *Trigger) measure(run *v1alpha1.RolloutRun, kind, guardrail, name string) {
	spec, rule := pinned(run, kind, guardrail, name)
	if rule != nil {
		t.Wanted = wanted(*spec, *rule)
	}
	a := run.Status.Analysis.Trigger(kind, guardrail, name)
	if a == nil {
		if rule != nil && t.Message != "" {
			t.Now = t.Message
		}
		return
	}
	t.Outcome, t.Reason, t.Message = a.Outcome, Text(a.Reason, 63), Text(a.Message, 512)
	t.Query, t.Samples, t.Statistics = Text(a.Query, 4096), Text(a.SamplesSHA256, 71), a.Statistics
	t.Counts, t.StableCounts = a.Canary, a.Stable
	if a.EvaluatedAt != nil {
		t.EvaluatedAt = a.EvaluatedAt.Time
	}
	numbers := numbersOf(a.Statistics)
	t.Now, t.Stable = figures(numbers, a)
	if rule == nil {
		return
	}
	t.Evidence = evidenceOf(*rule, numbers)
	if burns := burnsOf(*rule, numbers); burns != "" {
		t.Now, t.Stable = burns, ""
	}
	if total, ok := numbers["stageTotal"]; ok && rule.SLO != "" {
		t.Requests, t.Needed = int64(total), spec.MinimumSamples
		if a.SamplesFrom != nil && a.EvaluatedAt != nil {
			if elapsed := a.EvaluatedAt.Sub(a.SamplesFrom.Time).Seconds(); elapsed > 0 {
				t.Rate = total / elapsed
			}
		}
	}
}

func pinned(run *v1alpha1.RolloutRun, kind, guardrail, name string) (*v1alpha1.GuardrailSpec, *v1alpha1.Trigger) {
	for i := range run.Spec.Guardrails {
		g := &run.Spec.Guardrails[i]
		if g.Kind != kind || g.Name != guardrail {
			continue
		}
		for _, t := range g.Spec.EffectiveTriggers() {
			if t.Name == name {
				return &g.Spec, &t
			}
		}
	}
	return nil, nil
}

func numbersOf(statistics []v1alpha1.Statistic) map[string]float64 {
	out := map[string]float64{}
	for _, s := range statistics {
		if v, err := strconv.ParseFloat(s.Value, 64); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
			out[s.Name] = v
		}
	}
	return out
}

// figures are what was measured of canary and stable.
func figures(n map[string]float64, a *v1alpha1.TriggerAnalysis) (canary, stable string) {
	if checks, ok := n["checks"]; ok {
		return fmt.Sprintf("%.0f in %.0f", n["violations"], checks), ""
	}
	if v, ok := n["canary"]; ok {
		canary = number(v)
		if s, ok := n["stable"]; ok {
			stable = number(s)
		}
		return canary, stable
	}
	return ratio(a.Canary), ratio(a.Stable)
}

// burnsOf are the figures of a burn in the unit of its bound; empty when the trigger is no
// burn, or has none yet. A burn is not compared with stable.
func burnsOf(rule v1alpha1.Trigger, n map[string]float64) string {
	long, okLong := n["burnLong"]
	short, okShort := n["burnShort"]
	if rule.Burn == nil || !okLong || !okShort {
		return ""
	}
	return fmt.Sprintf("%.1fx in %s, %.1fx in %s", long, Short(rule.Burn.Long.Duration), short, Short(rule.Burn.Short.Duration))
}

func ratio(c *v1alpha1.ArmCounts) string {
	switch {
	case c == nil:
		return ""
	case c.Total <= 0:
		return "no requests"
	default:
		return fmt.Sprintf("%s (%d/%d)", Percent(float64(c.Bad)/float64(c.Total)), c.Bad, c.Total)
	}
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

// evidenceOf is how far the trigger is from firing, in percent; -1 when its rule has no
// such number. A regression needs both of its tests, and a burn both of its windows.
func evidenceOf(rule v1alpha1.Trigger, n map[string]float64) float64 {
	part := func(value, limit string) float64 {
		v, ok := n[value]
		most, known := n[limit]
		if !ok || !known || most <= 0 {
			return -1
		}
		return min(max(100*v/most, 0), 100)
	}
	switch {
	case rule.Regression != nil:
		return min(part("logRelative", "logThreshold"), part("logAbsolute", "logThreshold"))
	case rule.Burn != nil:
		return min(part("burnLong", "rate"), part("burnShort", "rate"))
	case rule.BudgetSpent != "":
		return part("budgetSpent", "limit")
	case rule.Saturation != nil:
		return part("canary", "bound")
	default:
		return -1
	}
}

// wanted is the bound of a trigger in a few words.
func wanted(spec v1alpha1.GuardrailSpec, t v1alpha1.Trigger) string {
	slo, _ := spec.SLO(t.SLO)
	switch {
	case t.Regression != nil:
		worse, _ := strconv.ParseFloat(t.Regression.WorseThan, 64)
		burn, _ := strconv.ParseFloat(t.Regression.Burn, 64)
		budget, ok := slo.Budget()
		if !ok {
			return fmt.Sprintf("≤ %sx stable", number(worse))
		}
		return fmt.Sprintf("≤ %s or %sx stable", Percent(burn*budget), number(worse))
	case t.Burn != nil:
		return fmt.Sprintf("burn ≤ %sx in %s, %s", Text(t.Burn.Rate, 16), Short(t.Burn.Long.Duration), Short(t.Burn.Short.Duration))
	case t.BudgetSpent != "":
		return fmt.Sprintf("≤ %s %% of budget", Text(t.BudgetSpent, 16))
	case t.Saturation != nil && t.Saturation.Max != "" && t.Saturation.WorseThan != "":
		// The greater of the two is the bound.
		return "≤ " + Text(t.Saturation.Max, 32) + " or " + Text(t.Saturation.WorseThan, 16) + "x stable"
	case t.Saturation != nil && t.Saturation.Max != "":
		return "≤ " + Text(t.Saturation.Max, 32)
	case t.Saturation != nil:
		return "≤ " + Text(t.Saturation.WorseThan, 16) + "x stable"
	case t.Invariant != "":
		return "0"
	case t.Pods != nil && t.Pods.MaxRestarts != nil:
		return fmt.Sprintf("≤ %d restarts, ready in %s", *t.Pods.MaxRestarts, Short(t.Pods.ReadyWithin.Duration))
	case t.Check != nil:
		return "the check passes"
	default:
		return ""
	}
}
