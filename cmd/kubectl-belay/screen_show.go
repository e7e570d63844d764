package main

import (
	"fmt"
	"strings"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

// showScreen is what the triggers of a run were judged by.
func showScreen(t terminal, a view.Account, run *v1alpha1.RolloutRun) string {
	p := t.paint()
	outcome := string(a.Outcome)
	if outcome == "" {
		outcome = "in progress"
	}
	p.line(cell{"Run " + a.Run, bold}, cell{"  of Rollout " + a.Rollout + "  ", plain}, cell{outcome, outcomeStyle(a.Outcome)})
	p.paragraph(cell{"  Candidate", dim}, labelled, cell{versionLine(a.Candidate), plain})
	p.paragraph(cell{"  Stable", dim}, labelled, cell{versionLine(a.Before), plain})
	p.paragraph(cell{"  Record", dim}, labelled, cell{fmt.Sprintf("%d decisions, hashes: %s", a.Decisions, a.Chain), plain})
	if head := run.Status.Head; head != nil {
		p.copied("Head", view.Text(head.Hash, 71))
	}
	for _, g := range run.Spec.Guardrails {
		p.copied(g.Kind, view.Text(g.Name+"  "+g.Hash, 330))
	}
	for _, trigger := range view.Measured(run) {
		p.blank()
		p.measured(trigger)
	}
	return p.String()
}

func (p *painter) measured(t view.Trigger) {
	p.line(cell{t.Name, bold}, cell{fmt.Sprintf("  %s (%s)", t.Outcome, t.Reason), verdictStyle(t.Outcome)})
	say := func(label, text string) {
		if text != "" {
			p.paragraph(cell{"  " + label, dim}, labelled, cell{text, plain})
		}
	}
	say("Said", t.Message)
	say("Wanted", t.Wanted)
	p.copied("Query", t.Query)
	if !t.EvaluatedAt.IsZero() {
		say("At", t.EvaluatedAt.UTC().Format(time.RFC3339Nano))
	}
	if c := t.Counts; c != nil {
		say("Canary", fmt.Sprintf("%d bad of %d", c.Bad, c.Total))
	}
	if c := t.StableCounts; c != nil {
		say("Stable", fmt.Sprintf("%d bad of %d", c.Bad, c.Total))
	}
	var statistics []string
	for _, s := range t.Statistics {
		statistics = append(statistics, view.Text(s.Name+"="+s.Value, 100))
	}
	say("Statistics", strings.Join(statistics, " "))
	p.copied("Samples", t.Samples)
}

// copied writes a value that people copy: on one line, however long it is.
func (p *painter) copied(label, value string) {
	if value != "" {
		p.WriteString(p.styled(cell{"  " + label, dim}) + strings.Repeat(" ", max(labelled-2-width(label), 2)) + value + "\n")
	}
}
