package analysis

import (
	"math"
	"slices"
)

// EProcess is evidence against one null hypothesis, gathered over a run and
// valid however often and whenever it is looked at. It is a wealth that starts
// at 1 and is bet on the null being false, so that under the null
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
// The process can be stored as JSON and taken up again. It remembers the
// cumulative counts it has used, so a poll repeated adds nothing, and one that
// was lost is contained in the next.
type EProcess struct {
	// Canary and Stable are the cumulative counts used so far.
	Canary Counts `json:"canary"`
	Stable Counts `json:"stable"`
	// Looks is j, the number of bets settled.
	Looks int `json:"looks"`
	// LogBets are ln A_k, empty before the first look.
	LogBets []float64 `json:"bets,omitempty"`
	// LogPeak is ln sup E, at least 0.
	LogPeak float64 `json:"peak"`
	// Restarts counts the wealth lost to a state that could not be continued.
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

// logP is ln of the anytime-valid p-value, min(1, 1/sup E), after restarts.
func (p EProcess) logP() float64 {
	return min(0, p.restartCost()-p.LogPeak)
}

// net is ln E now, less what restarts have cost.
func (p EProcess) net() float64 { return p.LogE() - p.restartCost() }

// firstLife is the part of a promised alpha that a process may spend before its
// state is lost for the first time.
const firstLife = 0.9

// restartCost is ln of how many times more evidence a process needs after its
// restarts. Every restart is one more chance to be wrong: the first life may
// spend firstLife of alpha, and the i-th after it 2^−i of the rest, so that all
// lives together never spend more than alpha.
func (p EProcess) restartCost() float64 {
	if p.Restarts <= 0 {
		return 0
	}
	return math.Log(firstLife/(1-firstLife)) + float64(p.Restarts)*math.Ln2
}

// bets are the log likelihood ratios ℓ_k of an interval's counts, one per
// alternative. settled is false when the interval does not settle them yet.
type bets func(canary, stable Counts) (logRatios []float64, settled bool)

// observe settles the bets on what was counted since the last look. Counts that
// do not settle them carry over to the next look. No single interval may supply
// more than clip of the logarithm: the supermartingale stays one, and a burst
// of dependent requests within one interval does not convict by itself.
func (p EProcess) observe(canary, stable Counts, b bets, clip float64) EProcess {
	c, s := canary.minus(p.Canary), stable.minus(p.Stable)
	if !c.sound() || !s.sound() {
		// A ledger that holds less than was used is another one, or damaged: its
		// counts so far are taken as a baseline that proves nothing.
		if canary.sound() && stable.sound() {
			p.Canary, p.Stable = canary, stable
		}
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
		next[k] += min(l, clip)
	}
	p.LogBets = next
	p.LogPeak = max(p.LogPeak, p.LogE())
	return p
}

// continues is false for a state that another grid or a damaged store left.
func (p EProcess) continues(alternatives int) bool {
	if p.Looks == 0 {
		return len(p.LogBets) == 0 && p.LogPeak == 0
	}
	for _, l := range p.LogBets {
		if math.IsNaN(l) || math.IsInf(l, 0) {
			return false
		}
	}
	return p.Looks > 0 && p.LogPeak >= 0 && !math.IsInf(p.LogPeak, 0) && len(p.LogBets) == alternatives
}

// maxCount is how many requests a float64 counts exactly.
const maxCount = 1 << 53

// sound counts are exact and consist of bad requests and others.
func (c Counts) sound() bool {
	return !bad(c.Total) && !bad(c.Bad) && c.Bad <= c.Total && c.Total <= maxCount
}

// logAdd is ln(exp a + exp b).
func logAdd(a, b float64) float64 {
	return max(a, b) + math.Log1p(math.Exp(-math.Abs(a-b)))
}
