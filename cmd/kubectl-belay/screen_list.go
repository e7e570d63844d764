package main

import (
	"time"

	"belay.dev/belay/controllers/view"
)

// listScreen is one line for each Rollout.
func listScreen(t terminal, rows []view.Row, now time.Time, wide, namespaces bool) string {
	p := t.paint()
	if len(rows) == 0 {
		p.line(cell{"No Rollouts.", plain})
		return p.String()
	}
	titles := []string{"ROLLOUT", "STATE", "SERVING", "STEP", "SINCE", "NEXT", "BY"}
	if namespaces {
		titles = append([]string{"NAMESPACE"}, titles...)
	}
	if wide {
		titles = append(titles, "TRIGGER", "MESSAGE")
		// Scripts and wide terminals get all of it.
		p.width = 4096
	}
	table := [][]cell{header(titles...)}
	for _, r := range rows {
		since := "–"
		if !r.Since.IsZero() {
			since = view.Short(now.Sub(r.Since))
		}
		row := []cell{{r.Name, bold}, {string(r.State), styleOf(r.State)}, {orDash(r.Serving), plain}, {orDash(r.Step), plain}, {since, plain}, {orDash(r.Next), plain}, {orDash(r.By), plain}}
		if namespaces {
			row = append([]cell{{r.Namespace, plain}}, row...)
		}
		if wide {
			row = append(row, cell{orDash(r.Trigger), plain}, cell{orDash(r.Message), plain})
		}
		table = append(table, row)
	}
	p.table(0, table)
	return p.String()
}

// historyScreen is one line for each run that has ended.
func historyScreen(t terminal, runs []view.Finished, now time.Time) string {
	p := t.paint()
	table := [][]cell{header("RUN", "VERSION", "REVISION", "OUTCOME", "ENDED", "TOOK", "TRIGGER", "BY", "MESSAGE")}
	for _, f := range runs {
		ended, took := "–", "–"
		if !f.Ended.IsZero() {
			ended, took = view.Short(now.Sub(f.Ended))+" ago", view.Short(f.Ended.Sub(f.Started))
		}
		table = append(table, []cell{{f.Run, bold}, {f.Tag, plain}, {orDash(f.Revision), plain}, {string(f.Outcome), outcomeStyle(f.Outcome)}, {ended, plain}, {took, plain},
			{orDash(f.Trigger), plain}, {orDash(f.By), plain}, {orDash(f.Message), plain}})
	}
	p.table(0, table)
	return p.String()
}
