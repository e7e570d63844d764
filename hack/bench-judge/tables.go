package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// belayName is the judge that the bars are for.
const belayName = "Belay default"

// bench is what is measured, and how often.
type bench struct {
	out    io.Writer
	seed   uint64
	runs   int
	judges []column
	// results so far, the bars that were missed, and the number of runs.
	results  []result
	missed   []string
	measured int
}

// runsOf a row under each load. False alarms are rare, so they need more.
func (b *bench) runsOf(null bool) int {
	if null {
		return b.runs
	}
	return max(b.runs/10, min(b.runs, 100))
}

// nulls measures the rows in which every rollback is a false one, and prints a line for
// each: all loads of Belay, and the lowest and highest of the others.
func (b *bench) nulls(all []row) {
	rows := b.begin(all, true, "Rolled back although the candidate is no worse than stable, % of runs under each load; of the peers lowest–highest. Usual loads are 10 rps 50 %, 100 rps 5 %, 100 rps 20 % and 1000 rps 10 %.",
		"row", "what happens", "scrape", "loads", "**"+b.judges[0].name+"**", "at most")
	for i := range rows {
		r := &rows[i]
		var ours, verdicts []string
		others := make([][]float64, len(b.judges)-1)
		for _, l := range r.loads {
			results := b.measure(r, l)
			ours = append(ours, results[0].text(true))
			verdicts = append(verdicts, b.verdict(r, l, results[0]))
			for k, other := range results[1:] {
				if other.Runs > 0 {
					others[k] = append(others[k], other.Early)
				}
			}
		}
		// The worst load decides.
		slices.SortStableFunc(verdicts, func(x, y string) int { return len(y) - len(x) })
		cells := []string{r.name, r.says, fmt.Sprintf("%g s", r.scrape), among(r.loads), strings.Join(ours, ", "), verdicts[0]}
		for _, percents := range others {
			cells = append(cells, span(percents))
		}
		b.line(cells)
	}
}

// among names the loads of a row.
func among(loads []load) string {
	if slices.Equal(loads, usual) {
		return "usual"
	}
	names := make([]string, len(loads))
	for i, l := range loads {
		names[i] = l.String()
	}
	return strings.Join(names, ", ")
}

// detections measures the rows of a bad candidate, and prints a line for each load.
func (b *bench) detections(all []row) {
	rows := b.begin(all, false, "Rolled back, % of runs / median / 95th percentile in seconds from the first request or the onset; – when fewer are:",
		"row", "what happens", "scrape", "load", "**"+b.judges[0].name+"**", "at most")
	for i := range rows {
		r := &rows[i]
		for k, l := range r.loads {
			name, says := r.name, r.says
			if k > 0 {
				name, says = "", ""
			}
			results := b.measure(r, l)
			cells := []string{name, says, fmt.Sprintf("%g s", r.scrape), l.String(), results[0].text(false), b.verdict(r, l, results[0])}
			for _, other := range results[1:] {
				cells = append(cells, other.text(false))
			}
			b.line(cells)
		}
	}
}

// begin returns the rows of a table, and prints its head when there are any.
func (b *bench) begin(all []row, null bool, title string, names ...string) []row {
	rows := slices.DeleteFunc(slices.Clone(all), func(r row) bool { return r.null != null })
	if len(rows) > 0 {
		for _, j := range b.judges[1:] {
			names = append(names, j.name)
		}
		fmt.Fprintf(b.out, "\n%s\n\n", title)
		b.line(names)
		fmt.Fprintf(b.out, "|%s\n", strings.Repeat("---|", len(names)))
	}
	return rows
}

func (b *bench) line(cells []string) { fmt.Fprintf(b.out, "| %s |\n", strings.Join(cells, " | ")) }

func (b *bench) measure(r *row, l load) []result {
	runs := b.runsOf(r.null)
	results := measure(r, l, b.judges, b.seed, runs)
	b.results, b.measured = append(b.results, results...), b.measured+runs
	return results
}

// span is the lowest and the highest of some percents.
func span(percents []float64) string {
	if len(percents) == 0 {
		return "–"
	}
	low, high := slices.Min(percents), slices.Max(percents)
	if low == high {
		return fmt.Sprintf("%.3g", low)
	}
	return fmt.Sprintf("%.2g–%.3g", low, high)
}

// text is a cell of a table, – when the rule is not for the row.
func (r result) text(null bool) string {
	switch {
	case r.Runs == 0:
		return "–"
	case null:
		return fmt.Sprintf("%.3g", r.Early)
	}
	text := fmt.Sprintf("%.3g", r.RolledBack-r.Early)
	for _, seconds := range []*float64{r.Median, r.Tail} {
		if seconds == nil {
			text += " / –"
		} else {
			text += fmt.Sprintf(" / %.0f", *seconds)
		}
	}
	if r.Early > 0 {
		text += fmt.Sprintf(" (%.3g early)", r.Early)
	}
	return text
}

// verdict holds a result against the row's bars for its load.
func (b *bench) verdict(r *row, l load, got result) string {
	var said []string
	for _, bar := range r.bars {
		if !bar.covers(l) {
			continue
		}
		if bar.reached(got) {
			said = append(said, bar.String()+" reached")
			continue
		}
		said = append(said, bar.String()+" **missed**")
		b.missed = append(b.missed, fmt.Sprintf("%s, %s: %s, at most %s", r.name, l, got.text(r.null), bar))
	}
	return strings.Join(said, ", ")
}

func (b bar) String() string {
	if b.what == rolledBack {
		return fmt.Sprintf("%g %%", b.most)
	}
	return fmt.Sprintf("%s %g s", b.what, b.most)
}

// reached reports whether a result is within the bar.
func (b bar) reached(got result) bool {
	switch b.what {
	case rolledBack:
		return got.Early <= b.most+1e-9
	case median:
		return got.Median != nil && *got.Median <= b.most
	default:
		return got.Tail != nil && *got.Tail <= b.most
	}
}
