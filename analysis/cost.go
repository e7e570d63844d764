package analysis

// ended is what the stages of a run have cost that have ended, when the present one began.
type ended struct {
	// Canary and Stable are the counts of the run at that time.
	Canary Counts `json:"canary"`
	Stable Counts `json:"stable"`
	// Excess is how many bad requests more those stages had than stable would have had.
	Excess float64 `json:"excess"`
}

// excess is how many bad requests more the candidate has had than stable would have had of the
// same requests: the sum over the stages of max(0, e − n·ρ), where n are the candidate's
// requests, e the bad ones of them, and ρ is stable's ratio in that stage. A ratio of all stages
// together would set what both suffer after a change of weight against stable's many requests of
// before it.
func (l Ledger) excess() float64 {
	// These are of scrapes that began before the stage. Stable's have more of the time before
	// it, the candidate's of the time after it, so the greater ratio is allowed.
	canary := l.Canary.minus(l.Ended.Canary).minus(l.Stage).atLeast(Counts{})
	stable := l.Stable.minus(l.Ended.Stable).minus(l.StageStable).atLeast(Counts{})
	ratio := l.besideRatio()
	return l.Ended.Excess + max(0, l.Stage.Bad-l.Stage.Total*ratio+canary.Bad-canary.Total*max(ratio, stable.Ratio()))
}

// besideRatio is stable's ratio in the present stage. When it has served few requests in it,
// such as at weight 100, it is that of the stages before.
func (l Ledger) besideRatio() float64 {
	switch {
	case l.StageStable.Total >= fewBeside:
		return l.StageStable.Ratio()
	case l.Ended.Stable.Total > 0:
		return l.Ended.Stable.Ratio()
	}
	return l.Stable.Ratio()
}

// besideKnown is false after a change of weight to less than 100 until one of stable's pods has
// a scrape of the new stage: what the candidate's show until then stable may have too.
func (l Ledger) besideKnown(weight int) bool {
	return weight >= 100 || l.StageStableTime > 0 || l.Ended == ended{}
}

// endStage returns the ledger at the beginning of another stage.
func (l Ledger) endStage() Ledger {
	l.Ended = ended{l.Canary, l.Stable, l.excess()}
	l.Stage, l.StageStable, l.StageTime, l.StageStableTime = Counts{}, Counts{}, 0, 0
	return l
}

// WithoutBadOfStable is the ledger when it is not known which of stable's requests are bad.
func (l Ledger) WithoutBadOfStable() Ledger {
	l.Stable.Bad, l.StageStable.Bad, l.Ended = 0, 0, ended{}
	return l
}
