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

// alone returns the looks since when stable serves nothing. ok is false while it does, and
// while that is not known.
func (r Regression) alone(s RegressionState, l Ledger) (looks []Look, ok bool) {
	since := l.Since.UnixMilli()
	switch {
	case r.Incomparable != "":
		return s.Trail.Looks, true
	case r.Quality.Weight >= 100 && s.Trail.besides(max(l.StageFrom.UnixMilli(), l.EvaluatedAt.Add(-aloneAfter).UnixMilli())):
		// Callers that bypass the routes still reach stable's pods.
		return nil, false
	case r.Quality.Weight >= 100:
		since = l.StageFrom.UnixMilli()
	case !r.Quality.knowsSilence(l):
		return nil, false
	default:
		for _, k := range s.Trail.Looks {
			if k.Stable.Total > 0 {
				since = s.Trail.From + k.After
			}
		}
		if l.EvaluatedAt.UnixMilli()-since < aloneAfter.Milliseconds() {
			return nil, false
		}
	}
	for i, k := range s.Trail.Looks {
		if s.Trail.From+k.After > since {
			return s.Trail.Looks[i:], true
		}
	}
	return nil, true
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

// sustainedAlone is the evidence of looks without stable that nothing shared explains.
func (r Regression) sustainedAlone(looks []Look, stable Counts) float64 {
	return sustained{r.aloneLimit(stable), 0, r.youths(), []cause{{Lasts: sharedIncident}}}.of(looks)
}
