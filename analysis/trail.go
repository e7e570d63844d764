package analysis

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// Trail is the looks that a run's evidence was computed from: evidence depends on the counts
// and on when they were polled. Recompute computes it again.
//
// It is bounded: the oldest looks are replaced by their evidence.
type Trail struct {
	// Rule is the settings of the looks. When they change, for example because a guardrail
	// was edited, the trail begins again with the evidence so far.
	Rule Rule `json:"rule"`
	// From is the time of the first look, in Unix milliseconds.
	From int64 `json:"from"`
	// Canary and Stable are the counts before Looks, and Before their evidence; nil for
	// none.
	Canary Counts    `json:"canary"`
	Stable Counts    `json:"stable"`
	Before *Evidence `json:"before,omitempty"`
	// Looks are those with new requests, oldest first.
	Looks []Look `json:"looks,omitempty"`
}

// Rule has everything besides the counts that the evidence depends on.
type Rule struct {
	// Worse and Limit are the hypotheses: more than Worse times stable's error ratio, and an
	// error ratio above Limit.
	Worse float64 `json:"worse"`
	Limit float64 `json:"limit"`
	// Quick is for the outage's test, Patient for the regression's.
	Quick   Stake `json:"quick"`
	Patient Stake `json:"patient"`
}

// Stake is the evidence that is sufficient, and how much one look may add at most; both are
// logarithms, and a Clip of 0 is none.
type Stake struct {
	Threshold float64 `json:"threshold"`
	Clip      float64 `json:"clip,omitempty"`
}

// Evidence is the evidence of both tests.
type Evidence struct {
	Quick   RegressionState `json:"quick"`
	Patient RegressionState `json:"patient"`
}

// Look is the counts since the look before.
type Look struct {
	// After is the time since the trail's first look, in milliseconds.
	After          int64
	Canary, Stable Counts
}

// maxLooks bounds a trail: 25 bytes each. The newest half of them is kept.
const maxLooks = 120

// MarshalJSON writes a look as five numbers, because there are many.
func (l Look) MarshalJSON() ([]byte, error) {
	return json.Marshal([]float64{float64(l.After), l.Canary.Total, l.Canary.Bad, l.Stable.Total, l.Stable.Bad})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (l *Look) UnmarshalJSON(raw []byte) error {
	v, err := numbers(raw, 5)
	if err != nil {
		return fmt.Errorf("a look: %w", err)
	}
	*l = Look{After: int64(v[0]), Canary: Counts{v[1], v[2]}, Stable: Counts{v[3], v[4]}}
	return nil
}

// Recompute computes the evidence of a trail from its looks.
func (t Trail) Recompute() Evidence {
	e, _, _ := t.replay(t.Looks)
	return e
}

// replay returns the evidence of looks from the trail's start, and the counts then.
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
	e.Quick = e.Quick.settle(canary, stable, r.Worse, r.Limit, r.Quick.Clip)
	e.Patient = e.Patient.settle(canary, stable, r.Worse, r.Limit, r.Patient.Clip)
	return e
}

// settle returns a state after a look at cumulative counts. A clip of 0 is none.
func (s RegressionState) settle(canary, stable Counts, worse, limit, clip float64) RegressionState {
	if clip == 0 {
		clip = math.Inf(1)
	}
	s.Relative = s.Relative.observe(canary, stable, betRelative(worse), clip)
	s.Absolute = s.Absolute.observe(canary, stable, betAbsolute(limit), clip)
	if s.together() {
		s.LogPeak = max(s.LogPeak, s.log())
	}
	return s
}

// counted is the sum of the counts of all looks.
func (t Trail) counted() (canary, stable Counts) {
	canary, stable = t.Canary, t.Stable
	for _, l := range t.Looks {
		canary, stable = canary.Add(l.Canary), stable.Add(l.Stable)
	}
	return canary, stable
}

// under returns the trail to continue with a rule, from the evidence so far.
func (t Trail) under(r Rule, e Evidence) Trail {
	if t.Rule == r {
		return t
	}
	canary, stable := t.counted()
	next := Trail{Rule: r, Canary: canary, Stable: stable}
	if !e.empty() {
		next.Before = &e
	}
	return next
}

// follow adds a look at a ledger to a trail and to its evidence. A look without new requests
// or with invalid counts adds nothing.
//
// The evidence is computed from the trail's own sums, not from the ledger's: for counts that
// are not whole numbers the two may differ in the last bit.
func (t Trail) follow(e Evidence, l Ledger) (Trail, Evidence) {
	canary, stable := t.counted()
	look := Look{Canary: l.Canary.minus(canary), Stable: l.Stable.minus(stable)}
	if look == (Look{}) || !l.Canary.sound() || !l.Stable.sound() {
		return t, e
	}
	if len(t.Looks) == 0 {
		t.From = l.EvaluatedAt.UnixMilli()
	}
	look.After = l.EvaluatedAt.UnixMilli() - t.From
	t.Looks = append(slices.Clone(t.Looks), look)
	if len(t.Looks) > maxLooks {
		t = t.shorten()
	}
	return t, e.settle(canary.Add(look.Canary), stable.Add(look.Stable), t.Rule)
}

// shorten replaces the older half of the looks by its evidence.
func (t Trail) shorten() Trail {
	half := len(t.Looks) / 2
	before, canary, stable := t.replay(t.Looks[:half])
	t.Before, t.Canary, t.Stable = &before, canary, stable
	t.Looks = slices.Clone(t.Looks[half:])
	return t
}

func (e Evidence) empty() bool { return e.Quick.empty() && e.Patient.empty() }

func (s RegressionState) empty() bool {
	return s.Relative.empty() && s.Absolute.empty() && s.LogPeak == 0
}

func (p EProcess) empty() bool {
	return p.Looks == 0 && p.Restarts == 0 && p.Canary == (Counts{}) && p.Stable == (Counts{})
}
