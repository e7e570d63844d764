package analysis

import (
	"math"
	"slices"
)

// EProcess is evidence against one null hypothesis, collected over a run. It is valid
// however often and whenever it is evaluated. It is a wealth that starts at 1 and is bet
// on the null being false, so that under the null
// P(sup E ≥ 1/α) ≤ α (Ville's inequality; Ramdas et al., "Game-theoretic
// statistics and safe anytime-valid inference", Statistical Science 2023).
//
// At look j the part 1/(j(j+1)) of the wealth is put on a grid of alternatives,
// and what was put there before is multiplied by their likelihood ratios:
//
//	A_k ← (A_k + 1/(j(j+1)))·exp(ℓ_k),  E = 1/(j+1) + mean_k A_k
//
// Spreading the bets over starting times finds late regressions without a
// window. All wealth is kept as logarithms.
//
// The process can be stored as JSON and continued. It keeps the cumulative counts that it
// has used: a repeated poll adds nothing, and a lost poll is contained in the next.
type EProcess struct {
	// Canary and Stable are the cumulative counts used so far.
	Canary Counts `json:"canary"`
	Stable Counts `json:"stable"`
	// Looks is j, the number of looks.
	Looks int `json:"looks"`
	// LogBets are ln A_k, empty before the first look.
	LogBets []float64 `json:"bets,omitempty"`
	// Restarts counts how often the state was lost and the process began again.
	Restarts int `json:"restarts,omitempty"`
}

// LogE is ln E now.
func (p EProcess) LogE() float64 {
	if len(p.LogBets) == 0 {
		return 0
	}
	bets := math.Log(float64(len(p.LogBets)))
	unspent := bets - math.Log(float64(p.Looks+1))
	top := max(unspent, slices.Max(p.LogBets))
	sum := 0.0
	for _, b := range p.LogBets {
		sum += math.Exp(b - top)
	}
	return top + math.Log(sum+math.Exp(unspent-top)) - bets
}

// net is ln E now, less what restarts have cost.
func (p EProcess) net() float64 { return p.LogE() - p.restartCost() }

// firstLife is the part of alpha that a process may spend before its state is lost for the
// first time.
const firstLife = 0.9

// restartCost is ln of the factor by which a process needs more evidence after restarts.
// Each restart is another chance of a false alarm: the process may spend firstLife of alpha
// before the first restart, and 2^−i of the rest after the i-th, so that the sum is at most
// alpha.
func (p EProcess) restartCost() float64 {
	if p.Restarts <= 0 {
		return 0
	}
	return math.Log(firstLife/(1-firstLife)) + float64(p.Restarts)*math.Ln2
}

// atMost returns the process with each bet at most what it was in an earlier state of it: what
// was not bet yet then is at most what is put on it now.
func (p EProcess) atMost(earlier EProcess) EProcess {
	lowered := slices.Clone(p.LogBets)
	for k := range lowered {
		most := -math.Log(float64(p.Looks)) - math.Log(float64(p.Looks+1))
		if k < len(earlier.LogBets) {
			most = earlier.LogBets[k]
		}
		lowered[k] = min(lowered[k], most)
	}
	p.LogBets = lowered
	return p
}

// bets are the log likelihood ratios ℓ_k of an interval's counts, one per alternative.
// settled is false when the interval has too few counts; they are then added to the next.
type bets func(canary, stable Counts) (logRatios []float64, settled bool)

// observe updates the process by what was counted since the last look.
func (p EProcess) observe(canary, stable Counts, b bets) EProcess {
	c, s := canary.minus(p.Canary), stable.minus(p.Stable)
	switch {
	case !canary.sound() || !stable.sound():
		return p
	case c.decreased() || s.decreased():
		// The ledger has lower counts than were used before: it is another one, or damaged.
		// Its counts become the new baseline.
		p.Canary, p.Stable = canary, stable
		return p
	}
	logRatios, settled := b(c, s)
	if !settled {
		return p
	}
	if !p.continues(len(logRatios)) {
		p = EProcess{Restarts: p.Restarts + 1}
	}
	p.Canary, p.Stable = canary, stable
	p.Looks++
	stake := -math.Log(float64(p.Looks)) - math.Log(float64(p.Looks+1))
	next := make([]float64, len(logRatios))
	for k, l := range logRatios {
		next[k] = stake
		if len(p.LogBets) > 0 {
			next[k] = logAdd(p.LogBets[k], stake)
		}
		next[k] += l
	}
	p.LogBets = next
	return p
}

// continues is false for a damaged state, or one with other alternatives.
func (p EProcess) continues(alternatives int) bool {
	if p.Looks == 0 {
		return len(p.LogBets) == 0
	}
	for _, l := range p.LogBets {
		if math.IsNaN(l) || math.IsInf(l, 0) {
			return false
		}
	}
	return p.Looks > 0 && len(p.LogBets) == alternatives
}

// MaxCount is the largest number of requests that a float64 holds exactly. A counter that was
// decreased below 0 is above it (2^64), and one such number in the sums of a run would be there
// until its end.
const MaxCount = 1 << 53

// sound reports whether the counts are valid: exact, and with no more bad requests than
// requests.
func (c Counts) sound() bool {
	return !bad(c.Total) && !bad(c.Bad) && c.Bad <= c.Total && c.Total <= MaxCount
}

// decreased reports whether a difference of sums is that of another ledger, or of a damaged
// one. More bad requests than requests are none: they may have been counted when they began,
// in an earlier interval.
func (c Counts) decreased() bool { return bad(c.Total) || bad(c.Bad) }

// logAdd is ln(exp a + exp b).
func logAdd(a, b float64) float64 {
	return max(a, b) + math.Log1p(math.Exp(-math.Abs(a-b)))
}
