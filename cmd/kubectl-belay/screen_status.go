package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

// trails are the last evidence of each trigger, as a live screen has seen it.
type trails map[string][]float64

// trailLength is how many values a plot has.
const trailLength = 10

func (t trails) add(triggers []view.Trigger) {
	for _, trigger := range triggers {
		if trigger.Evidence >= 0 {
			t[trigger.Name] = append(t[trigger.Name], trigger.Evidence)
			t[trigger.Name] = t[trigger.Name][max(0, len(t[trigger.Name])-trailLength):]
		}
	}
}

// statusScreen is one Rollout now.
func statusScreen(t terminal, s view.Screen, now time.Time, seen trails) string {
	p := t.paint()
	head := []cell{{s.Name, bold}, {"  " + s.Namespace + "   ", dim}, {s.Headline, styleOf(s.State)}}
	if !s.Since.IsZero() {
		head = append(head, cell{"   for " + view.Short(now.Sub(s.Since)), plain})
	}
	p.line(head...)
	if s.Why != "" {
		p.paragraph(cell{}, 0, cell{s.Why, plain})
	}
	if s.Next != "" && s.State != view.StateRolledBack {
		p.paragraph(cell{"Next: ", dim}, 6, cell{s.Next, plain})
	}
	p.strip(s)
	p.versions(s)
	p.triggers(s, seen)
	for i, note := range s.Notes {
		if i == 0 {
			p.blank()
		}
		p.paragraph(cell{"  ! ", yellow}, 4, cell{note, plain})
	}
	if len(s.Decisions) > 0 {
		p.blank()
		p.story(s.Decisions, now)
	}
	if len(s.Actions) > 0 {
		p.blank()
		p.commands(cell{"You can: ", dim}, 9, t.commandsOf(s.Actions, s.Effects, s.Name, s.Namespace))
	}
	if len(s.Barred) > 0 {
		p.blank()
		p.barred(cell{}, 0, s.Barred)
	}
	return p.String()
}

// strip is the steps beside each other.
func (p *painter) strip(s view.Screen) {
	if len(s.Steps) == 0 {
		return
	}
	p.blank()
	const indent, gap = 2, "   "
	line, used := strings.Repeat(" ", indent), indent
	for i, step := range s.Steps {
		chunk := stepCell(step)
		if i > 0 && used+width(gap+chunk.text) > p.width {
			p.WriteString(line + "\n")
			line, used = strings.Repeat(" ", indent), indent
		} else if i > 0 {
			line, used = line+gap, used+width(gap)
		}
		line, used = line+p.styled(chunk), used+width(chunk.text)
	}
	p.WriteString(line + "\n")
	if w := s.Weight; w != nil && w.Observed != w.Desired {
		observed := "not acknowledged yet"
		if w.Observed >= 0 {
			observed = fmt.Sprintf("%d %% in force", w.Observed)
		}
		p.line(cell{fmt.Sprintf("  weight: %d %% wanted, %s", w.Desired, observed), yellow})
	}
}

// barLength is how many characters the hold of a step has.
const barLength = 12

func stepCell(step view.Step) cell {
	what := step.Name
	if step.Weight >= 0 {
		what = strings.TrimSpace(fmt.Sprintf("%s %d %%", step.Name, step.Weight))
	}
	if step.Testers != "" && step.Progress != view.Passed {
		what += " and testers (" + step.Testers + ")"
	}
	if step.Mirror > 0 && step.Progress != view.Passed {
		what += fmt.Sprintf(", mirrors %d %%", step.Mirror)
	}
	switch step.Progress {
	case view.Passed:
		return cell{"● " + what, green}
	case view.ToCome:
		if step.Hold > 0 {
			what += " for " + view.Short(step.Hold)
		}
		if step.Unapproved {
			what += ", then approval"
		}
		return cell{"○ " + what, dim}
	}
	if step.Weight < 0 {
		return cell{"◐ " + what, cyan}
	}
	left, over := step.Left()
	full := barLength
	if step.Hold > 0 && left > 0 {
		full = int(float64(barLength) * float64(step.Hold-left) / float64(step.Hold))
	}
	bar := strings.Repeat("━", full) + strings.Repeat("─", barLength-full)
	switch {
	case step.Held < 0:
		return cell{fmt.Sprintf("◐ %s %s not in force yet", what, strings.Repeat("─", barLength)), cyan}
	case left > 0:
		return cell{fmt.Sprintf("◐ %s %s %s left", what, bar, view.Short(left)), cyan}
	case step.Unapproved:
		return cell{fmt.Sprintf("◐ %s %s hold over %s ago, not approved", what, bar, view.Short(over)), yellow}
	default:
		return cell{fmt.Sprintf("◐ %s %s hold over %s ago", what, bar, view.Short(over)), yellow}
	}
}

func (p *painter) versions(s view.Screen) {
	if len(s.Versions) == 0 {
		return
	}
	p.blank()
	rows := [][]cell{header("SERVING", "", "SHARE", "PODS", strings.ToUpper(s.SetKind), "DIGEST")}
	for _, v := range s.Versions {
		share, pods, ready := "?", "–", green
		if v.Percent >= 0 {
			share = fmt.Sprintf("%d %%", v.Percent)
		}
		if v.Pods >= 0 {
			pods = fmt.Sprintf("%d/%d ready", v.Ready, v.Pods)
		}
		if v.Ready < v.Pods {
			ready = yellow
		}
		rows = append(rows, []cell{{v.Side, plain}, {v.Tag, bold}, {share, plain}, {pods, ready}, {orDash(v.Set), plain}, {orDash(shortDigest(v.Digest)), dim}})
	}
	p.table(2, rows)
	for _, v := range s.Versions {
		// Under the table, where a narrow terminal has room for it too.
		if v.PushedBy != "" {
			p.paragraph(cell{"  " + v.Side + ": ", dim}, 10, cell{v.Tag + " was pushed by " + v.PushedBy, plain})
		}
		if v.Problem != "" {
			p.paragraph(cell{"  " + v.Side + ": ", yellow}, 10, cell{v.Problem, plain})
		}
	}
}

// shortDigest is enough of a digest to compare by eye.
func shortDigest(digest string) string {
	if algorithm, hex, ok := strings.Cut(digest, ":"); ok && len(hex) > 12 {
		return algorithm + ":" + hex[:12]
	}
	return digest
}

// mostFigures is how wide the figures of a trigger are at most.
const mostFigures = 24

// shownMessages is how many triggers that do not pass say why.
const shownMessages = 3

func (p *painter) triggers(s view.Screen, seen trails) {
	if len(s.Triggers) == 0 {
		return
	}
	p.blank()
	rows := [][]cell{header("TRIGGER", "VERDICT", "CANARY", "FIRES AT 100", "WANTED", "STABLE")}
	said := 0
	var why []view.Trigger
	for _, t := range s.Triggers {
		verdict := string(t.Outcome)
		if t.Observes {
			verdict += ", observes"
		}
		style := verdictStyle(t.Outcome)
		if t.Silent > 0 {
			verdict, style = verdict+", "+view.Short(t.Silent)+" ago", yellow
		}
		rows = append(rows, []cell{{t.Name, plain}, {verdict, style}, {orDash(shorten(t.Now, mostFigures)), plain}, {evidence(t, seen), style},
			{orDash(t.Wanted), plain}, {orDash(t.Stable), plain}})
		if t.Outcome != v1alpha1.VerdictPass && t.Message != "" && said < shownMessages {
			why, said = append(why, t), said+1
		}
	}
	p.table(2, rows)
	for _, t := range why {
		p.paragraph(cell{"  ", plain}, 4, cell{fmt.Sprintf("%s is %s: %s", t.Name, t.Reason, t.Message), plain})
	}
}

// evidence is the number, which a narrow column keeps, and a bar, or on a live screen the plot
// of the last values.
func evidence(t view.Trigger, seen trails) string {
	if t.Evidence < 0 {
		return "–"
	}
	plot := ""
	if trail := seen[t.Name]; len(trail) > 1 {
		const levels = "▁▂▃▄▅▆▇█"
		runes := []rune(levels)
		for _, v := range trail {
			plot += string(runes[min(int(v/100*float64(len(runes))), len(runes)-1)])
		}
		plot += strings.Repeat(" ", trailLength-width(plot))
	} else {
		full := int(math.Round(t.Evidence / 100 * trailLength))
		plot = strings.Repeat("█", full) + strings.Repeat("░", trailLength-full)
	}
	return fmt.Sprintf("%3.0f %s", t.Evidence, plot)
}

// story is decisions, one line each, of which long ones go on below.
func (p *painter) story(decisions []view.Decision, now time.Time) {
	indent := 0
	for _, d := range decisions {
		indent = max(indent, width("  "+view.Moment(d.At, now)+"  "))
	}
	for _, d := range decisions {
		why := d.Why
		if why == "" {
			why = d.Rule
		}
		if d.Actor != "" && !strings.Contains(why, d.Actor) {
			why += " (" + d.Actor + ")"
		}
		if d.Missing > 0 {
			why = fmt.Sprintf("[%d decisions before this one could not be recorded] %s", d.Missing, why)
		}
		p.paragraph(cell{"  " + view.Moment(d.At, now), dim}, indent, cell{why, plain})
	}
}
