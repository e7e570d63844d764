package analysis

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// displayAlpha is one minus the confidence of the intervals in a message.
const displayAlpha = 0.05

// recentWindow is the window in which bad requests must be seen to be still coming.
const recentWindow = time.Minute

// leastChance is the smallest chance that a message states. Smaller ones are correct for
// requests that fail independently, but no service is as close to that.
const leastChance = 1e-4

// Judge returns the verdict for a state. The ledger is the one observed last.
func (r Regression) Judge(s RegressionState, l Ledger) Verdict {
	if !r.sound() {
		return Verdict{Reason: BadQuery, Message: fmt.Sprintf(
			"settings out of range: budget %v and falseAlarm %v must be between 0 and 1, worseThan %v at least 1, burn %v times the budget below %v, exclude %v not negative",
			r.Budget, r.Alpha, r.Worse, r.Allowed, maxRatio, r.Exclude)}
	}
	if !l.Canary.sound() || !l.Stable.sound() || !l.Stage.sound() {
		return Verdict{Reason: Malformed, Message: invalidCounts}
	}
	if r.Incomparable != "" {
		l = l.WithoutBadOfStable()
		l.Stable = Counts{}
	}
	j := judgement{Regression: r, state: s, ledger: l, canary: l.Canary.side(), stable: l.Stable.side()}
	j.weigh()
	v := j.decide()
	v.Statistics = j.statistics()
	return v
}

// judgement is one evaluation.
type judgement struct {
	Regression
	state  RegressionState
	ledger Ledger
	// canary and stable are the ledger's counts of each.
	canary, stable side
	// alone is set while stable serves nothing.
	alone bool
	// sustained is the evidence that no burst and no beginning explains. It is computed only
	// when there is enough evidence for it to matter.
	sustained float64
}

func (j *judgement) weigh() {
	j.alone = j.state.Alone != nil
	switch {
	case j.alone && j.state.Absolute.net() > j.threshold()/2:
		j.sustained = j.sustainedAlone(j.state)
	case !j.alone && j.state.log() > j.threshold()/2:
		j.sustained = j.Regression.sustained(j.state.Trail)
	}
}

// sufficient reports whether there is enough evidence of what can be judged now.
func (j *judgement) sufficient() bool {
	if j.alone {
		return j.holds(j.state.Absolute)
	}
	return j.compared(j.state.Evidence)
}

// burning reports whether the candidate has been outside its budget in the last minute.
func (j *judgement) burning() bool {
	return j.burns(j.ledger.Window(recentWindow))
}

// unsettled reports whether the candidate has been outside its budget in as many of its newest
// requests as have minimumBad bad ones at its limit. With little traffic a minute has too few
// bad requests to tell that they stopped.
func (j *judgement) unsettled() bool { return j.burns(j.ledger.newest(minimumBad / j.limit())) }

// burns reports whether some requests are outside the candidate's limit.
func (j *judgement) burns(c Counts) bool { return c.Bad >= minimumBad && c.Ratio() > j.limit() }

func (j *judgement) decide() Verdict {
	l := j.ledger
	enough := j.sufficient()
	switch {
	case enough && j.sustained >= j.Bar && l.Canary.Bad >= minimumBad:
		return j.failed()
	case l.Stage.Total == 0:
		return Verdict{Reason: NoTraffic, Message: noTraffic}
	case l.Stage.Total < float64(j.MinimumSamples):
		return Verdict{Reason: BelowMinSamples, Message: l.fewer(j.MinimumSamples, j.sentence)()}
	}
	if v, held := j.doubt(enough); held {
		return v
	}
	return j.passed()
}

// doubt returns what keeps a candidate from passing.
func (j *judgement) doubt(enough bool) (v Verdict, held bool) {
	recent := j.burning()
	burning := recent || enough && j.unsettled()
	over := burning && j.holds(j.state.Absolute)
	until, young := j.youngUntil()
	switch {
	case enough && young && burning:
		return j.pending(fmt.Sprintf("enough evidence to roll back, but the pods with bad requests are within their warm-up of %s: held back until %s",
			j.WarmUp, until.UTC().Format("15:04:05 UTC"))), true
	case (enough || over) && recent && j.coldStart():
		return j.pending(fmt.Sprintf("the error budget burns, by requests of pods within their warm-up of %s, until %s: a cold start may be the cause, and what fails later decides",
			j.WarmUp, until.UTC().Format("15:04:05 UTC"))), true
	case over && j.alone:
		return j.pending(fmt.Sprintf("the error budget burns; without stable to compare with, a rollback needs more than %s for longer than %s", percent(j.state.Alone.Limit), sharedIncident)), true
	case enough && burning:
		return j.pending(fmt.Sprintf("enough evidence to roll back, but a burst of up to %s on one pod, requests beyond the candidate's share, or errors that come in clumps as stable's do, may explain it: a rollback needs bad requests that last", j.Burst)), true
	case over && j.Quality.baselineMissing(j.ledger):
		return Verdict{Reason: BaselineMissing, Message: j.sentence() + "; the error budget burns, and " + noBaseline}, true
	case over:
		return Verdict{Reason: EnvironmentIncident, Message: j.sentence() + "; the error budget burns, but the candidate is not shown to be worse than stable"}, true
	case burning && j.canary.low > j.limit(), j.sustained > j.Bar/2 || burning && !j.alone && j.state.log() > j.threshold()/2:
		// Half the evidence is too little to fail and too much to pass.
		return j.pending("there is some evidence of a regression, not enough to roll back"), true
	}
	return j.excluded()
}

// coldStart reports whether what burned in the last minute are requests of pods within their
// warm-up, while neither the others nor stable have burned.
func (j *judgement) coldStart() bool {
	old, stable := j.ledger.Window(recentWindow), Counts{}
	since := j.ledger.EvaluatedAt.Add(-recentWindow).UnixMilli() - j.state.Trail.From
	for _, l := range j.state.Trail.Looks {
		if l.After <= since {
			continue
		}
		stable = stable.Add(l.Stable)
		for _, p := range l.Parts {
			if p.To > since && p.Age < j.WarmUp.Milliseconds() {
				old = old.minus(p.Counts)
			}
		}
	}
	return !j.burns(old) && !j.burns(stable)
}

func (j *judgement) pending(why string) Verdict {
	return Verdict{Reason: Pending, Message: j.sentence() + "; " + why}
}

// youngUntil is when the warm-up ends of the last pod that has bad requests within it. ok is
// false when there is none.
func (j *judgement) youngUntil() (until time.Time, ok bool) {
	t := j.state.Trail
	for _, l := range t.Looks {
		for _, p := range l.Parts {
			if end := time.UnixMilli(t.From + p.From - p.Age).Add(j.WarmUp); p.Bad > 0 && end.After(until) {
				until = end
			}
		}
	}
	return until, until.After(j.ledger.EvaluatedAt)
}

func (j *judgement) failed() Verdict {
	if j.alone {
		lacks, known := "stable serves no requests to compare with", fmt.Sprintf("stable had at most %s before (95 %%)", percent(j.stable.high))
		switch {
		case j.Incomparable != "":
			lacks, known = "stable cannot be compared with", "its bad requests are not known"
		case j.ledger.Stable.Total == 0:
			known = "stable has served none in this run"
		}
		return Verdict{Reason: RegressionWithoutBaseline, Message: fmt.Sprintf("%s; %s, so the limit is %s: %s, and the objective's budget is %s; %s",
			j.sentence(), lacks, percent(j.state.Alone.Limit), known, percent(j.Budget), j.chance())}
	}
	return Verdict{Reason: RegressionFound, Message: j.sentence() + "; " + j.chance()}
}

// chance states the always-valid bound on false alarms, and what it assumes.
func (j *judgement) chance() string {
	cause := fmt.Sprintf("burst of up to %s on one pod", j.Burst)
	if j.alone {
		cause = fmt.Sprintf("cause of up to %s that stable would share", sharedIncident)
	}
	return fmt.Sprintf("chance of this in a healthy release: at most %s, if requests fail independently of each other; no %s explains it", oneIn(j.falseAlarms()), cause)
}

// falseAlarms bounds the probability that any of the triggers ever has this much evidence in
// a healthy run: the anytime-valid p-value of the smaller evidence, times the triggers. It is
// at least leastChance.
func (j *judgement) falseAlarms() float64 {
	e := j.state.log()
	if j.alone {
		e = j.state.Absolute.net()
	}
	return max(leastChance, min(1, math.Exp(-e)*float64(max(1, j.Triggers))))
}

// passed is healthy, and says what is excluded.
func (j *judgement) passed() Verdict {
	_, high := Interval(j.ledger.Mature(j.WarmUp).Canary, 1-j.confidence())
	said := j.sentence()
	if high < 1 {
		said += fmt.Sprintf("; excludes more than %s %s with %.4g %% confidence", percent(high), nameOfBad(j.BadName), 100*j.confidence())
	}
	return Verdict{Reason: Healthy, Message: said}
}

// spent is the part of the period's error budget that the run has cost so far.
func (r Regression) spent(l Ledger) float64 {
	return BudgetSpent{Budget: r.Budget, Period: r.period(), Quality: r.Quality}.spent(l)
}

func (r Regression) period() time.Duration {
	if r.Period <= 0 {
		return budgetPeriod
	}
	return r.Period
}

func (j *judgement) statistics() []Statistic {
	l := j.ledger
	return []Statistic{
		{"logRelative", j.state.Relative.LogE()},
		{"logAbsolute", j.state.Absolute.LogE()},
		{"logThreshold", j.threshold()},
		{"logSustained", j.sustained}, {"logSustainedBar", j.Bar},
		{"falseAlarms", j.falseAlarms()},
		{"canaryLow", j.canary.low}, {"canaryHigh", j.canary.high}, {"stableLow", j.stable.low}, {"stableHigh", j.stable.high},
		{"burn", l.Canary.Ratio() / j.Budget},
		{"budgetSpent", j.spent(l)},
		{"stageTotal", l.Stage.Total},
		{"stageBad", l.Stage.Bad},
	}
}

// sentence has the numbers behind the verdict.
func (j *judgement) sentence() string {
	l := j.ledger
	stable := j.stable.text(j.BadName)
	if j.Incomparable != "" {
		stable = "not known (" + j.Incomparable + ")"
	}
	said := fmt.Sprintf("canary %s, stable %s; burn %.1fx", j.canary.text(j.BadName), stable, l.Canary.Ratio()/j.Budget)
	if j.Quality.baselineMissing(l) {
		// Without stable's requests the cost would be far too high.
		return said
	}
	return fmt.Sprintf("%s; this run has spent %s of the %.0f-day error budget", said, percent(j.spent(l)), j.period().Hours()/24)
}

// side is the counts of one version with their always-valid interval, which is the most
// expensive part of a verdict.
type side struct {
	Counts
	low, high float64
}

func (c Counts) side() side {
	low, high := Interval(c, displayAlpha)
	return side{c, low, high}
}

// text states the counts, their ratio and its interval.
func (s side) text(badName string) string {
	return fmt.Sprintf("%s %s (%.0f/%.0f, 95 %% interval %s–%s)",
		percent(s.Ratio()), nameOfBad(badName), s.Bad, s.Total, strings.TrimSuffix(percent(s.low), " %"), percent(s.high))
}

// oneIn prints a small probability as "1 in n".
func oneIn(p float64) string { return fmt.Sprintf("1 in %.0f", math.Floor(1/p+1e-6)) }
