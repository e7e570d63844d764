package analysis

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// Look is the counts since the look before.
type Look struct {
	// After is the time since the trail's first look, in milliseconds.
	After          int64
	Canary, Stable Counts
	// Weight of the candidate, in percent.
	Weight int
	// Parts are scrapes of Canary whose pod and time matter: they have bad requests, or
	// their pod is young.
	Parts []Part
}

// Part is what one scrape of one pod added to a look. Times are milliseconds after the
// trail's first look.
type Part struct {
	// Pod identifies the pod: the FNV-1a hash of its name, otherPods or unknownPod.
	Pod uint32 `json:"pod"`
	// From and To are the times of the scrape before and of this one.
	From int64 `json:"from"`
	To   int64 `json:"to"`
	// Age is for how long the pod had served at From.
	Age int64 `json:"age"`
	Counts
}

// Pods that are not named: others are several, each with fewer bad requests than any that
// is named; an unknown one may be a single one.
const (
	otherPods  uint32 = 0
	unknownPod uint32 = 1
)

// maxParts bounds the parts of a look: 30 bytes each.
const maxParts = 6

// lookNumbers and partNumbers are how many numbers there are of each in JSON.
const (
	lookNumbers = 6
	partNumbers = 6
)

// MarshalJSON writes a look as numbers, because there are many: six of its own, and six
// for each part.
func (l Look) MarshalJSON() ([]byte, error) {
	v := []float64{float64(l.After), l.Canary.Total, l.Canary.Bad, l.Stable.Total, l.Stable.Bad, float64(l.Weight)}
	for _, p := range l.Parts {
		v = append(v, float64(p.Pod), float64(p.From), float64(p.To), float64(p.Age), p.Total, p.Bad)
	}
	return json.Marshal(v)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (l *Look) UnmarshalJSON(raw []byte) error {
	var allowed []int
	for parts := range maxParts + 1 {
		allowed = append(allowed, lookNumbers+parts*partNumbers)
	}
	v, err := numbers(raw, allowed...)
	if err != nil {
		return fmt.Errorf("a look: %w", err)
	}
	*l = Look{After: int64(v[0]), Canary: Counts{v[1], v[2]}, Stable: Counts{v[3], v[4]}, Weight: int(v[5])}
	for v = v[lookNumbers:]; len(v) > 0; v = v[partNumbers:] {
		l.Parts = append(l.Parts, Part{uint32(v[0]), int64(v[1]), int64(v[2]), int64(v[3]), Counts{v[4], v[5]}})
	}
	return nil
}

// partsOf are the parts of a look from its scrapes. from is the time of the trail's first look
// in Unix milliseconds.
func partsOf(scrapes Unobserved, l Look, from int64) []Part {
	parts := slices.Clone(scrapes.Parts)
	for i := range parts {
		parts[i].From, parts[i].To = parts[i].From-from, parts[i].To-from
	}
	if rest := l.Canary.minus(scrapes.Counts); rest.Bad > 0.5 {
		// Bad requests of before the state was lost: it is not known when and where they
		// failed. They are taken as those of a pod that has just begun.
		parts = append(parts, Part{unknownPod, l.After, l.After, 0, Counts{max(rest.Total, rest.Bad), rest.Bad}})
	}
	return bounded(parts)
}

// podID is the 32-bit FNV-1a hash.
func podID(name string) uint32 {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return h
}

// bounded keeps the parts with the most bad requests, and joins the others.
func bounded(parts []Part) []Part {
	if len(parts) <= maxParts {
		return parts
	}
	slices.SortStableFunc(parts, func(a, b Part) int { return cmp.Compare(b.Bad, a.Bad) })
	others := parts[maxParts-1]
	for _, p := range parts[maxParts:] {
		if p.Pod != others.Pod {
			others.Pod = otherPods
		}
		others = others.join(p)
	}
	return append(slices.Clone(parts[:maxParts-1]), others)
}

func (p Part) join(q Part) Part {
	return Part{p.Pod, min(p.From, q.From), max(p.To, q.To), min(p.Age, q.Age), p.Add(q.Counts)}
}

// join returns the look at both.
func (l Look) join(next Look) Look {
	parts := slices.Clone(l.Parts)
	for _, p := range next.Parts {
		if i := slices.IndexFunc(parts, func(q Part) bool { return q.Pod == p.Pod }); i >= 0 {
			parts[i] = parts[i].join(p)
			continue
		}
		parts = append(parts, p)
	}
	return Look{next.After, l.Canary.Add(next.Canary), l.Stable.Add(next.Stable), next.Weight, bounded(parts)}
}
