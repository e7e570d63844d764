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
	// results so far, and the bars that were missed.
	results []result
	missed  []string
}

// table measures rows and prints them.
func (b *bench) table(all []row, null bool) {
	rows := slices.DeleteFunc(slices.Clone(all), func(r row) bool { return r.null != null })
	if len(rows) == 0 {
		return
	}
	if null {
		fmt.Fprint(b.out, "\nRolled back although the candidate is no worse than stable, % of runs:\n\n")
	} else {
		fmt.Fprint(b.out, "\nRolled back, % of runs / median / 95th percentile in seconds from the first request or the onset; – when fewer are:\n\n")
	}
	names := []string{"row", "what happens", "scrape", "load", "**" + b.judges[0].name + "**", "to reach"}
	for _, j := range b.judges[1:] {
		names = append(names, j.name)
	}
	fmt.Fprintf(b.out, "| %s |\n|%s\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	for i := range rows {
		r := &rows[i]
		for k, l := range r.loads {
			name, says := r.name, r.says
			if k > 0 {
				name, says = "", ""
			}
			results := measure(r, l, b.judges, b.seed, b.runs)
			b.results = append(b.results, results...)
			cells := []string{name, says, fmt.Sprintf("%g s", r.scrape), l.String(), results[0].text(null), b.verdict(r, l, results[0])}
			for _, other := range results[1:] {
				cells = append(cells, other.text(null))
			}
			fmt.Fprintf(b.out, "| %s |\n", strings.Join(cells, " | "))
		}
	}
}

// text is a cell of a table.
func (r result) text(null bool) string {
	if null {
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
		text := fmt.Sprintf("%s ≤ %g", bar.what, bar.most)
		if bar.reached(got) {
			text += " reached"
		} else {
			text += " **missed**"
			b.missed = append(b.missed, fmt.Sprintf("%s, %s: %s ≤ %g", r.name, l, bar.what, bar.most))
		}
		said = append(said, text)
	}
	return strings.Join(said, ", ")
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
