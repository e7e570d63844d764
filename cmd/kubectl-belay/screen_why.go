package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

// labelled is how wide the labels of an account are.
const labelled = 13

var verbOf = map[v1alpha1.Outcome]string{
	v1alpha1.OutcomePromoted: "was PROMOTED", v1alpha1.OutcomeRolledBack: "was ROLLED BACK", v1alpha1.OutcomeSuperseded: "was SUPERSEDED",
	v1alpha1.OutcomeCancelled: "was CANCELLED", v1alpha1.OutcomeBypassed: "was BYPASSED",
}

// whyScreen is the account of a run, on one screen.
func whyScreen(t terminal, a view.Account, now time.Time) string {
	p := t.paint()
	if a.Outcome == "" {
		p.line(cell{"Run " + a.Run, bold}, cell{" is IN PROGRESS", cyan}, cell{" for " + view.Short(now.Sub(a.Started)), plain})
	} else {
		p.line(cell{"Run " + a.Run, bold}, cell{" " + verbOf[a.Outcome], outcomeStyle(a.Outcome)},
			cell{fmt.Sprintf(" at %s, %s ago", view.Moment(a.Ended, now), view.Short(now.Sub(a.Ended))), plain})
	}
	p.blank()
	say := func(label, format string, args ...any) {
		p.paragraph(cell{"  " + label, dim}, labelled, cell{fmt.Sprintf(format, args...), plain})
	}
	sayWhy(a, say)
	for _, d := range a.Steered {
		say("By people", "%s  %s", view.Moment(d.At, now), d.Why)
	}
	sayCost(a, say)
	say("Version", "%s", versionLine(a.Candidate))
	if a.Candidate.PushedBy != "" {
		say("Pushed", "by %s, run started %s", a.Candidate.PushedBy, view.Moment(a.Started, now))
	}
	say("Before", "%s", versionLine(a.Before))
	if a.Changed != "" {
		p.changes(a)
	}
	if a.Chain == "ok" {
		p.record(a)
	} else {
		say("Record", "%d decisions; the hashes do NOT verify: %s", a.Decisions, a.Chain)
	}
	if a.Present != "" {
		say("Now", "%s", a.Present)
	}
	if a.Present != "" {
		p.next(a)
	}
	return p.String()
}

// next is what the person can do now, and what others can.
func (p *painter) next(a view.Account) {
	label := "  Next"
	say := func(text string) {
		p.paragraph(cell{label, dim}, labelled, cell{text, plain})
		label = ""
	}
	switch {
	case slices.Contains(a.Actions, "retry"):
		say("Revert it, push another version, or:")
	case slices.ContainsFunc(a.Barred, func(b view.Barred) bool { return b.Command == "retry" }):
		say("Revert it, or push another version.")
	}
	if len(a.Actions) > 0 {
		p.commands(cell{label, dim}, labelled, p.commandsOf(a.Actions, a.Effects, a.Rollout, a.Namespace))
		label = ""
	}
	p.barred(cell{label, dim}, labelled, a.Barred)
}

// changes is one line: what differs in a few words, as far as there is room, and the command
// that shows all.
func (p *painter) changes(a view.Account) {
	command := p.toPaste("diff", a.Run, a.Namespace)
	lead := p.lead(cell{"  Changed", dim}, labelled)
	const between, least = "   ", 24
	if room := p.width - labelled - width(between+command.String()); room >= min(least, width(a.Changed)) {
		p.WriteString(lead + shorten(a.Changed, room) + between + p.styled(cell{command.String(), dim}) + "\n")
		return
	}
	p.WriteString(lead + shorten(a.Changed, p.width-labelled) + "\n")
	p.below(command, dim)
}

// record is one line: how many decisions there are, and the command that shows them, where there
// is room for it.
func (p *painter) record(a view.Account) {
	command := p.toPaste("show", a.Run, a.Namespace)
	label, said := cell{"  Record", dim}, fmt.Sprintf("%d decisions, their hashes verify; all of it:", a.Decisions)
	if whole := said + " " + command.String(); labelled+width(whole) <= p.width {
		p.paragraph(label, labelled, cell{whole, plain})
		return
	}
	p.paragraph(label, labelled, cell{said, plain})
	p.below(command, plain)
}

// below writes a command under a text. A part that is wider than the screen is not cut: it would
// lead elsewhere.
func (p *painter) below(c command, s style) {
	for _, line := range c.lines(p.width - labelled) {
		p.WriteString(strings.Repeat(" ", labelled) + p.styled(cell{line, s}) + "\n")
	}
}

func sayWhy(a view.Account, say func(string, string, ...any)) {
	if a.Trigger != "" {
		trigger := a.Trigger
		if a.Where != "" {
			trigger += ", at " + a.Where
		}
		if a.Actor != "" {
			trigger += ", by " + a.Actor
		}
		say("Trigger", "%s", trigger)
	}
	if f := a.Figures; f != nil {
		measured := "canary " + orDash(f.Now)
		if f.Stable != "" {
			measured += ", stable " + f.Stable
		}
		if f.Wanted != "" {
			measured += "; wanted " + f.Wanted
		}
		say("Measured", "%s", measured)
	}
	if a.Message != "" {
		say("Said", "%s", a.Message)
	}
}

func sayCost(a view.Account, say func(string, string, ...any)) {
	var parts []string
	if a.FailedRequests >= 0 {
		parts = append(parts, fmt.Sprintf("%d bad requests of the canary", a.FailedRequests))
	}
	if a.Budget != "" {
		parts = append(parts, a.Budget)
	}
	if a.ToZero >= 0 {
		parts = append(parts, fmt.Sprintf("weight 0 was in force %s after the decision", view.Short(a.ToZero)))
	}
	if len(parts) > 0 {
		say("Cost", "%s", strings.Join(parts, "; "))
	}
}

func versionLine(v view.Version) string {
	said := v.Tag
	if v.Digest != "" {
		said += "  " + shortDigest(v.Digest)
	}
	return said + "  revision " + v.Revision + "  " + v.Image
}
