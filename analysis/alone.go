package analysis

import "time"

// While stable serves nothing, at weight 100 or because its pods get no requests, a
// candidate is compared with its objective and with what stable showed before. It fails when
// the evidence against "within Allowed times the budget" is sufficient, and the evidence
// since then is sustained against a higher limit: several times the budget, and more than
// stable is likely to have had. Nobody shows that a cause is not shared, so everything that
// happened within sharedIncident may have one.
//
// The bound on false alarms is that of the absolute evidence (see Regression).
const (
	// aloneBurn is how many times its budget a candidate may burn while it is alone, when it
	// is known what stable had; unknownBurn when stable has served nothing in the whole run.
	aloneBurn   = 10
	unknownBurn = 36
	// aloneMost is the greatest ratio that these burns may allow, for objectives with a
	// large budget.
	aloneMost = 0.5
	// sharedIncident is how long a cause lasts that stable would share.
	sharedIncident = 45 * time.Second
	// aloneAfter is how long stable must have served nothing, at a weight below 100.
	aloneAfter = time.Minute
	// fewBeside is how many requests of stable's in aloneAfter, and which part of the
	// candidate's, still leave the candidate alone at weight 100: those that were on their
	// way, or of a connection that was kept.
	fewBeside     = 20
	fewBesidePart = 0.01
)

// AloneRule is how a candidate is judged while stable serves nothing, for whoever computes
// its evidence again. Times are in milliseconds.
type AloneRule struct {
	// Since is the time after the trail's first look from when stable has served nothing:
	// later looks count.
	Since int64 `json:"since"`
	// Limit is the error ratio that the candidate may have.
	Limit float64 `json:"limit"`
	// Lasts is for how long a cause may last that stable would share.
	Lasts int64 `json:"lasts"`
}

// aloneRule is nil while stable serves requests, and while that is not known.
func (r Regression) aloneRule(s RegressionState, l Ledger) *AloneRule {
	since, ok := r.alone(s, l)
	if !ok {
		return nil
	}
	stable := l.Stable
	if r.Incomparable != "" {
		stable = Counts{}
	}
	return &AloneRule{since - s.Trail.From, r.aloneLimit(stable), sharedIncident.Milliseconds()}
}

// alone returns since when stable serves nothing, in Unix milliseconds. ok is false while it
// does, and while that is not known.
func (r Regression) alone(s RegressionState, l Ledger) (since int64, ok bool) {
	since = l.Since.UnixMilli()
	switch {
	case r.Incomparable != "":
		// Every look counts: a time before the first.
		return s.Trail.From - 1, true
	case r.Quality.Weight >= 100 && s.Trail.besides(max(l.StageFrom.UnixMilli(), l.EvaluatedAt.Add(-aloneAfter).UnixMilli())):
		// Callers that bypass the routes still reach stable's pods.
		return 0, false
	case r.Quality.Weight >= 100:
		since = l.StageFrom.UnixMilli()
	case !r.Quality.knowsSilence(l):
		return 0, false
	default:
		for _, k := range s.Trail.Looks {
			if k.Stable.Total > 0 {
				since = s.Trail.From + k.After
			}
		}
		if l.EvaluatedAt.UnixMilli()-since < aloneAfter.Milliseconds() {
			return 0, false
		}
	}
	return since, true
}

// besides reports whether stable has served more requests since a time, in Unix milliseconds,
// than a weight of 100 leaves it.
func (t Trail) besides(since int64) bool {
	var canary, stable float64
	for _, k := range t.Looks {
		if t.From+k.After > since {
			canary, stable = canary+k.Canary.Total, stable+k.Stable.Total
		}
	}
	return stable >= max(fewBeside, fewBesidePart*canary)
}

// aloneLimit is the error ratio that a candidate may have while it is alone. A few requests
// of stable's allow no more than none do, unless stable has shown to be as bad as that.
func (r Regression) aloneLimit(stable Counts) float64 {
	unknown := max(r.limit(), min(unknownBurn*r.Budget, aloneMost))
	if stable.Total == 0 {
		return unknown
	}
	_, high := Interval(stable, displayAlpha)
	known := r.Worse * high
	if stable.Bad < minimumBad || r.Worse*stable.Ratio() <= unknown {
		known = min(known, unknown)
	}
	return max(r.limit(), min(aloneBurn*r.Budget, aloneMost), known)
}

// sustainedAlone is the evidence of the looks without stable that nothing shared explains.
func (r Regression) sustainedAlone(s RegressionState) float64 {
	looks := s.Trail.Looks
	for len(looks) > 0 && looks[0].After <= s.Alone.Since {
		looks = looks[1:]
	}
	lasts := time.Duration(s.Alone.Lasts) * time.Millisecond
	return sustained{s.Alone.Limit, 0, r.youths(), []cause{{Lasts: lasts}}}.of(looks)
}
