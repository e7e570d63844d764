package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// redrawEvery is how often a live screen reads and draws again.
const redrawEvery = 2 * time.Second

// frame is a screen at one moment. Where nothing can be redrawn, line is written whenever
// key has changed.
type frame struct{ text, line, key string }

// Escape sequences: another screen without a cursor and back, the first line, and to the
// end of the line and of the screen.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	eraseLine   = "\x1b[K"
	eraseRest   = "\x1b[J"
)

// repeat shows a frame once, or until the context ends. The last frame of a live screen
// stays on the terminal.
func (a *app) repeat(ctx context.Context, watch bool, draw func(context.Context) (frame, error)) error {
	f, err := draw(ctx)
	if err != nil {
		return err
	}
	if !watch {
		_, err := fmt.Fprint(a.streams.Out, f.text)
		return err
	}
	if a.terminal.live {
		fmt.Fprint(a.streams.Out, enterScreen)
		defer func() { fmt.Fprint(a.streams.Out, leaveScreen+f.text) }()
	}
	every := time.NewTicker(a.every)
	defer every.Stop()
	for last := ""; ; {
		switch {
		case a.terminal.live:
			fmt.Fprint(a.streams.Out, home+strings.ReplaceAll(a.terminal.crop(f.text), "\n", eraseLine+"\n")+eraseRest)
		case f.key != last:
			fmt.Fprintln(a.streams.Out, f.line)
			last = f.key
		}
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
		if now := terminalOf(a.streams.Out); now.live {
			a.terminal = now
		}
		next, err := draw(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && a.terminal.live:
			// The last screen stays, and says that it is old.
			f.text = strings.TrimRight(strings.Split(f.text, staleMark)[0], "\n") + "\n" + staleMark + sentence(explained(err).Error()) + "\n"
		case err != nil:
			fmt.Fprintln(a.streams.ErrOut, "error: "+sentence(explained(err).Error()))
		default:
			f = next
		}
	}
}

const staleMark = "This screen is old: the cluster cannot be read: "

// crop leaves out the lines for which a live screen has no room: the terminal would scroll.
func (t terminal) crop(text string) string {
	lines := strings.SplitAfter(text, "\n")
	if t.height <= 1 || len(lines) <= t.height {
		return text
	}
	return strings.Join(lines[:t.height-2], "") + "…\n"
}
