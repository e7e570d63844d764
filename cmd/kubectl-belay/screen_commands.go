package main

import (
	"fmt"
	"strings"
)

// command is a whole command to copy, and what it does.
type command struct{ line, effect string }

func commandsOf(actions []string, effects map[string]string, name, namespace string) []command {
	var out []command
	for _, action := range actions {
		out = append(out, command{fmt.Sprintf(`kubectl belay %s %s -n %s --reason "…"`, action, shellWord(name), shellWord(namespace)), effects[action]})
	}
	return out
}

// commands writes each command on a line of its own, which is never broken. Effects stand
// beside the commands, or under them where there is no room; to a shell they are comments.
func (p *painter) commands(label cell, indent int, commands []command) {
	longest, room := 0, true
	for _, c := range commands {
		longest = max(longest, width(c.line))
	}
	const between = "  # "
	for _, c := range commands {
		room = room && indent+longest+width(between+c.effect) <= p.width
	}
	for _, c := range commands {
		lead := p.lead(label, indent)
		label = cell{}
		if room {
			p.WriteString(lead + c.line + strings.Repeat(" ", longest-width(c.line)) + p.styled(cell{between + c.effect, dim}) + "\n")
			continue
		}
		p.WriteString(lead + c.line + "\n")
		p.line(cell{strings.Repeat(" ", indent) + between + c.effect, dim})
	}
}
