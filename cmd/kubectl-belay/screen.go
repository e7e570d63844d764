package main

import (
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

// terminal is where a screen is shown.
type terminal struct {
	// live is set for a terminal that can redraw.
	live   bool
	colour bool
	width  int
	// height is 0 when it is not known, or does not matter.
	height int
	// again are the flags that lead to the cluster of this call: offered lines have them too.
	again []string
}

// Widths of screens, in columns.
const (
	usualWidth  = 100
	lowestWidth = 40
)

// terminalOf looks at the writer. On anything but a terminal there are no colours and no
// redraws.
func terminalOf(out io.Writer) terminal {
	t := terminal{width: usualWidth}
	if columns, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil {
		t.width = columns
	}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		smart := os.Getenv("TERM") != "dumb"
		_, plain := os.LookupEnv("NO_COLOR")
		t.live, t.colour = smart, smart && !plain
		if width, height, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
			t.width, t.height = width, height
		}
	}
	t.width = max(t.width, lowestWidth)
	return t
}

// style is an ANSI attribute. A colour only carries what a word already says.
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

// cell is a text in one style.
type cell struct {
	text  string
	style style
}

func width(s string) int { return utf8.RuneCountInString(s) }

// painter builds a screen line by line.
type painter struct {
	terminal
	strings.Builder
}

func (t terminal) paint() *painter { return &painter{terminal: t} }

func (p *painter) styled(c cell) string {
	if !p.colour || c.style == plain || c.text == "" {
		return c.text
	}
	return "\x1b[" + string(c.style) + "m" + c.text + "\x1b[0m"
}

// line writes cells beside each other; what does not fit is cut.
func (p *painter) line(cells ...cell) {
	left := p.width
	for _, c := range cells {
		c.text = shorten(c.text, left)
		left -= width(c.text)
		p.WriteString(p.styled(c))
	}
	p.WriteByte('\n')
}

func (p *painter) blank() { p.WriteByte('\n') }

// paragraph writes a text word by word, with the label before its first line and all
// lines at the same indent.
func (p *painter) paragraph(label cell, indent int, c cell) {
	lines := wrap(c.text, p.width-indent)
	for _, text := range lines {
		p.WriteString(strings.TrimRight(p.lead(label, indent)+p.styled(cell{text, c.style}), " ") + "\n")
		label = cell{}
	}
}

// lead is a label as wide as the indent of the text behind it.
func (p *painter) lead(label cell, indent int) string {
	return p.styled(label) + strings.Repeat(" ", max(indent-width(label.text), 0))
}

// wrap breaks a text between words; a word that is too long is broken itself.
func wrap(text string, limit int) []string {
	limit = max(limit, 10)
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && width(line)+1+width(word) > limit {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
		for width(line) > limit {
			runes := []rune(line)
			lines, line = append(lines, string(runes[:limit])), string(runes[limit:])
		}
	}
	return append(lines, line)
}

func shorten(text string, limit int) string {
	if width(text) <= limit {
		return text
	}
	if limit < 1 {
		return ""
	}
	return string([]rune(text)[:limit-1]) + "…"
}

// leastColumn is how narrow a column may become before it is dropped.
const leastColumn = 9

// table writes rows in columns. Where there is no room, the columns at the right become
// narrower, and then disappear.
func (p *painter) table(indent int, rows [][]cell) {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(c.text))
		}
	}
	for room := p.width - indent; len(widths) > 1; widths = widths[:len(widths)-1] {
		used := 2 * (len(widths) - 1)
		for _, w := range widths {
			used += w
		}
		last := &widths[len(widths)-1]
		if used <= room {
			break
		}
		if *last-(used-room) >= min(leastColumn, *last) {
			*last -= used - room
			break
		}
	}
	for _, row := range rows {
		line, shown := strings.Repeat(" ", indent), ""
		for i, c := range row[:min(len(row), len(widths))] {
			c.text = shorten(c.text, widths[i])
			line += p.styled(c)
			shown = line
			line += strings.Repeat(" ", widths[i]-width(c.text)+2)
			if c.text == "" {
				shown = strings.TrimRight(shown, " ")
			}
		}
		p.WriteString(strings.TrimRight(shown, " ") + "\n")
	}
}

func header(titles ...string) []cell {
	var row []cell
	for _, t := range titles {
		row = append(row, cell{t, dim})
	}
	return row
}

func styleOf(s view.State) style {
	switch s {
	case view.StateStalled, view.StateUnjudged, view.StateRolledBack, view.StateRollingBack:
		return red
	case view.StateHolding, view.StateBypassed, view.StateApproval, view.StateWaiting, view.StateFrozen, view.StatePaused:
		return yellow
	case view.StateStable:
		return green
	default:
		return cyan
	}
}

func verdictStyle(o v1alpha1.VerdictOutcome) style {
	return judged(o, v1alpha1.VerdictPass, v1alpha1.VerdictFail)
}

func outcomeStyle(o v1alpha1.Outcome) style {
	return judged(o, v1alpha1.OutcomePromoted, v1alpha1.OutcomeRolledBack)
}

// judged is the style of an outcome, which is good, bad, or neither.
func judged[T comparable](outcome, good, bad T) style {
	switch outcome {
	case good:
		return green
	case bad:
		return red
	default:
		return yellow
	}
}

// sentence is a text of the API server or a library on one line.
func sentence(text string) string { return view.Text(text, 1024) }

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}
