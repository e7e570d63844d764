package analysis

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Sustained evidence is what is left when everything is taken away that a candidate without
// a regression may have: bursts of bad requests, and a bad beginning of its pods. It is the
// logarithm of the greatest likelihood ratio between one of the alternatives, from any look
// on until now, and a limit, divided by how many requests of the service fail together:
//
//	S = min over y and c of max over k and i of Σ_{j ≥ i} Σ_{x in look j, not in c} ℓ_k(x; q(x) + y(x)) / φ
//
// where x are parts of a look, c is any of the causes, y any of the youths, ℓ_k the log
// likelihood ratio of logAbsolute for the alternative k, q(x) the greater one of limit and
// worse times what stable had around x, and φ stable's dispersion (see usual). The maximum
// over i is the CUSUM of E. S. Page ("Continuous inspection schemes", Biometrika 1954), and
// leaving out what matters most is a jackknife.
//
// A fail needs it in addition to the evidence of the e-processes, which is computed from all
// counts. P(A and B) ≤ P(A), so it can only make false alarms rarer: Ville's bound on the
// e-processes holds whatever is removed here, and why. That is also why S itself needs no
// proof, and its bar is chosen by simulation (hack/bench-judge).
type sustained struct {
	// limit is the candidate's greatest ratio, and worse how many times stable's.
	limit, worse float64
	youths       []youth
	causes       []cause
}

// cause is something that happens once: it may have made everything bad that scrapes saw
// that overlap a time of Lasts. OnePod is set when it concerns one pod of the candidate,
// such as a client that keeps its connection, or a pause of a process. Without it, it
// concerns all of them: retries that a gateway spreads, which are seen in one version a
// scrape before the other. Surplus is set when it only added requests: it explains as many
// bad ones as the candidate served beyond its share by weight.
type cause struct {
	OnePod  bool
	Surplus bool
	// Again is set for one that happens a second time, not at once.
	Again bool
	Lasts time.Duration
}

// of computes it for looks, oldest first.
func (s sustained) of(looks []Look) float64 {
	if len(looks) == 0 {
		return 0
	}
	base := usualOf(looks)
	least := math.Inf(1)
	for _, y := range distinct(s.youths, looks) {
		e := s.weigh(looks, y, base)
		least = min(least, e.without(nil, 1))
		for _, c := range s.causes {
			least = min(least, e.least(looks, c))
		}
	}
	return least / base.dispersion
}

// place is a part of a look.
type place struct{ look, part int }

// choices are the sets of parts that a cause can explain, each as large as possible: the
// cause begins just before the end of one of them.
func (c cause) choices(looks []Look) [][]place {
	var with []place
	for j, l := range looks {
		for i, p := range l.Parts {
			if p.Bad > 0 && (!c.OnePod || p.Pod != otherPods) {
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

// least is the smallest sum that a cause leaves.
func (w weighed) least(looks []Look, c cause) float64 {
	choices := c.choices(looks)
	least, worst := math.Inf(1), []place(nil)
	for _, removed := range choices {
		if left := w.without(removed, c.part(looks, removed)); left < least {
			least, worst = left, removed
		}
	}
	if !c.Again || worst == nil {
		return least
	}
	for _, other := range choices {
		if apart(looks, worst, other) {
			both := append(slices.Clone(worst), other...)
			slices.SortFunc(both, func(a, b place) int { return cmp.Compare(a.look, b.look) })
			least = min(least, w.without(both, 1))
		}
	}
	return least
}

// againAfter is how much later something happens again.
const againAfter = 20 * time.Second

// apart reports whether two choices have no part in common and againAfter between them: a
// candidate that fails all the time has bad requests in between, which then remain.
func apart(looks []Look, a, b []place) bool {
	d := firstEnd(looks, a) - firstEnd(looks, b)
	return max(d, -d) >= againAfter.Milliseconds() &&
		!slices.ContainsFunc(b, func(p place) bool { return slices.Contains(a, p) })
}

// firstEnd is when the first of some parts ended.
func firstEnd(looks []Look, of []place) int64 {
	first := int64(math.MaxInt64)
	for _, p := range of {
		first = min(first, looks[p.look].Parts[p.part].To)
	}
	return first
}

// part is how much of the bad requests of some parts a cause explains: 1 is all of them, and
// the good ones of the same scrapes as well.
func (c cause) part(looks []Look, of []place) float64 {
	if !c.Surplus {
		return 1
	}
	bad, span := 0.0, int64(1)
	for _, p := range of {
		part := looks[p.look].Parts[p.part]
		bad, span = bad+part.Bad, max(span, part.To-part.From)
	}
	surplus, variance := 0.0, 0.0
	for _, l := range wholeScrapes(looks, of[0].look, of[len(of)-1].look, span) {
		if l.Weight >= 100 {
			return 0
		}
		odds := float64(l.Weight) / float64(100-l.Weight)
		surplus += l.Canary.Total - odds*l.Stable.Total
		variance += l.Canary.Total + odds*odds*l.Stable.Total
	}
	deviation := math.Sqrt(variance)
	if surplus <= surplusLeast*deviation {
		return 0
	}
	return min(1, (surplus+outlier*deviation)/bad)
}

// surplusLeast is how many standard deviations are a surplus. Without one, every regression
// would wait until it has lasted for longer than the cause.
const surplusLeast = 0.5

// wholeScrapes are the looks from one to another, and those before them that are needed for
// as much time as some scrapes take: each pod then has as many scrapes in them as any other.
// Polls may be more frequent than scrapes, which last for span milliseconds.
func wholeScrapes(looks []Look, first, last int, span int64) []Look {
	for first > 0 {
		took := looks[last].After - looks[first-1].After
		if part := took % span; part <= span/10 || part >= span-span/10 {
			break
		}
		first--
	}
	return looks[first : last+1]
}

// weighed are log likelihood ratios by look and alternative, by part of a look, and of the
// bad requests of each part alone.
type weighed struct {
	looks      [][]float64
	parts, bad [][][]float64
}

func (s sustained) weigh(looks []Look, y youth, base usual) weighed {
	w := weighed{make([][]float64, len(looks)), make([][][]float64, len(looks)), make([][][]float64, len(looks))}
	for j, l := range looks {
		rest := l.Canary
		w.parts[j], w.bad[j] = make([][]float64, len(l.Parts)), make([][]float64, len(l.Parts))
		for i, p := range l.Parts {
			rest = rest.minus(p.Counts)
			limit := max(s.limit, s.worse*base.around(looks, p)) + y.forgives(p)
			w.parts[j][i], w.bad[j][i] = logAbsolutes(p.Counts, limit), logAbsolutes(Counts{p.Bad, p.Bad}, limit)
		}
		w.looks[j] = logAbsolutes(rest, max(s.limit, s.worse*base.ratio))
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
// some parts, or without a part of their bad requests.
func (w weighed) without(removed []place, part float64) float64 {
	most := 0.0
	for k := range absoluteFactors {
		sum, next := 0.0, 0
		for j, ratios := range w.looks {
			v := ratios[k]
			for ; next < len(removed) && removed[next].look == j; next++ {
				if i := removed[next].part; part == 1 {
					v -= w.parts[j][i][k]
				} else {
					v -= part * w.bad[j][i][k]
				}
			}
			sum = max(0, sum) + v
		}
		most = max(most, sum)
	}
	return most
}
