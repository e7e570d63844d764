package analysis

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Sustained evidence is what is left when everything is taken away that a candidate without
// a regression may have: one burst of bad requests, and a bad beginning of its pods. It is
// the logarithm of the greatest likelihood ratio between one of the alternatives, from any
// look on until now, and the limit:
//
//	S = min over y and c of max over k and i of Σ_{j ≥ i} Σ_{x of look j, not in c} ℓ_k(x; q + y(x))
//
// where x are parts of a look, c is any single cause (see cause), y any of the youths, q the
// limit, and ℓ_k the log likelihood ratio of logAbsolute. The maximum over i is the CUSUM of
// E. S. Page ("Continuous inspection schemes", Biometrika 1954).
//
// A fail needs it in addition to the evidence of the e-processes, which is computed from all
// counts. P(A and B) ≤ P(A), so it can only make false alarms rarer: Ville's bound on the
// e-processes holds whatever is removed here and why. That is also why S itself needs no
// proof, and its bar is chosen by simulation (hack/bench-judge).
type sustained struct {
	limit  float64
	youths []youth
	causes []cause
}

// cause is something that happens once: it may have made everything bad that scrapes saw
// that overlap a time of Lasts. OnePod is set when it concerns one pod of the candidate, such
// as a client that keeps its connection, or a pause of a process. Without it, it concerns
// all of them: retries that a gateway spreads, which are seen in one version a scrape before
// the other.
type cause struct {
	OnePod bool
	Lasts  time.Duration
}

// of computes it for looks, oldest first.
func (s sustained) of(looks []Look) float64 {
	if len(looks) == 0 || !(s.limit < maxRatio) {
		return 0
	}
	least := math.Inf(1)
	for _, y := range s.youths {
		e := s.weigh(looks, y)
		least = min(least, e.without(nil))
		for _, c := range s.causes {
			for _, removed := range c.choices(looks) {
				least = min(least, e.without(removed))
			}
		}
	}
	return least
}

// place is a part of a look.
type place struct{ look, part int }

// choices are the sets of parts that a cause can explain, each as large as possible: the
// cause begins just before the end of one of them.
func (c cause) choices(looks []Look) [][]place {
	var with []place
	for j, l := range looks {
		for i, p := range l.Parts {
			if p.Bad > 0 && !(c.OnePod && p.Pod == otherPods) {
				with = append(with, place{j, i})
			}
		}
	}
	part := func(p place) Part { return looks[p.look].Parts[p.part] }
	slices.SortFunc(with, func(a, b place) int { return cmp.Compare(part(a).To, part(b).To) })
	out := make([][]place, 0, len(with))
	for n, first := range with {
		begin := part(first).To - 1
		var set []place
		for _, p := range with[n:] {
			if q := part(p); q.From <= begin+c.Lasts.Milliseconds() && (!c.OnePod || q.Pod == part(first).Pod) {
				set = append(set, p)
			}
		}
		slices.SortFunc(set, func(a, b place) int { return cmp.Compare(a.look, b.look) })
		out = append(out, set)
	}
	return out
}

// weighed are log likelihood ratios by look and alternative, and by part of a look.
type weighed struct {
	looks [][]float64
	parts [][][]float64
}

func (s sustained) weigh(looks []Look, y youth) weighed {
	w := weighed{make([][]float64, len(looks)), make([][][]float64, len(looks))}
	for j, l := range looks {
		rest := l.Canary
		w.parts[j] = make([][]float64, len(l.Parts))
		for i, p := range l.Parts {
			rest = rest.minus(p.Counts)
			w.parts[j][i] = logAbsolutes(p.Counts, s.limit+y.forgives(p))
		}
		w.looks[j] = logAbsolutes(rest, s.limit)
		for _, part := range w.parts[j] {
			for k, v := range part {
				w.looks[j][k] += v
			}
		}
	}
	return w
}

// logAbsolutes are the log likelihood ratios of all alternatives. A limit that hardly leaves
// room for an alternative says nothing.
func logAbsolutes(c Counts, limit float64) []float64 {
	out := make([]float64, len(absoluteFactors))
	if limit >= maxRatio {
		return out
	}
	for k, m := range absoluteFactors {
		out[k] = logAbsolute(c, limit, m)
	}
	return out
}

// without is the greatest sum from any look on until the last, of any alternative, without
// some parts.
func (w weighed) without(removed []place) float64 {
	most := 0.0
	for k := range absoluteFactors {
		sum, next := 0.0, 0
		for j, ratios := range w.looks {
			v := ratios[k]
			for ; next < len(removed) && removed[next].look == j; next++ {
				v -= w.parts[j][removed[next].part][k]
			}
			sum = max(0, sum) + v
		}
		most = max(most, sum)
	}
	return most
}
