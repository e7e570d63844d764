package main

import (
	"strings"
	"testing"
)

func TestOneSeedGivesOneReport(t *testing.T) {
	tables := func(seed uint64) string {
		var out strings.Builder
		report(&out, seed, 1)
		return out.String()
	}
	first := tables(1)
	if again := tables(1); first != again {
		t.Errorf("seed 1 gave two reports:\n%s\n%s", first, again)
	}
	if strings.TrimPrefix(first, "seed 1") == tables(2) {
		t.Error("seeds 1 and 2 gave one report")
	}
	if !strings.Contains(first, "seed 1.") {
		t.Errorf("the report does not state its seed:\n%s", first)
	}
}
