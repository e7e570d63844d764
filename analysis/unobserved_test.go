package analysis

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The next look has the pods and times of the polls that were not observed, also after the state
// was stored, and however often such a poll is repeated.
func TestPartsOfAPollThatWasSkipped(t *testing.T) {
	r := grown(10)
	r.WarmUp = time.Minute
	all := podsThat(repeat(Counts{40, 4}, 12), repeat(Counts{40, 0}, 12), repeat(Counts{720, 0}, 12))
	var s RegressionState
	for _, l := range all[:7] {
		s = r.Observe(s, l)
	}
	for _, l := range all[7:9] {
		s = r.Skip(r.Skip(s, l), l)
	}
	stored := restored(t, s)
	if diff := cmp.Diff(s, stored); diff != "" {
		t.Error("the stored state differs:\n" + diff)
	}
	s = r.Observe(stored, all[9])
	if s.Unobserved != nil {
		t.Errorf("%+v is kept after a look", s.Unobserved)
	}
	look := s.Trail.Looks[len(s.Trail.Looks)-1]
	if look.Canary != (Counts{240, 12}) || len(look.Parts) != 3 {
		t.Fatalf("the look is %+v, want that of three polls, with the three scrapes that have bad requests", look)
	}
	// The newest scrape of the first pod is 10 s before the poll.
	for _, p := range look.Parts {
		if p.Pod != podID("a") || p.To-p.From != 15_000 || p.Bad != 4 || p.Age < time.Minute.Milliseconds() {
			t.Errorf("part %+v, want 4 bad requests of one scrape of pod a, past its warm-up", p)
		}
	}
	if again := r.Skip(s, all[9]); again.Unobserved.Total != 0 {
		t.Errorf("a poll that was observed is kept: %+v", again.Unobserved)
	}
}

// What is kept is bounded, and a pod that is young stays young.
func TestUnobservedPollsAreBounded(t *testing.T) {
	r := grown(10)
	r.WarmUp = time.Minute
	var s RegressionState
	bad := 0.0
	for _, l := range podsThat(repeat(Counts{40, 4}, 200), repeat(Counts{40, 1}, 200), repeat(Counts{720, 0}, 200)) {
		s = r.Skip(s, l)
	}
	for _, p := range s.Unobserved.Parts {
		bad += p.Bad
	}
	if n := len(s.Unobserved.Parts); n != maxParts || bad != s.Unobserved.Bad || bad != 1000 {
		t.Errorf("%d parts with %v bad requests of %v, want %d with 1000", n, bad, s.Unobserved.Bad, maxParts)
	}
}
