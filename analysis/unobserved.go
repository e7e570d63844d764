package analysis

import "slices"

// Unobserved is the candidate's scrapes of polls that the ledger has counted and the evidence
// has not: their responses did not suffice for a verdict, such as those that lack a pod. The
// next look contains their counts. Without the pods and times it could not tell a burst or a
// cold start from a regression.
type Unobserved struct {
	// At is the evaluation time of the newest of the polls, in Unix milliseconds.
	At int64 `json:"at"`
	// Counts of all scrapes.
	Counts
	// Parts are the scrapes whose pod and time matter. Their times are in Unix milliseconds.
	Parts []Part `json:"parts,omitempty"`
	// Apart is what of them is compared with nothing, because of a shift.
	Apart Counts `json:"apart,omitzero"`
}

// Skip returns the state after a poll that the ledger has counted, when it is not observed; the
// argument is not changed. A repeated poll adds nothing. Of the settings it needs WarmUp and
// Quality. A state that cannot be continued is replaced.
func (r Regression) Skip(s RegressionState, l Ledger) RegressionState {
	if !s.continues() {
		s = AfterLosing(s.Restarts() + 1)
	}
	if s.Began == 0 {
		s.Began = max(0, l.StageFrom.UnixMilli())
	}
	var u Unobserved
	if s.Unobserved != nil {
		u = *s.Unobserved
	}
	if at := l.EvaluatedAt.UnixMilli(); at > max(u.At, s.Trail.newest()) {
		u = u.add(l.Fresh, s.Began, r.WarmUp.Milliseconds())
		u.At = at
		before := s.Shift
		s.Shift = before.follow(s.Trail, l, r.weight(s, l))
		if s.Shift.begins(before) {
			// It leaves out everything since the newest look, so this too.
			u.Apart = Counts{}
			fresh := r.Quality.freshness().Milliseconds()
			s.Shift = s.Shift.settles(s.Trail, s.Relative, at, fresh)
			s.Trail, s.Evidence = s.Trail.shifted(s.Evidence, *s.Shift.Least)
		}
		u.Apart = u.Apart.Add(s.Shift.apart(before)).Add(s.Shift.late(l))
	}
	s.Unobserved = &u
	return s
}

// add adds the scrapes of a poll. begin is when the candidate began to serve, in Unix
// milliseconds: no pod has served for longer. A part without bad requests is needed while its
// pod has served for less than young milliseconds.
func (u Unobserved) add(fresh []Scrape, begin, young int64) Unobserved {
	parts := slices.Clone(u.Parts)
	for _, s := range fresh {
		u.Counts = u.Add(s.Counts)
		if age := s.From - max(s.ReadyAt, begin); s.Bad > 0 || age < young {
			parts = append(parts, Part{podID(s.Pod), s.From, s.To, age, s.Counts})
		}
	}
	u.Parts = bounded(parts)
	return u
}
