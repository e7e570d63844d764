package main

import (
	"io"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func tables(t *testing.T, o options) string {
	t.Helper()
	var out strings.Builder
	if _, err := report(&out, o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestOneSeedGivesOneReport(t *testing.T) {
	o := options{seed: 1, runs: 3, cell: "first-1pct|cold-any|burst-any|restarts", peers: true}
	first := tables(t, o)
	workers := runtime.GOMAXPROCS(1)
	again := tables(t, o)
	runtime.GOMAXPROCS(workers)
	if first != again {
		t.Errorf("seed 1 gave two reports:\n%s\n%s", first, again)
	}
	if !strings.Contains(first, "seed 1:") {
		t.Errorf("the report does not state its seed:\n%s", first)
	}
	o.seed = 2
	if strings.ReplaceAll(tables(t, o), "seed 2:", "seed 1:") == first {
		t.Error("seeds 1 and 2 gave one report")
	}
}

// A row must not depend on which others are measured before it, nor on the peers.
func TestRunsDrawFromTheirOwnSource(t *testing.T) {
	one := column{belayName, false, belay(startDefault)}
	all := []column{one}
	for _, p := range peers {
		all = append(all, p.column)
	}
	r := &rows()[slices.IndexFunc(rows(), func(r row) bool { return r.name == "first-1pct" })]
	with, alone := measure(r, low20, all, 7, 20), measure(r, low20, all[:1], 7, 20)
	measure(r, low5, all[:1], 7, 20)
	if got := with[0].text(r.null); got != alone[0].text(r.null) {
		t.Errorf("%s with the peers, %s without", got, alone[0].text(r.null))
	}
	if m, tail := alone[0].Median, alone[0].Tail; m == nil || tail == nil || *m == *tail {
		t.Errorf("%s: all runs are alike", alone[0].text(r.null))
	}
}

// A rule about errors is not asked about slow requests.
func TestRulesOfErrorsAreNotAskedAboutLatency(t *testing.T) {
	for cell, want := range map[string]string{"slow-first": "–", "first-50pct": "100"} {
		b, err := report(io.Discard, options{runs: 2, cell: cell, peers: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range b.results {
			if r.Judge == "Argo 99 %" && !strings.HasPrefix(r.text(false), want) {
				t.Errorf("%s of %s: %s, want %s", r.Judge, cell, r.text(false), want)
			}
		}
	}
}

func TestRowsAreSound(t *testing.T) {
	names := map[string]bool{}
	for _, r := range rows() {
		if names[r.name] {
			t.Errorf("two rows are named %s", r.name)
		}
		names[r.name] = true
		if len(r.loads) == 0 || len(r.loads) > 4 {
			t.Errorf("%s has %d loads", r.name, len(r.loads))
		}
		for _, b := range r.bars {
			if b.at != nil && !slices.Contains(r.loads, *b.at) {
				t.Errorf("%s has a target for %s, which is not measured", r.name, b.at)
			}
			if (b.what == rolledBack) != r.null {
				t.Errorf("%s has a target for its %s", r.name, b.what)
			}
		}
		b, err := report(io.Discard, options{runs: 1, cell: regexp.QuoteMeta(r.name)})
		if err != nil || len(b.results) != len(r.loads) {
			t.Errorf("%s: %v", r.name, err)
		}
	}
}

func TestSummaries(t *testing.T) {
	for _, c := range []struct {
		name    string
		seconds []float64
		null    bool
		want    string
		median  bool
	}{
		{"all detected", []float64{30, 10, 20, 40}, false, "100 / 30 / 40", true},
		{"half never", []float64{never - 300, 10, 20, never}, false, "50 / – / –", false},
		{"one before the onset", []float64{-10, 10, 20, 30}, false, "75 / 30 / – (25 early)", true},
		{"a null", []float64{-10, 10, never, never - 300}, true, "50", false},
	} {
		r := result{Runs: len(c.seconds)}
		r.summarize(c.seconds, c.null)
		if got := r.text(c.null); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if got := (bar{most: 1000, what: median}).reached(r); got != c.median {
			t.Errorf("%s: a median of at most 1000 s is reached: %v", c.name, got)
		}
		if (bar{most: 1, what: rolledBack}).reached(r) == (r.Early > 1) {
			t.Errorf("%s: %v %% early against at most 1 %%", c.name, r.Early)
		}
	}
}

// A counter scraped every 15 s that grows by 1 a second has rate 1. A window's
// start does not belong to it, and beyond an end that is more than 1.1 intervals
// away, half an interval is extrapolated.
func TestRateExtrapolatesAsPrometheus(t *testing.T) {
	var s series
	for at := 5.0; at <= 65; at += 15 {
		s.at, s.value = append(s.at, at), append(s.value, 100+at)
	}
	for now, want := range map[float64]float64{65: 1, 72: 1, 95: (15 + 15 + 7.5) / 60} {
		if got := rate(s, now, 60); got < want-1e-9 || got > want+1e-9 {
			t.Errorf("rate at %v = %v, want %v", now, got, want)
		}
	}
	if got := irate(s, 65, 300); got != 1 {
		t.Errorf("irate = %v, want 1", got)
	}
	if got := rate(s, 10, 60); got != 0 {
		t.Errorf("rate of one sample = %v, want none", got)
	}
	// After a restart the counter begins at 0: 165 to 15 is an increase of 15.
	s.at, s.value = append(s.at, 80), append(s.value, 15)
	if got := rate(s, 80, 60); got < 60.0/60-1e-9 || got > 60.0/60+1e-9 {
		t.Errorf("rate over a restart = %v, want 1", got)
	}
	if got := irate(s, 80, 300); got != 1 {
		t.Errorf("irate over a restart = %v, want 1", got)
	}
}

func TestCellsAreChosenByRowAndLoad(t *testing.T) {
	chosen, err := choose(rows(), "healthy|late-1pct|rate-1pct", "10+ rps 5 %")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range chosen {
		got = append(got, r.name+": "+among(r.loads))
	}
	if want := []string{"healthy: 100 rps 5 %", "late-1pct: 100 rps 5 %", "rate-1pct: 10 rps 5 %, 10000 rps 5 %"}; !slices.Equal(got, want) {
		t.Errorf("chosen %q, want %q", got, want)
	}
	for flag, o := range map[string][2]string{"-cell": {"(", ""}, "-load": {"", "("}, "no row": {"healthy", "rps"}} {
		if _, err := choose(rows(), o[0], o[1]); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("-cell %q -load %q: %v, want an error about %s", o[0], o[1], err, flag)
		}
	}
}
