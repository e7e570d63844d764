package main

import (
	"fmt"
	"slices"
	"strings"

	"belay.dev/belay/controllers/view"
)

// command is a whole command to copy, in parts that stay together on a line, and what it does.
type command struct {
	parts  []string
	effect string
}

// String is the command in one line.
func (c command) String() string { return strings.Join(c.parts, " ") }

// pasted is the terminal for a screen with lines to paste: they have to reach the cluster that the
// screen is about, as the same person. Flags with credentials are not repeated.
func (a *app) pasted() terminal {
	t, f := a.terminal, a.flags
	t.again = nil
	for _, flag := range []struct {
		name   string
		values []string
	}{
		{"kubeconfig", []string{*f.KubeConfig}}, {"context", []string{*f.Context}}, {"cluster", []string{*f.ClusterName}}, {"user", []string{*f.AuthInfoName}},
		{"server", []string{*f.APIServer}}, {"as", []string{*f.Impersonate}}, {"as-group", *f.ImpersonateGroup},
	} {
		for _, value := range flag.values {
			if value != "" {
				t.again = append(t.again, "--"+flag.name+" "+shellWord(value))
			}
		}
	}
	return t
}

// toPaste is a command of this program with its flags, and those that lead to the cluster.
func (t terminal) toPaste(verb, name, namespace string, flags ...string) command {
	parts := []string{"kubectl belay " + verb, shellWord(name), "-n " + shellWord(namespace)}
	return command{parts: slices.Concat(parts, flags, t.again)}
}

// commandsOf are whole commands: the Rollout, its namespace, the flags that an action has, those
// that lead to its cluster, and the reason, in the order in which every message has them.
func (t terminal) commandsOf(actions []string, effects map[string]string, name, namespace string) []command {
	var out []command
	for _, action := range actions {
		verb, rest, _ := strings.Cut(action, " ")
		var flags []string
		for _, flag := range strings.Split(" "+rest, " --")[1:] {
			flags = append(flags, "--"+flag)
		}
		c := t.toPaste(verb, name, namespace, flags...)
		out = append(out, command{append(c.parts, `--reason "…"`), effects[action]})
	}
	return out
}

// lines are the command as a shell takes it: where there is no room for all of it, parts go on
// in the next line, behind a backslash.
func (c command) lines(room int) []string {
	var out []string
	line := c.parts[0]
	for i, part := range c.parts[1:] {
		// The last part needs no room for a backslash behind it.
		after := width(" \\")
		if i == len(c.parts)-2 {
			after = 0
		}
		if width(line+" "+part)+after > room {
			out, line = append(out, line+" \\"), "  "+part
			continue
		}
		line += " " + part
	}
	return append(out, line)
}

// commands writes commands below each other. Effects stand beside them, or under them where
// there is no room; to a shell they are comments.
func (p *painter) commands(label cell, indent int, commands []command) {
	longest, room := 0, true
	for _, c := range commands {
		longest = max(longest, width(c.String()))
	}
	const between = "  # "
	for _, c := range commands {
		room = room && indent+longest+width(between+c.effect) <= p.width
	}
	for _, c := range commands {
		if room {
			line := c.String()
			p.WriteString(p.lead(label, indent) + line + strings.Repeat(" ", longest-width(line)) + p.styled(cell{between + c.effect, dim}) + "\n")
			label = cell{}
			continue
		}
		for _, line := range c.lines(p.width - indent) {
			p.WriteString(p.lead(label, indent) + line + "\n")
			label = cell{}
		}
		p.line(cell{strings.Repeat(" ", indent) + between + c.effect, dim})
	}
}

// barred says who may give the commands that the person may not.
func (p *painter) barred(label cell, indent int, barred []view.Barred) {
	for _, one := range whoMayGive(barred) {
		p.paragraph(label, indent, cell{fmt.Sprintf("You may not give %s: ask %s.", oneOf(one.commands), one.who), plain})
		label = cell{}
	}
}

// givers are people who may give some commands, to be asked for them.
type givers struct {
	commands []string
	who      string
}

// whoMayGive puts commands together that the same people may give.
func whoMayGive(barred []view.Barred) []givers {
	var out []givers
	for _, b := range barred {
		who := "a cluster administrator"
		if len(b.Roles) > 0 {
			who = "somebody with the role " + oneOf(b.Roles)
		}
		at := slices.IndexFunc(out, func(one givers) bool { return one.who == who })
		if at < 0 {
			at, out = len(out), append(out, givers{who: who})
		}
		out[at].commands = append(out[at].commands, b.Command)
	}
	return out
}
