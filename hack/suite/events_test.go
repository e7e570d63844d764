package main

import (
	"strings"
	"testing"
)

// TestTheEndOfALogShowsWhy keeps the last lines of a failed run useful where only
// they are kept.
func TestTheEndOfALogShowsWhy(t *testing.T) {
	stream := strings.NewReader(`{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: want 1, got 2\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"fail","Package":"p"}
{"Action":"output","Package":"q","Output":"q.go:7: undefined: x\n"}
{"Action":"fail","Package":"q"}
`)
	totals := totals{}
	totals.read(stream)
	if totals.passed != 1 || totals.failed != 2 || len(totals.failures) != 2 {
		t.Fatalf("totals %+v", totals)
	}
	for i, want := range []string{"FAILED p TestA\n    a_test.go:3: want 1, got 2", "FAILED q\n    q.go:7: undefined: x"} {
		if got := totals.failures[i].String(); got != want {
			t.Errorf("failure %d: got %q, want %q", i, got, want)
		}
	}
}

func TestALongFailureKeepsItsEnds(t *testing.T) {
	var said []string
	for range 40 {
		said = append(said, "middle\n")
	}
	said[0], said[39] = "panic: boom\n", "last\n"
	got := failure{name: "p TestA", said: said}.String()
	if lines := strings.Count(got, "\n"); lines != firstSaid+lastSaid+1 {
		t.Errorf("%d lines under the name", lines)
	}
	for _, want := range []string{"FAILED p TestA\n    panic: boom\n", "(24 lines more above)", "\n    last"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
}
