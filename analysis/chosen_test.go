package analysis

import (
	"testing"
	"time"
)

// TestCallersThatChooseTheirPod may send nearly all requests to one, such as a leader: the share
// does not say that pods of the wrong version were counted. Whether the candidate gets any
// requests at all is still looked at.
func TestCallersThatChooseTheirPod(t *testing.T) {
	l := Ledger{}.Advance(both(5, pod("c", 4, 0, 0), pod("s", 4, 0, 0)), start)
	l = l.Advance(both(10, pod("c", 9, 20, 0), pod("s", 9, 9000, 0)), start)
	q := Quality{ScrapeInterval: 5 * time.Second, ReadyPods: 1, Weight: 50}
	if v, ok := q.JudgeShare(l); ok || v.Reason != WeightMismatch {
		t.Fatalf("evenly spread: %s %v", v.Reason, ok)
	}
	q.Chosen = true
	if v, ok := q.JudgeShare(l); !ok {
		t.Errorf("chosen: %s %s", v.Reason, v.Message)
	}
	for second := 15; second < 60; second += 5 {
		l = l.Advance(both(second, pod("c", second-1, 20, 0), pod("s", second-1, 9000+float64(second), 0)), start)
	}
	if v, ok := q.JudgeShare(l); ok || v.Reason != Stale {
		t.Errorf("without requests: %s %v", v.Reason, ok)
	}
}
