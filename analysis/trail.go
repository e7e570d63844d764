package analysis

import (
	"math"
	"slices"
)

// Trail is the looks that a run's evidence was computed from: evidence depends on the counts
// and on when they were polled. Recompute computes it again.
//
// It is bounded. The e-processes' evidence of the older looks is kept in Before; the looks
// themselves are joined, for the sustained evidence.
type Trail struct {
	// Rule is the settings of the looks.
	Rule Rule `json:"rule"`
	// From is the time of the first look, in Unix milliseconds.
	From int64 `json:"from"`
	// Looks are those with new requests, oldest first.
	Looks []Look `json:"looks,omitempty"`
	// Settled is how many of the looks are contained in Before, which is the evidence at
	// that time: it has also what a change of the rule or a shift did to it. Canary and Stable
	// are the counts then.
	Settled int       `json:"settled,omitempty"`
	Before  *Evidence `json:"before,omitempty"`
	Canary  Counts    `json:"canary"`
	Stable  Counts    `json:"stable"`
}

// Rule has everything besides the counts that the evidence depends on.
type Rule struct {
	// Worse and Limit are the hypotheses: more than Worse times stable's error ratio, and an
	// error ratio above Limit.
	Worse float64 `json:"worse"`
	Limit float64 `json:"limit"`
	// Threshold is the evidence that is sufficient, as a logarithm.
	Threshold float64 `json:"threshold"`
}

// Evidence is the evidence of both hypotheses.
type Evidence struct {
	// Relative is the evidence against "at most Worse times as bad as stable".
	Relative EProcess `json:"relative"`
	// Absolute is the evidence against "within Allowed times the budget".
	Absolute EProcess `json:"absolute"`
}

// maxLooks bounds a trail. Of those that are not settled, the newest half is kept. maxSettled
// bounds the others.
const (
	maxLooks   = 120
	maxSettled = maxLooks / 3
)

// Recompute computes the evidence of a trail from its looks.
func (t Trail) Recompute() Evidence {
	e, _, _ := t.replay(t.Looks[t.Settled:])
	return e
}

// replay returns the evidence of looks after the settled ones, and the counts then.
func (t Trail) replay(looks []Look) (e Evidence, canary, stable Counts) {
	if t.Before != nil {
		e = *t.Before
	}
	canary, stable = t.Canary, t.Stable
	for _, l := range looks {
		canary, stable = canary.Add(l.Canary), stable.Add(l.Stable)
		e = e.settle(canary, stable, t.Rule)
	}
	return e, canary, stable
}

// settle returns the evidence after a look at cumulative counts.
func (e Evidence) settle(canary, stable Counts, r Rule) Evidence {
	e.Relative = e.Relative.observe(canary, stable, betRelative(r.Worse))
	e.Absolute = e.Absolute.observe(canary, stable, betAbsolute(r.Limit))
	return e
}

// together reports whether both have counted the same requests: while stable is not
// counted, the relative evidence is older.
func (e Evidence) together() bool { return e.Relative.Canary == e.Absolute.Canary }

// log is ln of the smaller one now, less the cost of restarts.
func (e Evidence) log() float64 { return min(e.Relative.net(), e.Absolute.net()) }

func (e Evidence) empty() bool { return e.Relative.empty() && e.Absolute.empty() }

// counted is the sum of the counts of all looks.
func (t Trail) counted() (canary, stable Counts) {
	canary, stable = t.Canary, t.Stable
	for _, l := range t.Looks[t.Settled:] {
		canary, stable = canary.Add(l.Canary), stable.Add(l.Stable)
	}
	return canary, stable
}

// under returns the trail to continue with a rule, from the evidence so far. Settings
// change, for example, when a guardrail is edited.
func (t Trail) under(r Rule, e Evidence) Trail {
	if t.Rule == r {
		return t
	}
	if !e.empty() {
		t = t.settled(e)
	}
	t.Rule = r
	return t
}

// settled returns the trail to continue from evidence that is not that of all its looks.
func (t Trail) settled(e Evidence) Trail {
	t.Canary, t.Stable = t.counted()
	t.Before, t.Settled = &e, len(t.Looks)
	return t
}

// weight is that of the newest look; 0 before the first.
func (t Trail) weight() int {
	if n := len(t.Looks); n > 0 {
		return t.Looks[n-1].Weight
	}
	return 0
}

// newest is the evaluation time of the newest look in Unix milliseconds, 0 without one.
func (t Trail) newest() int64 {
	if len(t.Looks) == 0 {
		return 0
	}
	return t.From + t.Looks[len(t.Looks)-1].After
}

// shifted returns the trail and its evidence at the beginning of a shift (see Shift). Samples
// may be some time old at a poll, so in that time before the shift the candidate's may show what
// stable's will show only in scrapes that are compared with nothing. The relative evidence is
// therefore lowered to the least that each of its bets had in that time (see Shift.Least), which
// a supermartingale may always be.
func (t Trail) shifted(e Evidence, least EProcess) (Trail, Evidence) {
	if e.empty() {
		return t, e
	}
	e.Relative = least
	e.Relative.Canary, e.Relative.Stable = t.counted()
	return t.settled(e), e
}

// least is an e-process, the relative evidence, with the least that each bet was before a look
// since a time that is not settled.
func (t Trail) least(e EProcess, since int64) EProcess {
	for i := t.Settled; i < len(t.Looks); i++ {
		if t.From+t.Looks[i].After > since {
			before, _, _ := t.replay(t.Looks[t.Settled:i])
			e = e.atMost(before.Relative)
		}
	}
	return e
}

// follow adds a look at a ledger to a trail and to its evidence. A look without new requests
// or with invalid counts adds nothing. scrapes are those since the look before.
//
// The evidence is computed from the trail's own sums, not from the ledger's: for counts that
// are not whole numbers the two may differ in the last bit.
func (t Trail) follow(e Evidence, l Ledger, weight int, scrapes Unobserved) (Trail, Evidence) {
	canary, stable := t.counted()
	look := Look{Canary: l.Canary.minus(canary), Stable: l.Stable.minus(stable), Weight: weight}
	if look.Canary == (Counts{}) && look.Stable == (Counts{}) || !l.Canary.sound() || !l.Stable.sound() {
		return t, e
	}
	if len(t.Looks) == 0 {
		t.From = l.EvaluatedAt.UnixMilli()
	}
	look.After = l.EvaluatedAt.UnixMilli() - t.From
	look.Parts = partsOf(scrapes, look, t.From)
	t.Looks = append(slices.Clone(t.Looks), look)
	if len(t.Looks) > maxLooks {
		t = t.shorten()
	}
	e.Relative.Canary = e.Relative.Canary.Add(scrapes.Apart.atMost(look.Canary))
	e = e.settle(canary.Add(look.Canary), stable.Add(look.Stable), t.Rule)
	if scrapes.Apart != (Counts{}) {
		t = t.settled(e)
	}
	return t, e
}

// shorten settles the older half of the looks that are not yet, and joins settled ones. These
// are joined to about the same time each: a cause that overlaps a look may explain all of it, so
// none must have much of the run.
func (t Trail) shorten() Trail {
	half := t.Settled + (len(t.Looks)-t.Settled)/2
	before, canary, stable := t.replay(t.Looks[t.Settled:half])
	joined := slices.Clone(t.Looks[:half])
	for len(joined) > maxSettled {
		i := shortest(joined)
		joined[i] = joined[i].join(joined[i+1])
		joined = slices.Delete(joined, i+1, i+2)
	}
	t.Before, t.Canary, t.Stable, t.Settled = &before, canary, stable, len(joined)
	t.Looks = append(joined, t.Looks[half:]...)
	return t
}

// shortest is the first of the two neighbours that are the shortest time together.
func shortest(looks []Look) int {
	best, least, from := 0, int64(math.MaxInt64), int64(0)
	for i := range len(looks) - 1 {
		if span := looks[i+1].After - from; span < least {
			best, least = i, span
		}
		from = looks[i].After
	}
	return best
}

func (p EProcess) empty() bool {
	return p.Looks == 0 && p.Restarts == 0 && p.Canary == (Counts{}) && p.Stable == (Counts{})
}

// sound is false for a trail that was damaged.
func (t Trail) sound() bool {
	return t.Settled >= 0 && t.Settled <= len(t.Looks) && !math.IsNaN(t.Rule.Limit)
}
